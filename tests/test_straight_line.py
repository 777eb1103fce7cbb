"""The whole straight line, from a real socket to bars and books, against a market that knows what is true."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import reactivex
from reactivex import Observable, Subject, abc
from reactivex import operators as ops
from reactivex.disposable import CompositeDisposable

from rtflow import tape
from rtflow.book import BookState
from rtflow.errors import Disconnected, Rejected
from rtflow.events import Bar, Event, Frame, FrameKind, Gap, Malformed, OrderBookUpdate, Status, Trade
from rtflow.operators._book_apply import book_apply
from rtflow.operators._broadcast import broadcast
from rtflow.operators._normalize import normalize
from rtflow.operators._retry_with_backoff import retry_with_backoff
from rtflow.operators._window_to_bar import window_to_bar
from rtflow.player import replay
from rtflow.provider import Provider
from rtflow.providers import Alpaca, Kraken
from rtflow.scheduler import NanoScheduler
from rtflow.tape import record
from rtflow.transport import connect
from rtflow.twin import Twin
from rtflow.twin.market import Ladder, decimal
from tests.watching import PATIENCE, SOON, Watch, left_over, within

SYMBOLS = ("BTC/USD", "ETH/USD")
BOTH = pytest.mark.parametrize("venue", ["kraken", "alpaca"])


def speaker_of(venue: str, url: str) -> Provider:
    if venue == "kraken":
        return Kraken(url=url)
    return Alpaca("key", "secret", feed="crypto/us", url=url)


def watched(
    frames: Observable[Frame],
    provider: Provider,
    watch: Watch,
    *,
    resync: Callable[[str], object],
    scheduler: abc.SchedulerBase | None = None,
) -> abc.DisposableBase:
    """Events, bars and books of ``frames``, for one who misses none of them."""
    events: Subject[Event] = Subject()
    bars, books = events.pipe(window_to_bar(every=0.2)), events.pipe(book_apply(resync=resync))
    told = [each.subscribe(watch.on_next, watch.on_error) for each in (events, bars, books)]
    source = frames.pipe(normalize(provider)).subscribe(events, scheduler=scheduler)
    return CompositeDisposable(*told, source)


def nothing(_: str) -> None:
    """How a replay asks for a snapshot: what came of it is on the tape."""


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert left_over() == []


def no_longer_connected(twin: Twin) -> bool:
    """Whether the twin, within its patience, sees everybody gone."""
    return within(PATIENCE, lambda: not twin.connections)


# -- live and replayed -----------------------------------------------------------------------------------


@BOTH
def test_a_live_run_and_its_replays_give_the_same_items_in_the_same_order(venue: str, tmp_path: Path) -> None:
    path, live = tmp_path / "day.tape", Watch()
    with Twin(venue, seed=3, symbols=SYMBOLS) as twin:
        provider = speaker_of(venue, twin.url)
        feed = connect(provider, trades=SYMBOLS, quotes=SYMBOLS, books=SYMBOLS)
        frames = feed.pipe(record(path), retry_with_backoff(base=0.3, jitter=None, retries=1))
        watched(frames, provider, live, resync=feed.resync)
        live.until(lambda: len(live.of(Bar)) >= 3)
        twin.corrupt()
        if venue == "kraken":
            twin.provoke("wrong_checksum")
        live.until(lambda: len(live.of(Bar)) >= 7 and live.of(Malformed))
        twin.disconnect()
        live.until(lambda: len({bar.start for bar in live.of(Bar) if not bar.gap}) >= 8 and feed.epoch == 2)
        twin.disconnect()  # the retry forgives one, so this is the end, at the CLOSE: on the tape and here
        live.until(lambda: live.error)
    told = [item for item in live.items if not (isinstance(item, Status) and item.state == "retrying")]
    assert len(told) == len(live.items) - 1
    assert {BookState, Bar, Trade, Gap} <= {type(item) for item in told}
    assert [gap.ts_end is None for gap in live.of(Gap)] == [True, False, True]
    if venue == "kraken":
        assert "suspect" in {book.status for book in live.of(BookState)}

    fast, virtual = Watch(), Watch()
    watched(replay(path), provider, fast, resync=nothing)
    scheduler = NanoScheduler()
    watched(replay(path), provider, virtual, resync=nothing, scheduler=scheduler)
    scheduler.run()
    for replayed in (fast, virtual):
        for there, here in zip(told, replayed.items, strict=False):
            assert there == here
        flushed = replayed.items[len(told) :]  # a replay completes, which a live feed never does
        assert len(replayed.items) >= len(told)
        assert all(isinstance(item, Bar) and item.partial == "end" for item in flushed)


# -- nothing but the truth -------------------------------------------------------------------------------


def levels(ladder: Ladder, price_places: int, size_places: int) -> list[tuple[float, float]]:
    """A side of the twin's book as its text would be read."""
    return [
        (float(decimal(price, price_places)), float(decimal(size, size_places)))
        for price, size in ladder.levels(10)
    ]


