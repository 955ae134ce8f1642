"""Gates begin at one, follow content and observations, and share what there is among the sources present."""

import pytest
import torch

from agrifm.errors import ModelError
from agrifm.models.agrifm.gates import SourceGates
from agrifm.models.agrifm.network import AgriFM, preset

CHANNELS = {"a": 4, "b": 6, "c": 3}


def maps(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(2, count, 5, 5, generator=generator) for name, count in CHANNELS.items()}


def counts(**changes: float) -> dict[str, torch.Tensor]:
    return {name: torch.full((2, 1, 10, 10), changes.get(name, 8.0)) for name in CHANNELS}


def stay(_: str, score: torch.Tensor) -> torch.Tensor:
    return score


def test_all_weights_begin_at_exactly_one() -> None:
    for weight in SourceGates(CHANNELS)(maps(), counts(), stay).values():
        assert torch.equal(weight, torch.ones(2, 1, 5, 5))


def test_weights_are_n_times_the_softmax_of_the_scores() -> None:
    torch.manual_seed(0)
    gates = SourceGates(CHANNELS)
    for parameter in gates.parameters():
        torch.nn.init.normal_(parameter)
    content = {name: own for name, own in maps().items() if name != "b"}
    found = gates(content, counts(c=3.0), stay)
    scores = {}
    for name, own in content.items():
        layer = gates.score[name]
        often = torch.full((2, 1, 5, 5), {"a": 8.0, "c": 3.0}[name]).log1p()
        scores[name] = torch.einsum("oc,bchw->bohw", layer.weight[..., 0, 0], torch.cat([own, often], 1)) + layer.bias
    total = sum(score.exp() for score in scores.values())
    assert set(found) == {"a", "c"}
    for name, weight in found.items():
        torch.testing.assert_close(weight, 2 * scores[name].exp() / total)


@pytest.mark.parametrize("source", CHANNELS)
def test_a_source_that_saw_more_can_count_more(source: str) -> None:
    gates = SourceGates(CHANNELS)
    with torch.no_grad():
        for layer in gates.score.values():
            layer.weight[:, -1] = 1.0
    few, many = (gates(maps(), counts(**{source: number}), stay)[source] for number in (2.0, 40.0))
    assert (many > few).all()


def gated(lean: bool, gates: bool = True) -> AgriFM:
    """A model with gates that are no longer at their start."""
    torch.manual_seed(0)
    sources = {"sentinel-2": 4, "landsat": 3, "modis": 2}
    config = preset("tiny", sources, classes=3, frames=8 if lean else None)
    network = AgriFM(config.model_copy(update={"gates": gates})).eval()
    for name, parameter in network.named_parameters():
        if ".gates." in name:
            torch.nn.init.normal_(parameter)
    return network


def place(*absent: str) -> dict[str, torch.Tensor | None]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"sentinel-2": (4, 48), "landsat": (3, 16), "modis": (2, 1)}
    images = {name: torch.randn(2, 8, C, side, side, generator=generator) for name, (C, side) in shapes.items()}
    return {name: None if name in absent else image for name, image in images.items()}


@torch.no_grad()
@pytest.mark.parametrize("lean", [True, False])
@pytest.mark.parametrize("absent", [(), ("landsat",), ("sentinel-2", "modis")])
def test_the_weights_of_a_model_average_to_one_over_the_sources_present(lean: bool, absent: tuple[str, ...]) -> None:
    images = place(*absent)
    levels = gated(lean).gate_weights(images)
    assert len(levels) == 4
    for weights in levels:
        assert set(weights) == {name for name, image in images.items() if image is not None}
        mean = torch.stack(list(weights.values())).mean(dim=0)
        torch.testing.assert_close(mean, torch.ones_like(mean))
    if len(levels[0]) > 1:
        assert all((weight - 1).abs().max() > 0.01 for weights in levels for weight in weights.values())


@torch.no_grad()
@pytest.mark.parametrize("lean", [True, False])
def test_the_weights_are_those_that_the_scores_are_made_with(lean: bool) -> None:
    """What each gate returns in a forward pass, caught on the way."""
    network, images = gated(lean), place()
    caught: list[dict[str, torch.Tensor]] = []
    gates = network.decoder.context.gates if lean else network.neck.gates
    handles = [gate.register_forward_hook(lambda _, __, weights: caught.append(weights)) for gate in gates]
    network(images)
    for handle in handles:
        handle.remove()
    for weights, expected in zip(network.gate_weights(images), caught, strict=True):
        assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_a_model_without_gates_says_so() -> None:
    with pytest.raises(ModelError, match="has no gates, every source counts 1; build it"):
        gated(lean=True, gates=False).gate_weights(place())
