"""Maps: cube and weights to COGs."""
