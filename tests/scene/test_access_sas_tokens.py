"""Signed URLs: one token per container, renewed before it expires, and one sentence where that fails."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.scene.token_server import TokenServer, token_server

from agrifm import redaction
from agrifm.errors import SceneError
from agrifm.redaction import redacted
from agrifm.scene import access, limits
from agrifm.scene.access import with_sas_token
from agrifm.scene.providers import PROVIDERS, Provider, SasTokens

BLOB = "https://one.blob.core.windows.net/box/B04.tif"


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_sas_tokens", {})
    monkeypatch.setattr(redaction, "_secrets", set())
    monkeypatch.setattr(limits, "FIRST_WAIT", 0.001)
    monkeypatch.delenv("PC_SDK_SUBSCRIPTION_KEY", raising=False)


def provider(server: TokenServer) -> Provider:
    real = PROVIDERS["planetary-computer"].access["https"]
    assert isinstance(real, SasTokens)
    tokens = SasTokens(server.url, real.hosts, real.key_variable, real.open_accounts)
    return Provider("planetary-computer", "x", "https://x", (), {"https": tokens})


def answer(token: str, minutes: float = 45) -> tuple[int, Any]:
    expiry = datetime.now(UTC) + timedelta(minutes=minutes)
    return 200, {"token": f"st=1&sig={token}", "msft:expiry": f"{expiry:%Y-%m-%dT%H:%M:%SZ}"}


def test_one_token_serves_a_container_until_it_is_about_to_expire() -> None:
    with token_server(answer("a"), answer("b")) as server:
        own = provider(server)
        assert with_sas_token(BLOB, own) == with_sas_token(BLOB, own) == f"{BLOB}?st=1&sig=a"
        assert with_sas_token(BLOB.replace("box", "other"), own).endswith("sig=b")
        assert [path for _, path, _ in server.requests] == ["/one/box", "/one/other"]


def test_a_token_that_lives_less_than_a_minute_is_renewed() -> None:
    with token_server(answer("a", 1.5), answer("b")) as server:
        own = provider(server)
        assert with_sas_token(BLOB, own).endswith("sig=a")
        held = next(iter(access._sas_tokens.values()))
        soon = type(held)(datetime.now(UTC) + timedelta(seconds=59), held.text)
        access._sas_tokens[next(iter(access._sas_tokens))] = soon
        assert with_sas_token(BLOB, own).endswith("sig=b")


def test_a_refused_token_is_fetched_anew_on_request() -> None:
    with token_server(answer("a"), answer("b")) as server:
        own = provider(server)
        assert with_sas_token(BLOB, own).endswith("sig=a")
        assert with_sas_token(BLOB, own, renew=True).endswith("sig=b")


def test_a_token_that_comes_expired_is_asked_for_once_more() -> None:
    with token_server(answer("a", -1), answer("b")) as server:
        assert with_sas_token(BLOB, provider(server)).endswith("sig=b")
    with token_server(answer("a", -1)) as server:
        access._sas_tokens.clear()
        with pytest.raises(SceneError, match=r"container one/box.*clock"):
            with_sas_token(BLOB, provider(server))
        assert len(server.requests) == 2


def test_a_subscription_key_goes_along_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", "planted-key")
    with token_server(answer("a")) as server:
        with_sas_token(BLOB, provider(server))
    headers = {name.lower(): value for name, value in server.requests[0][2].items()}
    assert headers["ocp-apim-subscription-key"] == "planted-key"


@pytest.mark.parametrize(
    "href",
    [
        "https://ai4edatasetspublicassets.blob.core.windows.net/assets/x.png",
        "https://elsewhere.example/box/B04.tif",
        "https://evil-blob.core.windows.net.example/box/B04.tif",
        f"{BLOB}?st=1&sig=already",
        "/disk/B04.tif",
    ],
)
def test_only_blobs_that_need_it_are_signed(href: str) -> None:
    with token_server(answer("a")) as server:
        assert with_sas_token(href, provider(server)) == href
        assert not server.requests
    assert with_sas_token(BLOB, PROVIDERS["earth-search"]) == BLOB


@pytest.mark.parametrize(
    ("reply", "fact", "tries"),
    [
        ((429, "slow down"), "HTTP 429", limits.MAX_TRIES),
        ((403, "no"), "HTTP 403", 1),
        ((200, "<html>"), "JSON", 1),
        ((200, []), "JSON object", 1),
        ((200, {"token": "t"}), "expiry None", 1),
        ((200, {"msft:expiry": "2099-01-01T00:00:00Z"}), "token", 1),
    ],
)
def test_a_token_service_that_fails_is_one_sentence(reply: tuple[int, Any], fact: str, tries: int) -> None:
    with token_server(reply) as server, pytest.raises(SceneError, match=fact) as caught:
        with_sas_token(BLOB, provider(server))
    assert "'planetary-computer' (container one/box)" in str(caught.value)
    assert len(server.requests) == tries


def test_a_token_service_that_fails_in_passing_is_asked_again() -> None:
    with token_server((503, ""), (429, ""), answer("a")) as server:
        assert with_sas_token(BLOB, provider(server)).endswith("sig=a")


def test_a_token_service_that_cannot_be_reached_is_one_sentence() -> None:
    with token_server(answer("a")) as server:
        gone = provider(server)
    with pytest.raises(SceneError, match="network"):
        with_sas_token(BLOB, gone)


def test_signatures_are_hidden_in_texts_and_representations() -> None:
    with token_server(answer("planted-signature")) as server:
        href = with_sas_token(BLOB, provider(server))
    assert "planted-signature" not in redacted(f"GET {href} failed")
    assert "planted-signature" not in repr(access._sas_tokens)
