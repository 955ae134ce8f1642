"""Infer the configuration of a network from the names and shapes of its tensors.

Values that are in no tensor are stated by the caller, or assumed to be AgriFM's and mentioned in a note.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Literal

import torch
from pydantic import ValidationError
from torch import Tensor

from agrifm.errors import ModelError, did_you_mean
from agrifm.models.agrifm.attention import relative_position_index
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig
from agrifm.models.agrifm.swin3d import SwinConfig
from agrifm.models.agrifm.timeseries import DATE_FEATURES
from agrifm.models.agrifm.window_partition import Triple
from agrifm.models.weights.names import INDEX_SUFFIX
from agrifm.validation import complaint

DecoderKind = Literal["released", "other", "none"]
STAGE_COUNT = 4
MAX_NAMES_SEARCHED = 2000
"""Names among which a similar one is searched for: files of unknown origin may have very many."""
BIAS_TABLE_SUFFIX = "attn.relative_position_bias_table"
_EMBEDDING = re.compile(r"encoders\.encoders\.([A-Za-z0-9_-]+)\.patch_emd\.proj\.weight")
_BLOCK = re.compile(r"layers\.(\d{1,4})\.blocks\.(\d{1,4})\.")
_LEVEL = re.compile(r"neck\.fusion_list\.(\d{1,4})\..+")
MAX_WINDOW_TOKENS = 4096
"""Largest window, in tokens; the position index has the square of it."""


@dataclass(frozen=True)
class InferredConfig:
    """What the tensors say about their network."""

    config: AgriFMConfig
    """Of the whole network; its decoder is a placeholder unless `decoder` is `released`."""
    decoder: DecoderKind
    """`released`: neck and head of the public code; `other`: only the model's record can describe it."""
    notes: tuple[str, ...]
    """What the tensors cannot say, and what was assumed."""


def infer_network_config(tensors: Mapping[str, Tensor], about: str, window: Triple | None = None) -> InferredConfig:
    """Infer the configuration of the network from tensors with our names.

    Args:
        about: beginning of an error message.
        window: time steps, rows and columns, if the tensors do not determine it.

    Raises:
        ModelError: an embedding, a backbone, a stage or a block is missing, or the window is ambiguous.
    """
    kernels = {match[1]: tensors[name] for name in tensors if (match := _EMBEDDING.fullmatch(name))}
    if not kernels:
        raise ModelError(f"{about}: it has no patch embedding to infer the bands from; give the whole encoder")
    for source, kernel in kernels.items():
        if kernel.ndim != 5 or not kernel.numel():
            raise ModelError(
                f"{about}: the patch embedding of {source} has shape {tuple(kernel.shape)}, expected 5 axes "
                "(width, bands, frames, rows, columns); get the file again"
            )
    shared = any(name.startswith("encoders.backbone.") for name in tensors)
    first = next(iter(kernels))
    backbone = "encoders.backbone." if shared else f"encoders.encoders.{first}.backbone."
    encoder, notes = _infer_backbone(tensors, backbone, about, window)
    encoder = encoder.model_copy(update=_knows_observations(tensors, first))
    decoder, neck, more = _infer_decoder(tensors, list(kernels), encoder)
    every = tuple(kernels)
    content: dict[str, object] = {
        "sources": [
            {
                "name": name,
                "channels": kernel.shape[1],
                "patch": tuple(kernel.shape[2:]),
                "frames": _frames(kernel, neck),
            }
            for name, kernel in kernels.items()
        ],
        "classes": neck.classes,
        "encoder": {**encoder.model_dump(), "fusion": neck.fusion, "downsample_steps": neck.steps},
        "neck_sources": every,
        "neck_levels": (every,) * neck.levels,
        "shared": shared,
    }
    try:
        config = AgriFMConfig.model_validate(content)
    except ValidationError as error:
        reason = complaint(error, AgriFMConfig)
        raise ModelError(f"{about}: its shapes do not make an AgriFM network ({reason}); get it again") from error
    return InferredConfig(config, decoder, (*notes, *more))


def expected_shapes(config: AgriFMConfig, decoder: bool) -> dict[str, torch.Size]:
    """Names and shapes of a network's tensors, without the buffers that follow from the window; uses no memory."""
    # shapes without numbers
    with torch.device("meta"):
        state = AgriFM(config).state_dict()
    return {
        name: tensor.shape
        for name, tensor in state.items()
        if not name.endswith(INDEX_SUFFIX) and (decoder or name.startswith("encoders."))
    }


