"""The numbers in memory at the peak of a pass of AgriFM, estimated from shapes.

Shape letters: B samples, T frames, H W rows and columns.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agrifm.models.cost import IMAGE_COPIES, SeriesShape

if TYPE_CHECKING:
    from agrifm.models.agrifm.network import AgriFMConfig, Source

BLOCK_NUMBERS = 20
"""Numbers that a block keeps for the backward pass, per token and channel: 3 of queries, keys and values, 8 of the
perceptron, the rest normalised, reordered and added."""
TOKEN_GRIDS = 5
"""Token grids at once without gradients: the input of a block, those changed in place, those of a merge."""


def activations(config: "AgriFMConfig", inputs: Mapping[str, SeriesShape], training: bool, recomputed: bool) -> float:
    """Estimate the numbers at the peak of one pass, without the weights.

    They are the series, tokens with what a block makes of them, and maps of the decoder.

    Args:
        inputs: (B, T, H, W) of the images of each sensor that is present.
        training: forward and backward pass; otherwise forward without gradients.
        recomputed: whether blocks are computed again in the backward pass.
    """
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
    config: "AgriFMConfig", source: "Source", shape: SeriesShape, training: bool, recomputed: bool
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


def _pixels(config: "AgriFMConfig", inputs: Mapping[str, SeriesShape]) -> tuple[int, int, int]:
    """Samples, rows and columns of the target grid."""
    finest = min(inputs, key=lambda name: config.source(name).pixel)
    samples, _, height, width = inputs[finest]
    pixel = config.source(finest).pixel
    return samples, height * pixel, width * pixel


def _pixel_decoder(config: "AgriFMConfig", inputs: Mapping[str, SeriesShape], training: bool) -> float:
    """Numbers of the pixel decoder: the detail of every source, their sum, and the joined channels."""
    assert config.pixel_decoder is not None
    samples, height, width = _pixels(config, inputs)
    details, joined = (len(inputs) + 4, 10) if training else (len(inputs) + 2, 4)
    per_pixel = details * config.pixel_decoder.detail + joined * config.pixel_decoder.hidden + 2 * config.classes
    return float(samples * height * width * per_pixel)


def _released(config: "AgriFMConfig", inputs: Mapping[str, SeriesShape], training: bool) -> float:
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
