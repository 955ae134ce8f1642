"""A page in the browser over a finished season: its map, imagery, parcels and hectares. It reads files and no torch."""
