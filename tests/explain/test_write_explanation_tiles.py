"""What is explained of a divided area: parcels of all tiles and zones, in which what alone decides lights up."""

import csv
import json
from pathlib import Path

import pandas
import pytest
from tests.train.tiled_labels import CROPS, labelled_tiles

from agrifm.config import Project
from agrifm.errors import LabelError
from agrifm.explain.explanation import Request
from agrifm.explain.write_explanation import FACTS, PLACES, TABLE, write_explanation
from agrifm.train.project import train_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return labelled_tiles(tmp_path_factory.mktemp("tiles"))


def rows_of(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))


@pytest.mark.check
def test_the_month_that_decides_lights_up_over_all_tiles(project: Project, tmp_path: Path) -> None:
    train_project(project)
    table = pandas.read_parquet(project.directory / "tiles/parcels.parquet")
    asked = [next(name for name in table["sample_id"] if name.startswith(zone)) for zone in ("32631", "32632")]
    lines = write_explanation(project, out=tmp_path / "why", request=Request(parcels=asked))
    assert any("tiles/parcels.parquet" in line for line in lines)
    rows = rows_of(tmp_path / "why" / TABLE)
    for kind, names in (("class", CROPS), ("parcel", asked)):
        for name in names:
            cells = [row for row in rows if row["kind"] == kind and row["name"] == name and row["band"] != "all"]
            cells = [row for row in cells if row["start"][:7] == row["end"][:7]]  # months, not the season
            best = max(cells, key=lambda row: float(row["contribution"] or "-inf"))
            assert (best["start"][:7], best["band"]) == ("2024-06", "B08")
    explained = rows_of(tmp_path / "why" / PLACES)
    assert {one["place"].split("/")[0] for one in explained} == {"32631", "32632"}
    facts = json.loads((tmp_path / "why" / FACTS).read_text(encoding="utf-8"))
    assert facts["counted"] == "places"
    with pytest.raises(LabelError) as error:
        write_explanation(project, out=tmp_path / "why", request=Request(parcels=("nowhere",)))
    assert error.value.facts["parcel"] == "nowhere"
