"""Training for shares: pixels of 480 m whose series are mixtures of three classes, with known shares."""

import json
from datetime import date, timedelta
from types import SimpleNamespace

import geopandas
import numpy as np
import pystac
import pytest
import rasterio
import torch
from affine import Affine
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from shapely import box

from agrifm.config import read_project
from agrifm.cube.store import create_root, create_sensor
from agrifm.errors import AssessmentError, ConfigError, LabelError, ModelError
from agrifm.files import MARKER, write_json
from agrifm.grid import LONLAT, Grid, reproject
from agrifm.inference.compatibility import describe_model
from agrifm.inference.predictor import load_model, load_record
from agrifm.mapping.run import map_project
from agrifm.record import SensorInput, require_classes
from agrifm.samples.labels import read_labels
from agrifm.season import Season
from agrifm.serve.finished_season import finished_season
from agrifm.shares import SHARES, on_simplex
from agrifm.status import status
from agrifm.train.early_season import assess_by_date
from agrifm.train.project import train_project
from agrifm.train.score_lines import describe_scores
from agrifm.train.share_scores import PixelShares, near_shares, share_scores

SIDE = 16
GRID = Grid.of("EPSG:32631", Affine(480, 0, 480000, 0, -480, 5007360), (SIDE, SIDE))
SEASON = Season(date(2024, 4, 1), date(2024, 6, 29))
CODES = ("maize", "wheat", "other")
PROJECT = """\
[season]
area = [2.745, 45.151, 2.843, 45.220]
start = 2024-04-01
end = 2024-06-29
[imagery]
catalog = "unused.json"
products = ["modis-09A1-061"]
[labels]
file = "labels.gpkg"
block = 960
[model]
task = "fractions"
names = ["classic"]
frames = 4
side = 48
steps = 2
batch = 1
[map]
model = "classic"
overlap = 0
"""


def share_project(directory, names='"classic"', label="labels.gpkg"):
    """A cube of mixed pixels, polygons with the shares, and the project; returns the project and the shares."""
    rng = np.random.default_rng(4)
    shares = rng.dirichlet((0.7, 0.7, 0.7), (SIDE, SIDE)).transpose(2, 0, 1)
    days = [SEASON.start + timedelta(days=10 * number) for number in range(9)]
    root = create_root(directory / "cube.zarr", SEASON, reproject(box(*GRID.bounds), "EPSG:32631", LONLAT))
    bands = ("B01", "B02")
    content = SensorInput(sensor="modis", bands=bands, quantity="surface reflectance", scale=1e-4, resolution=480)
    group = create_sensor(root, content, GRID, days, None)
    curves = np.stack([np.linspace(0.1, 0.5, 9), np.linspace(0.5, 0.1, 9), np.full(9, 0.05)])
    clear = np.einsum("kt,khw->thw", curves, shares)
    values = np.stack([0.4 - 0.5 * clear, clear], axis=1) + rng.normal(0, 0.01, (9, 2, SIDE, SIDE))
    group["values"][...] = np.round(values / 1e-4).astype(np.int16)
    group["valid"][...] = True
    group["valid"][:, 0, 0] = False
    root.attrs["agrifm"] = {**dict(root.attrs["agrifm"]), "sensors": ["modis"], "provenance": {"plan": "toy"}}
    write_json(directory / "cube.zarr" / MARKER, {"kind": "cube"})
    codes, strips = [], []
    for row, col in np.ndindex(SIDE, SIDE):
        edges = GRID.bounds[0] + 480 * col + 480 * np.cumsum([0, *shares[:, row, col]])
        top = GRID.bounds[3] - 480 * row
        codes += CODES
        strips += [box(edges[at], top - 480, edges[at + 1], top) for at in range(3)]
    geopandas.GeoDataFrame({"crop": codes}, geometry=strips, crs="EPSG:32631").to_file(directory / "labels.gpkg")
    text = PROJECT.replace('"classic"]', f"{names}]").replace("labels.gpkg", label)
    (directory / "agrifm.toml").write_text(text)
    return read_project(directory), shares


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    project, shares = share_project(tmp_path_factory.mktemp("toy"))
    return project, shares, train_project(project), map_project(project)


def test_shares_are_learnt_and_scored_next_to_naive_estimates(made):
    project, _, _, _ = made
    scores = json.loads((project.models / "scores.json").read_text())
    assert list(scores["models"]) == ["classic", "near", "mean"]
    classic, near, mean = scores["models"].values()
    # shares of this kind vary by 0.27 (the standard deviation of Dirichlet(0.7, 0.7, 0.7))
    assert classic["rmse"] < 0.06
    assert mean["rmse"] == pytest.approx(0.27, abs=0.03)
    assert near["rmse"] > mean["rmse"]  # neighbours know nothing here
    assert classic["r2"] > 0.95
    assert sum(one["true_hectares"] for one in classic["classes"].values()) == pytest.approx(23.04 * classic["pixels"])
    assert sum(one["bias_hectares"] for one in classic["classes"].values()) == pytest.approx(0, abs=0.01)
    assert classic["displaced_hectares"] < classic["whole_displaced_hectares"]
    low, high = next(one["rmse_interval"] for one in scores["differences"] if one["against"] == "mean")
    assert low < high < 0
    assert sum("RMSE" in line for line in describe_scores(scores)) >= 3
    assert (project.models / "fractions.png").exists()


