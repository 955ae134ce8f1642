"""An observed series brought to equal steps, pixel by pixel: what a layer of fixed length can read.

Shape letters: B samples, T frames, C bands, H W rows and columns, P = H W pixels, F steps.
"""

import torch
from einops import rearrange
from torch import Tensor

from agrifm.models.agrifm.timeseries import Observed


def season_steps(days: int, frames: int) -> Tensor:
    """The middle days (F,) of equal periods of a season of so many days, counted from its first day."""
    return ((torch.arange(frames) + 0.5) * days / frames).floor()


def at_steps(observed: Observed, steps: Tensor) -> Tensor:
    """Valid observations interpolated linearly in time to `steps` (F,), days since the season's first: (B, F, C, H, W).

    Before a pixel's first and after its last valid observation its nearest one is repeated; a pixel without any is 0.
    The same arithmetic as `agrifm.cube.temporal.interpolate`, on tensors.
    """
    image_BPTC = rearrange(observed.seen, "b t c h w -> b (h w) t c")
    valid_BPT = rearrange(observed.valid, "b t h w -> b (h w) t")
    day = observed.day if observed.day.ndim == 4 else observed.day[:, :, None, None].expand(observed.valid.shape)
    never = torch.finfo(torch.float32).max
    day_BPT = torch.where(valid_BPT, rearrange(day, "b t h w -> b (h w) t").float(), torch.full((), never))
    # exported graphs know no stable sort by that name; onnxruntime's (TopK) and PyTorch's on a processor are stable
    day_BPT, order = day_BPT.sort(dim=-1) if torch.compiler.is_exporting() else day_BPT.sort(dim=-1, stable=True)
    image_BPTC = image_BPTC.gather(2, order[..., None].expand_as(image_BPTC))
    known = valid_BPT.sum(dim=-1, keepdim=True)
    wanted = steps.to(day_BPT).expand(*day_BPT.shape[:2], -1).contiguous()
    last = (known - 1).clamp(min=0)
    begun = _not_after(day_BPT, wanted)
    next_day = day_BPT.gather(2, begun.clamp(max=day_BPT.shape[-1] - 1))
    # of two on one day the later frame counts
    after = torch.minimum(_not_after(day_BPT, next_day) - 1, last)
    before = torch.where(begun > 0, torch.minimum(begun - 1, last), after)
    early, late = day_BPT.gather(2, before), day_BPT.gather(2, after)
    weight = ((wanted - early) / (late - early).clamp(min=1)).clamp(0, 1)[..., None].to(image_BPTC)
    bands = (-1, -1, -1, image_BPTC.shape[-1])
    first, second = (image_BPTC.gather(2, at[..., None].expand(bands)) for at in (before, after))
    found = ((1 - weight) * first + weight * second) * (known > 0)[..., None]
    return rearrange(found, "b (h w) f c -> b f c h w", h=observed.valid.shape[2])


def _not_after(day_BPT: Tensor, until_BPF: Tensor) -> Tensor:
    """How many of the ascending days of each pixel are not after each of some other days, (B, P, F) int64."""
    if torch.compiler.is_exporting():  # graphs of other runtimes know no search
        return (day_BPT[:, :, None] <= until_BPF[..., None]).sum(dim=-1)
    return torch.searchsorted(day_BPT.contiguous(), until_BPF, right=True)