def agrees(twin: Twin, book: BookState | None) -> bool:
    """Whether a book of ten levels is the twin's own."""
    if book is None:
        return False
    listing, (bids, asks) = twin.market.listings[book.symbol], twin.market.book(book.symbol)
    places = listing.price_precision, listing.size_precision
    return (
        book.status == "live"
        and list(book.levels("bid", 10)) == levels(bids, *places)
        and list(book.levels("ask", 10)) == levels(asks, *places)
    )


@BOTH
def test_every_trade_comes_once_or_lies_in_a_gap_and_the_books_end_as_the_venues(venue: str) -> None:
    watch = Watch()
    with Twin(venue, seed=5, symbols=SYMBOLS, pace=0.0) as twin:
        provider = speaker_of(venue, twin.url)
        feed = connect(provider, trades=SYMBOLS, books=SYMBOLS)
        frames = feed.pipe(retry_with_backoff(base=0.1, cap=0.2, jitter=None, retries=None))
        subscription = watched(frames, provider, watch, resync=feed.resync)
        watch.subscribed(4)
        twin.advance(3.0)
        first = len(twin.trades)
        watch.until(lambda: len(watch.of(Trade)) == first)
        twin.refuse(PATIENCE)
        twin.disconnect()
        watch.until(lambda: watch.of(Gap))
        while_away = len(twin.trades)
        twin.advance(1.0)
        missed = twin.trades[while_away:]
        twin.refuse(0.0)
        watch.subscribed(4, epoch=2)
        twin.advance(3.0)
        made = twin.trades
        watch.until(lambda: len(watch.of(Trade)) == len(made) - len(missed))
        watch.until(lambda: all(agrees(twin, watch.book(symbol)) for symbol in SYMBOLS))
        subscription.dispose()

        listings = twin.market.listings
        truth = sorted(
            (
                fill.symbol,
                fill.id,
                float(decimal(fill.price, listings[fill.symbol].price_precision)),
                float(decimal(fill.size, listings[fill.symbol].size_precision)),
                fill.side,
            )
            for fill in made
            if fill not in missed
        )
    ids = 0 if venue == "kraken" else 3_447_222_699_000_000_000  # coins have longer ones there
    told = [(each.symbol, int(each.id) - ids, each.price, each.size, each.side) for each in watch.of(Trade)]
    assert sorted(told) == truth
    assert missed
    lost, found = watch.of(Gap)
    assert (lost.ts_end, found.ts_start) == (None, lost.ts_start)
    place = watch.items.index(found)
    before = [item for item in watch.items[:place] if isinstance(item, Trade | OrderBookUpdate)]
    after = [item for item in watch.items[place:] if isinstance(item, Trade | OrderBookUpdate)]
    assert (found.ts_start, found.ts_end) == (before[-1].ts_recv, after[0].ts_recv)
    assert all(before[-1].ts_event <= fill.stamp <= after[0].ts_event for fill in missed)


