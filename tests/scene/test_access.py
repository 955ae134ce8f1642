"""Credentials: read from the environment and the standard files, sent to their own hosts, and shown nowhere."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.scene.token_server import TokenServer, token_server

from agrifm import redaction
from agrifm.cli import main
from agrifm.errors import SceneError
from agrifm.redaction import redacted
from agrifm.scene import access, limits
from agrifm.scene.access import credentials_present, signer_of, what_is_needed
from agrifm.scene.providers import PROVIDERS, BearerToken, Provider

CDSE, NASA, EARTH = PROVIDERS["cdse"], PROVIDERS["nasa-cmr"], PROVIDERS["earth-search"]
JP2 = "s3://eodata/Sentinel-2/B04.jp2"
TIF = "s3://usgs-landsat/collection02/a b.tif"
HLS = "https://data.lpdaac.earthdatacloud.nasa.gov/lp-prod-protected/B04.tif"
VARIABLES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "CDSE_S3_ACCESS_KEY",
    "CDSE_S3_SECRET_KEY", "EARTHDATA_TOKEN", "EARTHDATA_USERNAME", "EARTHDATA_PASSWORD", "PC_SDK_SUBSCRIPTION_KEY",
)  # fmt: skip
PROFILE = "[{0}]\naws_access_key_id = {0}-key\naws_secret_access_key = {0}-secret\naws_session_token = {0}-session\n"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # or the chain asks for the role of this machine
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setattr(redaction, "_secrets", set())
    monkeypatch.setattr(access, "_bearer_tokens", {})
    monkeypatch.setattr(access, "_aws_credentials", {})
    monkeypatch.setattr(access, "_profile_keys", {})
    monkeypatch.setattr(limits, "FIRST_WAIT", 0.001)


def query(provider: Provider, href: str) -> dict[str, str]:
    """Query parameters of the signed URL."""
    pytest.importorskip("botocore")
    url, _ = signer_of(provider)(href, False)
    return {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}


def key_of(provider: Provider, href: str) -> str:
    return query(provider, href)["X-Amz-Credential"].partition("/")[0]


def header(provider: Provider, href: str = HLS) -> str | None:
    url, headers = signer_of(provider)(href, False)
    assert url == href
    return headers.get("Authorization")


def write_netrc(directory: Path) -> None:
    (directory / "netrc").write_text("machine 127.0.0.1 login user password planted-password\n")
    (directory / "netrc").chmod(0o600)


def test_a_url_of_copernicus_is_signed_for_its_own_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("botocore")
    monkeypatch.setenv("CDSE_S3_ACCESS_KEY", "planted-key")
    monkeypatch.setenv("CDSE_S3_SECRET_KEY", "planted-secret")
    url, headers = signer_of(CDSE)(JP2, False)
    assert url.startswith("https://eodata.dataspace.copernicus.eu/eodata/Sentinel-2/B04.jp2?")
    assert headers == {}
    assert "/default/s3/" in query(CDSE, JP2)["X-Amz-Credential"]
    assert "planted-secret" not in url


def test_the_reader_of_landsat_at_amazon_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("botocore")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-nobody")
    url, headers = signer_of(EARTH)(TIF, False)
    parts, parameters = urlsplit(url), query(EARTH, TIF)
    assert (parts.scheme, headers) == ("https", {"x-amz-request-payer": "requester"})
    assert parts.netloc.startswith("usgs-landsat.s3")
    assert parts.path == "/collection02/a%20b.tif"
    assert parameters["X-Amz-SignedHeaders"] == "host;x-amz-request-payer"
    assert parameters["X-Amz-Credential"].startswith("key-of-nobody/")
    assert "us-west-2" in parameters["X-Amz-Credential"]
    assert "secret" not in url


def test_keys_of_amazon_come_from_the_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "aws").write_text(PROFILE.format("default") + PROFILE.format("work"))
    assert key_of(EARTH, TIF) == "default-key"
    assert query(EARTH, TIF)["X-Amz-Security-Token"] == "default-session"
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert key_of(EARTH, TIF) == "work-key"
    assert credentials_present(EARTH) == {"s3": "present (~/.aws/credentials)"}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-the-environment")
    assert key_of(EARTH, TIF) == "of-the-environment"


def test_keys_of_amazon_come_from_a_credential_process(tmp_path: Path) -> None:
    """One link of AWS's credential chain that agrifm knows nothing about."""
    answer = '{"Version": 1, "AccessKeyId": "process-key", "SecretAccessKey": "process-secret"}'
    (tmp_path / "answer.json").write_text(answer)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = cat {tmp_path / 'answer.json'}\n")
    assert key_of(EARTH, TIF) == "process-key"
    assert redacted("process-secret") == "***"
    assert credentials_present(EARTH) == {"s3": "present (~/.aws/credentials)"}


