"""Shards as samples of the training loop."""

from pathlib import Path

import numpy as np
import pytest
from tests.samples.test_shards import some_shards

from agrifm.errors import LabelError
from agrifm.samples.shard_samples import ShardSamples


def numbers(samples: ShardSamples, steps: range, batch: int = 6, seed: int = 3) -> list[int]:
    """The numbers of the samples of some steps, from their values."""
    found = []
    for step in steps:
        for index in samples.batch_of_step(step, batch, seed)[0]:
            (series,) = samples[index].series.values()
            found.append(round(float(series.image[0, 0, 0, 0]) / 0.0001))
    return found


def test_every_sample_comes_once_before_any_comes_again(tmp_path: Path):
    shards = some_shards(tmp_path)
    samples = ShardSamples(shards, shards.whole, seed=0)
    assert len(samples) == 51
    lap = numbers(samples, range(17), batch=3)
    assert sorted(lap) == list(range(51))
    assert lap != list(range(51))
    assert numbers(samples, range(17, 34), batch=3) != lap  # the next lap is in another order


def test_ranks_share_a_lap_without_a_double(tmp_path: Path):
    shards = some_shards(tmp_path)
    ranks = [ShardSamples(shards, shards.whole, seed=0, rank=rank, ranks=3) for rank in range(3)]
    found = [number for samples in ranks for number in numbers(samples, range(1), batch=17)]
    assert sorted(found) == list(range(51))


def test_the_samples_of_a_place_stay_together(tmp_path: Path):
    """Shards of 12 samples, three places each: whatever the order, a place is read without another one in between."""
    place = {"place": np.repeat(np.arange(3, dtype=np.int32), 4)}
    shards = some_shards(tmp_path, (12,) * 6, **place)
    samples = ShardSamples(shards, shards.whole, seed=0)
    lap = np.array(numbers(samples, range(9), batch=8))
    assert sorted(lap) == list(range(72))
    blocks = lap.reshape(-1, 4)
    assert (blocks == blocks[:, :1] + np.arange(4)).all()
    assert blocks[:, 0].tolist() != sorted(blocks[:, 0])
    few = list(ShardSamples(shards, shards.whole, seed=0, most=16).in_order(8))
    assert sum(len(batch) for batch in few) == 2 * 16
    firsts = np.array([index % 72 for batch in few for index in batch]).reshape(-1, 4)
    assert (firsts == firsts[:, :1] + np.arange(4)).all()


def test_a_batch_is_decided_by_seed_and_step_alone(tmp_path: Path):
    shards = some_shards(tmp_path)
    one, other = (ShardSamples(shards, shards.whole, seed=0) for _ in range(2))
    for step in range(12):
        one.batch_of_step(step, 5, 3)
    expected, again = one.batch_of_step(12, 5, 3), other.batch_of_step(12, 5, 3)
    assert expected == again
    for index in expected[0]:
        (series,), (repeated,) = one[index].series.values(), other[index].series.values()
        assert np.array_equal(series.date, repeated.date)


def test_a_batch_has_one_source_and_sixteen_frames_of_a_season(tmp_path: Path):
    shards = some_shards(tmp_path)
    samples = ShardSamples(shards, shards.whole, seed=0)
    sources, dates = set(), set()
    for step in range(12):
        chosen, of_places = samples.batch_of_step(step, 5, 3)
        assert of_places
        made = [samples[index] for index in chosen]
        assert len({tuple(sample.series) for sample in made}) == 1
        sources |= set(made[0].series)
        for sample in made:
            (series,) = sample.series.values()
            assert len(series.date) == 16
            assert (np.diff(series.date) > 0).all()
            dates.add(tuple(series.date - sample.season_start))
    assert sources == {"sentinel-2", "modis"}
    assert len(dates) > 20  # other frames each time


def test_targets_are_those_of_the_source(tmp_path: Path):
    shards = some_shards(tmp_path)
    samples = ShardSamples(shards, shards.whole, seed=0)
    sample = samples[12]  # step 0, first source, sample 12
    assert sample.targets["fractions"].tolist() == [0.25, 0.75]
    assert sample.targets["cover"] == 12 % 3
    assert sample.targets["days"][0] == 30
    assert np.isnan(sample.targets["days"][1])
    assert sample.place == (6.0, 12.0)


def test_validation_has_every_sample_of_every_source(tmp_path: Path):
    shards = some_shards(tmp_path)
    samples = ShardSamples(shards, shards.whole[-2:], seed=0)
    batches = list(samples.in_order(7))
    assert sum(len(batch) for batch in batches) == 2 * len(samples)
    assert all(len({next(iter(samples[index].series)) for index in batch}) == 1 for batch in batches)


def test_too_few_frames_are_refused_with_their_source(tmp_path: Path):
    short = {"sentinel-2.length": np.full(8, 2, np.int16), "modis.length": np.full(8, 2, np.int16)}
    shards = some_shards(tmp_path, (8,), **short)
    with pytest.raises(LabelError) as error:
        ShardSamples(shards, shards.whole, seed=0).batch_of_step(0, 4, 0)
    assert error.value.facts["sensor"] in ("sentinel-2", "modis")
    with pytest.raises(LabelError):
        ShardSamples(shards, (), seed=0)
