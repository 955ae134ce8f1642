"""Small scenes with known reflectance: GeoTIFFs and a static STAC catalogue around them; and a small cube.

Scenes are written without agrifm. They cover two by two squares of 480 m in UTM zone 31 N; reflectance is in units
of 0.0001.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from shapely import Polygon, box, transform
from shapely.geometry import mapping

from agrifm.cube.store import Cube, create_root, create_sensor, open_cube
from agrifm.grid import Grid
from agrifm.record import SensorInput
from agrifm.season import Season

UTM = "EPSG:32631"
LEFT, TOP, SIDE = 480_000, 5_520_000, 960
"""Upper left corner and side, metres; multiples of 480."""
SQUARE = (LEFT, TOP, SIDE)
SEASON = Season(date(2024, 3, 1), date(2024, 9, 30))
S2_KEYS = ("blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir16", "swir22")
S2_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
LANDSAT_KEYS = ("blue", "green", "red", "nir08", "swir16", "swir22")
MODIS_KEYS = tuple(f"sur_refl_b{number:02d}" for number in range(1, 8))
MODIS_FILL = -28672
# Sphere of MODIS land products, MODIS Sinusoidal.
SINUSOIDAL = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"
MODIS_PIXEL = 463.312716527917


def lonlat(shape: Polygon, crs: str = UTM) -> Polygon:
    """A polygon in longitude and latitude."""
    turn = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    return transform(shape, lambda points: np.stack(turn.transform(*points.T), axis=-1))


AREA = lonlat(box(LEFT + 40, TOP - SIDE + 40, LEFT + SIDE - 40, TOP - 40))
"""An area whose grid is exactly the square."""


def reflectance(bands: int, pixels: int, brighter: int = 0) -> NDArray[np.int64]:
    """(bands, pixels, pixels) in units of 0.0001, different in every band and pixel row and column."""
    band, row, col = np.indices((bands, pixels, pixels))
    return 400 + 300 * band + 3 * row + 7 * col + brighter


def s2_numbers(values: NDArray[np.int64], shifted: bool = True) -> NDArray[np.uint16]:
    """Sentinel-2 Level-2A digital numbers: from processing baseline 04.00 on, 1000 is added (ESA)."""
    return (values + (1000 if shifted else 0)).astype(np.uint16)


def landsat_numbers(values: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Landsat Collection 2 Level 2: reflectance = 0.0000275 DN - 0.2 (USGS)."""
    return np.rint((values / 10_000 + 0.2) / 0.0000275).astype(np.uint16)


def write_tiff(
    path: Path,
    values: NDArray[Any],
    square: tuple[float, float, float] = SQUARE,
    crs: str | None = UTM,
    nodata: float | None = None,
    descriptions: tuple[str, ...] = (),
    **options: Any,
) -> Path:
    """Write (rows, cols) or (bands, rows, cols) over a square given by left, top and width."""
    planes = values if values.ndim == 3 else values[None]
    count, height, width = planes.shape
    left, top, side = square
    pixel = side / width
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff",
        "count": count,
        "height": height,
        "width": width,
        "dtype": planes.dtype,
        "crs": rasterio.CRS.from_user_input(crs) if crs else None,
        "transform": Affine(pixel, 0, left, 0, -pixel, top),
        "nodata": nodata,
    }
    with rasterio.open(path, "w", **{**profile, **options}) as file:
        file.write(planes)
        for number, name in enumerate(descriptions, start=1):
            file.set_band_description(number, name)
    return path


@dataclass
class Catalogue:
    """A static catalogue to which scenes are added."""

    directory: Path
    items: list[pystac.Item] = field(default_factory=list)

    def add(
        self,
        collection: str,
        scene: str,
        moment: datetime | None,
        pixels: Mapping[str, NDArray[Any]],
        square: tuple[float, float, float] = SQUARE,
        crs: str = UTM,
        nodata: float | None = 0,
        properties: Mapping[str, Any] | None = None,
        fields: Mapping[str, Any] | None = None,
        geometry: Any = mapping(AREA),  # noqa: B008
    ) -> pystac.Item:
        """Write the assets of one item; all of them cover the square. `fields` are those of every asset."""
        item = pystac.Item(scene, geometry, None, moment, dict(properties or {}))
        item.collection_id = collection
        for key, values in pixels.items():
            path = write_tiff(self.directory / scene / f"{key}.tif", values, square, crs, nodata)
            item.add_asset(key, pystac.Asset(str(path), extra_fields=dict(fields or {})))
        self.items.append(item)
        return item

    def add_sentinel_2(
        self,
        scene: str,
        moment: datetime,
        values: NDArray[np.int64] | None = None,
        scl: NDArray[np.uint8] | None = None,
        baseline: str = "05.10",
        **more: Any,
    ) -> pystac.Item:
        """All bands at 10 m (96 x 96) unless `values` (10, rows, cols) say otherwise; vegetation unless `scl` does."""
        numbers = s2_numbers(reflectance(10, 96) if values is None else values, shifted=baseline >= "04.00")
        classes = np.full(numbers.shape[1:], 4, np.uint8) if scl is None else scl
        pixels = {**dict(zip(S2_KEYS, numbers, strict=True)), "scl": classes}
        properties = {"s2:processing_baseline": baseline}
        return self.add("sentinel-2-c1-l2a", scene, moment, pixels, properties=properties, **more)

    def save(self) -> Path:
        """Write the catalogue; returns the path of its catalog.json."""
        root = pystac.Catalog("made", "made for a test")
        for item in self.items:
            collection = item.collection_id
            root.add_item(item)
            item.collection_id = collection
        root.normalize_hrefs(f"{self.directory}/")
        root.save(pystac.CatalogType.ABSOLUTE_PUBLISHED)
        return self.directory / "catalog.json"


def at(month: int, day: int, hour: int = 10, year: int = 2024) -> datetime:
    """A moment, UTC."""
    return datetime(year, month, day, hour, 50, tzinfo=UTC)


def make_cube(path: Path) -> Cube:
    """A cube written directly: 96 x 192 pixels of 10 m and 2 x 4 of 480 m, bands red and nir.

    Sentinel-2: three frames 30 days apart; the first two never saw the left 20 columns, the third not the left 10.
    MODIS: two composites, the day two days after the first; its upper left pixel was never seen. Every number is
    above 0 and different from its neighbours'.
    """
    root = create_root(path, SEASON, AREA)
    first = date(2024, 3, 1)
    fine = Grid.of(UTM, Affine(10, 0, LEFT, 0, -10, TOP), (96, 192))
    for sensor, grid, gap, frames in (("sentinel-2", fine, 30, 3), ("modis", fine.at(480), 8, 2)):
        content = SensorInput(
            sensor=sensor,
            bands=("red", "nir"),
            quantity="surface reflectance",
            scale=1e-4,
            resolution=grid.resolution,
        )
        days = [first + timedelta(days=gap * frame) for frame in range(frames)]
        last = [day + timedelta(days=7) for day in days] if sensor == "modis" else None
        group = create_sensor(root, content, grid, days, last)
        group["values"][...] = np.random.default_rng(1).integers(100, 6000, (frames, 2, *grid.shape))
        valid = np.ones((frames, *grid.shape), bool)
        if sensor == "modis":
            valid[:, 0, 0] = False
            group["day"][...] = np.array([(day - date(1970, 1, 1)).days + 2 for day in days])[:, None, None]
        else:
            valid[:2, :, :20] = valid[2, :, :10] = False
        group["valid"][...] = valid
    root.attrs["agrifm"] = {**root.attrs["agrifm"], "sensors": ["sentinel-2", "modis"]}
    return open_cube(path)
