"""Models without PyTorch, and the features that they read."""
