"""Numbers: design, confusion, areas, report. Reads files; no torch."""
