"""ZueriCrop: patches of a small copy of its file, which states neither channels nor dates."""

from datetime import date, timedelta
from pathlib import Path

import h5py
import numpy as np
import pytest

from agrifm.errors import LabelError
from agrifm.samples.public.registry import PUBLIC_SETS, read_public_set
from agrifm.samples.public.zuericrop import read_zuericrop

ORDER = ("B08", "B03", "B02", "B04", "B05", "B06", "B07", "B11", "B12")
CROP = np.array([3100, 600, 300, 400, 900, 2400, 3000, 2000, 1000], np.uint16)
"""In this order: near infrared, green, blue, red, red edge 1 to 3, SWIR 1 and 2."""
DATES = [date(2019, 1, 2) + timedelta(days=2 * index) for index in range(142)]


def write_set(folder: Path, patches: int = 10) -> Path:
    folder.mkdir(exist_ok=True)
    with h5py.File(folder / "ZueriCrop.hdf5", "w") as file:
        values = np.broadcast_to(CROP, (patches, 142, 24, 24, 9)).copy()
        values[..., 0] += np.arange(142, dtype=np.uint16)[None, :, None, None]
        values[:, 5, 3, 4] = 0
        file.create_dataset("data", data=values, chunks=(1, 142, 24, 24, 9), compression="gzip", compression_opts=1)
        truth = np.zeros((patches, 24, 24, 1), np.uint8)
        truth[:, :10], truth[:, 10:20] = 2, 3
        file["gt"] = truth
        file["gt_instance"] = truth
        file.create_dataset("cloud_cover", (patches, 142, 24, 24), np.uint8, compression="gzip")
    (folder / "labels.csv").write_text(
        "GT,LNF_code,1st_tier,4th_tier,1st_tier_ENG,4th_tier_ENG\n"
        "0,0,,,,\n1,501,Acker,Sommergerste,Field crop,Summer barley\n"
        "2,502,Acker,Wintergerste,Field crop,Winter barley\n3,601,Wiese,Kunstwiese,Grassland,Temporary meadow\n"
    )
    return folder


def test_channels_and_dates_must_be_stated(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    with pytest.raises(LabelError) as channels:
        read_public_set(folder)
    with pytest.raises(LabelError) as dates:
        read_zuericrop(folder, channels=ORDER)
    assert (channels.value.facts["key"], dates.value.facts["key"]) == ("channels", "dates")


def test_bands_dates_and_classes_are_read(tmp_path: Path) -> None:
    content = read_zuericrop(write_set(tmp_path), channels=ORDER, dates=DATES)
    sample = content.sample(4)
    series = sample.series["sentinel-2"]
    assert content.sensors[0].bands == ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")
    expected = np.array([300, 600, 400, 900, 2400, 3000, 3100 + 7, 2000, 1000]) / 1e4
    np.testing.assert_allclose(series.image[7, :, 9, 9], expected, rtol=1e-6)
    assert not series.valid[5, 3, 4]
    assert series.date[141] == (DATES[141] - date(1970, 1, 1)).days
    names = [entry.name for entry in content.legend.classes]
    assert names == ["Summer barley", "Winter barley", "Temporary meadow"]
    assert [sample.label[row, 0] for row in (0, 10, 20)] == [1, 2, 255]


def test_a_coarser_tier_joins_classes(tmp_path: Path) -> None:
    content = read_zuericrop(write_set(tmp_path), channels=ORDER, dates=DATES, tier="1st_tier")
    assert [entry.name for entry in content.legend.classes] == ["Field crop", "Grassland"]
    assert [content.sample(0).label[row, 0] for row in (0, 10)] == [0, 1]


def test_folds_are_fifths_in_the_order_of_the_file(tmp_path: Path) -> None:
    folds = read_zuericrop(write_set(tmp_path), channels=ORDER, dates=DATES).folds
    assert [folds[f"fold {number}"]["test"].tolist() for number in range(1, 6)] == [
        [0, 1], [2, 3], [4, 5], [6, 7], [8, 9],
    ]  # fmt: skip
    assert folds["fold 2"]["train"].tolist() == [0, 1, 4, 5, 6, 7, 8, 9]


def test_channels_that_the_numbers_contradict_are_refused(tmp_path: Path) -> None:
    spectral = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")
    with pytest.raises(LabelError) as caught:
        read_zuericrop(write_set(tmp_path), channels=spectral, dates=DATES)
    assert "bands" in caught.value.facts


def test_a_damaged_and_an_absent_file_are_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    path = folder / "ZueriCrop.hdf5"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(LabelError) as damaged:
        read_zuericrop(folder, channels=ORDER, dates=DATES)
    (folder / "labels.csv").unlink()
    with pytest.raises(LabelError) as absent:
        read_zuericrop(folder, channels=ORDER, dates=DATES)
    assert damaged.value.facts["path"] == path
    assert absent.value.facts["path"] == folder / "labels.csv"


def test_no_other_reader_recognises_the_folder(tmp_path: Path) -> None:
    folder = write_set(tmp_path, patches=1)
    assert [name for name, reader in PUBLIC_SETS.items() if reader.recognises(folder)] == ["zuericrop"]
