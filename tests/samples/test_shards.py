"""Shards of series: format, checksums, order."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agrifm.errors import LabelError
from agrifm.record import SensorInput
from agrifm.samples.shards import ShardEntry, ShardIndex, Shards, open_shards, write_index, write_shard

BANDS = {"sentinel-2": ("B04", "B08"), "modis": ("B01", "B02", "B05")}


def inputs() -> tuple[SensorInput, ...]:
    return tuple(
        SensorInput(sensor=name, bands=bands, quantity="surface reflectance", scale=0.0001, resolution=10)
        for name, bands in BANDS.items()
    )


def arrays(samples: int, first: int = 0) -> dict[str, Any]:
    """Values are the number of the sample, so that a sample is known wherever it comes from."""
    numbers = np.arange(first, first + samples)
    result: dict[str, Any] = {
        "place": numbers.astype(np.int32),
        "lon": numbers.astype(np.float32),
        "lat": numbers.astype(np.float32) / 2,
        "season_start": np.full(samples, 18_000, np.int32),
    }
    for name, bands in BANDS.items():
        frames = 20
        values = np.broadcast_to(numbers[:, None, None], (samples, frames, len(bands))).astype(np.int16)
        result |= {
            f"{name}.values": values,
            f"{name}.day": np.tile(np.arange(0, 10 * frames, 10, dtype=np.int16), (samples, 1)),
            f"{name}.length": np.full(samples, frames, np.int16),
            f"{name}.fractions": np.tile(np.array([0.25, 0.75], np.float32), (samples, 1)),
            f"{name}.cover": (numbers % 3).astype(np.uint8),
            f"{name}.sowing": np.full(samples, 30, np.int16),
            f"{name}.harvest": np.full(samples, -(2**15), np.int16),
        }
    return result


def some_shards(directory: Path, sizes: tuple[int, ...] = (10, 7, 12, 5, 9, 8), **changed: Any) -> Shards:
    """Shards of these sizes, whose samples are numbered through."""
    directory.mkdir(exist_ok=True)
    entries = []
    for number, size in enumerate(sizes):
        content = arrays(size, sum(sizes[:number])) | changed
        entries.append(ShardEntry(**write_shard(directory / f"{number}.safetensors", content)))
    index = ShardIndex(
        sensors=inputs(),
        groups={"crop": "Crop", "other": "Other"},
        covers=("a", "b", "c"),
        season_days=365,
        origin={},
        shards=tuple(entries),
    )
    write_index(directory, index)
    return open_shards(directory, inputs())


def test_a_shard_is_read_as_it_was_written(tmp_path: Path):
    shards = some_shards(tmp_path, (6, 4))
    assert shards.damaged == ()
    found = shards.read(shards.whole[1])
    for name, array in arrays(4, 6).items():
        assert np.array_equal(found[name], array)


def test_damaged_and_missing_shards_are_counted_and_named(tmp_path: Path):
    some_shards(tmp_path)
    damaged = tmp_path / "2.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-40] ^= 1
    damaged.write_bytes(content)
    (tmp_path / "4.safetensors").unlink()
    shards = open_shards(tmp_path, inputs())
    assert shards.damaged == ("2.safetensors", "4.safetensors")
    assert [entry.file[0] for entry in shards.whole] == ["0", "1", "3", "5"]
    assert "2 of 6" in shards.notes[0]
    assert "4.safetensors" in shards.notes[0]


def test_a_directory_without_a_whole_shard_is_refused(tmp_path: Path):
    some_shards(tmp_path, (3,))
    (tmp_path / "0.safetensors").write_bytes(b"nothing")
    with pytest.raises(LabelError) as error:
        open_shards(tmp_path)
    assert error.value.facts["damaged"] == ("0.safetensors",)
    with pytest.raises(LabelError):
        open_shards(tmp_path / "nowhere")


def test_shards_of_another_band_order_are_refused(tmp_path: Path):
    some_shards(tmp_path, (3,))
    swapped = [sensor.model_copy(update={"bands": sensor.bands[::-1]}) for sensor in inputs()]
    with pytest.raises(LabelError) as error:
        open_shards(tmp_path, swapped)
    assert error.value.facts["sensor"] == "sentinel-2"
    assert error.value.facts["found"] == ("B04", "B08")
    strange = [inputs()[0].model_copy(update={"sensor": "landsat"})]
    with pytest.raises(LabelError) as error:
        open_shards(tmp_path, strange)
    assert error.value.facts["sensor"] == "landsat"


def test_shares_that_do_not_sum_to_one_are_refused(tmp_path: Path):
    with pytest.raises(LabelError) as error:
        some_shards(tmp_path, (3,), **{"modis.fractions": np.array([[0.5, 0.5], [0.5, 0.7], [1, 0]], np.float32)})
    assert error.value.facts["sample"] == 1
