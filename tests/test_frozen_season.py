"""The simulated season is frozen, so that all numbers measured on it remain comparable.

A change needs a new `version` in the regions' files, a record in docs/decisions that names it, and all tables computed
again (benchmarks/realism.py, the demo, the other benchmarks). Then `python tests/test_frozen_season.py` writes the new
frozen numbers.
"""

import hashlib
import json
import tempfile
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pystac
import pytest
import rasterio

from agrifm.season import Season
from agrifm.simulator import region as regions
from agrifm.simulator.catalog import simulate
from agrifm.simulator.region import REGIONS, read_region

FROZEN = Path(__file__).parent / "golden" / "frozen_season.json"
PARAMETERS = Path(regions.__file__).parent
RECORDS = Path(__file__).parents[1] / "docs" / "decisions"
WEEKS = {
    "oceanic": Season(date(2024, 5, 1), date(2024, 6, 1)),
    "mediterranean": Season(date(2024, 6, 1), date(2024, 7, 2)),
    "monsoon": Season(date(2024, 7, 20), date(2024, 8, 20)),
    "southern": Season(date(2023, 12, 20), date(2024, 1, 20)),
}
"""An informative month for the crops of each region."""


def checksums() -> dict[str, str]:
    """SHA-256 of every file with parameters; those of the pretraining world decide nothing of a season."""
    files = sorted(path for path in PARAMETERS.rglob("*.toml") if path.parent.name != "world")
    return {str(path.relative_to(PARAMETERS)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def statistics(region: str, directory: Path) -> dict[str, Any]:
    """Rounded statistics of a season of 1 x 1 km: scenes, mean of each asset over all scenes, hectares of crops."""
    root = simulate(directory, region, size=1, seed=0, season=WEEKS[region]).parent
    means: dict[str, list[float]] = defaultdict(list)
    scenes: dict[str, int] = defaultdict(int)
    for item in pystac.Catalog.from_file(root / "catalog.json").get_items(recursive=True):
        collection = str(item.collection_id)
        scenes[collection] += 1
        for key, asset in item.assets.items():
            with rasterio.open(asset.get_absolute_href()) as file:
                means[f"{collection} {key}"].append(float(file.read(1).mean()))
    parcels = geopandas.read_file(root / "truth" / "parcels.gpkg")
    hectares = parcels.groupby("crop").area_ha.sum()
    return {
        "scenes": dict(scenes),
        "means": {name: float(f"{np.mean(values):.4g}") for name, values in sorted(means.items())},
        "hectares": {str(crop): round(float(area), 1) for crop, area in hectares.items()},
    }


def frozen() -> dict[str, Any]:
    """Read the frozen numbers."""
    content: dict[str, Any] = json.loads(FROZEN.read_text(encoding="utf-8"))
    return content


def test_the_parameters_are_the_frozen_ones() -> None:
    changed = sorted(name for name, sum_ in checksums().items() if frozen()["checksums"].get(name) != sum_)
    assert checksums().keys() == frozen()["checksums"].keys()
    assert not changed, f"frozen parameters changed: {changed}; {__doc__}"


QUICK = ("oceanic",)
"""The others are heavy tests."""


@pytest.mark.parametrize(
    "region", [one if one in QUICK else pytest.param(one, marks=pytest.mark.check) for one in REGIONS]
)
def test_a_small_season_is_the_frozen_one(region: str, tmp_path: Path) -> None:
    expected, current = frozen()["statistics"][region], statistics(region, tmp_path / "season")
    assert current["scenes"] == expected["scenes"]
    assert current["hectares"] == pytest.approx(expected["hectares"], abs=0.11)
    assert current["means"] == pytest.approx(expected["means"], rel=2e-3)


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_has_the_frozen_version_and_a_decision_record(region: str) -> None:
    version = read_region(region).version
    assert version == frozen()["version"]
    records = [path.read_text(encoding="utf-8") for path in sorted(RECORDS.glob("*.md"))]
    assert any(f"Simulated season, version {version}" in record for record in records)


def freeze() -> None:
    """Write the statistics of the current season."""
    with tempfile.TemporaryDirectory() as folder:
        numbers = {region: statistics(region, Path(folder) / region) for region in REGIONS}
    content = {"version": read_region("oceanic").version, "checksums": checksums(), "statistics": numbers}
    FROZEN.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    freeze()