@pytest.mark.parametrize("harm", ["gap", "corrupt", "wrong_checksum"])
def test_a_kraken_book_that_was_harmed_says_so_and_is_the_venues_again(harm: str) -> None:
    watch = Watch()
    with Twin("kraken", seed=5, symbols=["BTC/USD"], pace=0.0) as twin:
        provider = Kraken(url=twin.url)
        feed = connect(provider, books=["BTC/USD"])
        subscription = watched(feed, provider, watch, resync=feed.resync)
        watch.until(lambda: agrees(twin, watch.book("BTC/USD")))
        harms: dict[str, Callable[[], None]] = {
            "gap": lambda: twin.gap(3),
            "corrupt": twin.corrupt,
            "wrong_checksum": lambda: twin.provoke("wrong_checksum"),
        }
        harms[harm]()
        twin.advance(1.0)
        watch.until(lambda: agrees(twin, watch.book("BTC/USD")) and len(snapshots(watch)) == 2)
        subscription.dispose()
    said = [book.status for book in watch.of(BookState)]
    first = said.index("suspect")
    assert said[first + 1] == "syncing"
    assert {*said[:first]} == {*said[first + 2 :]} == {"live"}
    assert len(watch.of(Malformed)) == (harm == "corrupt")
    assert not watch.of(Gap), "one book was in doubt, not the line"


def snapshots(watch: Watch) -> list[OrderBookUpdate]:
    return [each for each in watch.of(OrderBookUpdate) if each.snapshot]


# -- bad input -------------------------------------------------------------------------------------------


@BOTH
def test_a_malformed_frame_is_an_item_and_its_neighbours_are_intact(venue: str) -> None:
    watch = Watch()
    with Twin(venue, seed=5, symbols=["BTC/USD"], pace=0.0, tick=0.001) as twin:
        provider = speaker_of(venue, twin.url)
        feed = connect(provider, trades=["BTC/USD"])
        subscription = feed.pipe(normalize(provider)).subscribe(watch.on_next, watch.on_error)
        watch.subscribed(1)
        twin.advance(2.0)
        before = len(twin.trades)
        twin.corrupt()
        twin.advance(2.0)
        made = [fill.id % 10**6 for fill in twin.trades]
        watch.until(lambda: watch.of(Trade) and int(watch.of(Trade)[-1].id) % 10**6 == made[-1])
        subscription.dispose()
    (malformed,) = watch.of(Malformed)
    assert malformed.frame.kind is FrameKind.TEXT
    assert malformed.frame.payload
    assert malformed.reason
    told = [int(each.id) % 10**6 for each in watch.of(Trade)]
    harmed = [each for each in made if each not in told]
    assert harmed == made[before : before + len(harmed)], "what was in that message, and nothing else"
    assert harmed
    assert watch.error is None


def test_a_bad_key_is_rejected_at_once_with_what_the_venue_said() -> None:
    watch = Watch()
    with Twin("alpaca", symbols=["AAPL"], keys={"right": "secret"}) as twin:
        provider = Alpaca("wrong", "hidden", url=twin.url)
        feed = connect(provider, trades=["AAPL"])
        feed.pipe(retry_with_backoff(), normalize(provider)).subscribe(watch.on_next, watch.on_error)
        watch.until(lambda: watch.error)
        assert twin.accepted == 1
    assert isinstance(watch.error, Rejected)
    assert "402 auth failed" in str(watch.error)
    assert "hidden" not in repr(watch.error) + repr(watch.items)
    assert not watch.statuses("retrying")
    assert watch.statuses("closed")[0].text == str(watch.error), "the CLOSE comes before the error"


def test_an_upgrade_that_is_refused_for_good_is_rejected_at_once() -> None:
    watch = Watch()
    with Twin("kraken", symbols=["BTC/USD"]) as twin:
        feed = connect(Kraken(url=twin.url_of("/v3")), trades=["BTC/USD"])
        feed.pipe(retry_with_backoff()).subscribe(watch.on_next, watch.on_error)
        watch.until(lambda: watch.error)
    assert isinstance(watch.error, Rejected)
    assert "404" in str(watch.error)
    assert watch.items == []