def _infer_backbone(
    tensors: Mapping[str, Tensor], prefix: str, about: str, window: Triple | None
) -> tuple[SwinConfig, list[str]]:
    blocks: dict[int, set[int]] = {}
    for name in tensors:
        if name.startswith(prefix) and (match := _BLOCK.match(name.removeprefix(prefix))):
            blocks.setdefault(int(match[1]), set()).add(int(match[2]))
    if sorted(blocks) != list(range(STAGE_COUNT)):
        stages = ", ".join(str(stage) for stage in sorted(blocks)) or "none"
        raise ModelError(f"{about}: '{prefix}' has stages {stages}, AgriFM has 0, 1, 2, 3; get the whole backbone")
    for stage, numbers in blocks.items():
        if gaps := set(range(len(numbers))) - numbers:
            raise ModelError(f"{about}: stage {stage} of '{prefix}' lacks block {min(gaps)}; get the whole backbone")
    tables = [
        _tensor(tensors, f"{prefix}layers.{stage}.blocks.0.{BIAS_TABLE_SUFFIX}", 2, about)
        for stage in range(STAGE_COUNT)
    ]
    hidden = _tensor(tensors, f"{prefix}layers.0.blocks.0.mlp.fc1.weight", 2, about)
    index = tensors.get(f"{prefix}layers.0.blocks.0.attn.{INDEX_SUFFIX}")
    inferred_window, note = _window(tables[0].shape[0], index, window, about)
    depths = [len(blocks[stage]) for stage in range(STAGE_COUNT)]
    heads = [table.shape[1] for table in tables]
    content = {
        "embed_dim": hidden.shape[1],
        "depths": depths,
        "heads": heads,
        "window": inferred_window,
        "mlp_ratio": hidden.shape[0] / max(hidden.shape[1], 1),
    }
    try:
        return SwinConfig.model_validate(content), note
    except ValidationError as error:
        reason = complaint(error, SwinConfig)
        raise ModelError(f"{about}: its shapes do not make an AgriFM encoder ({reason}); get it again") from error


def _window(rows: int, index: Tensor | None, stated: Triple | None, about: str) -> tuple[Triple, list[str]]:
    """The window of a bias table, from the position index if the file has it; and a note on what was assumed."""
    fitting = [window for window in _windows(rows) if stated in (None, window)]
    if not fitting:
        wanted = f"the stated window {stated}" if stated else "any window"
        raise ModelError(
            f"{about}: a position table of {rows} rows does not match {wanted}; state the right one, or none"
        )
    if index is not None:
        tokens = index.shape[0] if index.ndim else 0
        candidates = [window for window in fitting if window[0] * window[1] * window[2] == tokens]
        for window in candidates:
            if torch.equal(relative_position_index(window), index):
                return window, []
        raise ModelError(f"{about}: the position index is not of a window with {rows} rows; get the file again")
    if stated:
        return stated, ["the window is as stated; the file has no position index to check it with"]
    if SwinConfig().window in fitting:
        return SwinConfig().window, [
            f"the window is assumed to be AgriFM's 8,7,7, which has {rows} rows; the file has no position index"
        ]
    some = "; ".join(",".join(str(side) for side in window) for window in fitting[:4])
    raise ModelError(
        f"{about}: a position table of {rows} rows matches windows such as {some}, and the file has no position index; "
        "state it (--window T,H,W)"
    )


