"""Credentials come from arguments, the environment and mounted files, and go to the provider alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import traceback
from pathlib import Path

import msgspec
import pytest
from pytest_mock import MockerFixture

from rtflow import settings
from rtflow.errors import Unsupported
from rtflow.provider import Provider, Subscription
from rtflow.providers import Alpaca, CoinbaseExchange, InteractiveBrokers, Polygon

SECRET = "planted-and-secret"
ALPACA = {"APCA_API_KEY_ID": "PK1", "APCA_API_SECRET_KEY": SECRET}
ANGEL = {f"SMARTAPI_{name}": f"{SECRET}-{name}" for name in ("JWT", "API_KEY", "CLIENT_CODE", "FEED_TOKEN")}


def shown(error: Exception) -> str:
    """All that a traceback shows of it; what it hides must be hidden, as other tools look behind it."""
    assert error.__context__ is None or error.__suppress_context__
    return "".join(traceback.format_exception(error))


def first_request(provider: Provider) -> dict[str, object]:
    """What a provider would ask for first."""
    first, *_ = provider.session(Subscription.of(books="BTC-USD")).opened()
    assert isinstance(first, str)
    fields: dict[str, object] = msgspec.json.decode(first)
    return fields


def test_the_names_are_the_vendors_own() -> None:
    alpaca = settings.provider("alpaca", environ=ALPACA)
    assert isinstance(alpaca, Alpaca)
    assert alpaca._secret == SECRET


def test_the_environment_is_asked_where_nothing_else_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYGON_API_KEY", SECRET)
    assert isinstance(settings.provider("polygon"), Polygon)
    assert settings.sources("polygon") == {"key": "POLYGON_API_KEY"}


def test_an_argument_goes_before_the_environment() -> None:
    polygon = settings.provider("polygon", environ={"MASSIVE_API_KEY": "theirs"}, key="mine")
    assert isinstance(polygon, Polygon)
    assert polygon._key == "mine"


def test_the_first_name_that_is_set_counts() -> None:
    both = {"POLYGON_API_KEY": "old", "MASSIVE_API_KEY": "new"}
    assert settings.sources("polygon", environ=both) == {"key": "MASSIVE_API_KEY"}
    assert settings.sources("polygon", environ=both | {"MASSIVE_API_KEY": "  "}) == {"key": "POLYGON_API_KEY"}


@pytest.mark.parametrize("around", ["\n  {} \n", "{}\r\n", "\ufeff{}"])
def test_a_mounted_file_is_read_without_what_editors_put_around_it(tmp_path: Path, around: str) -> None:
    path = tmp_path / "secret"
    path.write_text(around.format(SECRET), "utf-8", newline="")
    environ = {"APCA_API_KEY_ID": "PK1", "APCA_API_SECRET_KEY_FILE": str(path)}
    alpaca = settings.provider("alpaca", environ=environ)
    assert isinstance(alpaca, Alpaca)
    assert alpaca._secret == SECRET
    assert settings.sources("alpaca", environ=environ)["secret"] == "APCA_API_SECRET_KEY_FILE"


def test_angel_one_takes_what_the_login_returned() -> None:
    headers = settings.provider("angelone", environ=ANGEL).request(Subscription()).headers
    assert sorted(headers.values()) == sorted(ANGEL.values())


def test_a_gateway_is_described_by_our_names_or_ibinds() -> None:
    environ = {"IBIND_WS_URL": "wss://gateway:5000/v1/api/ws", "IBKR_SESSION": SECRET}
    ibkr = settings.provider("ibkr", environ=environ)
    assert isinstance(ibkr, InteractiveBrokers)
    assert ibkr.url == "wss://gateway:5000/v1/api/ws"
    assert SECRET in ibkr.request(Subscription()).cookie


def test_the_exchange_signs_as_its_documents_say(mocker: MockerFixture) -> None:
    mocker.patch("rtflow.settings.time.time", return_value=1_790_358_506.9)
    secret = base64.b64encode(SECRET.encode()).decode()
    names = ("COINBASE_EXCHANGE_API_KEY", "COINBASE_EXCHANGE_API_SECRET", "COINBASE_EXCHANGE_PASSPHRASE")
    environ = dict(zip(names, ("key", secret, "passphrase"), strict=True))
    asked = first_request(settings.provider("coinbase_exchange", environ=environ))
    digest = hmac.digest(SECRET.encode(), b"1790358506GET/users/self/verify", hashlib.sha256)
    assert asked["signature"] == base64.b64encode(digest).decode()
    assert (asked["key"], asked["passphrase"], asked["timestamp"]) == ("key", "passphrase", "1790358506")


def test_the_exchange_without_a_key_signs_nothing() -> None:
    exchange = settings.provider("coinbase_exchange", environ={})
    assert isinstance(exchange, CoinbaseExchange)
    assert "signature" not in first_request(exchange)


@pytest.mark.parametrize("venue", settings.VENUES)
def test_a_tape_and_a_twin_need_no_key(venue: str) -> None:
    assert settings.provider(venue, environ={}, keyless=True).name == venue


@pytest.mark.parametrize("venue", ["binance", "coinbase", "coinbase_exchange", "ibkr", "kraken"])
def test_some_venues_need_none_at_all(venue: str) -> None:
    assert settings.provider(venue, environ={}).name == venue


@pytest.mark.parametrize(
    ("venue", "environ", "words"),
    [
        ("nyse", {}, "there is no venue 'nyse'; there are alpaca, "),
        ("polygon", {}, "polygon needs MASSIVE_API_KEY or POLYGON_API_KEY: set it, or its cousin with _FILE"),
        ("alpaca", {"APCA_API_KEY_ID": SECRET}, "alpaca needs APCA_API_SECRET_KEY"),
        ("alpaca", {}, "alpaca needs APCA_API_KEY_ID, APCA_API_SECRET_KEY: set them, or their cousins"),
        ("polygon", {"POLYGON_API_KEY": SECRET, "POLYGON_API_KEY_FILE": "/there"}, "are both set: unset one"),
        ("polygon", {"POLYGON_API_KEY_FILE": "/not/there"}, "/not/there, which cannot be read: No such file"),
        ("polygon", {"POLYGON_API_KEY_FILE": "/"}, "which cannot be read: Is a directory"),
        ("coinbase_exchange", {"COINBASE_EXCHANGE_API_KEY": SECRET}, "set all three, or none"),
        ("ibkr", {"IBKR_ACCOUNT": f"{SECRET}\x07!"}, "what the environment says of account is not"),
    ],
)
def test_what_is_wrong_is_said_by_name_and_never_by_content(
    venue: str, environ: dict[str, str], words: str
) -> None:
    with pytest.raises(settings.Unset) as caught:
        settings.provider(venue, environ=environ)
    assert words in str(caught.value)
    assert SECRET not in shown(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (SECRET.encode() + b"\xff", "which is not UTF-8 text"),
        (b" \n", "which is empty"),
        (SECRET.encode() * 5000, "which is too long for a credential"),
    ],
)
def test_a_file_that_holds_no_credential_is_refused_without_being_quoted(
    content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(settings.Unset) as caught:
        settings.provider("polygon", environ={"MASSIVE_API_KEY_FILE": str(path)})
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert SECRET not in shown(caught.value)


def test_a_secret_that_is_no_base64_is_not_quoted() -> None:
    with pytest.raises(settings.Unset, match="is base64, as the venue shows it") as caught:
        settings.provider("coinbase_exchange", environ={}, api_key="key", secret=f"{SECRET}!", passphrase="p")
    assert SECRET not in shown(caught.value)


def test_what_the_provider_says_of_its_other_arguments_goes_through() -> None:
    with pytest.raises(Unsupported, match="alpaca has no feed 'nyse'"):
        settings.provider("alpaca", environ=ALPACA, feed="nyse")
    with pytest.raises(ValueError, match="a lot is a number of shares, not -1"):
        settings.provider("alpaca", environ=ALPACA, lot=-1)


def test_no_repr_shows_a_secret() -> None:
    whole = ALPACA | ANGEL | {"MASSIVE_API_KEY": SECRET, "IBKR_SESSION": SECRET, "IBKR_OAUTH_TOKEN": SECRET}
    for venue in settings.VENUES:
        provider = settings.provider(venue, environ=whole)
        assert SECRET not in f"{provider!r} {provider} {provider.request(Subscription())!r}"
    assert SECRET not in repr(settings.sources("alpaca", environ=whole))
