"""TimeSen2Crop: pixels of a small copy of its layout, with the numbers, flags and dates that were written into it."""

from pathlib import Path

import numpy as np
import pytest

from agrifm.errors import LabelError
from agrifm.samples.public.registry import PUBLIC_SETS
from agrifm.samples.public.timesen2crop import read_timesen2crop

CROP = (300, 600, 400, 900, 2400, 3000, 3300, 2000, 1000)
"""Digital numbers of B1 to B9 of a green crop: blue, green, red, red edge 1 to 4 (B8A), SWIR 1, SWIR 2."""
DATES = {"33UXP": (20170905, 20180410), "33TVN": (20170907, 20180412), "33UVP": (20170905, 20180601)}
LATER = (20180903, 20190601)


def write_pixel(path: Path, *flags: int, numbers: tuple[int, ...] = CROP) -> None:
    """A file with one row for each flag; row t has the numbers plus t."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [",".join(str(number + row) for number in numbers) + f",{flag}" for row, flag in enumerate(flags)]
    path.write_text("\n".join(["B1,B2,B3,B4,B5,B6,B7,B8,B9,Flag", *rows]) + "\n")


def write_set(folder: Path) -> Path:
    """Three tiles of the first year and one of the second; class 2 is maize, 12 winter wheat."""
    for tile, dates in {**DATES, "33UVP_2019": LATER}.items():
        for code in (2, 12):
            for number in (1, 2):
                write_pixel(folder / tile / str(code) / f"{number}.csv", 0, number - 1)
        (folder / tile / "dates.csv").write_text("acquisition_date\n" + "\n".join(map(str, dates)) + "\n")
    (folder / "33UXP" / "12" / "3.csv").write_text("")
    return folder


def test_bands_are_read_by_name_and_unclear_observations_are_not_valid(tmp_path: Path) -> None:
    table = read_timesen2crop(write_set(tmp_path)).table
    assert table is not None
    series = table.series["sentinel-2"]
    assert series.input.bands == ("B02", "B03", "B04", "B05", "B06", "B07", "B8A", "B11", "B12")
    assert series.input.quantity == "surface reflectance"
    clear, cloudy = table.place.index("33UXP/2/1"), table.place.index("33UXP/2/2")
    np.testing.assert_allclose(series.values[clear, 1], (np.array(CROP) + 1) / 1e4, rtol=1e-6)
    assert series.valid[clear].tolist() == [True, True]
    assert series.valid[cloudy].tolist() == [True, False]
    assert (series.values[cloudy, 1] == 0).all()


def test_dates_are_those_of_the_tile_and_the_season_begins_in_september(tmp_path: Path) -> None:
    table = read_timesen2crop(write_set(tmp_path)).table
    assert table is not None
    pixel, later = table.place.index("33TVN/12/1"), table.place.index("33UVP_2019/12/1")
    days = np.array(["2017-09-07", "2018-04-12"], "datetime64[D]").astype(int)
    assert table.series["sentinel-2"].date[pixel].tolist() == days.tolist()
    starts = np.array(["2017-09-01", "2018-09-01"], "datetime64[D]").astype(int)
    assert table.season_start[[pixel, later]].tolist() == starts.tolist()
    assert [table.legend.classes[table.label[pixel]].name] == ["Winter wheat"]


def test_folds_are_the_tiles_of_the_makers_and_the_second_year_is_apart(tmp_path: Path) -> None:
    content = read_timesen2crop(write_set(tmp_path))
    table = content.table
    assert table is not None

    def tiles(fold: str, part: str) -> set[str]:
        return {table.place[index].split("/")[0] for index in content.folds[fold][part]}

    assert [tiles("official", part) for part in ("train", "validation", "test")] == [{"33UXP"}, {"33TVN"}, {"33UVP"}]
    assert tiles("next year", "test") == {"33UVP_2019"}
    assert tiles("next year", "train") == {"33UXP"}


def test_empty_files_are_counted_and_left_out(tmp_path: Path) -> None:
    content = read_timesen2crop(write_set(tmp_path), tiles=["33UXP"])
    assert len(content) == 4
    assert any("1 files are empty" in note for note in content.notes)


def test_a_limit_is_per_class(tmp_path: Path) -> None:
    table = read_timesen2crop(write_set(tmp_path), limit=3, seed=1).table
    assert table is not None
    assert np.bincount(table.label).tolist() == [0, 0, 3] + [0] * 9 + [3]


def test_columns_in_another_order_are_refused(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    swapped = (3000, 600, 3300, 900, 2400, 3000, 400, 2000, 1000)  # NIR and red exchanged
    for path in folder.glob("33UXP/*/[12].csv"):
        write_pixel(path, 0, 0, numbers=swapped)
    with pytest.raises(LabelError) as caught:
        read_timesen2crop(folder, tiles=["33UXP"])
    assert caught.value.facts["bands"] == ("B04", "B8A")


def test_a_file_with_a_row_too_few_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    path = folder / "33TVN" / "2" / "1.csv"
    write_pixel(path, 0)
    with pytest.raises(LabelError) as caught:
        read_timesen2crop(folder)
    assert (caught.value.facts["path"], caught.value.facts["rows"]) == (path, 1)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    path = folder / "33TVN" / "2" / "1.csv"
    for content in (path.read_bytes()[:-9], bytes(100)):
        path.write_bytes(content)
        with pytest.raises(LabelError) as caught:
            read_timesen2crop(folder)
        assert caught.value.facts["path"] == path


def test_a_tile_without_dates_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    (folder / "33TVN" / "dates.csv").unlink()
    with pytest.raises(LabelError) as caught:
        read_timesen2crop(folder)
    assert caught.value.facts["path"] == folder / "33TVN" / "dates.csv"


def test_no_other_reader_recognises_the_folder(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    assert [name for name, reader in PUBLIC_SETS.items() if reader.recognises(folder)] == ["timesen2crop"]
