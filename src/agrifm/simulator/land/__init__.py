"""Simulated land: parcels, roads and their shapes."""
