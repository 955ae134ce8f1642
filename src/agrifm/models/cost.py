"""The cost of a network before it runs: peak memory, free memory, parameters, and multiply-adds.

Memory is estimated from shapes: numbers of four bytes that exist at the peak, which are weights, series, tokens with
what a block makes of them, and maps of the decoder. How many tensors of a kind exist at once is calibrated by measured
peaks (`tests/models/test_cost.py`).

Multiply-adds are counted by PyTorch on tensors without content, so nothing is computed. They are those of linear
layers, convolutions, and the two products of attention, without normalisation, activations and resizing.

Shape letters: B samples, T frames, C channels, H W rows and columns.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from agrifm.errors import ModelError
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, Source
from agrifm.models.tempcnn import TempCNN, TempCNNConfig

SeriesShape = tuple[int, int, int, int]
"""B, T, H, W of a sensor's images."""
MAX_ERROR_FACTOR = 2.0
"""Measured peaks are within this factor of the estimate."""
IMAGE_COPIES = 3
"""Copies of the images at once: as read, normalised, and padded or interpolated."""
BLOCK_NUMBERS = 20
"""Numbers that a block keeps for the backward pass, per token and channel: 3 of queries, keys and values, 8 of the
perceptron, the rest normalised, reordered and added."""
TOKEN_GRIDS = 5
"""Token grids at once without gradients: the input of a block, those changed in place, those of a merge."""
TRAINED_NUMBERS = 4
"""Numbers per weight in training: the weight, its gradient, and two of the optimiser."""
LIBRARY_BYTES = 40e6
"""Memory that the libraries allocate at their first run."""
CGROUP = Path("/sys/fs/cgroup")
"""Files of the process's control group on Linux (kernel documentation, cgroup-v2)."""


class MultiplyAdds(NamedTuple):
    """Multiply-adds of a forward pass of one sample."""

    encoders: int
    """Up to the features of all sources."""
    decoder: int
    """Of neck and head, or of the pixel decoder."""

    @property
    def total(self) -> int:
        """Of both."""
        return self.encoders + self.decoder


class ParameterCount(NamedTuple):
    """Numbers that are learned."""

    encoders: int
    decoder: int


def memory_needed(
    config: AgriFMConfig | TempCNNConfig, inputs: Mapping[str, SeriesShape], training: bool, recomputed: bool = False
) -> int:
    """Estimate the bytes at the peak of one pass in float32, beyond those of the process before weights are read.

    Args:
        config: of the network.
        inputs: (B, T, H, W) of the images of each sensor that is present.
        training: forward, backward and the optimiser's step; otherwise forward without gradients.
        recomputed: whether blocks are computed again in the backward pass (`agrifm.models.precision.Compute`).
    """
    # on this device tensors have shapes and no memory
    with torch.device("meta"):
        network = TempCNN(config) if isinstance(config, TempCNNConfig) else AgriFM(config)
        weights = sum(parameter.numel() for parameter in network.parameters())
    if isinstance(config, TempCNNConfig):
        others = _tempcnn(config, inputs, training)
    else:
        others = _agrifm(config, inputs, training, recomputed)
    # four bytes per number in float32
    return round(4 * (weights * (TRAINED_NUMBERS if training else 1) + others) + LIBRARY_BYTES)


def first_channels(config: AgriFMConfig | TempCNNConfig) -> int:
    """Return how many numbers per target pixel the first layer makes, which decides if a second thread pays."""
    return config.width * config.frames if isinstance(config, TempCNNConfig) else config.encoder.embed_dim


