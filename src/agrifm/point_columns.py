"""Columns of files of points that one stage writes and another one reads."""

METHOD = "sampling"
"""Column of the method by which each point was drawn. "non-probability" marks a point that was chosen."""
NON_PROBABILITY = "non-probability"
RANK = "rank"
"""Column of the order in which places that were chosen are to be labelled, from 1."""
NUMBER, LABEL = "id", "label"
"""Columns of the number of a reference point, and of the class code that was found there."""
