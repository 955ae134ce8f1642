"""Models without torch: the random forest."""
