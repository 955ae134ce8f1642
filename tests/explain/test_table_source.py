"""`agrifm explain` on series tables: what alone decides lights up, and answers are those of training."""

import csv
import json
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.data_sets import DATA
from tests.samples.tables import series_table

from agrifm.classic.classic_model import ClassicModel
from agrifm.classic.place_probabilities import place_probabilities
from agrifm.config import Project, read_project
from agrifm.errors import LabelError, ModelError
from agrifm.explain import write_explanation as writing
from agrifm.explain.explanation import Request
from agrifm.explain.periods import season_periods
from agrifm.explain.subject import Subject
from agrifm.explain.table_source import TableSource
from agrifm.explain.write_explanation import PAGE, PLACES, TABLE, write_explanation
from agrifm.inference.predictor import load_model
from agrifm.model_config import ModelConfig
from agrifm.models.weights.file import load_network
from agrifm.season import Season, day_date
from agrifm.train.project import train_project
from agrifm.train.table_network import network_on_table
from agrifm.train.table_run import train_on_table

PROJECT = """\
[season]
start = 2021-04-01
end = 2021-09-30
[labels]
series = "points.csv"
products = ["sentinel-2-worldcereal"]
block = 4800
[labels.columns]
start = "season_start"
[model]
names = ["logistic", "tempcnn"]
calibration = false
steps = 40
batch = 4
frames = 18
preset = "tiny"
learning_rate = 5e-3
"""
JULY, WHOLE = ("2021-07-01", "2021-07-31"), ("2021-04-01", "2021-09-30")
FRANCE = """\
[season]
start = 2023-03-01
end = 2023-10-31
[labels]
series = "{data}/series.parquet"
file = "places.csv"
products = ["sentinel-2-worldcereal"]
unlabelled = ["drop"]
[labels.columns]
label = "label"
block = "cell"
period = "dekad"
[model]
names = ["lightgbm"]
calibration = false
"""


