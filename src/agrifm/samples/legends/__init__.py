"""Published legends as data files, and translation between them."""
