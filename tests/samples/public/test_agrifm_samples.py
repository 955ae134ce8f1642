"""Samples of the published AgriFM code: HDF5 files of a small copy of the layout."""

from datetime import date
from pathlib import Path

import h5py
import numpy as np
import pytest

from agrifm.errors import LabelError
from agrifm.samples.public.agrifm_samples import read_agrifm_samples
from agrifm.samples.public.registry import PUBLIC_SETS

CROP = {
    "B02": 300, "B03": 600, "B04": 400, "B05": 900, "B06": 2400, "B07": 3000, "B08": 3100, "B8A": 3300, "B11": 2000,
    "B12": 1000,
}  # fmt: skip
TEN_METRES_FIRST = ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B8A", "B11", "B12")
LANDSAT = np.array([300, 600, 400, 3200, 2000, 1000])
"""Blue, green, red, near infrared, SWIR 1 and 2."""
LISTS = {"train": ["2018_T31TDK_0_0", "2018_T31TDK_0_256"], "val": ["2018_T31TDK_256_0"], "test": ["2019_T31TDL_0_0"]}


def write_set(folder: Path, order: tuple[str, ...] = TEN_METRES_FIRST) -> Path:
    """Four images of 16 pixels of 10 m and two of Landsat; sample n has n more."""
    (folder / "data_list").mkdir(parents=True)
    (folder / "samples").mkdir()
    names = [name for listed in LISTS.values() for name in listed]
    for part, listed in LISTS.items():
        (folder / "data_list" / f"{part}.txt").write_text("\n".join(listed) + "\n")
    for number, name in enumerate(names):
        with h5py.File(folder / "samples" / f"{name}.h5", "w") as file:
            numbers = np.array([CROP[band] for band in order])[None, :, None, None] + number
            file["S2"] = np.broadcast_to(numbers, (4, 10, 48, 48)).astype(np.int16)
            file["Landsat"] = np.broadcast_to(LANDSAT[None, :, None, None], (2, 6, 16, 16)).astype(np.int16)
            label = np.full((48, 48), -1, np.int64)
            label[:10], label[10:20] = 4, 11
            file["label"] = label
    return folder


@pytest.mark.parametrize("order", [TEN_METRES_FIRST, tuple(CROP)], ids=["ten metres first", "spectral"])
def test_bands_are_read_in_both_orders(tmp_path: Path, order: tuple[str, ...]) -> None:
    content = read_agrifm_samples(write_set(tmp_path, order), dates="equal steps")
    sample = content.sample(1)
    expected = (np.array(list(CROP.values())) + 1) / 1e4
    np.testing.assert_allclose(sample.series["sentinel-2"].image[2, :, 5, 5], expected, rtol=1e-6)
    np.testing.assert_allclose(sample.series["landsat"].image[1, :, 5, 5], LANDSAT / 1e4, rtol=1e-6)
    assert [sensor.sensor for sensor in content.sensors] == ["landsat", "sentinel-2"]


def test_dates_must_be_given_or_are_equal_steps_of_the_year_in_the_name(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    with pytest.raises(LabelError) as caught:
        read_agrifm_samples(folder)
    assert caught.value.facts["key"] == "dates"
    equal = read_agrifm_samples(folder, dates="equal steps").sample(3).series["sentinel-2"].date
    # the middles of four quarters of the 365 days of 2019
    assert equal.tolist() == (np.datetime64("2019-01-01").astype(int) + np.array([45, 136, 228, 319])).tolist()
    days = {"S2": [date(2018, month, 1) for month in (3, 5, 7, 9)], "Landsat": [date(2018, 4, 1), date(2018, 8, 1)]}
    stated = read_agrifm_samples(folder, dates=days).sample(0)
    assert stated.series["landsat"].date.tolist() == [(day - date(1970, 1, 1)).days for day in days["Landsat"]]
    with pytest.raises(LabelError) as short:
        read_agrifm_samples(folder, dates={**days, "S2": days["S2"][:3]}).sample(0)
    assert (short.value.facts["images"], short.value.facts["dates"]) == (4, 3)


def test_classes_and_parts_are_read(tmp_path: Path) -> None:
    content = read_agrifm_samples(write_set(tmp_path), dates="equal steps")
    assert content.legend.codes == ("4", "11")
    assert [content.sample(0).label[row, 0] for row in (0, 10, 20)] == [0, 1, 255]
    assert {part: at.tolist() for part, at in content.folds["official"].items()} == {
        "train": [0, 1], "validation": [2], "test": [3],
    }  # fmt: skip
    named = read_agrifm_samples(tmp_path, dates="equal steps", classes={11: "maize"})
    assert [named.sample(0).label[row, 0] for row in (0, 10)] == [255, 0]


def test_an_order_that_does_not_show_must_be_stated(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    for path in (folder / "samples").iterdir():
        with h5py.File(path, "a") as file:
            file["S2"][...] = 1500
    with pytest.raises(LabelError) as caught:
        read_agrifm_samples(folder, dates="equal steps")
    assert caught.value.facts["means"] == pytest.approx((0.15, 0.15))


def test_a_damaged_and_an_absent_sample_are_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    path = folder / "samples" / "2018_T31TDK_256_0.h5"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(LabelError) as damaged:
        read_agrifm_samples(folder, dates="equal steps")
    path.unlink()
    with pytest.raises(LabelError) as absent:
        read_agrifm_samples(folder, dates="equal steps")
    assert damaged.value.facts["path"] == path
    assert absent.value.facts["path"] == folder / path.name


def test_a_sample_in_two_lists_is_refused(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    (folder / "data_list" / "test.txt").write_text("2018_T31TDK_0_0\n")
    with pytest.raises(LabelError) as caught:
        read_agrifm_samples(folder, dates="equal steps")
    assert caught.value.facts["sample"] == "2018_T31TDK_0_0"


def test_no_other_reader_recognises_the_folder(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    assert [name for name, reader in PUBLIC_SETS.items() if reader.recognises(folder)] == ["agrifm-samples"]