def test_a_port_that_is_closed_is_waited_for_as_documented_and_the_gap_says_from_when_to_when() -> None:
    watch = Watch()
    with Twin("kraken", seed=5, symbols=["BTC/USD"]) as twin:
        url, port = twin.url, int(twin.url.split(":")[2].split("/")[0])
        provider = Kraken(url=url)
        feed = connect(provider, trades=["BTC/USD"], books=["BTC/USD"])
        frames = feed.pipe(retry_with_backoff(base=0.05, cap=0.2, jitter=None))
        subscription = frames.pipe(normalize(provider)).subscribe(watch.on_next, watch.on_error)
        watch.until(lambda: len(watch.of(Trade)) > 3)
    watch.until(lambda: len(watch.statuses("retrying")) >= 5)
    with Twin("kraken", seed=5, symbols=["BTC/USD"], port=port):
        watch.until(lambda: len(watch.of(Gap)) == 2 and watch.items[-1] is not watch.of(Gap)[-1])
        subscription.dispose()
    retries = [(each.attempt, each.wait) for each in watch.statuses("retrying")]
    assert retries[:5] == [(0, 0.0), (1, 0.05), (2, 0.1), (3, 0.2), (4, 0.2)], (
        "goodbye was said: at once, then"
    )
    announced = [each.ts_recv for each in watch.statuses("retrying")]
    for (_, wait), told, then in zip(retries[1:], announced[1:], announced[2:], strict=False):
        assert then - told >= wait * 1e9
    lost, found = watch.of(Gap)
    market = [each for each in watch.items if isinstance(each, Trade | OrderBookUpdate)]
    last = [each for each in market if each.ts_recv < lost.ts_recv][-1]
    first = next(each for each in market if each.ts_recv > lost.ts_recv)
    assert (lost.ts_start, lost.ts_end) == (last.ts_recv, None)
    assert (found.ts_start, found.ts_end) == (last.ts_recv, first.ts_recv)
    assert (lost.epoch, found.epoch, feed.epoch) == (1, 1, 2)


def test_an_unknown_symbol_is_refused_alone_and_no_longer_wanted() -> None:
    watch = Watch()
    with Twin("kraken", symbols=["BTC/USD"]) as twin:
        provider = Kraken(url=twin.url)
        feed = connect(provider, trades=["BTC/USD", "NOPE/USD"], books=["NOPE/USD"])
        frames = feed.pipe(retry_with_backoff(base=0.05, jitter=None))
        subscription = watched(frames, provider, watch, resync=feed.resync)
        watch.until(lambda: len(watch.statuses("rejected")) == 2 and watch.of(Trade))
        assert feed.wanted.topics == {("trades", "BTC/USD")}
        twin.disconnect()
        watch.until(lambda: watch.of(Gap) and watch.of(Trade)[-1].ts_recv > watch.of(Gap)[0].ts_recv)
        assert feed.epoch == 2
        subscription.dispose()
    assert {(each.symbol, each.text) for each in watch.statuses("rejected")} == {
        ("NOPE/USD", "Currency pair not supported NOPE/USD")
    }
    assert len(watch.statuses("rejected")) == 2, "it was asked for twice, and not again after the reconnect"
    assert watch.error is None


def test_a_subscriber_that_raises_gets_its_own_error_and_siblings_go_on() -> None:
    good, bad = Watch(), Watch()

    def raises(item: object) -> None:
        bad.on_next(item)
        if bad.of(Trade):
            raise ValueError("mine")

    with Twin("kraken", symbols=["BTC/USD"]) as twin:
        provider = Kraken(url=twin.url)
        feed = connect(provider, trades=["BTC/USD"])
        events: Observable[Event] = feed.pipe(retry_with_backoff(), normalize(provider), broadcast())
        subscription = events.subscribe(good.on_next, good.on_error)
        events.subscribe(raises, bad.on_error)
        bad.until(lambda: bad.error)
        count = len(good.of(Trade))
        good.until(lambda: len(good.of(Trade)) > count + 5)
        subscription.dispose()
        assert twin.accepted == 1
    assert repr(bad.error) == repr(ValueError("mine"))
    assert isinstance(bad.items[-1], Trade)
    assert good.error is None
    ids = [int(trade.id) for trade in good.of(Trade)]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_alone_behind_a_retry_a_subscriber_that_raises_is_told_and_not_retried() -> None:
    watch = Watch()

    def raises(item: Event) -> None:
        watch.on_next(item)
        if isinstance(item, Trade):
            raise Disconnected("mine, whatever it looks like")

    with Twin("kraken", symbols=["BTC/USD"]) as twin:
        provider = Kraken(url=twin.url)
        feed = connect(provider, trades=["BTC/USD"])
        feed.pipe(retry_with_backoff(), normalize(provider)).subscribe(raises, watch.on_error)
        watch.until(lambda: watch.error)
        assert no_longer_connected(twin)
        assert twin.accepted == 1
    assert str(watch.error) == "mine, whatever it looks like"
    assert len(watch.of(Trade)) == 1


# -- leaving ---------------------------------------------------------------------------------------------


