"""A third interpreter looks at the points on which two differ: the label that two of the three gave is agreed."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from agrifm.assess.answers import MORE, Answers
from agrifm.assess.interpreter_points import PLACE, InterpreterPoints
from agrifm.files import write_geopackage, write_text
from agrifm.point_columns import LABEL, NUMBER

FILES_OF_AGREED = ("agreed.gpkg", "undecided.csv")
"""Files in the directory of a comparison with a third look."""


@dataclass(frozen=True)
class ThirdLook:
    """What is agreed by the labels of three interpreters."""

    drawn: InterpreterPoints
    labels: tuple[tuple[str, str, str], ...]
    """Of each point; "" where an interpreter gave none."""
    name: str
    """Of the third."""

    @property
    def agreed(self) -> list[str]:
        """The label of each point that at least two gave; "" where there is none."""
        return [agreed_label(three) for three in self.labels]

    def stated(self) -> dict[str, Any]:
        """What `agreement.json` says of it; points without any label count as not looked at."""
        agreed = self.agreed
        seen = [any(three) for three in self.labels]
        return {
            "interpreter": self.name,
            "points": sum(bool(three[2]) for three in self.labels),
            "agreed": sum(map(bool, agreed)),
            "undecided": sum(looked and not label for looked, label in zip(seen, agreed, strict=True)),
        }

    def write(self, directory: Path) -> None:
        """Write the points with the agreed labels, and the points that remain undecided."""
        frame = self.drawn.frame.copy()
        frame[LABEL] = pd.Series([label or None for label in self.agreed], dtype="string").to_numpy()
        write_geopackage(directory / FILES_OF_AGREED[0], frame)
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow((NUMBER, *PLACE, "first_label", "second_label", "third_label"))
        rows = zip(self.drawn.numbers, self.drawn.lonlat.tolist(), self.labels, self.agreed, strict=True)
        for number, (longitude, latitude), three, label in rows:
            if any(three) and not label:
                writer.writerow((number, f"{longitude:.7f}", f"{latitude:.7f}", *three))
        write_text(directory / FILES_OF_AGREED[1], text.getvalue())


def agreed_label(labels: Sequence[str]) -> str:
    """The label that at least two of three interpreters gave; "" stands for none, given or agreed."""
    counts = Counter(label for label in labels if label)
    label, count = counts.most_common(1)[0] if counts else ("", 0)
    return label if count > 1 else ""


def third_look(drawn: InterpreterPoints, answers: Sequence[Answers], name: str) -> ThirdLook:
    """Join the answers of three interpreters.

    Args:
        answers: of the first, the second and the third.
        name: of the third, if the answers do not state it.
    """
    stated = set(answers[2].values.get(MORE[0], ())) - {""}
    labels = zip(*(one.by_point(LABEL) for one in answers), strict=True)
    return ThirdLook(drawn, tuple(labels), stated.pop() if len(stated) == 1 else name)
