"""`agrifm fetch` over real protocols on this machine: the same cube as from the folder, or one sentence."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shapely.geometry import mapping
from tests.scenes import AREA, Catalogue, at, reflectance
from tests.servers import Answer, Request, Server, serving, serving_season

from agrifm.cli import main
from agrifm.config import read_project
from agrifm.cube.fetch import fetch
from agrifm.cube.project_scenes import SCENES
from agrifm.cube.store import Cube
from agrifm.scene import limits
from agrifm.scene.providers import PROVIDERS, S3Keys, SasTokens
from agrifm.season import Season
from agrifm.simulator.catalog import simulate

WEST, SOUTH, EAST, NORTH = AREA.bounds
S2 = 'products = ["sentinel-2-c1-l2a"]'
ALL = 'products = ["sentinel-2-c1-l2a", "landsat-c2-l2", "modis-09A1-061"]'
SIMULATED = Season(date(2024, 5, 1), date(2024, 5, 28))


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_WAIT", 0.001)


def project(directory: Path, imagery: str, area: Any = f"[{WEST}, {SOUTH}, {EAST}, {NORTH}]", **season: str) -> Path:
    dates = {"start": "2024-03-01", "end": "2024-09-30", **season}
    lines = "\n".join(f"{key} = {value}" for key, value in dates.items())
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "agrifm.toml").write_text(
        f'[season]\narea = {area}\n{lines}\n[imagery]\n{imagery}\n[labels]\nfile = "labels.gpkg"\n'
    )
    return directory


def run(directory: Path) -> tuple[Cube, list[str]]:
    return fetch(read_project(directory))


def contents(cube: Cube) -> dict[str, bytes]:
    """Every file of a cube's store."""
    return {str(path.relative_to(cube.path)): path.read_bytes() for path in cube.path.rglob("*") if path.is_file()}


