"""The plan beside what happened: requests, bytes and disk of a fetch from a server and from a folder."""

import json
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import geopandas
import pytest
from shapely.geometry import box, mapping
from tests.scenes import AREA, LEFT, SIDE, TOP, Catalogue, at, lonlat
from tests.servers import serving_season

from agrifm.cli import main
from agrifm.config import Project, read_project
from agrifm.cube.fetch import fetch
from agrifm.errors import ConfigError, SceneError
from agrifm.grid import Window
from agrifm.plan import measured_costs
from agrifm.plan.make_plan import plan_project
from agrifm.plan.map_forecast import chunked_pixels
from agrifm.plan.model_work import ModelUnits, ModelWork
from agrifm.plan.probe_fetch import measure_fetch
from agrifm.plan.probe_models import measure_models
from agrifm.plan.project_plan import ProjectPlan
from agrifm.plan.remaining_time import remaining_time
from agrifm.record import SensorRecord, Task
from agrifm.scene import limits
from agrifm.scene.remote import TRAFFIC
from agrifm.scene.remote_raster import forget_head
from agrifm.season import Season
from agrifm.simulator.catalog import simulate

SHORT = Season(date(2024, 5, 1), date(2024, 5, 28))
STEP, WINDOW, START, BASE = 0.5, 0.25, 3.0, 400e6
FETCH = {
    "asset_seconds": 0.01,
    "pixel_seconds": 1e-7,
    "base_bytes": 200e6,
    "pixel_bytes": 30.0,
    "start_seconds": 2.0,
    "read_seconds": 1e-8,
    "codec": [(1.0, 0.9), (2.0, 1.8)],
}


def fake(function: Any, *arguments: Any) -> Any:
    """Round numbers instead of those of the probe."""
    if function is measure_fetch:
        return FETCH
    if function is measure_models:
        units = {"step_seconds": STEP, "window_seconds": WINDOW, "parameters": 1_000_000, "memory": 10**9}
        return {"start_seconds": START, "base_bytes": BASE, **dict.fromkeys(arguments[0]["names"], units)}
    return 0.001


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces the probe by round numbers; yields what was measured."""
    asked: list[str] = []

    def asking(function: Any, *arguments: Any) -> Any:
        asked.append(function.__name__)
        return fake(function, *arguments)

    monkeypatch.setattr(measured_costs, "own_process", asking)
    return asked


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalogue of a simulated season of 1 km and four weeks."""
    return simulate(tmp_path_factory.mktemp("season") / "s", size=1.0, season=SHORT)


def write_project(directory: Path, imagery: str, folder: Path, more: str = "", labels: str = "") -> Project:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "agrifm.toml").write_text(
        f'[season]\narea = "{folder}/area.geojson"\nstart = 2024-05-01\nend = 2024-05-28\n[imagery]\n{imagery}\n'
        'products = ["sentinel-2-c1-l2a", "landsat-c2-l2", "modis-09A1-061"]\n'
        f'[labels]\nfile = "{folder}/truth/parcels.gpkg"\ncolumn = "crop"\nblock = 480\n{labels}'
        f'[model]\nnames = ["agrifm"]\nframes = 4\nside = 48\nsteps = 100\n{more}'
    )
    return read_project(directory)


