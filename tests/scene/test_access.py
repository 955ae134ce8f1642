"""Credentials: read from the environment and the standard files, sent to their own hosts, and shown nowhere."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.scene.token_server import TokenServer, token_server

from agrifm.cli import main
from agrifm.errors import SceneError
from agrifm.scene import access as credentials
from agrifm.scene.access import credentials_present, redacted, session_options, what_is_needed
from agrifm.scene.providers import PROVIDERS, BearerToken, Provider

CDSE, NASA, EARTH = PROVIDERS["cdse"], PROVIDERS["nasa-cmr"], PROVIDERS["earth-search"]
JP2 = "s3://eodata/Sentinel-2/B04.jp2"
HLS = "https://data.lpdaac.earthdatacloud.nasa.gov/lp-prod-protected/B04.tif"
VARIABLES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "CDSE_S3_ACCESS_KEY",
    "CDSE_S3_SECRET_KEY", "EARTHDATA_TOKEN", "EARTHDATA_USERNAME", "EARTHDATA_PASSWORD", "PC_SDK_SUBSCRIPTION_KEY",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws"))
    monkeypatch.setattr(credentials, "_seen", set())
    monkeypatch.setattr(credentials, "_tokens", {})
    return


def test_keys_of_copernicus_become_gdal_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDSE_S3_ACCESS_KEY", "planted-key")
    monkeypatch.setenv("CDSE_S3_SECRET_KEY", "planted-secret")
    assert session_options(CDSE, JP2) == {
        "AWS_ACCESS_KEY_ID": "planted-key",
        "AWS_SECRET_ACCESS_KEY": "planted-secret",
        "AWS_REGION": "default",
        "AWS_S3_ENDPOINT": "eodata.dataspace.copernicus.eu",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_HTTPS": "YES",
    }


def test_keys_of_amazon_come_from_the_profile_and_the_reader_pays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = "aws_access_key_id = {0}-key\naws_secret_access_key = {0}-secret\naws_session_token = {0}-session\n"
    (tmp_path / "aws").write_text(f"[default]\n{lines.format('first')}[work]\n{lines.format('second')}")
    href = "s3://usgs-landsat/B4.TIF"
    found = session_options(EARTH, href)
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SESSION_TOKEN"]) == ("first-key", "first-session")
    assert (found["AWS_REQUEST_PAYER"], found["AWS_REGION"]) == ("requester", "us-west-2")
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert session_options(EARTH, href)["AWS_SECRET_ACCESS_KEY"] == "second-secret"
    assert credentials_present(EARTH) == {"s3": "present (~/.aws/credentials)"}


def test_a_secret_of_a_letter_does_not_spoil_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDSE_S3_ACCESS_KEY", "s")
    monkeypatch.setenv("CDSE_S3_SECRET_KEY", "sesame")
    session_options(CDSE, JP2)
    assert redacted("say sesame, please") == "say ***, please"


def test_what_is_open_to_all_needs_no_options() -> None:
    assert session_options(EARTH, "https://sentinel-cogs.s3.us-west-2.amazonaws.com/B04.tif") == {}
    assert session_options(CDSE, "/disk/B04.jp2") == {}


@pytest.mark.parametrize(
    ("provider", "href", "said"),
    [
        (CDSE, JP2, "there are no S3 keys; set CDSE_S3_ACCESS_KEY and CDSE_S3_SECRET_KEY, or write the profile [cdse]"),
        (EARTH, "s3://usgs-landsat/B4.TIF", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write the profile"),
        (NASA, HLS, "there is no token; set EARTHDATA_TOKEN, or EARTHDATA_USERNAME and EARTHDATA_PASSWORD, or write"),
    ],
)
def test_absent_credentials_are_one_sentence_that_says_where_they_belong(
    provider: Provider, href: str, said: str
) -> None:
    with pytest.raises(SceneError) as caught:
        session_options(provider, href)
    assert said in str(caught.value)
    refused = f"'{provider.name}' refuses the credentials that were found; check them: "
    assert what_is_needed(provider, href).startswith(refused + (said.partition("; ")[2] or said))
    assert set(credentials_present(provider).values()) == {"absent"}


def test_a_bearer_token_goes_to_its_own_hosts_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "planted-token")
    assert session_options(NASA, HLS) == {"GDAL_HTTP_HEADERS": "Authorization: Bearer planted-token"}
    for elsewhere in ("https://example.com/B04.tif", "https://earthdata.nasa.gov.example.com/B04.tif"):
        assert session_options(NASA, elsewhere) == {}


def login(server: TokenServer) -> Provider:
    access = NASA.access["https"]
    assert isinstance(access, BearerToken)
    return replace(NASA, access={"https": replace(access, login=f"{server.url}/token")})


def test_the_password_of_netrc_is_changed_into_a_token_once(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password planted-password\n")
    (tmp_path / "netrc").chmod(0o600)
    with token_server((200, {"access_token": "planted-token"})) as server:
        for _ in range(2):
            assert session_options(login(server), HLS)["GDAL_HTTP_HEADERS"] == "Authorization: Bearer planted-token"
        assert [(method, path) for method, path, _ in server.requests] == [("POST", "/token")]
        assert server.requests[0][2]["Authorization"] == "Basic dXNlcjpwbGFudGVkLXBhc3N3b3Jk"
        assert credentials_present(login(server)) == {"https": "present (~/.netrc)"}


def test_user_and_password_of_the_environment_go_before_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EARTHDATA_TOKEN goes before both, as in NASA's own library (earthaccess, auth.py)."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password planted-password\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("EARTHDATA_USERNAME", "other")
    assert credentials_present(NASA) == {"https": "absent"}
    monkeypatch.setenv("EARTHDATA_PASSWORD", "word")
    assert credentials_present(NASA) == {"https": "present (environment)"}
    with token_server((200, {"access_token": "planted-token"})) as server:
        assert session_options(login(server), HLS)["GDAL_HTTP_HEADERS"] == "Authorization: Bearer planted-token"
        assert server.requests[0][2]["Authorization"] == "Basic b3RoZXI6d29yZA=="  # RFC 7617 of other:word
        monkeypatch.setenv("EARTHDATA_TOKEN", "own")
        assert session_options(login(server), HLS)["GDAL_HTTP_HEADERS"] == "Authorization: Bearer own"
        assert len(server.requests) == 1


def test_a_wrong_password_is_one_sentence_without_it(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password planted-password\n")
    (tmp_path / "netrc").chmod(0o600)
    with token_server((401, "planted-password is wrong")) as server, pytest.raises(SceneError) as caught:
        session_options(login(server), HLS)
    assert str(caught.value) == (
        "logging in at 127.0.0.1 for 'nasa-cmr': it answered HTTP 401; the user or the password is wrong"
    )


@pytest.mark.parametrize(("name", "provider", "href"), [("netrc", NASA, HLS), ("aws", CDSE, JP2)])
def test_a_file_of_credentials_that_cannot_be_read_is_refused_without_its_content(
    tmp_path: Path, name: str, provider: Provider, href: str
) -> None:
    (tmp_path / name).write_text("planted-secret = \nmachine\n")
    (tmp_path / name).chmod(0o600)
    with pytest.raises(SceneError, match=f"reading {tmp_path / name}: it is no") as caught:
        session_options(provider, href)
    assert "planted" not in str(caught.value)


def test_secrets_are_nowhere_in_what_is_printed_written_or_represented(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in VARIABLES:
        if name != "AWS_PROFILE":
            monkeypatch.setenv(name, f"planted-{name.lower()}")
    for provider, href in ((CDSE, JP2), (NASA, HLS), (EARTH, "s3://usgs-landsat/B4.TIF")):
        options = session_options(provider, href)
        assert "planted" in str(options)
        assert "planted" not in redacted(str(options))
        assert "planted" not in repr(provider)
        assert "planted" not in what_is_needed(provider, href)
    assert main(["status", "--project", str(tmp_path)]) == 0
    assert main(["fetch", "--project", str(tmp_path)]) == 2
    printed = "".join(capsys.readouterr())
    assert "credentials of cdse: s3 present (environment)" in printed
    assert "planted" not in printed
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"planted" not in written
