"""`agrifm samples info` counts what a table holds, and draws it."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from agrifm.cli import main
from agrifm.errors import LabelError
from agrifm.samples.table_info import samples_info


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Five points of two classes at three places, with one date of six missing everywhere."""
    rows = [
        {
            "sample_id": f"p{index}",
            "date": date(2018, 3 + step, 1),
            "longitude": 1.0 + 0.1 * (index // 2),
            "latitude": 47.0,
            "crop": "maize" if index < 3 else "wheat",
            "B04": 65535 if step == 2 else 500,
            "B08": 65535 if step == 2 else 3000 + index,
        }
        for index in range(5)
        for step in range(6)
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "points.parquet")
    return tmp_path / "points.parquet"


def test_places_classes_blocks_years_gaps_and_duplicates_are_counted(table: Path) -> None:
    lines = samples_info(table, ["sentinel-2-worldcereal"])
    text = "\n".join(lines)
    assert lines[0].startswith("5 places, 5 of them labelled; longitude 1.00 to 1.20, latitude 47.00 to 47.00")
    assert "6 to 6 dates a place, 2018-03-01 to 2018-08-01; 17% gaps" in text  # 5 of 30 dates
    assert "class maize: 3 places in 2 blocks" in lines
    assert "class wheat: 2 places in 2 blocks" in lines
    assert "seasons begin in 2018 (5)" in lines
    assert "2 places have the coordinates of another one" in lines
    assert "places at 1 coordinates have more than one class" in lines


def test_the_picture_is_drawn_and_nothing_of_others_replaced(table: Path) -> None:
    picture = table.with_name("points.png")
    lines = samples_info(table, ["sentinel-2-worldcereal"], picture)
    assert lines[-1] == f"wrote {picture}"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_encoding_of_a_table_by_itself_is_not_guessed(table: Path) -> None:
    with pytest.raises(LabelError) as error:
        samples_info(table)
    assert error.value.facts["key"] == "product"


def test_the_command_shows_a_project_s_table(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (table.parent / "agrifm.toml").write_text(
        "[season]\nstart = 2018-01-01\nend = 2018-12-31\n"
        '[labels]\nseries = "points.parquet"\nproducts = ["sentinel-2-worldcereal"]\n'
    )
    assert main(["samples", "info", str(table.parent)]) == 0
    assert "class maize: 3 places" in capsys.readouterr().out
