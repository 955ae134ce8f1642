"""How a network computes without changing what it computes: precision, compilation, recomputed activations.

All are off by default. PyTorch is imported when a function needs it: a map by an exported network runs without it.
"""

import os
import shutil
import sys
import sysconfig
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from agrifm.errors import ModelError, Note, did_you_mean

if TYPE_CHECKING:
    import torch
    from torch import nn

Precision = Literal["float32", "bfloat16", "float16"]
Network = TypeVar("Network", bound="nn.Module")


@dataclass(frozen=True)
class Compute:
    """How a network computes (docs/precision.md)."""

    precision: Precision = "float32"
    """Of products; weights and optimiser stay float32."""
    recompute: bool = False
    """Whether training computes the activations of blocks again in the backward pass: less memory, more time."""
    compiled: bool = False
    """Whether the network is compiled by `torch.compile`."""


DEFAULT_COMPUTE = Compute()
"""How a network computes by default."""


def precision_notes(precision: str, device: "torch.device") -> list[str]:
    """Return what a user should know before computing in a precision on a device, in sentences; usually nothing.

    Raises:
        ModelError: the precision is unknown, or the device is absent or cannot compute in it.
    """
    import torch

    about, known = f"computing in {precision} on {device}", get_args(Precision)
    if precision not in known:
        raise ModelError(
            f"{about}: unknown precision{did_you_mean(precision, known)} (known: {', '.join(known)})",
            precision=precision,
        )
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"{about}: no GPU found; use cpu, or check the driver with nvidia-smi", device="cuda")
    if precision == "float16" and device.type == "cpu":
        raise ModelError(
            f"{about}: its range is too small for training, and a CPU has no fast kernels for it; choose bfloat16",
            precision=precision,
        )
    if precision == "bfloat16" and device.type == "cpu" and not bfloat16_is_native():
        return [f"{about}: the CPU has no instructions for it (AVX512-BF16, AMX), so it is slower than float32"]
    return []


def warn_of_precision(precision: str, device: "torch.device") -> None:
    """Issue the notes of `precision_notes` as Python warnings; raises as it does."""
    for note in precision_notes(precision, device):
        warnings.warn(note, Note, stacklevel=3)


def bfloat16_is_native() -> bool:
    """Return whether the CPU has instructions for products of bfloat16."""
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def computing(precision: Precision, device: "torch.device") -> AbstractContextManager[object]:
    """Return the context in which a forward pass computes in a precision; weights stay float32."""
    import torch

    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bfloat16" else torch.float16)


def recompute_blocks(network: Network) -> Network:
    """Make a network keep only the input of each block in training, and compute the rest again for the gradients.

    It needs less memory and more time. Gradients are the same except for rounding. Networks without blocks stay as
    they are. Returns the same network.
    """
    from agrifm.models.agrifm.swin3d import Stage

    for module in network.modules():
        if isinstance(module, Stage):
            module.recompute = True
    return network


def compile_network(network: Network) -> Network:
    """Make a network compile at its first pass on series of each shape (`torch.compile`); returns the same network.

    Parameters keep their names. Results are the same except for rounding; in training, stochastic depth draws other
    random numbers. From the ninth shape on, PyTorch computes without compiling.

    Raises:
        ModelError: its activations are recomputed, or the C++ compiler or Python header that PyTorch needs is missing.
    """
    from agrifm.models.agrifm.swin3d import Stage

    if any(isinstance(module, Stage) and module.recompute for module in network.modules()):
        # the compiler does not keep the generator's state for them (torch/_higher_order_ops/wrap.py)
        raise ModelError(
            "compiling the network: recomputed activations might drop other paths than the first time; choose either "
            "`compiled` or `recompute`"
        )
    compiler = os.environ.get("CXX", {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++"))  # as PyTorch looks
    header = Path(sysconfig.get_paths()["include"], "Python.h")
    if shutil.which(compiler) is None:
        raise ModelError(
            f"compiling the network: PyTorch needs a C++ compiler, and {compiler} is not installed; install it, set "
            "another compiler in CXX, or leave `compiled` out",
            compiler=compiler,
        )
    if not header.exists():
        raise ModelError(
            f"compiling the network: PyTorch needs Python's headers, and {header} does not exist; install them "
            "(python3-dev), or leave `compiled` out",
            path=header,
        )
    network.compile(dynamic=False)  # windows are planned for one grid, so its sides must be known
    return network