def window_shapes(
    pixels: Mapping[str, int], frames: Mapping[str, int], samples: int, height: int, width: int
) -> dict[str, SeriesShape]:
    """Return the shapes of the images of windows, by sensor.

    Args:
        pixels: target pixels along one pixel of each sensor (`agrifm.record.target_pixels`).
        frames: of each sensor that is present.
        samples: windows in a batch.
        height, width: target pixels of a window.
    """
    return {
        name: (samples, count, -(-height // pixels[name]), -(-width // pixels[name])) for name, count in frames.items()
    }


def require_memory(needed: int, about: str, advice: str) -> None:
    """Refuse what does not fit into the free memory.

    Args:
        needed: bytes.
        about: what is being done, for the error.
        advice: what would need less, likewise.

    Raises:
        ModelError: more is needed than is free.
    """
    free = free_memory()
    if needed > free:
        raise ModelError(
            f"{about}: it needs about {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free; {advice}",
            needed_bytes=needed,
            free_bytes=free,
        )


def free_memory() -> int:
    """Return the bytes that this process can still allocate.

    They are the smaller of what the system has available and what the process's control group (a container's limit,
    on Linux) leaves.
    """
    available: int = psutil.virtual_memory().available
    try:
        limit, used = (int((CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        parts = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        cache = int(parts["inactive_file"])  # the kernel gives it back when memory is needed
    except (OSError, ValueError, KeyError):  # no such group, or "max": no limit
        return available
    return min(available, limit - used + cache)


def count_parameters(config: AgriFMConfig) -> ParameterCount:
    """Count the parameters of the encoders and of the rest."""
    with torch.device("meta"):
        network = AgriFM(config)
    encoders = sum(parameter.numel() for parameter in network.encoders.parameters())
    return ParameterCount(encoders, sum(parameter.numel() for parameter in network.parameters()) - encoders)


def forward_multiply_adds(config: AgriFMConfig, frames: int, side: int) -> MultiplyAdds:
    """Count the multiply-adds of a forward pass on one sample of plain series.

    Args:
        frames: images of every series.
        side: rows and columns of the sample, target pixels.

    Raises:
        ModelError: the series do not fit the config.
    """
    network, images = _without_content(config, frames, side)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(images)
    by_module = counter.get_flop_counts()
    # PyTorch counts two operations per multiply-add
    encoders = sum(by_module["AgriFM.encoders"].values()) // 2
    return MultiplyAdds(encoders, counter.get_total_flops() // 2 - encoders)


def training_multiply_adds(config: AgriFMConfig, frames: int, side: int) -> int:
    """Count the multiply-adds of a forward and a backward pass, as if the logits of attention were kept.

    Arguments and errors are those of `forward_multiply_adds`.
    """
    network, images = _without_content(config, frames, side)
    return count_multiply_adds(lambda: network(images).sum().backward())


def count_multiply_adds(run: Callable[[], object]) -> int:
    """Count the multiply-adds of everything that `run` computes, on tensors of the `meta` device.

    PyTorch counts two operations per multiply-add. It knows attention by its two products; on the CPU attention is one
    operation, which it would not count.
    """
    gradients = {torch.ops.aten.convolution_backward: _convolution_backward_operations}
    with FlopCounterMode(display=False, custom_mapping=gradients) as counter:
        run()
    operations: int = counter.get_total_flops()
    return operations // 2


def _convolution_backward_operations(
    grad: Sequence[int], x: Sequence[int], weight: Sequence[int], *others: object, **_: object
) -> int:
    """Operations of a convolution's gradients, from shapes: each gradient needs as many as the convolution.

    PyTorch's own count is wrong for depthwise convolutions: it counts every pair of channels.
    """
    transposed, wanted = others[4], others[7]  # after bias, stride, padding and dilation; and at the end
    assert isinstance(wanted, Sequence)
    once: int = conv_flop_count(list(x), list(weight), list(grad), bool(transposed))
    return once * sum(bool(gradient) for gradient in wanted[:2])


def _without_content(config: AgriFMConfig, frames: int, side: int) -> tuple[AgriFM, dict[str, Tensor]]:
    with torch.device("meta"):
        network = AgriFM(config).eval()
        sides = {source.name: -(-side // source.pixel) for source in config.sources}
        images = {
            source.name: torch.empty(1, frames, source.channels, sides[source.name], sides[source.name])
            for source in config.sources
        }
    if config.pixel_decoder is None:
        network.heads.train()  # in evaluation it works strip by strip and reads values, which meta tensors lack
    return network, images


def _tempcnn(config: TempCNNConfig, inputs: Mapping[str, SeriesShape], training: bool) -> float:
    """Numbers of a TempCNN at the peak, without its weights; training keeps each layer's input and normalisation."""
    samples, frames, height, width = max(inputs.values(), key=lambda shape: shape[2] * shape[3])
    images = IMAGE_COPIES * frames * sum(config.channels.values())
    # calibrated by measured peaks: training keeps three layers of convolution, normalisation, activation and dropout
    layers = (20 if training else 3) * frames * config.width + (4 if training else 2) * config.dense
    return float(samples * height * width * (images + layers))


def _agrifm(config: AgriFMConfig, inputs: Mapping[str, SeriesShape], training: bool, recomputed: bool) -> float:
    """Numbers of AgriFM at the peak, without its weights."""
    kept, largest = 0.0, 0.0
    for name, shape in inputs.items():
        source_kept, source_largest = _encoder(config, config.source(name), shape, training, recomputed)
        kept, largest = kept + source_kept, max(largest, source_largest)
    decoder = (
        _pixel_decoder(config, inputs, training)
        if config.pixel_decoder is not None
        else _released(config, inputs, training)
    )
    # without gradients the encoder's tensors are free again when the decoder runs
    return kept + largest + decoder if training else kept + max(largest, decoder)


def _encoder(
    config: AgriFMConfig, source: Source, shape: SeriesShape, training: bool, recomputed: bool
) -> tuple[float, float]:
    """Numbers of a source's encoder: those kept until the decoder or the backward pass, and the most beyond them."""
    samples, frames, height, width = shape
    images = IMAGE_COPIES * samples * frames * source.channels * height * width
    _, rows, columns = source.patch
    h, w = -(-height // rows), -(-width // columns)
    kept, largest = float(images), 0.0
    steps = config.encoder.time_steps(frames, source.patch[0])
    for depth, channels, time in zip(config.encoder.depths, config.encoder.widths(), steps, strict=True):
        grid = samples * time * h * w * channels
        # the feature map of the stage; `mean` removes its time axis
        kept += grid if config.encoder.fusion == "cat" else grid / time
        if training:
            # a recomputed block keeps its input alone
            kept += (depth + TOKEN_GRIDS if recomputed else depth * BLOCK_NUMBERS + TOKEN_GRIDS) * grid
            largest = max(largest, BLOCK_NUMBERS * grid)
        else:
            largest = max(largest, TOKEN_GRIDS * grid)
        h, w = -(-h // 2), -(-w // 2)
    return kept, largest


def _pixels(config: AgriFMConfig, inputs: Mapping[str, SeriesShape]) -> tuple[int, int, int]:
    """Samples, rows and columns of the target grid."""
    finest = min(inputs, key=lambda name: config.source(name).pixel)
    samples, _, height, width = inputs[finest]
    pixel = config.source(finest).pixel
    return samples, height * pixel, width * pixel


def _pixel_decoder(config: AgriFMConfig, inputs: Mapping[str, SeriesShape], training: bool) -> float:
    """Numbers of the pixel decoder: the detail of every source, their sum, and the joined channels."""
    assert config.pixel_decoder is not None
    samples, height, width = _pixels(config, inputs)
    details, joined = (len(inputs) + 4, 10) if training else (len(inputs) + 2, 4)
    per_pixel = details * config.pixel_decoder.detail + joined * config.pixel_decoder.hidden + 2 * config.classes
    return float(samples * height * width * per_pixel)


def _released(config: AgriFMConfig, inputs: Mapping[str, SeriesShape], training: bool) -> float:
    """Numbers of the released neck and head: at each level the joined maps and three more, then two of the head."""
    samples, height, width = _pixels(config, inputs)
    channels = config.widths(config.neck_sources[0])[-1]
    source = config.source(config.neck_sources[0])
    # a cell of the coarsest features is 8 tokens wide, after three merges
    h, w = (
        -(-length // (8 * side * source.pixel)) for length, side in zip((height, width), source.patch[1:], strict=True)
    )
    levels = []
    for level in (config.neck_sources, *config.neck_levels):
        levels.append((4 + 2 * len(level)) * channels * h * w)
        h, w = 2 * h, 2 * w
    pixels = height * width
    head = (2 * channels if training else 0.1 * channels) * pixels + 2 * config.classes * pixels
    return float(samples * (sum(levels) + head if training else max(levels) + head))
