"""Models of series tables by date: nothing later is read, and the end of the season is what training scored."""

import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agrifm.config import Project, read_project
from agrifm.errors import AssessmentError
from agrifm.samples.project_table import project_table
from agrifm.train.early_season import assess_by_date
from agrifm.train.project import train_project

PROJECT = """\
[season]
start = 2018-03-01
end = 2018-10-31
[labels]
series = "points.csv"
products = ["sentinel-2-worldcereal"]
block = 4800
[labels.columns]
period = "dekad"
start = "season_start"
[model]
names = ["agrifm", "logistic"]
calibration = false
steps = 3
batch = 2
frames = 8
preset = "tiny"
"""
FILL = 65535
MIDDLE = date(2018, 7, 15)
"""Inside a dekad, which is known on the 20th."""


def dekads(year: int) -> list[date]:
    return [date(year, month, day) for month in range(3, 11) for day in (1, 11, 21)]


def write_table(directory: Path) -> Project:
    """Dekads of 60 points in 12 blocks and two years; single bands are missing, and are filled from around the gap."""
    generator = np.random.default_rng(0)
    rows = []
    for index in range(60):
        label, year = ("maize", "wheat")[index % 2], (2018, 2020)[index // 2 % 2]
        for day in dekads(year):
            peak = date(year, 8 if label == "maize" else 5, 10)
            green = np.exp(-(((day - peak).days / 40) ** 2)) + generator.normal(0, 0.05)
            lost = generator.random()
            rows.append(
                {
                    "sample_id": f"p{index}",
                    "date": day,
                    "season_start": date(year, 3, 1),
                    "longitude": 1 + 0.1 * (index // 5 % 6) + 0.001 * (index % 5),
                    "latitude": 47 + 0.1 * (index // 30),
                    "label": label,
                    "B04": FILL if lost < 0.4 else round(1500 - 1000 * green),
                    "B08": FILL if lost < 0.2 else round(2000 + 2000 * green),
                }
            )
    pd.DataFrame(rows).to_csv(directory / "points.csv", index=False)
    (directory / "agrifm.toml").write_text(PROJECT, encoding="utf-8")
    return read_project(directory)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("by-date")
    project = write_table(directory)
    train_project(project)
    assess_by_date(project, [MIDDLE])
    return directory


def content(directory: Path) -> dict:
    return json.loads((directory / "models" / "early-season.json").read_text())


def is_later(frame: pd.DataFrame, day: date) -> pd.Series:
    """Rows of dekads that end after a day of 2018, or of the same calendar in 2020."""
    begin = pd.to_datetime(frame.date)
    into = begin.dt.day
    end = begin + pd.to_timedelta(np.where(into < 21, 9, begin.dt.days_in_month - into), unit="D")
    last = pd.to_datetime(frame.season_start) + timedelta(days=(day - date(2018, 3, 1)).days)
    return end > last


def test_a_table_until_a_day_is_that_of_a_file_without_later_rows(scored: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(scored / "points.csv")
    frame[~is_later(frame, MIDDLE)].to_csv(tmp_path / "points.csv", index=False)
    shutil.copy(scored / "agrifm.toml", tmp_path)
    expected = project_table(read_project(tmp_path)).series["sentinel-2"]
    found = project_table(read_project(scored), until=MIDDLE)
    part = found.series["sentinel-2"]
    assert set(part.length) == {13}  # 1 March to 10 July
    np.testing.assert_array_equal(part.valid[:, :13], expected.valid)
    np.testing.assert_array_equal(part.date[:, :13], expected.date)
    np.testing.assert_array_equal(part.values[:, :13], expected.values)
    assert not part.valid[:, 13:].any()


def test_nothing_after_the_date_is_read_from_a_table(scored: Path, tmp_path: Path) -> None:
    """In later rows each class has what the other had: scores of the date stay, those of the end do not."""
    shutil.copytree(scored, tmp_path / "marked")
    frame = pd.read_csv(tmp_path / "marked" / "points.csv")
    later = is_later(frame, MIDDLE)
    frame.loc[later, "B04"] = frame.loc[later, "label"].map({"maize": 1450, "wheat": 550})
    frame.loc[later, "B08"] = frame.loc[later, "label"].map({"maize": 2050, "wheat": 3900})
    frame.to_csv(tmp_path / "marked" / "points.csv", index=False)
    assess_by_date(read_project(tmp_path / "marked"), [MIDDLE])
    before, after = content(scored)["models"], content(tmp_path / "marked")["models"]
    assert set(before) == {"agrifm", "logistic"}
    for name, model in before.items():
        assert after[name]["dates"][0] == model["dates"][0]
    assert after["agrifm"]["dates"][1] != before["agrifm"]["dates"][1]


def require_scores_of_training(directory: Path) -> None:
    trained = json.loads((directory / "models" / "scores.json").read_text())["models"]
    for name, model in content(directory)["models"].items():
        last = model["dates"][-1]
        assert last["macro_f1"] == trained[name]["macro_f1"]
        assert last["f1"] == trained[name]["f1"]


def test_at_the_end_of_the_season_a_table_has_the_scores_of_its_training(scored: Path) -> None:
    require_scores_of_training(scored)


@pytest.mark.check
def test_a_mean_is_scored_by_date_with_its_parts(tmp_path: Path) -> None:
    write_table(tmp_path)
    file = tmp_path / "agrifm.toml"
    file.write_text(file.read_text().replace('"agrifm", "logistic"', '"agrifm+classic"'))
    train_project(read_project(tmp_path))
    assess_by_date(read_project(tmp_path), [MIDDLE])
    require_scores_of_training(tmp_path)
    how = {name: model["how"] for name, model in content(tmp_path)["models"].items()}
    assert set(how) == {"agrifm", "classic", "agrifm+classic"}
    assert len(set(how.values())) == 3


def test_a_day_without_any_observation_is_refused(scored: Path, tmp_path: Path) -> None:
    shutil.copytree(scored, tmp_path / "late")
    frame = pd.read_csv(tmp_path / "late" / "points.csv")
    frame.loc[pd.to_datetime(frame.date).dt.month < 8, ["B04", "B08"]] = FILL
    frame.to_csv(tmp_path / "late" / "points.csv", index=False)
    with pytest.raises(AssessmentError) as error:
        assess_by_date(read_project(tmp_path / "late"), [MIDDLE])
    assert error.value.facts["day"] == str(MIDDLE)
