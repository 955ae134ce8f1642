"""The benchmark of alignment, on its smallest grid."""

from pathlib import Path

from alignment import cases, measure


def test_pixels_on_the_grid_of_the_cube_stay_in_place(tmp_path: Path) -> None:
    case = next(case for case in cases() if case.band == "B8A")
    *_, distance, pixel = measure(case, tmp_path)
    assert distance < 0.01 * pixel
