"""The benchmark of the two paths, small: it counts work as the table of multiply-adds does, and it runs."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import model_speed
import pytest
from model_speed import PATHS, memory, stage_lines, times, work_of

from agrifm.models.agrifm.swin3d import PatchEmbedding, Stage, SwinConfig


def test_work_is_that_of_the_released_shape() -> None:
    """Multiply-adds of the released encoder at 256 pixels, counted by hand from the public configuration."""
    embedding = work_of(PatchEmbedding(10, 128, (4, 2, 2)), (8, 128, 128))
    assert embedding.linear == pytest.approx(2.7e9, rel=0.02)
    stage = work_of(Stage(SwinConfig(), 0), (8, 128, 128))
    # 18.6 and 28.4 thousand million with padding to 133 x 133 tokens; the perceptrons see none; merging comes last
    padding = 133**2 / 128**2
    assert stage.attention == pytest.approx(28.4e9 / padding, rel=0.005)
    assert stage.linear == pytest.approx(18.6e9 / padding + 34.4e9 + 4 * 64**2 * 512 * 256, rel=0.005)


def test_it_runs_on_a_small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_speed, "peak", lambda: 1e10)
    found = times("tiny", "encoder", 16, runs=2)
    assert {path: len(seconds) for path, seconds in found.items()} == dict.fromkeys(PATHS, 2)
    assert min(times("tiny", "training", 16, runs=1)["fast"]) > 0
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        assert fresh.submit(memory, "tiny", "model", 48, "plain").result() > 0
    lines = stage_lines("tiny", 16, "fast")
    assert [line.split()[1] for line in lines] == ["embedding", *["stage"] * 4]
    assert all("linear" in line and "attention" in line for line in lines)
