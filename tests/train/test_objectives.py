"""Objectives: what the loop keeps weights by, and fractions of land cover trained by the same loop as classes."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.toy import toy_project
from torch import Tensor, nn

from agrifm.models.batch import TensorBatch
from agrifm.train.fit import Objective
from agrifm.train.objectives import Classification, Fractions

FRACTIONS = """
import json, os, signal, sys
from pathlib import Path
import torch
from agrifm.config import read_project
from agrifm.cube.store import open_cube
from agrifm.models.classifier import Classifier
from agrifm.models.family import FAMILIES
from agrifm.train import fit
from agrifm.train.data import prepare, project_labels
from agrifm.train.objectives import Fractions

fit.MAX_ROUND_STEPS = 3
steps, plain = 0, fit.TrainingModule.training_step

def step(self, batch):
    global steps
    if steps == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    steps += 1
    return plain(self, batch)

fit.TrainingModule.training_step = step
project = read_project(Path(sys.argv[1]))
cube = open_cube(project.cube)
data = prepare(cube, project_labels(project, cube), project.labels.block, project.model)
family = FAMILIES[sys.argv[3]]
torch.manual_seed(0)
config = family.preset("tiny", data.sensors, 3, 4, "interpolated", 90)
network = Classifier(family.network(config), data.sensors, "interpolated")
outcome = fit.fit(
    network, Fractions(classes=3, side=8), data.sensors, data.training, data.validation,
    fit.Hyperparameters(steps=6, batch=2, learning_rate=5e-3, seed=0), Path(sys.argv[1]) / "work",
)
torch.save(network.state_dict(), Path(sys.argv[1]) / "weights.pt")
print(json.dumps({"steps": outcome.steps, "score": outcome.kept_score}))
"""


class Constant(nn.Module):
    """A network that returns the same logits for every batch."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, _: TensorBatch) -> Tensor:
        return self.logits


def labelled(label: np.ndarray) -> TensorBatch:
    """A batch that has labels only."""
    return TensorBatch({}, {}, {}, torch.zeros(len(label)), {}, {}, torch.from_numpy(label.astype(np.uint8)))


def run(directory: Path, kill_at: int, family: str) -> subprocess.CompletedProcess[str]:
    """Train fractions in a separate process, killed before that step."""
    command = [sys.executable, "-c", FRACTIONS, str(directory), str(kill_at), family]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.check
@pytest.mark.parametrize("family", ["agrifm", "tempcnn"])
def test_fractions_are_trained_by_the_same_loop_and_continue_after_a_kill(tmp_path: Path, family: str) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for directory in (whole, killed):
        toy_project(directory)
    assert run(killed, 4, family).returncode == -signal.SIGKILL
    finished = [run(directory, -1, family) for directory in (whole, killed)]
    assert [done.returncode for done in finished] == [0, 0], finished[0].stderr
    expected, found = (torch.load(directory / "weights.pt", weights_only=True) for directory in (whole, killed))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    outcome = json.loads(finished[0].stdout)
    assert outcome["steps"] == 6
    # Three classes with equal shares everywhere would be 0.56 on the toy's validation blocks.
    assert outcome["score"] > 0.6


def test_fractions_are_compared_in_coarse_pixels_by_their_labelled_share() -> None:
    """Two coarse pixels of 2 x 2, the right one cut by the edge: and half labelled."""
    label = np.array([[[0, 0, 1], [0, 255, 255]]])
    logits = torch.tensor([30.0, 0.0]).reshape(1, 2, 1, 1).expand(1, 2, 2, 3).clone()
    network, objective = Constant(logits), Fractions(classes=2, side=2)
    batch = labelled(label)
    # The left pixel has weight 3/4 and no error; the right one has weight 1/2 and the wrong class alone.
    assert objective.loss(network, batch).item() == pytest.approx(0.5 / 1.25, abs=1e-6)
    sums = objective.validation_sums(network, batch)
    assert sums == pytest.approx([0.5, 1.25], abs=1e-6)
    assert objective.score(sums + sums) == pytest.approx(1 - 0.4, abs=1e-6)
    assert objective.score(np.zeros(2)) == 0


def test_classes_are_scored_by_macro_f1_of_the_classes_that_occur() -> None:
    label = np.array([[[0, 0, 1, 255]]])
    logits = torch.eye(3)[torch.tensor([0, 1, 1, 2])].T.reshape(1, 3, 1, 4)
    objective = Classification(np.array([True, True, True]))
    counts = objective.validation_sums(Constant(logits), labelled(label))
    assert counts.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    # F1 of both classes is 2/3; the third class does not occur.
    assert objective.score(counts) == pytest.approx(2 / 3)


def test_a_round_without_a_scored_class_scores_zero() -> None:
    objective = Classification(np.array([False, True]))
    assert objective.score(np.array([[5, 0], [0, 0]])) == 0


@pytest.mark.parametrize("objective", [Classification(np.ones(2, bool)), Fractions(classes=2, side=2)])
def test_an_objective_without_labels_has_no_loss_and_no_gradient(objective: Objective) -> None:
    network = Constant(torch.randn(1, 2, 4, 4))
    loss = objective.loss(network, labelled(np.full((1, 4, 4), 255)))
    loss.backward()
    assert loss.item() == 0
    assert network.logits.grad is not None
    assert not network.logits.grad.any()