def require_equal_but_for_the_source(one: Cube, other: Cube) -> None:
    """Every file has the same bytes, but the provenance, which differs in where the scenes came from."""
    left, right = contents(one), contents(other)
    assert left.keys() == right.keys()
    assert {name for name in left if left[name] != right[name]} <= {"zarr.json", ".agrifm.zarr.json"}
    documents = [json.loads(files["zarr.json"]) for files in (left, right)]
    for document in documents:
        provenance = document["attributes"]["agrifm"]["provenance"]
        document["attributes"]["agrifm"].pop("digest")
        for key in ("plan", "sources"):
            provenance.pop(key)
        for sensor in provenance["sensors"].values():
            for frame in sensor["frames"]:
                frame.pop("fingerprint")
                frame.pop("content", None)
                frame.pop("servers", None)
    assert documents[0] == documents[1]


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated season of 1 km and four weeks."""
    return simulate(tmp_path_factory.mktemp("season") / "s", size=1.0, season=SIMULATED)


@pytest.fixture(scope="module")
def from_folder(season: Path) -> Cube:
    return run(simulated_project(season.parent.parent / "folder", season, f'catalog = "{season}"\n{ALL}'))[0]


def simulated_project(directory: Path, season: Path, imagery: str) -> Path:
    area = json.dumps(str(season.parent / "area.geojson"))
    return project(directory, imagery, area, start=str(SIMULATED.start), end=str(SIMULATED.end))


def small_season(directory: Path) -> Path:
    """The small catalogue with its images below the folder that is served."""
    catalogue = Catalogue(directory / "made")
    catalogue.add_sentinel_2("S2A_T31UDQ_20240501", at(5, 1))
    catalogue.add_sentinel_2("S2A_T31UDQ_20240506", at(5, 6), reflectance(10, 96, brighter=50))
    return catalogue.save()


def test_a_simulated_season_gives_one_cube_from_folder_and_server(
    season: Path, from_folder: Cube, tmp_path: Path
) -> None:
    """Through a proxy that fails one request in seven, in five ways."""
    with serving_season(season) as server:
        faults = [(500, {}), "reset", (429, {"Retry-After": "0"}), "truncate", (503, {})]
        server.faults = [faults[number // 7 % 5] if number % 7 == 6 else None for number in range(700)]
        cube, _ = run(simulated_project(tmp_path, season, f'catalog = "{server.url}"\n{ALL}'))
        methods = {request.method for request in server.requests if request.path.startswith("/files/")}
    assert methods == {"GET"}
    assert set(cube.sensors) == {"sentinel-2", "landsat", "modis"}
    require_equal_but_for_the_source(from_folder, cube)


def test_a_cube_is_built_again_from_the_scenes_file_without_searching(tmp_path: Path) -> None:
    top = small_season(tmp_path)
    with serving_season(top) as server:
        skip = '\nskip = ["S2A_T31UDQ_20240506"]'
        cube, lines = run(project(tmp_path / "p", f'catalog = "{server.url}"\n{S2}{skip}'))
        first = contents(cube)
        server.requests.clear()
        shutil.rmtree(cube.path)
        again, same_lines = run(project(tmp_path / "p", f'catalog = "{SCENES}"\n{S2}{skip}'))
        assert not [request for request in server.requests if not request.path.startswith("/files/")]
    assert contents(again) == first
    assert lines[-1].startswith("read from servers: search ")
    assert same_lines == lines[:-1]  # small files came whole with their heads, which are kept
    written = json.loads((tmp_path / "p" / SCENES).read_text())
    assert written["type"] == "FeatureCollection"
    assert [item["id"] for item in written["features"]] == ["S2A_T31UDQ_20240501", "S2A_T31UDQ_20240506"]


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"start": "2024-02-01"}, "not from 2024-02-01"),
        ({"buffer": "500"}, "smaller area"),
        ({"imagery": f'catalog = "{SCENES}"\n{ALL}'}, "landsat-c2-l2, modis-09A1-061"),
        ({"imagery": f'catalog = "{SCENES}"\n{S2}\ncloud = 90'}, "80 %"),
    ],
    ids=["season", "area", "products", "cloud"],
)
def test_a_scenes_file_is_refused_for_more_than_it_was_searched_for(
    tmp_path: Path, changes: dict[str, str], fact: str, complaint: Callable[..., str]
) -> None:
    top = small_season(tmp_path)
    run(project(tmp_path / "p", f'catalog = "{top}"\n{S2}\ncloud = 80'))
    imagery = changes.pop("imagery", f'catalog = "{SCENES}"\n{S2}\ncloud = 80')
    assert fact in complaint(project(tmp_path / "p", imagery, **changes))


def test_a_provider_on_s3_gives_the_same_cube(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """moto is the S3 server; the assets' addresses are s3://, the keys are in the environment."""
    server_of = pytest.importorskip("moto.server").ThreadedMotoServer
    import botocore.session

    top = small_season(tmp_path)
    local, _ = run(project(tmp_path / "local", f'catalog = "{top}"\n{S2}'))
    s3 = server_of(ip_address="127.0.0.1", port=0, verbose=False)
    s3.start()
    try:
        host, port = s3.get_host_and_port()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-nobody")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-nobody")
        client = botocore.session.Session().create_client(
            "s3", region_name="us-east-1", endpoint_url=f"http://{host}:{port}"
        )
        client.create_bucket(Bucket="imagery")
        for path in top.parent.rglob("*.tif"):
            client.put_object(Bucket="imagery", Key=str(path.relative_to(top.parent)), Body=path.read_bytes())
        client.close()
        keys = S3Keys(
            "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "default", "us-east-1", f"{host}:{port}", secure=False
        )
        with serving_season(top, assets="s3://imagery") as server:
            patched = replace(PROVIDERS["earth-search"], url=server.url, access={"s3": keys})
            monkeypatch.setitem(PROVIDERS, "earth-search", patched)
            cube, _ = run(project(tmp_path / "p", f'provider = "earth-search"\n{S2}'))
    finally:
        s3.stop()
    require_equal_but_for_the_source(local, cube)
    assert not [name for name, content in contents(cube).items() if b"of-nobody" in content]
    assert "s3://imagery/" in (tmp_path / "p" / SCENES).read_text()


