"""Clusters of pixels: drawn with equal probability, whole or in part, and assessed from the file that was written."""

import geopandas as gpd
import numpy as np
import pytest
from tests.assess.rasters import CROPS, crop_map, pixels_of, write_raster

from agrifm.assess.design import draw_points, plan
from agrifm.assess.report import assess
from agrifm.assess.sampling_design import Design
from agrifm.cli import main
from agrifm.errors import AssessmentError


@pytest.fixture
def crops(tmp_path):
    return write_raster(tmp_path / "m.tif", crop_map(), legend=CROPS, nodata=255)


def clusters_of(path, out, n, seed=0, **choices):
    draw_points(path, n, seed, out, Design(method="cluster", **choices))
    return gpd.read_file(out)


def test_a_cluster_is_every_mapped_pixel_of_a_block(crops, tmp_path):
    """Blocks of 3 x 3: those of the second column of blocks have two mapped columns of pixels, 3 and 4 being nodata."""
    points = clusters_of(crops, tmp_path / "p.gpkg", 40, side=3)
    rows, cols = pixels_of(points)
    mapped = crop_map() != 255
    assert mapped[rows, cols].all()
    assert points["clusters"].unique().tolist() == [20 * 26]  # of 20 x 27 blocks, the first column is nodata
    assert points["cluster"].nunique() == 40
    for number, group in points.groupby("cluster"):
        at = group.index
        block = np.unique(np.stack([rows[at] // 3, cols[at] // 3]), axis=1)
        assert block.shape == (2, 1), number
        inside = mapped[3 * block[0, 0] :, 3 * block[1, 0] :][:3, :3].sum()
        assert len(group) == inside == group["cluster_px"].unique()
        assert group["cluster_ha"].to_numpy() == pytest.approx(inside * 0.01)
    assert set(points["cluster_px"]) <= {9, 6, 3}


def test_points_within_clusters_are_different_pixels(crops, tmp_path):
    points = clusters_of(crops, tmp_path / "p.gpkg", 50, side=4, per_cluster=3)
    assert len(set(zip(*pixels_of(points), strict=True))) == len(points) == 150
    assert points.groupby("cluster").size().tolist() == [3] * 50
    assert (points["sampling"] == "cluster").all()


def test_every_pixel_is_drawn_equally_often(tmp_path):
    """Blocks of 2 x 2 on 5 x 8 pixels: 12 blocks, 6 drawn 64 times, so each pixel 32 times, with a deviation of 4."""
    path = write_raster(tmp_path / "m.tif", np.ones((5, 8), np.uint8))
    seen = np.zeros((5, 8), int)
    for seed in range(64):
        seen[pixels_of(clusters_of(path, tmp_path / "p.gpkg", 6, seed, side=2))] += 1
    assert abs(seen - 32).max() < 4 * (64 * 0.25) ** 0.5


def test_clusters_do_not_depend_on_how_the_raster_is_read(crops, tmp_path, monkeypatch):
    first = clusters_of(crops, tmp_path / "a.gpkg", 30, side=3, per_cluster=4)
    monkeypatch.setattr("agrifm.assess.cluster_design.STRIP_ROWS", 7)
    monkeypatch.setattr("agrifm.assess.cluster_design.STRIP_COLS", 10)
    assert clusters_of(crops, tmp_path / "b.gpkg", 30, side=3, per_cluster=4).equals(first)


@pytest.mark.parametrize(
    ("n", "choices", "facts"),
    [
        (10, {}, {"lacking": ["side"]}),
        (10, {"side": 3, "method": "simple"}, {"foreign": ["side"]}),
        (1, {"side": 3}, {"clusters": 520}),
        (521, {"side": 3}, {"clusters": 520}),
        (10, {"side": 1}, {"side": 1}),
        (10, {"side": 3, "per_cluster": 10}, {"per_cluster": 10}),
        (10, {"side": 3, "per_cluster": 1}, {"per_cluster": 1}),
        (None, {"side": 3, "error": 0.02}, {"n": None}),
    ],
)
def test_clusters_that_cannot_be_drawn_are_refused(crops, tmp_path, n, choices, facts):
    with pytest.raises(AssessmentError) as error:
        draw_points(crops, n, 0, tmp_path / "p.gpkg", Design(**{"method": "cluster", **choices}))
    assert facts.items() <= error.value.facts.items()


def test_the_command_draws_labels_and_assesses_clusters(crops, tmp_path, capsys):
    """The map has a tenth of the pixels wrong; the truth is known, and the interval of each class has it."""
    truth = crop_map()
    wrong = np.random.default_rng(1).random(truth.shape) < 0.1
    mapped = np.where((truth != 255) & wrong, (truth + 1) % 3, truth).astype(np.uint8)
    path, points = write_raster(tmp_path / "w.tif", mapped, legend=CROPS, nodata=255), tmp_path / "p.gpkg"
    words = ["--map", path, "--method", "cluster", "--side", 4, "--per-cluster", 5, "--n", 60]
    assert main([str(word) for word in ["assess", "design", *words]]) == 0
    assert "60 clusters" in capsys.readouterr().out
    assert main([str(word) for word in ["assess", "design", *words, "--out", points]]) == 0
    frame = gpd.read_file(points)
    frame["label"] = [CROPS.codes[value] for value in truth[pixels_of(frame)]]
    frame.to_file(points)
    report = assess(path, points, "label", tmp_path / "report")
    assert report["design"]["method"] == "cluster"
    assert report["probability_sample"] is True
    for number, area in enumerate(report["areas"]):
        low, high = area["interval_ha"]
        assert low <= 0.01 * (truth == number).sum() <= high
    assert sum(area["area_ha"] for area in report["areas"]) == pytest.approx(45.0)
    low, high = report["overall_accuracy"]["interval"]
    assert low <= (mapped == truth)[truth != 255].mean() <= high
    assert "Lohr" in (tmp_path / "report" / "report.html").read_text()


@pytest.mark.parametrize("column", ["cluster", "cluster_px", "cluster_ha", "clusters", "stratum_ha"])
def test_columns_of_clusters_that_were_changed_are_refused(crops, tmp_path, column):
    points = clusters_of(crops, tmp_path / "p.gpkg", 20, side=3)
    points["label"] = [CROPS.codes[value] for value in crop_map()[pixels_of(points)]]
    for name, frame in (("absent", points.drop(columns=column)), ("zero", points.assign(**{column: 0}))):
        frame.to_file(tmp_path / f"{name}.gpkg")
        with pytest.raises(AssessmentError) as error:
            assess(crops, tmp_path / f"{name}.gpkg", "label", tmp_path / "report")
        assert column in (error.value.facts.get("column"), *error.value.facts.get("columns", ()))


def test_the_plan_states_the_cost_of_clusters(crops):
    lines = plan(crops, 30, Design(method="cluster", side=3, per_cluster=4, cost=2.5))
    assert "300.00" in lines[-1]
