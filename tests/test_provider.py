"""What every venue's file leans on."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from rtflow.errors import Disconnected, Rejected, RtflowError, Throttled, Unsupported
from rtflow.events import Frame
from rtflow.provider import (
    Decoder,
    Fetch,
    Refused,
    Request,
    Send,
    Session,
    Subscription,
    Traffic,
    check_kinds,
    denied,
)


class Quiet(Session):
    """A venue that needs nothing but the four methods nobody can guess."""

    def opened(self) -> Iterable[Send]:
        return ()

    def classify(self, payload: bytes) -> Traffic:
        return Traffic.DATA

    def received(self, frame: Frame) -> Iterable[Send | Refused | RtflowError]:
        return ()

    def wanted(self, added: Subscription, removed: Subscription) -> Iterable[Send]:
        return ()


class OnlyTrades:
    name = "only"
    kinds = ("trades",)

    def request(self, subscription: Subscription) -> Request:
        return Request("ws://127.0.0.1/feed?token=secret", {"Authorization": "secret"})

    def session(self, subscription: Subscription) -> Session:
        return Quiet()

    def decoder(self) -> Decoder:
        raise AssertionError("not needed here")


def test_a_subscription_is_a_set_of_topics() -> None:
    both = Subscription.of(trades=["B", "A"], books="A")
    assert both.symbols("trades") == ("A", "B")
    assert both.kinds == ("books", "trades")
    assert both == Subscription.of(trades=["A", "B"]) | Subscription.of(books=["A"])
    assert both - Subscription.of(trades=["A", "B"]) == Subscription.of(books=["A"])
    assert both
    assert not Subscription()


def test_a_bare_string_is_one_symbol() -> None:
    assert Subscription.of(trades="AAPL").symbols("trades") == ("AAPL",)


def test_a_misspelt_option_is_named() -> None:
    with pytest.raises(TypeError, match="capcity=3 is neither an option nor symbols"):
        Subscription.of(capcity=3)  # type: ignore[arg-type]


def test_what_a_venue_lacks_is_refused_with_what_it_offers() -> None:
    check_kinds(OnlyTrades(), Subscription.of(trades=["A"]))
    with pytest.raises(Unsupported, match="only has no 'books'; it offers trades"):
        check_kinds(OnlyTrades(), Subscription.of(books=["A"]))


def test_a_request_never_shows_its_secrets() -> None:
    assert "secret" not in repr(OnlyTrades().request(Subscription()))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Rejected),
        (403, Rejected),
        (404, Rejected),
        (429, Throttled),
        (302, Disconnected),
        (503, Disconnected),
    ],
)
def test_an_http_answer_to_the_upgrade_means_what_its_class_says(
    status: int, kind: type[RtflowError]
) -> None:
    error = denied(status, "No")
    assert type(error) is kind
    assert str(error) == f"HTTP {status} No"
    assert type(Quiet().denied(status, "No")) is kind


def test_a_session_that_says_nothing_of_it_has_no_heartbeat_and_no_resync() -> None:
    session = Quiet()
    session.started(1)
    assert (session.due(), tuple(session.wake(2)), tuple(session.resync("A"))) == (None, (), ())


@pytest.mark.parametrize(("code", "announced"), [(1000, True), (1001, True), (1006, False), (1011, False)])
def test_a_close_is_announced_when_the_other_side_was_orderly(code: int, announced: bool) -> None:
    error = Quiet().closed(code, "")
    assert isinstance(error, Disconnected)
    assert (error.code, error.announced, str(error)) == (code, announced, f"closed with code {code}")
    assert str(Quiet().closed(code, "bye")) == "bye"


@pytest.mark.parametrize("symbol", [265598, None, "", b"BTC/USD", ("BTC", "USD")])
def test_a_symbol_is_text(symbol: object) -> None:
    with pytest.raises(TypeError, match=r"trades=: a symbol is text, as 'BTC/USD' or '265598', not "):
        Subscription.of(trades=[symbol])  # type: ignore[list-item]


def test_a_session_that_asks_for_no_document_says_nothing_of_a_missing_one() -> None:
    missing = Fetch("depth A", "https://example.org/depth?symbol=A")
    assert list(Quiet().unfetched(missing, Disconnected("down"), 0)) == []
    assert repr(missing) == "Fetch('depth A')", "a URL may hold what nobody should read"
