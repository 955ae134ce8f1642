"""Windows of a cube and places of a table train one network: batches, statistics, leaks, refusals, continued runs."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
import torch
from pyproj import Transformer
from tests.toy import SEASON, toy_project

from agrifm.config import Project, read_project
from agrifm.cube.store import open_cube
from agrifm.errors import ConfigError, LabelError
from agrifm.models.batch import TensorBatch
from agrifm.models.weights.file import load_network
from agrifm.samples.project_table import project_table
from agrifm.samples.table_samples import PLACES_PER_WINDOW
from agrifm.train.data import Data, prepare, project_labels
from agrifm.train.fit import TrainingModule
from agrifm.train.mixed import mix_table
from agrifm.train.project import train_project
from agrifm.train.score_lines import describe_scores

LEGEND = "code,name,color\nmaize,maize,#ffff00\nwheat,wheat,#ff8800\nother,other,#888888\nrye,rye,#00ff00\n"
CURVES = {"maize": np.linspace(0.1, 0.5, 9), "wheat": np.linspace(0.5, 0.1, 9), "rye": np.full(9, 0.7)}
"""Near infrared of the toy season; rye, whose green stays, is in the table alone."""
FAR = (25.0, 50.0)
"""Degrees east and north, in another country than the toy season."""


def mixed_project(
    directory: Path,
    places: Sequence[tuple[str, float, float, str]],
    more: str = "sensor_dropout = 0.2",
    labels: str = "",
    steps: int = 4,
    names: str = '"agrifm"',
    bands: tuple[str, ...] = ("B04", "B08"),
) -> Project:
    """The toy season, and a table of places: code, longitude, latitude, fold ("" = none is stated)."""
    toy_project(directory, steps, names, more=more)
    generator = np.random.default_rng(1)
    rows = []
    for index, (code, lon, lat, fold) in enumerate(places):
        green = CURVES[code] + generator.normal(0, 0.01, 9)
        for step in range(9):
            numbers = {"B04": 0.4 - 0.5 * green[step], "B08": green[step], "B02": 0.1}
            rows.append(
                {
                    "sample_id": index, "date": str(np.datetime64(SEASON.start) + 10 * step), "crop": code, "lon": lon,
                    "lat": lat, **{band: round(max(numbers[band], 0.01) * 1e4) for band in bands}, "fold": fold,
                }
            )  # fmt: skip
    frame = pd.DataFrame(rows)
    if not any(fold for *_, fold in places):
        frame = frame.drop(columns="fold")
    frame.to_csv(directory / "points.csv", index=False)
    (directory / "legend.csv").write_text(LEGEND, encoding="utf-8")
    table = f'series = "points.csv"\nproducts = ["sentinel-2-worldcereal"]\nlegend = "legend.csv"\n{labels}'
    file = directory / "agrifm.toml"
    columns = "" if "fold" not in frame else '[labels.columns]\nfold = "fold"\n'
    text = file.read_text(encoding="utf-8").replace("block = 480\n", f"block = 480\n{table}\n{columns}")
    file.write_text(text, encoding="utf-8")
    return read_project(directory)


def far_places(count: int, fold: str = "", first: int = 0) -> list[tuple[str, float, float, str]]:
    """Places of the three classes far from the cube, 0.1 degrees apart."""
    codes = list(CURVES)
    return [(codes[n % 3], FAR[0] + 0.1 * (first + n), FAR[1], fold) for n in range(count)]


def prepared(project: Project) -> Data:
    cube = open_cube(project.cube)
    labels = project_labels(project, cube)
    table = project_table(project, labels.legend)
    mix = partial(mix_table, table, config=project.model, share=project.labels.series_share)
    return prepare(cube, labels, project.labels.block, project.model, mix)


PLACES = [*far_places(60, "train"), *far_places(15, "validation", 60), *far_places(30, "test", 75)]


def test_record_scores_and_training_places_are_of_both(tmp_path: Path) -> None:
    project = mixed_project(tmp_path, PLACES, labels="series_share = 0.4", steps=2)
    result = train_project(project)
    scores = result["models"]["agrifm"]
    assert np.sum(scores["series"]["counts"]) == 30
    about = scores["training"]["series"]
    assert about["places"] == {"train": 60, "validation": 15, "test": 30}
    assert about["left_out"] == {"near_other_folds": 0, "without_coordinates": 0}
    assert about["share"] == 0.4
    used = geopandas.read_file(project.models / "training.gpkg")
    parcels = scores["training"]["places"]
    assert len(used) == parcels["train"] + parcels["validation"] + 75
    assert any("unseen blocks of the series table" in line for line in describe_scores(result))
    assert train_project(project)["kept"] == ["agrifm"]


@pytest.mark.check
def test_one_network_learns_from_the_cube_and_a_class_of_the_table_alone(tmp_path: Path) -> None:
    """The curves differ by far more than their noise, so few steps are enough for all classes."""
    project = mixed_project(tmp_path, PLACES, "sensor_dropout = 0.2\nlearning_rate = 5e-3", "series_share = 0.4", 60)
    scores = train_project(project)["models"]["agrifm"]
    assert scores["overall_accuracy"] >= 0.9
    assert scores["series"]["f1"]["rye"] >= 0.9


def test_statistics_are_the_mean_of_both_by_their_share(tmp_path: Path) -> None:
    data = prepared(mixed_project(tmp_path, far_places(12), labels="series_share = 0.25"))
    assert data.mixed is not None
    image = [data.training[index].series["sentinel-2"] for index in range(len(data.training))]
    of_cube = np.concatenate([part.image[:, 1][part.valid] for part in image]).astype(np.float64)
    places = data.mixed.training.places
    of_table = np.concatenate([places[index].series["sentinel-2"].image[:, 1].ravel() for index in range(12)])
    mean = 0.75 * of_cube.mean() + 0.25 * of_table.mean(dtype=np.float64)
    square = 0.75 * (of_cube**2).mean() + 0.25 * (of_table.astype(np.float64) ** 2).mean()
    assert data.sensors[0].mean[1] == pytest.approx(mean, rel=1e-6)
    assert data.sensors[0].std[1] == pytest.approx(np.sqrt(square - mean**2), rel=1e-5)
    landsat = np.concatenate(
        [
            part.image[:, 0][part.valid]
            for part in (data.training[i].series["landsat"] for i in range(len(data.training)))
        ]
    )
    assert data.sensors[1].mean[0] == pytest.approx(landsat.mean(dtype=np.float64), rel=1e-6)


def test_the_share_is_in_proportion_and_at_most_a_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = mixed_project(tmp_path, far_places(12))
    few = prepared(project)
    monkeypatch.setattr("agrifm.train.mixed.PLACES_PER_WINDOW", 0.01)  # as if there were many more places
    many = prepared(project)
    assert few.mixed is not None
    assert many.mixed is not None
    steps = 12 / PLACES_PER_WINDOW
    assert few.mixed.about["share"] == pytest.approx(steps / (steps + len(few.training)))
    assert many.mixed.about["share"] == 0.5


def test_places_near_blocks_of_another_fold_are_left_out_and_counted(tmp_path: Path) -> None:
    """Places at pixel centres of the cube: by brute force, which are nearer than 100 m to a pixel of another fold."""
    plain = mixed_project(tmp_path / "plain", far_places(3))
    data = prepared(plain)
    fold = data.split.fold
    centres = 447840 + 10 * np.arange(192) + 5, 5197440 - 10 * np.arange(192) - 5
    pixels = [(row, col) for row in range(4, 192, 16) for col in range(4, 192, 16)]
    to_degrees = Transformer.from_crs("EPSG:32631", "EPSG:4326", always_xy=True)
    inside = [to_degrees.transform(centres[0][col], centres[1][row]) for row, col in pixels]
    places = [*far_places(6), *(("wheat", lon, lat, "") for lon, lat in inside), ("wheat", np.nan, np.nan, "")]
    apart = []
    others = np.argwhere(fold != 0) * 10.0
    for row, col in pixels:  # distance from the centre of the place's pixel to the edges of the others
        gap = np.maximum(np.abs(others - np.array([row, col]) * 10.0) - 10, 0)
        apart.append(bool((np.hypot(gap[:, 0], gap[:, 1]) >= 100).all()))
    assert 0 < sum(apart) < len(apart)
    found = prepared(mixed_project(tmp_path / "inside", places))
    assert found.mixed is not None
    np.testing.assert_array_equal(found.split.fold, fold)
    np.testing.assert_array_equal(found.mixed.data.fold[6:-1] == 0, apart)
    assert found.mixed.about["left_out"] == {
        "near_other_folds": len(apart) - sum(apart),
        "without_coordinates": 1,
    }


@pytest.mark.check
def test_a_continued_run_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agrifm.train.fit.MAX_ROUND_STEPS", 3)
    whole, stopped = (mixed_project(tmp_path / name, far_places(40), steps=9) for name in ("whole", "stopped"))
    train_project(whole)
    plain = TrainingModule.training_step

    def stop(self: TrainingModule, batch: TensorBatch) -> torch.Tensor:
        if self.trainer.global_step == 5:
            raise InterruptedError
        return plain(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", stop)
        with pytest.raises(InterruptedError):
            train_project(stopped)
    train_project(stopped)
    expected, found = (
        load_network(project.models / "agrifm.safetensors")[0].state_dict() for project in (whole, stopped)
    )
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize(
    ("changes", "error", "facts"),
    [
        ({"more": ""}, LabelError, {"sensor": "landsat"}),
        ({"bands": ("B08",)}, LabelError, {"sensor": "sentinel-2", "band": "B04"}),
        ({"names": '"prithvi"', "bands": ("B04", "B08")}, ConfigError, {"model": "prithvi"}),
        ({"more": 'preset = "base"'}, ConfigError, {"model": "agrifm"}),
    ],
)
def test_a_table_that_does_not_fit_the_cube_or_the_model_is_refused(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], facts: dict[str, Any]
) -> None:
    project = mixed_project(tmp_path, far_places(6), **changes)
    with pytest.raises(error) as raised:
        train_project(project)
    assert facts.items() <= raised.value.facts.items()  # type: ignore[attr-defined]


def test_a_table_without_a_place_left_for_training_is_refused(tmp_path: Path) -> None:
    project = mixed_project(tmp_path, [("wheat", np.nan, np.nan, ""), ("maize", np.nan, np.nan, "")])
    with pytest.raises(LabelError) as error:
        train_project(project)
    assert error.value.facts == {"near_other_folds": 0, "without_coordinates": 2}


def test_a_code_of_the_table_that_the_labels_lack_is_refused_without_a_legend(tmp_path: Path) -> None:
    mixed_project(tmp_path, far_places(6))
    file = tmp_path / "agrifm.toml"
    file.write_text(file.read_text(encoding="utf-8").replace('legend = "legend.csv"\n', ""), encoding="utf-8")
    with pytest.raises(LabelError) as error:
        train_project(read_project(tmp_path))
    assert error.value.facts["code"] == "rye"


def test_bands_of_the_table_that_the_cube_lacks_are_not_used(tmp_path: Path) -> None:
    data = prepared(mixed_project(tmp_path, far_places(6), bands=("B02", "B08", "B04")))
    assert data.mixed is not None
    series = data.mixed.data.table.series["sentinel-2"]
    assert series.input.bands == ("B04", "B08")
    # of maize, the first place, near infrared rises from 0.1 to 0.5
    np.testing.assert_allclose(series.values[0, :, 1], CURVES["maize"], atol=0.05)


def test_a_share_needs_labels_on_a_cube(tmp_path: Path) -> None:
    project = mixed_project(tmp_path, far_places(3), labels="series_share = 0.5")
    assert project.labels.mixed
    file = tmp_path / "agrifm.toml"
    file.write_text(file.read_text(encoding="utf-8").replace('file = "labels.gpkg"\n', ""), encoding="utf-8")
    with pytest.raises(ConfigError, match="series_share"):
        read_project(tmp_path)
