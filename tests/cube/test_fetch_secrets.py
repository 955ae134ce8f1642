"""A fetch that is stopped and then finished leaves no secret behind, whatever opens its files: on disk, in what is
printed, or in what any library logs."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cube.projects import add_scene, saved, write_project
from tests.scenes import Catalogue, at
from tests.servers import Answer, Request, Server, serving_season

from agrifm.cli import main
from agrifm.scene import limits
from agrifm.scene.products import find_product
from agrifm.scene.providers import PROVIDERS, BearerToken, S3Keys, SasTokens

TRACES = ("planted", "sig=", "X-Amz-", "AWS4-HMAC", "Bearer", "Basic ")
"""Every secret has the first in it; the others are of signed queries and of headers."""
VARIABLES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "CDSE_S3_ACCESS_KEY",
    "CDSE_S3_SECRET_KEY", "EARTHDATA_TOKEN", "EARTHDATA_USERNAME", "EARTHDATA_PASSWORD", "PC_SDK_SUBSCRIPTION_KEY",
)  # fmt: skip
CASES = {
    "amazon": ("earth-search", "sentinel-2-c1-l2a"),
    "copernicus": ("cdse", "sentinel-2-l2a-cdse"),
    "signed": ("planetary-computer", "sentinel-2-l2a-planetary-computer"),
    "token": ("nasa-cmr", "hls-l30-nasa-cmr"),
    "password": ("nasa-cmr", "hls-l30-nasa-cmr"),
}


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password planted-password\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws"))
    monkeypatch.setattr("agrifm.redaction._secrets", set())
    monkeypatch.setattr("agrifm.scene.access._bearer_tokens", {})
    monkeypatch.setattr("agrifm.scene.access._sas_tokens", {})
    monkeypatch.setattr(limits, "FIRST_WAIT", 0.001)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Host and port of an S3 server (moto)."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield ":".join(map(str, server.get_host_and_port()))
    server.stop()


@contextmanager
def on_s3(top: Path, s3: str, case: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """The catalogue's provider with its files on S3, all but those that are put there later."""
    import botocore.session

    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if case == "amazon" else VARIABLES[4:6]
    for name in names:
        monkeypatch.setenv(name, f"planted-{name.lower()}")
    if case == "amazon":
        monkeypatch.setenv("AWS_SESSION_TOKEN", "planted-session")
    made_up = {"aws_access_key_id": "x", "aws_secret_access_key": "y"}
    client = botocore.session.Session().create_client(
        "s3", region_name="us-east-1", endpoint_url=f"http://{s3}", **made_up
    )
    client.create_bucket(Bucket=case)

    def put(path: Path) -> None:
        client.put_object(Bucket=case, Key=str(path.relative_to(top.parent)), Body=path.read_bytes())

    for path in top.parent.rglob("*.tif"):
        put(path)
    provider = PROVIDERS[CASES[case][0]]
    keys = S3Keys(*names, "default", "us-east-1", s3, requester_pays=case == "amazon", secure=False)
    with serving_season(top, assets=f"s3://{case}") as server:
        monkeypatch.setitem(PROVIDERS, provider.name, replace(provider, url=server.url, access={"s3": keys}))
        yield put
    client.close()


@contextmanager
def on_a_server(top: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The catalogue's provider with its files on a server that wants a signature, or a token in a header."""

    def tokens(request: Request) -> Answer:
        expiry = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        if case == "password":
            assert request.headers["authorization"] == "Basic c29tZWJvZHk6cGxhbnRlZC1wYXNzd29yZA=="
            return 200, {}, json.dumps({"access_token": "planted-fetched"}).encode()
        assert request.headers["ocp-apim-subscription-key"] == "planted-subscription"
        return 200, {}, json.dumps({"token": "st=1&sig=planted%2Bsignature", "msft:expiry": expiry}).encode()

    def allowed(request: Request) -> bool:
        if case == "signed":
            return request.query.get("sig") == "planted+signature"
        own = {"token": "planted-token", "password": "planted-fetched"}[case]
        return request.headers.get("authorization") == f"Bearer {own}"

    provider = PROVIDERS[CASES[case][0]]
    with serving_season(top, allowed=allowed, more=tokens) as server:
        hosts, address = (server.url.removeprefix("http://"),), f"{server.url}/more/token"
        if case == "signed":
            monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", "planted-subscription")
            access = {"http": SasTokens(address, hosts, "PC_SDK_SUBSCRIPTION_KEY")}
        else:
            if case == "token":
                monkeypatch.setenv("EARTHDATA_TOKEN", "planted-token")
            names = ("EARTHDATA_TOKEN", "EARTHDATA_USERNAME", "EARTHDATA_PASSWORD")
            access = {"http": BearerToken(*names, address, hosts)}
        monkeypatch.setitem(PROVIDERS, provider.name, replace(provider, url=server.url, access=access))
        yield server


def require_clean(directory: Path) -> None:
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert files
    for path in files:
        for trace in TRACES:
            assert trace.encode() not in path.read_bytes(), (path, trace)


@pytest.mark.parametrize("case", CASES)
def test_no_secret_is_left_by_a_fetch_that_is_stopped_and_then_finished(
    case: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Stopped by a file that is absent at first, so that the unfinished cube and its journal are looked through too."""
    provider, product = CASES[case]
    catalogue = Catalogue(tmp_path / "made")
    add_scene(catalogue, product, "LATER", at(5, 6))
    top = saved(catalogue)
    absent = top.parent / "LATER" / f"{find_product(product).assets['B05']}.tif"
    content = absent.read_bytes()
    absent.unlink()
    project = write_project(tmp_path / "project", f'provider = "{provider}"', [product])
    command = ["fetch", "--project", str(project)]
    s3 = request.getfixturevalue("s3") if case in ("amazon", "copernicus") else ""
    with on_s3(top, s3, case, monkeypatch) if s3 else on_a_server(top, case, monkeypatch) as source:
        with caplog.at_level(logging.DEBUG):
            assert main(command) == 2
            assert main([*command, "--debug"]) == 2
        assert (project / "cube.zarr.partial").is_dir()
        require_clean(project)
        absent.write_bytes(content)
        if s3:
            source(absent)
        with caplog.at_level(logging.DEBUG):
            assert main(command) == 0
    require_clean(project)
    printed = "".join(capfd.readouterr())
    assert "Traceback" in printed
    assert "HTTP 404" in printed
    assert "1 scenes of scenes.json" in printed
    assert "1 frames requested, 1 found" in printed
    logged = "\n".join(record.getMessage() for record in caplog.records if record.name != "werkzeug")  # moto's own
    for trace in TRACES:
        assert trace not in printed
        assert trace not in logged
    asked = f"/LATER/{absent.name}" + ("" if provider == "nasa-cmr" else "?***")
    assert f"{asked} HTTP/1.1" in logged  # what was asked for is logged, and no more