def descriptors() -> int:
    """How many files and sockets are open; 0 where the system does not say."""
    folder = Path("/proc/self/fd")
    return sum(1 for _ in folder.iterdir()) if folder.exists() else 0


def test_dispose_from_another_thread_closes_the_socket_and_ends_the_threads() -> None:
    watch = Watch()
    with Twin("kraken", symbols=["BTC/USD"]) as twin:
        before = descriptors()
        provider = Kraken(url=twin.url)
        feed = connect(provider, trades=["BTC/USD"])
        subscription = watched(feed.pipe(retry_with_backoff()), provider, watch, resync=feed.resync)
        watch.until(lambda: watch.of(Trade))
        thread = threading.Thread(target=subscription.dispose)
        thread.start()
        thread.join(PATIENCE)
        assert left_over() == []
        assert no_longer_connected(twin)
        assert descriptors() == before
        seen = len(watch.items)
        twin.advance(0.5)
    assert len(watch.items) == seen, "nothing comes to who has left"


@pytest.mark.parametrize("kind", [Status, Trade, Bar, BookState])
def test_dispose_from_inside_a_callback_is_the_end(kind: type) -> None:
    watch, subscribed = Watch(), threading.Event()

    def leave(item: object) -> None:
        watch.on_next(item)
        if isinstance(item, kind):
            subscribed.wait(PATIENCE)
            subscription.dispose()

    with Twin("kraken", symbols=["BTC/USD"]) as twin:
        provider = Kraken(url=twin.url)
        feed = connect(provider, trades=["BTC/USD"], books=["BTC/USD"])
        events: Observable[Event] = feed.pipe(retry_with_backoff(), normalize(provider), broadcast())
        made = reactivex.merge(events, events.pipe(window_to_bar(every=0.1)), events.pipe(book_apply()))
        subscription = made.subscribe(leave, watch.on_error)
        subscribed.set()
        watch.until(lambda: watch.of(kind))
        assert left_over() == []
        assert no_longer_connected(twin)
    assert isinstance(watch.items[-1], kind)
    assert watch.error is None


def test_dispose_while_waiting_for_the_next_attempt_leaves_no_timer() -> None:
    watch = Watch()
    with Twin("kraken", symbols=["BTC/USD"]) as twin:
        twin.refuse(PATIENCE)
        feed = connect(Kraken(url=twin.url), trades=["BTC/USD"])
        subscription = feed.pipe(retry_with_backoff(base=60, jitter=None)).subscribe(watch.on_next)
        watch.until(lambda: watch.items)
        subscription.dispose()
        assert left_over() == []
        assert twin.accepted == 0


def test_dispose_while_connecting_is_quick() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        feed = connect(Kraken(url=f"ws://127.0.0.1:{door.getsockname()[1]}/v2"), timeout=PATIENCE)
        subscription = feed.pipe(retry_with_backoff()).subscribe()
        with door.accept()[0]:  # and never a word
            began = time.monotonic()
            subscription.dispose()
            assert time.monotonic() - began < SOON


def test_take_ends_a_live_line_from_within() -> None:
    with Twin("kraken", symbols=["BTC/USD"]) as twin:
        provider = Kraken(url=twin.url)
        feed = connect(provider, trades=["BTC/USD"])
        trades = feed.pipe(retry_with_backoff(), normalize(provider), ops.filter(is_trade), ops.take(3))
        watch, over = Watch(), threading.Event()
        trades.subscribe(watch.on_next, watch.on_error, over.set)
        assert over.wait(PATIENCE)
        assert no_longer_connected(twin)
    assert len(watch.items) == 3


def is_trade(event: Event) -> bool:
    return isinstance(event, Trade)


# -- silence, and changes of mind ------------------------------------------------------------------------


def test_a_silent_line_is_noticed_left_and_made_anew() -> None:
    began, watch = time.time_ns(), Watch()

    def fast() -> int:  # five seconds of silence pass within a fraction of one
        return began + (time.time_ns() - began) * 20

    with Twin("kraken", symbols=["BTC/USD"]) as twin:
        provider = Kraken(url=twin.url)
        feed = connect(provider, trades=["BTC/USD"], clock=fast)
        frames = feed.pipe(retry_with_backoff(base=0.01, jitter=None))
        subscription = frames.pipe(normalize(provider)).subscribe(watch.on_next, watch.on_error)
        watch.until(lambda: watch.of(Trade))
        twin.silence(PATIENCE)
        watch.until(lambda: watch.of(Gap))
        twin.silence(0.0)
        watch.until(lambda: [gap for gap in watch.of(Gap) if gap.ts_end])
        subscription.dispose()
    assert "no answer to a ping" in watch.of(Gap)[0].reason


