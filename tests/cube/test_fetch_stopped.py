"""A fetch from a server that was stopped goes on with the scenes that it found, or says that it searched anew."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cube.projects import add_scene, saved, write_project
from tests.scenes import Catalogue, at
from tests.servers import Answer, Request, Server, serving_season

from agrifm.cli import main
from agrifm.cube.store import open_cube
from agrifm.scene import limits
from agrifm.scene.providers import PROVIDERS, SasTokens

PRODUCT = "sentinel-2-l2a-planetary-computer"
COMMAND = ["fetch", "--project"]


class Signatures:
    """A token service whose tokens of before are refused from now on, whatever expiry they state."""

    def __init__(self) -> None:
        self.day = 1

    def __call__(self, _: Request) -> Answer:
        expiry = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        return 200, {}, json.dumps({"token": f"sig=day{self.day}", "msft:expiry": expiry}).encode()

    def allowed(self, request: Request) -> bool:
        return request.query.get("sig") == f"day{self.day}"


@contextmanager
def stopped(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Server]]:
    """A project whose fetch found scenes A and B and was stopped by a file of B; a day later, the server has C too."""
    monkeypatch.setattr("agrifm.scene.access._sas_tokens", {})
    monkeypatch.setattr("agrifm.redaction._secrets", set())
    monkeypatch.setattr(limits, "FIRST_WAIT", 0.001)
    catalogue = Catalogue(directory / "made")
    for number, name in enumerate("ABC"):
        add_scene(catalogue, PRODUCT, name, at(5, 1 + 5 * number))
    top = saved(catalogue)
    file = top.parent / "B" / "B05.tif"
    content = file.read_bytes()
    file.unlink()
    signatures = Signatures()
    with serving_season(top, allowed=signatures.allowed, more=signatures) as server:
        access = {"http": SasTokens(f"{server.url}/more/token", (server.url.removeprefix("http://"),), "NO_VARIABLE")}
        provider = replace(PROVIDERS["planetary-computer"], url=server.url, access=access)
        monkeypatch.setitem(PROVIDERS, provider.name, provider)
        project = write_project(directory / "p", 'provider = "planetary-computer"', [PRODUCT])
        (gained,) = [item for item in server.items if item["id"] == "C"]
        server.items.remove(gained)
        assert main([*COMMAND, str(project)]) == 2
        file.write_bytes(content)
        server.items.append(gained)
        signatures.day = 2
        server.requests.clear()
        yield project, server


def scenes_of(project: Path) -> list[str]:
    frames = open_cube(project / "cube.zarr").provenance["sensors"]["sentinel-2"]["frames"]
    return [scene for frame in frames for scene in frame["scenes"]]


def searched(server: Server) -> bool:
    return any(request.path == "/search" for request in server.requests)


def test_a_stopped_fetch_goes_on_with_its_own_scenes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fact = "continued with the 2 scenes"
    with stopped(tmp_path, monkeypatch) as (project, server):
        file = tmp_path / "made" / "B" / "B05.tif"
        away = file.rename(file.with_suffix(".away"))
        capsys.readouterr()
        assert main([*COMMAND, str(project)]) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert "HTTP 404" in last
        assert fact in last
        away.rename(file)

        assert main([*COMMAND, str(project)]) == 0
        assert not searched(server)
        assert scenes_of(project) == ["A", "B"]
        assert fact in capsys.readouterr().out

        assert main([*COMMAND, str(project)]) == 0  # a finished cube no longer depends on them
        assert searched(server)
        assert scenes_of(project) == ["A", "B", "C"]
        assert "continued" not in capsys.readouterr().out


@pytest.mark.parametrize("change", ["deleted", "cloud"])
def test_a_stopped_fetch_searches_anew_for_another_request(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with stopped(tmp_path, monkeypatch) as (project, server):
        if change == "deleted":
            (project / "scenes.json").unlink()
        else:
            write_project(project, 'provider = "planetary-computer"\ncloud = 90', [PRODUCT])
        assert main([*COMMAND, str(project)]) == 0
        assert searched(server)
        assert scenes_of(project) == ["A", "B", "C"]
        assert "continued" not in capsys.readouterr().out
