"""Training with recomputed activations and in bfloat16: the same weights but for rounding."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.toy import toy_project
from torch import Tensor

from agrifm.errors import ModelError
from agrifm.train import finetune
from agrifm.train.run import train


def trained(directory: Path, monkeypatch: pytest.MonkeyPatch, **how: Any) -> dict[str, Tensor]:
    """Weights after one step."""
    with monkeypatch.context() as context:
        context.setattr(finetune, "finetune", partial(finetune.finetune, **how))
        project = toy_project(directory, steps=1)
        train(project)
    return load_file(project.models / "agrifm.safetensors")


def test_a_step_is_the_same_however_it_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = trained(tmp_path / "usual", monkeypatch)
    recomputed = trained(tmp_path / "recomputed", monkeypatch, recompute=True)
    shortened = trained(tmp_path / "bfloat16", monkeypatch, precision="bfloat16")
    assert usual.keys() == recomputed.keys() == shortened.keys()
    # one step of AdamW moves every weight by at most the learning rate, whatever its gradient
    moved = {name: float((shortened[name] - usual[name]).abs().max()) for name in usual}
    assert 0 < max(moved.values()) <= 2.1e-3
    assert all(tensor.dtype == torch.float32 for tensor in shortened.values())
    # where a gradient is rounding alone its sign is chance, and with it the step; so the share that agrees counts
    equal = [torch.isclose(recomputed[name], usual[name], rtol=1e-4, atol=1e-6) for name in usual]
    assert torch.cat([one.flatten() for one in equal]).float().mean() > 0.999


def test_float16_is_refused_on_a_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="choose bfloat16"):
        trained(tmp_path, monkeypatch, precision="float16")