def test_the_map_has_a_band_of_shares_for_each_class(made):
    project, shares, _, summary = made
    with rasterio.open(project.maps / "fractions.tif") as source:
        found = source.read()
        assert source.descriptions == CODES
        assert np.isnan(source.nodata)
        assert source.scales == (1.0,) * 3
    known = ~np.isnan(found[0])
    assert not known[0, 0]
    assert known.sum() > 150
    assert found[:, known].sum(axis=0) == pytest.approx(1, abs=1e-6)
    assert np.abs(found - shares)[:, known].mean() < 0.04
    for number, code in enumerate(CODES):
        assert summary.hectares[code] == pytest.approx(23.04 * found[number][known].sum(dtype=float), rel=1e-5)
    assert summary.nodata_hectares == pytest.approx(23.04, abs=1)  # the area reaches a little beyond its pixels
    item = json.loads((project.maps / "item.json").read_text())
    JsonSchemaSTACValidator().validate_core(item, pystac.STACObjectType.ITEM, "1.1.0")
    assert set(item["assets"]) == {"fractions", "preview"}
    assert [band["name"] for band in item["assets"]["fractions"]["bands"]] == list(CODES)
    about = item["properties"]["agrifm:fractions"]
    largest = np.where(known, found.argmax(axis=0), -1)
    assert about["whole_hectares"] == pytest.approx({c: 23.04 * (largest == n).sum() for n, c in enumerate(CODES)})
    written = {path.name for path in project.maps.iterdir() if not path.name.startswith(".")}
    assert written == {"fractions.tif", "fractions.qml", "item.json", "map.png"}


def test_a_model_of_shares_says_what_it_is_and_is_kept(made):
    project, _, _, _ = made
    again = train_project(project)
    assert (again["kept"], again["written"]) == (["classic"], [])
    assert any("480 m" in line for line in describe_model(project.models / "classic.skops"))
    record = load_record(project.models / "classic.skops")
    assert record.task == "fractions"
    with pytest.raises(ModelError):
        require_classes(record, "explaining")
    assert any("map: done" in line for line in status(project.directory))


def test_the_page_shows_the_map_of_shares(made):
    project, _, _, _ = made
    season = finished_season(project.directory)
    assert season.task == "fractions"
    assert list(season.layers)[:2] == ["classes", "share-0"]


def test_commands_of_classes_refuse_shares(made):
    project, _, _, _ = made
    with pytest.raises(AssessmentError) as error:
        assess_by_date(project)
    assert error.value.facts["task"] == "fractions"
    with pytest.raises(LabelError, match="shares"):  # its first band is not a raster of classes
        read_labels(project.maps / "fractions.tif", "crop", GRID, box(2.74, 45.15, 2.84, 45.22))
    crops = project.model_copy(update={"model": project.model.model_copy(update={"task": "crop-type"})})
    with pytest.raises(ModelError) as refused:
        map_project(crops)
    assert refused.value.facts["task"] == "fractions"


@pytest.mark.check
def test_a_network_learns_shares(tmp_path):
    project, _ = share_project(tmp_path, '"agrifm", "tempcnn"')
    scores = train_project(project)
    for name in ("agrifm", "tempcnn"):
        assert 0 < scores["models"][name]["rmse"] < 0.6
        assert load_model(project.models / f"{name}.safetensors").record.task == "fractions"


@pytest.mark.parametrize(
    ("section", "line", "key"),
    [
        ("[labels]", 'value = "t"\nunit = "t/ha"', "value"),
        ("[labels]", 'hierarchy = "hcat3"', "hierarchy"),
        ("[labels]", 'fold_column = "fold"', "fold_column"),
        ("[map]", "smoothing = 3", "smoothing"),
        ("[map]", 'cropland = "map"', "cropland"),
        ("[map]", "minimum_area = 1", "minimum_area"),
        ("[model]", "seeds = 2", "seeds"),
        ("[model]", 'crop = "maize"', "crop"),
        ("[map]", '[parcels]\nfile = "x.gpkg"', "parcels"),
    ],
)
def test_keys_that_shares_do_not_use_are_refused(tmp_path, section, line, key):
    text = PROJECT.replace(section, f"{section}\n{line}") if "parcels" not in line else PROJECT + line
    (tmp_path / "agrifm.toml").write_text(text)
    with pytest.raises(ConfigError, match=key):
        read_project(tmp_path)


