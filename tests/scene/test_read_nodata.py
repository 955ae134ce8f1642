"""Nodata never enters its neighbours: every kernel, every storage and every position against plain computations."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from affine import Affine
from pyproj import Transformer
from tests.scenes import LEFT, TOP, UTM, write_tiff

from agrifm.grid import Grid
from agrifm.scene.encoding import Stated
from agrifm.scene.products import find_product
from agrifm.scene.read import kernel_of, read_asset
from agrifm.scene.scene import ArrayAsset, Asset, FileAsset, Scene

PRODUCT = find_product("sentinel-2-worldcereal")
SIDE = 60
GRID = Grid.of(UTM, Affine(10, 0, LEFT, 0, -10, TOP), (30, 30))
KERNELS = {"nearest": ("nearest", 10), "bilinear": ("bilinear", 10), "area mean": ("bilinear", 30)}
"""How `kernel_of` names it -> the kernel that is asked for, and the pixel size of the grid."""
PLACES = ("aligned", "shifted", "other zone")
STORAGES = ("one file per band", "all in one file", "pixel interleaved", "array")


def plane(seed: int) -> np.ndarray:
    """Numbers without a pattern, with holes of nodata that are different in every band."""
    random = np.random.default_rng(seed)
    numbers = random.integers(1, 16000, (SIDE, SIDE)).astype(np.uint16)
    numbers[random.random(numbers.shape) < 0.15] = 0
    numbers[20 + seed : 30 + seed, 15:25] = 0
    return numbers


def stored(directory: Path, storage: str, numbers: np.ndarray, crs: str, square: tuple[float, float, float]) -> Asset:
    """The first of three bands, whose own holes are not those of the others, with nodata 0 only in the first."""
    others = [plane(1), np.full_like(numbers, 9)]
    if storage == "array":
        left, top, side = square
        transform = Affine(side / SIDE, 0, left, 0, -side / SIDE, top)
        return ArrayAsset(xr.DataArray(numbers, dims=("y", "x")), crs, transform)
    path = directory / "a.tif"
    if storage == "one file per band":
        return FileAsset(write_tiff(path, numbers, square, crs))
    interleave = "pixel" if storage == "pixel interleaved" else "band"
    planes = np.stack([*others, numbers])
    return FileAsset(write_tiff(path, planes, square, crs, nodata=0, interleave=interleave), 3)


def square_of(place: str) -> tuple[str, tuple[float, float, float]]:
    """CRS, left, top and width of a file that is wider than the grid."""
    if place == "aligned":
        return UTM, (LEFT - 90, TOP + 90, SIDE * 10)
    if place == "shifted":
        return UTM, (LEFT - 87, TOP + 86, SIDE * 10)
    x, y = Transformer.from_crs(UTM, "EPSG:32630", always_xy=True).transform(LEFT + 150, TOP - 150)
    return "EPSG:32630", (np.floor(x) - 300, np.ceil(y) + 300, SIDE * 10)


def positions(grid: Grid, crs: str, square: tuple[float, float, float], corner: float) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows in the file of a point of each pixel: 0 its upper left corner, 0.5 its centre, 1 its end."""
    col, row = np.meshgrid(np.arange(grid.shape[1]) + corner, np.arange(grid.shape[0]) + corner)
    x, y = Transformer.from_crs(str(grid.crs), crs, always_xy=True).transform(*(grid.transform * (col, row)))
    left, top, side = square
    return (x - left) / (side / SIDE), (top - y) / (side / SIDE)


def plain(kernel: str, numbers: np.ndarray, grid: Grid, crs: str, square: tuple[float, float, float]) -> np.ndarray:
    """The same by loops over pixels: weighted means of valid pixels, nothing where the nearest pixel is nodata."""
    expected = np.zeros(grid.shape)
    (cols, rows), (left, upper), (right, lower) = (positions(grid, crs, square, corner) for corner in (0.5, 0, 1))
    for at in np.ndindex(*grid.shape):
        near = numbers[int(rows[at]), int(cols[at])]
        if kernel == "nearest":
            expected[at] = near
            continue
        if kernel == "bilinear":
            weights = [np.maximum(1 - np.abs(np.arange(SIDE) + 0.5 - one[at]), 0) for one in (rows, cols)]
        else:  # the share of each row and column of the file that the pixel covers
            spans = ((upper[at], lower[at]), (left[at], right[at]))
            weights = [
                np.clip(np.minimum(np.arange(SIDE) + 1, end) - np.maximum(np.arange(SIDE), start), 0, None)
                for start, end in spans
            ]
        weight = np.outer(*weights) * (numbers != 0)
        is_absent = weight.sum() == 0 or (kernel == "bilinear" and near == 0)
        expected[at] = 0 if is_absent else (weight * numbers).sum() / weight.sum()
    return expected


