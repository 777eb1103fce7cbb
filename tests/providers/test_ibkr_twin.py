"""Interactive Brokers and its twin over a real loopback socket: what the market did arrives."""

from __future__ import annotations

import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from rtflow.book import BookState
from rtflow.errors import Disconnected, Rejected
from rtflow.events import (
    Bar,
    Frame,
    FrameKind,
    Gap,
    Malformed,
    OrderBookUpdate,
    Quote,
    Ticker,
    Trade,
    TradingStatus,
)
from rtflow.operators._book_apply import book_apply
from rtflow.operators._normalize import normalize
from rtflow.operators._retry_with_backoff import retry_with_backoff
from rtflow.provider import Answer, Subscription, Traffic
from rtflow.providers import InteractiveBrokers
from rtflow.time import SECOND
from rtflow.transport import Feed, connect
from rtflow.twin import Twin
from rtflow.twin.ibkr import IbkrVenue, conid
from rtflow.twin.market import Market
from rtflow.twin.venue import Message
from tests.watching import Watch

SECRET = "aeccc9d7515398c50fa894d967d099b1"
NAMES = {symbol: str(conid(symbol)) for symbol in ("AAPL", "MSFT", "GME")}
BUSY = ("AAPL", "MSFT")


def twin(**options: Any) -> Twin:
    """A market that stands still but for what the test lets pass, and trades from its first moment on."""
    settings: dict[str, Any] = {"seed": 5, "symbols": list(NAMES), "pace": 0.0, "session": SECRET}
    return Twin("ibkr", **settings | options)


def speaker(venue: Twin, **options: Any) -> InteractiveBrokers:
    settings: dict[str, Any] = {"session": SECRET, "url": venue.url, "names": NAMES}
    return InteractiveBrokers(**settings | options)


def live(
    provider: InteractiveBrokers, watch: Watch, *, retried: bool = False, **wanted: Any
) -> tuple[Feed, Any]:
    """A feed, and the subscription of a watch to its events."""
    feed = connect(provider, **wanted)
    frames = feed.pipe(retry_with_backoff(base=0.02, cap=0.1, jitter=None)) if retried else feed
    return feed, frames.pipe(normalize(provider)).subscribe(watch.on_next, watch.on_error)


