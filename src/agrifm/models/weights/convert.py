"""Convert public weights to safetensors with a record, or back, without loss (`agrifm model convert`).

No file says in which order a patch kernel reads its bands, so the order must be stated. The statistics that the
reference's training recipe publishes for Sentinel-2 have their own band order, 10 m bands first; they are recorded by
name of band and say nothing about the order in the kernel.
"""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from agrifm.errors import ModelError
from agrifm.files import AnyPath, as_path, write_bytes
from agrifm.models.agrifm.attention import relative_position_index
from agrifm.models.agrifm.window_partition import Triple
from agrifm.models.weights.file import WEIGHTS_KEY, Origin, WeightsRecord, WeightsSensor, trained_family
from agrifm.models.weights.infer_config import BIAS_TABLE_SUFFIX
from agrifm.models.weights.inspect import Inspection, inspect_weights
from agrifm.models.weights.names import INDEX_SUFFIX, name_in_file, public_prefixes
from agrifm.models.weights.peer_files import convert_released, recognise_released
from agrifm.outputs import writing_file
from agrifm.record import ModelRecord, running_versions
from agrifm.sensors import SENSORS, Band

BAND_ORDERS: dict[str, Callable[[Band], float]] = {
    "by-number": lambda _: 0,
    "10m-first": lambda band: band.ground_sampling_distance,
}
"""Named orders of a sensor's bands: by number, or the finest bands first and then by number."""
PRODUCT_SCALE = 1e-4
"""Reflectance per stored integer in all products that the weights were trained on."""
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
PICKLE_SUFFIXES = (".pth", ".pt")


def convert_weights(
    source: AnyPath, target: AnyPath, bands: Sequence[str] = (), window: Triple | None = None
) -> list[str]:
    """Write weights as safetensors with a record, or as a PyTorch file with the public names.

    Args:
        source: any file that `agrifm.models.weights.inspect.inspect_weights` accepts.
        target: `.safetensors`, or `.pth` for the names of the file that the weights were converted from, or else of
            the public code.
        bands: order of the bands in the patch kernels, per source "sentinel-2=B02,B03,…" or "sentinel-2=10m-first",
            or "10m-first" or "by-number" for every source; needed if the source file has no record.
        window: see `inspect_weights`.

    Returns:
        Sentences on what was written.

    Raises:
        ModelError: the source is refused, or the order of the bands is not stated or does not match the kernels.
        OutputError: the target exists, cannot be written, or is being written by another process.
    """
    source = as_path(source)
    target = as_path(target)
    about = f"converting {source}"
    if target.suffix not in (".safetensors", *PICKLE_SUFFIXES):
        raise ModelError(f"{about}: {target.name!r} does not end in .safetensors or .pth; choose one of them")
    with writing_file(target, about):
        if trained_family(source) is None and (released := recognise_released(source)):
            return convert_released(source, target, released, bands)
        inspection = inspect_weights(source, window)
        if target.suffix in PICKLE_SUFFIXES:
            lines = _write_pickle(inspection, target)
        else:
            lines = _write_safetensors(inspection, target, bands, about)
    return [*lines, f"wrote {target} ({len(inspection.tensors)} tensors)"]


