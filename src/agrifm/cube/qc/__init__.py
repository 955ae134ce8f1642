"""Checks of a cube: integrity, radiometry, co-registration, sensors with each other."""
