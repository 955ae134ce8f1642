"""A report shows the maps of earlier dates by the same model, in order, and says which ones it leaves out."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from tests.assess.rasters import CROPS, crop_map, write_points, write_raster

from agrifm.assess.film_strip import early_maps
from agrifm.assess.report import assess

MODEL = {"agrifm:model_sha256": "of the model"}


def write_map(directory: Path, values: np.ndarray, **properties: str) -> Path:
    directory.mkdir()
    item = {"properties": {**MODEL, **properties}, "links": [], "assets": {}}
    (directory / "item.json").write_text(json.dumps(item), encoding="utf-8")
    return write_raster(directory / "classes.tif", values, legend=CROPS, nodata=255)


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """The map, two earlier ones of its model, one of another model, and one of a part of the area."""
    final = crop_map((40, 60), seed=1)
    early = np.where(final == 1, np.uint8(2), final)  # wheat is not known yet
    write_map(tmp_path / "map", final)
    write_map(tmp_path / "map-until-2024-06-30", final, **{"agrifm:until": "2024-06-30"})
    write_map(tmp_path / "map-until-2024-05-31", early, **{"agrifm:until": "2024-05-31"})
    write_map(tmp_path / "map-until-2024-04-30", early, **{"agrifm:until": "2024-04-30", **dict.fromkeys(MODEL, "x")})
    write_map(tmp_path / "map-until-2024-07-31", final[:30], **{"agrifm:until": "2024-07-31"})
    write_map(tmp_path / "map-until-whenever", final, **{"agrifm:until": "whenever"})
    return tmp_path


def test_maps_of_the_same_model_and_pixels_are_found_in_order(maps: Path) -> None:
    found, notes = early_maps(maps / "map" / "classes.tif")
    assert found == [
        {"until": "2024-05-31", "file": "map-until-2024-05-31/classes.tif"},
        {"until": "2024-06-30", "file": "map-until-2024-06-30/classes.tif"},
    ]
    assert sorted(re.search(r"2024-\d\d-\d\d", note).group() for note in notes) == ["2024-04-30", "2024-07-31"]


def test_a_report_ends_the_row_with_its_map(maps: Path) -> None:
    values = crop_map((40, 60), seed=1)
    rows, cols = np.concatenate([np.argwhere(values == number)[:30:3] for number in range(3)]).T
    write_points(maps / "p.gpkg", rows, cols, [CROPS.codes[value] for value in values[rows, cols]])
    report = assess(maps / "map" / "classes.tif", maps / "p.gpkg", "label", maps / "report", sampling="stratified")
    assert [one["until"] for one in report["early_maps"]] == ["2024-05-31", "2024-06-30"]
    strip = (maps / "report" / "report.html").read_text().split("<h2>The map by date</h2>")[1].split("</section>")[0]
    figures = strip.split("<figure>")[1:]
    assert [re.search("<figcaption>(.*)</figcaption>", one).group(1) for one in figures] == [
        "until 2024-05-31", "until 2024-06-30", "the map",
    ]  # fmt: skip
    assert ["Winter wheat" in one for one in figures] == [False, True, True]


def test_a_map_of_other_software_has_no_row(maps: Path) -> None:
    (maps / "map" / "item.json").unlink()
    assert early_maps(maps / "map" / "classes.tif") == ([], [])
