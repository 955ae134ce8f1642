"""Shards of the pretraining world."""

from pathlib import Path

import numpy as np
import pytest

from agrifm.errors import OutputError
from agrifm.samples.shards import Shards
from agrifm.simulator.world.series import simulate_world
from agrifm.train.initialise import PRETRAINING
from agrifm.train.pretrain import pretrain
from agrifm.train.world_shards import make_world_shards, shard_arrays, world_inputs


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return make_world_shards(tmp_path_factory.mktemp("world") / "a", seed=2, places=3, fields=6, places_per_shard=2)


def test_shards_hold_the_world_and_do_not_depend_on_how_they_are_cut(made: Shards):
    assert [entry.samples for entry in made.whole] == [12, 6]
    world = simulate_world(2, range(3), 6)
    found = [made.read(entry) for entry in made.whole]
    assert made.index.sensors == world_inputs()
    for sensor, series in world.series.items():
        rows = [(arrays, row) for arrays in found for row in range(len(arrays["lon"]))]
        for index, (arrays, row) in enumerate(rows):
            length = arrays[f"{sensor}.length"][row]
            assert length == series.length[index]
            values = arrays[f"{sensor}.values"][row, :length] * 0.0001
            assert np.abs(values - series.values[index, :length]).max(initial=0) < 0.6e-4
            days = arrays[f"{sensor}.day"][row, :length] + world.season_start[index]
            assert (days == series.day[index, :length]).all()
            sown = arrays[f"{sensor}.sowing"][row]
            assert sown == -(2**15) or sown + world.season_start[index] == series.sowing[index]
    assert set(shard_arrays(world)) == set(found[0])


def test_shards_that_are_there_are_kept_and_others_replaced(made: Shards):
    def settings(seed: int) -> dict[str, int]:
        return {"seed": seed, "places": 3, "fields": 6, "places_per_shard": 2}

    first, before = made.directory / made.whole[0].file, made.whole[0].sha256
    when = first.stat().st_mtime_ns
    make_world_shards(made.directory, **settings(2))
    assert first.stat().st_mtime_ns == when
    other = make_world_shards(made.directory, **{**settings(3), "places": 1})
    assert other.whole[0].sha256 != before


def test_a_directory_with_other_files_is_not_replaced(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError):
        make_world_shards(tmp_path, seed=0, places=1, fields=2)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.check
def test_a_changed_world_is_made_and_pretrained_on(tmp_path: Path) -> None:
    file, text = tmp_path / "pretrain.toml", "steps = 2\nbatch = 8\n[world]\nplaces_per_shard = 1\nplaces = {}\n"
    for places in (2, 3):
        file.write_text(text.format(places))
        made = pretrain(tmp_path)
        assert made.record.training[PRETRAINING]["shards"]["places"] == places
    assert pretrain(tmp_path).kept
