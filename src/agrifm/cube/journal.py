"""The journal beside an unfinished cube: the plan it follows, then a line for each finished unit of work."""

import json
import shutil
from pathlib import Path
from typing import Any


def finished_units(partial: Path, journal: Path, plan: str) -> dict[str, dict[str, Any]] | None:
    """What was noted of each finished unit, by its key; None where there is nothing to continue.

    Leftovers of another plan are removed. A line is a key, a blank and JSON.

    Args:
        partial: the unfinished cube.
        journal: begins with a JSON object that has the key `plan`.
    """
    if journal.exists() and partial.exists():
        text = journal.read_text(encoding="utf-8")
        head, end = json.JSONDecoder().raw_decode(text)
        if head["plan"] == plan:
            # A line cut off by a kill has no newline and counts as not done.
            lines = (line.partition(" ") for line in text[end:].rpartition("\n")[0].splitlines() if line)
            return {key: json.loads(noted) for key, _, noted in lines}
    shutil.rmtree(partial, ignore_errors=True)
    journal.unlink(missing_ok=True)
    return None
