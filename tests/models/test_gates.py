"""Gates begin at one, follow content and observations, and share what there is among the sources present."""

import pytest
import torch

from agrifm.models.gates import SourceGates

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
