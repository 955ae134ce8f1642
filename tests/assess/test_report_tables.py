"""The tables of a report: one row a number, the same numbers as in the JSON, and those of the published example."""

import csv

import numpy as np
import pytest
from tests.assess.test_pdf import WRITES, install
from tests.assess.test_report import OLOFSSON, published_example

from agrifm.assess.report import assess
from agrifm.assess.report_tables import COLUMNS, FILES, csv_of_rows
from agrifm.legend import Legend

NAMES = ["Deforestation", "Forest gain", "Stable forest", "Stable non-forest"]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The report of Olofsson et al. 2014, with stable land as one class above two."""
    folder = tmp_path_factory.mktemp("tables")
    classes = [
        {"code": str(i + 1), "name": name, "color": "#000000", "parent": "stable" if i > 1 else None}
        for i, name in enumerate(NAMES)
    ]
    example = published_example(folder, first=0, legend=Legend.model_validate({"classes": classes}))
    with pytest.MonkeyPatch.context() as patch:
        install(folder / "bin", WRITES.format(record=folder / "arguments"))
        patch.setenv("PATH", str(folder / "bin"))
        assess(*example, "label", folder / "out", pdf=True)
    return folder / "out"


def rows(out, name, **wanted):
    with (out / name).open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert all(tuple(row) == COLUMNS for row in found)
    return [row for row in found if wanted.items() <= row.items()]


def test_the_directory_holds_the_documented_files(out):
    assert {path.name for path in out.iterdir()} == set(FILES) - {"scores.csv"}  # of maps of numbers
    assert (out / "report.pdf").read_bytes().startswith(b"%PDF")


def test_areas_are_those_of_the_paper(out):
    found = rows(out, "areas.csv", scope="map", quantity="area", unit="ha")
    assert [row["name"] for row in found] == NAMES
    # Olofsson et al. 2014: 235,086 ± 68,418 ha; 1000 pixels of the paper are one pixel of 100 ha here, a tenth of them
    assert float(found[0]["value"]) == pytest.approx(23_508.6, abs=0.1)
    assert 1.96 * float(found[0]["standard_error"]) == pytest.approx(6_841.8, abs=0.1)
    assert float(found[0]["low"]) < 23_508.6 < float(found[0]["high"])
    mapped = rows(out, "areas.csv", scope="map", quantity="mapped_area")
    assert [float(row["value"]) for row in mapped] == pytest.approx([20_000, 15_000, 320_000, 645_000])
    assert mapped[0]["low"] == mapped[0]["standard_error"] == ""
    assert {row["of"] for row in rows(out, "areas.csv", scope="level")} == {"1 level up"}


def test_accuracies_are_those_of_the_paper(out):
    for quantity, expected in (
        ("users_accuracy", [0.88, 0.73, 0.93, 0.96]),
        ("producers_accuracy", [0.75, 0.85, 0.93, 0.96]),
    ):
        found = rows(out, "accuracy.csv", scope="map", quantity=quantity)
        assert [round(float(row["value"]), 2) for row in found] == expected
    (overall,) = rows(out, "accuracy.csv", scope="map", quantity="overall_accuracy")
    assert (round(float(overall["value"]), 2), overall["code"]) == (0.95, "")


def test_the_matrix_is_in_points_and_in_shares_of_the_area(out):
    found = rows(out, "matrix.csv", scope="map", quantity="points")
    assert [int(row["value"]) for row in found] == OLOFSSON.ravel().tolist()
    assert [row["reference_code"] for row in found[:4]] == ["1", "2", "3", "4"]
    shares = np.array([float(row["value"]) for row in rows(out, "matrix.csv", scope="map", quantity="area_share")])
    # Table 9 of the paper: the error matrix in proportions of the area
    printed = [
        [0.0176, 0, 0.0013, 0.0011],
        [0, 0.0110, 0.0016, 0.0024],
        [0.0019, 0, 0.2967, 0.0213],
        [0.0040, 0.0020, 0.0179, 0.6212],
    ]
    assert shares.reshape(4, 4) == pytest.approx(np.array(printed), abs=5e-5)


def test_an_undefined_number_is_empty():
    text = csv_of_rows(iter([{"scope": "map", "quantity": "f1", "value": None}]))
    assert text == ",".join(COLUMNS) + "\nmap,,f1,,,,,,,,\n"
