"""PASTIS and PASTIS-R: patches of a small copy of their layout."""

import json
from pathlib import Path

import numpy as np
import pytest

from agrifm.errors import LabelError
from agrifm.samples.public.pastis import read_pastis
from agrifm.samples.public.registry import PUBLIC_SETS

DATES = {"S2": [20181005, 20180920, 20180920], "S1A": [20180903, 20180909], "S1D": [20180904]}
"""Of every patch; the second and third image of Sentinel-2 have the same day, and the first is later."""
CHANNELS = {"S2": 10, "S1A": 3, "S1D": 3}


def write_set(folder: Path, radar: bool = True) -> Path:
    """Patches 10001 to 10005 in folds 1 to 5; pixel (r, c) of band b and image t has 1000 b + 100 t + r."""
    sources = ["S2", "S1A", "S1D"] if radar else ["S2"]
    features = []
    for fold in range(1, 6):
        name = 10000 + fold
        for source in sources:
            (folder / f"DATA_{source}").mkdir(exist_ok=True, parents=True)
            shape = (len(DATES[source]), CHANNELS[source], 128, 128)
            image, band, row, _ = np.ogrid[tuple(slice(length) for length in shape)]
            if source == "S2":
                values = np.broadcast_to(1000 * band + 100 * image + row, shape).astype(np.int16)
            else:
                values = np.broadcast_to(-10.0 - band - 0.01 * row, shape).astype(np.float32)
            np.save(folder / f"DATA_{source}" / f"{source}_{name}.npy", values)
        (folder / "ANNOTATIONS").mkdir(exist_ok=True)
        target = np.zeros((3, 128, 128), np.uint8)
        target[0, :64], target[0, 64:100], target[0, 100:] = fold, 19, 0
        np.save(folder / "ANNOTATIONS" / f"TARGET_{name}.npy", target)
        properties: dict[str, object] = {"ID_PATCH": name, "Fold": fold}
        for source in sources:
            dates: object = {str(index): day for index, day in enumerate(DATES[source])}
            properties[f"dates-{source}"] = json.dumps(dates) if source == "S1D" else dates
        features.append({"type": "Feature", "properties": properties, "geometry": None})
    (folder / "metadata.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return folder


def test_a_patch_has_its_values_dates_and_classes(tmp_path: Path) -> None:
    content = read_pastis(write_set(tmp_path))
    sample = content.sample(2)
    series = sample.series["sentinel-2"]
    assert series.image.shape == (3, 10, 128, 128)
    days = np.array(["2018-09-20", "2018-09-20", "2018-10-05"], "datetime64[D]").astype(int)
    assert series.date.tolist() == days.tolist()
    # in the order of dates the images are the second, third and first of the file
    assert series.image[0, 4, 7, 0] == pytest.approx((4000 + 100 + 7) / 1e4)
    assert series.image[2, 4, 7, 0] == pytest.approx((4000 + 7) / 1e4)
    assert content.sensors[0].bands == ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
    assert np.unique(sample.label[:64]).tolist() == [3]
    assert np.unique(sample.label[64:100]).tolist() == [255]  # void
    assert np.unique(sample.label[100:]).tolist() == [0]
    assert content.legend.classes[3].name == "Corn"
    assert [entry.scored for entry in content.legend.classes] == [False] + [True] * 18


def test_folds_are_those_of_the_makers(tmp_path: Path) -> None:
    folds = read_pastis(write_set(tmp_path)).folds
    # train, validation and test of the five divisions: 123/4/5, 234/5/1, 345/1/2, 451/2/3, 512/3/4
    for name, train, validation, test in [
        (1, [1, 2, 3], 4, 5), (2, [2, 3, 4], 5, 1), (3, [3, 4, 5], 1, 2), (4, [1, 4, 5], 2, 3), (5, [1, 2, 5], 3, 4),
    ]:  # fmt: skip
        parts = {part: (indices + 1).tolist() for part, indices in folds[f"fold {name}"].items()}
        assert parts == {"train": train, "validation": [validation], "test": [test]}


def test_radar_is_read_with_dates_of_its_own(tmp_path: Path) -> None:
    content = read_pastis(write_set(tmp_path), sensors=["sentinel-1-ascending", "sentinel-1-descending"])
    sample = content.sample(0)
    assert [sensor.quantity for sensor in content.sensors] == ["backscatter (dB)"] * 2
    assert sample.series["sentinel-1-ascending"].image.shape == (2, 2, 128, 128)
    assert sample.series["sentinel-1-descending"].image[0, :, 50, 0].tolist() == pytest.approx([-10.5, -11.5])


def test_smaller_windows_are_parts_of_the_patches(tmp_path: Path) -> None:
    content = read_pastis(write_set(tmp_path), side=24)
    assert len(content) == 5 * 25
    whole = read_pastis(tmp_path).sample(1)
    part = content.sample(25 + 7)  # second row, third column of the second patch
    np.testing.assert_array_equal(part.series["sentinel-2"].image, whole.series["sentinel-2"].image[..., 24:48, 48:72])
    np.testing.assert_array_equal(part.label, whole.label[24:48, 48:72])


def test_pastis_without_radar_is_said(tmp_path: Path) -> None:
    with pytest.raises(LabelError) as caught:
        read_pastis(write_set(tmp_path, radar=False), sensors=["sentinel-1-ascending"])
    assert caught.value.facts["key"] == "dates-S1A"


def test_an_image_without_date_is_refused(tmp_path: Path) -> None:
    folder = write_set(tmp_path, radar=False)
    path = folder / "DATA_S2" / "S2_10002.npy"
    np.save(path, np.zeros((4, 10, 128, 128), np.int16))
    with pytest.raises(LabelError) as caught:
        read_pastis(folder).sample(1)
    assert (caught.value.facts["images"], caught.value.facts["dates"]) == (4, 3)


def test_a_damaged_and_an_absent_file_are_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path, radar=False)
    path = folder / "DATA_S2" / "S2_10004.npy"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(LabelError) as damaged:
        read_pastis(folder).sample(3)
    path.unlink()
    with pytest.raises(LabelError) as absent:
        read_pastis(folder)
    assert damaged.value.facts["path"] == absent.value.facts["path"] == path


def test_no_other_reader_recognises_the_folder(tmp_path: Path) -> None:
    folder = write_set(tmp_path, radar=False)
    assert [name for name, reader in PUBLIC_SETS.items() if reader.recognises(folder)] == ["pastis"]
