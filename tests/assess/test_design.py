"""Drawing reference points: how many in each class, where, and what is never overwritten."""

import argparse
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
from affine import Affine
from shapely import box
from tests.assess.rasters import CROPS, UTM, crop_map, pixels_of, write_raster

from agrifm.assess import class_map
from agrifm.assess.design import draw_points, plan
from agrifm.assess.report import assess
from agrifm.assess.sampling_design import ALLOCATIONS, DESIGN, METHODS, Design
from agrifm.assess.sampling_frame import SamplingFrame
from agrifm.assess.systematic_design import draw_cells
from agrifm.cli import main
from agrifm.cli_assess_arguments import assess_design_arguments
from agrifm.errors import AssessmentError, OutputError
from agrifm.grid import Grid


@pytest.fixture
def crops(tmp_path):
    return write_raster(tmp_path / "m.tif", crop_map(), legend=CROPS, nodata=255)


def test_points_are_distinct_pixel_centres_of_the_class_that_they_name(crops, tmp_path):
    numbers = draw_points(crops, 200, 0, tmp_path / "p.gpkg")
    points = gpd.read_file(tmp_path / "p.gpkg")
    rows, cols = pixels_of(points)
    values = crop_map()[rows, cols]
    assert len(points) == len(set(zip(rows, cols, strict=True))) == 200 == sum(numbers.values())
    assert (values != 255).all()
    assert points["map_class"].tolist() == [CROPS.codes[value] for value in values]
    assert points["map_name"].tolist() == [CROPS.classes[value].name for value in values]
    assert points["id"].tolist() == list(range(1, 201))
    assert (points.geometry.x % 10 == 5).all()
    assert (points.geometry.y % 10 == 5).all()
    assert points.crs.to_epsg() == 32631


def test_the_label_column_is_text_and_empty(crops, tmp_path):
    draw_points(crops, 20, 0, tmp_path / "p.gpkg")
    info = pyogrio.read_info(tmp_path / "p.gpkg")
    kinds = dict(zip(info["fields"], info["ogr_types"], strict=True))
    texts = dict.fromkeys(("sampling", "map_class", "map_name", "label"), "OFTString")
    assert kinds == {"id": "OFTInteger64", "stratum_ha": "OFTReal", **texts}
    assert gpd.read_file(tmp_path / "p.gpkg")["label"].isna().all()


def test_the_same_seed_gives_the_same_points_and_another_seed_others(crops, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        draw_points(crops, 60, seed, tmp_path / f"{name}.gpkg")
    a, b, c = (gpd.read_file(tmp_path / f"{name}.gpkg") for name in "abc")
    assert a.geometry.equals(b.geometry)
    assert not a.geometry.equals(c.geometry)


def test_points_do_not_depend_on_how_the_raster_is_read(tmp_path, monkeypatch):
    values = crop_map()
    strips = write_raster(tmp_path / "s.tif", values, legend=CROPS, nodata=255)
    tiled = write_raster(tmp_path / "t.tif", values, legend=CROPS, nodata=255, tiled=True, blockxsize=16, blockysize=16)
    draw_points(strips, 60, 1, tmp_path / "a.gpkg")
    monkeypatch.setattr(class_map, "MAX_PIXELS_PER_READ", 300)
    draw_points(tiled, 60, 1, tmp_path / "b.gpkg")
    assert gpd.read_file(tmp_path / "a.gpkg").geometry.equals(gpd.read_file(tmp_path / "b.gpkg").geometry)


def test_every_pixel_of_a_class_is_drawn_equally_often(tmp_path):
    """One class of 40 pixels, 10 drawn 60 times: each is expected 15 times, with a binomial deviation of 3.4."""
    path = write_raster(tmp_path / "m.tif", np.ones((5, 8), np.uint8))
    seen = np.zeros((5, 8), int)
    for seed in range(60):
        draw_points(path, 10, seed, tmp_path / "p.gpkg")
        seen[pixels_of(gpd.read_file(tmp_path / "p.gpkg"))] += 1
    assert abs(seen - 15).max() < 4 * (60 * 0.25 * 0.75) ** 0.5


def test_in_degrees_rows_are_drawn_in_proportion_to_their_area(tmp_path):
    """Pixels at 70 degrees north have about a third of the area of those at the equator."""
    path = write_raster(tmp_path / "m.tif", np.ones((700, 60), np.uint8), crs="EPSG:4326", side=0.1, corner=(0, 70))
    draw_points(path, 4000, 0, tmp_path / "p.gpkg")
    latitude = gpd.read_file(tmp_path / "p.gpkg").geometry.y
    north = (latitude > 35).mean()
    expected = 1 - np.sin(np.radians(35)) / np.sin(np.radians(70))
    # a sphere's share; the ellipsoid differs by 0.002
    assert north == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 4000) ** 0.5 + 0.002)


