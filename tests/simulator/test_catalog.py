"""A simulated season on disk: catalogue, truth, the same bytes, pieces that fit, and requests that are refused."""

import hashlib
import json
import shutil
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import geopandas
import numpy as np
import pystac
import pytest
import rasterio
from rasterio.transform import rowcol
from shapely.geometry import shape

from agrifm.cli import main
from agrifm.errors import ConfigError, OutputError
from agrifm.files import MARKER
from agrifm.grid import geodesic_hectares
from agrifm.legend import Legend
from agrifm.season import Season
from agrifm.simulator import catalog as module
from agrifm.simulator.acquisition.level2 import LANDSAT, MODIS, SENTINEL_2
from agrifm.simulator.catalog import simulate, write_season
from agrifm.simulator.granule import BYTES_PER_KM2, Granule, Simulation
from agrifm.simulator.region import REGIONS, read_region

MONTH = Season(date(2024, 4, 1), date(2024, 4, 28))


def test_the_catalogue_is_relative_whole_and_can_be_moved(catalogue: Path, tmp_path: Path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(catalogue.parent, moved)
    root = pystac.Catalog.from_file(str(moved / "catalog.json"))
    found = list(root.get_items(recursive=True))
    assert len(found) > 40
    for item in found:
        assert item.assets
        for asset in item.assets.values():
            assert asset.href.startswith("./")
            assert Path(str(asset.get_absolute_href())).is_file()
        assert shape(item.geometry).is_valid


def test_a_season_has_every_product_on_its_dates():
    """245 days with passes 5 days apart over both orbits and 8 over both paths; composites from day 57 to day 305."""
    simulation = Simulation.of(read_region("oceanic"), 5, 0, read_region("oceanic").orbits.season(2024))
    found = Counter(taken.collection for taken in simulation.acquisitions)
    assert 90 <= found[SENTINEL_2] <= 98  # of 98, less a few lost
    assert 27 <= found[LANDSAT] <= 62
    assert found[MODIS] == 32


def test_the_truth_names_its_classes_and_parcels_agree_with_it(catalogue: Path):
    truth = catalogue.parent / "truth"
    legend = Legend.read(truth / "legend.json")
    with rasterio.open(truth / "crops.tif") as file:
        numbers, placed = file.read(1), file.transform
        assert Legend.model_validate_json(file.tags()["AGRIFM_LEGEND"]) == legend
        assert file.nodata == 255
        colors = ["#{:02x}{:02x}{:02x}".format(*file.colormap(1)[number][:3]) for number in range(len(legend))]
    assert colors == [entry.color for entry in legend.classes]
    assert list(legend.codes) == [*read_region("oceanic").shares, "other"]
    parcels = geopandas.read_file(truth / "parcels.gpkg")
    assert parcels.parcel_id.is_unique
    assert parcels.yield_t_ha.isna().mean() > 0.9  # hardly anything is harvested by 9 June
    agreed = []
    for point, crop in zip(parcels.representative_point(), parcels.crop, strict=True):
        row, col = rowcol(placed, point.x, point.y)
        if 0 <= row < numbers.shape[0] and 0 <= col < numbers.shape[1]:
            agreed.append(numbers[row, col] == legend.number(crop))
    assert len(agreed) > 20
    assert np.mean(agreed) > 0.97  # there may be hedges of one or two pixels


def test_the_area_is_a_square_of_the_size_off_the_480_m_lines(catalogue: Path, simulation: Simulation):
    area = shape(json.loads((catalogue.parent / "area.geojson").read_text())["features"][0]["geometry"])
    assert len(area.exterior.coords) == 5
    assert geodesic_hectares(area) == pytest.approx(144, rel=0.002)  # UTM lengths are 0.04 % off
    assert area.centroid.distance(shape({"type": "Point", "coordinates": (1.71, 46.9)})) < 0.01
    left, bottom, right, top = simulation.grid.bounds
    assert {(edge + 300) % 480 for edge in (left, bottom)} == {0.0} == {(edge - 300) % 480 for edge in (right, top)}


def _hashes(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.check
def test_a_seed_gives_the_same_bytes_again_and_another_seed_others(tmp_path: Path):
    first, again, other = (
        _hashes(simulate(tmp_path / name, size=1, seed=seed, season=MONTH).parent)
        for name, seed in (("a", 5), ("b", 5), ("c", 6))
    )
    assert len(first) > 100
    assert first == again
    assert first["truth/crops.tif"] != other["truth/crops.tif"]


def test_pieces_of_an_area_are_the_area(simulation: Simulation, granule: Granule):
    """Land, growth and skies are drawn by place: a scene of a piece is that of the whole, to the last digit."""
    pieces = replace(simulation, side=1200.0)
    assert len(pieces.windows) == 4
    part, window = list(pieces.windows.items())[3]
    piece = Granule.draw(simulation.region, simulation.season, simulation.seed, simulation.grid.window(window), part)
    for collection, asset in ((SENTINEL_2, "red"), (SENTINEL_2, "scl"), (LANDSAT, "nir08"), (MODIS, "sur_refl_b02")):
        taken = [one for one in simulation.acquisitions if one.collection == collection][1]
        scenes = granule.scene(taken), piece.scene(taken)
        assert scenes[0] is not None
        assert scenes[1] is not None
        assert scenes[1].id == scenes[0].id + part
        whole, own = (scene.rasters[asset] for scene in scenes)
        assert own.values.size < 0.5 * whole.values.size
        first = ~whole.transform * (own.transform.c, own.transform.f)
        col, row = (round(value) for value in first)
        rows, cols = own.values.shape
        expected = whole.values[row : row + rows, col : col + cols]
        seen = own.values != own.nodata
        np.testing.assert_array_equal(own.values[seen], expected[seen])
        assert seen.mean() > 0.5


def test_an_area_of_several_pieces_has_the_truth_of_the_whole(simulation: Simulation, catalogue: Path, tmp_path: Path):
    some = [simulation.acquisitions[0], simulation.acquisitions[-1]]
    pieces = replace(simulation, side=1200.0, acquisitions=some)
    root = pystac.Catalog.from_file(str(write_season(tmp_path / "pieces", pieces)))
    items = list(root.get_items(recursive=True))
    assert len(items) == len({item.id for item in items}) == 8
    outlines = [shape(item.geometry) for item in items if item.collection_id == SENTINEL_2]
    assert all(one.intersection(other).area > 0 for one in outlines for other in outlines)
    for name in ("crops", "landcover"):
        with (
            rasterio.open(tmp_path / "pieces" / "truth" / f"{name}.tif") as own,
            rasterio.open(catalogue.parent / "truth" / f"{name}.tif") as whole,
        ):
            np.testing.assert_array_equal(own.read(1), whole.read(1))
            assert own.transform == whole.transform
    own, whole = (
        geopandas.read_file(folder / "truth" / "parcels.gpkg").set_index("parcel_id").sort_index()
        for folder in (tmp_path / "pieces", catalogue.parent)
    )
    assert own.index.is_unique
    assert list(own.index) == list(whole.index)
    assert own.geometry.geom_equals_exact(whole.geometry, 1e-6).all()
    assert sorted(path.name for path in (tmp_path / "pieces" / "truth").iterdir()) == [
        "crops.tif",
        "landcover.tif",
        "legend.json",
        "parcels.gpkg",
    ]


def test_a_season_replaces_a_season_and_nothing_else(tmp_path: Path):
    target = tmp_path / "season"
    target.mkdir()
    (target / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="did not write"):
        simulate(target, size=1, season=MONTH)
    assert [path.name for path in tmp_path.rglob("*")] == ["season", "mine.txt"]
    (target / "mine.txt").unlink()
    (target / MARKER).write_text(json.dumps({"kind": "season"}))
    simulate(target, size=1, season=MONTH)
    assert (target / "catalog.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["season"]


def test_a_stopped_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls = []

    def stop(*args: object) -> None:
        calls.append(args)
        if len(calls) > 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "_write_cog", stop)
    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "season", size=1, season=MONTH)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        ({"size": 0.5}, {"size": 0.5}),
        ({"size": float("nan")}, {"size": pytest.approx(float("nan"), nan_ok=True)}),
        ({"size": 280}, {"size": 280, "crs": "EPSG:32631"}),
        ({"season": Season(date(2024, 4, 1), date(2024, 4, 20))}, {"days": 20}),
        ({"season": Season(date(2023, 1, 1), date(2024, 6, 1))}, {"days": 518}),
        ({"region": "atlantis"}, {"region": "atlantis", "known": REGIONS}),
        ({"region": "here.toml"}, {"path": Path("here.toml")}),
        ({"year": 20240}, {"year": 20240}),
    ],
)
def test_what_cannot_be_simulated_is_refused_in_one_sentence(
    tmp_path: Path, arguments: dict[str, object], facts: dict[str, object]
):
    with pytest.raises(ConfigError) as refused:
        simulate(tmp_path / "season", **arguments)
    assert refused.value.facts == facts
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_too_small_is_refused_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**9))
    with pytest.raises(OutputError, match=r"\d\.\d GB") as refused:
        simulate(tmp_path / "new" / "season", size=60)
    assert refused.value.facts["free"] == 10**9
    assert refused.value.facts["needed"] > 10**10
    assert list(tmp_path.iterdir()) == []


