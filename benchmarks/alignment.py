"""Where the pixels of each sensor land in a cube: scenes of an analytic surface, in the providers' own grids.

    python benchmarks/alignment.py --out benchmarks/results

Every grid is written as the provider delivers it: Sentinel-2's 10 and 20 m pixels on MGRS corners, Landsat's corners
15 m off multiples of 30 m, MODIS' sinusoidal 463 m. The error is the shift that best explains, by least squares over
the surface's slopes, how the cube differs from the surface at the centres of its pixels.
"""

import argparse
import datetime
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from measure import Command, table
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry import box

from agrifm.cube.build import build_cube
from agrifm.grid import LONLAT, reproject
from agrifm.scene.products import Product, find_product
from agrifm.scene.scene import FileAsset, Scene
from agrifm.scene.search_result import SearchResult
from agrifm.season import Season

UTM = "EPSG:32631"
SINUSOIDAL = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"
MODIS_PIXEL = 463.312716527917
LEFT, TOP = 604_800, 5_395_200
"""Upper left corner of the area, metres; multiples of 480."""
SEASON = Season(datetime.date(2024, 3, 1), datetime.date(2024, 9, 30))
DAY = datetime.date(2024, 5, 8)

Plane = NDArray[np.float64]


def surface(wave: float, x: Plane, y: Plane) -> tuple[Plane, Plane, Plane]:
    """Reflectance at UTM coordinates, and its change per metre to the east and to the north.

    It is 0.3 with ten waves of many pixels; `wave` is the shortest, metres.
    """
    generator = np.random.default_rng(1)
    angle, phase = generator.uniform(0, 2 * np.pi, (2, 10, 1, 1))
    frequency = 2 * np.pi / (wave * generator.uniform(1, 3, (10, 1, 1)))
    east, north = frequency * np.cos(angle), frequency * np.sin(angle)
    waves = east * (x - LEFT) + north * (y - TOP) + phase
    slope = 0.01 * np.cos(waves)
    return 0.3 + 0.01 * np.sin(waves).sum(axis=0), (east * slope).sum(axis=0), (north * slope).sum(axis=0)


@dataclass(frozen=True)
class Case:
    """One sensor's band in its provider's grid."""

    title: str
    product: str
    band: str
    crs: str
    transform: Affine
    shape: tuple[int, int]
    side: int
    """Side of the area, metres."""

    @property
    def wave(self) -> float:
        """The shortest wave of its surface, metres."""
        return 12 * self.transform.a


def cases() -> list[Case]:
    """The grids of the providers around the area."""
    to_sinusoidal = Transformer.from_crs(UTM, SINUSOIDAL, always_xy=True)
    x, y = to_sinusoidal.transform(LEFT + 19_200, TOP - 19_200)
    column, row = np.floor(x / MODIS_PIXEL) - 70, np.floor(-y / MODIS_PIXEL) - 70
    s2, landsat, modis = "sentinel-2-c1-l2a", "landsat-c2-l2", "modis-09A1-061"
    return [
        Case("Sentinel-2, 10 m bands", s2, "B08", UTM, Affine(10, 0, LEFT - 240, 0, -10, TOP + 240), (528, 528), 4800),
        Case("Sentinel-2, 20 m bands", s2, "B8A", UTM, Affine(20, 0, LEFT - 240, 0, -20, TOP + 240), (264, 264), 4800),
        Case(
            "Landsat, corners 15 m off", landsat, "B05", UTM, Affine(30, 0, LEFT - 225, 0, -30, TOP + 225),
            (175, 175), 4800,
        ),
        Case(
            "MODIS, sinusoidal 463 m", modis, "B02", SINUSOIDAL,
            Affine(MODIS_PIXEL, 0, column * MODIS_PIXEL, 0, -MODIS_PIXEL, -row * MODIS_PIXEL), (140, 140), 38_400,
        ),
    ]  # fmt: skip


def measure(case: Case, directory: Path) -> tuple[float, float, float, float]:
    """Error to the east and to the south, their distance, and the pixel of the cube, metres."""
    product = find_product(case.product)
    scene = write_scene(case, product, directory)
    area = reproject(box(LEFT + 10, TOP - case.side + 10, LEFT + case.side - 10, TOP - 10), UTM, LONLAT)
    # the surface has no dark pixels by which offsets could be checked
    cube = build_cube(directory / "cube.zarr", SearchResult([scene]), SEASON, area, offset="metadata")
    sensor = cube.sensors[product.sensor]
    stored = np.asarray(sensor.group["values"][0, sensor.input.bands.index(case.band)]) * 1e-4
    planes = (stored, *surface(case.wave, *np.meshgrid(sensor.grid.x, sensor.grid.y)))
    stored, true, east, north = (plane[2:-2, 2:-2].ravel() for plane in planes)
    shift, *_ = np.linalg.lstsq(np.stack([-east, -north, true - 0.3], axis=1), stored - true, rcond=None)
    return float(shift[0]), float(-shift[1]), float(np.hypot(shift[0], shift[1])), sensor.grid.resolution


def write_scene(case: Case, product: Product, directory: Path) -> Scene:
    """Every asset of one scene: the surface at the centres of the provider's pixels, clear everywhere."""
    rows, cols = np.indices(case.shape)
    x, y = case.transform * (cols + 0.5, rows + 0.5)
    if case.crs != UTM:
        x, y = Transformer.from_crs(case.crs, UTM, always_xy=True).transform(x, y)
    baseline = "05.10" if product.sensor == "sentinel-2" else None
    offset = -0.1 if baseline else product.offset
    numbers = np.rint((surface(case.wave, x, y)[0] - offset) / product.scale)
    clear = {"sentinel-2": 4, "landsat": 21824, "modis": 8}[product.sensor]
    kind = "int16" if product.nodata < 0 else "uint16"
    planes: dict[str, tuple[Plane, str, int]] = dict.fromkeys(product.assets.values(), (numbers, kind, product.nodata))
    planes |= {key: (np.full(case.shape, clear), "uint16", 0) for key in product.quality_bands}
    if product.day_asset is not None:
        planes[product.day_asset] = (np.full(case.shape, DAY.timetuple().tm_yday), "uint16", 0)
    for key, (plane, dtype, nodata) in planes.items():
        profile = {"driver": "GTiff", "count": 1, "height": case.shape[0], "width": case.shape[1], "dtype": dtype}
        crs = rasterio.CRS.from_user_input(case.crs)
        georeference = {"crs": crs, "transform": case.transform, "nodata": nodata}
        with rasterio.open(directory / f"{key}.tif", "w", **profile, **georeference) as file:
            file.write(plane.astype(dtype), 1)
    assets = {key: FileAsset(directory / f"{key}.tif") for key in planes}
    last = DAY + datetime.timedelta(days=product.period - 1) if product.is_composite else None
    return Scene("A", product, DAY, assets, "made", last, baseline)


def report(_: argparse.Namespace) -> Iterator[str]:
    """A line for each grid of a provider."""
    rows = []
    for case in cases():
        with tempfile.TemporaryDirectory() as scratch:
            east, south, error, pixel = measure(case, Path(scratch))
        rows.append((case.title, f"{east:.2f}", f"{south:.2f}", f"{error:.2f}", f"{pixel:.0f}", f"{error / pixel:.3f}"))
    yield from table(("grid of the provider", "east, m", "south, m", "error, m", "cube, m", "pixels"), rows)


main = Command(__doc__, report, packages=("rasterio",))

if __name__ == "__main__":
    main()
