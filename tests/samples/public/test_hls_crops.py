"""HLS multi-temporal crops: chips of a small copy of the layout, with the 18 bands in both orders."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from agrifm.errors import LabelError
from agrifm.samples.public.hls_crops import read_hls_crops
from agrifm.samples.public.registry import PUBLIC_SETS

SPECTRA = np.array(
    [[500, 700, 800, 2000, 2400, 1700], [400, 700, 500, 3500, 2000, 1000], [600, 900, 1000, 2400, 2700, 1900]], np.int16
)
"""(date, band): soil with some green, a crop, and straw, in B02 B03 B04 B8A B11 B12."""
CHIPS = {"training": ["chip_001_002", "chip_003_004"], "validation": ["chip_005_006"]}


def write_tif(path: Path, bands: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "count": len(bands), "height": 224, "width": 224, "dtype": bands.dtype}
    with rasterio.open(path, "w", crs="EPSG:32615", transform=from_origin(5e5, 45e5, 30, 30), **profile) as target:
        target.write(bands)


def write_set(folder: Path, order: str = "date-major") -> Path:
    stacked = SPECTRA.ravel() if order == "date-major" else SPECTRA.T.ravel()
    for part, chips in CHIPS.items():
        for index, chip in enumerate(chips):
            bands = np.broadcast_to(stacked[:, None, None] + index, (18, 224, 224)).copy()
            bands[:, 0, 0] = -9999
            write_tif(folder / f"{part}_chips" / f"{chip}_merged.tif", bands)
            mask = np.zeros((1, 224, 224), np.uint8)
            mask[0, :100], mask[0, 100:150] = 3, 13
            write_tif(folder / f"{part}_chips" / f"{chip}.mask.tif", mask)
        (folder / f"{part}_data.txt").write_text("\n".join(chips) + "\n")
    rows = [f"{chip},2022-03-04,2022-06-20,2022-09-11" for chips in CHIPS.values() for chip in chips]
    (folder / "chips_df.csv").write_text(
        "chip_id,first_img_date,middle_img_date,last_img_date\n" + "\n".join(rows) + "\n"
    )
    return folder


@pytest.mark.parametrize("order", ["date-major", "band-major"])
def test_the_order_of_bands_is_found_on_the_numbers(tmp_path: Path, order: str) -> None:
    content = read_hls_crops(write_set(tmp_path, order))
    sample = content.sample(1)
    series = sample.series["hls-s30"]
    np.testing.assert_allclose(series.image[..., 5, 5], (SPECTRA + 1) / 1e4, rtol=1e-6)
    assert not series.valid[:, 0, 0].any()
    assert series.valid[:, 1:].all()
    days = np.array(["2022-03-04", "2022-06-20", "2022-09-11"], "datetime64[D]").astype(int)
    assert series.date.tolist() == days.tolist()
    assert any(order in note for note in content.notes)


def test_classes_are_those_of_the_masks_and_nodata_is_unlabelled(tmp_path: Path) -> None:
    content = read_hls_crops(write_set(tmp_path))
    label = content.sample(0).label
    assert content.legend.classes[label[0, 0]].name == "Corn"
    assert content.legend.classes[label[120, 0]].name == "Other"
    assert np.unique(label[150:]).tolist() == [255]
    assert {part: indices.tolist() for part, indices in content.folds["official"].items()} == {
        "train": [0, 1],
        "validation": [2],
    }


def test_an_order_that_does_not_show_must_be_stated(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    for path in folder.glob("*_chips/*_merged.tif"):
        write_tif(path, np.full((18, 224, 224), 1500, np.int16))
    with pytest.raises(LabelError) as caught:
        read_hls_crops(folder)
    assert set(caught.value.facts["variation"]) == {"date-major", "band-major"}  # type: ignore[call-overload]
    assert len(read_hls_crops(folder, order="date-major")) == 3


def test_a_damaged_and_an_absent_file_are_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    path = folder / "validation_chips" / "chip_005_006.mask.tif"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(LabelError) as damaged:
        read_hls_crops(folder).sample(2)
    path.unlink()
    with pytest.raises(LabelError) as absent:
        read_hls_crops(folder)
    assert damaged.value.facts["path"] == absent.value.facts["path"] == path


def test_a_chip_without_dates_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    table = folder / "chips_df.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(LabelError) as caught:
        read_hls_crops(folder)
    assert caught.value.facts["chip"] == "chip_005_006"


def test_no_other_reader_recognises_the_folder(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    assert [name for name, reader in PUBLIC_SETS.items() if reader.recognises(folder)] == ["hls-crops"]
