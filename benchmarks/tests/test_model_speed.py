"""The benchmark of the two paths counts work as the table of multiply-adds does."""

import pytest
from model_speed import work_of

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
