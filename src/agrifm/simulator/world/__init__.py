"""A world of simulated places for pretraining: every climate of the crop calendar, as series of points."""
