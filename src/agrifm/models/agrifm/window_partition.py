"""How the tokens of a grid are shared among attention windows: which window holds which, and which windows are alike.

Shape letters: B samples, M windows, N cells per window, R real tokens among them. A grid is (D, H, W): time steps,
rows, columns of tokens; its tokens are numbered in that order, those of the next sample follow.

The windows of the public AgriFM code lie on a grid that is padded at the end and, in every second block, rolled. Few of
them differ: inner windows are all alike, and those at an end differ by what padding they hold and by what the roll
brought together. Such patterns are found once per grid, so that alike windows are attended in one call, without
padding or rolling anything.
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


class Pattern(NamedTuple):
    """What windows have in common."""

    cells: Tensor
    """Cells of the window, those with real tokens first, then the padding."""
    real: int
    """Cells with real tokens."""
    apart: Tensor | None
    """1 where a token and a cell, both in the order of `cells`, come from separate regions, else 0; None: nowhere."""


class Piece(NamedTuple):
    """Successive windows of one pattern."""

    pattern: int
    windows: int


class Run(NamedTuple):
    """Windows that are worked on together."""

    rows: Tensor
    """(L,), numbers of their tokens, piece by piece and window by window."""
    sample: Tensor
    """The sample that each of them belongs to."""
    pieces: tuple[Piece, ...]


class Plan(NamedTuple):
    """All windows of a batch."""

    patterns: tuple[Pattern, ...]
    runs: tuple[Run, ...]
    inverse: Tensor
    """Where in the rows of all runs each token is."""


def clamp_window(grid: Triple, window: Triple, shift: Triple) -> tuple[Triple, Triple]:
    """Window and shift that fit the grid: an axis no longer than the window is one window and is not shifted."""
    d, h, w = (
        (size, 0) if size <= side else (side, step) for size, side, step in zip(grid, window, shift, strict=True)
    )
    return (d[0], h[0], w[0]), (d[1], h[1], w[1])


def pad_end(x_BDHWC: Tensor, multiple: Triple, value: float = 0) -> Tensor:
    """Zeros, or `value`, at the end of time, rows and columns, up to multiples."""
    d, h, w = (-size % side for size, side in zip(x_BDHWC.shape[1:4], multiple, strict=True))
    return functional.pad(x_BDHWC, (0, 0, 0, w, 0, h, 0, d), value=value) if d or h or w else x_BDHWC


def cut_windows(x_BDHWC: Tensor, window: Triple) -> Tensor:
    """Windows of a grid whose axes are multiples of the window, (B M) N C, the windows of a sample together."""
    d, h, w = window
    return rearrange(x_BDHWC, "b (nd d) (nh h) (nw w) c -> (b nd nh nw) (d h w) c", d=d, h=h, w=w)


def regions(grid: Triple, window: Triple, shift: Triple) -> Tensor:
    """Number of the region of each cell of the windows of the rolled grid, (M, N) int64.

    Args:
        grid: the padded grid, multiples of `window`.
        window: the clamped window.
        shift: the clamped shift; an axis with shift 0 is one region.
    """
    numbers = []
    for size, side, step in zip(grid, window, shift, strict=True):
        cell = torch.arange(size)
        in_last_window = (cell >= size - side).long()
        wrapped = (cell >= size - step).long()
        numbers.append(in_last_window + wrapped if step else torch.zeros_like(cell))
    d, h, w = numbers
    region_DHW = 9 * d[:, None, None] + 3 * h[:, None] + w
    return cut_windows(region_DHW[None, ..., None], window).squeeze(-1)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]  # torch's
def plan_windows(
    grid: Triple, window: Triple, shift: Triple, samples: int, longest: int | None, device: torch.device
) -> Plan:
    """The plan of a batch; the last 32 are kept, and to the compiler it is a constant.

    Args:
        grid: of the tokens.
        window: the clamped window.
        shift: the clamped shift.
        samples: of the batch.
        longest: tokens after which another run begins; None = one run of all.
        device: where the plan is needed.
    """
    return _plan_windows(grid, window, shift, samples, longest, device)


@lru_cache(maxsize=32)
def _plan_windows(
    grid: Triple, window: Triple, shift: Triple, samples: int, longest: int | None, device: torch.device
) -> Plan:
    with torch.inference_mode(False):  # a plan made for a forecast may serve in training later
        D, H, W = grid
        number = pad_end(torch.arange(D * H * W).reshape(1, D, H, W, 1), window, value=-1)
        rolled = number.roll([-step for step in shift], dims=(1, 2, 3))
        _, pd, ph, pw, _ = rolled.shape
        number_MN = cut_windows(rolled, window).squeeze(-1)
        code_MN = 2 * regions((pd, ph, pw), window, shift) + (number_MN < 0)
        kinds_KN, kind_M = torch.unique(code_MN, dim=0, return_inverse=True)
        patterns = tuple(_pattern(code_N) for code_N in kinds_KN)
        offset_B = torch.arange(samples) * D * H * W
        windows = []
        for kind, pattern in enumerate(patterns):
            own_MR = number_MN[kind_M == kind][:, pattern.cells[: pattern.real]]
            windows.append((offset_B[:, None, None] + own_MR).flatten(0, 1))
        runs = tuple(_runs(windows, longest, D * H * W))
        inverse = torch.cat([run.rows for run in runs]).argsort()
        return Plan(
            tuple(p._replace(cells=p.cells.to(device), apart=_to(p.apart, device)) for p in patterns),
            tuple(run._replace(rows=run.rows.to(device), sample=run.sample.to(device)) for run in runs),
            inverse.to(device),
        )


def _pattern(code_N: Tensor) -> Pattern:
    padding_N, region_N = code_N % 2, code_N // 2
    cells = padding_N.argsort(stable=True)
    real = int((padding_N == 0).sum())
    region_N = region_N[cells]
    apart_RN = (region_N[:real, None] != region_N).float()
    return Pattern(cells, real, apart_RN if apart_RN.any() else None)


def _to(tensor: Tensor | None, device: torch.device) -> Tensor | None:
    return None if tensor is None else tensor.to(device)


def _runs(windows: list[Tensor], longest: int | None, tokens: int) -> Iterator[Run]:
    """Runs of the windows (M, R) of each pattern; a run is as long as allowed, but has at least one window."""
    rows: list[Tensor] = []
    pieces: list[Piece] = []
    space = sum(own_MR.numel() for own_MR in windows) if longest is None else longest
    for pattern, own_MR in enumerate(windows):
        real = own_MR.shape[1]
        left_MR = own_MR
        while len(left_MR):
            if pieces and space < real:
                yield _run(rows, pieces, tokens)
                rows, pieces, space = [], [], longest or 0
            taken = left_MR[: max(1, space // real)]
            left_MR = left_MR[len(taken) :]
            rows.append(taken.flatten())
            pieces.append(Piece(pattern, len(taken)))
            space -= taken.numel()
    yield _run(rows, pieces, tokens)


def _run(rows: list[Tensor], pieces: list[Piece], tokens: int) -> Run:
    joined = torch.cat(rows)
    return Run(joined, joined // tokens, tuple(pieces))
