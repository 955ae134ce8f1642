"""Where `agrifm serve` shows a page, if nothing else is stated."""

PORT = 8642
"""Port that is tried first."""
LOOPBACK = "127.0.0.1"
"""This machine alone."""
