"""A public set under one schema: windows are read when they are asked for."""

import numpy as np

from agrifm.grid import Window
from agrifm.legend import Legend
from agrifm.samples.public.public_set import PublicSet, SetFacts, SetWindows
from agrifm.samples.sample import Sample


def test_windows_are_read_one_at_a_time_and_slices_read_nothing() -> None:
    asked = []

    def read(index: int) -> Sample:
        asked.append(index)
        return Sample({}, np.full((1, 1), index, np.uint8), Window(0, 0, 1, 1), 0)

    windows = SetWindows(["a", "b", "c", "d"], read)
    odd = windows[1::2]
    assert odd.names == ("b", "d")
    assert not asked
    content = PublicSet(SetFacts("x", "x", "x", "x", "x"), Legend.of(["1"]), (), odd, {})
    assert len(content) == 2
    assert [sample.label[0, 0] for sample in content.samples()] == [1, 3]
    assert windows[-1].label[0, 0] == 3
    assert asked == [1, 3, 3]
    assert content.table is None