def test_too_few_or_too_many_points_are_refused(crops, tmp_path):
    for n in (5, 5000):
        with pytest.raises(AssessmentError) as error:
            draw_points(crops, n, 0, tmp_path / "p.gpkg")
        assert error.value.facts == {"n": n, "strata": 3, "pixels": 4500}
    assert not (tmp_path / "p.gpkg").exists()


def test_labels_are_never_overwritten(crops, tmp_path):
    path = tmp_path / "p.gpkg"
    draw_points(crops, 20, 0, path)
    draw_points(crops, 30, 0, path)  # nothing was labelled yet
    points = gpd.read_file(path)
    assert len(points) == 30
    points["label"] = points["label"].astype(object)
    points.loc[3, "label"] = "1110"
    points.to_file(path)
    before = path.read_bytes()
    with pytest.raises(OutputError) as error:
        draw_points(crops, 20, 0, path)
    assert error.value.facts["labelled"] == 1
    assert path.read_bytes() == before


def test_a_file_of_somebody_else_is_never_overwritten(crops, tmp_path):
    gpd.GeoDataFrame({"a": [1]}, geometry=gpd.points_from_xy([1], [2]), crs=4326).to_file(tmp_path / "p.gpkg")
    (tmp_path / "q.gpkg").write_text("a note")
    for name in ("p", "q"):
        with pytest.raises(OutputError) as error:
            draw_points(crops, 20, 0, tmp_path / f"{name}.gpkg")
        assert error.value.facts["path"] == tmp_path / f"{name}.gpkg"


def test_points_are_only_written_as_a_geopackage(crops, tmp_path):
    with pytest.raises(OutputError, match=r"\.gpkg"):
        draw_points(crops, 20, 0, tmp_path / "p.shp")


def test_a_failed_write_leaves_nothing_behind(crops, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="disk is full"):
        draw_points(crops, 20, 0, tmp_path / "new" / "p.gpkg")
    assert list((tmp_path / "new").iterdir()) == []


def design_of(tmp_path, crops, n, name="p", **choices):
    numbers = draw_points(crops, n, 3, tmp_path / f"{name}.gpkg", Design(**choices))
    return numbers, gpd.read_file(tmp_path / f"{name}.gpkg")


def test_a_simple_random_sample_has_one_stratum_of_the_whole_map(crops, tmp_path):
    numbers, points = design_of(tmp_path, crops, 50, method="simple")
    assert numbers == {"all": 50}
    assert points["stratum"].unique().tolist() == ["all"]
    assert points["stratum_ha"].unique() == pytest.approx([45.0])
    assert "map_class" not in points
    assert len(set(zip(*pixels_of(points), strict=True))) == 50


def test_a_systematic_sample_has_two_points_in_compact_cells_of_one_size(crops, tmp_path):
    """45 ha in 22 cells: each 2.05 ha of a line that visits every mapped pixel, strip after strip, forth and back."""
    _, points = design_of(tmp_path, crops, 43, method="systematic")
    rows, cols = pixels_of(points)
    assert len(set(zip(rows, cols, strict=True))) == 44
    assert np.bincount(points["cell"]).tolist() == [0] + [2] * 22
    mapped = crop_map() != 255
    assert mapped[rows, cols].all()
    height = len(mapped) / round(len(mapped) / (4500 / 22) ** 0.5)  # a side of 14.3 pixels
    y, x = np.nonzero(mapped)
    strip = np.floor(y / height)
    line = np.lexsort((y, np.where(strip % 2, -x, x), strip))
    place = {(y[at], x[at]): number for number, at in enumerate(line)}
    along = np.array([place[pixel] for pixel in zip(rows, cols, strict=True)]) * 22 / 4500
    assert (np.abs(along + 0.5 * 22 / 4500 - points["cell"] + 0.5) <= 0.5 + 22 / 4500).all()


