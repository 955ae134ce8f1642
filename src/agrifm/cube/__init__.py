"""Cubes: one Zarr store per area and season, one group per sensor."""