def test_a_failing_credential_process_is_refused_silently(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[default]\ncredential_process = ls /planted-secret\n")
    with pytest.raises(SceneError, match=r"\[default\]") as caught:
        query(EARTH, TIF)
    assert "planted" not in str(caught.value)


def test_a_profile_of_copernicus_is_read_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "aws").write_text(PROFILE.format("default"))
    assert credentials_present(CDSE) == {"s3": "absent"}
    with pytest.raises(SceneError, match=r"\[cdse\]"):  # keys of Amazon are not sent to another service
        query(CDSE, JP2)
    (tmp_path / "aws").write_text(PROFILE.format("cdse"))
    assert key_of(CDSE, JP2) == "cdse-key"
    assert credentials_present(CDSE) == {"s3": "present (~/.aws/credentials)"}


def test_a_secret_of_a_letter_does_not_spoil_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDSE_S3_ACCESS_KEY", "s")
    monkeypatch.setenv("CDSE_S3_SECRET_KEY", "sesame")
    query(CDSE, JP2)
    assert redacted("say sesame, please") == "say ***, please"


@pytest.mark.parametrize(
    ("provider", "href"),
    [
        (None, "https://host.org/a.tif"),
        (EARTH, "https://sentinel-cogs.s3.us-west-2.amazonaws.com/B04.tif"),
        (CDSE, "https://host.org/B04.jp2"),
    ],
)
def test_urls_that_anyone_may_read_are_not_changed(provider: Provider | None, href: str) -> None:
    assert signer_of(provider)(href, False) == (href, {})


@pytest.mark.parametrize("provider", [None, replace(EARTH, access={})])
def test_an_s3_url_of_no_provider_is_refused(provider: Provider | None) -> None:
    with pytest.raises(SceneError, match="https") as caught:
        signer_of(provider)("s3://bucket/a.tif", False)
    assert caught.value.facts["href"] == "s3://bucket/a.tif"


@pytest.mark.parametrize("href", ["s3://no bucket/a.tif", "s3://bucket"])
def test_a_url_that_is_not_valid_on_s3_is_one_sentence(href: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("botocore")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-nobody")
    with pytest.raises(SceneError, match="Invalid") as caught:
        signer_of(EARTH)(href, False)
    assert caught.value.facts["href"] == href
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("provider", "href", "places"),
    [
        (CDSE, JP2, ("CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY", "[cdse]")),
        (EARTH, TIF, ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "[default]")),
        (NASA, HLS, ("EARTHDATA_TOKEN", "EARTHDATA_USERNAME", "EARTHDATA_PASSWORD", "~/.netrc")),
    ],
)
def test_a_message_about_absent_credentials_says_where_to_put_them(
    provider: Provider, href: str, places: tuple[str, ...]
) -> None:
    with pytest.raises(SceneError) as caught:
        signer_of(provider)(href, False)
    for sentence in (str(caught.value), what_is_needed(provider, href)):
        assert f"'{provider.name}'" in sentence
        assert not [place for place in places if place not in sentence]
    assert set(credentials_present(provider).values()) == {"absent"}


