"""The training loop: a killed and continued run equals an uninterrupted one; which weights are kept."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.toy import toy_project

from agrifm.config import read_project
from agrifm.train import fit
from agrifm.train.fit import MAX_ROUND_STEPS, PATIENCE, Hyperparameters, Rounds, TrainingModule
from agrifm.train.objectives import Classification
from agrifm.train.run import train

KILLED = """
import os, signal, sys
from pathlib import Path
from agrifm.config import read_project
from agrifm.train import fit
from agrifm.train.run import train

fit.MAX_ROUND_STEPS = 3
steps = 0
plain = fit.TrainingModule.training_step

def step(self, batch):
    global steps
    if steps == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    steps += 1
    return plain(self, batch)

fit.TrainingModule.training_step = step
train(read_project(Path(sys.argv[1])))
print("steps", steps)
"""


def run(directory: Path, kill_at: int) -> subprocess.CompletedProcess[str]:
    """Train in a separate process, killed before that step."""
    command = [sys.executable, "-c", KILLED, str(directory), str(kill_at)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def train_here(directory: Path) -> None:
    """Train in this process, in the same short rounds, to the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "MAX_ROUND_STEPS", 3)
        train(read_project(directory))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("uninterrupted")
    toy_project(directory, steps=8)
    train_here(directory)
    return directory


@pytest.mark.check
@pytest.mark.parametrize("kills", [(4,), (8, 1, 2)], ids=str)
def test_training_killed_at_any_step_ends_with_the_same_weights(
    uninterrupted: Path, tmp_path: Path, kills: tuple[int, ...]
) -> None:
    toy_project(tmp_path, steps=8)
    for kill in kills:
        assert run(tmp_path, kill).returncode == -signal.SIGKILL
    train_here(tmp_path)
    expected, found = (load_file(path / "models" / "agrifm.safetensors") for path in (uninterrupted, tmp_path))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.check
def test_a_continued_run_repeats_at_most_one_round(tmp_path: Path) -> None:
    toy_project(tmp_path, steps=8)
    run(tmp_path, 7)
    done = run(tmp_path, -1)
    # three rounds of three steps; two rounds were done before step 7
    assert done.stdout.split()[-2:] == ["steps", "3"]
    assert MAX_ROUND_STEPS <= 50


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


@pytest.mark.check
def test_a_toy_season_is_learned(tmp_path: Path) -> None:
    scores = train(toy_project(tmp_path, steps=60, names='"agrifm", "random-forest"'))
    assert scores["models"]["agrifm"]["overall_accuracy"] > 0.8
    assert scores["models"]["random-forest"]["overall_accuracy"] > 0.8
    assert scores["majority_class"]["overall_accuracy"] < 0.6


def test_a_stopped_run_stays_stopped(tmp_path: Path) -> None:
    rounds = Rounds(tmp_path, Hyperparameters(4, 1, 1e-3, 0), print)
    state = {"best": 0.5, "kept_score": 0.48, "kept_round": 3, "done": 16, "stopped": True}
    rounds.load_state_dict(state)
    assert rounds.state_dict() == state


def scored_rounds(work: Path, scores: Sequence[float]) -> tuple[Rounds, list[bool]]:
    """Rounds with these validation scores, and whether training stops after each; weights are the round's number."""
    parameters = Hyperparameters(4, 1, 1e-3, 0)
    rounds, network = Rounds(work, parameters, print), torch.nn.Linear(1, 1)
    module = TrainingModule(network, Classification(np.ones(1, bool)), (), parameters)
    stopped = []
    for number, score in enumerate(scores):
        module.validation_score = score
        with torch.no_grad():
            network.bias.fill_(number)
        rounds.on_validation_end(lightning.Trainer(logger=False), module)
        stopped.append(rounds.stopped)
        rounds.done += 1
    return rounds, stopped


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ((0.2, 0.6, 0.58, 0.56), 3),  # the latest one that is not clearly below the best
        ((0.2, 0.6, 0.5, 0.54), 1),
        ((0.2, 0.6, 0.5, 0.56), 3),
        ((0.0, 0.0), 1),
        ((-3.0, -2.0, -2.1), 1),  # scores of other objectives may be negative
    ],
)
def test_the_latest_weights_not_clearly_below_the_best_are_kept(
    tmp_path: Path, scores: tuple[float, ...], kept: int
) -> None:
    rounds, stopped = scored_rounds(tmp_path, scores)
    assert (rounds.kept_round, rounds.kept_score) == (kept, scores[kept])
    assert not any(stopped)
    assert torch.load(tmp_path / "kept.pt", weights_only=True)["bias"] == kept


def test_training_stops_after_too_many_rounds_below_the_best(tmp_path: Path) -> None:
    _, stopped = scored_rounds(tmp_path, (0.6, *[0.5] * (PATIENCE + 1)))
    assert stopped == [False] * PATIENCE + [True, True]
