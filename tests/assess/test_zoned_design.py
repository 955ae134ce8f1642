"""Points over two UTM zones in one sample: their strata, allocation, places, and what the estimates make of them."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
from pyproj import Transformer
from tests.mapping.small_parcels import CODES
from tests.serve.small_divided_season import PLACES, class_at, divided_season, zone_of

from agrifm.assess.allocation import allocate
from agrifm.assess.design import draw_points, plan
from agrifm.assess.report import assess
from agrifm.assess.sampling_design import Design
from agrifm.errors import AssessmentError

EDGES = PLACES["two zones"]
ZONES = ("EPSG:32631", "EPSG:32632")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return divided_season(tmp_path_factory.mktemp("zones"), EDGES)[0].maps / "classes.vrt"


def known_pixels() -> np.ndarray:
    """(zone, class), of pixels of 10 m whose centre is in the box and in the zone."""
    counts = np.zeros((2, 3), int)
    for number, crs in enumerate(ZONES):
        middle = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(6, 49)
        x, y = np.meshgrid(*(np.arange(round(one / 10) * 10 - 1995, round(one / 10) * 10 + 2000, 10) for one in middle))
        lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
        west, south, east, north = EDGES
        inside = (lon > west) & (lon < east) & (lat > south) & (lat < north) & ((lon >= 6) == bool(number))
        counts[number] = np.bincount(class_at(crs, x[inside], y[inside]), minlength=3)
    return counts


def placed(points: geopandas.GeoDataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Zone and class of the map of each point, by the function that made the map."""
    lon, lat = points.geometry.x.to_numpy(), points.geometry.y.to_numpy()
    zone = np.array([ZONES.index(zone_of(one, False)) for one in lon])
    mapped = np.zeros(len(points), int)
    for number, crs in enumerate(ZONES):
        here = zone == number
        mapped[here] = class_at(
            crs, *Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon[here], lat[here])
        )
    return zone, mapped


def test_one_sample_has_the_points_of_each_class_in_each_zone(classes: Path, tmp_path: Path) -> None:
    counted = draw_points(classes, 120, 1, tmp_path / "points.gpkg")
    points = geopandas.read_file(tmp_path / "points.gpkg")
    assert points.crs.to_epsg() == 4326
    assert points["id"].tolist() == list(range(1, 121))
    zone, mapped = placed(points)
    assert [CODES[number] for number in mapped] == points["map_class"].tolist()
    pixels = known_pixels()
    expected = allocate(120, pixels.ravel() / 100, pixels.ravel())
    assert np.bincount(zone * 3 + mapped, minlength=6).tolist() == expected.tolist()
    assert counted == {code: int(expected[[number, 3 + number]].sum()) for number, code in enumerate(CODES)}
    assert points["stratum_ha"].to_numpy() == pytest.approx(pixels[zone, mapped] / 100, abs=0.05)
    assert (np.diff(zone) != 0).sum() > 10  # zones are mixed: the order is random


def test_the_sample_is_assessed_with_its_strata(classes: Path, tmp_path: Path) -> None:
    draw_points(classes, 120, 1, tmp_path / "points.gpkg")
    points = geopandas.read_file(tmp_path / "points.gpkg")
    zone, mapped = placed(points)
    wrong = np.random.default_rng(3).random(120) < 0.2 + 0.2 * zone
    found = np.where(wrong, (mapped + 1) % 3, mapped)
    points.assign(label=[CODES[number] for number in found]).to_file(tmp_path / "labelled.gpkg")
    report = assess(classes, tmp_path / "labelled.gpkg", "label", tmp_path / "report")
    hectares, areas = known_pixels() / 100, np.zeros(3)
    for stratum in range(6):
        here = zone * 3 + mapped == stratum
        areas += hectares.ravel()[stratum] * np.bincount(found[here], minlength=3) / here.sum()
    assert report["probability_sample"] is True
    assert [one["area_ha"] for one in report["areas"]] == pytest.approx(areas.tolist(), rel=1e-3)


def test_more_points_are_drawn_without_touching_the_first(classes: Path, tmp_path: Path) -> None:
    draw_points(classes, 60, 1, tmp_path / "first.gpkg")
    first = geopandas.read_file(tmp_path / "first.gpkg").assign(label=CODES[0])
    first.to_file(tmp_path / "first.gpkg")
    draw_points(classes, 40, 1, tmp_path / "both.gpkg", Design(earlier=tmp_path / "first.gpkg"))
    both = geopandas.read_file(tmp_path / "both.gpkg")
    assert both["id"].tolist() == list(range(1, 101))
    assert both["label"].iloc[:60].tolist() == [CODES[0]] * 60
    assert both["label"].iloc[60:].isna().all()
    assert both.geometry.iloc[:60].geom_equals_exact(first.geometry, 1e-9).all()
    assert len(both.geometry.to_wkb().unique()) == 100


def test_the_same_seed_draws_the_same_points(classes: Path, tmp_path: Path) -> None:
    places = []
    for name, seed in (("one", 5), ("two", 5), ("three", 6)):
        draw_points(classes, 30, seed, tmp_path / f"{name}.gpkg")
        places.append(geopandas.read_file(tmp_path / f"{name}.gpkg").geometry.to_wkb().tolist())
    assert places[0] == places[1]
    assert places[0] != places[2]


def test_a_plan_names_the_zones_and_follows_a_wished_error(classes: Path) -> None:
    lines = plan(classes, 60, Design(expected=["0.9"]))
    assert all(f"{CODES[0]} in {zone}" in lines[0] for zone in ZONES)
    pixels, wished = known_pixels().ravel(), 0.02
    shares = pixels / pixels.sum()

    def error_of(n: int) -> float:
        points = allocate(n, pixels / 100, pixels, "proportional")
        return float(np.sqrt((shares**2 * 0.09 / points).sum()))

    needed = next(n for n in range(12, 2000) if error_of(n) <= wished)
    lines = plan(classes, None, Design(expected=["0.9"], allocation="proportional", error=wished))
    assert lines[0].startswith(f"{needed} points")


@pytest.mark.parametrize(
    "design",
    [
        Design(method="simple"), Design(method="systematic"), Design(method="cluster", side=3), Design(edge=30.0),
        Design(strata=Path("strata.gpkg")), Design(outside=Path("parcels.gpkg")),
    ],
)  # fmt: skip
def test_other_designs_are_refused_before_anything_is_written(classes: Path, tmp_path: Path, design: Design) -> None:
    with pytest.raises(AssessmentError) as error:
        draw_points(classes, 30, 1, tmp_path / "points.gpkg", design)
    assert error.value.facts["stated"]
    assert not list(tmp_path.iterdir())


def test_earlier_points_of_another_map_are_refused(classes: Path, tmp_path: Path) -> None:
    draw_points(classes.parent / "32631" / "classes.vrt", 30, 1, tmp_path / "one.gpkg")
    earlier = geopandas.read_file(tmp_path / "one.gpkg")
    earlier.assign(stratum_ha=earlier["stratum_ha"] * 1.5).to_file(tmp_path / "one.gpkg")
    with pytest.raises(AssessmentError) as error:
        draw_points(classes, 30, 1, tmp_path / "points.gpkg", Design(earlier=tmp_path / "one.gpkg"))
    assert error.value.facts["points"] == 30
