"""From maps of extent, boundary and distance to field polygons, and how good these are."""
