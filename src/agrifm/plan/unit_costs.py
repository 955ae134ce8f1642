"""What this machine needs for a unit of work; `agrifm.plan.measured_costs` measures it."""

from typing import Any

import numpy as np
from pydantic import Field

from agrifm.plan.model_work import ModelUnits, SeriesUnits
from agrifm.validation import Frozen

NO_MODELS = "none"


class UnitCosts(Frozen):
    """What this machine needs for a unit of work."""

    made_by: dict[str, str]
    """Versions and processor, by which it is known whether they still hold."""
    cores: int
    start_seconds: float
    """Until a command has loaded its libraries."""
    fetch_asset_seconds: float
    """Of one processor for a file of a scene and a tile of the cube."""
    fetch_pixel_seconds: float
    """Of one processor for a pixel of a band."""
    fetch_base_bytes: float
    """Memory of a fetch before it reads pixels."""
    fetch_pixel_bytes: float
    """Memory for each pixel and band of a tile that is in work."""
    codec: tuple[tuple[float, float], ...]
    """Compressed bytes of a pixel in a file, ascending, and in the cube."""

    read_seconds: float
    """Of one processor for a number that is read from a cube."""
    parcel_seconds: float
    """Of one processor for a parcel."""
    models: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """What models need, as `measure_models` returned it, by a digest of their shapes."""
    chosen: str = NO_MODELS
    """Which of `models` are the project's."""

    def of(self, key: str) -> "UnitCosts":
        """Return the same costs with the models of that digest chosen."""
        return self.model_copy(update={"chosen": key})

    def model(self, name: str) -> ModelUnits:
        """Return what one of the project's models needs."""
        return ModelUnits.model_validate(self.models.get(self.chosen, {}).get(name, {}))

    def series(self) -> SeriesUnits:
        """Return what preparing the project's series needs."""
        return SeriesUnits.model_validate(self.models.get(self.chosen, {}).get("series", {}))

    def process(self) -> tuple[float, float]:
        """Return bytes and seconds of a process that has loaded the libraries of the project's models."""
        found = self.models.get(self.chosen, {})
        return found.get("base_bytes", self.fetch_base_bytes), found.get("start_seconds", self.start_seconds)

    def cube_bytes(self, stored: float) -> float:
        """Return the bytes of a pixel in the cube that has `stored` bytes in its file."""
        files, cubes = np.array(self.codec, np.float64).T
        inside = float(np.clip(stored, files[0], files[-1]))
        return float(np.interp(inside, files, cubes)) * stored / inside
