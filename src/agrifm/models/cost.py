"""How much memory a network will need, before it is asked to run: an estimate from its shape, and what is free.

Counted are the tensors that exist at the peak, as numbers of four bytes: weights, series, tokens with what a block
makes of them, maps of the decoder. How many tensors of a kind there are at once is calibrated by measured peaks, which
`tests/models/test_memory.py` holds within a factor of `WITHIN` of the estimate.

Shape letters: B samples, T frames, C channels, H W rows and columns.
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from agrifm.errors import ModelError
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, Source
from agrifm.models.tempcnn import TempCNN, TempCNNConfig

Shape = tuple[int, int, int, int]
"""B, T, H, W of a source's images."""
WITHIN = 2.0
"""Measured peaks lie within this factor of the estimate."""
SERIES = 3
"""Copies of the images: as read, normalised, and padded or brought to steps."""
BLOCK = 20
"""Numbers that a block keeps for the backward pass, per token and channel: 3 of queries, keys and values, 8 of the
perceptron, the rest normalised, reordered and added."""
GRID = 5
"""Token grids at once without gradients: what enters, what is changed in place, what merges."""
LEARNING = 4
"""Numbers per weight in training: itself, its gradient, and two that the optimiser keeps."""
MEMINFO, GROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
"""Where Linux says what is free, and what a control group may have (kernel documentation, cgroup-v2)."""
LIBRARY = 40e6
"""Bytes that the libraries take for themselves at their first run."""


def memory_needed(
    config: AgriFMConfig | TempCNNConfig, inputs: Mapping[str, Shape], training: bool, recomputed: bool = False
) -> int:
    """Estimated bytes at the peak of one pass in float32, beyond what the process holds before weights are read.

    Args:
        config: of the network.
        inputs: (B, T, H, W) of the images of each source that is present.
        training: forward, backward and the optimiser's step; otherwise forward without gradients.
        recomputed: blocks are computed again in the backward pass (`agrifm.models.precision.recompute_blocks`).
    """
    with torch.device("meta"):
        network = TempCNN(config) if isinstance(config, TempCNNConfig) else AgriFM(config)
        weights = sum(parameter.numel() for parameter in network.parameters())
    moving = (
        _tempcnn(config, inputs, training)
        if isinstance(config, TempCNNConfig)
        else _agrifm(config, inputs, training, recomputed)
    )
    return round(4 * (weights * (LEARNING if training else 1) + moving) + LIBRARY)


def first_channels(config: AgriFMConfig | TempCNNConfig) -> int:
    """Return how many numbers per target pixel the first layer makes: whether a second thread pays depends on it."""
    return config.width * config.frames if isinstance(config, TempCNNConfig) else config.encoder.embed_dim


def _tempcnn(config: TempCNNConfig, inputs: Mapping[str, Shape], training: bool) -> float:
    """Numbers that move through a TempCNN; in training, each layer keeps what enters it and its normalisation."""
    samples, frames, height, width = max(inputs.values(), key=lambda shape: shape[2] * shape[3])
    pixels = samples * height * width
    images = SERIES * frames * sum(config.channels.values())
    layers = (10 if training else 3) * frames * config.width + (4 if training else 2) * config.dense
    return float(pixels * (images + layers))


def _agrifm(config: AgriFMConfig, inputs: Mapping[str, Shape], training: bool, recomputed: bool) -> float:
    """Numbers that move through AgriFM at the peak."""
    kept, largest = 0.0, 0.0
    for name, shape in inputs.items():
        own_kept, own_largest = _encoder(config, config.source(name), shape, training, recomputed)
        kept, largest = kept + own_kept, max(largest, own_largest)
    decoder = (
        _pixel_decoder(config, inputs, training)
        if config.pixel_decoder is not None
        else _released(config, inputs, training)
    )
    return kept + largest + decoder if training else kept + max(largest, decoder)


