"""What cannot be fetched, through the command line: one sentence, exit code 2, and nothing read or half written."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.cube.projects import add_scene, saved, write_project
from tests.scenes import AREA, Catalogue, at
from tests.servers import Request, serving_season

from agrifm.cli import main
from agrifm.cube.store import open_cube
from agrifm.scene import limits
from agrifm.scene.providers import PROVIDERS, BearerToken

C1, PC = "sentinel-2-c1-l2a", "sentinel-2-l2a-planetary-computer"
WEST, SOUTH, EAST, NORTH = AREA.bounds


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], str]:
    """Fetch a project that must be refused; returns the sentence."""
    monkeypatch.setattr(limits, "FIRST_WAIT", 0.001)

    def run(directory: Path) -> str:
        assert main(["fetch", "--project", str(directory)]) == 2
        captured = capsys.readouterr()
        (line,) = [line for line in captured.err.splitlines() if line.startswith("agrifm fetch: ")]
        assert "Traceback" not in captured.err
        assert not captured.out
        assert not (directory / "cube.zarr").exists()
        return line.removeprefix("agrifm fetch: ")

    return run


def asked_for_files(requests: list[Request]) -> bool:
    return any(request.path.startswith("/files/") for request in requests)


def test_two_products_of_one_sensor_are_refused_when_they_are_found(
    tmp_path: Path, refused: Callable[[Path], str]
) -> None:
    """No file is asked for, and no scenes.json is written from which nothing could be built."""
    catalogue = Catalogue(tmp_path / "made")
    for number in range(3):
        add_scene(catalogue, C1, f"S2A_T31UDQ_{number}", at(5, 1 + 5 * number))
    add_scene(catalogue, PC, "S2B_T31UDQ_9", at(6, 1))
    with serving_season(saved(catalogue)) as server:
        project = write_project(tmp_path / "p", f'catalog = "{server.url}"', [C1, PC])
        sentence = refused(project)
        assert "\n" not in sentence
        for fact in (server.url, "3 scenes", "'sentinel-2'", f"'{C1}'", "1 more (S2B_T31UDQ_9)", f"'{PC}'", "`skip`"):
            assert fact in sentence
        assert not asked_for_files(server.requests)
        assert [path.name for path in project.iterdir()] == ["agrifm.toml"]
        write_project(project, f'catalog = "{server.url}"\nskip = ["S2B_T31UDQ_9"]', [C1, PC])
        assert main(["fetch", "--project", str(project)]) == 0
        assert open_cube(project / "cube.zarr").provenance["skipped"] == ["S2B_T31UDQ_9"]


def test_the_same_acquisitions_at_two_providers_are_one_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Named as the providers name them, three minutes apart, as swath and granule start."""
    catalogue = Catalogue(tmp_path / "made")
    for day in (1, 6):
        moment = at(5, day)
        add_scene(catalogue, C1, f"S2A_T31UDQ_202405{day:02d}T105621_L2A", moment, platform="sentinel-2a")
        there = f"S2A_MSIL2A_202405{day:02d}T105621_R094_T31UDQ_202405{day:02d}T190000"
        add_scene(catalogue, PC, there, moment - timedelta(minutes=3), platform="Sentinel-2A")
    top = saved(catalogue)
    for products in ([C1, PC], [PC, C1]):
        project = write_project(tmp_path / products[0], f'catalog = "{top}"', products)
        assert main(["fetch", "--project", str(project)]) == 0
        printed = capsys.readouterr().out
        assert "scenes left out: 2 the same acquisition as another product" in printed
        assert "sentinel-2: 2 frames requested, 2 found" in printed
        assert f"sentinel-2: no frame is of '{products[1]}'" in printed
        assert open_cube(project / "cube.zarr").provenance["sensors"]["sentinel-2"]["product"] == products[0]


