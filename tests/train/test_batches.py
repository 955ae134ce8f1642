"""Batches of training: the order of patches, batches made while a step runs, and dropped sensors."""

import pytest
from torch.utils.data import DataLoader, Dataset

from agrifm.errors import ModelError
from agrifm.samples.transforms import SYMMETRIES
from agrifm.train.batches import PrefetchLoader, RoundSampler, sensor_to_drop


def test_every_patch_comes_before_any_comes_again() -> None:
    sampler = RoundSampler(7, samples=30, seed=5)
    drawn = []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        drawn += [patch for patch, _ in sampler]
    assert len(drawn) == 4 * 30
    for lap in range(len(drawn) // 7):
        assert sorted(drawn[7 * lap : 7 * lap + 7]) == list(range(7))


def test_a_round_does_not_depend_on_when_it_is_drawn() -> None:
    first, again = (RoundSampler(7, samples=30, seed=5) for _ in range(2))
    first.set_epoch(2)
    list(first)
    again.set_epoch(2)
    assert list(first) == list(again)
    assert {symmetry for _, symmetry in first} == set(range(SYMMETRIES))


class Numbers(Dataset[int]):
    """Indices; each one made is noted, and making the broken one fails."""

    def __init__(self, length: int, made: list[int], broken: int = -1) -> None:
        self.length, self.made, self.broken = length, made, broken

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> int:
        if index == self.broken:
            raise ModelError("cannot be read", index=index)
        self.made.append(index)
        return index


def test_prefetched_batches_are_the_loader_s_and_at_most_one_ahead() -> None:
    made: list[int] = []
    loader = DataLoader(Numbers(7, made), 2, collate_fn=list)
    prefetching = PrefetchLoader(loader)
    assert len(prefetching) == 4
    taken: list[list[int]] = []
    for batch in prefetching:
        taken.append(batch)
        assert len(made) <= 2 * (len(taken) + 1)
    assert taken == list(loader) == [[0, 1], [2, 3], [4, 5], [6]]


def test_the_error_of_a_prefetched_batch_is_raised_when_its_turn_comes() -> None:
    batches = iter(PrefetchLoader(DataLoader(Numbers(4, [], 2), 2, collate_fn=list)))
    assert next(batches) == [0, 1]
    with pytest.raises(ModelError) as error:
        next(batches)
    assert error.value.facts == {"index": 2}


def test_the_dropped_sensor_follows_from_seed_and_step_and_is_not_first() -> None:
    names = ("a", "b", "c")
    drawn = [sensor_to_drop(names, 0.3, 4, step) for step in range(2000)]
    assert drawn == [sensor_to_drop(names, 0.3, 4, step) for step in range(2000)]
    assert drawn != [sensor_to_drop(names, 0.3, 5, step) for step in range(2000)]
    # five standard deviations of a share of 0.15 in 2000 draws are 0.04
    for name in ("b", "c"):
        assert abs(drawn.count(name) / 2000 - 0.15) < 0.04
    assert drawn.count("a") == 0


def test_no_sensor_is_dropped_without_a_share_or_if_there_is_only_one() -> None:
    assert {sensor_to_drop(("a", "b"), 0.0, 0, step) for step in range(50)} == {None}
    assert {sensor_to_drop(("a",), 0.9, 0, step) for step in range(50)} == {None}