@pytest.mark.parametrize(
    ("task", "line", "key"),
    [
        ("yield", 'other = "x.tif"', "other"),
        ("yield", 'legend = "x.csv"', "legend"),
        ("boundaries", "unlabelled = [0]", "unlabelled"),
        ("crop-type", "covered = 0.5", "covered"),
    ],
)
def test_keys_that_other_tasks_do_not_use_are_refused(tmp_path, task, line, key):
    more = '\nvalue = "t"\nunit = "t/ha"' if task == "yield" else ""
    text = PROJECT.replace('"fractions"', f'"{task}"').replace("[labels]", f"[labels]\n{line}{more}")
    (tmp_path / "agrifm.toml").write_text(text)
    with pytest.raises(ConfigError, match=key):
        read_project(tmp_path)


def test_scores_are_those_of_scikit_learn():
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    rng = np.random.default_rng(2)
    true, estimate = (rng.dirichlet((1, 2, 3), 90) for _ in range(2))
    hectares = rng.uniform(1, 2, 90)
    pixels = PixelShares(np.arange(90), rng.integers(0, 7, 90), hectares, true, estimate)
    found = share_scores(pixels, CODES)
    assert found["mae"] == pytest.approx(mean_absolute_error(true, estimate))
    assert found["rmse"] == pytest.approx(np.sqrt(((true - estimate) ** 2).mean()))
    assert found["r2"] == pytest.approx(r2_score(true, estimate, multioutput="variance_weighted"))
    for number, code in enumerate(CODES):
        one, both = found["classes"][code], (true[:, number], estimate[:, number])
        assert one["mae"] == pytest.approx(mean_absolute_error(*both))
        assert one["rmse"] == pytest.approx(root_mean_squared_error(*both))
        assert one["r2"] == pytest.approx(r2_score(*both))
        assert one["bias_hectares"] == pytest.approx(hectares @ (both[1] - both[0]))
        assert one["whole_hectares"] == pytest.approx(hectares[estimate.argmax(axis=1) == number].sum())
        for name in ("mae", "rmse", "r2", "bias_hectares"):
            low, high = one[f"{name}_interval"]
            assert low < one[name] < high


def test_near_shares_are_those_of_the_nearest_pixels():
    rng = np.random.default_rng(3)
    drawn = rng.permutation(400)[:60]
    everything = [np.zeros(60, np.int64), np.ones(60), rng.dirichlet((1, 1), 60), np.zeros((60, 2))]
    training, wanted = (PixelShares(drawn[part], *(one[part] for one in everything))
                        for part in (slice(0, 50), slice(50, 60)))  # fmt: skip
    found = near_shares(training, wanted, 20).estimate
    for at, pixel in enumerate(wanted.pixel):
        away = [(pixel // 20 - other // 20) ** 2 + (pixel % 20 - other % 20) ** 2 for other in training.pixel]
        nearest = np.argsort(away, kind="stable")[:8]
        if np.sort(away)[7] == np.sort(away)[8]:
            continue  # which of two as near counts is not decided
        weight = 1 / np.array(away)[nearest]
        assert found[at] == pytest.approx(weight @ training.true[nearest] / weight.sum())


def test_the_nearest_shares_are_found_by_no_better_ones():
    """No mixture of the result with any shares is nearer to the numbers."""
    rng = np.random.default_rng(5)
    raw = rng.normal(0.3, 0.6, (20, 4))
    found = on_simplex(raw)
    assert found.min() >= 0
    assert found.sum(axis=1) == pytest.approx(1)
    for other in rng.dirichlet(np.ones(4), 200):
        moved = 0.999 * found + 0.001 * other
        assert (((moved - raw) ** 2).sum(axis=1) >= ((found - raw) ** 2).sum(axis=1) - 1e-12).all()


def test_the_objective_compares_shares_of_known_pixels():
    from agrifm.train.objectives import Fractions

    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(0, 1, (2, 3, 4, 5)), dtype=torch.float32)
    true = rng.dirichlet((1, 1, 1), (2, 4, 5)).transpose(0, 3, 1, 2)
    label = torch.tensor(np.where(rng.random((2, 4, 5)) < 0.7, 0, 255))
    target = torch.tensor(np.where((label != 255)[:, None], true, np.nan), dtype=torch.float32)
    batch = SimpleNamespace(targets={SHARES: target}, label=label)
    shares = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(axis=1, keepdims=True)
    known = (label != 255).numpy()
    error, count = Fractions(3, 1).validation_sums(lambda _: logits, batch)
    assert count == known.sum()
    assert error / count == pytest.approx(np.abs(shares - true).mean(axis=1)[known].mean(), rel=1e-5)
    loss = Fractions(3, 1, kind="cross_entropy").loss(lambda _: logits, batch)
    assert loss.item() == pytest.approx(-(true * np.log(shares)).sum(axis=1)[known].mean(), rel=1e-5)


def test_labels_that_cover_too_little_are_refused_before_anything_is_written(tmp_path):
    project, _ = share_project(tmp_path)
    fields = geopandas.read_file(tmp_path / "labels.gpkg")
    fields[fields["crop"] != "other"].to_file(tmp_path / "labels.gpkg")
    labels = project.labels.model_copy(update={"covered": 1.0})
    with pytest.raises(LabelError) as error:
        train_project(project.model_copy(update={"labels": labels}))
    assert error.value.facts["covered"] == 1.0
    assert not project.models.exists()
