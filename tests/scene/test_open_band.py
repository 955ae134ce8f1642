"""Rasters whose pixels are turned, hidden or something else than measurements: read right or refused."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from tests.scenes import LEFT, TOP, UTM

from agrifm.errors import SceneError
from agrifm.grid import Grid
from agrifm.scene.products import find_product
from agrifm.scene.read import read_asset
from agrifm.scene.scene import FileAsset, Scene

PRODUCT = find_product("sentinel-2-worldcereal")
SIDE = 40
GRID = Grid.of(UTM, Affine(10, 0, LEFT, 0, -10, TOP), (SIDE, SIDE))
NUMBERS = np.random.default_rng(0).integers(1, 9000, (SIDE, SIDE)).astype(np.uint16)


def write(path: Path, planes: np.ndarray, transform: Affine | None = GRID.transform, **profile: Any) -> FileAsset:
    planes = planes if planes.ndim == 3 else planes[None]
    count, height, width = planes.shape
    options = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": planes.dtype, "crs": UTM}
    if transform is not None:
        options["transform"] = transform
    with rasterio.open(path, "w", **{**options, **profile}) as file:
        file.write(planes)
    return FileAsset(path)


def read(asset: FileAsset, grid: Grid = GRID, key: str = "B02", kernel: Any = "bilinear") -> np.ndarray:
    return read_asset(Scene("S", PRODUCT, date(2024, 5, 1), {key: asset}, "made"), key, key, grid, kernel, 0)


def refusal(asset: FileAsset, grid: Grid = GRID, key: str = "B02") -> SceneError:
    with pytest.raises(SceneError) as caught:
        read(asset, grid, key)
    assert asset.path.name in str(caught.value)
    return caught.value


def turned(name: str) -> tuple[np.ndarray, Affine]:
    """The same ground with rows and columns that run another way."""
    side = 10 * SIDE
    return {
        "south up": (NUMBERS[::-1], Affine(10, 0, LEFT, 0, 10, TOP - side)),
        "mirrored": (NUMBERS[:, ::-1], Affine(-10, 0, LEFT + side, 0, -10, TOP)),
        "turned by 180": (NUMBERS[::-1, ::-1], Affine(-10, 0, LEFT + side, 0, 10, TOP - side)),
        "transposed": (NUMBERS.T, Affine(0, 10, LEFT, -10, 0, TOP)),
        "turned by 90": (NUMBERS.T[:, ::-1], Affine(0, 10, LEFT, 10, 0, TOP - side)),
    }[name]


@pytest.mark.parametrize("name", ["south up", "mirrored", "turned by 180", "transposed", "turned by 90"])
@pytest.mark.parametrize("kernel", ["bilinear", "nearest"])
def test_pixels_of_a_turned_file_come_to_their_place(name: str, kernel: str, tmp_path: Path) -> None:
    planes, transform = turned(name)
    corners = [transform * corner for corner in ((0, 0), (SIDE, SIDE))]
    assert sorted(x for x, _ in corners) == [LEFT, LEFT + 10 * SIDE]
    numbers = planes.copy()
    asset = write(tmp_path / "a.tif", numbers, transform)
    # what rasterio's own index of a coordinate finds is the pixel of each centre
    with rasterio.open(asset.path) as file:
        x, y = GRID.transform * np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5)
        rows, cols = rasterio.transform.rowcol(file.transform, x.ravel(), y.ravel())
        expected = file.read(1)[np.array(rows, int), np.array(cols, int)].reshape(SIDE, SIDE)
    assert (read(asset, kernel=kernel) == expected).all()


@pytest.mark.parametrize("name", ["south up", "mirrored", "turned by 180", "transposed", "turned by 90"])
def test_means_over_a_turned_file_are_those_of_its_pixels(name: str, tmp_path: Path) -> None:
    planes, transform = turned(name)
    planes = planes.copy()
    planes[5:9, 7:20] = 0
    asset = write(tmp_path / "a.tif", planes, transform)
    blocks = read(asset, kernel="nearest").reshape(5, 8, 5, 8).astype(float)
    means = blocks.sum(axis=(1, 3)) / (blocks > 0).sum(axis=(1, 3))
    assert np.abs(read(asset, GRID.at(80)) - means).max() <= 0.5


@pytest.mark.parametrize(
    "transform",
    [
        Affine.translation(LEFT, TOP) * Affine.rotation(30) * Affine.scale(10, -10) * Affine.translation(-20, -40),
        Affine.translation(LEFT, TOP) * Affine.shear(20, 0) * Affine.scale(10, -10) * Affine.translation(-20, -10),
    ],
)
def test_an_oblique_file_is_interpolated_right_and_never_averaged(transform: Affine, tmp_path: Path) -> None:
    """A plane in x and y comes back at the centres; means over oblique pixels would be GDAL's approximation."""
    x, y = transform * np.meshgrid(np.arange(90) + 0.5, np.arange(90) + 0.5)
    asset = write(tmp_path / "a.tif", np.rint(3000 + (x - LEFT) + 2 * (TOP - y)).astype(np.uint16), transform)
    x, y = GRID.transform * np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5)
    found = read(asset)
    # half a pixel within the file, where a centre has neighbours on each side
    col, row = ~transform * (x, y)
    inside = (np.minimum(col, row) > 0.5) & (np.maximum(col, row) < 89.5)
    assert inside.mean() > 0.5
    assert (found > 0)[inside].all()
    assert np.abs(found - (3000 + (x - LEFT) + 2 * (TOP - y)))[inside].max() <= 1
    assert "gdalwarp" in str(refusal(asset, GRID.at(40)))


