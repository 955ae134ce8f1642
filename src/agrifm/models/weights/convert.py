"""`agrifm model convert`: public weights to safetensors with a record, and back, exactly.

The order of the bands in a patch kernel is in no file, so it must be stated. The statistics that the reference's
training recipe publishes for Sentinel-2 come with a band order of their own, 10 m bands first; they are recorded by
name of band, and say nothing about the order in the kernel.
"""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from agrifm.errors import ModelError
from agrifm.files import write_bytes
from agrifm.models.agrifm.attention import relative_position_index
from agrifm.models.agrifm.window_partition import Triple
from agrifm.models.weights.file import WEIGHTS_KEY, Origin, WeightsRecord, WeightsSensor
from agrifm.models.weights.infer_config import TABLE
from agrifm.models.weights.inspect import Inspection, inspect
from agrifm.models.weights.names import INDEX, public_prefixes, theirs
from agrifm.record import ModelRecord, running_versions
from agrifm.sensors import SENSORS, Band

BAND_ORDERS: dict[str, Callable[[Band], float]] = {
    "by-number": lambda _: 0,
    "10m-first": lambda band: band.ground_sampling_distance,
}
"""Orders of a sensor's bands by name: as they are numbered, or the finest first and otherwise as numbered."""
SCALE = 1e-4
"""Reflectance per stored integer, of all products that the weights were trained on."""
# configs of the public code (github.com/flyakon/AgriFM, commit 13f476e), stored integers of Sentinel-2
RECIPE_BANDS = ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B8A", "B11", "B12")
RECIPE_MEAN = (
    4179.192015478227, 4065.9106675194444, 3957.274910960156, 5207.452475253116, 4327.12234687,
    4873.16102239, 5049.1637925, 5111.07806856, 3056.86349163, 2490.9675032,
)  # fmt: skip
RECIPE_STD = (
    4041.5212325268735, 3691.003119315892, 3629.331318356375, 2973.5178530908756, 3569.73343885,
    3085.9151435, 2937.56005119, 2806.04462314, 1808.30013156, 1694.20220774,
)  # fmt: skip
PICKLES = (".pth", ".pt")


def convert(source: Path, target: Path, bands: Sequence[str] = (), window: Triple | None = None) -> list[str]:
    """Write weights in the other form: safetensors with a record, or as PyTorch file with the public names.

    Args:
        source: any file that `agrifm.models.weights.inspect.inspect` takes.
        target: `.safetensors`, or `.pth` for names as in the file that the weights were converted from, else as the
            public code has them.
        bands: order of the bands in the patch kernels, per source "sentinel-2=B02,B03,…" or "sentinel-2=10m-first",
            or "10m-first" or "by-number" for every source; needed where the source file has no record.
        window: see `inspect`.

    Returns:
        What was written, in sentences.

    Raises:
        ModelError: the source is refused, or the order of the bands is not stated or not that of the kernels.
        OutputError: the target exists, or cannot be written.
    """
    about = f"converting {source}"
    if target.exists():
        raise ModelError(f"{about}: {target} already exists; choose another path")
    if target.suffix not in (".safetensors", *PICKLES):
        raise ModelError(f"{about}: {target.name!r} is neither .safetensors nor .pth; choose one of them")
    found = inspect(source, window)
    if target.suffix in PICKLES:
        lines = _write_pickle(found, target)
    else:
        lines = _write_safetensors(found, target, bands, about)
    return [*lines, f"wrote {target} ({len(found.tensors)} tensors)"]


def read_bands(stated: Sequence[str], sources: Mapping[str, int], about: str) -> dict[str, tuple[str, ...]]:
    """The bands of each source, in the order of its patch kernel.

    Args:
        stated: see `convert`.
        sources: number of bands by source.
        about: how a message begins.

    Raises:
        ModelError: a source's order is not stated, or it is not one of its bands.
    """
    orders: dict[str, str] = {}
    for statement in stated:
        source, equals, order = statement.rpartition("=")
        if equals and source not in sources:
            raise ModelError(f"{about}: bands are stated for {source!r}; the file has {', '.join(sources)}")
        orders |= {source: order} if equals else dict.fromkeys(sources, order)
    return {source: _bands(source, count, orders.get(source), about) for source, count in sources.items()}


