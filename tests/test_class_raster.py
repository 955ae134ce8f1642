"""Rasters of classes of other programs: which are not maps, which pixels have no class, names and colours."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from agrifm.class_raster import ClassRaster, read_class_raster, require_whole
from agrifm.errors import AssessmentError
from tests.scenes import write_tiff

CODES = np.array([[0, 1], [2, 255]], np.uint8)


def stated(path: Path) -> ClassRaster:
    with rasterio.open(path) as source:
        return read_class_raster(source, path, "reading", AssessmentError)


def sidecar(path: Path, band: str) -> Path:
    path.with_name(f"{path.name}.aux.xml").write_text(band, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("bands", "options"),
    [
        (np.stack([CODES] * 3), {}),
        (np.stack([CODES] * 3), {"photometric": "rgb"}),
        (np.stack([CODES] * 4), {"photometric": "rgb", "alpha": "yes"}),
        (np.stack([CODES.astype(np.uint16)] * 3), {"photometric": "rgb"}),
        (CODES, {"descriptions": ("confidence in percent",)}),
        (CODES.astype(np.complex64), {}),
    ],
)
def test_what_is_not_a_map_of_classes_is_refused(tmp_path: Path, bands: NDArray[Any], options: dict[str, Any]) -> None:
    path = write_tiff(tmp_path / "m.tif", bands, **options)
    with pytest.raises(AssessmentError) as caught:
        stated(path)
    assert caught.value.facts["path"] == path


@pytest.mark.parametrize(("scale", "offset"), [(0.01, 0), (1, -100)])
def test_a_raster_of_scaled_values_is_refused(tmp_path: Path, scale: float, offset: float) -> None:
    path = write_tiff(tmp_path / "m.tif", CODES)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (scale,), (offset,)
    with pytest.raises(AssessmentError):
        stated(path)


@pytest.mark.parametrize("bands", [CODES, np.stack([CODES] * 2), np.stack([CODES.astype(np.int16)] * 4)])
def test_rasters_of_one_two_or_many_bands_that_are_no_pictures_pass(tmp_path: Path, bands: NDArray[Any]) -> None:
    found = stated(write_tiff(tmp_path / "m.tif", bands))
    assert len(found.notes(np.array([1]), "")) == (bands.ndim == 3)


@pytest.mark.parametrize("value", [0.5, np.inf, 2.0**24, 2.0**99])
def test_values_that_are_not_codes_are_refused(value: float) -> None:
    with pytest.raises(AssessmentError) as caught:
        require_whole(np.array([1, value, 2], np.float32), "reading", AssessmentError)
    assert caught.value.facts["value"] == value


def test_whole_numbers_of_any_type_are_codes() -> None:
    for dtype in (np.uint8, np.int64, np.float32, np.float64):
        require_whole(np.array([0, 1, 255], dtype), "reading", AssessmentError)
    require_whole(np.array([3301010101.0]), "reading", AssessmentError)


TABLE = (
    '<PAMDataset><PAMRasterBand band="1"><GDALRasterAttributeTable>{fields}'
    '<Row index="0"><F>1</F><F>12</F><F>wheat </F></Row><Row index="1"><F>2</F><F>3</F><F>maize</F></Row>'
    "</GDALRasterAttributeTable></PAMRasterBand></PAMDataset>"
)
FIELD = '<FieldDefn index="0"><Name>{}</Name><Type>0</Type><Usage>{}</Usage></FieldDefn>'


@pytest.mark.parametrize(
    "fields",
    [(("a", 5), ("Count", 1), ("b", 2)), (("VALUE", 0), ("COUNT", 0), ("Class_Name", 0))],
    ids=["by use", "by name"],
)
def test_names_are_read_from_an_attribute_table(tmp_path: Path, fields: tuple[tuple[str, int], ...]) -> None:
    text = TABLE.format(fields="".join(FIELD.format(*field) for field in fields))
    assert stated(sidecar(write_tiff(tmp_path / "m.tif", CODES), text)).names == {"1": "wheat", "2": "maize"}


@pytest.mark.parametrize("text", ["", "<PAMDataset/>", "<a", TABLE.format(fields=""), "\0"])
def test_a_file_of_names_that_cannot_be_read_gives_none(tmp_path: Path, text: str) -> None:
    assert stated(sidecar(write_tiff(tmp_path / "m.tif", CODES), text)).names == {}


def test_colours_that_do_not_tell_classes_apart_are_not_used(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "m.tif", CODES)
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {1: (255, 0, 0, 255), 2: (0, 0, 255, 255)})
    found = stated(path)
    assert [entry.color for entry in found.legend_of(["1", "2"]).classes] == ["#ff0000", "#0000ff"]
    colors = {entry.color for entry in found.legend_of(["1", "7", "8"]).classes}  # 7 and 8 are black in the file
    assert len(colors) == 3
    assert "#000000" not in colors


def test_names_that_are_the_same_are_not_used(tmp_path: Path) -> None:
    categories = "".join(f"<Category>{name}</Category>" for name in ("", "crop", "crop"))
    text = f"<PAMDataset><PAMRasterBand><CategoryNames>{categories}</CategoryNames></PAMRasterBand></PAMDataset>"
    found = stated(sidecar(write_tiff(tmp_path / "m.tif", CODES), text))
    assert [entry.name for entry in found.legend_of(["1", "2"]).classes] == ["1", "2"]
