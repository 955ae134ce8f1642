"""The cost of any network: its peak memory before it runs, free memory, and multiply-adds.

Memory is estimated from shapes: numbers of four bytes that exist at the peak, which are weights and what each family of
networks states of its series and layers. How many tensors of a kind exist at once is calibrated by measured peaks
(`tests/models/test_cost.py`).

Multiply-adds are counted by PyTorch on tensors without content, so nothing is computed. They are those of linear
layers, convolutions, and the two products of attention, without normalisation, activations and resizing.

Shape letters: B samples, T frames, H W rows and columns.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from agrifm.errors import ModelError
from agrifm.free_memory import free_memory

SeriesShape = tuple[int, int, int, int]
"""B, T, H, W of a sensor's images."""
MAX_ERROR_FACTOR = 2.0
"""Measured peaks are within this factor of the estimate."""
IMAGE_COPIES = 3
"""Copies of the images at once: as read, normalised, and padded or interpolated."""
TRAINED_NUMBERS = 4
"""Numbers per weight in training: the weight, its gradient, and two of the optimiser."""
LIBRARY_BYTES = 40e6
"""Memory that the libraries allocate at their first run."""


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