def window_shapes(
    pixels: Mapping[str, int], frames: Mapping[str, int], samples: int, height: int, width: int
) -> dict[str, Shape]:
    """Return the shapes of the images of windows of so many target pixels.

    Args:
        pixels: target pixels along one pixel of each sensor (`agrifm.record.target_pixels`).
        frames: of each sensor that is present.
    """
    return {
        name: (samples, count, -(-height // pixels[name]), -(-width // pixels[name])) for name, count in frames.items()
    }


def require_memory(needed: int, about: str, advice: str) -> None:
    """Refuse what would not fit into the memory that is free; where the system does not tell, nothing is refused.

    Args:
        needed: bytes.
        about: what is being done.
        advice: what would need less.

    Raises:
        ModelError: more is needed than is free.
    """
    free = free_memory()
    if free is not None and needed > free:
        raise ModelError(
            f"{about}: it needs about {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free; {advice}"
        )


def free_memory() -> int | None:
    """Bytes that new programs can have (Linux, the limit of a control group included); None elsewhere."""
    if not MEMINFO.exists():
        return None
    lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
    free = 1024 * int(lines["MemAvailable"].split()[0])
    try:
        limit, used = (int((GROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        parts = dict(line.split() for line in (GROUP / "memory.stat").read_text().splitlines())
        cache = int(parts["inactive_file"])  # given back when memory is asked for
    except (OSError, ValueError, KeyError):  # no such group, or "max": no limit
        return free
    return min(free, limit - used + cache)


def _encoder(
    config: AgriFMConfig, source: Source, shape: Shape, training: bool, recomputed: bool
) -> tuple[float, float]:
    """Numbers of a source's encoder: those that stay until the decoder or the backward pass, and most beyond these."""
    samples, frames, height, width = shape
    images = SERIES * samples * frames * source.channels * height * width
    _, rows, columns = source.patch
    h, w = -(-height // rows), -(-width // columns)
    kept, largest = float(images), 0.0
    steps = config.encoder.time_steps(frames, source.patch[0])
    for depth, channels, time in zip(config.encoder.depths, config.encoder.widths(), steps, strict=True):
        grid = samples * time * h * w * channels
        kept += grid if config.encoder.fusion == "cat" else grid / time
        if training:
            kept += (depth + GRID if recomputed else depth * BLOCK + GRID) * grid
            largest = max(largest, BLOCK * grid)
        else:
            largest = max(largest, GRID * grid)
        h, w = -(-h // 2), -(-w // 2)
    return kept, largest


def _pixels(config: AgriFMConfig, inputs: Mapping[str, Shape]) -> tuple[int, int, int]:
    """Samples, rows and columns of the target grid."""
    finest = min(inputs, key=lambda name: config.source(name).pixel)
    samples, _, height, width = inputs[finest]
    pixel = config.source(finest).pixel
    return samples, height * pixel, width * pixel


def _pixel_decoder(config: AgriFMConfig, inputs: Mapping[str, Shape], training: bool) -> float:
    """Numbers of the pixel decoder: the detail of every source, their sum, and the joined channels."""
    assert config.pixel_decoder is not None
    samples, height, width = _pixels(config, inputs)
    details, joined = (len(inputs) + 4, 10) if training else (len(inputs) + 2, 4)
    per_pixel = details * config.pixel_decoder.detail + joined * config.pixel_decoder.hidden + 2 * config.classes
    return float(samples * height * width * per_pixel)


def _released(config: AgriFMConfig, inputs: Mapping[str, Shape], training: bool) -> float:
    """Numbers of the released neck and head: at each level what is joined and three maps, then the head's two."""
    samples, height, width = _pixels(config, inputs)
    channels = config.widths(config.neck_sources[0])[-1]
    source = config.source(config.neck_sources[0])
    h, w = (
        -(-length // (8 * side * source.pixel)) for length, side in zip((height, width), source.patch[1:], strict=True)
    )
    levels = []
    for level in (config.neck_sources, *config.neck_levels):
        levels.append((4 + 2 * len(level)) * channels * h * w)
        h, w = 2 * h, 2 * w
    whole = height * width
    head = (2 * channels if training else 0.1 * channels) * whole + 2 * config.classes * whole
    return float(samples * (sum(levels) + head if training else max(levels) + head))
