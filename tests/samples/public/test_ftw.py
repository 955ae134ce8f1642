"""Fields of The World: chips of two countries in a small copy of the layout."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas
import pytest
import rasterio
from rasterio.transform import from_origin

from agrifm.errors import LabelError
from agrifm.samples.public.ftw import read_ftw
from agrifm.samples.public.registry import PUBLIC_SETS

SPLITS = {"austria": ["train", "val", "test", "train"], "kenya": ["train", "none"]}
WINDOW = {"a": (700, 600, 500, 3000), "b": (1200, 1000, 800, 2200)}
"""Red, green, blue and near infrared of the windows."""


def write_tif(path: Path, bands: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "count": len(bands), "height": 256, "width": 256, "dtype": bands.dtype}
    with rasterio.open(path, "w", crs="EPSG:32633", transform=from_origin(5e5, 53e5, 10, 10), **profile) as target:
        target.write(bands)


def write_set(folder: Path) -> Path:
    """Kenya's labels state presence alone (3 outside of fields); the last chip of Austria has no image of window b."""
    for country, splits in SPLITS.items():
        names = [f"g{number}" for number in range(len(splits))]
        place = folder / country
        for number, name in enumerate(names):
            for window, numbers in WINDOW.items():
                if (country, name, window) != ("austria", "g3", "b"):
                    bands = np.broadcast_to(np.array(numbers)[:, None, None] + number, (4, 256, 256)).astype(np.uint16)
                    write_tif(place / "s2_images" / f"window_{window}" / f"{name}.tif", bands)
            three = np.full((1, 256, 256), 3 if country == "kenya" else 0, np.uint8)
            three[0, :100], three[0, 100] = 1, 2
            write_tif(place / "label_masks" / "semantic_3class" / f"{name}.tif", three)
            write_tif(place / "label_masks" / "semantic_2class" / f"{name}.tif", np.where(three == 2, 1, three))
        pandas.DataFrame({"aoi_id": names, "split": splits}).to_parquet(place / f"chips_{country}.parquet")
        seasons = {
            "window_a": {"start": "2021-03-01", "end": "2021-04-30"},
            "window_b": {"start": "2021-07-01", "end": "2021-08-30"},
        }
        (place / f"data_config_{country}.json").write_text(json.dumps({"seasons": seasons}))
    return folder


def test_bands_windows_and_days_are_read(tmp_path: Path) -> None:
    content = read_ftw(write_set(tmp_path))
    series = content.sample(1).series["sentinel-2"]
    assert content.sensors[0].bands == ("B02", "B03", "B04", "B08")
    # in the order of dates: window a in spring, window b in summer
    expected = np.array([[501, 601, 701, 3001], [801, 1001, 1201, 2201]]) / 1e4
    np.testing.assert_allclose(series.image[..., 0, 0], expected, rtol=1e-6)
    days = np.array(["2021-03-31", "2021-07-31"], "datetime64[D]").astype(int)
    assert series.date.tolist() == days.tolist()


def test_days_may_be_stated(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    (folder / "kenya" / "data_config_kenya.json").unlink()
    with pytest.raises(LabelError) as caught:
        read_ftw(folder)
    assert caught.value.facts["country"] == "kenya"
    days = {"kenya": (date(2022, 9, 1), date(2022, 5, 1))}
    series = read_ftw(folder, countries=["kenya"], days=days).sample(0).series["sentinel-2"]
    assert series.image[0, :, 0, 0].tolist() == pytest.approx([0.08, 0.1, 0.12, 0.22])  # window b is the earlier one


def test_classes_and_what_is_unlabelled(tmp_path: Path) -> None:
    content = read_ftw(write_set(tmp_path), countries=["kenya"])
    assert [entry.name for entry in content.legend.classes] == ["background", "field", "boundary"]
    label = content.sample(0).label
    assert [label[0, 0], label[100, 0], label[200, 0]] == [1, 2, 255]
    assert any("kenya" in note and "presence" in note for note in content.notes)
    two = read_ftw(tmp_path, countries=["kenya"], classes=2)
    assert len(two.legend) == 2
    assert two.sample(0).label[100, 0] == 1


def test_the_official_parts_leave_out_chips_without_part_or_image(tmp_path: Path) -> None:
    content = read_ftw(write_set(tmp_path))
    assert content.windows is not None
    parts = {
        part: [content.windows.names[index] for index in indices] for part, indices in content.folds["official"].items()
    }
    assert parts == {"train": ["austria/g0", "kenya/g0"], "validation": ["austria/g1"], "test": ["austria/g2"]}
    assert any("austria: 1 chips lack an image" in note for note in content.notes)


def test_a_damaged_and_an_absent_mask_are_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    path = folder / "austria" / "label_masks" / "semantic_3class" / "g1.tif"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(LabelError) as damaged:
        read_ftw(folder).sample(1)
    path.unlink()
    with pytest.raises(LabelError) as absent:
        read_ftw(folder)
    assert damaged.value.facts["path"] == absent.value.facts["path"] == path


def test_no_other_reader_recognises_the_folder(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    for place in (folder, folder / "austria"):
        assert [name for name, reader in PUBLIC_SETS.items() if reader.recognises(place)] == ["ftw"]