def files_in(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@pytest.mark.check
def test_a_fetch_from_a_server_costs_what_its_plan_says(
    tmp_path: Path, season: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within 20 percent: requests, bytes and disk; the compression is that which this machine measures."""
    monkeypatch.setitem(FETCH, "codec", measure_fetch()["codec"])
    with serving_season(season) as server:
        project = write_project(tmp_path / "p", f'catalog = "{server.url}"', season.parent)
        plan = plan_project(project, cache=tmp_path / "costs.json")
        assert files_in(tmp_path / "p") == ["agrifm.toml"]
        for item in server.items:
            for asset in item["assets"].values():
                forget_head(asset["href"])
        before, totals = len(server.requests), TRAFFIC.totals()
        cube, _ = fetch(project)
        asked = len(server.requests) - before
        moved = sum(now.bytes - totals[name].bytes for name, now in TRAFFIC.totals().items())
        again = plan_project(project, cache=tmp_path / "costs.json")
        before = len(server.requests)
        fetch(project)
        asked_again = len(server.requests) - before
    forecast = plan.steps[0]
    assert forecast.requests == pytest.approx(asked, rel=0.2)
    assert forecast.moved_bytes == pytest.approx(moved, rel=0.2)
    held = sum(path.stat().st_size for path in cube.path.rglob("*") if path.is_file())
    assert forecast.disk_bytes == pytest.approx(held, rel=0.2)
    found = {sensor.sensor: sum(sensor.frames.values()) for sensor in plan.sensors}
    assert found == {name: len(sensor.date) for name, sensor in cube.sensors.items()}
    assert {sensor.sensor: sensor.kept for sensor in again.sensors} == found  # a second fetch compares files
    assert again.steps[0].requests == pytest.approx(asked_again, rel=0.2)
    assert again.steps[0].disk_bytes == pytest.approx(held, rel=0.05)


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory, season: Path) -> tuple[ProjectPlan, ProjectPlan]:
    """Plans of one project on one worker and on four; windows of 48 pixels that share none."""
    folder = tmp_path_factory.mktemp("plans")
    more = "[map]\noverlap = 0\nwindow = 48\n"
    project = write_project(folder / "p", f'catalog = "{season}"', season.parent, more)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measured_costs, "own_process", fake)
        one, four = (plan_project(project, workers, cache=folder / "costs.json") for workers in (1, 4))
    return one, four


def test_training_takes_its_steps_validations_and_scores(plans: tuple[ProjectPlan, ProjectPlan]) -> None:
    """100 steps of half a second; a window is validated in a third of its share of a step, twice; then scored.

    The area has 3 x 3 windows of 480 m, so no more than 9 are validated or scored.
    """
    fetch, train, _ = plans[0].steps
    shortest = START + 100 * STEP
    assert shortest < train.seconds < shortest + 3 * 9 * STEP / 8 / 3 + 1
    assert train.memory_bytes > BASE + 10**9
    assert train.scratch_bytes == 5 * 4 * 1_000_000
    assert 0 < train.read_bytes <= fetch.disk_bytes


YIELDS = 'value = "yield_t_ha"\nunit = "t/ha"\n', 'task = "yield"\ncrop = "{crop}"\n[map]\noverlap = 0\nwindow = 48\n'
SHARES = (
    'other = "{truth}/landcover.tif"\nother_values = [10, 30, 50, 80]\n',
    'task = "fractions"\n[map]\noverlap = 0\nwindow = 48\n',
)


@pytest.mark.parametrize(("task", "layers"), [(YIELDS, 2), (SHARES, None)])
def test_yields_and_shares_have_a_plan(
    tmp_path: Path, season: Path, measured: list[str], task: tuple[str, str], layers: int | None
) -> None:
    """Steps as of classes; windows keep two bytes for each number, a yield and its spread, and one layer more."""
    truth = season.parent / "truth"
    parcels = geopandas.read_file(truth / "parcels.gpkg")  # harvested after the season of four weeks
    parcels.assign(yield_t_ha=4 + parcels.index % 5).to_file(tmp_path / "parcels.gpkg")
    crop = parcels["crop"].mode()[0]
    labels, more = (text.replace("{truth}", str(truth)).replace("{crop}", crop) for text in task)
    project = write_project(tmp_path / "p", f'catalog = "{season}"', season.parent, more, labels)
    harvested = project.labels.model_copy(update={"file": tmp_path / "parcels.gpkg"})
    project = project.model_copy(update={"labels": harvested})
    plan = plan_project(project, cache=tmp_path / "costs.json")
    fetch, train, mapped = plan.steps
    assert train.seconds > START + 100 * STEP
    assert 0 < train.read_bytes <= fetch.disk_bytes
    assert train.model_seconds.keys() == {"agrifm"}
    kept, per_layer = mapped.scratch_bytes - 6 * 144**2, 2 * 144**2
    if layers is None:
        layers = len(set(parcels["crop"]) | {"other"})
    assert kept == (layers + 1) * per_layer
    assert not any("training is forecast" in note for note in plan.notes)


@pytest.mark.parametrize("task", [pytest.param("yield", marks=pytest.mark.check), "fractions"])
def test_the_classic_model_of_numbers_is_measured(task: Task) -> None:
    sensor = SensorRecord(
        sensor="modis", bands=("red", "nir"), quantity="surface reflectance", scale=1e-4, resolution=480,
        mean=(0.0,) * 2, std=(1.0,) * 2,
    )  # fmt: skip
    work = ModelWork(
        names=("classic",), size={}, sensors=(sensor,), frames={"modis": 4}, observed={"modis": 4}, steps=4,
        series="interpolated", season_days=120, classes=3, task=task, batch=2, side=48, window=48,
    )  # fmt: skip
    units = ModelUnits.model_validate(measure_models(work.model_dump(), 60)["classic"])
    assert units.fit_seconds is not None
    assert units.window_seconds is not None
    assert 0 < units.window_seconds < units.fit_seconds


def test_more_workers_share_windows_and_not_the_beginning(plans: tuple[ProjectPlan, ProjectPlan]) -> None:
    alone, shared = (plan.steps[2] for plan in plans)
    assert alone.seconds - shared.seconds == pytest.approx(9 * WINDOW * 3 / 4)  # three quarters of nine windows
    assert shared.core_seconds == alone.core_seconds
    assert plans[0].steps[1].seconds == plans[1].steps[1].seconds


def test_a_map_takes_the_windows_over_its_area(plans: tuple[ProjectPlan, ProjectPlan]) -> None:
    """1 km is inside 3 x 3 squares of 480 m; the windows keep two bytes for each class and one layer more."""
    wanted = plans[0].steps[2]
    assert wanted.core_seconds - START == pytest.approx(9 * WINDOW, rel=0.1)
    pixels = 144**2
    assert (wanted.scratch_bytes - 6 * pixels) % (2 * pixels) == 0


@pytest.mark.parametrize(
    ("window", "pixels"),
    [(Window(0, 0, 96, 96), 96**2), (Window(48, 0, 96, 96), 192 * 96), (Window(96, 95, 96, 2), 96 * 192)],
)
def test_chunks_of_96_pixels_are_read_whole(window: Window, pixels: int) -> None:
    assert chunked_pixels(window) == pixels


def test_unit_costs_are_measured_once(tmp_path: Path, measured: list[str]) -> None:
    """Another version of a library makes those of before useless; a damaged file is measured anew."""
    file = tmp_path / "cache" / "costs.json"
    first, second = (measured_costs.machine_costs(None, file)[0] for _ in range(2))
    assert first == second
    assert sorted(measured) == ["measure_fetch", "measure_parcels"]
    kept = json.loads(file.read_text())
    kept["made_by"]["numpy"] = "1.0"
    for content in (json.dumps(kept), "{"):
        file.write_text(content)
        assert measured_costs.machine_costs(None, file)[0] == first
    assert len(measured) == 6


def test_usable_observations_follow_clouds_and_footprints(
    tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """May: a scene with 25 percent of clouds, and the western half of a clear one; June: one that says nothing."""
    catalogue = Catalogue(tmp_path)
    half = mapping(lonlat(box(LEFT, TOP - SIDE, LEFT + SIDE / 2, TOP)))
    whole = mapping(lonlat(box(LEFT, TOP - SIDE, LEFT + SIDE, TOP)))
    for name, moment, shape, cover in (
        ("A", at(5, 1), whole, 25), ("B", at(5, 11), half, 0), ("C", at(6, 1), whole, None)
    ):  # fmt: skip
        item = catalogue.add_sentinel_2(name, moment, geometry=shape)
        if cover is not None:
            item.properties["eo:cloud_cover"] = cover
    catalogue.save()
    west, south, east, north = AREA.bounds
    (tmp_path / "agrifm.toml").write_text(
        f"[season]\narea = [{west}, {south}, {east}, {north}]\nstart = 2024-03-01\nend = 2024-09-30\n[imagery]\n"
        'catalog = "catalog.json"\nproducts = ["sentinel-2-c1-l2a"]\n[labels]\nfile = "none.gpkg"\n'
    )
    from agrifm.plan.fetch_forecast import find_scenes, forecast_fetch

    costs, _ = measured_costs.machine_costs(None, tmp_path / "costs.json")
    project = read_project(tmp_path)
    _, [sensor] = forecast_fetch(project, find_scenes(project), costs)
    assert sensor.scenes == {"2024-05": 2, "2024-06": 1}
    assert sensor.usable["2024-05"] == pytest.approx(1.25, abs=0.01)
    assert sensor.usable["2024-06"] == 1.0
    assert sensor.without_cloud_cover == 1


def test_a_project_without_its_labels_has_a_plan_without_training(
    tmp_path: Path, season: Path, measured: list[str]
) -> None:
    project = write_project(tmp_path / "p", f'catalog = "{season}"', season.parent, '[parcels]\nfile = "none.gpkg"\n')
    project = project.model_copy(update={"labels": project.labels.model_copy(update={"file": Path("later.gpkg")})})
    plan = plan_project(project, cache=tmp_path / "costs.json")
    assert [step.name for step in plan.steps] == ["fetch", "map"]
    assert all(any(name in note for note in plan.notes) for name in ("later.gpkg", "none.gpkg"))


def test_what_cannot_be_planned_is_one_sentence(
    tmp_path: Path, season: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(limits, "FIRST_WAIT", 0.001)
    silent = write_project(tmp_path / "silent", 'catalog = "http://127.0.0.1:9/stac"', season.parent)
    with pytest.raises(SceneError, match=r"127\.0\.0\.1"):
        plan_project(silent, cache=tmp_path / "costs.json")
    elsewhere = write_project(tmp_path / "elsewhere", f'catalog = "{season}"', season.parent)
    elsewhere = elsewhere.model_copy(
        update={"season": elsewhere.season.model_copy(update={"area": (20.0, 10.0, 20.1, 10.1)})}
    )
    with pytest.raises(SceneError) as error:
        plan_project(elsewhere, cache=tmp_path / "costs.json")
    assert error.value.facts["removed"].keys() == {"outside the area"}
    with pytest.raises(ConfigError) as none:
        plan_project(silent, workers=0)
    assert none.value.facts["workers"] == 0
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "agrifm.toml").write_text(
        "[season]\nstart = 2024-03-01\nend = 2024-09-30\n[labels]\n"
        'series = "t.csv"\nproducts = ["sentinel-2-worldcereal"]\n'
    )
    assert main(["plan", str(tmp_path / "table")]) == 2
    assert "area" in capsys.readouterr().err


def test_what_a_stopped_run_has_kept_takes_no_time(tmp_path: Path, season: Path, measured: list[str]) -> None:
    """Of nine windows a third is there; of two networks one; of the frames' tiles those in the journal."""
    more = "[map]\noverlap = 0\nwindow = 48\n"
    project = write_project(tmp_path / "p", f'catalog = "{season}"', season.parent, more)
    names = project.model.model_copy(update={"names": ("agrifm", "ltae")})
    project = project.model_copy(update={"model": names})
    forecast = partial(plan_project, cache=tmp_path / "costs.json")
    plan = forecast(project)
    before = remaining_time(project, ("fetch", "train", "map"), lambda _: plan)
    assert before.seconds == pytest.approx({step.name: step.seconds for step in plan.steps}, abs=0.1)
    assert set(before.kept.values()) == {0.0}
    directory = project.directory
    (directory / "map.partial" / "windows").mkdir(parents=True)
    for number in range(3):
        (directory / "map.partial" / "windows" / f"{number}_0.npz").touch()
    (directory / "models.partial").mkdir()
    (directory / "models.partial" / "ltae.safetensors").touch()
    frames = sum(sum(sensor.frames.values()) for sensor in plan.sensors)  # each has one tile
    (directory / "cube.zarr.partial.journal").write_text("{}\n" + "unit {}\n" * (frames // 2))
    after = remaining_time(project, ("fetch", "train", "map"), forecast)
    assert after.kept["map"] == pytest.approx(1 / 3)
    assert after.kept["fetch"] == pytest.approx(frames // 2 / frames)
    # both networks have the same round costs, and the beginning is not theirs
    assert after.seconds["train"] - START == pytest.approx((before.seconds["train"] - START) / 2, rel=0.05)
    assert remaining_time(project, ("map",), lambda _: plan).seconds.keys() == {"map"}
