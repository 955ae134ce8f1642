"""CropHarvest: points of a small copy of its layout, with the wrong NDVI column that it has."""

import json
from datetime import date
from pathlib import Path

import h5py
import numpy as np
import pytest

from agrifm.errors import LabelError
from agrifm.samples.public.cropharvest import read_cropharvest
from agrifm.samples.public.registry import PUBLIC_SETS

# VV VH B2 B3 B4 B5 B6 B7 B8 B8A B9 B11 B12 temperature precipitation elevation slope NDVI
ROW = [-11.0, -18.0, 900, 800, 700, 1000, 2400, 2900, 3000, 3200, 1000, 1900, 1000, 295.5, 0.02, 310, 4]
POINTS = [
    # index, data set, crop, label, classification label, lat, lon, end, test
    (0, "kenya", 1, "maize", "cereals", -0.5, 34.5, "2020-02-01T00:00:00", False),
    (1, "kenya", 1, None, None, -0.6, 34.6, "2020-02-01T00:00:00", False),
    (2, "togo", 0, None, "non_crop", 8.5, 1.2, "2020-02-01T00:00:00", False),
    (3, "togo", 1, "sorghum", "cereals", 8.6, 1.3, "2021-02-01T00:00:00", False),
    (4, "togo", 1, "sorghum", "cereals", 8.6, 1.3, "2021-02-01T00:00:00", False),  # without array
    (5, "togo-eval", 1, None, None, 9.0, 1.5, "2020-02-01T00:00:00", True),
]


def array_of(point: int) -> np.ndarray:
    """(12, 18): month m has B2 = 900 + point + m; NDVI is made of B7 and B3, as in the files of the set."""
    rows = np.tile(np.array([*ROW, 0.0]), (12, 1))
    rows[:, 2] += point + np.arange(12)
    rows[:, 17] = (2900 - 800) / (2900 + 800)
    return rows


def write_set(folder: Path) -> Path:
    arrays = folder / "features" / "arrays"
    arrays.mkdir(parents=True)
    names = ("index", "dataset", "is_crop", "label", "classification_label", "lat", "lon", "export_end_date", "is_test")
    features = [
        {"type": "Feature", "geometry": None, "properties": dict(zip(names, point, strict=True))} for point in POINTS
    ]
    (folder / "labels.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    for index, dataset, *_ in POINTS[:4]:
        with h5py.File(arrays / f"{index}_{dataset}.h5", "w") as file:
            file["array"] = array_of(index)
    tests = folder / "test_features"
    tests.mkdir()
    with h5py.File(tests / "togo-eval.h5", "w") as file:
        file["x"] = np.stack([array_of(7), array_of(8), array_of(9)])
        file["y"] = np.array([1, 0, -1])
        file["lats"], file["lons"] = np.array([8.9, 9.0, 9.1]), np.array([1.4, 1.5, 1.6])
    return folder


def test_composites_are_read_by_band_name_and_dated_in_the_middle(tmp_path: Path) -> None:
    table = read_cropharvest(write_set(tmp_path), sensors=["sentinel-2", "sentinel-1", "era5"]).table
    assert table is not None
    series = table.series["sentinel-2"]
    assert series.input.quantity == "top-of-atmosphere reflectance"
    assert series.input.bands == ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
    third = table.place.index("3_togo")
    expected = np.array([903 + 11, 800, 700, 1000, 2400, 2900, 3000, 3200, 1900, 1000]) / 1e4
    np.testing.assert_allclose(series.values[third, 11], expected, rtol=1e-6)
    # 12 x 30 days until 1 February 2021: the last composite begins on 2 January
    last = np.datetime64("2021-01-17").astype(int)
    assert series.date[third, 11] == last
    assert np.diff(series.date[third]).tolist() == [30] * 11
    assert table.series["sentinel-1"].values[0, 0].tolist() == [-11.0, -18.0]
    assert table.series["era5"].values[0, 0, 0] == pytest.approx(295.5)
    assert table.static["elevation"].tolist() == [310] * 4


def test_the_wrong_ndvi_is_noticed_and_not_read(tmp_path: Path) -> None:
    content = read_cropharvest(write_set(tmp_path))
    assert any("(B7-B3)/(B7+B3) at 4 of 4" in note for note in content.notes)
    assert all("NDVI" not in sensor.bands for sensor in content.sensors)


def test_classes_of_every_column(tmp_path: Path) -> None:
    folder = write_set(tmp_path)

    def classes(**choices: object) -> dict[str, str | None]:
        table = read_cropharvest(folder, **choices).table  # type: ignore[arg-type]
        assert table is not None
        codes = [None if number == 255 else table.legend.codes[number] for number in table.label]
        return dict(zip(table.place, codes, strict=True))

    assert classes() == {"0_kenya": "1", "1_kenya": "1", "2_togo": "0", "3_togo": "1"}
    assert classes(column="classification_label") == {
        "0_kenya": "cereals", "1_kenya": None, "2_togo": "non_crop", "3_togo": "cereals",
    }  # fmt: skip
    assert classes(target="maize") == {"0_kenya": "1", "1_kenya": None, "2_togo": "0", "3_togo": "0"}


def test_test_files_are_the_test_part_and_minus_one_is_unlabelled(tmp_path: Path) -> None:
    content = read_cropharvest(write_set(tmp_path), test="togo-eval")
    table = content.table
    assert table is not None
    assert content.folds["official"]["test"].tolist() == [4, 5, 6]
    assert [None if number == 255 else table.legend.codes[number] for number in table.label[4:]] == ["1", "0", None]
    end = np.datetime64("2020-02-01").astype(int)  # of the one test row in the rectangle of the file
    assert table.season_start[4] == end - 360


def test_a_test_file_of_an_unknown_year_needs_its_last_day(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    (folder / "test_features" / "togo-eval.h5").rename(folder / "test_features" / "china-crop.h5")
    with h5py.File(folder / "test_features" / "china-crop.h5", "a") as file:
        file["lats"][...] = 47.0
    with pytest.raises(LabelError) as caught:
        read_cropharvest(folder, test="china-crop")
    assert caught.value.facts["found"] == []
    content = read_cropharvest(folder, test="china-crop", test_end=date(2021, 2, 1))
    assert len(content.folds["official"]["test"]) == 3


def test_points_without_array_are_counted_and_datasets_chosen(tmp_path: Path) -> None:
    content = read_cropharvest(write_set(tmp_path), datasets=["togo"])
    assert content.table is not None
    assert content.table.place == ("2_togo", "3_togo")
    assert any("1 of 3 points have no array" in note for note in content.notes)


def test_a_damaged_array_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    path = folder / "features" / "arrays" / "2_togo.h5"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(LabelError) as caught:
        read_cropharvest(folder)
    assert caught.value.facts["path"] == path


def test_absent_labels_are_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    (folder / "labels.geojson").unlink()
    with pytest.raises(LabelError) as caught:
        read_cropharvest(folder)
    assert caught.value.facts["path"] == folder / "labels.geojson"


def test_no_other_reader_recognises_the_folder(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    assert [name for name, reader in PUBLIC_SETS.items() if reader.recognises(folder)] == ["cropharvest"]