@BOTH
def test_wants_may_change_while_live_and_while_down(venue: str) -> None:
    watch = Watch()

    def of(symbol: str, epoch_from: int = 0) -> list[Trade]:
        return [each for each in watch.of(Trade) if each.symbol == symbol and each.ts_recv > epoch_from]

    with Twin(venue, symbols=(*SYMBOLS, "SOL/USD")) as twin:
        provider = speaker_of(venue, twin.url)
        feed = connect(provider, trades=["BTC/USD"])
        frames = feed.pipe(retry_with_backoff(base=0.1, cap=0.2, jitter=None, retries=None))
        subscription = frames.pipe(normalize(provider)).subscribe(watch.on_next, watch.on_error)
        watch.until(lambda: of("BTC/USD"))
        feed.add(trades=["ETH/USD"])
        watch.until(lambda: of("ETH/USD"))
        feed.remove(trades=["BTC/USD"])
        watch.until(lambda: watch.statuses("unsubscribed"))
        gone = watch.statuses("unsubscribed")[0]
        assert (gone.symbol, gone.kind) == ("BTC/USD", "trades")
        count = len(of("ETH/USD"))
        watch.until(lambda: len(of("ETH/USD")) > count + 3)
        assert not of("BTC/USD", gone.ts_recv)

        twin.refuse(PATIENCE)
        twin.disconnect()
        watch.until(lambda: watch.of(Gap))
        down = watch.of(Gap)[0].ts_recv
        feed.add(trades=["SOL/USD"])
        feed.remove(trades=["ETH/USD"])
        twin.refuse(0.0)
        watch.until(lambda: of("SOL/USD", down))
        subscription.dispose()
    assert {each.symbol for each in watch.of(Trade) if each.ts_recv > down} == {"SOL/USD"}
    assert feed.wanted.topics == {("trades", "SOL/USD")}


@BOTH
def test_a_resync_brings_one_fresh_book_and_leaves_the_others_alone(venue: str) -> None:
    watch = Watch()
    with Twin(venue, seed=5, symbols=SYMBOLS) as twin:
        provider = speaker_of(venue, twin.url)
        feed = connect(provider, books=SYMBOLS)
        subscription = watched(feed, provider, watch, resync=feed.resync)
        watch.subscribed(2)
        watch.until(lambda: len(snapshots(watch)) == 2)
        feed.resync("ETH/USD")
        watch.until(lambda: len(snapshots(watch)) == 3)
        count = len(watch.of(BookState))
        watch.until(lambda: len(watch.of(BookState)) > count + 10)
        subscription.dispose()
        assert twin.accepted == 1
    assert snapshots(watch)[-1].symbol == "ETH/USD"
    assert {book.status for book in watch.of(BookState) if book.symbol == "BTC/USD"} == {"live"}
    assert all(book.status == "live" for book in watch.of(BookState)[-5:])


def test_a_reconnect_that_we_ask_for_is_a_gap_like_any_other(tmp_path: Path) -> None:
    watch, path = Watch(), tmp_path / "day.tape"
    with Twin("kraken", symbols=["BTC/USD"]) as twin:
        provider = Kraken(url=twin.url)
        feed = connect(provider, trades=["BTC/USD"])
        frames = feed.pipe(record(path), retry_with_backoff(base=0.01, jitter=None))
        subscription = frames.pipe(normalize(provider)).subscribe(watch.on_next, watch.on_error)
        watch.until(lambda: watch.of(Trade))
        feed.reconnect()
        watch.until(lambda: len(watch.of(Gap)) == 2)
        subscription.dispose()
    kinds = [frame.kind for frame in tape.read(path) if frame.kind is not FrameKind.TEXT]
    assert kinds == [FrameKind.OPEN, FrameKind.CLOSE, FrameKind.OPEN]
    assert watch.of(Gap)[0].reason == "reconnect asked for"
