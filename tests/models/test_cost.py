"""The estimate of memory lies near measured peaks, and what does not fit is refused before it starts."""

from pathlib import Path

import network_pass
import pytest
from tests.toy import toy_project

from agrifm.errors import ModelError
from agrifm.mapping.run import map_area
from agrifm.models import cost as memory
from agrifm.models.agrifm.network import preset
from agrifm.models.cost import WITHIN, free_memory, memory_needed, require_memory, window_shapes
from agrifm.train.run import train

FRAMES = 24


def estimate(name: str, side: int, batch: int, training: bool, recomputed: bool = False) -> int:
    config = preset(name, network_pass.ONE_SOURCE, network_pass.CLASSES, frames=FRAMES)
    pixels, frames = dict.fromkeys(network_pass.ONE_SOURCE, 1), dict.fromkeys(network_pass.ONE_SOURCE, FRAMES)
    shapes = window_shapes(pixels, frames, batch, side, side)
    return memory_needed(config, shapes, training, recomputed)


@pytest.mark.parametrize(
    ("name", "kind", "side", "batch"),
    [
        ("tiny", "forward", 192, 1),
        ("tiny", "training", 96, 4),
        pytest.param("small", "forward", 96, 4, marks=pytest.mark.check),
        pytest.param("small", "training", 96, 2, marks=pytest.mark.check),
        pytest.param("tiny", "training", 96, 8, marks=pytest.mark.check),
        pytest.param("tiny", "forward", 384, 1, marks=pytest.mark.check),
    ],
)
def test_the_peak_of_a_process_lies_within_the_stated_factor_of_the_estimate(
    name: str, kind: network_pass.Pass, side: int, batch: int
) -> None:
    config = preset(name, network_pass.ONE_SOURCE, network_pass.CLASSES, frames=FRAMES)
    peak = network_pass.measured(network_pass.Workload(config, FRAMES, side, batch, kind), runs=1).peak
    expected = estimate(name, side, batch, kind == "training")
    print(f"{name} {kind} {side} x {batch}: {peak / 1e6:.0f} MB, estimate {expected / 1e6:.0f} MB")
    assert 1 / WITHIN < peak / expected < WITHIN


@pytest.mark.parametrize(("side", "beyond"), [(128, 0.35e9), (256, 0.87e9)])
def test_recorded_peaks_of_the_released_shape_lie_near_the_estimate(side: int, beyond: float) -> None:
    """`benchmarks/results/2026-11-21-model-speed.txt`, the whole model: bytes beyond weights and image."""
    recorded = beyond + 4 * 196.2e6 + 4 * 32 * 10 * side**2
    config = preset("base", network_pass.ONE_SOURCE, 8)
    assert recorded == pytest.approx(memory_needed(config, {"sentinel-2": (1, 32, side, side)}, False), rel=0.3)


def test_more_pixels_samples_and_gradients_need_more_and_recomputing_less() -> None:
    usual = estimate("tiny", 96, 4, training=True)
    assert estimate("tiny", 96, 4, training=False) < usual
    assert estimate("tiny", 96, 4, training=True, recomputed=True) < usual
    assert estimate("tiny", 96, 8, training=True) > 1.5 * usual
    assert estimate("tiny", 192, 4, training=True) > 3 * usual


def test_what_is_free_is_what_the_system_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By hand: a group may have 3 GB and uses 1.5 GB, a third of it file cache; the machine has 4 GB free."""
    meminfo, limit, used = (tmp_path / name for name in ("meminfo", "memory.max", "memory.current"))
    (tmp_path / "memory.stat").write_text("anon 1000000000\ninactive_file 500000000\n")
    meminfo.write_text("MemTotal:  8000000 kB\nMemAvailable:  4000000 kB\n")
    limit.write_text("3000000000\n")
    used.write_text("1500000000\n")
    monkeypatch.setattr(memory, "MEMINFO", meminfo)
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    assert free_memory() == 2_000_000_000
    limit.write_text("max\n")
    assert free_memory() == 4_096_000_000
    meminfo.unlink()
    assert free_memory() is None
    require_memory(10**18, "mapping", "take less")  # nothing is known, so nothing is refused


def test_training_and_mapping_are_refused_where_they_would_not_fit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project = toy_project(tmp_path, steps=1)
    with monkeypatch.context() as context:
        context.setattr(memory, "free_memory", lambda: 10_000_000)
        with pytest.raises(
            ModelError, match=r"needs about .* GB of memory and 0.0 GB are free; choose a smaller `batch`"
        ):
            train(project)
    assert not list(project.models.glob("*.safetensors"))
    train(project)
    monkeypatch.setattr(memory, "free_memory", lambda: 10_000_000)
    with pytest.raises(ModelError, match="choose a smaller `window`"):
        map_area(project.cube, project.models / "agrifm.safetensors", project.maps, 96, 0)
    assert not project.maps.exists()
