"""CropGlobe: two countries in a small copy of its layout, with repeated samples and known numbers."""

from pathlib import Path

import numpy as np
import pytest

from agrifm.errors import LabelError
from agrifm.samples.public.cropglobe import read_cropglobe
from agrifm.samples.public.registry import PUBLIC_SETS

CROP = np.array([300, 600, 400, 900, 2400, 3000, 3100, 3300, 2000, 1000], np.float32)


def features(count: int, country: int) -> np.ndarray:
    """(N, 10, 73): sample n of step s has the numbers of a crop plus 100 times the country, plus n."""
    sample = CROP[:, None] + np.zeros(73, np.float32)
    return sample[None] + 100 * country + np.arange(count, dtype=np.float32)[:, None, None]


def write_set(folder: Path) -> Path:
    data = folder / "for_CropNet"
    data.mkdir(parents=True)
    for country, name in enumerate(("FRA", "BEL")):
        values = features(10, country)
        values[3, :, 7] = np.nan  # no clear observation in the eighth step
        values[9] = values[0]  # repeats the first sample, with another class
        label = np.array([0, 1, 2, 3, 6, 0, 1, 2, 3, 6])
        np.savez(data / f"median_S2_{name}_month1-12_day5.npz", fea=values, lbl=label)
    return folder


def test_bands_steps_and_classes_are_read(tmp_path: Path) -> None:
    content = read_cropglobe(write_set(tmp_path), countries=["BEL"], year=2022)
    table = content.table
    assert table is not None
    series = table.series["sentinel-2"]
    assert series.input.bands == ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
    np.testing.assert_allclose(series.values[2, 5], (CROP + 102) / 1e4, rtol=1e-6)
    # the middles of five-day steps: 3 January, 8 January, ... 29 December
    days = np.arange(np.datetime64("2022-01-03"), np.datetime64("2023-01-01"), 5).astype(int)
    assert series.date[0].tolist() == days.tolist()
    assert [table.legend.classes[number].name for number in table.label[:5]] == [
        "Corn", "Soybeans", "Rice", "Wheat", "Other",
    ]  # fmt: skip
    assert series.valid[3].tolist() == [step != 7 for step in range(73)]


def test_repeated_samples_are_left_out_and_contradictions_counted(tmp_path: Path) -> None:
    content = read_cropglobe(write_set(tmp_path))
    assert len(content) == 18
    assert sum("1 samples repeat" in note and "1 of them have another class" in note for note in content.notes) == 2


def test_validation_samples_are_not_in_training(tmp_path: Path) -> None:
    content = read_cropglobe(write_set(tmp_path))
    assert set(content.folds) == {"FRA to BEL", "BEL to FRA"}
    fold = {part: set(indices.tolist()) for part, indices in content.folds["FRA to BEL"].items()}
    assert not fold["train"] & fold["validation"]
    assert fold["train"] | fold["validation"] == set(range(9, 18))  # countries are in alphabetical order
    assert len(fold["validation"]) == 2
    assert fold["test"] == set(range(9))


def test_files_of_reflectance_give_the_same_values(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    expected = read_cropglobe(folder, countries=["BEL"]).table
    path = folder / "for_CropNet" / "median_S2_BEL_month1-12_day5.npz"
    with np.load(path) as archive:
        numbers, label = archive["fea"], archive["lbl"]
    np.savez(path, fea=numbers / 1e4, lbl=label)
    table = read_cropglobe(folder, countries=["BEL"]).table
    assert table is not None
    assert expected is not None
    np.testing.assert_allclose(table.series["sentinel-2"].values, expected.series["sentinel-2"].values, rtol=1e-5)


def test_bands_in_another_order_are_refused(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    path = folder / "for_CropNet" / "median_S2_BEL_month1-12_day5.npz"
    with np.load(path) as archive:
        numbers, label = archive["fea"], archive["lbl"]
    ten_metres_first = [0, 1, 2, 6, 3, 4, 5, 7, 8, 9]
    np.savez(path, fea=numbers[:, ten_metres_first], lbl=label)
    with pytest.raises(LabelError) as caught:
        read_cropglobe(folder, countries=["BEL"])
    assert caught.value.facts["bands"] == ("B05", "B06")


def test_a_damaged_and_an_absent_file_are_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    path = folder / "for_CropNet" / "median_S2_BEL_month1-12_day5.npz"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(LabelError) as damaged:
        read_cropglobe(folder)
    path.unlink()
    with pytest.raises(LabelError) as absent:
        read_cropglobe(folder, countries=["BEL"])
    assert damaged.value.facts["path"] == absent.value.facts["path"] == path


def test_no_other_reader_recognises_the_folder(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    assert [name for name, reader in PUBLIC_SETS.items() if reader.recognises(folder)] == ["cropglobe"]
