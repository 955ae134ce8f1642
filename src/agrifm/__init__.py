"""agrifm: from an area and a season to a crop map with hectares and confidence."""

import os
from importlib.metadata import version

# Threads that spin while they wait make training much slower on a machine that does anything else
# (docs/decisions/0002-waiting-threads.md); OpenMP reads this when PyTorch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = version("agrifm")
