"""Signed URLs: one token per container, renewed before it expires, and one sentence where that fails."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.scene.token_server import TokenServer, token_server

from agrifm.errors import SceneError
from agrifm.scene import access as credentials
from agrifm.scene import signing
from agrifm.scene.providers import PROVIDERS, Provider, SasTokens
from agrifm.scene.signing import signed

BLOB = "https://one.blob.core.windows.net/box/B04.tif"


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "_tokens", {})
    monkeypatch.setattr(credentials, "_seen", set())
    monkeypatch.delenv("PC_SDK_SUBSCRIPTION_KEY", raising=False)
    return


def provider(server: TokenServer) -> Provider:
    real = PROVIDERS["planetary-computer"].access["https"]
    assert isinstance(real, SasTokens)
    access = SasTokens(server.url, real.hosts, real.key_variable, real.open_accounts)
    return Provider("planetary-computer", "x", "https://x", (), {"https": access})


def answer(token: str, minutes: float = 45) -> tuple[int, Any]:
    expiry = datetime.now(UTC) + timedelta(minutes=minutes)
    return 200, {"token": f"st=1&sig={token}", "msft:expiry": f"{expiry:%Y-%m-%dT%H:%M:%SZ}"}


def test_one_token_serves_a_container_until_it_is_about_to_expire() -> None:
    with token_server(answer("a"), answer("b")) as server:
        own = provider(server)
        assert signed(BLOB, own) == signed(BLOB, own) == f"{BLOB}?st=1&sig=a"
        assert signed(BLOB.replace("box", "other"), own).endswith("sig=b")
        assert [path for _, path, _ in server.requests] == ["/one/box", "/one/other"]


def test_a_token_that_lives_less_than_a_minute_is_renewed() -> None:
    with token_server(answer("a", 1.5), answer("b")) as server:
        own = provider(server)
        assert signed(BLOB, own).endswith("sig=a")
        held = next(iter(signing._tokens.values()))
        soon = type(held)(datetime.now(UTC) + timedelta(seconds=59), held.text)
        signing._tokens[next(iter(signing._tokens))] = soon
        assert signed(BLOB, own).endswith("sig=b")


def test_a_refused_token_is_fetched_anew_on_request() -> None:
    with token_server(answer("a"), answer("b")) as server:
        own = provider(server)
        assert signed(BLOB, own).endswith("sig=a")
        assert signed(BLOB, own, renew=True).endswith("sig=b")


def test_a_token_that_has_expired_when_it_comes_is_asked_for_once_more() -> None:
    with token_server(answer("a", -1), answer("b")) as server:
        assert signed(BLOB, provider(server)).endswith("sig=b")
    with token_server(answer("a", -1)) as server:
        signing._tokens.clear()
        with pytest.raises(SceneError, match=r"container one/box\): its tokens have expired when they come .* twice"):
            signed(BLOB, provider(server))
        assert len(server.requests) == 2


def test_a_subscription_key_goes_along_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", "planted-key")
    with token_server(answer("a")) as server:
        signed(BLOB, provider(server))
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
        assert signed(href, provider(server)) == href
        assert not server.requests
    assert signed(BLOB, PROVIDERS["earth-search"]) == BLOB


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ((429, "slow down"), "it answered HTTP 429; try again later"),
        ((403, "no"), "it answered HTTP 403"),
        ((200, "<html>"), "its answer is no JSON"),
        ((200, []), "its answer is no JSON object"),
        ((200, {"token": "t"}), "states no readable expiry"),
        ((200, {"msft:expiry": "2099-01-01T00:00:00Z"}), "sent no token"),
    ],
)
def test_a_token_service_that_fails_is_one_sentence(reply: tuple[int, Any], said: str) -> None:
    with token_server(reply) as server, pytest.raises(SceneError) as caught:
        signed(BLOB, provider(server))
    assert str(caught.value).startswith("signing assets of 'planetary-computer' (container one/box): ")
    assert said in str(caught.value)


def test_a_token_service_that_cannot_be_reached_is_one_sentence() -> None:
    with token_server(answer("a")) as server:
        own = provider(server)
    with pytest.raises(SceneError, match="it cannot be reached; check the network"):
        signed(BLOB, own)


def test_signatures_are_hidden_in_texts_and_representations() -> None:
    with token_server(answer("planted-signature")) as server:
        href = signed(BLOB, provider(server))
    assert "planted-signature" not in credentials.redacted(f"GET {href} failed")
    assert "planted-signature" not in repr(signing._tokens)
