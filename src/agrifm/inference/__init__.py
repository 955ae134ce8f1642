"""Prediction with a trained model; training and mapping both use it."""
