"""Series at equal steps inside the network: the numbers of the cube's own interpolation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agrifm.cube.temporal import interpolate
from agrifm.models.agrifm.timeseries import ObservedSeries, interpolate_to_steps, season_steps
from agrifm.season import Season, day_date


@settings(max_examples=40, deadline=None)
@given(
    frames=st.integers(1, 12),
    steps=st.integers(1, 9),
    per_pixel=st.booleans(),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 10_000),
)
def test_it_is_the_interpolation_of_the_cube(frames: int, steps: int, per_pixel: bool, share: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    image = generator.normal(size=(frames, 2, 3, 4)).astype(np.float32)
    valid = generator.random((frames, 3, 4)) < share
    image = np.where(valid[:, None], image, np.float32(0))
    date = np.sort(generator.choice(300, frames, replace=False)).astype(np.int32)
    day = None
    if per_pixel:  # composites that overlap, so that two frames may hold the same day
        day = (date[:, None, None] + generator.integers(0, 40, (frames, 3, 4))).astype(np.int32)
    wanted = season_steps(300, steps)
    expected, _ = interpolate(image, valid, date, wanted.numpy().astype(np.int32), day)
    observed = ObservedSeries(
        torch.from_numpy(image)[None],
        torch.from_numpy(valid)[None],
        torch.from_numpy(date if day is None else day)[None].float(),
        torch.tensor([60.0]),
    )
    np.testing.assert_allclose(interpolate_to_steps(observed, wanted)[0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(("days", "frames"), [(245, 24), (365, 12), (30, 1), (7, 7)])
def test_steps_are_those_of_the_season(days: int, frames: int) -> None:
    season = Season(day_date(19_000), day_date(19_000 + days - 1))
    assert season_steps(days, frames).tolist() == (season.steps(frames) - 19_000).tolist()
