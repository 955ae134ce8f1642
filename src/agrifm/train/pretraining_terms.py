"""What a network learns in pretraining: a few terms that share one pass through the network.

Shape letters: B samples, T frames, C bands, K groups of land cover, S steps of a season.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from agrifm.models.agrifm.tasks import ClassesTask, EstimatedQuantity, RegressionTask, Task
from agrifm.models.batch import TensorBatch
from agrifm.models.classifier import Classifier

SEASON_STEPS = 12
"""Equal steps of a season at which hidden observations are reconstructed; values between them are interpolated."""
DAYS_MEAN, DAYS_SPREAD = {"sowing": 110.0, "harvest": 240.0}, 90.0
"""Of the days of sowing and harvest since the season's start: an untrained network estimates the mean."""
MIXED = 255
"""Cover of a pixel of which no cover has more than half."""

Outputs = Mapping[str, Tensor]
"""By task: logits of the groups (B, K, 1, 1) as `classes`, and the tasks of `pretraining_tasks`; as `features` what all
heads read (B, F, 1, 1)."""


@dataclass(frozen=True)
class Seen:
    """A batch as the network saw it, with one source."""

    batch: TensorBatch
    """As it is in the shards."""
    source: str
    hidden: Tensor
    """(B, T) bool, observations that were hidden from the network."""
    standard: Tensor
    """(B, T, C), all observations, normalised."""
    season_days: int


Term = Callable[[Outputs, Seen], tuple[Tensor, Tensor]]
"""From outputs and what was seen to the sum of the errors and the number of what was counted."""


def pretraining_tasks(sensors: Mapping[str, Sequence[str]], covers: int) -> dict[str, Task]:
    """Return the tasks of a network that learns all terms.

    Args:
        sensors: sensor -> its bands.
        covers: number of covers.
    """
    tasks: dict[str, Task] = {
        "cover": ClassesTask(classes=covers),
        "days": RegressionTask(
            quantities=tuple(
                EstimatedQuantity(name=name, unit="days", mean=mean, std=DAYS_SPREAD)
                for name, mean in DAYS_MEAN.items()
            )
        ),
    }
    for sensor, bands in sensors.items():
        names = [f"{band} {step}" for step in range(SEASON_STEPS) for band in bands]
        tasks[_steps_task(sensor)] = RegressionTask(
            quantities=tuple(EstimatedQuantity(name=name, unit="1", mean=0.0, std=1.0) for name in names)
        )
    return tasks


def seen_by(classifier: Classifier, batch: TensorBatch, shown: TensorBatch, season_days: int) -> Seen:
    """Return what a network is compared with: `shown` is the batch with some observations hidden."""
    (source,) = batch.images
    hidden = (batch.valid[source] & ~shown.valid[source])[:, :, 0, 0]
    mean, std = classifier.get_buffer(f"mean_{source}"), classifier.get_buffer(f"std_{source}")
    standard = ((batch.images[source] - mean) / std)[..., 0, 0]
    return Seen(batch, source, hidden, standard, season_days)


def fractions_term(outputs: Outputs, seen: Seen) -> tuple[Tensor, Tensor]:
    """Absolute error of the shares of land cover, summed over the groups."""
    return shares_error(outputs, seen.batch.targets["fractions"])


def shares_error(outputs: Outputs, target_BK: Tensor) -> tuple[Tensor, Tensor]:
    """Absolute error of the estimated shares, summed over the groups, and the number of samples."""
    shares_BK = outputs["classes"].float().softmax(dim=1)[..., 0, 0]
    return (shares_BK - target_BK).abs().sum(), shares_BK.new_tensor(float(len(shares_BK)))


def cover_term(outputs: Outputs, seen: Seen) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the cover, in nats, of pixels with a cover of more than half."""
    logits_BK, label_B = outputs["cover"].float()[..., 0, 0], seen.batch.targets["cover"]
    total = functional.cross_entropy(logits_BK, label_B, ignore_index=MIXED, reduction="sum")
    return total, (label_B != MIXED).sum().float()


def days_term(outputs: Outputs, seen: Seen) -> tuple[Tensor, Tensor]:
    """Absolute error of the days of sowing and harvest in `DAYS_SPREAD`, of crops that were sown."""
    days_BN, known_BN = outputs["days"].float()[..., 0, 0], seen.batch.targets["days"].isfinite()
    target_BN = torch.where(known_BN, seen.batch.targets["days"], days_BN.detach())
    return ((days_BN - target_BN).abs() / DAYS_SPREAD).sum(), known_BN.sum().float()


def places_term(outputs: Outputs, seen: Seen) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the cover when samples are classified by the mean features of the covers of their place.

    A place is a task with few labels, the one that users of pretrained weights have (prototypical networks, Snell et
    al. 2017, equations 1 and 2, with squared Euclidean distances). A sample is left out of the mean of its cover, so
    covers that a place has once are wrong answers alone.
    """
    features_BF = outputs["features"].float()[..., 0, 0]
    place_B, cover_B = seen.batch.targets["place"], seen.batch.targets["cover"]
    errors, count = [features_BF.new_zeros(())], 0
    for place in torch.unique(place_B):
        member_B = (place_B == place) & (cover_B != MIXED)
        z_NF, (cover_K, kind_N) = features_BF[member_B], torch.unique(cover_B[member_B], return_inverse=True)
        is_kind_NK = (kind_N[:, None] == torch.arange(len(cover_K), device=kind_N.device)).to(z_NF.dtype)
        number_K, sum_KF = is_kind_NK.sum(dim=0), is_kind_NK.T @ z_NF
        others_NK = number_K - is_kind_NK
        mean_NKF = (sum_KF - is_kind_NK[..., None] * z_NF[:, None]) / others_NK.clamp(min=1)[..., None]
        distance_NK = ((z_NF[:, None] - mean_NKF) ** 2).sum(dim=2)
        answered_N = number_K[kind_N] > 1
        if len(cover_K) > 1 and answered_N.any():
            errors.append(functional.cross_entropy(-distance_NK[answered_N], kind_N[answered_N], reduction="sum"))
            count += int(answered_N.sum())
    return torch.stack(errors).sum(), features_BF.new_tensor(float(count))


def reconstruction_term(outputs: Outputs, seen: Seen) -> tuple[Tensor, Tensor]:
    """Absolute error of the hidden observations in standard deviations, mean over the bands."""
    bands = seen.standard.shape[2]
    steps_BSC = outputs[_steps_task(seen.source)].float().reshape(-1, SEASON_STEPS, bands)
    position_BT = seen.batch.day[seen.source] / seen.season_days * SEASON_STEPS - 0.5
    position_BT = position_BT.clamp(0, SEASON_STEPS - 1)
    before_BT = position_BT.floor().clamp(max=SEASON_STEPS - 2).long()
    part_BT1 = (position_BT - before_BT)[..., None]

    def at(step_BT: Tensor) -> Tensor:
        return torch.gather(steps_BSC, 1, step_BT[..., None].expand(-1, -1, bands))

    estimate_BTC = (1 - part_BT1) * at(before_BT) + part_BT1 * at(before_BT + 1)
    error_BT = (estimate_BTC - seen.standard).abs().mean(dim=2)
    return (error_BT * seen.hidden).sum(), seen.hidden.sum().float()


def _steps_task(sensor: str) -> str:
    return f"{sensor}_steps"


TERMS: dict[str, Term] = {
    "fractions": fractions_term,
    "cover": cover_term,
    "places": places_term,
    "days": days_term,
    "reconstruction": reconstruction_term,
}
"""Terms by name."""
