"""What reading the files of a scene will cost, from their headers alone: requests, bytes and compression.

The header of a GeoTIFF says where each block of pixels is. What a fetch reads of it follows from the same functions
that read it (`agrifm.scene.read.needed_window`, `agrifm.scene.remote_raster.merged_runs`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import reduce

from affine import Affine

from agrifm.cube.store import SHARD
from agrifm.errors import SceneError
from agrifm.files import WHOLE_DIGEST
from agrifm.grid import Grid, Window, tiles
from agrifm.scene.mask import MaskRule
from agrifm.scene.offset_check import checked_assets, sample_grid
from agrifm.scene.open_band import OpenBand
from agrifm.scene.read import needed_window, opened
from agrifm.scene.remote_raster import HEAD_BYTES, known_size, merged_runs
from agrifm.scene.scene import Asset, FileAsset, RemoteAsset, Scene

DIGEST_BYTES = 64 * 4096 + 65536
"""Bytes that are read of a large file to tell it from others (`agrifm.files.content_digest`)."""
MOST_TILES = 16
"""Tiles of a cube for which the blocks of a file are looked up; the rest is taken to be like them."""
HOPELESS = 3
"""Scenes in a row that cannot be opened after which no other one is tried."""


@dataclass(frozen=True)
class ReadCosts:
    """Sums over files; they can be added and multiplied."""

    files: float = 0.0
    """Assets on servers."""
    heads: float = 0.0
    """Bytes of their first requests."""
    requests: float = 0.0
    """Requests for their pixels; without those of the heads."""
    bytes: float = 0.0
    """Their bytes."""
    from_disk: float = 0.0
    """Bytes of the blocks of files on disk, for the pixels and for the offset check."""
    checked_files: float = 0.0
    """Assets that the offset check reads, which comes first, wherever they are."""
    checked_heads: float = 0.0
    check_requests: float = 0.0
    check_bytes: float = 0.0
    check_pixels: float = 0.0
    digests: float = 0.0
    """Bytes of files on disk that are read to tell them from others."""
    payload: float = 0.0
    """Compressed bytes of the bands' pixels on the grid."""
    pixels: float = 0.0
    """Their number in the files."""

    def __add__(self, other: "ReadCosts") -> "ReadCosts":
        return ReadCosts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def times(self, factor: float) -> "ReadCosts":
        """Return the sums of `factor` as many files."""
        return ReadCosts(*(factor * getattr(self, one.name) for one in fields(self)))


def summed_costs(costs: Iterable[ReadCosts]) -> ReadCosts:
    """Return the sum of several."""
    return reduce(ReadCosts.__add__, costs, ReadCosts())


def sample_costs(
    scenes: Sequence[Scene], grid: Grid, rule: MaskRule, count: int, clear: Callable[[Scene], bool] = lambda _: True
) -> tuple[dict[str, ReadCosts], dict[str, str]]:
    """Open the files of `count` scenes of one product, spread evenly over the season; no pixel is read.

    Args:
        grid: of the sensor in the cube.
        rule: which pixels are usable; it decides the margin of quality bands.
        clear: whether a scene has clear pixels; without any, the offset check reads its quality bands only.

    Returns:
        The costs by scene id; and why scenes could not be opened, by id.

    Raises:
        SceneError: none of the first can be opened.
    """
    found: dict[str, ReadCosts] = {}
    failed: dict[str, str] = {}
    ordered = sorted(scenes, key=lambda scene: (scene.day, scene.id))
    step = max(len(ordered) / count, 1.0)
    for number in range(min(count, len(ordered))):
        scene = ordered[int((number + 0.5) * step)]
        try:
            found[scene.id] = _scene_costs(scene, grid, rule, clear(scene))
        except SceneError as error:
            failed[scene.id] = str(error)
            if not found and len(failed) >= min(HOPELESS, len(scenes)):
                raise
    return found, failed


