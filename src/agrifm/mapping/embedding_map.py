"""`agrifm embed`: the vector of every pixel of an area's season, by a trained AgriFM network.

    embedding/embedding.tif   int8, a band for each number of the vector with its scale (GDAL's), -128 = nodata
    embedding/embedding.zarr  the same as Zarr, if it is asked for
    embedding/item.json       STAC item: season, scales, model and cube it was derived from
    embedding/map.png         the first three principal components as red, green and blue

Windows are predicted, kept and blended as those of a map (`agrifm.mapping.run`), so a stopped run continues. The scale
of a band is chosen from pixels of all windows, so that one in a thousand is beyond the largest number and is clipped.

Shape letters: K numbers of a vector, P pixels, H W rows and columns.
"""

import hashlib
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agrifm.config import Project
from agrifm.cube.store import Cube, open_cube
from agrifm.errors import ConfigError, MapError, require_installed
from agrifm.files import AnyPath, as_path, translate_os_errors, write_bytes
from agrifm.grid import Window, tiles
from agrifm.inference.embeddings import network_vectors, require_vectors, vector_size
from agrifm.inference.predictor import TorchModel, load_model
from agrifm.mapping.blended_tiles import blended_layers
from agrifm.mapping.category_layer import LayerStatement
from agrifm.mapping.cog import TILE_SIDE, CogWriter, translate_gdal_errors
from agrifm.mapping.embedding_raster import EMBEDDING_PROPERTY, EMBEDDING_TAG, LARGEST, NODATA
from agrifm.mapping.embedding_zarr import ZARR_FILE, write_embedding_zarr
from agrifm.mapping.map_item import cube_content, write_item_of
from agrifm.mapping.map_rasters import WrittenRasters
from agrifm.mapping.predict import read_inputs
from agrifm.mapping.run import WINDOWS, made_anew, named_model, predict_missing, require_window_memory, window_side
from agrifm.mapping.window_store import Probabilities, WindowStore
from agrifm.mapping.windows import PROBABILITY_DTYPE, MapPlan, plan_map
from agrifm.models.precision import DEFAULT_COMPUTE, Compute
from agrifm.outputs import begin_directory, discard, finish_directory, writing
from agrifm.pictures import PNG_TAG, draw_scale_bar, drawing, reduced_shape
from agrifm.published import current
from agrifm.rasters import open_raster
from agrifm.stac import MapLayer
from agrifm.work import Resumable, fingerprint, progress, run_tiles

KIND, RESULT = "embedding", "result"
EMBEDDING_FILE = "embedding.tif"
CLIPPED = 99.9
"""Percentile of the absolute numbers of a band that is stored as the largest one."""
SAMPLED = 200_000
"""Pixels of which the scales and the picture are made."""
PICTURE_SIDE = 1000
"""Longer side of the picture, pixels."""


@dataclass(frozen=True)
class EmbeddingSummary:
    """What was written."""

    path: Path
    numbers: int
    """Of a vector."""
    hectares: float
    """With vectors."""
    nodata_hectares: float
    """Inside the area, without a valid observation."""
    clipped: float
    """Share of the numbers beyond the largest one that can be stored."""

    def lines(self) -> list[str]:
        """Describe the result in sentences."""
        return [
            f"vectors of {self.numbers} numbers (int8 with a scale each) on {self.hectares:.0f} ha; without a valid "
            f"observation {self.nodata_hectares:.0f} ha; {100 * self.clipped:.2f} % of the numbers are clipped",
            f"wrote {self.path}",
        ]


