"""Tokens of a series brought to another number of time steps, for decoders whose channels grow with time.

Shape letters: B samples, D H W the token grid, S the time steps that are wanted, C channels.
"""

import torch
from torch import Tensor

from agrifm.models.agrifm.timeseries import Tokens

LITTLE = 1e-6
"""Share of usable pixels that an unseen token counts for, where all that are merged are unseen."""


def at_length(tokens: Tokens, steps: int) -> Tokens:
    """The tokens at `steps` equal steps of the same time, (B, S, H, W, C); as they are where they have as many.

    Linear between the middles of the tokens; where there are more tokens than steps, each step is a mean of all tokens
    near it, so that none is lost. Tokens count by their share of usable pixels, and shares are resampled alike.
    """
    x_BDHWC, share = tokens
    if x_BDHWC.shape[1] == steps:
        return tokens
    weight_SD = weights_in_time(x_BDHWC.shape[1], steps).to(x_BDHWC)
    if share is None:
        return Tokens(torch.einsum("sd,bdhwc->bshwc", weight_SD, x_BDHWC), None)
    counted = share + LITTLE
    total = torch.einsum("sd,bdhw->bshw", weight_SD, counted)
    mean = torch.einsum("sd,bdhwc->bshwc", weight_SD, x_BDHWC * counted[..., None]) / total[..., None]
    return Tokens(mean, torch.einsum("sd,bdhw->bshw", weight_SD, share))


def weights_in_time(found: int, steps: int) -> Tensor:
    """How much each of `found` tokens counts at each of `steps` steps, (S, D); every row sums to 1.

    A triangle around the step's middle, as wide as a token or a step, whichever is longer.
    """
    ratio = found / steps
    middle = (torch.arange(steps, dtype=torch.float64) + 0.5) * ratio - 0.5
    apart = (torch.arange(found, dtype=torch.float64) - middle[:, None]).abs()
    weight = (1 - apart / max(1.0, ratio)).clamp(min=0)
    return weight / weight.sum(dim=1, keepdim=True)