def _scene_costs(scene: Scene, grid: Grid, rule: MaskRule, clear: bool) -> ReadCosts:
    product = scene.product
    margin = rule.margin(grid.resolution)
    wanted = [(key, band, 0) for band, key in product.assets.items()]
    wanted += [(key, "quality", margin) for key in scene.quality_bands]
    wanted += [] if product.day_asset is None else [(product.day_asset, "day", 0)]
    checked = [key for key in checked_assets(scene) if clear or key in scene.quality_bands]
    costs = []
    for key, band, wide in wanted:
        with opened(scene, key, band) as (source, _):
            costs.append(_asset_costs(scene, key, source, grid, wide))
            if key in checked:
                costs.append(_check_costs(scene.assets[key], source, sample_grid(grid)))
    return summed_costs(costs)


def _asset_costs(scene: Scene, key: str, source: OpenBand, grid: Grid, margin: int) -> ReadCosts:
    """What reading one asset for the tiles of a cube costs."""
    asset = scene.assets[key]
    every = list(tiles(grid.shape, SHARD))
    chosen = every[:: -(-len(every) // MOST_TILES)]
    windows = [needed_window(source, _with_margin(grid.window(tile), margin)) for tile in chosen]
    read = summed_costs(_window_costs(asset, source, window) for window in windows if window.height and window.width)
    is_band = key in scene.product.assets.values()
    costs = read.times(len(every) / len(chosen)) + ReadCosts(files=isinstance(asset, RemoteAsset), heads=_head(asset))
    if isinstance(asset, FileAsset):
        length = asset.path.stat().st_size
        costs += ReadCosts(digests=length if length <= WHOLE_DIGEST else DIGEST_BYTES)
    return costs if is_band else costs + ReadCosts(payload=-costs.payload, pixels=-costs.pixels)


def _check_costs(asset: Asset, source: OpenBand, sample: Grid) -> ReadCosts:
    """What the offset check reads of one asset."""
    read = _window_costs(asset, source, needed_window(source, sample))
    return ReadCosts(
        checked_files=1,
        checked_heads=_head(asset),
        check_requests=read.requests,
        check_bytes=read.bytes,
        from_disk=read.from_disk,
        check_pixels=read.pixels,
    )


def _window_costs(asset: Asset, source: OpenBand, window: Window) -> ReadCosts:
    """What reading a window costs; of a format that does not say where it is, its share of the file."""
    pixels = window.height * window.width
    blocks = source.blocks(window)
    if blocks is None:
        size = _size(asset, source) * pixels / (source.shape[0] * source.shape[1])
        if isinstance(asset, RemoteAsset):
            return ReadCosts(requests=1, bytes=size, payload=size, pixels=pixels)
        return ReadCosts(from_disk=size, payload=size, pixels=pixels)
    held = sum(end - start for start, end in blocks.spans)
    payload = held * pixels / blocks.pixels
    if not isinstance(asset, RemoteAsset):
        return ReadCosts(from_disk=held, payload=payload, pixels=pixels)
    runs = merged_runs([span for span in blocks.spans if span[1] > _head(asset)])
    return ReadCosts(requests=len(runs), bytes=sum(end - start for start, end in runs), payload=payload, pixels=pixels)


def _head(asset: Asset) -> int:
    """Bytes of the first request of a file on a server."""
    return min(HEAD_BYTES, known_size(asset.href) or HEAD_BYTES) if isinstance(asset, RemoteAsset) else 0


def _size(asset: Asset, source: OpenBand) -> int:
    if isinstance(asset, FileAsset):
        return asset.path.stat().st_size
    stated = known_size(asset.href) if isinstance(asset, RemoteAsset) else None
    return stated or source.shape[0] * source.shape[1] * source.dtype.itemsize


def _with_margin(part: Grid, margin: int) -> Grid:
    rows, cols = part.shape
    corner = part.transform * Affine.translation(-margin, -margin)
    return Grid.of(str(part.crs), corner, (rows + 2 * margin, cols + 2 * margin)) if margin else part