def embed_project(
    project: Project,
    model: AnyPath | None = None,
    out: AnyPath | None = None,
    compute: Compute = DEFAULT_COMPUTE,
    with_zarr: bool = False,
) -> EmbeddingSummary:
    """Write the vectors of the project's area; a stopped run continues.

    Args:
        model: file of an AgriFM network; by default the model named under [map].
        out: directory, replaced if it has earlier vectors; by default `embedding/` in the project.
        with_zarr: whether the vectors are written as Zarr, too.

    Raises:
        ConfigError: the area is divided.
        ModelError: the model is not one AgriFM network, does not fit the cube, or needs more memory than is free.
        CubeError, MapError: there is no finished cube, or not one valid observation.
        OutputError: the disk is full (finished windows are kept), or `out` holds something else.
    """
    if project.season.tiles is not None:
        raise ConfigError(
            "making embeddings: the area is divided (`tiles` under [season]), and vectors are made of one cube; use a "
            "project file without `tiles` for a part of the area",
            key="tiles",
        )
    file = named_model(project) if model is None else as_path(model)
    require_installed(f"making embeddings with {file}", "deep", "torch", kind=MapError)
    require_installed(f"making embeddings with {file}", "report", "matplotlib", kind=MapError)
    trained = require_vectors(load_model(file, compute), f"making embeddings with {file}")
    side = window_side(project, trained.record.side)
    overlap = project.map.overlap if trained.record.side > 1 and 2 * project.map.overlap <= side else 0
    plan = plan_map(open_cube(current(project.source)), trained.record, side, overlap)
    require_window_memory(plan, trained)
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    out = project.path("embedding") if out is None else as_path(out)
    with writing(out, KIND) as partial_out, translate_os_errors(f"writing the embeddings {out}"):
        begin_directory(partial_out)
        work = Resumable(partial_out / WINDOWS, fingerprint(_content(plan, f"{digest} {compute.precision}")))
        if not work.begun:
            work.begin()
        store = WindowStore(work.scratch)
        predict_missing(plan, store, partial(_predicted, plan.cube, trained))
        with made_anew(partial_out / RESULT) as result:
            with translate_gdal_errors(f"writing the embeddings {out}"):
                summary = _write(plan, store, result, vector_size(trained), digest, out)
                _write_picture(result, plan)
            if with_zarr:
                write_embedding_zarr(result / EMBEDDING_FILE, result / ZARR_FILE)
            item = file.with_suffix(".json")
            written = WrittenRasters({}, summary.nodata_hectares, (_statement(plan, result, summary),))
            write_item_of(result, out, plan, trained, written, f"{digest} {compute.precision}", item)
            finish_directory(result, out, KIND)
        discard(partial_out)
    return summary


def _content(plan: MapPlan, model_id: str) -> dict[str, object]:
    """Everything that decides what the windows hold."""
    windows = [plan.side, plan.overlap, PROBABILITY_DTYPE.name, list(plan.grid.shape)]
    return {"vectors": cube_content(plan), "model": model_id, "windows": windows}


def _predicted(
    cube: Cube, model: TorchModel, windows: Iterable[Window]
) -> Generator[tuple[Window, Probabilities], None, None]:
    """Yield windows with their vectors (K, H, W); the next one is read while one is computed."""
    with ThreadPoolExecutor(1) as reader:
        for window, samples in run_tiles(partial(read_inputs, cube, model), windows, reader, 2):
            sample = samples[0]
            if not sample.any_valid.any():
                yield window, None
                continue
            vectors = network_vectors(model, sample)[:, *window.within(sample.window).slices]
            yield window, vectors.astype(PROBABILITY_DTYPE)


