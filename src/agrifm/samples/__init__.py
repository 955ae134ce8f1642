"""Training data: labels, blocks, samples and batches."""