class Tokens:
    """A token service, each of whose tokens opens so many files."""

    def __init__(self, good_for: int) -> None:
        self.good_for, self.used = good_for, dict[str, int]()

    def __call__(self, _: Request) -> Answer:
        name = f"planted{len(self.used)}"
        self.used[name] = 0
        expiry = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        return 200, {}, json.dumps({"token": f"sig={name}", "msft:expiry": expiry}).encode()

    def allowed(self, request: Request) -> bool:
        name = request.query.get("sig", "")
        if name in self.used:
            self.used[name] += 1
        return 0 < self.used.get(name, 0) <= self.good_for


def signed_provider(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    host = server.url.removeprefix("http://")
    access = {"http": SasTokens(f"{server.url}/more/token", (host,), "NO_SUCH_VARIABLE")}
    monkeypatch.setitem(PROVIDERS, "earth-search", replace(PROVIDERS["earth-search"], url=server.url, access=access))


def test_signatures_that_expire_in_mid_read_are_renewed_and_kept_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = small_season(tmp_path)
    local, _ = run(project(tmp_path / "local", f'catalog = "{top}"\n{S2}'))
    tokens = Tokens(good_for=5)
    with serving_season(top, allowed=tokens.allowed, more=tokens) as server:
        signed_provider(server, monkeypatch)
        cube, _ = run(project(tmp_path / "p", f'provider = "earth-search"\n{S2}'))
    assert len(tokens.used) >= 4
    require_equal_but_for_the_source(local, cube)
    for path in (tmp_path / "p").rglob("*"):
        assert not path.is_file() or b"planted" not in path.read_bytes(), path


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Fetch a project that must fail with exit code 2 and one sentence, and write no cube; returns the sentence."""

    def refused(directory: Path) -> str:
        before = (directory / "cube.zarr").exists()
        assert main(["fetch", "--project", str(directory)]) == 2
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        assert (directory / "cube.zarr").exists() == before
        return captured.err.strip().splitlines()[-1]

    return refused


def test_credentials_that_do_not_suffice_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaint: Callable[..., str]
) -> None:
    top = small_season(tmp_path)
    tokens = Tokens(good_for=0)
    with serving_season(top, allowed=tokens.allowed, more=tokens) as server:
        signed_provider(server, monkeypatch)
        sentence = complaint(project(tmp_path / "p", f'provider = "earth-search"\n{S2}'))
    assert "asset '" in sentence
    assert "HTTP 403 (5 tries)" in sentence
    assert "NO_SUCH_VARIABLE" in sentence
    assert "planted" not in sentence


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"area": "[100.0, 46.0, 100.1, 46.1]"}, "(2 outside the area)"),
        ({"area": "[3.0, 84.5, 3.1, 84.6]"}, "UTM"),
        ({"area": "[179.5, -17.0, -179.5, -16.0]"}, "two projects"),
        ({"start": "2024-09-30", "end": "2024-03-01"}, "2024-03-01"),
        ({"start": "2023-03-01", "end": "2023-09-30"}, "(2 outside the season)"),
        ({"imagery": "cloud = 10"}, "raise `cloud`"),
        ({"imagery": 'skip = ["A", "B"]'}, "`skip`"),
        ({"geometry": None}, "(2 without a geometry)"),
    ],
    ids=["outside", "polar", "antimeridian", "reversed", "no-date", "cloudy", "skipped", "no-geometry"],
)
def test_what_leaves_no_scene_is_one_sentence_that_counts(
    tmp_path: Path, complaint: Callable[..., str], changes: dict[str, Any], fact: str
) -> None:
    catalogue = Catalogue(tmp_path)
    pixels = {"red": np.ones((2, 2), np.uint16)}
    properties = {"s2:processing_baseline": "05.10", "eo:cloud_cover": 50}
    geometry = changes.pop("geometry", mapping(AREA))
    for name, day in (("A", 1), ("B", 6)):
        catalogue.add("sentinel-2-c1-l2a", name, at(5, day), pixels, properties=properties, geometry=geometry)
    imagery = f'catalog = "{catalogue.save()}"\n{S2}\n{changes.pop("imagery", "")}'
    assert fact in complaint(project(tmp_path / "p", imagery, **changes))
    assert not (tmp_path / "p" / SCENES).exists()


def test_filters_and_a_repaired_area_are_in_the_account(tmp_path: Path) -> None:
    top = small_season(tmp_path)
    ring = [[WEST, SOUTH], [EAST, NORTH], [EAST, SOUTH], [WEST, NORTH], [WEST, SOUTH]]
    bow = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (tmp_path / "bow.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [bow]}))
    with serving_season(top) as server:
        imagery = f'catalog = "{server.url}"\n{S2}\ncloud = 50'
        cube, lines = run(project(tmp_path / "p", imagery, '"../bow.geojson"', end="2024-05-05"))
        asked = [request.path for request in server.requests]
    assert "1 of 1 polygons" in lines[0]
    assert "39.0 ha" in lines[1]
    assert lines[2:-1] == [
        "scenes left out: 1 outside the season",
        "1 scenes state no cloud cover and were kept",
        "sentinel-2: 1 frames requested, 1 found",
    ]
    # the check of the offset asks for four files that are small enough to come whole, and are not asked for again
    of_scene = sum(path.startswith("/files/S2A") for path in asked)
    assert of_scene == 11
    fact = rf"read from servers: search {len(asked) - of_scene} requests, (.*) MB; offset check 4 requests, (.*) MB; "
    found = re.fullmatch(fact + r"scenes 7 requests, (.*) MB", lines[-1])
    assert found is not None, lines[-1]
    sizes = [path.stat().st_size / 1e6 for path in top.parent.rglob("S2A_T31UDQ_20240501/*.tif")]
    assert float(found[2]) + float(found[3]) == pytest.approx(sum(sizes), abs=0.01)
    assert cube.provenance["removed"] == {"outside the season": 1}


def test_an_empty_asset_is_one_sentence(tmp_path: Path, complaint: Callable[..., str]) -> None:
    top = small_season(tmp_path)
    next(top.parent.rglob("S2A_T31UDQ_20240506/rededge2.tif")).write_bytes(b"")
    sentence = complaint(project(tmp_path / "p", f'catalog = "{top}"\n{S2}'))
    assert "S2A_T31UDQ_20240506: rededge2.tif" in sentence
    assert "0 bytes" in sentence
    with serving_season(top) as server:
        sentence = complaint(project(tmp_path / "q", f'catalog = "{server.url}"\n{S2}'))
    assert f"asset 'rededge2' at {server.url}/files/S2A_T31UDQ_20240506/rededge2.tif" in sentence
    assert "0 bytes (HTTP 416)" in sentence


def test_an_asset_that_fails_for_good_names_scene_asset_and_status(
    tmp_path: Path, complaint: Callable[..., str]
) -> None:
    top = small_season(tmp_path)
    with serving_season(top, allowed=lambda request: "0506/nir.tif" not in request.path) as server:
        sentence = complaint(project(tmp_path / "p", f'catalog = "{server.url}"\n{S2}'))
        asked = sum("0506/nir.tif" in request.path for request in server.requests)
    assert "S2A_T31UDQ_20240506: asset 'nir' at http" in sentence
    assert "HTTP 403;" in sentence
    assert 1 <= asked <= limits.MAX_TRIES


def test_urls_that_do_not_answer_or_are_not_stac_are_one_sentence(
    tmp_path: Path, complaint: Callable[..., str]
) -> None:
    with serving(lambda _: (200, {}, b"<html></html>")) as server:
        sentence = complaint(project(tmp_path / "p", f'catalog = "{server.url}/stac"\n{S2}'))
        assert f"{server.url}/stac: not a JSON document" in sentence
    with serving(lambda _: (200, {}, b"")) as gone:
        pass
    sentence = complaint(project(tmp_path / "p", f'catalog = "{gone.url}/stac"\n{S2}'))
    assert f"{gone.url}/stac" in sentence
    assert "(5 tries)" in sentence
    sentence = complaint(project(tmp_path / "p", f'provider = "earth-serch"\n{S2}'))
    assert "did you mean 'earth-search'" in sentence
    sentence = complaint(project(tmp_path / "p", f'provider = "cdse"\n{S2}'))
    assert "no product 'sentinel-2-c1-l2a'" in sentence
