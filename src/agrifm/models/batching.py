"""Samples of any length and any sensors scored together, so that no sample's result depends on its partners.

Samples share a batch only where each of their series becomes a token grid of the same size: then every window of
every stage is what it would be for a sample alone. Shorter series are filled with frames that are known to be none.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, Source, check_images
from agrifm.models.agrifm.timeseries import Images, ObservedSeries, frames_of, image_of

Series = Tensor | ObservedSeries | None


def score_samples(network: AgriFM, samples: Sequence[Images], most: int = 16) -> list[Tensor]:
    """Logits (classes, H, W) of each sample, in order.

    Args:
        samples: per sample and source a plain series (1, T, C, H, W), an observed one, or None where it is absent;
            T, H and W may differ from sample to sample.
        most: samples in one batch.

    Raises:
        ModelError: a sample does not fit the network.
    """
    found: dict[int, Tensor] = {}
    for numbers in groups(samples, network.config):
        for start in range(0, len(numbers), most):
            chosen = numbers[start : start + most]
            logits = network(together([samples[number] for number in chosen], network.config))
            found.update(zip(chosen, logits.unbind(), strict=True))
    return [found[number] for number in range(len(samples))]


def groups(samples: Sequence[Images], config: AgriFMConfig) -> list[list[int]]:
    """Numbers of the samples that may share a batch."""
    by_kind: dict[Hashable, list[int]] = defaultdict(list)
    for number, sample in enumerate(samples):
        check_images(sample, config)
        by_kind[tuple(_kind(sample[source.name], source) for source in config.sources)].append(number)
    return list(by_kind.values())


def _kind(series: Series, source: Source) -> Hashable:
    """What two series of a source have in common if they may share a batch."""
    if series is None:
        return None
    image = image_of(series)
    days = series.day.ndim if isinstance(series, ObservedSeries) else 0
    return -(-frames_of(image) // source.patch[0]), tuple(image.shape[-2:]), days


def together(samples: Sequence[Images], config: AgriFMConfig) -> dict[str, Series]:
    """One batch of samples of one group."""
    return {source.name: _stack([sample[source.name] for sample in samples]) for source in config.sources}


def _stack(parts: Sequence[Series]) -> Series:
    observed = [part for part in parts if isinstance(part, ObservedSeries)]
    if observed:
        return _stack_observed(observed)
    plain = [part if part.ndim == 5 else part.unsqueeze(1) for part in parts if isinstance(part, Tensor)]
    if not plain:
        return None
    longest = max(part.shape[1] for part in plain)
    return torch.cat([_filled(part, longest) for part in plain])


def _stack_observed(parts: Sequence[ObservedSeries]) -> ObservedSeries:
    longest = max(part.image.shape[1] for part in parts)
    absent = [torch.zeros_like(part.image[:, 0, :, 0, 0], dtype=torch.bool) for part in parts]
    absent = [own if part.absent is None else part.absent for own, part in zip(absent, parts, strict=True)]
    return ObservedSeries(
        image=torch.cat([_filled(part.image, longest) for part in parts]),
        valid=torch.cat([_filled(part.valid, longest) for part in parts]),
        day=torch.cat([_filled(part.day, longest) for part in parts]),
        first_day=torch.cat([part.first_day for part in parts]),
        absent=torch.cat(absent) if any(part.absent is not None for part in parts) else None,
        frames=torch.cat([part.first_day.new_full((len(part.image),), part.image.shape[1]) for part in parts]),
    )


def _filled(x_BT: Tensor, frames: int) -> Tensor:
    """Zeros (False) at the end of the second axis, up to so many frames."""
    after = (0, 0) * (x_BT.ndim - 2)
    return functional.pad(x_BT, (*after, 0, frames - x_BT.shape[1]))
