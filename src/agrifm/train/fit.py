"""Training AgriFM on labelled patches: AdamW, warm-up and cosine, early stopping on validation macro F1, resumable.

The weights kept are the latest whose validation is not clearly below the best: the schedule ends where weights are
best, and the best of many noisy validations is mostly a lucky early one.
Training goes in rounds of at most 50 steps. After each round the model is validated and everything needed to go on
is written to the work directory, so a run killed at any step repeats at most one round. The order of samples, their
flips and all random numbers follow from the seed and the round alone, so a continued run ends with the same weights,
bit for bit, as an uninterrupted one.
"""

import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from agrifm.files import translate_os_errors, write_bytes
from agrifm.inference.tensors import sensor_to_drop, tensor_batch
from agrifm.models.batch import TensorBatch
from agrifm.models.classifier import Classifier
from agrifm.models.cost import first_channels
from agrifm.models.precision import USUAL, Compute, Precision, compile_network, recompute_blocks, warn_of_precision
from agrifm.record import SensorRecord, SeriesKind
from agrifm.samples.patches import Patches
from agrifm.samples.sample import Sample
from agrifm.samples.transforms import turned
from agrifm.scores import confusion_counts, macro_f1
from agrifm.train.losses import cross_entropy
from agrifm.work import progress

ROUND = 50
"""Most steps between two validations, and most steps repeated after a kill."""
BY_CHANCE = 0.05
"""Validation macro F1 of one round differs from another's by this much by chance: validation blocks are few."""
PATIENCE = 12
"""Rounds in a row further than that below the best one after which training stops."""
WARM_UP = 0.1
"""Share of the steps in which the learning rate rises linearly."""
FINAL_RATE = 0.01
"""The cosine ends at this share of the highest learning rate."""
WEIGHT_DECAY = 0.01
SMOOTHING = 0.05
"""Of the labels: fields are mislabelled and pixels mixed now and then."""
GRADIENT_NORM = 1.0
"""Gradients are scaled down to this norm."""
ONE_THREAD_WORK = 500_000
"""Target pixels of a batch x channels of the first stage up to which a second thread costs more than it saves
(docs/decisions/0002-waiting-threads.md)."""

MIXED: dict[Precision, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "float32": "32-true",
    "bfloat16": "bf16-mixed",
    "float16": "16-mixed",
}
"""Names of precisions in Lightning, which scales losses for float16."""


@dataclass(frozen=True)
class Recipe:
    """The numbers that a training run is made of."""

    steps: int
    batch: int
    learning_rate: float
    seed: int
    series: SeriesKind = "interpolated"
    """How the network sees a season."""
    sensor_dropout: float = 0.0
    """Share of the steps in which one sensor, not the first, is left out."""

    @property
    def round(self) -> int:
        """Steps per round."""
        return min(ROUND, self.steps)

    @property
    def rounds(self) -> int:
        """Most rounds; the last one is full, so up to `round - 1` steps more than asked for may be made."""
        return math.ceil(self.steps / self.round)


@dataclass
class Outcome:
    """What happened in a training run."""

    steps: int
    kept_round: int
    """Round whose weights are the result."""
    kept_macro_f1: float
    seconds: float
    """Training time without validation, in the part of the run that this process made."""
    waiting_share: float
    """Share of training time spent waiting for data, in the part of the run that this process made."""


class Turned(Dataset[Sample]):
    """Patches flipped and turned; an index is (patch, turn)."""

    def __init__(self, patches: Patches) -> None:
        self.patches = patches

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: tuple[int, int]) -> Sample:
        patch, turn = index
        return turned(self.patches[patch], turn)


