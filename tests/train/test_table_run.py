"""`agrifm train` and `agrifm map` from a series table: scores as from a cube, and a map that agrees with it."""

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tests.models.released_peers import released_file
from tests.samples.tables import series_table

from agrifm.calibration import calibrated
from agrifm.config import Project, read_project
from agrifm.errors import ConfigError, LabelError
from agrifm.grid import Window
from agrifm.inference.predictor import TorchModel, load_model, uncalibrated
from agrifm.model_config import ModelConfig
from agrifm.models.family import FAMILIES
from agrifm.models.weights.file import load_network
from agrifm.models.weights.released import read_released
from agrifm.record import SeriesKind
from agrifm.samples.project_table import project_table
from agrifm.samples.sample import Sample, Series
from agrifm.samples.table import ONE_PIXEL, SeriesTable
from agrifm.samples.table_samples import TableSamples
from agrifm.samples.transforms import interpolated
from agrifm.season import Season
from agrifm.train.project import train_project
from agrifm.train.score_lines import describe_scores
from agrifm.train.table_network import network_on_table
from agrifm.train.table_run import train_on_table

PROJECT = """\
[season]
start = 2018-01-01
end = 2018-12-31
[labels]
series = "points.csv"
products = ["sentinel-2-worldcereal"]
block = 4800
[model]
names = ["agrifm", "random-forest"]
steps = 60
batch = 2
frames = 8
learning_rate = 4e-3
"""


NAMES = '["agrifm", "random-forest"]'