def test_a_bearer_token_goes_to_its_own_hosts_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "planted-token")
    assert header(NASA) == "Bearer planted-token"
    for elsewhere in ("https://example.com/B04.tif", "https://earthdata.nasa.gov.example.com/B04.tif"):
        assert header(NASA, elsewhere) is None


def login(server: TokenServer) -> Provider:
    earthdata = NASA.access["https"]
    assert isinstance(earthdata, BearerToken)
    return replace(NASA, access={"https": replace(earthdata, login=f"{server.url}/token")})


def test_the_password_of_netrc_is_changed_into_a_token_once(tmp_path: Path) -> None:
    """The service fails twice at first, and is asked again."""
    write_netrc(tmp_path)
    with token_server((503, ""), (500, ""), (200, {"access_token": "planted-token"})) as server:
        for _ in range(2):
            assert header(login(server)) == "Bearer planted-token"
        assert [(method, path) for method, path, _ in server.requests] == [("POST", "/token")] * 3
        assert server.requests[0][2]["Authorization"] == "Basic dXNlcjpwbGFudGVkLXBhc3N3b3Jk"
        assert credentials_present(login(server)) == {"https": "present (~/.netrc)"}


def test_user_and_password_of_the_environment_go_before_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EARTHDATA_TOKEN goes before both, as in NASA's own library (earthaccess, auth.py)."""
    write_netrc(tmp_path)
    monkeypatch.setenv("EARTHDATA_USERNAME", "other")
    assert credentials_present(NASA) == {"https": "absent"}
    monkeypatch.setenv("EARTHDATA_PASSWORD", "word")
    assert credentials_present(NASA) == {"https": "present (environment)"}
    with token_server((200, {"access_token": "planted-token"})) as server:
        assert header(login(server)) == "Bearer planted-token"
        assert server.requests[0][2]["Authorization"] == "Basic b3RoZXI6d29yZA=="  # RFC 7617 of other:word
        monkeypatch.setenv("EARTHDATA_TOKEN", "own")
        assert header(login(server)) == "Bearer own"
        assert len(server.requests) == 1


def test_a_wrong_password_is_one_sentence_without_it(tmp_path: Path) -> None:
    write_netrc(tmp_path)
    with (
        token_server((401, "planted-password is wrong")) as server,
        pytest.raises(SceneError, match="HTTP 401") as caught,
    ):
        header(login(server))
    assert "127.0.0.1 for 'nasa-cmr'" in str(caught.value)
    assert "planted" not in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("name", "provider", "href"), [("netrc", NASA, HLS), ("aws", CDSE, JP2), ("aws", EARTH, TIF)])
def test_a_damaged_file_of_credentials_is_refused_without_its_content(
    tmp_path: Path, name: str, provider: Provider, href: str
) -> None:
    if name == "aws":
        pytest.importorskip("botocore")
    (tmp_path / name).write_text("planted-secret = \nmachine\n")
    (tmp_path / name).chmod(0o600)
    with pytest.raises(SceneError, match=name) as caught:
        signer_of(provider)(href, False)
    assert str(caught.value.facts["path"]) == str(tmp_path / name)
    assert "planted" not in str(caught.value)


def test_secrets_are_not_printed_written_or_represented(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in VARIABLES:
        if name != "AWS_PROFILE":
            monkeypatch.setenv(name, f"planted-{name.lower()}")
    for provider, href in ((CDSE, JP2), (NASA, HLS), (EARTH, TIF)):
        signed = str(signer_of(provider)(href, False))
        assert "planted" in signed
        assert "planted" not in redacted(signed)
        assert "planted" not in repr(provider)
        assert "planted" not in what_is_needed(provider, href)
    assert "planted" not in repr(access._environment_keys(CDSE.access["s3"]))
    assert main(["status", "--project", str(tmp_path)]) == 0
    assert main(["fetch", "--project", str(tmp_path)]) == 2
    printed = "".join(capsys.readouterr())
    assert "cdse: s3 present (environment)" in printed
    assert "planted" not in printed
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"planted" not in written
