"""Training with recomputed activations, in bfloat16 and compiled: the same weights but for rounding."""

from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.toy import toy_project
from torch import Tensor

from agrifm.config import Project
from agrifm.errors import ConfigError, ModelError
from agrifm.models.precision import Compute, compile_network
from agrifm.models.weights.file import read_record
from agrifm.train.run import train


@pytest.fixture
def empty_compile_cache() -> Iterator[None]:
    """Forget compiled code before and after a test.

    Dynamo counts recompilations of a function over the whole process; after a few, it gives up and runs the function
    uncompiled, so that a test here would see what other tests compiled.
    """
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def trained(project: Project, **how: Any) -> dict[str, Tensor]:
    """Weights after one step; a model that was trained in another way is trained again."""
    train(project, Compute(**how))
    path = project.models / "agrifm.safetensors"
    usual = {"precision": "float32", "recompute": False, "compiled": False}
    assert read_record(path).training.get("computed", usual) == usual | how
    return load_file(path)


@pytest.mark.check
def test_a_step_is_the_same_however_it_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agrifm.models.precision.bfloat16_is_native", lambda: True)  # so that it is not warned of
    project = toy_project(tmp_path, steps=1)
    usual, recomputed, shortened = (
        trained(project, **how) for how in ({}, {"recompute": True}, {"precision": "bfloat16"})
    )
    assert usual.keys() == recomputed.keys() == shortened.keys()
    # one step of AdamW moves every weight by at most the learning rate, whatever its gradient
    moved = {name: float((shortened[name] - usual[name]).abs().max()) for name in usual}
    assert 0 < max(moved.values()) <= 2.1e-3
    assert all(tensor.dtype == torch.float32 for tensor in shortened.values())
    # where a gradient is rounding alone its sign is chance, and with it the step; so the share that agrees counts
    equal = [torch.isclose(recomputed[name], usual[name], rtol=1e-4, atol=1e-6) for name in usual]
    assert torch.cat([one.flatten() for one in equal]).float().mean() > 0.999


@pytest.mark.check
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # the compiler itself does so
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")  # and this
@pytest.mark.parametrize("more", [{}, {"precision": "bfloat16"}], ids=str)
@pytest.mark.usefixtures("empty_compile_cache")
def test_a_compiled_step_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]) -> None:
    """PyTorch's eager backend runs what it compiles as it is, with the same random numbers."""
    try:
        compile_network(torch.nn.Linear(1, 1))
    except ModelError as error:
        pytest.skip(str(error))
    graphs: list[Any] = []

    def eager(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr("agrifm.models.precision.bfloat16_is_native", lambda: True)  # so that it is not warned of
    monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend=eager))
    project = toy_project(tmp_path, steps=1)
    usual, compiled = trained(project, **more), trained(project, compiled=True, **more)
    assert usual.keys() == compiled.keys()
    assert all(torch.equal(compiled[name], usual[name]) for name in usual)
    assert len(graphs) == 2  # of training and of validation


def test_what_cannot_be_computed_is_refused_and_leaves_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CXX", "no-such-compiler")
    project = toy_project(tmp_path, steps=1)
    for how, fact in (
        ({"precision": "float16"}, "bfloat16"),
        ({"precision": "double"}, "float32"),
        ({"compiled": True}, "no-such-compiler"),
        ({"compiled": True, "recompute": True}, "`compiled` or `recompute`"),
    ):
        with pytest.raises(ModelError, match=fact):
            trained(project, **how)
    forest = toy_project(tmp_path / "forest", names='"random-forest"')
    with pytest.raises(ConfigError, match="`compute`"):
        train(forest, Compute("bfloat16"))
    assert not [*project.models.glob("*.safetensors"), *forest.models.glob("*.skops")]