def test_too_many_systematic_points_are_refused(crops, tmp_path):
    with pytest.raises(AssessmentError) as error:
        design_of(tmp_path, crops, 600, method="systematic")
    assert error.value.facts == {"points": 600, "pixels": 4500}


def test_every_pixel_of_a_map_with_gaps_is_drawn_equally_often():
    """Cells of 16 pixels on a map with holes and an empty row, 60 samples."""
    mapped = np.random.default_rng(3).random((40, 70)) < 0.5
    mapped[7] = False

    @contextmanager
    def opened():
        yield lambda window: np.where(mapped[window.slices], np.int16(0), np.int16(-1))

    grid = Grid.of("EPSG:32631", Affine(10, 0, 600_000, 0, -10, 5_500_000), mapped.shape)
    frame = SamplingFrame(grid, ("all",), ("all",), mapped.sum(axis=1)[None], opened)
    drawn, count = np.zeros(mapped.shape), int(mapped.sum()) // 8 - 4
    generator = np.random.default_rng(0)
    for _ in range(60):
        for point in draw_cells(generator, frame, count).points:
            drawn[point.row, point.col] += 1
    assert not drawn[~mapped].any()
    expected = 60 * (count + count % 2) / mapped.sum()
    assert drawn[mapped].mean() == pytest.approx(expected)
    # no pixel is far from its share, and no part of the map
    assert drawn[mapped].min() > expected - 5 * expected**0.5
    assert drawn[mapped].max() < expected + 5 * expected**0.5
    left = drawn[:, :35][mapped[:, :35]].mean()
    assert left == pytest.approx(expected, rel=0.03)


def test_every_pixel_is_in_a_systematic_sample_equally_often(tmp_path):
    """Pixels in degrees from the equator to 60 degrees: the share of points north of 40 degrees is that of the area."""
    path = write_raster(tmp_path / "m.tif", np.ones((600, 300), np.uint8), crs="EPSG:4326", side=0.1, corner=(0, 60))
    latitude = []
    for seed in range(3):
        draw_points(path, 3000, seed, tmp_path / "p.gpkg", Design(method="systematic"))
        latitude.append(gpd.read_file(tmp_path / "p.gpkg").geometry.y)
    expected = 1 - np.sin(np.radians(40)) / np.sin(np.radians(60))
    assert np.mean([(one > 40).mean() for one in latitude]) == pytest.approx(expected, abs=0.01)


def test_points_within_districts_state_their_strata(crops, tmp_path):
    halves = [box(600_000, 5_499_400, 600_400, 5_500_000), box(600_400, 5_499_400, 600_800, 5_500_000)]
    gpd.GeoDataFrame({"district": ["west", "east"]}, geometry=halves, crs=UTM).to_file(tmp_path / "d.gpkg")
    choices = {"strata": tmp_path / "d.gpkg", "column": "district", "allocation": "equal"}
    numbers, points = design_of(tmp_path, crops, 40, **choices)
    assert numbers == {"east": 20, "west": 20}
    east = points.geometry.x > 600_400
    assert (points["stratum"] == np.where(east, "east", "west")).all()
    assert points["stratum_ha"].to_numpy() == pytest.approx(np.where(east, 24.0, 21.0))
    with pytest.raises(AssessmentError) as error:
        design_of(tmp_path, crops, 40, "q", strata=tmp_path / "d.gpkg", column="name")
    assert error.value.facts["column"] == "name"


def test_a_raster_of_strata_is_drawn_from_itself(crops, tmp_path):
    values = np.repeat(np.uint8([[1, 2]]), 30, axis=1).repeat(40, axis=0)
    raster = write_raster(tmp_path / "s.tif", values, side=13.0)
    numbers, points = design_of(tmp_path, crops, 30, strata=raster)
    assert numbers == {"1": 15, "2": 15}
    assert points["stratum_ha"].to_numpy() == pytest.approx(np.full(30, 1200 * 0.0169))