def _windows(rows: int) -> list[Triple]:
    """All windows (D, H, W) whose table has so many rows: (2D - 1)(2H - 1)(2W - 1)."""
    # 2D - 1 is odd, so the sides are odd divisors
    odd = [side for side in range(1, min(rows, 2 * MAX_WINDOW_TOKENS) + 1, 2) if rows % side == 0]
    triples = (
        ((d + 1) // 2, (h + 1) // 2, (rows // (d * h) + 1) // 2) for d, h in product(odd, odd) if rows % (d * h) == 0
    )
    return [(d, h, w) for d, h, w in triples if d * h * w <= MAX_WINDOW_TOKENS and rows % 2]


def _knows_observations(tensors: Mapping[str, Tensor], source: str) -> dict[str, bool]:
    """Whether tokens know dates and validity, from the number of features of each frame of a token."""
    code = tensors.get(f"encoders.encoders.{source}.patch_emd.code.frames.weight")
    if code is None or code.ndim != 2:
        return {}
    frames = tensors[f"encoders.encoders.{source}.patch_emd.proj.weight"].shape[2]
    # DATE_FEATURES numbers for dates, one for validity
    per_frame = code.shape[1] // frames
    return {"dates": per_frame >= DATE_FEATURES, "validity": per_frame in (1, DATE_FEATURES + 1)}


@dataclass(frozen=True)
class _NeckShape:
    """What the neck says about time; placeholders for a network without one."""

    classes: int = 1
    levels: int = 3
    fusion: Literal["cat", "mean"] = "mean"
    steps: Triple = (2, 2, 2)
    time_steps: int | None = None


def _infer_decoder(
    tensors: Mapping[str, Tensor], sources: list[str], encoder: SwinConfig
) -> tuple[DecoderKind, _NeckShape, list[str]]:
    assumed = [
        "fusion, merged time steps and skips are in no tensor; assumed: mean over time, steps and skips as released"
    ]
    if any(name.startswith("decoder.") for name in tensors):
        return "other", _NeckShape(), assumed
    if not any(name.startswith(("neck.", "heads.")) for name in tensors):
        return "none", _NeckShape(), assumed
    unread = ["the decoder is left out: the inputs of its neck cannot be inferred from the tensors"]
    last = tensors.get("heads.head.2.weight")
    out = tensors.get("neck.out_conv.0.weight")
    numbers = {int(match[1]) for name in tensors if (match := _LEVEL.fullmatch(name))}
    level_kernels = [tensors.get(f"neck.fusion_list.{number}.0.weight") for number in sorted(numbers)]
    start = tensors.get("neck.in_conv.0.weight")
    parts = [last, out, *level_kernels, *([] if start is None else [start])]
    kernels = [tensor for tensor in parts if tensor is not None and tensor.ndim == 4 and tensor.numel()]
    if len(kernels) < len(parts) or not 0 < len(level_kernels) <= STAGE_COUNT or last is None or out is None:
        return "other", _NeckShape(), unread
    width, count = out.shape[0], len(sources)
    # the network of a single source has no `in_conv`
    if (1 if start is None else start.shape[1] // width) != count:
        return "other", _NeckShape(), unread
    # skips have embed_dim x 2^stage x time steps channels of each source, the neck as many as the last stage
    width_0 = encoder.embed_dim * count
    skips = [tensor.shape[1] - width for tensor in level_kernels if tensor is not None][::-1]  # finest first
    times = [*(skip / (width_0 * 2**entry) for entry, skip in enumerate(skips)), width / (8 * encoder.embed_dim)]
    if any(time < 1 or time % 1 for time in times):
        return "other", _NeckShape(), unread
    if set(times) == {1}:
        return (
            "released",
            _NeckShape(last.shape[0], len(level_kernels)),
            ["fusion is `mean`: every level has one time step"],
        )
    whole = [int(time) for time in times]
    if len(whole) != STAGE_COUNT:
        return "other", _NeckShape(), unread
    steps = [_step(before, after) for before, after in pairwise(whole)]
    merged = [step for step in steps if step is not None]
    if len(merged) != 3:
        return "other", _NeckShape(), unread
    note = f"fusion is `cat` over {', '.join(map(str, whole))} time steps, as the neck's channels say"
    return "released", _NeckShape(last.shape[0], 3, "cat", _triple(merged), whole[0]), [note]


def _step(before: int, after: int) -> int | None:
    """How many time steps become one; two, as released, if that is possible."""
    return next((step for step in (2, 1, *range(3, before + 1)) if -(-before // step) == after), None)


def _frames(kernel: Tensor, neck: _NeckShape) -> int | None:
    return None if neck.time_steps is None else neck.time_steps * kernel.shape[2]


def _triple(sizes: torch.Size | list[int]) -> Triple:
    d, h, w = sizes
    return d, h, w


def _tensor(tensors: Mapping[str, Tensor], name: str, axes: int, about: str) -> Tensor:
    tensor = tensors.get(name)
    if tensor is None:
        hint = did_you_mean(name, list(tensors)[:MAX_NAMES_SEARCHED], 0.6)
        raise ModelError(f"{about}: {name!r} is missing; get the whole file again{hint}", tensor=name)
    if tensor.ndim != axes or not tensor.numel():
        raise ModelError(
            f"{about}: {name!r} has shape {tuple(tensor.shape)}, expected {axes} axes with entries; get the file again",
            tensor=name,
        )
    return tensor