def write_project(directory: Path, more: str = "", project: str = PROJECT) -> Project:
    """A table of 72 points in 18 blocks: maize is green in August, wheat in May."""
    generator = np.random.default_rng(0)
    rows = []
    for index in range(72):
        label = ["maize", "wheat"][index % 2]
        peak = 220 if label == "maize" else 130
        for step in range(24):
            day = 15 * step + 5
            green = np.exp(-(((day - peak) / 40) ** 2)) + generator.normal(0, 0.03)
            cloudy = generator.random() < 0.3
            rows.append(
                {
                    "sample_id": f"p{index}",
                    "date": date(2018, 1, 1) + timedelta(days=day),
                    "longitude": 1 + 0.1 * (index // 4 % 6) + 0.001 * (index % 4),
                    "latitude": 47 + 0.1 * (index // 24),
                    "label": label,
                    "B04": 65535 if cloudy else round(1500 - 1000 * green),
                    "B08": 65535 if cloudy else round(2000 + 2000 * green),
                }
            )
    directory.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_csv(directory / "points.csv", index=False)
    (directory / "agrifm.toml").write_text(project + more)
    return read_project(directory)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A trained project."""
    made = write_project(tmp_path_factory.mktemp("table"), project=PROJECT.replace("steps = 60", "steps = 40"))
    train_project(made)
    return made


def test_a_table_alone_gives_a_model_and_its_scores_on_unseen_blocks(project: Project) -> None:
    scores = json.loads((project.models / "scores.json").read_text())
    own = scores["models"]["agrifm"]
    # the keys that `agrifm train` writes for a cube
    assert set(scores) == {
        "models", "differences", "majority_class", "legend", "scored", "tested", "blocks", "notes",
    }  # fmt: skip
    assert own["macro_f1"] >= 0.9
    assert scores["models"]["random-forest"]["macro_f1"] >= 0.9
    assert [entry["against"] for entry in scores["differences"]] == ["random-forest"]
    assert np.sum(own["counts"]) == own["training"]["places"]["test"]
    assert sum(own["training"]["places"].values()) == 72
    assert scores["tested"] == ["maize", "wheat"]
    assert any("agrifm" in line for line in describe_scores(scores))


def test_a_second_training_keeps_the_model_and_writes_nothing(project: Project) -> None:
    result = train_project(project)
    assert result["kept"] == ["agrifm", "random-forest"]
    assert result["written"] == []


def window_of(table: SeriesTable, side: int) -> Sample:
    """The places of a table side by side as a window, with all dates."""
    series = table.series["sentinel-2"]
    chosen = np.arange(side * side)
    image = series.values[chosen].transpose(1, 2, 0).reshape(*series.values.shape[1:], side, side)
    valid = series.valid[chosen].T.reshape(-1, side, side)
    label = table.label[chosen].reshape(side, side)
    return Sample(
        {"sentinel-2": Series(image, valid, series.date[0])},
        label,
        Window(0, 0, side, side),
        int(table.season_start[0]),
    )


def test_a_pixel_of_a_window_is_predicted_as_the_same_place_of_the_table(project: Project) -> None:
    table = project_table(project)
    model = load_model(project.models / "agrifm.safetensors")
    of_window = model.probabilities(window_of(table, 6)).reshape(2, -1).T
    network = network_on_table(model.classifier.network, model.record)  # type: ignore[attr-defined]
    alone = network.probabilities(table.of(np.arange(36)))
    assert model.record.calibration is not None
    np.testing.assert_allclose(of_window, calibrated(model.record.calibration, alone, axis=1), atol=1e-5)


def test_places_in_a_batch_have_the_probabilities_that_they_have_alone(project: Project) -> None:
    model = load_model(project.models / "agrifm.safetensors")
    assert isinstance(model, TorchModel)
    places = TableSamples(project_table(project), model.record.series, model.record.frames)
    samples = [places[index] for index in range(len(places)) if places[index].any_valid.any()]
    alone = np.stack([model.probabilities(sample)[:, 0, 0] for sample in samples])
    np.testing.assert_allclose(model.of_places(samples), alone, atol=1e-5)


def test_the_forest_predicts_a_pixel_of_a_cube_as_the_same_place_of_the_table(project: Project) -> None:
    table = project_table(project)
    model = load_model(project.models / "random-forest.skops")
    season = project.season.season
    prepared = interpolated(window_of(table, 6), season.steps(model.record.frames))
    of_window = model.probabilities(prepared).reshape(2, -1).T.argmax(axis=1)
    assert (of_window == table.label[:36]).mean() >= 0.9


def test_a_place_without_any_observation_has_equal_probabilities(project: Project) -> None:
    model = load_model(project.models / "agrifm.safetensors")
    empty = Series(np.zeros((3, 2, 1, 1), np.float32), np.zeros((3, 1, 1), bool), np.arange(3, dtype=np.int32))
    sample = Sample({"sentinel-2": empty}, np.zeros((1, 1), np.uint8), ONE_PIXEL, 0)
    assert model.probabilities(sample).ravel().tolist() == [0.5, 0.5]


def test_a_project_of_a_table_names_its_products(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="products"):
        write_project(tmp_path, project=PROJECT.replace('products = ["sentinel-2-worldcereal"]\n', ""))


def test_a_product_of_the_project_describes_the_numbers_of_a_table(tmp_path: Path) -> None:
    described = '[[imagery.product]]\nname = "mine"\nlike = "sentinel-2-worldcereal"\nscale = 2e-4\n'
    project = write_project(tmp_path, described, PROJECT.replace("sentinel-2-worldcereal", "mine"))
    plain = write_project(tmp_path / "plain")
    doubled, once = (project_table(one).series["sentinel-2"] for one in (project, plain))
    assert once.input.bands == doubled.input.bands == ("B04", "B08")
    np.testing.assert_allclose(doubled.values, 2 * once.values, rtol=1e-5)


def two_seasons_and_zones(directory: Path, names: str) -> Project:
    """Half of the points a year earlier, in another zone, south of the equator, in another half of the year."""
    write_project(directory, '[labels.columns]\nstart = "first"\n', PROJECT.replace(NAMES, names))
    points = pd.read_csv(directory / "points.csv", parse_dates=["date"])
    other = points["sample_id"].str[1:].astype(int) // 4 % 2 == 1
    points["first"] = np.where(other, "2016-07-01", "2018-01-01")
    points.loc[other, "date"] -= pd.Timestamp("2018-01-01") - pd.Timestamp("2016-07-01")
    points.loc[other, ["longitude", "latitude"]] += [30, -62]
    points.to_csv(directory / "points.csv", index=False)
    return read_project(directory)


@pytest.mark.parametrize("name", ["logistic", pytest.param("agrifm", marks=pytest.mark.check)])
def test_several_seasons_and_zones_of_a_table_train_together(tmp_path: Path, name: str) -> None:
    project = two_seasons_and_zones(tmp_path, f'["{name}"]')
    table = project_table(project)
    assert np.unique(table.season_start.astype("datetime64[D]")).astype(str).tolist() == ["2016-07-01", "2018-01-01"]
    # days in the season are alike, so one model learns both
    days = (table.series["sentinel-2"].date - table.season_start[:, None]).max(axis=1)
    assert (days == days[0]).all()
    scores = train_project(project)
    assert scores["models"][name]["macro_f1"] >= 0.9
    assert scores["models"][name]["training"]["places"]["train"] > 36


def test_bands_without_known_names_are_said(tmp_path: Path) -> None:
    table = series_table()
    series = table.series["sentinel-2"]
    renamed = replace(series, input=series.input.model_copy(update={"sensor": "drone", "bands": ("b1", "b2")}))
    season = Season(date(2023, 12, 9), date(2024, 8, 4))
    config = ModelConfig(names=("logistic",), frames=8)
    scores = train_on_table(replace(table, series={"drone": renamed}), config, season, tmp_path / "models")
    assert any("'drone'" in note and "b1, b2" in note for note in scores["notes"])


def test_a_table_is_grouped_into_one_crop_and_the_rest(tmp_path: Path) -> None:
    text = PROJECT.replace(NAMES, '["logistic"]') + 'task = "one-crop"\ncrop = "wheat"\n'
    project = write_project(tmp_path, project=text)
    scores = train_project(project)
    one = scores["models"]["logistic"]["one_class"]
    assert (one["code"], scores["tested"]) == ("wheat", ["wheat", "other"])
    assert one["f1"] >= 0.9
    # wheat is green in May and maize in August, so the day of the maximum tells them apart
    assert scores["models"]["threshold"]["one_class"]["f1"] >= 0.9
    assert "day" in scores["models"]["threshold"]["training"]["rule"]
    table = project_table(project)
    assert table.legend.encode(["maize", "wheat"]).tolist() == [1, 0]


def test_a_family_that_cannot_learn_a_table_is_refused(tmp_path: Path) -> None:
    project = write_project(tmp_path, project=PROJECT.replace('["agrifm", "random-forest"]', '["prithvi"]'))
    with pytest.raises(ConfigError) as error:
        train_project(project)
    assert error.value.facts["model"] == "prithvi"


def test_a_season_without_any_date_of_the_table_is_refused(tmp_path: Path) -> None:
    project = write_project(tmp_path, project=PROJECT.replace("2018-", "2012-"))
    with pytest.raises(LabelError) as error:
        train_project(project)
    assert error.value.facts["sensor"] == "sentinel-2"


@pytest.mark.parametrize(
    ("name", "series"), [("tempcnn", "interpolated"), ("transformer", "observed"), ("presto", "composites")]
)
def test_other_networks_learn_a_table_and_are_stored_as_they_were(
    name: str, series: SeriesKind, tmp_path: Path
) -> None:
    changed = PROJECT.replace(NAMES, f'["{name}"]\nseries = "{series}"')
    project = write_project(tmp_path, project=changed)
    scores = train_project(project)["models"][name]
    assert scores["macro_f1"] >= 0.9
    table = project_table(project)
    model = load_model(project.models / f"{name}.safetensors")
    assert (model.record.series, model.record.side) == (series, 1)
    again = network_on_table(model.classifier.network, model.record).probabilities(table)  # type: ignore[attr-defined]
    alone = uncalibrated(model).probabilities(TableSamples(table, series, model.record.frames)[5]).ravel()
    np.testing.assert_allclose(alone, again[5], atol=1e-5)


def test_a_frozen_presto_learns_a_table_from_its_released_weights(tmp_path: Path) -> None:
    file = released_file("presto.pt")
    changed = PROJECT.replace(NAMES, f'["presto"]\nseries = "composites"\nencoder = "frozen"\nweights = "{file}"')
    project = write_project(tmp_path, project=changed)
    assert train_project(project)["models"]["presto"]["macro_f1"] >= 0.9
    network, record = load_network(project.models / "presto.safetensors")
    kept, released = network.encoder.state_dict(), read_released(file, FAMILIES["presto"].released)
    assert all(torch.equal(kept[key], released[key]) for key in kept)
    assert network.config.location == pytest.approx((47.1, 1.25), abs=0.1)
    assert record.sensors[0].std == (1.0, 1.0)
