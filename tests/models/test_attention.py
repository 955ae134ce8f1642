"""The pieces of window attention, each against its definition written out cell by cell."""

from itertools import product

import pytest
import torch

from agrifm.models.attention import (
    Triple,
    WindowAttention,
    clamp_window,
    cut_windows,
    paste_windows,
    relative_position_index,
    shift_mask,
)


def cells(size: Triple) -> list[Triple]:
    d, h, w = size
    return list(product(range(d), range(h), range(w)))


def test_an_axis_no_longer_than_the_window_is_one_unshifted_window() -> None:
    assert clamp_window((8, 7, 9), (8, 7, 7), (4, 3, 3)) == ((8, 7, 7), (0, 0, 3))
    assert clamp_window((2, 5, 8), (8, 7, 7), (4, 3, 3)) == ((2, 5, 7), (0, 0, 3))


def test_windows_are_cut_time_first_and_pasted_back() -> None:
    grid, window = (4, 6, 4), (2, 3, 2)
    x = torch.arange(2 * 4 * 6 * 4).reshape(2, 4, 6, 4, 1)
    windows = cut_windows(x, window)
    assert windows.shape == (2 * 8, 12, 1)
    for sample, (i, corner) in product(range(2), enumerate(product((0, 2), (0, 3), (0, 2)))):
        d, h, w = corner
        expected = [x[sample, d + dd, h + dh, w + dw, 0] for dd, dh, dw in cells(window)]
        assert windows[8 * sample + i, :, 0].tolist() == expected
    assert torch.equal(paste_windows(windows, window, grid), x)


@pytest.mark.parametrize("window", [(2, 3, 3), (1, 2, 4), (1, 1, 1)])
def test_position_index_counts_offsets(window: Triple) -> None:
    D, H, W = window
    index = relative_position_index(window)
    for (i, a), (j, b) in product(enumerate(cells(window)), repeat=2):
        d, h, w = (p - q for p, q in zip(a, b, strict=True))
        assert index[i, j] == (d + D - 1) * (2 * H - 1) * (2 * W - 1) + (h + H - 1) * (2 * W - 1) + w + W - 1
    assert index.dtype == torch.int64


def test_a_clamped_window_reads_the_top_left_corner_of_the_index() -> None:
    attention = WindowAttention(8, heads=2, window=(2, 3, 3))
    corner = attention.relative_position_index[:4, :4]
    bias = attention.relative_position_bias_table[corner].permute(2, 0, 1)
    assert torch.equal(attention.position_bias((1, 2, 2)), bias)


@pytest.mark.parametrize("clamped", [(2, 3, 3), (1, 3, 3), (2, 2, 1), (1, 1, 2)])
def test_the_exact_index_gives_tokens_the_bias_of_their_offset(clamped: Triple) -> None:
    window = (2, 3, 3)
    attention = WindowAttention(8, heads=2, window=window, exact=True)
    bias = attention.position_bias(clamped)
    D, H, W = window
    for (i, a), (j, b) in product(enumerate(cells(clamped)), repeat=2):
        d, h, w = (p - q for p, q in zip(a, b, strict=True))
        row = (d + D - 1) * (2 * H - 1) * (2 * W - 1) + (h + H - 1) * (2 * W - 1) + w + W - 1
        assert torch.equal(bias[:, i, j], attention.relative_position_bias_table[row])


def test_mask_separates_what_the_shift_brought_together() -> None:
    grid, window, shift = (2, 6, 4), (2, 3, 2), (0, 1, 1)
    mask = shift_mask(grid, window, shift, torch.device("cpu"))

    def region(cell: Triple) -> tuple[bool, bool]:
        """Whether a cell of the last windows came from the opposite edge."""
        return cell[1] >= 6 - 1, cell[2] >= 4 - 1

    for m, (h, w) in enumerate(product((0, 3), (0, 2))):
        tokens = [(d, h + i, w + j) for d, i, j in cells(window)]
        for (i, a), (j, b) in product(enumerate(tokens), repeat=2):
            assert mask[m, i, j] == (0 if region(a) == region(b) else -100)


def test_attention_is_the_softmax_written_out() -> None:
    torch.manual_seed(0)
    attention = WindowAttention(6, heads=2, window=(1, 2, 2)).double()
    x = torch.randn(4, 4, 6, dtype=torch.float64)
    mask = torch.randn(2, 4, 4, dtype=torch.float64)
    key = torch.randn(4, 4, dtype=torch.float64)
    q, k, v = attention.qkv(x).chunk(3, dim=-1)
    bias = attention.position_bias((1, 2, 2))
    mixed = torch.zeros_like(x)
    for m, head in product(range(4), range(2)):
        part = slice(3 * head, 3 * head + 3)
        logits = q[m, :, part] @ k[m, :, part].T / 3**0.5 + bias[head] + mask[m % 2] + key[m]
        mixed[m, :, part] = logits.softmax(dim=-1) @ v[m, :, part]
    torch.testing.assert_close(attention(x, (1, 2, 2), mask, key), attention.proj(mixed))
