"""Files of weights: reading, checking and converting them."""