def read(asset: Asset, grid: Grid, kernel: str, nodata: int = 0) -> np.ndarray:
    scene = Scene("S", PRODUCT, date(2024, 5, 1), {"B02": asset}, "made")
    return read_asset(scene, "B02", "B02", grid, kernel, nodata)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("name", KERNELS)
def test_each_band_is_resampled_from_its_own_valid_pixels(name: str, storage: str, place: str, tmp_path: Path) -> None:
    kernel, side = KERNELS[name]
    grid = GRID.at(side) if side != 10 else GRID
    crs, square = square_of(place)
    numbers = plane(0)
    asset = stored(tmp_path, storage, numbers, crs, square)
    expected = plain(name, numbers, grid, crs, square)
    found = read(asset, grid, kernel).astype(float)
    scene = Scene("S", PRODUCT, date(2024, 5, 1), {"B02": asset}, "made")
    is_copied = place == "aligned" and side == 10
    assert kernel_of(scene, "B02", "B02", grid, kernel) == ("copied" if is_copied else name)
    cols, rows = positions(grid, crs, square, 0.5)
    # a centre on the border of two pixels may be in either
    clear = np.minimum(abs(cols - np.round(cols)), abs(rows - np.round(rows))) > 1e-3
    # GDAL takes the valid share of an area to single precision, and raises a mean of 0, which is nodata here, to 1
    assert clear.mean() > 0.9
    assert np.array_equal(found[clear] == 0, expected[clear] == 0)
    assert np.abs(found - expected)[clear].max() <= (1.0 if name == "area mean" else 0.51)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("fill", [0, 30_000, 65535])
def test_a_field_around_a_hole_keeps_its_number(name: str, storage: str, place: str, fill: int, tmp_path: Path) -> None:
    """A hole of nodata, or of numbers far outside the range that the file does not declare: the field is one number."""
    kernel, side = KERNELS[name]
    crs, square = square_of(place)
    numbers = np.full((SIDE, SIDE), 2654, np.uint16)
    numbers[15:26, 17:30] = fill
    found = read(stored(tmp_path, storage, numbers, crs, square), GRID.at(side) if side != 10 else GRID, kernel)
    low, high = PRODUCT.valid_range
    usable = found[(found >= low) & (found <= high)]
    assert 0 < len(usable) < found.size
    assert set(usable.tolist()) == {2654}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize(
    "of", ["nodata", "second nodata", "mask", "alpha", "valid_range", "sidecar mask", "sidecar tag"]
)
def test_whatever_says_that_pixels_mean_nothing_is_used(name: str, place: str, of: str, tmp_path: Path) -> None:
    """A hole of 3000, which only the file says to be none; and one of 0, which the product says to be none."""
    kernel, side = KERNELS[name]
    grid = GRID.at(side) if side != 10 else GRID
    crs, square = square_of(place)
    hidden = 30_000 if of in ("nodata", "second nodata", "sidecar tag") else 3000
    numbers = np.full((SIDE, SIDE), 2654, np.uint16)
    numbers[15:26, 17:30] = hidden
    numbers[30:33, 10:14] = 0
    shown = np.where(numbers == hidden, 0, 255).astype(np.uint8)
    path = tmp_path / "a.tif"
    asset: Asset = FileAsset(path)
    if of == "nodata":
        write_tiff(path, numbers, square, crs, nodata=hidden)
    elif of == "alpha":
        write_tiff(path, np.stack([numbers, shown.astype(np.uint16) * 257]), square, crs, alpha="YES")
    elif of in ("mask", "sidecar mask"):
        write_tiff(path, numbers, square, crs)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=of == "mask"), rasterio.open(path, "r+") as file:
            file.write_mask(shown)
        assert (tmp_path / "a.tif.msk").exists() == (of == "sidecar mask")
    elif of == "sidecar tag":
        write_tiff(path, numbers, square, crs)
        (tmp_path / "a.tif.aux.xml").write_text(
            f'<PAMDataset><PAMRasterBand band="1"><NoDataValue>{hidden}</NoDataValue></PAMRasterBand></PAMDataset>'
        )
    else:
        transform = Affine(square[2] / SIDE, 0, square[0], 0, -square[2] / SIDE, square[1])
        stated = Stated(missing=(65535.0, float(hidden))) if of == "second nodata" else Stated(valid_range=(0, 2999))
        asset = ArrayAsset(xr.DataArray(numbers, dims=("y", "x")), crs, transform, stated=stated)
    found = read(asset, grid, kernel)
    assert set(np.unique(found).tolist()) == {0, 2654}
    assert (found == 0).any()
    expected = plain(name, np.where(shown, numbers, 0), grid, crs, square)
    assert abs(int((found == 0).sum()) - int((expected == 0).sum())) <= 3  # centres on borders of pixels
