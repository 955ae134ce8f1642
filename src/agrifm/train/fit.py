"""The training loop, for any network and any objective: AdamW, warm-up and cosine, early stopping, resumable.

The weights kept are the latest whose validation is not clearly below the best: weights are usually best at the end of
the schedule, and a single top score earlier is often chance.
Training goes in rounds of at most `MAX_ROUND_STEPS` steps. After each round the network is validated and everything
needed to continue is written to the work directory, so a run killed at any step repeats at most one round. The order of
samples, their symmetries and all random numbers follow from the seed and the round alone, so a continued run ends with
the same weights, bit for bit, as an uninterrupted one.
"""

import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import swa_utils

from agrifm.files import AnyPath, as_path, atomic_write, is_whole_archive, translate_os_errors, write_bytes
from agrifm.models.batch import TensorBatch
from agrifm.models.classifier import Classifier
from agrifm.models.precision import (
    DEFAULT_COMPUTE,
    Compute,
    Precision,
    compile_network,
    recompute_blocks,
    warn_of_precision,
)
from agrifm.record import SensorRecord
from agrifm.train.batches import TrainingSamples, sensor_to_drop, training_loaders
from agrifm.work import progress

MAX_ROUND_STEPS = 50
"""Most steps between two validations, and most steps repeated after a kill."""
PATIENCE = 12
"""Rounds in a row without kept weights after which training stops."""
WARM_UP = 0.1
"""Share of the steps in which the learning rate rises linearly."""
FINAL_RATE = 0.01
"""The cosine ends at this share of the highest learning rate."""
WEIGHT_DECAY = 0.01
MAX_GRADIENT_NORM = 1.0
"""Larger gradients are scaled down to this norm."""
MAX_ONE_THREAD_WORK = 500_000
"""Target pixels of a batch x channels of the first layer up to which a second thread costs more than it saves
(docs/decisions/0002-waiting-threads.md)."""

LIGHTNING_PRECISION: dict[Precision, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "float32": "32-true",
    "bfloat16": "bf16-mixed",
    "float16": "16-mixed",
}
"""Names of precisions in Lightning, which scales losses for float16."""


class Objective(Protocol):
    """What a network is trained for; `agrifm.train.objectives` has some.

    It calls the network as `network(batch)`, in training mode for the loss and in evaluation mode for validation.
    """

    @property
    def score_noise(self) -> float:
        """Chance difference of the score between rounds: weights are kept up to this much below the best round."""

    def loss(self, network: nn.Module, batch: TensorBatch) -> Tensor:
        """Return the loss of a batch, a scalar with a gradient."""

    def validation_sums(self, network: nn.Module, batch: TensorBatch) -> NDArray[Any]:
        """Return numbers whose sum over all validation batches decides the score, such as confusion counts."""

    def score(self, sums: NDArray[Any]) -> float:
        """Return the validation score from the sums; higher is better, and it is finite."""


@runtime_checkable
class TaughtObjective(Objective, Protocol):
    """An objective with a teacher: the mean of the weights so far, if `averaging` of `Hyperparameters` is above 0."""

    def taught_loss(self, network: nn.Module, teacher: nn.Module | None, batch: TensorBatch, progress: float) -> Tensor:
        """Return the loss of a batch; `progress` is the share of the steps that are done, 0..1."""


@dataclass(frozen=True)
class Hyperparameters:
    """The numbers that decide a training run."""

    steps: int
    batch: int
    learning_rate: float
    seed: int
    sensor_dropout: float = 0.0
    """Share of the steps in which one sensor, not the first, is dropped."""
    averaging: float = 0.0
    """Share of the averaged weights that remains after a step, such as 0.99 (exponential moving average); validation
    and the result are of the averaged weights. 0 = the weights of the last step."""

    @property
    def round(self) -> int:
        """Steps per round."""
        return min(MAX_ROUND_STEPS, self.steps)

    @property
    def rounds(self) -> int:
        """Most rounds; the last one is full, so up to `round - 1` steps more than `steps` may be made."""
        return math.ceil(self.steps / self.round)


@dataclass
class Outcome:
    """What happened in a training run."""

    steps: int
    kept_round: int
    """Round whose weights are the result."""
    kept_score: float
    """Validation score of that round."""
    seconds: float
    """Training time without validation, in the part of the run that this process made."""
    waiting_share: float
    """Share of training time spent waiting for data, in the part of the run that this process made."""