def parse_band_orders(stated: Sequence[str], sources: Mapping[str, int], about: str) -> dict[str, tuple[str, ...]]:
    """Parse the bands of each source, in the order of its patch kernel.

    Args:
        stated: see `convert_weights`.
        sources: number of bands by source.
        about: beginning of an error message.

    Raises:
        ModelError: the order of a source is not stated, or is not an order of its bands.
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
            f"{about}: unknown sensor {source!r} (known: {', '.join(SENSORS)}); rename it in the file, or add it to "
            "sensors.py"
        )
    if order is None:
        raise ModelError(
            f"{about}: the order of the {count} bands of {source} is not in the file; state it, as --bands "
            f"{source}={','.join(sensor.band_names)} or as one of {', '.join(BAND_ORDERS)}"
        )
    if order in BAND_ORDERS:
        # sorted is stable: bands of equal rank stay in the sensor's order
        bands = tuple(band.name for band in sorted(sensor.bands, key=BAND_ORDERS[order]))
    else:
        bands = tuple(name.strip() for name in order.split(","))
    if strangers := [name for name in bands if name not in sensor.band_names]:
        raise ModelError(f"{about}: {source} has no band {strangers[0]!r}; it has {', '.join(sensor.band_names)}")
    if len(bands) != count or len(set(bands)) < count:
        raise ModelError(
            f"{about}: the patch kernel of {source} has {count} bands, but {len(set(bands))} different ones are stated "
            f"({', '.join(bands)}); state each band once"
        )
    return bands


def _write_safetensors(inspection: Inspection, target: Path, stated: Sequence[str], about: str) -> list[str]:
    if inspection.record is not None:
        raise ModelError(f"{about}: it already is safetensors with a record; use it as it is, or convert it to .pth")
    sources = {source.name: source.channels for source in inspection.config.sources}
    bands = parse_band_orders(stated, sources, about)
    original = inspection.checkpoint.tensors
    record = WeightsRecord(
        name=inspection.path.stem,
        architecture=inspection.config.model_dump(mode="json"),
        sensors=tuple(_sensor(source, bands[source]) for source in sources),
        origin=Origin(
            file=inspection.path.name,
            sha256=inspection.digest,
            format=inspection.checkpoint.format,
            wrapper=inspection.checkpoint.wrapper,
            prefixes=inspection.renamed.prefixes,
            indexed=any(name.endswith(INDEX_SUFFIX) for name in original),
            flat=tuple(
                name
                for name, tensor in inspection.tensors.items()
                if original[_original(inspection, name)].ndim < tensor.ndim
            ),
        ),
        notes=(*inspection.notes, "the order of bands is as stated when the weights were converted"),
        versions=running_versions("torch"),
    )
    state = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in inspection.tensors.items()}
    write_bytes(target, save(state, metadata={WEIGHTS_KEY: record.model_dump_json()}))
    lines = [f"bands of {source}: {', '.join(order)} (as stated)" for source, order in bands.items()]
    if unused := inspection.report.unused:
        lines.append(f"left out: {len(unused)} tensors that are not part of AgriFM")
    return lines


def _original(inspection: Inspection, name: str) -> str:
    return name_in_file(name, inspection.renamed.prefixes)


def _sensor(source: str, bands: tuple[str, ...]) -> WeightsSensor:
    # statistics are published for Sentinel-2 only
    mean = std = None
    if source == "sentinel-2" and set(bands) <= set(RECIPE_BANDS):
        order = [RECIPE_BANDS.index(band) for band in bands]
        mean = tuple(RECIPE_MEAN[i] * PRODUCT_SCALE for i in order)
        std = tuple(RECIPE_STD[i] * PRODUCT_SCALE for i in order)
    return WeightsSensor(
        sensor=source,
        bands=bands,
        quantity="surface reflectance",
        scale=PRODUCT_SCALE,
        resolution=SENSORS[source].resolution,
        mean=mean,
        std=std,
    )


def _write_pickle(inspection: Inspection, target: Path) -> list[str]:
    """Write the weights with the names of the public code, or of the file that they were converted from."""
    origin = inspection.record.origin if isinstance(inspection.record, WeightsRecord) else None
    names = [source.name for source in inspection.config.sources]
    if origin is not None:
        prefixes, wrapper = origin.prefixes, origin.wrapper
    elif inspection.record is not None:
        prefixes, wrapper = public_prefixes(names, inspection.config.shared), ""
    else:
        prefixes, wrapper = inspection.renamed.prefixes, inspection.checkpoint.wrapper
    state: dict[str, Tensor] = {}
    index = relative_position_index(inspection.config.encoder.window)
    for name, tensor in inspection.tensors.items():
        flat = origin is not None and name in origin.flat
        # a flat kernel had no axis of frames in the file that it came from
        state[name_in_file(name, prefixes)] = (tensor.squeeze(2) if flat else tensor).clone()
        # the public code stores a position index with each bias table and expects it when it loads
        if name.endswith(BIAS_TABLE_SUFFIX) and (origin is None or origin.indexed):
            state[name_in_file(name.replace(BIAS_TABLE_SUFFIX, f"attn.{INDEX_SUFFIX}"), prefixes)] = index.clone()
    buffer = BytesIO()
    torch.save({wrapper: state} if wrapper else state, buffer)
    write_bytes(target, buffer.getvalue())
    if isinstance(inspection.record, ModelRecord | WeightsRecord):
        return ["the record is not written: a PyTorch file cannot hold bands, statistics and legend"]
    return []