def test_more_points_are_drawn_without_touching_the_first(crops, tmp_path):
    _, first = design_of(tmp_path, crops, 60)
    labelled = first.assign(label="1110")
    labelled.to_file(tmp_path / "labelled.gpkg")
    numbers, both = design_of(tmp_path, crops, 90, "more", earlier=tmp_path / "labelled.gpkg")
    assert len(both) == 150
    assert sum(numbers.values()) == 90
    assert both.iloc[:60].equals(labelled)
    assert both["label"].iloc[60:].isna().all()
    assert both["id"].tolist() == list(range(1, 151))
    assert len(set(zip(*pixels_of(both), strict=True))) == 150
    rows, cols = pixels_of(both)
    assert both["map_class"].tolist() == [CROPS.codes[value] for value in crop_map()[rows, cols]]


def test_points_of_another_map_are_not_continued(crops, tmp_path):
    design_of(tmp_path, crops, 60)
    other = write_raster(tmp_path / "o.tif", crop_map(seed=1), legend=CROPS, nodata=255)
    with pytest.raises(AssessmentError):
        design_of(tmp_path, other, 60, "more", earlier=tmp_path / "p.gpkg")
    with pytest.raises(AssessmentError):
        design_of(tmp_path, crops, 60, "more", earlier=tmp_path / "p.gpkg", method="simple")


def test_all_remaining_pixels_can_be_drawn_and_no_more(tmp_path):
    path = write_raster(tmp_path / "m.tif", np.ones((4, 5), np.uint8))
    design_of(tmp_path, path, 8)
    _, both = design_of(tmp_path, path, 12, "more", earlier=tmp_path / "p.gpkg")
    assert len(set(zip(*pixels_of(both), strict=True))) == 20
    with pytest.raises(AssessmentError) as error:
        design_of(tmp_path, path, 13, "most", earlier=tmp_path / "p.gpkg")
    assert error.value.facts["pixels"] == 12


def test_a_wished_error_sets_the_number(crops, tmp_path):
    numbers, _ = design_of(tmp_path, crops, None, error=0.05, method="simple", expected=("0.8",))
    assert numbers == {"all": 64}  # 0.8 x 0.2 / 0.05^2
    assert "64 points" in plan(crops, None, Design(error=0.05, method="simple"))[0]


@pytest.mark.parametrize(
    ("n", "choices"),
    [
        (None, {}),
        (10, {"error": 0.1}),
        (30, {"method": "simple", "edge": 10.0}),
        (30, {"method": "systematic", "earlier": Path("points.gpkg")}),
        (30, {"method": "systematic", "edge": 9}),
    ],
)
def test_designs_that_contradict_themselves_are_refused(crops, tmp_path, n, choices):
    with pytest.raises(AssessmentError):
        draw_points(crops, n, 0, tmp_path / "p.gpkg", Design(**choices))
    assert not (tmp_path / "p.gpkg").exists()


def test_points_of_a_stratum_along_edges_are_assessed(crops, tmp_path):
    numbers, points = design_of(tmp_path, crops, 120, edge=10.0)
    assert set(numbers) == {*CROPS.codes, "edge"}
    rows, cols = pixels_of(points)
    points["label"] = [CROPS.codes[value] for value in crop_map()[rows, cols]]
    points.to_file(tmp_path / "labelled.gpkg")
    report = assess(crops, tmp_path / "labelled.gpkg", "label", tmp_path / "report")
    assert report["overall_accuracy"]["estimate"] == 1
    assert report["points"]["used"] == 120


def test_the_command_offers_all_choices_with_the_same_defaults():
    parser = argparse.ArgumentParser()
    assess_design_arguments(parser)
    offered = {action.dest: action for action in parser._actions}
    assert tuple(offered["method"].choices) == METHODS
    assert tuple(offered["allocation"].choices) == ALLOCATIONS
    for name, value in vars(DESIGN).items():
        assert offered[name].default == value


def test_without_a_file_the_command_shows_the_plan(crops, tmp_path, capsys):
    assert main(["assess", "design", "--map", str(crops), "--n", "100", "--cost", "2"]) == 0
    assert "200.00" in capsys.readouterr().out
    assert main(["assess", "design", "--map", str(crops), "--error", "0.05", "--out", str(tmp_path / "p.gpkg")]) == 0
    assert len(gpd.read_file(tmp_path / "p.gpkg")) >= 64
