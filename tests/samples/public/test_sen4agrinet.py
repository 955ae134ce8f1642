"""Sen4AgriNet: patches of a small copy of the layout, in NetCDF 4 with a group for each band."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from agrifm.errors import LabelError
from agrifm.samples.public.registry import PUBLIC_SETS
from agrifm.samples.public.sen4agrinet import read_sen4agrinet

SIDES = dict.fromkeys(("B02", "B03", "B04", "B08"), 366)
SIDES |= dict.fromkeys(("B05", "B06", "B07", "B8A", "B11", "B12"), 183)
SIDES |= dict.fromkeys(("B01", "B09", "B10"), 61)
PATCHES = ("2019_31TBF_patch_1_2", "2019_31TCJ_patch_3_4", "2020_31TBF_patch_5_6")
"""Catalonia, France, Catalonia."""
DAYS = (2, 7, 7, 12, 17)
"""Days since 1 January; five dates, two of them the same."""


def write_patch(path: Path) -> None:
    """Band number k of date t has 1000 + 10 k + t; 0 in the first coarse pixel of the first date."""
    path.parent.mkdir(parents=True, exist_ok=True)
    year = path.name[:4]
    with h5py.File(path, "w") as file:
        file.attrs["patch_year"], file.attrs["patch_tile"] = year, path.name[5:10]
        for number, (band, side) in enumerate(SIDES.items()):
            group = file.create_group(band)
            values = np.full((len(DAYS), side, side), 1000 + 10 * number, np.uint16)
            values += np.arange(len(DAYS), dtype=np.uint16)[:, None, None]
            values[0, 0, 0] = 0
            group[band] = values
            group["time"] = np.array(DAYS, np.int64)
            group["time"].attrs["units"] = f"days since {year}-01-01 00:00:00"
        label = np.zeros((366, 366), np.uint32)
        label[:100], label[100:150] = 120, 999
        file["labels/labels"] = label
        file["parcels/parcels"] = np.ones((366, 366), np.uint32)


def write_set(folder: Path) -> Path:
    for name in PATCHES:
        write_patch(folder / name[:4] / name[5:10] / f"{name}.nc")
    return folder


def test_every_date_is_kept_and_coarse_bands_are_repeated(tmp_path: Path) -> None:
    content = read_sen4agrinet(write_set(tmp_path))
    series = content.sample(0).series["sentinel-2"]
    assert content.sensors[0].quantity == "top-of-atmosphere reflectance"
    assert content.sensors[0].bands == ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
    days = np.datetime64("2019-01-01").astype(int) + np.array(DAYS)
    assert series.date.tolist() == days.tolist()
    numbers = [list(SIDES).index(band) for band in content.sensors[0].bands]
    np.testing.assert_allclose(series.image[3, :, 300, 200], (1000 + 10 * np.array(numbers) + 3) / 1e4, rtol=1e-6)
    assert not series.valid[0, :2, :2].any()  # a pixel of 20 m covers two of 10 m
    assert series.valid[0, 2:, 2:].all()


def test_classes_are_fao_codes_and_others_are_unlabelled(tmp_path: Path) -> None:
    content = read_sen4agrinet(write_set(tmp_path))
    label = content.sample(0).label
    assert content.legend.classes[label[0, 0]].name == "Maize"
    assert [label[120, 0], label[200, 0]] == [255, 255]
    named = read_sen4agrinet(tmp_path, classes={"120": "Maize", "999": "Other"})
    assert named.sample(0).label[120, 0] == 1


def test_divisions_are_those_of_the_makers(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    lists = {}
    for part, name in (("train", PATCHES[2]), ("test", PATCHES[0])):
        lists[part] = folder / f"coco_{part}.json"
        lists[part].write_text(json.dumps({"images": [{"file_name": f"{name[:4]}/{name[5:10]}/{name}.nc"}]}))
    folds = read_sen4agrinet(folder, splits=lists).folds
    found = {name: {part: at.tolist() for part, at in fold.items()} for name, fold in folds.items()}
    assert found == {
        "spatial": {"train": [0, 2], "test": [1]},  # Catalonia, France
        "spatio-temporal": {"train": [1], "test": [2]},  # France 2019, Catalonia 2020
        "lists": {"train": [2], "test": [0]},
    }


def test_a_listed_patch_without_its_file_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    list_file = folder / "coco_train.json"
    list_file.write_text(json.dumps({"images": [{"file_name": "2019_31TCF_patch_9_9.nc"}]}))
    with pytest.raises(LabelError) as caught:
        read_sen4agrinet(folder, splits={"train": list_file})
    assert caught.value.facts["patch"] == "2019_31TCF_patch_9_9.nc"


def test_a_patch_without_a_band_and_a_damaged_one_are_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    path = folder / "2019" / "31TBF" / f"{PATCHES[0]}.nc"
    with h5py.File(path, "a") as file:
        del file["B11"]
    with pytest.raises(LabelError) as absent:
        read_sen4agrinet(folder).sample(0)
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(LabelError) as damaged:
        read_sen4agrinet(folder).sample(0)
    assert absent.value.facts["path"] == damaged.value.facts["path"] == path


def test_a_folder_without_patches_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelError) as caught:
        read_sen4agrinet(tmp_path)
    assert caught.value.facts["path"] == tmp_path


def test_no_other_reader_recognises_the_folder(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    assert [name for name, reader in PUBLIC_SETS.items() if reader.recognises(folder)] == ["sen4agrinet"]
