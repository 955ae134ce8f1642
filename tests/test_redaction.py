"""Planted secrets are in no message, log record or traceback, however they are written."""

import base64
import logging
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from agrifm import redaction
from agrifm.cli import main
from agrifm.errors import SceneError
from agrifm.redaction import RedactingFilter, redacted, redacted_traceback, remember, shown
from agrifm.scene import limits
from agrifm.scene.access import signer_of
from agrifm.scene.providers import PROVIDERS
from agrifm.scene.scene import asset_at
from tests.cube.projects import write_project
from tests.servers import serving


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_secrets", set())
    monkeypatch.setattr(limits, "FIRST_WAIT", 0.001)


ADDRESSES = (
    "https://me:planted@host.org/a.tif", "https://planted@host.org/a.tif", "https://me:pl%40planted@host.org/a.tif",
    "https://me:p@planted@host.org/a.tif", "https://me:p/planted@host.org/a.tif", "https://me:p?planted@host.org/a.tif",
    "https://me:p#planted@host.org/a.tif", "https://host.org/a.tif?sig=planted", "https://host.org/a.tif#planted",
    "s3://bucket/a.tif?secret=planted", "s3://key:planted@bucket/a.tif", "http://[planted/a", "http://a:planted/a",
    "https://host.org/a.tif?sig=1&token=planted&x=2", "HTTPS://me:planted@host.org/a", "https:me:planted@host.org/a",
    "http:/me:planted@host.org/a.tif", "https://host.org/a\n.tif?sig=planted", "https://host.org/a.tif?\nplanted",
    "ftp://me:planted@host.org/a", "vrt://https://host.org/a?planted=planted", "https://me:planted@[::1]:80/a",
)  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_shown_without_secrets(address: str) -> None:
    assert "planted" not in shown(address)
    assert "\n" not in shown(address)


@pytest.mark.parametrize("address", [one for one in ADDRESSES if "\n" not in one and "#" not in one])
@pytest.mark.parametrize("around", ["reading {}: gone", "at '{}'", '"{}"', "({})", "{}, {}", "see {}."])
def test_a_text_with_addresses_is_redacted(address: str, around: str) -> None:
    assert "planted" not in redacted(around.format(address, address))


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer planted", "'Authorization': 'Bearer planted'", "authorization=Basic cGxhbnRlZA==planted",
        "Cookie: a=planted; b=planted", "b'Bearer planted'", "GET /a?sig=planted&x=1 HTTP/1.1",
        "Invalid header value b'Bearer planted.planted'", "x-amz-security-token: planted",
        "Ocp-Apim-Subscription-Key: planted",
    ],
)  # fmt: skip
def test_headers_and_queries_are_redacted(text: str) -> None:
    assert "planted" not in redacted(text)


def test_a_known_secret_is_redacted_in_every_form() -> None:
    secret = "planted+/ se&cr=et\nsecond-line"
    remember(secret)
    line = secret.splitlines()[0]
    for form in (secret, line, quote(line), quote(line, safe=""), quote_plus(line), repr(line), "second-line"):
        assert "planted" not in redacted(f"error in {form}: gone")
        assert "second" not in redacted(f"error in {form}: gone")


@pytest.mark.parametrize(
    "text",
    [
        "reading /data/a@2x.tif: it has 0 bytes; did you mean 'a'? yes", "use https:// or s3:// URLs of files",
        "https://host.org:8080/a/b.tif is gone", "C:/data/a.tif", "the key `a` = 5, b = 6", "Is it so? a",
        "https://a.org/x@2.tif: HTTP 404 (5 tries)",
    ],
)  # fmt: skip
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text


def test_records_and_tracebacks_are_redacted(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tests.redaction")
    logger.addFilter(RedactingFilter())
    with pytest.raises(ValueError, match="planted") as error:
        raise ValueError("no https://me:planted@host.org/a?sig=planted")
    logger.error("asking %s", "https://me:planted@host.org/a", exc_info=error.value)
    assert "planted" not in redacted_traceback(error.value)
    assert "planted" not in caplog.text
    assert "host.org/a" in caplog.text


def test_a_token_that_cannot_be_sent_is_refused_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for token in ("planted\nsecond", "planted\r\nX-Evil: 1", "planted\u2028x", "pl\xe4nted-planted"):
        monkeypatch.setenv("EARTHDATA_TOKEN", token)
        with pytest.raises(SceneError) as error:
            signer_of(PROVIDERS["nasa-cmr"])("https://data.lpdaac.earthdatacloud.nasa.gov/a.tif", False)
        assert "EARTHDATA_TOKEN" in str(error.value)
        assert "planted" not in redacted_traceback(error.value)


@pytest.mark.parametrize("href", ["s3://bucket/a.tif?secret=planted", "odd://me:planted@host/a", "s3://a b?planted"])
def test_errors_about_assets_are_without_secrets(href: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "planted-key")
    with pytest.raises(SceneError) as error:
        signer_of(None)(asset_at(href).href, False)  # type: ignore[union-attr]  # only addresses of servers get so far
    assert "planted" not in str(error.value)
    assert "planted" not in str(error.value.facts)


@pytest.mark.parametrize(
    "catalog",
    [
        "https://me:planted@127.0.0.1:1/stac?token=planted", "http://[planted/a", "http://me:planted@[::1/a",
        "http://127.0.0.1:planted/", "http://me:pl/anted@127.0.0.1:1/", "s3://planted@bucket/a?planted",
    ],
)  # fmt: skip
@pytest.mark.parametrize("debug", [False, True])
def test_a_command_prints_no_secret(
    catalog: str, debug: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project = write_project(tmp_path / "p", f'catalog = "{catalog}"', ["sentinel-2-c1-l2a"])
    code = main(["fetch", "--project", str(project), *(["--debug"] if debug else [])])
    printed = "".join(capfd.readouterr())
    assert code == 2
    assert "planted" not in printed
    assert "pl/anted" not in printed


def test_a_server_that_repeats_what_it_was_sent_prints_no_secret(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Token in the query; the answer links to it, and is not readable."""
    with serving(lambda asked: (200, {}, f'{{"type": "{asked.query.get("token")}"}}'.encode())) as server:
        remember("planted-token")
        project = write_project(tmp_path / "p", f'catalog = "{server.url}/?token=planted-token"', ["sentinel-2-c1-l2a"])
        assert main(["fetch", "--project", str(project), "--debug"]) == 2
    assert "planted" not in "".join(capfd.readouterr())


def test_basic_credentials_are_redacted_encoded() -> None:
    encoded = base64.b64encode(b"me:planted").decode()
    assert encoded not in redacted(f"sent Basic {encoded} to it")


def test_nothing_is_loaded_to_redact() -> None:
    script = "import sys, agrifm.redaction; print(sorted({'numpy', 'urllib3', 'rasterio'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