POINTS = [GroundControlPoint(row, col, LEFT + 10 * col, TOP - 10 * row) for row, col in ((0, 0), (0, 40), (40, 0))]


def test_a_file_with_control_points_alone_is_refused(tmp_path: Path) -> None:
    asset = write(tmp_path / "a.tif", NUMBERS, None, gcps=POINTS)
    assert refusal(asset).facts["place"] == "ground control points"


def test_a_file_with_rational_polynomials_alone_is_refused(tmp_path: Path) -> None:
    one = [1.0] + [0.0] * 19
    model = RPC(0, 1, 50, 1, one, one, 0, 1, 3, 1, one, one, 0, 1)
    asset = write(tmp_path / "a.tif", NUMBERS, None, crs=None, rpcs=model)
    assert refusal(asset).facts["place"] == "rational polynomial coefficients"


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_file_with_a_reference_system_and_no_place_is_refused(tmp_path: Path) -> None:
    assert "a_ullr" in str(refusal(write(tmp_path / "a.tif", NUMBERS, None)))


def test_an_alpha_band_is_not_a_measurement(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.stack([NUMBERS, NUMBERS]), ALPHA="YES").path
    assert refusal(FileAsset(path, 2)).facts["interpretation"] == "alpha"
    assert (read(FileAsset(path)) == NUMBERS).all()


def test_a_palette_is_a_category_and_not_a_measurement(tmp_path: Path) -> None:
    codes = (NUMBERS % 11).astype(np.uint8)
    path = write(tmp_path / "a.tif", codes, photometric="PALETTE").path
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {4: (0, 255, 0, 255)})
        assert file.colorinterp == (ColorInterp.palette,)
    assert refusal(FileAsset(path)).facts["interpretation"] == "palette"
    assert (read(FileAsset(path), key="SCL", kernel="nearest") == codes).all()


def test_one_of_several_bands_without_a_number_is_refused(tmp_path: Path) -> None:
    asset = write(tmp_path / "a.tif", np.stack([NUMBERS] * 3))
    assert refusal(asset).facts["bands"] == 3
    assert (read(FileAsset(asset.path, 2)) == NUMBERS).all()


@pytest.mark.parametrize(("scale", "offset"), [(0.0002, 0.0), (0.0001, -0.1), (1.0, 5.0)])
def test_a_scale_of_one_band_is_compared_for_that_band_alone(scale: float, offset: float, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.stack([NUMBERS, NUMBERS]), photometric="MINISBLACK").path
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (0.0001, scale), (0.0, offset)
    assert (read(FileAsset(path, 1)) == NUMBERS).all()
    assert "product" in str(refusal(FileAsset(path, 2)))


def test_nodata_of_one_band_is_that_of_another_file_format(tmp_path: Path) -> None:
    """ERDAS Imagine states nodata band by band."""
    numbers = NUMBERS.copy()
    numbers[:3] = 30_000
    numbers[3:6] = 40_000
    path = write(tmp_path / "a.img", np.stack([numbers, numbers]), driver="HFA").path
    for index, nodata in enumerate((30_000, 40_000), start=1):
        (tmp_path / "a.img.aux.xml").write_text(
            "<PAMDataset>"
            + "".join(
                f'<PAMRasterBand band="{band}"><NoDataValue>{value}</NoDataValue></PAMRasterBand>'
                for band, value in ((1, 30_000), (2, 40_000))
            )
            + "</PAMDataset>"
        )
        found = read(FileAsset(path, index))
        assert ((found == 0) == (numbers == nodata)).all()


@pytest.mark.parametrize("suffix", [".msk", ".ovr"])
def test_a_mask_that_leads_to_another_file_is_refused(suffix: str, tmp_path: Path) -> None:
    asset = write(tmp_path / "a.tif", NUMBERS)
    (tmp_path / f"a.tif{suffix}").write_text("<VRTDataset rasterXSize='40' rasterYSize='40'></VRTDataset>")
    assert f"a.tif{suffix}" in str(refusal(asset))


def test_nodata_of_a_quality_band_is_used_unless_it_means_clear_ground(tmp_path: Path) -> None:
    codes = np.full((SIDE, SIDE), 4, np.uint8)
    codes[:5], codes[5:9] = 255, 8
    found = read(write(tmp_path / "a.tif", codes, nodata=255), key="SCL", kernel="nearest")
    assert (found == np.where(codes == 255, 0, codes)).all()
    found = read(write(tmp_path / "b.tif", codes, nodata=4), key="SCL", kernel="nearest")
    assert (found == codes).all()
