"""Settings of all tests."""

from hypothesis import settings

# Busy machines make single examples slow; that is no failure.
settings.register_profile("agrifm", deadline=None, max_examples=60)
settings.load_profile("agrifm")
