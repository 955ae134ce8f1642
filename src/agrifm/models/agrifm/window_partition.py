"""The partition of a token grid into attention windows, and which of the windows are alike.

Shape letters: B samples, M windows, N cells per window, R real tokens among them. A grid is (D, H, W): time steps,
rows, columns of tokens; its tokens are numbered in that order, those of the next sample follow.

The public AgriFM code pads the grid at the end, so that whole windows cover it, and rolls it in every second block, so
that tokens at the border of one window sit inside another one in the next block. Few of the windows differ: inner ones
are all alike, and those at an end differ in the padding they hold and in what the roll brought together. Such patterns
are computed once per grid, so that alike windows are attended in one call, without padding or rolling any tokens.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

Triple = tuple[int, int, int]
Size = tuple[int, int]


class WindowPattern(NamedTuple):
    """What alike windows have in common."""

    cells: Tensor
    """Cells of the window, those with real tokens first, then the padding."""
    real: int
    """Cells with real tokens."""
    apart: Tensor | None
    """1 where a token and a cell, both in the order of `cells`, come from separate regions, else 0; None = nowhere."""


class PatternWindows(NamedTuple):
    """Successive windows of one pattern."""

    pattern: int
    windows: int


class WindowChunk(NamedTuple):
    """Windows that are processed together."""

    rows: Tensor
    """(L,), numbers of their tokens, pattern by pattern and window by window."""
    sample: Tensor
    """(L,), the sample that each token belongs to."""
    groups: tuple[PatternWindows, ...]


class WindowPlan(NamedTuple):
    """All windows of a batch."""

    patterns: tuple[WindowPattern, ...]
    chunks: tuple[WindowChunk, ...]
    inverse: Tensor
    """Position of each token in the rows of all chunks."""


def clamp_window(grid: Triple, window: Triple, shift: Triple) -> tuple[Triple, Triple]:
    """Window and shift that fit the grid; an axis within one window becomes a single unshifted window."""
    d, h, w = (
        (size, 0) if size <= side else (side, step) for size, side, step in zip(grid, window, shift, strict=True)
    )
    return (d[0], h[0], w[0]), (d[1], h[1], w[1])


def pad_end(x_BDHWC: Tensor, multiple: Triple, value: float = 0) -> Tensor:
    """Pad time, rows and columns at the end, up to multiples."""
    d, h, w = (-size % side for size, side in zip(x_BDHWC.shape[1:4], multiple, strict=True))
    return functional.pad(x_BDHWC, (0, 0, 0, w, 0, h, 0, d), value=value) if d or h or w else x_BDHWC


def cut_windows(x_BDHWC: Tensor, window: Triple) -> Tensor:
    """Cut a grid whose axes are multiples of the window, to (B M) N C; the windows of a sample follow each other."""
    d, h, w = window
    return rearrange(x_BDHWC, "b (nd d) (nh h) (nw w) c -> (b nd nh nw) (d h w) c", d=d, h=h, w=w)


def shift_regions(grid: Triple, window: Triple, shift: Triple) -> Tensor:
    """Number of the region of each cell of the windows of the rolled grid, (M, N) int64.

    The roll moves the first cells of an axis behind the last ones, so the last window holds cells from both ends of the
    grid. Cells with different numbers were not neighbours before the roll and must not attend to each other.

    Args:
        grid: the padded grid, multiples of `window`.
        window: the clamped window.
        shift: the clamped shift; an axis with shift 0 is one region.
    """
    numbers = []
    for size, side, step in zip(grid, window, shift, strict=True):
        cell = torch.arange(size)
        # three regions per axis: before the last window, the old end, and the start that the roll put behind it
        in_last_window = (cell >= size - side).long()
        wrapped = (cell >= size - step).long()
        numbers.append(in_last_window + wrapped if step else torch.zeros_like(cell))
    d, h, w = numbers
    # numbers 0, 1, 2 of three axes are the digits of one number in base 3
    region_DHW = 9 * d[:, None, None] + 3 * h[:, None] + w
    return cut_windows(region_DHW[None, ..., None], window).squeeze(-1)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]  # torch's
def plan_windows(
    grid: Triple, window: Triple, shift: Triple, samples: int, longest: int | None, device: torch.device
) -> WindowPlan:
    """Plan the windows of a batch; the last 32 plans are kept, and torch.compile treats a plan as a constant.

    Args:
        grid: of the tokens.
        window: the clamped window.
        shift: the clamped shift.
        samples: of the batch.
        longest: tokens after which another chunk begins; None = one chunk for all.
        device: where the plan is needed.
    """
    return _plan_windows(grid, window, shift, samples, longest, device)


@lru_cache(maxsize=32)
def _plan_windows(
    grid: Triple, window: Triple, shift: Triple, samples: int, longest: int | None, device: torch.device
) -> WindowPlan:
    with torch.inference_mode(False):  # a plan made in inference mode may be used in training later
        D, H, W = grid
        # pad and roll the numbers of the tokens instead of the tokens; -1 marks padding
        number = pad_end(torch.arange(D * H * W).reshape(1, D, H, W, 1), window, value=-1)
        rolled = number.roll([-step for step in shift], dims=(1, 2, 3))
        _, pd, ph, pw, _ = rolled.shape
        number_MN = cut_windows(rolled, window).squeeze(-1)
        # windows with equal codes hold padding and regions in the same cells: they are of one pattern
        code_MN = 2 * shift_regions((pd, ph, pw), window, shift) + (number_MN < 0)
        kinds_KN, kind_M = torch.unique(code_MN, dim=0, return_inverse=True)
        patterns = tuple(_pattern_of(code_N) for code_N in kinds_KN)
        # samples have the same windows; only the numbers of their tokens differ, by an offset
        offset_B = torch.arange(samples) * D * H * W
        windows = []
        for kind, pattern in enumerate(patterns):
            tokens_MR = number_MN[kind_M == kind][:, pattern.cells[: pattern.real]]
            windows.append((offset_B[:, None, None] + tokens_MR).flatten(0, 1))
        chunks = tuple(_chunks(windows, longest, D * H * W))
        # argsort of a permutation is its inverse
        inverse = torch.cat([chunk.rows for chunk in chunks]).argsort()
        return WindowPlan(
            tuple(p._replace(cells=p.cells.to(device), apart=_to(p.apart, device)) for p in patterns),
            tuple(chunk._replace(rows=chunk.rows.to(device), sample=chunk.sample.to(device)) for chunk in chunks),
            inverse.to(device),
        )


def _pattern_of(code_N: Tensor) -> WindowPattern:
    padding_N, region_N = code_N % 2, code_N // 2
    cells = padding_N.argsort(stable=True)  # real tokens first, in their order
    real = int((padding_N == 0).sum())
    region_N = region_N[cells]
    # only real tokens are queries: what padding would attend to is cropped anyway
    apart_RN = (region_N[:real, None] != region_N).float()
    return WindowPattern(cells, real, apart_RN if apart_RN.any() else None)


def _to(tensor: Tensor | None, device: torch.device) -> Tensor | None:
    return None if tensor is None else tensor.to(device)


def _chunks(windows: list[Tensor], longest: int | None, tokens: int) -> Iterator[WindowChunk]:
    """Chunks of the windows (M, R) of each pattern; as long as allowed, but with at least one window."""
    rows: list[Tensor] = []
    groups: list[PatternWindows] = []
    space = sum(tokens_MR.numel() for tokens_MR in windows) if longest is None else longest
    for pattern, tokens_MR in enumerate(windows):
        real = tokens_MR.shape[1]
        rest_MR = tokens_MR
        while len(rest_MR):
            if groups and space < real:
                yield _chunk(rows, groups, tokens)
                rows, groups, space = [], [], longest or 0
            # one window at least, even if it is larger than a chunk should be
            taken = rest_MR[: max(1, space // real)]
            rest_MR = rest_MR[len(taken) :]
            rows.append(taken.flatten())
            groups.append(PatternWindows(pattern, len(taken)))
            space -= taken.numel()
    yield _chunk(rows, groups, tokens)


def _chunk(rows: list[Tensor], groups: list[PatternWindows], tokens: int) -> WindowChunk:
    all_rows = torch.cat(rows)
    return WindowChunk(all_rows, all_rows // tokens, tuple(groups))