def _sampled(plan: MapPlan, store: WindowStore) -> NDArray[np.float32]:
    """Vectors (P, K) of pixels of all windows, evenly spread.

    Raises:
        MapError: there is no valid observation.
    """
    every = max(1, len(plan.windows) * plan.side**2 // SAMPLED)
    parts = []
    for _, vectors in store.read(plan.windows.values()):
        known = np.flatnonzero(~np.isnan(vectors[0]).ravel())[::every]
        parts.append(vectors.reshape(len(vectors), -1)[:, known].T.astype(np.float32))
    if not sum(map(len, parts)):
        path = plan.cube.path
        raise MapError(
            f"making embeddings of the cube {path}: not one pixel of its area has a usable observation; fetch more "
            "scenes",
            path=path,
        )
    return np.concatenate(parts)


def _write(
    plan: MapPlan, store: WindowStore, directory: Path, numbers: int, digest: str, out: Path
) -> EmbeddingSummary:
    """Write the raster tile by tile."""
    ends = np.percentile(np.abs(_sampled(plan, store)), CLIPPED, axis=0)
    scale = np.maximum(ends, 1e-6) / LARGEST
    season = plan.cube.season
    tags = {
        EMBEDDING_TAG: digest, "AGRIFM_MODEL": plan.record.name, "AGRIFM_SEASON": f"{season.start}/{season.end}",
    }  # fmt: skip
    writer = CogWriter(
        directory / EMBEDDING_FILE, plan.grid, [f"V{number:02d}" for number in range(numbers)], tags, "AVERAGE",
        scale=scale.tolist(), dtype="int8", nodata=NODATA,
    )  # fmt: skip
    rows, every = plan.grid.shape[0], list(tiles(plan.grid.shape, TILE_SIDE))
    known_in, unknown_in, clipped, total = np.zeros(rows), np.zeros(rows), 0, 0
    with writer, progress("write", len(every)) as advance:
        for tile in every:
            inside = plan.area.inside(tile)
            vectors = blended_layers(plan, store, tile, inside, count=numbers)
            known = inside & ~np.isnan(vectors[0])
            stored = np.full(vectors.shape, NODATA, np.int8)
            exact = np.rint(vectors[:, known] / scale[:, None])
            stored[:, known] = exact.clip(-LARGEST, LARGEST)
            writer.write(tile, stored)
            part = slice(tile.row, tile.row + tile.height)
            known_in[part] += known.sum(axis=1)
            unknown_in[part] += (inside & ~known).sum(axis=1)
            clipped, total = clipped + int((np.abs(exact) > LARGEST).sum()), total + exact.size
            advance(1)
    writer.finish()
    per_row = plan.grid.pixel_hectares()
    return EmbeddingSummary(
        out,
        numbers,
        float(known_in @ per_row),
        float(unknown_in @ per_row) + plan.area.hectares_beyond(),
        clipped / max(total, 1),
    )


def _statement(plan: MapPlan, directory: Path, summary: EmbeddingSummary) -> LayerStatement:
    """What the item says of the raster."""
    with open_raster(directory / EMBEDDING_FILE) as source:
        bands = tuple(
            {"name": name, "data_type": "int8", "nodata": NODATA, "raster:scale": scale}
            for name, scale in zip(source.descriptions, source.scales, strict=True)
        )
    season = plan.cube.season
    layer = MapLayer(
        EMBEDDING_FILE,
        f"Vectors of {summary.numbers} numbers",
        "What the last layer of the network reads of each pixel: int8 times the scale of its band. Vectors of other "
        "models, or of a model that was trained again, cannot be compared with them.",
        bands=bands,
    )
    title = f"Embeddings, {season.start} to {season.end}"
    properties = {"title": title, EMBEDDING_PROPERTY: {"numbers": summary.numbers, "clipped": summary.clipped}}
    return LayerStatement("", properties, (layer,))


def _write_picture(directory: Path, plan: MapPlan) -> None:
    """Write `map.png`: places with like colours have like vectors."""
    from matplotlib.figure import Figure

    with open_raster(directory / EMBEDDING_FILE) as source:
        shape = reduced_shape(source.shape, PICTURE_SIDE)
        stored = source.read(out_shape=(source.count, *shape)).astype(np.float32)
        vectors = stored * np.array(source.scales, np.float32)[:, None, None]
    known = stored[0] != NODATA
    colors = np.full((*shape, 4), 0.0)
    colors[known] = np.column_stack([principal_colors(vectors[:, known].T), np.ones(int(known.sum()))])
    season = plan.cube.season
    title = f"Embeddings by {plan.record.name}, {season.start} to {season.end}: first three principal components"
    with drawing([title]):
        height, width = shape
        figure = Figure(figsize=(8, 8 * min(max(height / width, 0.3), 2)), dpi=110, layout="constrained")
        axes = figure.subplots()
        axes.imshow(colors, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(title, fontsize="medium", wrap=True)
        draw_scale_bar(axes, plan.grid)
        file = BytesIO()
        figure.savefig(file, format="png", metadata=PNG_TAG)
    write_bytes(directory / "map.png", file.getvalue())


def principal_colors(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return red, green and blue (P, 3) of vectors (P, K), 0 to 1: three principal components between percentiles."""
    step = max(1, len(vectors) // SAMPLED)
    middle = vectors[::step].mean(axis=0)
    _, _, axes = np.linalg.svd(vectors[::step] - middle, full_matrices=False)
    parts = np.zeros((len(vectors), 3))
    found = (vectors - middle) @ axes[:3].T
    parts[:, : found.shape[1]] = found
    low, high = np.percentile(parts, [2, 98], axis=0)
    return np.asarray(((parts - low) / np.maximum(high - low, 1e-9)).clip(0, 1), np.float64)
