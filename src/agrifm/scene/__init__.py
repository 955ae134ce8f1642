"""Imagery in: products, catalogues, files of one's own, pixels, quality, a simulated season."""
