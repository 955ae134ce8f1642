"""Readers of public data sets, as distributed: one module per set; `registry` recognises a folder and reads it."""
