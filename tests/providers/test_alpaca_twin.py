"""Alpaca's provider and its twin over real sockets: options, news and stocks as the market made them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from reactivex import abc

from rtflow.errors import Rejected, Throttled, Unsupported
from rtflow.events import Gap, Malformed, News, Quote, Trade
from rtflow.operators._normalize import normalize
from rtflow.operators._retry_with_backoff import retry_with_backoff
from rtflow.providers import Alpaca
from rtflow.time import parse
from rtflow.transport import Feed, connect
from rtflow.twin import Twin
from rtflow.twin.ledger import Contract, contracts
from rtflow.twin.market import Move
from tests.watching import Watch, left_over

START = parse("2026-09-25T17:48:20Z")
STOCKS = ["AAPL", "GME"]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert left_over() == []


def twin_of(feed: str, **options: Any) -> Twin:
    """A market that stands still until it is told to move on."""
    return Twin("alpaca", seed=3, symbols=STOCKS, feed=feed, start=START, warmup=0.0, pace=0.0, **options)


def alpaca(twin: Twin, feed: str, **options: Any) -> Alpaca:
    return Alpaca("key", "secret", feed=feed, url=twin.url, **options)


def watched(feed: Feed, watch: Watch, retries: int | None = None) -> abc.DisposableBase:
    """The events of a feed that comes back."""
    frames = feed.pipe(retry_with_backoff(base=0.05, cap=0.2, jitter=None, retries=retries))
    return frames.pipe(normalize(feed.provider)).subscribe(watch.on_next, watch.on_error)


def chains(twin: Twin) -> dict[str, tuple[Contract, ...]]:
    return {each.symbol: contracts(each, START) for each in twin.market.listings.values()}


def quoted(moves: list[Move], options: tuple[Contract, ...]) -> list[tuple[object, ...]]:
    """What there is to be quoted of these options: their touches, where those changed."""
    touches: dict[str, tuple[int, int, int, int]] = {}
    quotes: list[tuple[object, ...]] = []
    for move in moves:
        for option in options:
            if option.stock != move.symbol or not move.touched:
                continue
            touch = option.touch(move, 100)
            if touches.get(option.symbol) != touch:
                touches[option.symbol] = touch
                bid, bid_size, ask, ask_size = touch
                sides = (bid / 100, float(bid_size)) if bid else (None, None)
                quotes.append((option.symbol, move.stamp, *sides, ask / 100, float(ask_size)))
    return quotes


def traded(moves: list[Move], all_of_them: dict[str, tuple[Contract, ...]]) -> list[tuple[object, ...]]:
    """The trades of options that these moves made: one for each fourth of a stock's, at the touch."""
    trades: list[tuple[object, ...]] = []
    for move in moves:
        chain = all_of_them[move.symbol]
        for fill in move.trades:
            if fill.id % 4 == 0:
                option = chain[fill.id // 4 % len(chain)]
                bid, _, ask, _ = option.touch(move, 100)
                if price := ask if fill.side > 0 else bid:
                    trades.append((option.symbol, fill.stamp, price / 100, 1.0 + fill.size // 100))
    return trades


def told(watch: Watch) -> list[tuple[object, ...]]:
    return [(each.symbol, each.ts_event, each.price, each.size) for each in watch.of(Trade)]


@pytest.mark.parametrize("feed", ["opra", "indicative"])
def test_every_trade_and_every_quote_of_options_arrives_also_after_a_disconnect(feed: str) -> None:
    watch = Watch()
    with twin_of(feed) as twin:
        options = chains(twin)["AAPL"]
        symbols = [each.symbol for each in options]
        live = connect(alpaca(twin, feed), trades="*", quotes=symbols)
        subscription = watched(live, watch)
        watch.subscribed(1 + len(symbols))
        twin.advance(5.0)
        before = twin.moves
        trades, quotes = traded(before, chains(twin)), quoted(before, options)
        watch.until(lambda: len(watch.of(Trade)) == len(trades) and len(watch.of(Quote)) == len(quotes))
        twin.disconnect()
        watch.subscribed(1 + len(symbols), epoch=2)
        twin.advance(5.0)
        after = twin.moves[len(before) :]
        trades += traded(after, chains(twin))
        quotes += quoted(after, options)
        watch.until(lambda: len(watch.of(Trade)) == len(trades) and len(watch.of(Quote)) == len(quotes))
        subscription.dispose()
    assert told(watch) == trades
    assert [
        (each.symbol, each.ts_event, each.bid, each.bid_size, each.ask, each.ask_size)
        for each in watch.of(Quote)
    ] == quotes
    assert len(trades) > 5
    assert any(each.bid is None for each in watch.of(Quote)), "what is worth nothing has no bid"
    assert {each.symbol[:3] for each in watch.of(Trade)} == {"AAP", "GME"}
    assert {(each.side, each.id, each.venue) for each in watch.of(Trade)} == {(0, "", "alpaca")}
    assert [gap.ts_end is None for gap in watch.of(Gap)] == [True, False]
    assert not watch.of(Malformed)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_every_trade_of_stocks_arrives_in_either_encoding(encoding: Literal["json", "msgpack"]) -> None:
    watch = Watch()
    with twin_of("iex") as twin:
        live = connect(alpaca(twin, "iex", encoding=encoding), trades="*")
        subscription = watched(live, watch)
        watch.subscribed(1)
        twin.advance(20.0)
        made = twin.trades
        watch.until(lambda: len(watch.of(Trade)) == len(made))
        subscription.dispose()
    assert [(each.symbol, each.ts_event, each.price, each.size, each.id) for each in watch.of(Trade)] == [
        (fill.symbol, fill.stamp, fill.price / 100, float(fill.size), f"V:{fill.id}") for fill in made
    ]
    assert len(made) > 50


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_news_arrive_whole_and_once(encoding: Literal["json", "msgpack"]) -> None:
    everything, some = Watch(), Watch()
    with twin_of("news") as twin:
        first = watched(connect(alpaca(twin, "news", encoding=encoding), news=["*", "AAPL"]), everything)
        other = Alpaca("other", "secret", feed="news", url=twin.url)
        second = watched(connect(other, news=["GME", "TSLA"]), some)
        everything.subscribed(2)
        some.subscribed(2)
        twin.provoke("news", headline="An Apple A Day", symbols=["AAPL"])
        twin.provoke("news", headline="Both Of Them", symbols=["GME", "AAPL"])
        twin.provoke("news", headline="A Quiet Day", symbols=[])
        everything.until(lambda: len(everything.of(News)) == 3)
        some.until(lambda: some.of(News))
        first.dispose()
        second.dispose()
    said = [(each.headline, each.symbols) for each in everything.of(News)]
    assert said == [("An Apple A Day", ("AAPL",)), ("Both Of Them", ("AAPL", "GME")), ("A Quiet Day", ())]
    article = everything.of(News)[0]
    assert article == News(
        ("AAPL",),
        START,
        article.ts_recv,
        article.id,
        "An Apple A Day",
        "Nothing has happened to AAPL.",
        "<p>Nothing has happened to AAPL, and it is not known when it will.</p>",
        "Twin Newsdesk",
        f"https://news.example/{article.id}",
        "twin",
        START,
        "alpaca",
    )
    assert [each.headline for each in some.of(News)] == ["Both Of Them"]


def test_an_article_that_was_put_right_comes_again_under_its_id() -> None:
    watch = Watch()
    with twin_of("news", tick=60.0) as twin:
        subscription = watched(connect(alpaca(twin, "news"), news="*"), watch)
        watch.subscribed(1)
        twin.advance(3600.0)
        watch.until(lambda: [each for each in watch.of(News) if each.ts_event > each.ts_created])
        subscription.dispose()
    corrected = next(each for each in watch.of(News) if each.ts_event > each.ts_created)
    original = next(each for each in watch.of(News) if each.id == corrected.id)
    assert (original.ts_event, corrected.headline) == (corrected.ts_created, f"{original.headline} (Updated)")


# --- what the venue does wrong, or we do ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (407, "407 slow client: we read slower than the venue sends, and its buffer is full"),
        (500, "500 internal error"),
    ],
)
def test_an_error_that_may_pass_is_a_gap_and_a_new_connection(code: int, said: str) -> None:
    watch = Watch()
    with twin_of("opra") as twin:
        subscription = watched(connect(alpaca(twin, "opra"), trades="*"), watch)
        watch.subscribed(1)
        twin.provoke("error", code=code)
        watch.subscribed(1, epoch=2)
        twin.advance(5.0)
        watch.until(lambda: len(watch.of(Gap)) == 2)
        assert twin.accepted == 2
        subscription.dispose()
    assert [each.text for each in watch.statuses("venue") if each.text.startswith(str(code))]
    assert watch.of(Gap)[0].reason == said
    assert watch.error is None


@pytest.mark.parametrize("code", [402, 409, 411, 412])
def test_an_error_about_what_we_are_is_the_end(code: int) -> None:
    watch = Watch()
    with twin_of("opra") as twin:
        watched(connect(alpaca(twin, "opra"), trades="*"), watch)
        watch.subscribed(1)
        twin.provoke("error", code=code)
        watch.until(lambda: watch.error)
        assert twin.accepted == 1
    assert isinstance(watch.error, Rejected)
    assert watch.error.code == code
    assert [each.text.split()[0] for each in watch.statuses("rejected")] == [str(code)]


def test_an_error_about_nothing_we_asked_is_said_and_changes_nothing() -> None:
    watch = Watch()
    with twin_of("opra") as twin:
        subscription = watched(connect(alpaca(twin, "opra"), trades="*"), watch)
        watch.subscribed(1)
        twin.provoke("error", code=413)
        watch.until(lambda: watch.statuses("rejected"))
        twin.advance(5.0)
        watch.until(lambda: watch.of(Trade))
        subscription.dispose()
        assert twin.accepted == 1
    assert watch.statuses("rejected")[0].text == "413 star subscription is not allowed for option quotes"


def test_a_bad_key_is_rejected_with_what_to_do_about_it() -> None:
    watch = Watch()
    with twin_of("news", keys={"right": "secret"}) as twin:
        watched(connect(Alpaca("wrong", "hidden", feed="news", url=twin.url), news="*"), watch)
        watch.until(lambda: watch.error)
    assert isinstance(watch.error, Rejected)
    assert str(watch.error) == "402 auth failed: check key and secret"
    assert "hidden" not in repr(watch.items)


def test_a_feed_that_the_plan_lacks_is_rejected() -> None:
    watch = Watch()
    with twin_of("overnight", feeds={"iex"}) as twin:
        watched(connect(alpaca(twin, "overnight", auth="headers"), trades="*"), watch)
        watch.until(lambda: watch.error)
    assert str(watch.error) == "409 insufficient subscription: your plan does not cover this feed"


def test_a_second_connection_waits_until_there_is_room() -> None:
    first, second = Watch(), Watch()
    with twin_of("news") as twin:
        one = watched(connect(alpaca(twin, "news"), news="*"), first)
        first.subscribed(1)
        two = connect(alpaca(twin, "news"), news="*")
        two.pipe(normalize(two.provider)).subscribe(second.on_next, second.on_error)
        second.until(lambda: second.error)
        one.dispose()
    assert isinstance(second.error, Throttled)
    assert second.error.retry_after == 1.0


def test_what_the_plan_does_not_allow_is_refused_here_or_by_the_venue() -> None:
    watch = Watch()
    with twin_of("iex", symbol_limit=2) as twin:
        with pytest.raises(Unsupported, match="allows 2 trades and quotes together on iex, and not 3"):
            connect(alpaca(twin, "iex", symbol_limit=2), trades=["AAPL", "GME"], quotes=["GME"])
        with pytest.raises(Unsupported, match="no '\\*' for the quotes of options"):
            connect(alpaca(twin, "opra"), quotes="*")
        live = connect(alpaca(twin, "iex"), trades=["AAPL", "GME"])
        subscription = watched(live, watch)
        watch.subscribed(2)
        live.add(quotes=["GME"])
        watch.until(lambda: watch.statuses("rejected"))
        watch.until(lambda: live.wanted.symbols("quotes") == ())
        twin.advance(5.0)
        watch.until(lambda: watch.of(Trade))
        subscription.dispose()
        assert twin.accepted == 1
    said = [(each.kind, each.symbol, each.text) for each in watch.statuses("rejected")]
    assert ("quotes", "GME", "405 symbol limit exceeded") in said


def test_a_harmed_message_is_malformed_and_the_feed_goes_on() -> None:
    watch = Watch()
    with twin_of("opra", tick=0.001) as twin:
        subscription = watched(connect(alpaca(twin, "opra"), trades="*"), watch)
        watch.subscribed(1)
        twin.corrupt()
        twin.advance(10.0)
        expected = traded(twin.moves, chains(twin))
        watch.until(lambda: watch.of(Trade) and told(watch)[-1] == expected[-1])
        subscription.dispose()
    assert len(watch.of(Malformed)) == 1
    assert told(watch) == expected[-len(told(watch)) :]
