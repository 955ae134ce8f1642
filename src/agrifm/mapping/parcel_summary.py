"""What became of a file of parcels, in numbers and in sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agrifm.codes import listed
from agrifm.legend import Legend

MOST = 0.5
"""Share of the stated areas from which on they count as being in a unit."""

COUNTS = (
    "parcels", "unobserved", "below_pixel", "mended", "shapeless", "left_out", "overlaps", "unnamed", "areas",
    "areas_m2", "areas_ha",
)  # fmt: skip
"""What every part counts: numbers of a summary, and of the stated areas those that are in m² or in hectares."""


WHY_NONE = {
    "crop": "none of their pixels has a valid observation",
    "yield": "less than half of their ground has one on the map",
}
"""By what parcels are asked for: why some have no answer."""


@dataclass(frozen=True)
class ParcelSummary:
    """Counts of parcels, and their hectares."""

    rows: int
    """Of the file."""
    parcels: int
    """On the map's area."""
    hectares: dict[str, float]
    """Geodesic, by code of the crop."""
    unanswered_hectares: float
    """Of parcels without a crop."""
    unobserved: int
    """Parcels without a crop, because none of their pixels has a valid observation."""
    below_pixel: int
    """Parcels that are smaller than a pixel, whose crop is that of mixed pixels."""
    mended: int
    """Parcels whose outline crossed itself."""
    shapeless: int
    """Rows near the map without a shape, or whose polygon has no area."""
    left_out: int
    """Rows near the map that are not polygons."""
    overlaps: int
    """Parcels that overlap another one of the same part of the file."""
    overlapping: tuple[str, ...]
    """Names of some of them."""
    unnamed: int
    """Parcels without a name, which have the number of their row."""
    area_unit: str | None
    """Unit of most areas that the file states, "m2" or "ha"; None if it states none, or others."""
    areas: int
    """Parcels with a stated area."""
    area_column: str | None = None
    """Column of the stated areas."""
    duplicates: int = 0
    """Parcels with the same outline as an earlier one."""
    renamed: int = 0
    """Parcels that had the name of an earlier one, and have the number of their row added."""
    answer: str = "crop"
    """What parcels are asked for, "crop" or "yield"."""
    production: float | None = None
    """Tonnes of the parcels with a yield."""
    path: Path = Path()

    def content(self) -> dict[str, Any]:
        """Return the numbers as JSON content."""
        return {key: value for key, value in asdict(self).items() if key != "path"}

    def lines(self) -> list[str]:
        """Describe the parcels in sentences."""
        shown = {code: hectares for code, hectares in self.hectares.items() if hectares}
        areas = ", ".join(f"{code} {hectares:.1f}" for code, hectares in shown.items())
        beyond = self.rows - self.parcels - self.shapeless - self.left_out
        answered = self.parcels - self.unobserved
        sentences = {
            f"{beyond} of {self.rows} rows of the file are outside the area of the map and are left out": beyond,
            f"{self.unobserved} parcels have no {self.answer}, because {WHY_NONE[self.answer]} "
            f"({self.unanswered_hectares:.1f} ha)": self.unobserved,
            f"{self.below_pixel} parcels are smaller than a pixel and are marked (`agrifm:below_pixel`)":
            self.below_pixel,
            f"{self.mended} parcels have outlines that cross or touch and were mended (`agrifm:mended`)": self.mended,
            f"{self.shapeless} rows have no shape, or one without area, and are left out": self.shapeless,
            f"{self.left_out} rows are not polygons and are left out": self.left_out,
            f"{self.overlaps} parcels overlap others, so their ground counts twice (`agrifm:overlaps`): "
            f"{listed(self.overlapping)}": self.overlaps,
            f"{self.duplicates} parcels have the outline of an earlier one, and count twice (`agrifm:duplicate`)":
            self.duplicates,
            f"{self.renamed} parcels have the name of an earlier one; the number of their row is added to it":
            self.renamed,
            f"{self.unnamed} parcels have no name and have the number of their row": self.unnamed,
        }  # fmt: skip
        return [
            f"{answered} of {self.parcels} parcels have a {self.answer}; hectares: {areas or 'none'}",
            *self._production_line(sum(shown.values())),
            *(sentence for sentence, count in sentences.items() if count),
            *self._area_line(),
            f"wrote {self.path}",
        ]

    def _production_line(self, hectares: float) -> list[str]:
        """A sentence on the production of parcels with a yield."""
        if self.production is None or not hectares:
            return []
        return [f"mean yield {self.production / hectares:.2f} t/ha, production {self.production:.1f} t"]

    def _area_line(self) -> list[str]:
        """A sentence on stated areas that are not in the unit that their column has in fiboa."""
        column = self.area_column
        if column is None or not self.areas or (column, self.area_unit) in (("metrics:area", "m2"), ("area", "ha")):
            return []
        if self.area_unit is None:
            return [f"the areas in '{column}' are not those of the outlines; those of the outlines are written"]
        unit = "hectares" if self.area_unit == "ha" else "m²"
        return [f"the areas in '{column}' are in {unit}; `metrics:area` has the m² of the outlines"]


def summed(results: Sequence[Mapping[str, Any]], legend: Legend, rows: int) -> ParcelSummary:
    """Add up what the parts of a file counted.

    Args:
        results: of the parts, as `agrifm.mapping.parcel_answers.answer_unit` returns them.
        rows: of the file.
    """
    total: dict[str, Any] = {key: sum(int(one[key]) for one in results) for key in COUNTS}
    hectares = np.sum([one["hectares"] for one in results], axis=0) if results else np.zeros(len(legend) + 1)
    units = {"m2": total.pop("areas_m2"), "ha": total.pop("areas_ha")}
    unit = next((name for name, count in units.items() if count > MOST * total["areas"]), None)
    return ParcelSummary(
        rows=rows,
        hectares=dict(zip(legend.codes, hectares[:-1].tolist(), strict=True)),
        unanswered_hectares=float(hectares[-1]),
        overlapping=tuple(name for one in results for name in one["named"])[:5],
        area_unit=unit,
        **total,
    )
