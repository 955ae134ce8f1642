"""Score AgriFM on samples of any length and any sensors together; each gets the result that it has alone.

Samples share a batch only if each of their series becomes a token grid of the same size: then every window of every
stage is that of a sample alone. Shorter series are padded with frames that are marked as padding.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, Source, check_images
from agrifm.models.agrifm.timeseries import Images, ObservedSeries, frames_of, image_of


def score_samples(network: AgriFM, samples: Sequence[Images], batch_size: int = 16) -> list[Tensor]:
    """Return the logits (classes, H, W) of each sample, in order.

    Args:
        samples: for each source a plain series (1, T, C, H, W), an observed one, or None if it is absent; T, H and W
            may differ between samples.
        batch_size: most samples in a batch.

    Raises:
        ModelError: a sample does not fit the network.
    """
    logits: dict[int, Tensor] = {}
    for group in group_samples(samples, network.config):
        for start in range(0, len(group), batch_size):
            chosen = group[start : start + batch_size]
            batch = stack_samples([samples[index] for index in chosen], network.config)
            logits.update(zip(chosen, network(batch).unbind(), strict=True))
    return [logits[index] for index in range(len(samples))]


def group_samples(samples: Sequence[Images], config: AgriFMConfig) -> list[list[int]]:
    """Return groups of indices of samples that may share a batch.

    Raises:
        ModelError: a sample does not fit the network.
    """
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index, sample in enumerate(samples):
        check_images(sample, config)
        groups[tuple(_token_grid(sample[source.name], source) for source in config.sources)].append(index)
    return list(groups.values())


def _token_grid(series: Tensor | ObservedSeries | None, source: Source) -> Hashable:
    """What two series of a source must have in common to share a batch."""
    if series is None:
        return None
    image = image_of(series)
    days = series.day.ndim if isinstance(series, ObservedSeries) else 0
    return -(-frames_of(image) // source.patch[0]), tuple(image.shape[-2:]), days


def stack_samples(samples: Sequence[Images], config: AgriFMConfig) -> dict[str, Tensor | ObservedSeries | None]:
    """Stack samples of one group into a batch."""
    return {source.name: _stack([sample[source.name] for sample in samples]) for source in config.sources}


def _stack(parts: Sequence[Tensor | ObservedSeries | None]) -> Tensor | ObservedSeries | None:
    observed = [part for part in parts if isinstance(part, ObservedSeries)]
    if observed:
        return _stack_observed(observed)
    plain = [part if part.ndim == 5 else part.unsqueeze(1) for part in parts if isinstance(part, Tensor)]
    if not plain:
        return None
    longest = max(part.shape[1] for part in plain)
    return torch.cat([_padded(part, longest) for part in plain])


def _stack_observed(parts: Sequence[ObservedSeries]) -> ObservedSeries:
    longest = max(part.image.shape[1] for part in parts)
    none_absent = [torch.zeros_like(part.image[:, 0, :, 0, 0], dtype=torch.bool) for part in parts]
    absent = [none if part.absent is None else part.absent for none, part in zip(none_absent, parts, strict=True)]
    return ObservedSeries(
        image=torch.cat([_padded(part.image, longest) for part in parts]),
        valid=torch.cat([_padded(part.valid, longest) for part in parts]),
        day=torch.cat([_padded(part.day, longest) for part in parts]),
        first_day=torch.cat([part.first_day for part in parts]),
        absent=torch.cat(absent) if any(part.absent is not None for part in parts) else None,
        frames=torch.cat([part.first_day.new_full((len(part.image),), part.image.shape[1]) for part in parts]),
    )


def _padded(x_BT: Tensor, frames: int) -> Tensor:
    """The tensor with zeros (False) at the end of its second axis, up to a number of frames."""
    after = (0, 0) * (x_BT.ndim - 2)
    return functional.pad(x_BT, (*after, 0, frames - x_BT.shape[1]))