def _bands(source: str, count: int, order: str | None, about: str) -> tuple[str, ...]:
    sensor = SENSORS.get(source)
    if sensor is None:
        raise ModelError(
            f"{about}: {source!r} is no sensor that agrifm knows ({', '.join(SENSORS)}); rename it in the "
            "file, or add it to sensors.py"
        )
    if order is None:
        raise ModelError(
            f"{about}: the order of the {count} bands of {source} is in no file and must be stated, as --bands "
            f"{source}={','.join(sensor.band_names)} or as one of {', '.join(BAND_ORDERS)}"
        )
    if order in BAND_ORDERS:
        bands = tuple(band.name for band in sorted(sensor.bands, key=BAND_ORDERS[order]))
    else:
        bands = tuple(name.strip() for name in order.split(","))
    if strangers := [name for name in bands if name not in sensor.band_names]:
        raise ModelError(f"{about}: {source} has no band {strangers[0]!r}; it has {', '.join(sensor.band_names)}")
    if len(bands) != count or len(set(bands)) < count:
        raise ModelError(
            f"{about}: the patch kernel of {source} has {count} bands, stated are {len(set(bands))} different ones "
            f"({', '.join(bands)}); state each band once"
        )
    return bands


def _write_safetensors(found: Inspection, target: Path, stated: Sequence[str], about: str) -> list[str]:
    if found.record is not None:
        raise ModelError(f"{about}: it is safetensors with a record already; use it as it is, or convert it to .pth")
    sources = {source.name: source.channels for source in found.config.sources}
    bands = read_bands(stated, sources, about)
    original = found.checkpoint.tensors
    record = WeightsRecord(
        name=found.path.stem,
        architecture=found.config.model_dump(mode="json"),
        sensors=tuple(_sensor(source, bands[source]) for source in sources),
        origin=Origin(
            file=found.path.name,
            sha256=found.digest,
            format=found.checkpoint.format,
            wrapper=found.checkpoint.wrapper,
            prefixes=found.renamed.prefixes,
            indexed=any(name.endswith(INDEX) for name in original),
            flat=tuple(
                name for name, tensor in found.tensors.items() if original[_theirs(found, name)].ndim < tensor.ndim
            ),
        ),
        notes=(*found.notes, "the order of bands is as stated when the weights were converted"),
        versions=running_versions("torch"),
    )
    state = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in found.tensors.items()}
    write_bytes(target, save(state, metadata={WEIGHTS_KEY: record.model_dump_json()}))
    left = [f"left out: {len(found.report.unused)} tensors that are no part of it"] if found.report.unused else []
    return [*(f"bands of {source}: {', '.join(order)} (as stated)" for source, order in bands.items()), *left]


def _theirs(found: Inspection, name: str) -> str:
    return theirs(name, found.renamed.prefixes)


def _sensor(source: str, bands: tuple[str, ...]) -> WeightsSensor:
    mean = std = None
    if source == "sentinel-2" and set(bands) <= set(RECIPE_BANDS):
        places = [RECIPE_BANDS.index(band) for band in bands]
        mean = tuple(RECIPE_MEAN[place] * SCALE for place in places)
        std = tuple(RECIPE_STD[place] * SCALE for place in places)
    return WeightsSensor(
        sensor=source,
        bands=bands,
        quantity="surface reflectance",
        scale=SCALE,
        resolution=SENSORS[source].resolution,
        mean=mean,
        std=std,
    )


def _write_pickle(found: Inspection, target: Path) -> list[str]:
    """As the public code names them, or as the file did that the weights were converted from."""
    origin = found.record.origin if isinstance(found.record, WeightsRecord) else None
    names = [source.name for source in found.config.sources]
    if origin is not None:
        prefixes, wrapper = origin.prefixes, origin.wrapper
    elif found.record is not None:
        prefixes, wrapper = public_prefixes(names, found.config.shared), ""
    else:
        prefixes, wrapper = found.renamed.prefixes, found.checkpoint.wrapper
    state: dict[str, Tensor] = {}
    index = relative_position_index(found.config.encoder.window)
    for name, tensor in found.tensors.items():
        flat = origin is not None and name in origin.flat
        state[theirs(name, prefixes)] = (tensor.squeeze(2) if flat else tensor).clone()
        if name.endswith(TABLE) and (origin is None or origin.indexed):
            state[theirs(name.replace(TABLE, f"attn.{INDEX}"), prefixes)] = index.clone()
    buffer = BytesIO()
    torch.save({wrapper: state} if wrapper else state, buffer)
    write_bytes(target, buffer.getvalue())
    if isinstance(found.record, ModelRecord | WeightsRecord):
        return ["the record stays behind: a PyTorch file has no place for bands, statistics and legend"]
    return []