class RoundSampler(Sampler[tuple[int, int]]):
    """The patches and turns of one round, decided by seed and round alone; every patch comes before any comes again."""

    def __init__(self, patches: int, recipe: Recipe, turns: int) -> None:
        self.patches, self.recipe, self.turns = patches, recipe, turns
        self.round = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the round; Lightning calls this at its start."""
        self.round = epoch

    def __len__(self) -> int:
        return self.recipe.round * self.recipe.batch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        first = self.round * len(self)
        turns = np.random.default_rng([self.recipe.seed, 1, self.round]).integers(self.turns, size=len(self))
        shuffles: dict[int, NDArray[np.int64]] = {}
        for position, turn in zip(range(first, first + len(self)), turns, strict=True):
            lap, place = divmod(position, self.patches)
            if lap not in shuffles:
                shuffles[lap] = np.random.default_rng([self.recipe.seed, 2, lap]).permutation(self.patches)
            yield int(shuffles[lap][place]), int(turn)


class Ahead:
    """The batches of a loader; while a step runs, a thread of its own makes the next one."""

    def __init__(self, loader: DataLoader[Sample]) -> None:
        self.loader = loader
        self.sampler = loader.sampler  # Lightning tells it the round

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[TensorBatch]:
        batches = iter(self.loader)
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as executor:
            coming = executor.submit(next, batches, None)
            while (batch := coming.result()) is not None:
                coming = executor.submit(next, batches, None)
                yield batch


class Segmentation(lightning.LightningModule):
    """The network, its loss, its optimiser, and validation by macro F1."""

    def __init__(
        self, network: nn.Module, sensors: Sequence[SensorRecord], scored: NDArray[np.bool_], recipe: Recipe
    ) -> None:
        super().__init__()
        self.classifier = Classifier(network, sensors, recipe.series)
        self.scored, self.recipe = scored, recipe
        self.counts = np.zeros((len(scored), len(scored)), np.int64)
        self.validation_macro_f1 = float("nan")

    def forward(self, batch: TensorBatch) -> Tensor:
        """Logits (B, classes, H, W)."""
        logits: Tensor = self.classifier(batch)
        return logits

    def training_step(self, batch: TensorBatch) -> Tensor:
        """Loss over labelled pixels."""
        sensors, recipe = self.classifier.sensors, self.recipe
        dropped = sensor_to_drop(sensors, recipe.sensor_dropout, recipe.seed, self.trainer.global_step)
        if dropped is not None:
            batch = batch.without(dropped)
        return cross_entropy(self(batch), batch.label, smoothing=SMOOTHING)

    def on_validation_epoch_start(self) -> None:
        """Begin counting."""
        self.counts[:] = 0

    def validation_step(self, batch: TensorBatch) -> None:
        """Count labelled pixels by predicted and true class."""
        predicted = self(batch).argmax(dim=1).cpu().numpy()
        self.counts += confusion_counts(predicted, batch.label.cpu().numpy(), len(self.scored))

    def on_validation_epoch_end(self) -> None:
        """Macro F1 over the scored classes that occur in the validation blocks."""
        self.validation_macro_f1 = macro_f1(self.counts, self.scored & (self.counts.sum(axis=0) > 0))

    def configure_optimizers(self) -> Any:
        """AdamW; linear warm-up, then cosine, per step."""
        optimiser = torch.optim.AdamW(self.parameters(), self.recipe.learning_rate, weight_decay=WEIGHT_DECAY)
        total = self.recipe.rounds * self.recipe.round
        warm = max(1, round(WARM_UP * total))

        def rate(step: int) -> float:
            if step < warm:
                return (step + 1) / warm
            share = (step - warm) / max(1, total - warm)
            return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * share))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Rounds(Callback):
    """Seeds each round, keeps weights, stops early, writes checkpoints, counts the time spent waiting."""

    def __init__(self, work: Path, recipe: Recipe, advance: Callable[[int], None]) -> None:
        self.work, self.recipe, self.advance = work, recipe, advance
        self.best, self.done, self.stopped = -1.0, 0, False
        self.kept_score, self.kept_round = -1.0, -1
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
        """A run that had stopped stays stopped."""
        trainer.should_stop = self.stopped
        self.advance(self.done * self.recipe.round)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Waiting for data begins."""
        self._mark = time.perf_counter()

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Waiting for data ends; the random numbers of a step follow from the seed and the step."""
        torch.manual_seed(int(np.random.SeedSequence([self.recipe.seed, trainer.global_step]).generate_state(1)[0]))
        now = time.perf_counter()
        self.waited, self._mark = self.waited + now - self._mark, now

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """A step ends, waiting for data begins."""
        now = time.perf_counter()
        self.worked, self._mark = self.worked + now - self._mark, now
        self.advance(1)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep the weights unless they are clearly below the best; decide whether to stop."""
        assert isinstance(pl_module, Segmentation)
        score = pl_module.validation_macro_f1
        score = 0.0 if math.isnan(score) else score  # no scored class in the validation blocks
        self.best = max(self.best, score)
        if score >= self.best - BY_CHANCE or self.kept_round < 0:
            self.kept_score, self.kept_round = score, self.done
            _save(self.work / "kept.pt", pl_module.classifier.network.state_dict())
        self.stopped = self.done - self.kept_round >= PATIENCE

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the checkpoint; this runs after validation."""
        self.done += 1
        trainer.should_stop = self.stopped
        aside = self.work / "last.ckpt.partial"
        trainer.save_checkpoint(aside)
        aside.replace(self.work / "last.ckpt")


def _save(path: Path, content: object) -> None:
    buffer = BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())


def finetune(
    network: nn.Module,
    sensors: Sequence[SensorRecord],
    scored: NDArray[np.bool_],
    training: Patches,
    validation: Patches,
    recipe: Recipe,
    work: Path,
    compute: Compute = USUAL,
    name: str = "agrifm",
) -> Outcome:
    """Train `network` in place, from the last checkpoint in `work` where there is one; ends with the weights kept.

    Args:
        scored: (classes,), which classes the validation macro F1 counts.
        work: directory for checkpoints; its caller removes it.
        compute: how the network computes; if it is compiled, stochastic depth draws other random numbers.
        name: of the model, for messages and the progress bar.

    Raises:
        ModelError: a sample is not what the network takes, the device does not compute in that precision, or there is
            nothing to compile with.
        OutputError: a checkpoint cannot be written.
    """
    warn_of_precision(compute.precision, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    if compute.recompute:
        recompute_blocks(network)
    if compute.compiled:
        compile_network(network)
    work.mkdir(parents=True, exist_ok=True)
    module = Segmentation(network, sensors, scored, recipe)
    square = {(window.height == window.width) for window in training.windows} == {True}
    sampler = RoundSampler(len(training), recipe, 8 if square else 1)
    usable = partial(tensor_batch, sensors=sensors)
    train_loader = Ahead(DataLoader(Turned(training), recipe.batch, sampler=sampler, collate_fn=usable))
    validation_loader = DataLoader(
        Turned(validation),
        recipe.batch,
        sampler=[(number, 0) for number in range(len(validation))],
        collate_fn=usable,
    )
    config: Any = network.config
    last = work / "last.ckpt"
    largest = max(window.height * window.width for window in training.windows)
    with (
        translate_os_errors(f"training {name}"),
        _quiet(),
        _threads(recipe.batch * largest * first_channels(config)),
        progress(f"train {name} (steps)", recipe.rounds * recipe.round) as advance,
    ):
        rounds = Rounds(work, recipe, advance)
        trainer = lightning.Trainer(
            max_epochs=recipe.rounds,
            devices=1,
            precision=MIXED[compute.precision],
            gradient_clip_val=GRADIENT_NORM,
            callbacks=[rounds],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(
            module, train_loader, validation_loader, ckpt_path=last if last.exists() else None, weights_only=True
        )
    network.load_state_dict(torch.load(work / "kept.pt", weights_only=True))
    network.eval()
    total = rounds.waited + rounds.worked
    return Outcome(
        steps=rounds.done * recipe.round,
        kept_round=rounds.kept_round,
        kept_macro_f1=rounds.kept_score,
        seconds=total,
        waiting_share=rounds.waited / total if total else 0.0,
    )


@contextmanager
def _threads(work: int) -> Iterator[None]:
    """As many threads as pay for batches of this size."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1 if work <= ONE_THREAD_WORK else usual)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice that the user cannot act on is not shown."""
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
