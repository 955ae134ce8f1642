"""A synthetic season with known truth: land, weather, growth, optics and acquisition, each in a module of its own."""
