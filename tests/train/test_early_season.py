"""Scores by date: what they are at the end of the season, that nothing later is read, and what a report shows."""

import csv
import json
import shutil
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import zarr
from affine import Affine
from shapely import box
from tests.assess.rasters import CROPS, crop_map, write_points, write_raster
from tests.toy import SEASON, toy_project

from agrifm.assess.early_season_part import early_season_of
from agrifm.assess.reference_data import read_scores
from agrifm.assess.report import assess
from agrifm.cli import main
from agrifm.config import Project, read_project
from agrifm.cube.store import create_root, create_sensor, open_cube
from agrifm.cube.until import cube_until
from agrifm.errors import AssessmentError, CubeError
from agrifm.files import MARKER, write_json
from agrifm.grid import Grid, Window
from agrifm.record import SensorInput
from agrifm.season import Season
from agrifm.train import early_season
from agrifm.train.early_scores import date_scores
from agrifm.train.early_season import assess_by_date, month_ends
from agrifm.train.run import train

MIDDLE = date(2024, 5, 15)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of two steps that reads observed series, and a classic model, scored by date."""
    directory = tmp_path_factory.mktemp("early")
    project = toy_project(
        directory, steps=2, names='"agrifm", "logistic"', more='series = "observed"\ncalibration = false'
    )
    train(project)
    assert main(["assess", "--by-date", "--date", str(MIDDLE), "--project", str(directory)]) == 0
    return directory


def only_classic(scored: Path, copy: Path) -> Project:
    """A copy of the project with one of its models."""
    shutil.copytree(scored, copy)
    file = copy / "agrifm.toml"
    file.write_text(file.read_text().replace('"agrifm", "logistic"', '"logistic"'))
    return read_project(copy)


def content(directory: Path) -> dict:
    return json.loads((directory / "models" / "early-season.json").read_text())


def test_at_the_end_of_the_season_every_score_is_that_of_the_training(scored: Path) -> None:
    trained = json.loads((scored / "models" / "scores.json").read_text())["models"]
    found = content(scored)
    assert found["dates"] == [str(MIDDLE), str(SEASON.end)]
    for name in ("agrifm", "logistic"):
        last = found["models"][name]["dates"][-1]
        assert last["macro_f1"] == trained[name]["macro_f1"]
        assert last["macro_f1_interval"] == trained[name]["macro_f1_interval"]
        assert last["f1"] == trained[name]["f1"]


def test_the_early_classic_model_is_worse_where_crops_look_alike_by_then(scored: Path) -> None:
    """The curves of the crops cross in the middle of the toy season, so before it they only differ by direction."""
    early, late = content(scored)["models"]["logistic"]["dates"]
    assert late["macro_f1"] > 0.95
    assert early["macro_f1"] < late["macro_f1"]


def test_nothing_after_the_date_is_read(scored: Path, tmp_path: Path) -> None:
    """Frames after the date are replaced by a marker of the class: scores of the date stay, those of the end do not."""
    shutil.copytree(scored, tmp_path / "marked")
    for name in ("sentinel-2", "landsat"):
        group = zarr.open_group(tmp_path / "marked" / "cube.zarr" / name, mode="r+")
        later = group["time"][:] > (MIDDLE - date(1970, 1, 1)).days
        assert 0 < later.sum() < len(later)
        values = group["values"][:]
        values[later] = 10_000 - values[later]
        group["values"][...] = values
    project = read_project(tmp_path / "marked")
    before = content(scored)
    counts = {name: before["models"][name]["dates"][0] for name in before["models"]}
    assess_by_date(project, [MIDDLE])
    after = content(tmp_path / "marked")
    for name, rows in counts.items():
        assert after["models"][name]["dates"][0] == rows
    ends = [one["models"]["logistic"]["dates"][1] for one in (before, after)]
    assert ends[0] != ends[1]


def test_the_table_has_every_number_of_the_file(scored: Path) -> None:
    with (scored / "models" / "early-season.csv").open() as file:
        rows = list(csv.DictReader(file))
    # two models, two dates; macro F1, and F1 and area of three classes
    assert len(rows) == 2 * 2 * (1 + 2 * 3)
    wanted = content(scored)["models"]["logistic"]["dates"][0]
    (one,) = (
        row for row in rows
        if (row["model"], row["date"], row["quantity"], row["code"]) == ("logistic", str(MIDDLE), "f1", "wheat")
    )  # fmt: skip
    assert float(one["value"]) == wanted["f1"]["wheat"]
    assert [float(one["low"]), float(one["high"])] == wanted["f1_interval"]["wheat"]


def test_the_picture_is_xml_with_a_panel_for_each_class_and_the_mean(scored: Path) -> None:
    root = ElementTree.parse(scored / "models" / "early-season.svg").getroot()
    panels = [one for one in root.iter("{http://www.w3.org/2000/svg}svg") if one.get("role") == "img"]
    assert len(panels) == 1 + 3


def test_a_stopped_run_continues_with_the_dates_that_are_done(
    scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = only_classic(scored, tmp_path / "again")
    asked = []

    def stops(labels, project, names, day, scratch):
        asked.append((names, day))
        if day == MIDDLE:
            raise KeyboardInterrupt
        return counts(labels, project, names, day, scratch)

    counts = early_season._counts_until
    monkeypatch.setattr(early_season, "_counts_until", stops)
    with pytest.raises(KeyboardInterrupt):
        assess_by_date(project, [MIDDLE])
    assert {day for _, day in asked} == {SEASON.end, MIDDLE}
    asked.clear()
    monkeypatch.setattr(early_season, "_counts_until", lambda *given: asked.append(given[2:4]) or counts(*given))
    assess_by_date(project, [MIDDLE])
    assert {day for _, day in asked} == {MIDDLE}
    assert content(tmp_path / "again")["models"]["logistic"] == content(scored)["models"]["logistic"]
    assert not list(project.models.glob("*.partial*"))


def test_labels_that_changed_since_the_training_are_refused(scored: Path, tmp_path: Path) -> None:
    only_classic(scored, tmp_path / "other")
    file = tmp_path / "other" / "agrifm.toml"
    file.write_text(file.read_text().replace("block = 480", "block = 960"))
    with pytest.raises(AssessmentError) as error:
        assess_by_date(read_project(tmp_path / "other"), [MIDDLE])
    assert error.value.facts["model"] == "logistic"


@pytest.mark.parametrize(
    ("day", "level"), [(date(2024, 4, 2), 0.8), (date(2024, 7, 1), 0.8), (MIDDLE, 0.0), (MIDDLE, 1.5)]
)
def test_dates_and_levels_that_cannot_be_are_refused(scored: Path, day: date, level: float) -> None:
    before = (scored / "models" / "early-season.json").read_bytes()
    with pytest.raises(AssessmentError) as error:
        assess_by_date(read_project(scored), [day], level)
    assert error.value.facts.get("day", str(MIDDLE)) == str(day)
    assert (scored / "models" / "early-season.json").read_bytes() == before


def test_a_project_that_is_not_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssessmentError, match="train"):
        assess_by_date(toy_project(tmp_path, names='"logistic"'))


def test_a_report_takes_the_scores_of_its_models_only(scored: Path, tmp_path: Path) -> None:
    shutil.copytree(scored / "models", tmp_path / "models")
    file = tmp_path / "models" / "scores.json"
    scores = read_scores(file)
    found, notes = early_season_of(file, scores)
    assert found == content(scored)
    assert notes == []
    scores["models"]["agrifm"]["training"]["fingerprint"] = "of another training"
    found, notes = early_season_of(file, scores)
    assert found is None
    assert "agrifm" in notes[0]


def test_a_damaged_file_is_left_out_of_a_report_with_a_note(scored: Path, tmp_path: Path) -> None:
    shutil.copytree(scored / "models", tmp_path / "models")
    file, broken = tmp_path / "models" / "scores.json", content(scored)
    broken["models"]["logistic"]["dates"].pop()
    (tmp_path / "models" / "early-season.json").write_text(json.dumps(broken))
    found, notes = early_season_of(file, read_scores(file))
    assert found is None
    assert len(notes) == 1


def test_a_report_shows_a_panel_for_each_class_and_the_dates(scored: Path, tmp_path: Path) -> None:
    values = crop_map((40, 60), seed=1)
    write_raster(tmp_path / "classes.tif", values, legend=CROPS, nodata=255)
    rows, cols = np.concatenate([np.argwhere(values == number)[:30:3] for number in range(3)]).T
    write_points(tmp_path / "p.gpkg", rows, cols, [CROPS.codes[value] for value in values[rows, cols]])
    places = (tmp_path / "classes.tif", tmp_path / "p.gpkg", "label", tmp_path / "report")
    report = assess(*places, scores=scored / "models" / "scores.json", sampling="stratified")
    assert report["early_season"] == content(scored)
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count('role="img" aria-label="F1 by date') == 1 + 3
    for model in ("agrifm", "logistic"):
        value = content(scored)["models"][model]["dates"][0]["macro_f1"]
        assert f"{value:.2f}" in page.split("<h2>Early season</h2>")[1].split("</section>")[0]


def test_ends_of_months_of_a_season_over_new_year() -> None:
    found = month_ends(Season(date(2023, 11, 20), date(2024, 2, 10)))
    assert found == [date(2023, 11, 30), date(2023, 12, 31), date(2024, 1, 31), date(2024, 2, 10)]


def test_scores_of_a_date_by_hand() -> None:
    """Two equal blocks: 6 of class 0 right, 2 of class 0 called 1, 4 of class 1 right."""
    block = np.array([[3, 0], [1, 2]])
    found = date_scores(np.stack([block, block]), [0, 1], ["a", "b"])
    assert found["f1"] == {"a": pytest.approx(2 * 6 / (6 + 8)), "b": pytest.approx(2 * 4 / (6 + 4))}
    assert found["area_error"] == {"a": pytest.approx(6 / 8 - 1), "b": pytest.approx(6 / 4 - 1)}
    # equal blocks: whichever are drawn, the scores are the same
    assert found["f1_interval"]["a"] == pytest.approx((6 / 7, 6 / 7))
    assert found["pixels"] == 12


def test_a_cube_until_a_day_has_the_frames_until_then(scored: Path) -> None:
    cube = open_cube(scored / "cube.zarr")
    window = Window(0, 0, 48, 48)
    whole = cube.sensors["sentinel-2"].read(window)
    early = cube_until(cube, MIDDLE).sensors["sentinel-2"]
    image, valid, day = early.read(window)
    assert len(early.date) == len(image) == 5  # every ten days from 1 April on
    assert day is None
    np.testing.assert_array_equal(image, whole[0][:5])
    np.testing.assert_array_equal(valid, whole[1][:5])


def test_a_day_before_any_observation_or_outside_the_season_is_refused(tmp_path: Path) -> None:
    project = toy_project(tmp_path)
    group = zarr.open_group(project.cube, mode="r+")
    for name in ("sentinel-2", "landsat"):
        group[name]["time"][...] = group[name]["time"][:] + 5
    cube = open_cube(project.cube)
    with pytest.raises(CubeError) as error:
        cube_until(cube, date(2024, 4, 3))
    assert error.value.facts["first"] == "2024-04-06"
    with pytest.raises(CubeError):
        cube_until(cube, date(2024, 3, 31))


def test_a_composite_is_known_when_its_period_has_ended(tmp_path: Path) -> None:
    grid = Grid.of("EPSG:32631", Affine(480, 0, 448320, 0, -480, 5197440), (4, 4))
    root = create_root(tmp_path / "cube.zarr", SEASON, box(2.31, 46.91, 2.34, 46.93))
    inside = SensorInput(sensor="modis", bands=("B01",), quantity="surface reflectance", scale=1e-4, resolution=480)
    starts, ends = [date(2024, 4, 6), date(2024, 4, 14)], [date(2024, 4, 13), date(2024, 4, 21)]
    group = create_sensor(root, inside, grid, starts, ends)
    group["values"][...], group["valid"][...] = 1000, True
    group["day"][...] = np.array([19819, 19827])[:, None, None]  # 6 and 14 April 2024
    about = dict(root.attrs["agrifm"])
    root.attrs["agrifm"] = {**about, "sensors": ["modis"], "provenance": {}}
    write_json(tmp_path / "cube.zarr" / MARKER, {"kind": "cube"})
    cube = open_cube(tmp_path / "cube.zarr")
    for day, frames in ((date(2024, 4, 13), 1), (date(2024, 4, 20), 1), (date(2024, 4, 21), 2)):
        assert len(cube_until(cube, day).sensors["modis"].date) == frames
    with pytest.raises(CubeError):
        cube_until(cube, date(2024, 4, 12))
