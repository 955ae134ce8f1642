"""Windows and their plans, against their definitions written out cell by cell."""

from itertools import product

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agrifm.models.agrifm.window_partition import Triple, clamp_window, cut_windows, plan_windows

CPU = torch.device("cpu")
triples = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))
windows = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))


def cells(size: Triple) -> list[Triple]:
    d, h, w = size
    return list(product(range(d), range(h), range(w)))


def test_an_axis_no_longer_than_the_window_is_one_unshifted_window() -> None:
    assert clamp_window((8, 7, 9), (8, 7, 7), (4, 3, 3)) == ((8, 7, 7), (0, 0, 3))
    assert clamp_window((2, 5, 8), (8, 7, 7), (4, 3, 3)) == ((2, 5, 7), (0, 0, 3))


def test_windows_are_cut_time_first_and_pasted_back() -> None:
    window = (2, 3, 2)
    x = torch.arange(2 * 4 * 6 * 4).reshape(2, 4, 6, 4, 1)
    windows = cut_windows(x, window)
    assert windows.shape == (2 * 8, 12, 1)
    for sample, (i, corner) in product(range(2), enumerate(product((0, 2), (0, 3), (0, 2)))):
        d, h, w = corner
        expected = [x[sample, d + dd, h + dh, w + dw, 0] for dd, dh, dw in cells(window)]
        assert windows[8 * sample + i, :, 0].tolist() == expected


@settings(deadline=None, max_examples=60)
@given(grid=triples, window=windows, shifted=st.booleans(), samples=st.integers(1, 2), longest=st.integers(1, 40))
def test_every_token_is_in_the_window_that_the_roll_puts_it_in(
    grid: Triple, window: Triple, shifted: bool, samples: int, longest: int
) -> None:
    """Padding, region and window of each cell are computed here axis by axis, from its place on the rolled grid."""
    d, h, w = window
    window, shift = clamp_window(grid, window, (d // 2, h // 2, w // 2) if shifted else (0, 0, 0))
    tokens = grid[0] * grid[1] * grid[2]

    def place(number: int) -> list[tuple[int, int, int]]:
        """Per axis: window, cell in the window, region."""
        at = (number // (grid[1] * grid[2]), number // grid[2] % grid[1], number % grid[2])
        found = []
        for cell, size, side, step in zip(at, grid, window, shift, strict=True):
            padded = -(-size // side) * side
            rolled = (cell - step) % padded
            region = 0 if rolled < padded - side or not step else 1 if rolled < padded - step else 2
            found.append((rolled // side, rolled % side, region))
        return found

    plan = plan_windows(grid, window, shift, samples, longest, CPU)
    seen: list[int] = []
    for chunk in plan.chunks:
        assert len(chunk.rows) <= longest or len(chunk.groups) == chunk.groups[0].windows == 1
        rows = chunk.rows.tolist()
        assert chunk.sample.tolist() == [row // tokens for row in rows]
        seen += rows
        for pattern, count in chunk.groups:
            kind = plan.patterns[pattern]
            assert sorted(kind.cells.tolist()) == list(range(window[0] * window[1] * window[2]))
            for _ in range(count):
                own, rows = rows[: kind.real], rows[kind.real :]
                places = [place(row % tokens) for row in own]
                assert len({(row // tokens, *(axis[0] for axis in p)) for row, p in zip(own, places, strict=True)}) == 1
                inside = [(p[0][1] * window[1] + p[1][1]) * window[2] + p[2][1] for p in places]
                assert inside == kind.cells[: kind.real].tolist()
                apart = [[[a[2] for a in p] != [a[2] for a in q] for q in places] for p in places]
                found = torch.zeros(kind.real, kind.real) if kind.apart is None else kind.apart[:, : kind.real]
                assert found.bool().tolist() == apart
        assert not rows
    assert sorted(seen) == list(range(samples * tokens))
    assert torch.tensor(seen)[plan.inverse].tolist() == list(range(samples * tokens))


def test_few_patterns_serve_the_windows_of_a_large_grid() -> None:
    """361 windows at 256 pixels; per axis the inner ones, the one before the last and the last differ."""
    plan = plan_windows((8, 128, 128), (8, 7, 7), (0, 3, 3), 1, None, CPU)
    assert sum(group.windows for chunk in plan.chunks for group in chunk.groups) == 361
    assert len(plan.patterns) == 9
    assert len(plan.chunks) == 1


def test_a_plan_made_for_a_forecast_serves_in_training() -> None:
    with torch.inference_mode():
        plan = plan_windows((1, 5, 5), (1, 2, 2), (0, 1, 1), 1, None, CPU)
    assert not plan.inverse.is_inference()
    assert not plan.chunks[0].rows.is_inference()
