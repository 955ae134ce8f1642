"""Simulated acquisition: orbits, views, clouds and encoding."""
