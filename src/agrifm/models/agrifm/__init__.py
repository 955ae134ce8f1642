"""The AgriFM network."""
