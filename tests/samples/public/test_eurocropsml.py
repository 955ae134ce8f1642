"""EuroCropsML: parcels of a small copy of its layout, with the classes, dates and splits that were written into it."""

import json
from pathlib import Path

import numpy as np
import pytest

from agrifm.errors import LabelError
from agrifm.samples.public.eurocropsml import list_eurocropsml_splits, read_eurocropsml
from agrifm.samples.public.registry import PUBLIC_SETS, read_public_set, recognise

WHEAT, MEADOW = "3301010100", "3302000000"
DAYS = ["2021-04-01", "2021-04-01", "2021-06-15"]
FILES = {
    f"LV003_10_{WHEAT}.npz": (24.1, 56.9),
    f"LV003_11_{MEADOW}.npz": (24.1001, 56.9001),
    f"LV005_12_{MEADOW}.npz": (26.5, 56.5),
    f"EE001_13_{WHEAT}.npz": (24.7, 59.4),
}
"""Name of a parcel's file -> longitude, latitude."""


def write_set(folder: Path, reflectance: bool = False) -> Path:
    """The tree of version 12; band c of date t of parcel p has the digital number 1000 p + 100 c + t."""
    data = folder / "preprocess" / "S2" / "2021"
    data.mkdir(parents=True)
    for parcel, (name, centre) in enumerate(FILES.items(), 1):
        numbers = 1000.0 * parcel + 100 * np.arange(13) + np.arange(3)[:, None]
        days = np.array(DAYS, "datetime64[D]")
        np.savez(data / name, data=numbers / 1e4 if reflectance else numbers, dates=days, center=np.array(centre))
    use = folder / "split" / "latvia_vs_estonia" / "finetune"
    use.mkdir(parents=True)
    names = list(FILES)
    parts = {"train": names[:2], "val": [names[2]], "test": [names[3]]}
    (use / "region_split_1.json").write_text(json.dumps(parts))
    meta = folder / "split" / "latvia_vs_estonia" / "meta"
    meta.mkdir()
    (meta / "region_split.json").write_text(json.dumps({"train": names[:2], "val": [names[2]]}))
    return folder


def test_bands_of_the_sensor_are_read_by_name_as_top_of_atmosphere_reflectance(tmp_path: Path) -> None:
    content = read_eurocropsml(write_set(tmp_path))
    table = content.table
    assert table is not None
    sensor = table.series["sentinel-2"].input
    assert sensor.quantity == "top-of-atmosphere reflectance"
    assert sensor.bands == ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
    # columns of these bands in the file's order 01 02 03 04 05 06 07 08 8A 09 10 11 12
    columns = np.array([1, 2, 3, 4, 5, 6, 7, 8, 11, 12])
    latvian = table.place.index("LV003/10")
    expected = (1000 + 100 * columns + np.arange(3)[:, None]) / 1e4
    np.testing.assert_allclose(table.series["sentinel-2"].values[latvian], expected, rtol=1e-6)
    assert table.series["sentinel-2"].valid.all()


def test_classes_places_dates_and_regions_are_those_of_the_files(tmp_path: Path) -> None:
    table = read_eurocropsml(write_set(tmp_path)).table
    assert table is not None
    classes = [table.legend.codes[number] for number in table.label]
    assert dict(zip(table.place, classes, strict=True)) == {
        "LV003/10": WHEAT, "LV003/11": MEADOW, "LV005/12": MEADOW, "EE001/13": WHEAT,
    }  # fmt: skip
    assert dict(zip(table.place, table.lon.tolist(), strict=True))["EE001/13"] == 24.7
    assert dict(zip(table.place, table.lat.tolist(), strict=True))["EE001/13"] == 59.4
    days = (np.array(DAYS, "datetime64[D]") - np.datetime64("1970-01-01")).astype(int)
    assert table.series["sentinel-2"].date[0].tolist() == days.tolist()  # the day that occurs twice is kept twice
    blocks = dict(zip(table.place, table.block.tolist(), strict=True))
    assert blocks["LV003/10"] == blocks["LV003/11"]  # a few metres apart
    assert len(set(blocks.values())) == 3


