"""How a network computes, without a change of what it computes: precision, compilation, activations computed again.

None of it is on unless asked for.
"""

import os
import shutil
import sys
import sysconfig
import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import nn

from agrifm.errors import ModelError
from agrifm.models.agrifm.swin3d import Stage

Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16")
Network = TypeVar("Network", bound=nn.Module)


def precision_notes(precision: str, device: torch.device) -> list[str]:
    """What a user should know before computing in a precision on a device, a sentence each; mostly none.

    Raises:
        ModelError: the precision is unknown, or the device is not there or cannot compute in it.
    """
    about = f"computing in {precision} on {device}"
    if precision not in PRECISIONS:
        raise ModelError(f"{about}: there is no such precision; choose one of {', '.join(PRECISIONS)}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"{about}: no GPU is to be seen; compute on cpu, or look at the driver with nvidia-smi")
    if precision == "float16" and device.type == "cpu":
        raise ModelError(
            f"{about}: float16 has too small a range for training and no fast kernels on a processor; choose bfloat16"
        )
    if precision == "bfloat16" and device.type == "cpu" and not bfloat16_is_native():
        return [f"{about}: the processor has no instructions for it (AVX512-BF16, AMX), so it is slower than float32"]
    return []


def warn_of_precision(precision: str, device: torch.device) -> None:
    """Say the notes of `precision_notes` as Python warnings; raises as it does."""
    for note in precision_notes(precision, device):
        warnings.warn(note, stacklevel=3)


def bfloat16_is_native() -> bool:
    """Whether the processor multiplies bfloat16 by instructions of its own."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def computing(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context in which a forward pass computes in a precision: weights stay float32, products are shortened."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bfloat16" else torch.float16)


def recompute_blocks(network: Network) -> Network:
    """The same network, which from now on keeps only what enters each block, and computes the rest again in training.

    It needs less memory and more time; gradients are the same but for rounding.
    """
    for module in network.modules():
        if isinstance(module, Stage):
            module.recompute = True
    return network


def compile_network(network: Network) -> Network:
    """The same network, which from now on is compiled at its first pass on series of each shape (`torch.compile`).

    Parameters and their names stay. Results are the same but for rounding; where paths are dropped in training, other
    random numbers drop them. From the ninth shape on PyTorch computes without compiling.

    Raises:
        ModelError: its activations are recomputed, or there is no C++ compiler or no header of Python's, which
            PyTorch's compiler needs.
    """
    if any(isinstance(module, Stage) and module.recompute for module in network.modules()):
        # the compiler does not keep the generator's state for them (torch/_higher_order_ops/wrap.py)
        raise ModelError(
            "compiling the network: recomputed activations might drop other paths than the first time; choose either "
            "`compiled` or `recompute`"
        )
    name = os.environ.get("CXX", {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++"))  # as PyTorch looks
    header = Path(sysconfig.get_paths()["include"], "Python.h")
    if shutil.which(name) is None:
        raise ModelError(
            f"compiling the network: PyTorch needs a C++ compiler and there is no {name}; install it, name another "
            "one in CXX, or leave `compiled` out"
        )
    if not header.exists():
        raise ModelError(
            f"compiling the network: PyTorch needs Python's headers and there is no {header}; install them "
            "(python3-dev), or leave `compiled` out"
        )
    network.compile(dynamic=False)  # windows are planned for one grid, so that its sides must be known
    return network
