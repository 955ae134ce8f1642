"""SwissCrop25: tiles of a small copy of the layout, as Zarr stores of a tile and of a year."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from agrifm.errors import LabelError
from agrifm.samples.public.registry import PUBLIC_SETS
from agrifm.samples.public.swisscrop25 import read_swisscrop25

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B12")
SIDE = 16


def fill_images(group: zarr.Group) -> None:
    """Band k of date t has 1000 + 100 k + t; the second date is cloudy in the first row."""
    group["time"] = np.array([0, 10, 25])
    for number, band in enumerate(BANDS):
        values = np.full((3, SIDE, SIDE), 1000 + 100 * number, np.uint16)
        group[f"s2_{band}"] = values + np.arange(3, dtype=np.uint16)[:, None, None]
    mask = np.zeros((3, SIDE, SIDE), np.uint8)
    mask[1, 0] = 1
    group["s2_mask"] = mask
    group["lat"], group["lon"] = np.arange(SIDE), np.arange(SIDE)


def fill_labels(group: zarr.Group) -> None:
    codes = np.zeros((SIDE, SIDE), np.int32)
    codes[:4], codes[4:8], codes[8:12] = 513, 507, 550
    group["lnf_code"] = codes
    group["lat"], group["lon"] = np.arange(SIDE), np.arange(SIDE)


def write_set(folder: Path) -> Path:
    """2020 and 2021 have a store for each tile, 2022 one store with the tiles as groups."""
    for year in (2020, 2021):
        name = f"S2_262230_5113980_{year}0104_{year}1230"
        fill_images(zarr.open_group(folder / "sentinel2" / str(year) / f"{name}.zarr", mode="w", zarr_format=2))
        fill_labels(zarr.open_group(folder / "labels" / str(year) / f"{name}.zarr", mode="w", zarr_format=2))
    images = zarr.open_group(folder / "sentinel2" / "S2_2022.zarr", mode="w", zarr_format=2)
    labels = zarr.open_group(folder / "labels" / "GT_2022.zarr", mode="w", zarr_format=2)
    fill_images(images.create_group("S2_262230_5113980_20220105_20221231"))
    fill_images(images.create_group("S2_999999_5113980_20220105_20221231"))  # without labels
    fill_labels(labels.create_group("S2_262230_5113980"))
    (folder / "crop_classes.csv").write_text(
        "LNF_code,Crop_EN,Crop_Label,Crop_Label_lv1,Crop_Label_lv2,Crop_Label_lv3,Exclude\n"
        "513,Winter wheat,Winter Wheat,Winter Wheat,Winter Cereals,Arable Land,\n"
        "507,Fodder wheat,Winter Wheat,Winter Wheat,Winter Cereals,Arable Land,\n"
        "521,Silage maize,Silage Maize,Silage Maize,Summer Cereals,Arable Land,\n"
        "550,Other arable land,,,,,True\n"
    )
    return folder


@pytest.mark.parametrize(("index", "first"), [(0, "2020-01-04"), (2, "2022-01-05")], ids=["tile", "year"])
def test_bands_dates_and_masks_are_read(tmp_path: Path, index: int, first: str) -> None:
    content = read_swisscrop25(write_set(tmp_path))
    series = content.sample(index).series["sentinel-2"]
    assert content.sensors[0].bands == BANDS
    days = np.datetime64(first).astype(int) + np.array([0, 10, 25])
    assert series.date.tolist() == days.tolist()
    np.testing.assert_allclose(series.image[2, :, 5, 5], (1000 + 100 * np.arange(9) + 2) / 1e4, rtol=1e-6)
    assert not series.valid[1, 0].any()
    assert series.valid[[0, 2]].all()
    assert series.valid[1, 1:].all()


def test_classes_join_codes_and_leave_out_what_the_sheet_excludes(tmp_path: Path) -> None:
    content = read_swisscrop25(write_set(tmp_path))
    assert [entry.name for entry in content.legend.classes] == ["Silage Maize", "Winter Wheat"]
    label = content.sample(0).label
    assert [label[row, 0] for row in (0, 4, 8, 12)] == [1, 1, 255, 255]
    coarse = read_swisscrop25(tmp_path, level="Crop_Label_lv2")
    assert [entry.name for entry in coarse.legend.classes] == ["Summer Cereals", "Winter Cereals"]


def test_divisions_leave_a_year_out(tmp_path: Path) -> None:
    content = read_swisscrop25(write_set(tmp_path))
    assert content.windows is not None
    assert [name.split()[1] for name in content.windows.names] == ["2020", "2021", "2022"]
    found = {name: {part: at.tolist() for part, at in fold.items()} for name, fold in content.folds.items()}
    # S1 tests on 2021 and validates on 2020; S2 tests on 2022 and validates on 2021
    assert found == {
        "S1": {"train": [2], "validation": [0], "test": [1]},
        "S2": {"train": [0], "validation": [1], "test": [2]},
    }
    assert any("1 tiles have images or labels alone" in note for note in content.notes)


def test_shards_are_refused(tmp_path: Path) -> None:
    for name in ("sentinel2", "labels"):
        (tmp_path / name).mkdir()
    (tmp_path / "sentinel2" / "2021-000.tar").touch()
    (tmp_path / "crop_classes.csv").write_text("LNF_code,Crop_Label\n513,Winter Wheat\n")
    with pytest.raises(LabelError) as caught:
        read_swisscrop25(tmp_path)
    assert caught.value.facts["found"] == tmp_path / "sentinel2" / "2021-000.tar"


def test_a_store_without_a_band_and_an_absent_sheet_are_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    store = folder / "sentinel2" / "2020" / "S2_262230_5113980_20200104_20201230.zarr"
    for file in (store / "s2_B05").iterdir():
        file.unlink()
    with pytest.raises(LabelError) as damaged:
        read_swisscrop25(folder).sample(0)
    (folder / "crop_classes.csv").unlink()
    with pytest.raises(LabelError) as absent:
        read_swisscrop25(folder)
    assert damaged.value.facts["path"] == store
    assert absent.value.facts["path"] == folder / "crop_classes.csv"


def test_no_other_reader_recognises_the_folder(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    assert [name for name, reader in PUBLIC_SETS.items() if reader.recognises(folder)] == ["swisscrop25"]
