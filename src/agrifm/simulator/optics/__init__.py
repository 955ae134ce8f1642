"""Simulated optics: leaf, canopy, soil and atmosphere coefficients."""
