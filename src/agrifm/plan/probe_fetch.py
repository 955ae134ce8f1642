"""Measure what a fetch costs on this machine: seconds per pixel and per file, memory of a tile, compression of a cube.

A made-up scene of Sentinel-2 is written to a temporary directory and goes through the functions of a fetch.
"""

import time
from datetime import date, timedelta
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from agrifm.cube.frames import Frame, FrameTile, write_frame_tile
from agrifm.cube.store import SCALES, create_root, create_sensor, open_group
from agrifm.grid import Grid, Window
from agrifm.process_memory import forget_peak, peak_bytes, resident_bytes
from agrifm.record import SensorInput
from agrifm.scene.mask import DEFAULT_RULE
from agrifm.scene.products import find_product
from agrifm.scene.scene import FileAsset, Scene
from agrifm.season import Season
from agrifm.sensors import find_sensor

SIDE, SMALL_SIDE = 480, 48
"""Pixels of 10 m of the scenes that are read: a large one for the pixels, a small one for the files."""
GROUNDS = ((600, 6), (1400, 15), (2000, 25))
"""Digital numbers: amplitude of the ground and standard deviation of the noise, for scenes that compress well and less
well."""
FIELD = 8
"""Pixels from one knot of the made-up ground to the next."""
BRIGHTNESS = 3000
LEFT, TOP, CRS = 480_000, 5_520_000, "EPSG:32631"
DAY = date(2024, 5, 1)


def measure_fetch() -> dict[str, Any]:
    """Return the unit costs of a fetch; to be called in a process that does nothing else.

    Returns:
        seconds of one processor per asset (`asset_seconds`) and per pixel and band (`pixel_seconds`), bytes of memory
        of the process (`base_bytes`) and of a pixel and band (`pixel_bytes`), and of scenes of different noise the
        compressed bytes of a pixel in the file and in the cube (`codec`).
    """
    with TemporaryDirectory() as folder:
        import_module("agrifm.cube.fetch")  # what a fetch loads
        loaded, base = time.process_time(), resident_bytes()
        codec, seconds = [], {}
        for number, ground in enumerate(GROUNDS):
            scene, held = _write_scene(Path(folder) / f"ground-{number}", SIDE, ground)
            if number == 0:
                _write_tile(Path(folder) / "warm.zarr", scene, SIDE)  # the first tile loads what the others use
                forget_peak()
            seconds[SIDE], size = _write_tile(Path(folder) / f"cube-{number}.zarr", scene, SIDE)
            codec.append((held, size))
        grown = peak_bytes() - base
        small, _ = _write_scene(Path(folder) / "small", SMALL_SIDE, GROUNDS[-1])
        seconds[SMALL_SIDE] = min(_write_tile(Path(folder) / f"s{turn}.zarr", small, SMALL_SIDE)[0] for turn in (0, 1))
        bands = len(small.product.assets)
        per_pixel = (seconds[SIDE] - seconds[SMALL_SIDE]) / (bands * (SIDE**2 - SMALL_SIDE**2))
        return {
            "asset_seconds": max(seconds[SMALL_SIDE] - per_pixel * bands * SMALL_SIDE**2, 0.0) / len(small.assets),
            "pixel_seconds": per_pixel,
            "read_seconds": min(_read_tile(Path(folder) / f"cube-{number}.zarr") for number in range(len(GROUNDS))),
            "probe_seconds": time.process_time() - loaded,
            "base_bytes": base,
            "start_seconds": loaded,
            "pixel_bytes": max(grown, 0) / (bands * SIDE**2),
            "codec": codec,
        }


def _write_scene(folder: Path, side: int, ground: tuple[float, float]) -> tuple[Scene, float]:
    """A scene in files; and the mean compressed bytes of a pixel of its bands."""
    folder.mkdir()
    product = find_product("sentinel-2-c1-l2a")
    draw = np.random.default_rng(0)
    resolutions = {band.name: round(band.ground_sampling_distance) for band in find_sensor(product.sensor).bands}
    assets, held = {}, []
    for band, key in product.assets.items():
        pixels = side * 10 // resolutions[band]
        path = folder / f"{key}.tif"
        _write(path, _ground(pixels, draw, *ground), resolutions[band])
        assets[key] = FileAsset(path)
        held.append(path.stat().st_size / pixels**2)
    quality = folder / "scl.tif"
    _write(quality, np.full((side // 2, side // 2), 4.0), 20, "uint8")
    assets[str(product.quality_asset)] = FileAsset(quality)
    scene = Scene("probe", product, DAY, assets, "probe", baseline="05.10")
    return scene, float(np.mean(held))


def _ground(pixels: int, draw: np.random.Generator, amplitude: float, noise: float) -> NDArray[np.float64]:
    """(pixels, pixels), fields with even slopes between them, and noise."""
    knots = draw.uniform(-amplitude, amplitude, (pixels // FIELD + 2, pixels // FIELD + 2))
    at = np.arange(pixels) / FIELD
    first, share = at.astype(int), at % 1
    rows = knots[first] * (1 - share)[:, None] + knots[first + 1] * share[:, None]
    smooth = rows[:, first] * (1 - share) + rows[:, first + 1] * share
    return np.asarray(BRIGHTNESS + smooth + draw.normal(scale=noise, size=smooth.shape))


def _write(path: Path, values: NDArray[np.float64], resolution: int, dtype: str = "uint16") -> None:
    side = len(values)
    profile = {"driver": "GTiff", "count": 1, "height": side, "width": side, "dtype": dtype, "crs": CRS}
    profile |= {"transform": Affine(resolution, 0, LEFT, 0, -resolution, TOP), "nodata": 0}
    profile |= {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "predictor": 2}
    with rasterio.open(path, "w", **profile) as file:
        file.write(np.rint(np.clip(values, 1, None)).astype(dtype), 1)


def _write_tile(path: Path, scene: Scene, side: int) -> tuple[float, float]:
    """Seconds to bring a scene into a cube, and the compressed bytes of a pixel of a band there."""
    product = scene.product
    grid = Grid.of(CRS, Affine(10, 0, LEFT, 0, -10, TOP), (side, side))
    content = SensorInput(
        sensor=product.sensor,
        bands=product.bands,
        quantity=product.quantity,
        scale=SCALES[product.quantity],
        resolution=10,
    )
    create_sensor(create_root(path, Season(DAY, DAY + timedelta(days=1)), grid.footprint()), content, grid, [DAY], None)
    tile = FrameTile(path, Frame(product.sensor, 0, (scene,)), Window(0, 0, side, side), grid, DEFAULT_RULE)
    began = time.process_time()
    write_frame_tile(tile)
    seconds = time.process_time() - began
    chunks = path / product.sensor / "values" / "c"
    size = sum(file.stat().st_size for file in chunks.rglob("*") if file.is_file())
    return seconds, (size - INDEX_BYTES) / (len(product.assets) * side**2)


def _read_tile(path: Path) -> float:
    """Seconds to read a number of a cube, and to make it a measurement."""
    group = open_group(path)["sentinel-2"]
    began = time.process_time()
    stored, valid = np.asarray(group["values"][...]), np.asarray(group["valid"][...])
    image = np.where(valid[:, None], stored, 0).astype(np.float32) * np.float32(1e-4)
    return (time.process_time() - began) / image.size


INDEX_BYTES = 1604
"""Bytes of the index of a shard: two numbers of 8 bytes for each of its 100 chunks, and a checksum of 4."""