def test_every_sampled_trade_and_the_last_quote_are_the_markets() -> None:
    watch = Watch()
    with twin(interval=0.0) as venue:
        _, subscription = live(
            speaker(venue), watch, trades=["AAPL", "MSFT"], quotes=["AAPL"], tickers=["MSFT"]
        )
        watch.subscribed(4)
        begun = venue.now
        venue.advance(30.0)
        moves = [move for move in venue.moves if move.stamp > begun]
        expected = {
            symbol: [
                (move.trades[-1].price / 100, float(move.trades[-1].size), move.stamp // 10**6)
                for move in moves
                if move.symbol == symbol and move.trades
            ]
            for symbol in ("AAPL", "MSFT")
        }
        bids, asks = venue.market.book("AAPL")
        (bid, bid_size), (ask, ask_size) = bids.levels(1)[0], asks.levels(1)[0]
        touch = (bid / 100, float(bid_size), ask / 100, float(ask_size))

        def got(symbol: str) -> list[tuple[float, float, int]]:
            return [
                (each.price, each.size, each.ts_event // 10**6)
                for each in watch.of(Trade)
                if each.symbol == symbol
            ]

        watch.until(lambda: all(len(got(symbol)) >= len(each) for symbol, each in expected.items()))
        watch.until(lambda: [(q.bid, q.bid_size, q.ask, q.ask_size) for q in watch.of(Quote)][-1:] == [touch])
        subscription.dispose()
    assert min(len(each) for each in expected.values()) > 20
    assert {symbol: got(symbol) for symbol in expected} == expected
    assert all(each.sampled for each in watch.of(Trade))
    assert all(each.sampled for each in watch.of(Quote))
    day = watch.of(Ticker)[-1]
    assert day.low is not None
    assert day.high is not None
    assert day.last is not None
    assert (day.symbol, day.close) == ("MSFT", 430.0)
    assert day.low <= day.last <= day.high
    assert watch.of(Malformed) == []


def test_the_ladder_ends_as_the_markets_book() -> None:
    books = Watch()
    with twin(rows=5, interval=0.0) as venue:
        provider = speaker(venue)
        feed = connect(provider, books=["AAPL"])
        events = feed.pipe(normalize(provider))
        states = events.pipe(book_apply())
        subscription = states.subscribe(books.on_next, books.on_error)
        books.until(lambda: books.of(BookState))
        venue.advance(20.0)
        sides = venue.market.book("AAPL")
        best = [[(price / 100, float(size)) for price, size in side.levels(5)] for side in sides]

        def last() -> list[list[tuple[float, float]]]:
            book = books.of(BookState)[-1]
            return [list(book.levels("bid", 5)), list(book.levels("ask", 5))]

        books.until(lambda: last() == best)
        assert {book.status for book in books.of(BookState)} == {"live"}
        shown = len(books.of(BookState))
        feed.resync("AAPL")
        books.until(lambda: len(books.of(BookState)) > shown)
        subscription.dispose()


def test_a_history_is_told_once_and_its_place_is_given_back() -> None:
    watch = Watch()
    with twin(warmup=600.0, histories=1) as venue:
        _, subscription = live(speaker(venue), watch, bars=["AAPL"])
        watch.until(lambda: watch.statuses("unsubscribed"))
        subscription.dispose()
    bars = watch.of(Bar)
    assert len(bars) >= 10
    assert [(bar.end - bar.start, bar.interval) for bar in bars] == [(60 * 10**9, "1m")] * len(bars)
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)
    assert [bar.symbol for bar in bars] == ["AAPL"] * len(bars)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"auth": "message"}, {}),
        ({"oauth_token": "to/ken"}, {"oauth_token": "to/ken"}),
        ({"auth": "message", "oauth_token": "to/ken"}, {"oauth_token": "to/ken"}),
    ],
)
def test_each_way_of_saying_whose_session_it_is_is_understood(
    ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    watch = Watch()
    with twin(**theirs) as venue:
        _, subscription = live(speaker(venue, **ours), watch, quotes=["AAPL"])
        watch.subscribed(1)
        subscription.dispose()
    assert SECRET not in repr(watch.items)
    assert "ken" not in repr(watch.items)


def test_a_wrong_session_is_rejected_at_once() -> None:
    watch = Watch()
    with twin() as venue:
        live(speaker(venue, session="wrong"), watch, retried=True, quotes=["AAPL"])
        watch.until(lambda: watch.error)
        assert venue.accepted == 0
    assert isinstance(watch.error, Rejected)
    assert "401" in str(watch.error)
    assert "wrong" not in str(watch.error)


def test_what_is_wanted_may_change_while_live() -> None:
    watch = Watch()
    with twin() as venue:
        feed, subscription = live(speaker(venue), watch, quotes=["AAPL"])
        watch.subscribed(1)
        feed.add(trades=["AAPL"], quotes=["MSFT"])
        watch.subscribed(3)
        venue.advance(5.0)
        watch.until(lambda: watch.of(Trade) and {each.symbol for each in watch.of(Quote)} == {"AAPL", "MSFT"})
        feed.remove(quotes=["AAPL", "MSFT"], trades=["AAPL"])
        feed.add(tickers=["GME"])
        watch.subscribed(4)
        count = len(watch.of(Quote))
        venue.advance(20.0)
        watch.until(lambda: len([each for each in watch.of(Ticker) if each.symbol == "GME"]) > 1)
        subscription.dispose()
    assert len(watch.of(Quote)) == count


def test_a_lost_line_is_a_gap_and_all_is_asked_for_again() -> None:
    watch = Watch()
    with twin(interval=0.0) as venue:
        feed, subscription = live(speaker(venue), watch, retried=True, trades=["AAPL"], books=["AAPL"])
        watch.subscribed(2)
        venue.advance(10.0)
        watch.until(lambda: watch.of(Trade))
        venue.disconnect()
        watch.subscribed(2, epoch=2)
        lost = time.time_ns()
        venue.advance(10.0)
        watch.until(lambda: [each for each in watch.of(Trade) if each.ts_recv > lost])
        subscription.dispose()
    assert [gap.ts_end is None for gap in watch.of(Gap)] == [True, False]
    assert feed.epoch == 2
    assert watch.error is None


def test_a_logout_is_a_gap_until_somebody_logs_in_again() -> None:
    watch = Watch()
    with twin() as venue:
        feed, subscription = live(speaker(venue), watch, retried=True, quotes=["AAPL"])
        watch.subscribed(1)
        venue.provoke("logout", seconds=60.0)
        watch.until(lambda: [each for each in watch.statuses("venue", 2) if each.text == "not authenticated"])
        assert watch.of(Gap)[0].reason == "the venue logged us out"
        venue.advance(61.0)
        watch.subscribed(1, epoch=2)
        watch.until(lambda: watch.of(Gap)[-1].ts_end is not None)
        subscription.dispose()
        assert venue.accepted == feed.epoch == 2


def test_a_competing_session_is_the_end() -> None:
    watch = Watch()
    with twin() as venue:
        live(speaker(venue), watch, retried=True, quotes=["AAPL"])
        watch.subscribed(1)
        venue.provoke("compete")
        watch.until(lambda: watch.error)
        assert venue.accepted == 1
    assert isinstance(watch.error, Rejected)
    assert "competing" in watch.statuses("rejected")[0].text


def test_the_venues_own_faults_are_said_in_the_stream() -> None:
    watch = Watch()
    with twin() as venue:
        feed, subscription = live(speaker(venue), watch, quotes=["AAPL", "MSFT"], trades=["AAPL"])
        watch.subscribed(3)
        venue.provoke("halt", symbol="AAPL")
        venue.advance(1.0)
        watch.until(lambda: watch.of(TradingStatus))
        venue.provoke("resume", symbol="AAPL")
        venue.advance(1.0)
        watch.until(lambda: [each.code for each in watch.of(TradingStatus)] == ["H", ""])
        venue.provoke("notify", text="careful")
        venue.provoke("quality", symbol="AAPL", code="DPB")
        venue.provoke("garble", symbol="AAPL")
        venue.provoke("reorder")
        venue.advance(3.0)
        watch.until(lambda: watch.of(Malformed))
        assert watch.of(Malformed)[0].reason == "field 84: not a number: 'n/a'"
        venue.provoke("quality", symbol="MSFT", code="N")
        venue.advance(3.0)
        watch.until(lambda: watch.statuses("rejected"))
        assert feed.wanted.topics == {("quotes", "AAPL"), ("trades", "AAPL")}
        texts = [each.text for each in watch.statuses("venue")]
        subscription.dispose()
    assert "Warning: careful" in texts
    assert "market data is delayed (6509 is DPB)" in texts
    [refused] = watch.statuses("rejected")
    assert (refused.symbol, refused.kind) == ("MSFT", "quotes")
    assert watch.error is None


def test_a_contract_that_is_not_there_is_refused_alone() -> None:
    watch = Watch()
    with twin() as venue:
        feed, subscription = live(speaker(venue), watch, quotes=["AAPL", "7"], bars=["8"])
        watch.until(lambda: len([each for each in watch.statuses("rejected") if each.symbol]) == 2)
        watch.subscribed(1)
        subscription.dispose()
    refused = {(each.kind, each.symbol, each.text) for each in watch.statuses("rejected") if each.symbol}
    assert refused == {("quotes", "7", "no such contract"), ("bars", "8", "no such contract")}
    assert feed.wanted.topics == {("quotes", "AAPL")}


def test_half_a_frame_is_malformed_and_the_rest_goes_on() -> None:
    watch = Watch()
    with twin() as venue:
        _, subscription = live(speaker(venue), watch, quotes=["AAPL"])
        watch.subscribed(1)
        venue.corrupt()
        venue.advance(5.0)
        watch.until(lambda: watch.of(Malformed) and isinstance(watch.items[-1], Quote))
        subscription.dispose()
    [malformed] = watch.of(Malformed)
    assert malformed.frame.kind is FrameKind.BINARY
    assert watch.error is None


def test_an_hour_of_streams_that_last_fifteen_minutes_has_no_hole() -> None:
    start = 1_790_358_500 * SECOND
    venue = IbkrVenue(Market(5, BUSY, start=start))
    talk = venue.connect(venue.path, {"Cookie": "api=x"})
    provider = InteractiveBrokers(names=NAMES)
    session, decoder = provider.session(Subscription.of(quotes=BUSY)), provider.decoder()
    session.started(start)
    longest, heard = dict.fromkeys(BUSY, 0), dict.fromkeys(BUSY, start)
    for now in range(start, start + 3600 * SECOND, SECOND):
        venue.advance(now)
        answers: list[Answer] = []
        for message in talk.take():
            assert isinstance(message, Message)
            assert isinstance(message.payload, bytes)
            frame = Frame(FrameKind.BINARY, message.payload, now)
            if session.classify(frame.payload) is Traffic.CONTROL:
                answers += session.received(frame)
            for quote in decoder.decode(frame):
                if isinstance(quote, Quote):
                    longest[quote.symbol] = max(longest[quote.symbol], now - heard[quote.symbol])
                    heard[quote.symbol] = now
        due = session.due()
        assert due is not None
        if due <= now:
            answers += session.wake(now)
        for answer in answers:
            assert isinstance(answer, str)
            talk.received(answer)
    assert max(longest.values()) < 10 * SECOND


def test_a_line_without_heartbeats_is_noticed_and_left() -> None:
    began, watch = time.time_ns(), Watch()

    def fast() -> int:  # half a minute of silence passes within two seconds
        return began + (time.time_ns() - began) * 20

    with twin() as venue:
        venue.provoke("mute", seconds=3600.0)
        provider = speaker(venue)
        feed = connect(provider, books=["AAPL"], clock=fast)
        feed.pipe(normalize(provider)).subscribe(watch.on_next, watch.on_error)
        watch.until(lambda: watch.error)
    assert isinstance(watch.error, Disconnected)
    assert "no echo" in str(watch.error)
    assert watch.of(OrderBookUpdate)


# -- certificates ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that it signed itself, in one file, as a gateway's."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=gateway "
        "-addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:TRUE"
    )
    try:
        subprocess.run(
            [*command.split(), "-keyout", str(path), "-out", str(path.with_suffix(".crt"))],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("making a certificate takes the openssl command, which is not here")
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.parametrize("trust", ["certificate", "anybody"])
def test_a_gateway_that_signs_its_own_is_trusted_when_we_are_told_to(
    tls: ssl.SSLContext, certificate: Path, trust: str
) -> None:
    watch = Watch()
    options: dict[str, Any] = (
        {"certificate": str(certificate)} if trust == "certificate" else {"verified": False}
    )
    with twin(ssl_context=tls) as venue:
        assert venue.url.startswith("wss://")
        _, subscription = live(speaker(venue, **options), watch, quotes=["AAPL"])
        watch.subscribed(1)
        subscription.dispose()
    assert watch.error is None


def test_a_gateway_that_signs_its_own_is_refused_otherwise(tls: ssl.SSLContext) -> None:
    watch = Watch()
    with twin(ssl_context=tls) as venue:
        live(speaker(venue), watch, quotes=["AAPL"])
        watch.until(lambda: watch.error)
        assert venue.accepted == 0
    assert isinstance(watch.error, Disconnected)
    assert "does not convince us" in str(watch.error)


def test_a_tape_holds_the_venues_words_and_none_of_our_secrets() -> None:
    watch = Watch()
    with twin(oauth_token="to/ken") as venue:
        feed = connect(speaker(venue, auth="message", oauth_token="to/ken"), quotes=["AAPL"])
        subscription = feed.subscribe(watch.on_next, watch.on_error)
        watch.until(lambda: len(watch.items) > 4)
        subscription.dispose()
    frames = watch.of(Frame)
    assert frames[0].payload == venue.url.encode()
    assert not [each for each in frames if SECRET.encode() in each.payload or b"ken" in each.payload]
