"""Training: killed and continued equals uninterrupted; rounds and sampling."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.toy import toy_project
from torch.utils.data import DataLoader, Dataset

from agrifm.errors import ModelError
from agrifm.models.agrifm.network import AgriFM, preset
from agrifm.train.fit import PATIENCE, ROUND, Ahead, Recipe, Rounds, RoundSampler, Segmentation
from agrifm.train.run import train

KILLED = """
import os, signal, sys
from pathlib import Path
from agrifm.config import read_project
from agrifm.train import fit as finetune
from agrifm.train.run import train

finetune.ROUND = 3
steps = 0
plain = finetune.Segmentation.training_step

def step(self, batch):
    global steps
    if steps == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    steps += 1
    return plain(self, batch)

finetune.Segmentation.training_step = step
train(read_project(Path(sys.argv[1])))
print("steps", steps)
"""


def run(directory: Path, kill_at: int) -> subprocess.CompletedProcess[str]:
    """Train in a process of its own, killed before that step."""
    command = [sys.executable, "-c", KILLED, str(directory), str(kill_at)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("uninterrupted")
    toy_project(directory, steps=8)
    done = run(directory, -1)
    assert done.returncode == 0, done.stderr
    return directory


@pytest.mark.parametrize("kills", [(4,), pytest.param((8, 1, 2), marks=pytest.mark.check)], ids=str)
def test_training_killed_at_any_step_ends_with_the_same_weights(
    uninterrupted: Path, tmp_path: Path, kills: tuple[int, ...]
) -> None:
    toy_project(tmp_path, steps=8)
    for kill in kills:
        assert run(tmp_path, kill).returncode == -signal.SIGKILL
    done = run(tmp_path, -1)
    assert done.returncode == 0, done.stderr
    expected, found = (load_file(path / "models" / "agrifm.safetensors") for path in (uninterrupted, tmp_path))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_continued_run_repeats_at_most_one_round(tmp_path: Path) -> None:
    toy_project(tmp_path, steps=8)
    run(tmp_path, 7)
    done = run(tmp_path, -1)
    # three rounds of three steps; two rounds were done before step 7
    assert done.stdout.split()[-2:] == ["steps", "3"]
    assert ROUND <= 50


@pytest.mark.check
def test_a_changed_project_is_trained_from_the_start(tmp_path: Path) -> None:
    toy_project(tmp_path, steps=8)
    run(tmp_path, 7)
    project = tmp_path / "agrifm.toml"
    project.write_text(project.read_text().replace("steps = 8", "steps = 5"))
    assert run(tmp_path, -1).stdout.split()[-2:] == ["steps", "6"]


def test_the_share_of_time_spent_waiting_for_data_is_measured(uninterrupted: Path) -> None:
    timing = json.loads((uninterrupted / "models" / "agrifm.timing.json").read_text())
    assert 0 < timing["share_of_time_waiting_for_data"] < 1
    assert timing["seconds"] > 0


def test_a_toy_season_is_learned(tmp_path: Path) -> None:
    scores = train(toy_project(tmp_path, steps=60, names='"agrifm", "random-forest"'))
    assert scores["models"]["agrifm"]["overall_accuracy"] > 0.8
    assert scores["models"]["random-forest"]["overall_accuracy"] > 0.8
    assert scores["majority_class"]["overall_accuracy"] < 0.6


def test_every_patch_comes_before_any_comes_again() -> None:
    recipe = Recipe(steps=10, batch=3, learning_rate=1e-3, seed=5)
    sampler = RoundSampler(7, recipe, turns=8)
    drawn = []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        drawn += [patch for patch, _ in sampler]
    assert len(drawn) == 4 * 30
    for lap in range(len(drawn) // 7):
        assert sorted(drawn[7 * lap : 7 * lap + 7]) == list(range(7))


def test_a_round_is_the_same_whenever_it_is_drawn_and_turns_differ() -> None:
    recipe = Recipe(steps=10, batch=3, learning_rate=1e-3, seed=5)
    first, again = RoundSampler(7, recipe, turns=8), RoundSampler(7, recipe, turns=8)
    first.set_epoch(2)
    list(first)
    again.set_epoch(2)
    assert list(first) == list(again)
    assert {turn for _, turn in first} == set(range(8))


class Numbers(Dataset[int]):
    """Its own indices; making one is noted, and the one that is not there cannot be made."""

    def __init__(self, length: int, made: list[int], broken: int = -1) -> None:
        self.length, self.made, self.broken = length, made, broken

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> int:
        if index == self.broken:
            raise ModelError("it is broken")
        self.made.append(index)
        return index


def test_batches_made_ahead_are_those_of_the_loader_and_at_most_one_ahead() -> None:
    made: list[int] = []
    loader = DataLoader(Numbers(7, made), 2, collate_fn=list)
    ahead = Ahead(loader)
    assert len(ahead) == 4
    taken: list[list[int]] = []
    for batch in ahead:
        taken.append(batch)
        assert len(made) <= 2 * (len(taken) + 1)
    assert taken == list(loader) == [[0, 1], [2, 3], [4, 5], [6]]


def test_a_batch_that_cannot_be_made_ahead_is_said_when_its_turn_comes() -> None:
    batches = iter(Ahead(DataLoader(Numbers(4, [], 2), 2, collate_fn=list)))
    assert next(batches) == [0, 1]
    with pytest.raises(ModelError, match="it is broken"):
        next(batches)


def test_a_stopped_run_stays_stopped(tmp_path: Path) -> None:
    rounds = Rounds(tmp_path, Recipe(4, 1, 1e-3, 0), print)
    state = {"best": 0.5, "kept_score": 0.48, "kept_round": 3, "done": 16, "stopped": True}
    rounds.load_state_dict(state)
    assert rounds.state_dict() == state


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ((0.2, 0.6, 0.58, 0.56), 3),  # the latest one that is not clearly below the best
        ((0.2, 0.6, 0.5, 0.54), 1),
        ((0.2, 0.6, 0.5, 0.56), 3),
        ((float("nan"), 0.0), 1),
    ],
)
def test_the_latest_weights_that_are_not_clearly_below_the_best_are_kept(
    tmp_path: Path, scores: tuple[float, ...], kept: int
) -> None:
    rounds = Rounds(tmp_path, Recipe(4, 1, 1e-3, 0), print)
    scored = np.ones(1, bool)
    network = AgriFM(preset("tiny", {"sentinel-2": 2}, classes=1))
    module = Segmentation(network, (), scored, Recipe(4, 1, 1e-3, 0))
    for number, score in enumerate(scores):
        module.validation_macro_f1 = score
        with torch.no_grad():
            network.heads.head[0].bias.fill_(number)
        rounds.on_validation_end(lightning.Trainer(logger=False), module)
        rounds.done += 1
    assert rounds.kept_round == kept
    assert not rounds.stopped
    assert (torch.load(tmp_path / "kept.pt", weights_only=True)["heads.head.0.bias"] == kept).all()


def test_training_stops_when_every_round_has_been_clearly_below_the_best_for_long(tmp_path: Path) -> None:
    rounds = Rounds(tmp_path, Recipe(4, 1, 1e-3, 0), print)
    module = Segmentation(AgriFM(preset("tiny", {"sentinel-2": 2}, classes=1)), (), np.ones(1, bool), rounds.recipe)
    stopped = []
    for score in (0.6, *[0.5] * (PATIENCE + 1)):
        module.validation_macro_f1 = score
        rounds.on_validation_end(lightning.Trainer(logger=False), module)
        stopped.append(rounds.stopped)
        rounds.done += 1
    assert stopped == [False] * PATIENCE + [True, True]
