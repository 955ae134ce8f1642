"""`agrifm serve` as a command: what it refuses in a sentence, what it says, and what it shows of a damaged project."""

import json
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest
from tests.serve.small_season import LOOPBACK, request, served, small_season

from agrifm.cli import main
from agrifm.errors import ServeError
from agrifm.serve.endpoints import BODY_SECONDS
from agrifm.serve.finished_season import finished_season
from agrifm.serve.run import is_loopback, open_port

TILE = 8297, 5768
"""Column and row of the tile of zoom 14 in the middle of the map."""


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    return small_season(tmp_path_factory.mktemp("season") / "season")


def test_a_project_without_a_map_is_refused(season, tmp_path, capsys):
    shutil.copy(season.directory / "agrifm.toml", tmp_path)
    assert main(["serve", str(tmp_path)]) == 2
    assert "agrifm map" in capsys.readouterr().err
    assert main(["serve", str(tmp_path / "nowhere")]) == 2
    assert "agrifm init" in capsys.readouterr().err


def test_an_occupied_port_is_refused_and_the_next_one_is_taken_if_none_is_stated(season, capsys, monkeypatch):
    with open_port(LOOPBACK, 0) as taken:
        number = taken.getsockname()[1]
        assert main(["serve", str(season.directory), "--port", str(number)]) == 2
        said = capsys.readouterr().err
        assert str(number) in said
        assert "--port" in said
        monkeypatch.setattr("agrifm.serve.run.PORT", number)
        with open_port(LOOPBACK, None) as free:
            assert free.getsockname()[1] > number


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("no.such.host.invalid", 0), (LOOPBACK, 70_000)])
def test_an_address_that_cannot_be_opened_is_refused(host, port):
    with pytest.raises(ServeError) as error:
        open_port(host, port)
    assert error.value.facts["port"] == port


def test_loopback_is_told_from_other_addresses():
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.0.7", "example.org")))


def test_what_is_damaged_is_named_and_the_rest_is_shown(season, tmp_path):
    shutil.copytree(season.directory, tmp_path / "season")
    (tmp_path / "season" / "cube.zarr" / "zarr.json").write_text("{")
    (tmp_path / "season" / "map" / "confidence.tif").write_bytes(b"II*\0damaged")
    (tmp_path / "season" / "parcels" / "parcels.parquet").write_bytes(b"PAR1")
    (tmp_path / "season" / "report" / "report.json").write_text("[")
    with served(tmp_path / "season") as port:
        found = json.loads(request(port, "/season.json")[1])
        assert {one["title"] for one in found["missing"]} == {"Imagery and series", "Confidence", "Parcels", "Report"}
        assert [layer["key"] for layer in found["layers"]] == ["classes", "observations"]
        assert request(port, f"/layers/classes/14/{TILE[0]}/{TILE[1]}.png")[0] == 200
        assert request(port, "/series?lon=2.33&lat=46.92")[0] == 404
        assert request(port, "/parcels/13/4148/2884.mvt")[0] == 404


def test_other_maps_are_layers_and_those_without_crops_are_named(season, tmp_path):
    shutil.copytree(season.maps, tmp_path / "forest")
    (tmp_path / "empty").mkdir()
    found = finished_season(season.directory, [tmp_path / "forest", season.directory, tmp_path / "empty"])
    titles = {key: layer.title for key, layer in found.layers.items() if key.startswith("other")}
    assert titles == {"other-1": "Crops, forest", "other-2": "Crops, season"}
    assert list(found.missing) == ["Crops, empty"]
    shutil.copytree(season.maps, season.directory / "map-until-2024-05-31")
    early = finished_season(season.directory).layers
    assert early["other-1"].title == "Crops, map-until-2024-05-31"
    shutil.rmtree(season.directory / "map-until-2024-05-31")


def test_a_frame_that_is_damaged_while_the_page_is_shown_is_refused_alone(season, tmp_path):
    shutil.copytree(season.directory, tmp_path / "season")
    with served(tmp_path / "season") as port:
        path = "/imagery/sentinel-2/ndvi/2/14/{}/{}.png"
        x, y = TILE
        assert request(port, path.format(x, y))[0] == 200
        for chunk in (tmp_path / "season" / "cube.zarr" / "sentinel-2" / "values").rglob("c/2/*/*/*"):
            chunk.write_bytes(chunk.read_bytes()[:100])
        status, content, _ = request(port, path.format(x, y))
        assert (status, "cube" in json.loads(content)["error"]) == (404, True)
        assert request(port, path.replace("/2/", "/3/", 1).format(x, y))[0] == 200


def test_files_of_the_project_are_only_those_of_the_map(season):
    found = finished_season(season.directory).downloads
    assert {"classes.tif", "probabilities.tif", "parcels.parquet", "report.json"} <= found.keys()
    assert not any(name.endswith((".toml", ".gpkg", ".zarr")) for name in found)


@pytest.mark.check
def test_the_command_says_where_warns_and_ends(season):
    command = [sys.executable, "-m", "agrifm", "serve", str(season.directory), "--port", "0", "--host", "0.0.0.0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    warning, address = process.stdout.readline(), process.stdout.readline()
    assert "0.0.0.0" in warning
    port = int(address.partition("http://0.0.0.0:")[2].partition("/")[0])
    assert request(port, "/season.json", host="any.name")[0] == 200
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "Traceback" not in said


@pytest.mark.check
def test_slow_clients_do_not_keep_others_waiting(season):
    with served(season.directory) as port:
        slow = [socket.create_connection((LOOPBACK, port)) for _ in range(200)]
        for number, connection in enumerate(slow):
            head = b"GET / HTTP/1.1\r\nHost: x" if number % 2 else b"POST /hectares HTTP/1.1\r\nHost: localhost\r\n"
            connection.sendall(head + (b"" if number % 2 else b"Content-Length: 1000\r\n\r\n{"))
        answered = []
        thread = threading.Thread(target=lambda: answered.append(request(port, "/season.json")[0]), daemon=True)
        thread.start()
        thread.join(BODY_SECONDS)
        assert answered == [200]
        time.sleep(BODY_SECONDS + 2)
        assert slow[0].recv(100).startswith(b"HTTP/1.1 408")
        for connection in slow:
            connection.close()
        assert request(port, "/season.json")[0] == 200