class TrainingModule(lightning.LightningModule):
    """A network with its objective and optimiser, as Lightning trains it."""

    def __init__(
        self, network: nn.Module, objective: Objective, sensors: Sequence[str], parameters: Hyperparameters
    ) -> None:
        super().__init__()
        self.network, self.objective, self.sensors, self.settings = network, objective, tuple(sensors), parameters
        self.average = None
        if parameters.averaging:
            # PyTorch states no types for this function
            average = swa_utils.get_ema_multi_avg_fn(parameters.averaging)  # type: ignore[no-untyped-call]
            self.average = swa_utils.AveragedModel(network, multi_avg_fn=average, use_buffers=True)
        self.validation_score = float("nan")
        self._sums: NDArray[Any] | float = 0.0

    def training_step(self, batch: TensorBatch) -> Tensor:
        """Return the loss of a batch, in some steps without one of its sensors."""
        step = self.trainer.global_step
        dropped = sensor_to_drop(self.sensors, self.settings.sensor_dropout, self.settings.seed, step)
        batch = batch if dropped is None else batch.without(dropped)
        if isinstance(self.objective, TaughtObjective) and self.average is not None:
            done = step / (self.settings.rounds * self.settings.round)
            return self.objective.taught_loss(self.network, self.average.module, batch, done)
        return self.objective.loss(self.network, batch)

    @property
    def validated(self) -> nn.Module:
        """The network whose weights are validated and kept."""
        return self.network if self.average is None else self.average.module

    def on_train_batch_end(self, *_: Any) -> None:
        """Average the weights."""
        if self.average is not None:
            self.average.update_parameters(self.network)

    def on_validation_epoch_start(self) -> None:
        """Begin the sums."""
        self._sums = 0.0

    def validation_step(self, batch: TensorBatch) -> None:
        """Add the sums of a batch."""
        sums = self.objective.validation_sums(self.validated, batch)
        self._sums = sums if isinstance(self._sums, float) else self._sums + sums

    def on_validation_epoch_end(self) -> None:
        """Score the round."""
        self.validation_score = self.objective.score(np.asarray(self._sums))

    def configure_optimizers(self) -> Any:
        """AdamW; linear warm-up, then cosine, per step."""
        rate = self.settings.learning_rate
        optimiser = torch.optim.AdamW(self.network.parameters(), rate, weight_decay=WEIGHT_DECAY)
        total = self.settings.rounds * self.settings.round
        warm = max(1, round(WARM_UP * total))

        def factor(step: int) -> float:
            if step < warm:
                # From the first step on the rate is above 0.
                return (step + 1) / warm
            share = (step - warm) / max(1, total - warm)
            return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * share))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Rounds(Callback):
    """Seed each step, keep weights, stop early, write checkpoints, measure the time spent waiting."""

    def __init__(self, work: Path, parameters: Hyperparameters, advance: Callable[[int], None]) -> None:
        self.work, self.settings, self.advance = work, parameters, advance
        self.best, self.done, self.stopped = -math.inf, 0, False
        self.kept_score, self.kept_round = -math.inf, -1
        self.waited = self.worked = 0.0
        self._mark = 0.0

    def state_dict(self) -> dict[str, Any]:
        """What a continued run needs."""
        return {name: getattr(self, name) for name in ("best", "kept_score", "kept_round", "done", "stopped")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of a stopped run."""
        self.best, self.done, self.stopped = state_dict["best"], state_dict["done"], state_dict["stopped"]
        self.kept_score, self.kept_round = state_dict["kept_score"], state_dict["kept_round"]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """A run that had stopped early stays stopped."""
        trainer.should_stop = self.stopped
        self.advance(self.done * self.settings.round)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Waiting for data begins."""
        self._mark = time.perf_counter()

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Waiting for data ends; the random numbers of a step follow from the seed and the step."""
        # A generator's state would have to be saved with each checkpoint; a seed per step needs none.
        torch.manual_seed(int(np.random.SeedSequence([self.settings.seed, trainer.global_step]).generate_state(1)[0]))
        now = time.perf_counter()
        self.waited, self._mark = self.waited + now - self._mark, now

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """A step ends, waiting for data begins."""
        now = time.perf_counter()
        self.worked, self._mark = self.worked + now - self._mark, now
        self.advance(1)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep the weights unless they are clearly below the best; decide whether to stop."""
        assert isinstance(pl_module, TrainingModule)
        score = pl_module.validation_score
        self.best = max(self.best, score)
        # The first round is kept in any case, so that there are weights to end with.
        if score >= self.best - pl_module.objective.score_noise or self.kept_round < 0:
            self.kept_score, self.kept_round = score, self.done
            _save(self.work / "kept.pt", pl_module.validated.state_dict())
        self.stopped = self.done - self.kept_round >= PATIENCE

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the checkpoint; Lightning calls this after validation."""
        self.done += 1
        trainer.should_stop = self.stopped
        # The rename is atomic: a killed run leaves the checkpoint before or this one.
        with atomic_write(self.work / "last.ckpt") as aside:
            trainer.save_checkpoint(aside)


def _save(path: Path, content: object) -> None:
    buffer = BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())


def fit(
    network: nn.Module,
    objective: Objective,
    sensors: Sequence[SensorRecord],
    training: TrainingSamples,
    validation: TrainingSamples,
    parameters: Hyperparameters,
    work: AnyPath,
    compute: Compute = DEFAULT_COMPUTE,
    channels: int = 0,
    name: str = "network",
) -> Outcome:
    """Train `network` in place, from the last checkpoint in `work` if there is one; it ends with the weights kept.

    Args:
        network: takes a `TensorBatch` in the units of the products, as `agrifm.models.classifier.Classifier` does.
        sensors: what the samples hold, with the statistics of the network's record.
        work: directory for checkpoints; the caller removes it.
        compute: how the network computes; a compiled one draws other random numbers for stochastic depth.
        channels: numbers per target pixel that the first layer makes (`agrifm.models.family.Family`); with
            little work in a batch one thread is faster than several. 0 leaves the threads as they are.
        name: of the model, for messages and the progress bar.

    Raises:
        ModelError: a sample does not fit the sensors, the device cannot compute in that precision, or PyTorch cannot
            compile.
        OutputError: a checkpoint cannot be written.
    """
    work = as_path(work)
    warn_of_precision(compute.precision, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    if compute.recompute:
        recompute_blocks(network)
    if compute.compiled:  # the normalisation before it is cheap, and changes its input in place
        compile_network(network.network if isinstance(network, Classifier) else network)
    work.mkdir(parents=True, exist_ok=True)
    module = TrainingModule(network, objective, [sensor.sensor for sensor in sensors], parameters)
    loaders = training_loaders(sensors, training, validation, parameters.round, parameters.batch, parameters.seed)
    last, kept = work / "last.ckpt", work / "kept.pt"
    can_continue = is_whole_archive(last) and is_whole_archive(kept)
    largest = max(window.height * window.width for window in training.windows)
    with (
        translate_os_errors(f"training {name}"),
        _quiet(),
        _threads(parameters.batch * largest * channels),
        progress(f"train {name} (steps)", parameters.rounds * parameters.round) as advance,
    ):
        rounds = Rounds(work, parameters, advance)
        trainer = _trainer(parameters, rounds, compute.precision)
        trainer.fit(module, *loaders, ckpt_path=last if can_continue else None, weights_only=True)
    network.load_state_dict(torch.load(kept, weights_only=True))
    network.eval()
    total = rounds.waited + rounds.worked
    return Outcome(
        steps=rounds.done * parameters.round,
        kept_round=rounds.kept_round,
        kept_score=rounds.kept_score,
        seconds=total,
        waiting_share=rounds.waited / total if total else 0.0,
    )


def _trainer(parameters: Hyperparameters, rounds: Rounds, precision: Precision) -> lightning.Trainer:
    return lightning.Trainer(
        max_epochs=parameters.rounds,
        devices=1,
        precision=LIGHTNING_PRECISION[precision],
        gradient_clip_val=MAX_GRADIENT_NORM,
        callbacks=[rounds],
        logger=False,
        # `Rounds` writes the checkpoints.
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


@contextmanager
def _threads(work: int) -> Iterator[None]:
    """Compute in one thread where a batch is too small for several; 0 = unknown."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1 if 0 < work <= MAX_ONE_THREAD_WORK else usual)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide those of Lightning's notes that the user cannot act on."""
    with warnings.catch_warnings():
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        for advice in (
            ".*LeafSpec.* is deprecated.*",
            ".*does not have many workers.*",
            ".*is smaller than the logging interval.*",
            ".*across ranks is zero.*",
            ".*Found .* module.* in eval mode.*",
            ".*GPU available but not used.*",
        ):
            warnings.filterwarnings("ignore", advice)
        yield
