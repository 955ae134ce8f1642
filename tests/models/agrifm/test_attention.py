"""Position biases and window attention, each against its definition written out cell by cell."""

from itertools import product

import pytest
import torch
from torch import Tensor

from agrifm.models.agrifm.attention import WindowAttention, relative_position_index
from agrifm.models.agrifm.window_partition import PatternWindows, Triple, WindowPattern


def cells(size: Triple) -> list[Triple]:
    d, h, w = size
    return list(product(range(d), range(h), range(w)))


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


def written_out(attention: WindowAttention, x_MNC: Tensor, bias_ANN: Tensor, key_MN: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(K) + bias) V, window by window and head by head."""
    q, k, v = attention.qkv(x_MNC).chunk(3, dim=-1)
    mixed = torch.zeros_like(x_MNC)
    width = x_MNC.shape[-1] // attention.heads
    for m, head in product(range(len(x_MNC)), range(attention.heads)):
        part = slice(width * head, width * head + width)
        logits = q[m, :, part] @ k[m, :, part].T / width**0.5 + bias_ANN[head] + key_MN[m]
        mixed[m, :, part] = logits.softmax(dim=-1) @ v[m, :, part]
    out: Tensor = attention.proj(mixed)
    return out


def test_attention_is_the_softmax_written_out() -> None:
    """Windows of two patterns in one call; in the second, cell 1 is padding and cell 3 of another region."""
    torch.manual_seed(0)
    attention = WindowAttention(6, heads=2, window=(1, 2, 2)).double()
    patterns = [
        WindowPattern(torch.arange(4), 4, None),
        WindowPattern(torch.tensor([0, 2, 3, 1]), 3, torch.tensor([[0, 0, 1, 0], [0, 0, 1, 0], [1, 1, 0, 1.0]])),
    ]
    x = torch.randn(4, 4, 6, dtype=torch.float64)
    x[3, 1] = 0
    key = torch.randn(4, 4, dtype=torch.float64)
    key[3, 1] = 0
    bias = attention.position_bias((1, 2, 2))
    mask = torch.zeros(4, 4, dtype=torch.float64)
    mask[3, :3] = mask[:3, 3] = -7
    expected = torch.cat(
        [
            written_out(attention, x[:3], bias, key[:3]).flatten(0, 1),
            written_out(attention, x[3:], bias + mask, key[3:])[0, [0, 2, 3]],
        ]
    )
    rows = torch.cat([x[:3].flatten(0, 1), x[3, [0, 2, 3]]])
    unseen = torch.cat([key[:3].flatten(), key[3, [0, 2, 3]]])
    found = attention(
        rows, [PatternWindows(0, 3), PatternWindows(1, 1)], attention.biases((1, 2, 2), patterns, -7), unseen
    )
    torch.testing.assert_close(found, expected)
