"""Imagery in: products, catalogues, local files, pixels, quality."""