def test_the_estimated_disk_space_is_about_the_used_space(catalogue: Path, simulation: Simulation):
    taken = dict.fromkeys(BYTES_PER_KM2, 0)
    for name in taken:
        taken[name] = sum(file.stat().st_size for file in catalogue.parent.joinpath(name).rglob("*.tif"))
    square_kilometres = simulation.grid.shape[0] * simulation.grid.shape[1] / 1e4
    for name in (SENTINEL_2, LANDSAT):
        count = sum(one.collection == name for one in simulation.acquisitions)
        assert 0.4 < taken[name] / (BYTES_PER_KM2[name] * square_kilometres * count) < 1.4


def test_the_command_accepts_region_year_size_seed_and_dates(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["simulate", str(tmp_path / "s"), "--region", "southern", "--year", "2023", "--size", "1", "--seed", "2"]
    assert main([*words, "--season", "2022-12-01", "2022-12-28"]) == 0
    assert "wrote" in capsys.readouterr().out
    names = [path.name for path in (tmp_path / "s" / SENTINEL_2).iterdir()]
    assert any(name.startswith("S2") and "_T21LXG_202212" in name for name in names)
    assert main(["simulate", str(tmp_path / "t"), "--region", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["simulate", str(tmp_path / "t"), "--season", "yesterday", "today"])
    assert "'yesterday'" in capsys.readouterr().err
