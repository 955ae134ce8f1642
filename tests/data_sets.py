"""Absolute paths of the data sets, the reported cases and the recorded peers, which are not distributed with agrifm."""

import os
from pathlib import Path

DATA = Path(os.environ.get("AGRIFM_DATA", Path(__file__).parents[2] / "shared/data")).resolve()
"""The data sets of the examples. A project file may stand in any folder, so a relative path would lead elsewhere."""
CASES, PEERS = DATA.parent / "cases", DATA.parent / "peers"