def made_project(directory: Path) -> Project:
    """90 points in 18 blocks and two years, alike but for the near infrared of July; B04 is noise."""
    generator = np.random.default_rng(0)
    rows = []
    for index in range(90):
        year, label = (2019, 2021)[index % 2], ("maize", "wheat")[index // 2 % 2]
        for step in range(18):
            day = date(year, 4, 1) + timedelta(days=10 * step + int(generator.integers(10)))
            green = 0.6 if label == "maize" and day.month == 7 else 0.2
            rows.append(
                {
                    "sample_id": f"p{index}",
                    "date": day,
                    "season_start": date(year, 4, 1),
                    "longitude": 1 + 0.1 * (index // 5 % 6) + 0.001 * (index % 5),
                    "latitude": 47 + 0.1 * (index // 30),
                    "label": label,
                    "B04": round(1000 + 300 * generator.normal()),
                    "B08": round(1000 + 5000 * green + 200 * generator.normal()),
                }
            )
    directory.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_csv(directory / "points.csv", index=False)
    (directory / "agrifm.toml").write_text(PROJECT, encoding="utf-8")
    return read_project(directory)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = made_project(tmp_path_factory.mktemp("made"))
    train_project(made)
    return made


def rows_of(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))


def strongest_cell(rows: list[dict[str, str]]) -> tuple[str, str, str]:
    """First day, last day and band of the single band and period that speaks most for a class."""
    cells = [row for row in rows if row["band"] != "all" and (row["start"], row["end"]) != WHOLE]
    best = max(cells, key=lambda row: float(row["contribution"]))
    return best["start"], best["end"], best["band"]


def test_the_only_band_and_month_that_differ_light_up(project: Project, tmp_path: Path) -> None:
    out = tmp_path / "why"
    write_explanation(project, project.models / "tempcnn.safetensors", out, Request(parcels=("p0",)))
    rows = rows_of(out / TABLE)
    for kind, code in (("class", "maize"), ("class", "wheat"), ("parcel", "maize")):
        own = [row for row in rows if (row["kind"], row["class"]) == (kind, code)]
        occluded = [row for row in own if row["unit"] == "probability"]
        if code == "maize":
            assert strongest_cell(occluded) == (*JULY, "B08")
        else:  # a bridge over a July without green has none either
            assert max(float(row["contribution"]) for row in occluded if row["start"] == JULY[0]) < 0.1
        # from the mean of both classes to either of them
        assert strongest_cell([row for row in own if row["method"] == "integrated gradients"]) == (*JULY, "B08")
    names = {path.name for path in out.glob("*.png")}
    assert names == {"class-maize.png", "class-wheat.png", "parcel-p0.png"}
    assert (out / PAGE).read_text(encoding="utf-8").count("data:image/png;base64,") == 3


def test_each_place_has_its_rows(project: Project, tmp_path: Path) -> None:
    out = tmp_path / "why"
    write_explanation(project, project.models / "logistic.skops", out, Request(bands=False))
    scores = json.loads((project.models / "scores.json").read_text())["models"]["logistic"]
    falls: dict[str, dict[str, float]] = {}
    right = Counter()
    for row in rows_of(out / PLACES):
        assert row["fold"] == "test"
        falls.setdefault(row["place"], {})[row["start"]] = float(row["contribution"])
        right[row["place"]] = int(row["class"] == row["predicted"])
        assert row["class"] == ("maize", "wheat")[int(row["place"][1:]) // 2 % 2]
    assert len(falls) == sum(map(sum, scores["counts"]))
    assert right.total() == round(scores["overall_accuracy"] * len(falls))
    maize = [of_place for place, of_place in falls.items() if int(place[1:]) // 2 % 2 == 0]
    assert {max(of_place, key=of_place.__getitem__) for of_place in maize} == {JULY[0]}


@pytest.mark.parametrize(("name", "series"), [("utae", "composites"), ("presto", "observed")])
def test_answers_on_a_group_are_those_of_each_place(tmp_path: Path, name: str, series: str) -> None:
    """The oracle is the path of scoring, which reads one place after the other; a third begins a year later."""
    table = series_table(48)
    later = 365 * (np.arange(48) % 3 == 1)
    part = table.series["sentinel-2"]
    moved = replace(part, date=(part.date + later[:, None]).astype(np.int32))
    start = (table.season_start + later).astype(np.int32)
    table = replace(table, series={"sentinel-2": moved}, season_start=start)
    season = Season(day_date(19_700), day_date(19_939))
    config = ModelConfig(
        names=[name, "logistic"], series=series, steps=2, batch=2, frames=6, preset="tiny", calibration=False
    )
    train_on_table(table, config, season, tmp_path)
    source, order = TableSource.of(table, season, 6)
    wanted = np.arange(48)[:, None] != 7
    windows = source.windows(wanted)
    assert [(window.row, window.height) for window in windows] == [(0, 7), (8, 24), (32, 16)]
    for file in (f"{name}.safetensors", "logistic.skops"):
        model = load_model(tmp_path / file)
        subject = Subject.of(source, model)
        found = np.full((48, 3), np.nan)
        for window in windows:
            whole = subject.occlusions(subject.read(window), season_periods(season), {}, bands=False)
            _, samples = next(whole)
            found[window.slices[0]] = subject.probabilities(samples, window, np.ones((window.height, 1), bool))
        if isinstance(model, ClassicModel):
            oracle = place_probabilities(model, table)
        else:
            oracle = network_on_table(*load_network(tmp_path / file)).probabilities(table)
        expected = np.where(wanted, oracle[order], np.nan)
        assert np.ptp(oracle, axis=0).max() > 1e-3
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_what_cannot_be_explained_of_a_table_is_refused(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, out = project.models / "logistic.skops", tmp_path / "why"
    with pytest.raises(LabelError) as error:
        write_explanation(project, model, out, Request(parcels=("p99",)))
    assert error.value.facts["parcel"] == "p99"
    with pytest.raises(LabelError) as error:
        write_explanation(project, model, out, Request(column="sample_id"))
    assert error.value.facts["column"] == "sample_id"
    loaded = load_model(model)
    wide = replace(loaded, record=loaded.record.model_copy(update={"side": 96}))
    monkeypatch.setattr(writing, "load_model", lambda path: wide)
    with pytest.raises(ModelError) as error:
        write_explanation(project, model, out)
    assert error.value.facts["side"] == 96
    assert not out.exists()


@pytest.mark.check
def test_wheat_and_maize_of_france_are_known_when_they_are_green(tmp_path: Path) -> None:
    """Winter wheat is green in spring and harvested in July; maize covers the ground from July to September."""
    data = DATA / "france_lpis_2023_dekads"
    if not data.exists():
        pytest.skip(f"{data} is absent")
    places = pd.read_csv(data / "splits.csv").merge(pd.read_parquet(data / "samples.parquet"), on="sample_id")
    places[["sample_id", "label", "cell", "lon", "lat"]].to_csv(tmp_path / "places.csv", index=False)
    (tmp_path / "agrifm.toml").write_text(FRANCE.format(data=data), encoding="utf-8")
    project, out = read_project(tmp_path), tmp_path / "why"
    train_project(project)
    write_explanation(project, project.models / "lightgbm.skops", out, Request(bands=False))
    for code, months in (("wheat", ("04", "05", "06", "07")), ("maize", ("07", "08", "09"))):
        own = [row for row in rows_of(out / TABLE) if (row["class"], row["unit"]) == (code, "probability")]
        best = max(own, key=lambda row: float(row["contribution"]))
        assert best["start"][5:7] in months
        assert float(best["low"]) > 0