def test_a_polygon_that_crosses_itself_is_repaired_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue = Catalogue(tmp_path / "made")
    add_scene(catalogue, C1, "A", at(5, 1))
    ring = [[WEST, SOUTH], [EAST, NORTH], [EAST, SOUTH], [WEST, NORTH], [WEST, SOUTH]]
    bow = {"type": "Polygon", "coordinates": [ring]}
    (tmp_path / "bow.geojson").write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": bow}))
    project = write_project(tmp_path / "p", f'catalog = "{saved(catalogue)}"', [C1], '"../bow.geojson"')
    assert main(["fetch", "--project", str(project)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("area: 1 of 1 polygons")
    hectares = float(re.search(r"([\d.]+) ha", printed).group(1))
    assert hectares == pytest.approx(880 * 880 / 2 / 10_000, rel=0.02)  # two triangles, half of 880 m by 880 m


def test_a_product_whose_scale_nobody_recorded_is_refused(tmp_path: Path, refused: Callable[[Path], str]) -> None:
    catalogue = Catalogue(tmp_path / "made")
    add_scene(catalogue, C1, "A", at(5, 1))
    project = write_project(tmp_path / "p", f'catalog = "{saved(catalogue)}"', ["sentinel-3-synergy"])
    sentence = refused(project)
    assert "'sentinel-3-synergy'; did you mean '" in sentence
    assert "[imagery.product]" in sentence


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({"proj:code": "EPSG:32632"}, ("EPSG:32631", "'blue'", "EPSG:32632")),
        ({"raster:scale": 1}, ("'blue'", "scale 1,", "0.0001")),
    ],
    ids=["crs", "scale"],
)
def test_items_that_contradict_themselves_or_their_product_are_refused(
    tmp_path: Path, refused: Callable[[Path], str], fields: dict[str, object], facts: tuple[str, ...]
) -> None:
    catalogue = Catalogue(tmp_path / "made")
    add_scene(catalogue, C1, "A", at(5, 1), **{"proj:code": "EPSG:32631"})
    catalogue.items[0].assets["blue"].extra_fields.update(fields)
    with serving_season(saved(catalogue)) as server:
        sentence = refused(write_project(tmp_path / "p", f'catalog = "{server.url}"', [C1]))
        assert not [fact for fact in ("scene A: ", "`skip`", *facts) if fact not in sentence]
        assert not asked_for_files(server.requests)


def test_a_band_that_the_provider_renamed_is_refused_at_once(tmp_path: Path, refused: Callable[[Path], str]) -> None:
    catalogue = Catalogue(tmp_path / "made")
    for name, day in (("A", 1), ("B", 6)):
        add_scene(catalogue, C1, name, at(5, day))
    assets = catalogue.items[1].assets
    assets["swir_22"] = assets.pop("swir22")
    with serving_season(saved(catalogue)) as server:
        sentence = refused(write_project(tmp_path / "p", f'catalog = "{server.url}"', [C1]))
        facts = ("scene B: ", "'swir22' for band 'B12'", "blue, green, nir, ", "did you mean 'swir_22'", "`skip`")
        assert not [fact for fact in facts if fact not in sentence]
        assert not asked_for_files(server.requests)


def test_a_refused_token_is_one_sentence_that_says_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable[[Path], str]
) -> None:
    product = "hls-l30-nasa-cmr"
    monkeypatch.setattr("agrifm.redaction._secrets", set())
    monkeypatch.setenv("EARTHDATA_TOKEN", "planted-token")
    catalogue = Catalogue(tmp_path / "made")
    add_scene(catalogue, product, "HLS.L30.T31UDQ.2024122T105621.v2.0", at(5, 1))
    with serving_season(saved(catalogue), allowed=lambda _: False) as server:
        real = PROVIDERS["nasa-cmr"].access["https"]
        assert isinstance(real, BearerToken)
        access = {"http": replace(real, hosts=(server.url.removeprefix("http://"),))}
        monkeypatch.setitem(PROVIDERS, "nasa-cmr", replace(PROVIDERS["nasa-cmr"], url=server.url, access=access))
        sentence = refused(write_project(tmp_path / "p", 'provider = "nasa-cmr"', [product]))
    facts = ("HLS.L30.T31UDQ.2024122T105621.v2.0: asset '", "HTTP 403", "'nasa-cmr'", "EARTHDATA_TOKEN", "~/.netrc")
    assert not [fact for fact in (*facts, "urs.earthdata.nasa.gov") if fact not in sentence]
    assert "planted" not in sentence
