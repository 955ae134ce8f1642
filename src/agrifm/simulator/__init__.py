"""A synthetic season with known truth: `land`, `season` (weather and growth), `optics`, `acquisition`, `catalog`."""