def test_a_split_has_the_parts_that_its_file_lists(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    assert list_eurocropsml_splits(folder) == ["latvia_vs_estonia/finetune/1", "latvia_vs_estonia/meta"]
    content = read_eurocropsml(folder, split="latvia_vs_estonia/finetune/1")
    table = content.table
    assert table is not None
    fold = content.folds["latvia_vs_estonia/finetune/1"]
    parts = {part: sorted(table.place[index] for index in indices) for part, indices in fold.items()}
    assert parts == {"train": ["LV003/10", "LV003/11"], "validation": ["LV005/12"], "test": ["EE001/13"]}


def test_a_region_and_a_limit_choose_parcels_reproducibly(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    latvia = read_eurocropsml(folder, regions=["LV"], limit=1, seed=3)
    again = read_eurocropsml(folder, regions=["LV"], limit=1, seed=3)
    assert latvia.table is not None
    assert again.table is not None
    assert len(latvia) == 2
    assert latvia.table.place == again.table.place
    seeds = {read_eurocropsml(folder, regions=["LV"], limit=1, seed=seed).table.place for seed in range(8)}  # type: ignore[union-attr]
    assert seeds == {("LV003/10", "LV003/11"), ("LV003/10", "LV005/12")}


def test_files_of_reflectance_give_the_same_values(tmp_path: Path) -> None:
    numbers = read_eurocropsml(write_set(tmp_path / "a")).table
    reflectance = read_eurocropsml(write_set(tmp_path / "b", reflectance=True)).table
    assert numbers is not None
    assert reflectance is not None
    np.testing.assert_allclose(reflectance.series["sentinel-2"].values, numbers.series["sentinel-2"].values, rtol=1e-5)


def test_files_of_two_scales_are_refused(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "a")
    other = write_set(tmp_path / "b", reflectance=True)
    name = f"LV003_11_{MEADOW}.npz"
    wrong = folder / "preprocess/S2/2021" / name
    wrong.write_bytes((other / "preprocess/S2/2021" / name).read_bytes())
    with pytest.raises(LabelError) as caught:
        read_eurocropsml(folder)
    assert caught.value.facts["path"] == wrong


def test_rows_of_nodata_are_not_valid(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    path = folder / "preprocess/S2/2021" / f"EE001_13_{WHEAT}.npz"
    numbers = np.full((2, 13), 500.0)
    numbers[1] = -999
    days = np.array(["2021-05-01", "2021-05-06"], "datetime64[D]")
    np.savez(path, data=numbers, dates=days, center=np.array([24.7, 59.4]))
    table = read_eurocropsml(folder, regions=["EE"]).table
    assert table is not None
    assert table.series["sentinel-2"].valid[0].tolist() == [True, False]
    assert (table.series["sentinel-2"].values[0, 1] == 0).all()


def test_a_damaged_parcel_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    path = folder / "preprocess/S2/2021" / f"LV005_12_{MEADOW}.npz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(LabelError) as caught:
        read_eurocropsml(folder)
    assert caught.value.facts["path"] == path


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    path = folder / "preprocess/S2/2021" / f"LV005_12_{MEADOW}.npz"
    objects = np.array([{"a": 1}, None], object)
    np.savez(path, data=objects, dates=np.array(DAYS[:2], "datetime64[D]"), center=np.zeros(2))
    with pytest.raises(LabelError) as caught:
        read_eurocropsml(folder)
    assert caught.value.facts["path"] == path


def test_a_parcel_of_a_split_without_its_file_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    name = f"LV003_11_{MEADOW}.npz"
    (folder / "preprocess/S2/2021" / name).unlink()
    with pytest.raises(LabelError) as caught:
        read_eurocropsml(folder, split="latvia_vs_estonia/finetune/1")
    assert caught.value.facts["path"] == name


def test_the_tree_of_older_versions_is_refused(tmp_path: Path) -> None:
    old = tmp_path / "preprocess"
    old.mkdir()
    np.savez(old / f"LV003_11_{MEADOW}.npz", data=np.ones((1, 13)))
    assert recognise(tmp_path) == "eurocropsml"
    with pytest.raises(LabelError) as caught:
        read_public_set(tmp_path)
    assert caught.value.facts["path"] == old / "S2" / "2021"


def test_sentinel_1_is_read_where_it_is(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    radar = folder / "preprocess" / "S1" / "2021"
    radar.mkdir(parents=True)
    decibels = np.array([[-11.5, -18.25]], np.float32)
    np.savez(
        radar / f"EE001_13_{WHEAT}.npz",
        data=decibels,
        dates=np.array(["2021-04-03"], "datetime64[D]"),
        center=np.zeros(2),
    )
    table = read_eurocropsml(folder, sensors=["sentinel-2", "sentinel-1"]).table
    assert table is not None
    estonian = table.place.index("EE001/13")
    assert table.series["sentinel-1"].length.tolist() == [1 if at == estonian else 0 for at in range(4)]
    assert table.series["sentinel-1"].values[estonian, 0].tolist() == [-11.5, -18.25]


def test_no_other_reader_recognises_the_folder(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    assert [name for name, reader in PUBLIC_SETS.items() if reader.recognises(folder)] == ["eurocropsml"]
