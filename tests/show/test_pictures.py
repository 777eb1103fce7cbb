"""What each view remembers, what it tells the browser, and what it draws for documents."""

from __future__ import annotations

import math
import re
import struct
import xml.etree.ElementTree as ElementTree
from array import array
from collections.abc import Callable
from typing import Any

import pytest
from reactivex import Observable, Subject

from rtflow import Bar, BookState, Gap, Lost, Malformed, OrderBook, Quote, Side, Stale, Status, Trade, show
from rtflow.book import BookStatus
from rtflow.events import Frame, FrameKind
from rtflow.show._picture import Message
from rtflow.show._view import View
from rtflow.testing import marble

SECOND = 10**9
NOON = 1_790_000_000 * SECOND


def book(
    at: float = 0.0,
    *,
    bid: float = 99.0,
    ask: float = 101.0,
    status: BookStatus = "live",
    symbol: str = "BTC/USD",
    venue: str = "kraken",
) -> BookState:
    stamp = NOON + round(at * SECOND)
    levels = OrderBook.of([(bid - n, 1.0 + n) for n in range(5)], [(ask + n, 2.0 + n) for n in range(5)])
    reason = "" if status == "live" else "the line was lost"
    return (levels if status == "live" else OrderBook()).view(
        symbol, stamp, stamp, status, venue, reason=reason
    )


def trade(at: float = 0.0, *, price: float = 100.0, side: Side = Side.BUY, symbol: str = "BTC/USD") -> Trade:
    stamp = NOON + round(at * SECOND)
    return Trade(symbol, stamp - 5_000_000, stamp, price, 0.25, side)


def bar(start: float = 0.0, *, close: float = 101.0, **more: Any) -> Bar:
    begin = NOON + round(start * SECOND)
    return Bar("BTC/USD", begin, begin + SECOND, 100.0, 103.0, 99.0, close, 4.0, 2, 8.0, **more)


def told(view: View, *, whole: bool = False) -> Message:
    return view._picture.message(whole=whole)


def words(view: View, width: int = 640) -> str:
    """All that a static picture says, once it is well-formed XML."""
    root = ElementTree.fromstring(view.svg(width=width))
    return " ".join(filter(None, (text.strip() for text in root.itertext())))


VIEWS: dict[str, tuple[Callable[..., View], list[Any]]] = {
    "candles": (show.candles, [bar(n) for n in range(40)]),
    "ladder": (show.ladder, [book()]),
    "depth": (show.depth, [book()]),
    "heatmap": (show.heatmap, [*(book(n / 4) for n in range(20)), *(trade(n / 3) for n in range(12))]),
    "spread": (show.spread, [book(n / 4, ask=101 + n % 3) for n in range(20)]),
    "tape": (show.tape, [trade(n) for n in range(20)]),
    "health": (show.health, [Status("open", NOON), *(trade(n) for n in range(20))]),
    "marbles": (show.marbles, [trade(n) for n in range(4)]),
}


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("width", [200, 400, 1200])
def test_every_view_draws_itself_within_its_width(name: str, width: int) -> None:
    make, items = VIEWS[name]
    root = ElementTree.fromstring(make(items).svg(width=width))
    right = 0.0
    for each in root.iter():
        place = float(each.get("x", "0")) + float(each.get("width", "0").rstrip("%"))
        right = max(right, place if each.tag.endswith(("rect", "image")) else 0.0)
    assert root.get("width") == str(width)
    assert right <= width + 1


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
def test_every_view_knows_light_and_dark(name: str, theme: Any) -> None:
    make, items = VIEWS[name]
    svg = make(items).svg(theme=theme)
    assert ("light-dark(" in svg) == (theme == "auto")
    assert ("#0b63ce" in svg) == (theme != "dark")


@pytest.mark.parametrize("name", VIEWS)
def test_an_empty_view_says_what_it_awaits(name: str) -> None:
    make, _ = VIEWS[name]
    waiting = make(Subject[Any]())
    assert "waiting for " in words(waiting)
    assert "never came" in words(make([]))
    assert told(waiting)["awaited"].startswith("waiting for ")
    assert told(waiting)["ended"] is False


@pytest.mark.parametrize("name", [name for name in VIEWS if name not in ("health", "marbles")])
def test_what_is_no_concern_of_a_view_is_counted_while_it_waits(name: str) -> None:
    make, _ = VIEWS[name]
    quote = Quote("BTC/USD", 1, 1, 1.0, 1.0, 2.0, 1.0)
    assert "so far came 2 Quote" in words(make([quote, quote]))


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("wrong", [None, 5, b"bytes", {"a": 1}])
def test_what_is_neither_a_stream_nor_items_is_refused_at_once(name: str, wrong: Any) -> None:
    make, _ = VIEWS[name]
    with pytest.raises(TypeError, match="an Observable, "):
        make(wrong)


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("rate", [0, -1, 21])
def test_a_view_changes_a_few_times_a_second(name: str, rate: float) -> None:
    make, items = VIEWS[name]
    with pytest.raises(ValueError, match="up to 20 times a second"):
        make(items, rate=rate)


# -- books -----------------------------------------------------------------------------------------------


def test_a_ladder_tells_the_levels_that_changed() -> None:
    view = show.ladder([book()], depth=2)
    assert told(view, whole=True)["bids"] == [(99.0, 1.0), (98.0, 2.0)]
    assert told(view)["bids"] == []
    view._picture.take(book(1, bid=99.5))
    changed = told(view)
    assert changed["bids"] == [(99.5, 1.0), (98.5, 2.0), (99.0, 0.0), (98.0, 0.0)]
    assert changed["asks"] == []
    assert changed["digits"] == [1, 0]


def test_a_ladder_takes_one_book_as_it_is() -> None:
    levels = OrderBook.of([(99.25, 1.0)], [(100.0, 2.5)])
    assert "order book" in words(show.ladder(levels))
    assert "99.25" in words(show.ladder(levels, symbol="BTC/USD"))
    assert "BTC/USD" in words(show.depth(levels, symbol="BTC/USD"))


def test_a_ladder_of_one_side_has_no_spread() -> None:
    assert "spread" not in words(show.ladder(OrderBook.of(bids=[(99.0, 1.0)])))


def test_a_dead_book_keeps_the_levels_it_showed_last_and_says_what_it_is() -> None:
    view = show.ladder([book(bid=98.0), book(), book(1, status="syncing")])
    told_so = told(view, whole=True)
    assert told_so["old"] is True
    assert told_so["bids"][0] == (99.0, 1.0)
    assert told_so["head"]["state"] == "syncing"
    assert told_so["head"]["tone"] == "warn"
    assert "kraken, the line was lost" in words(view)
    assert "99" in words(view)
    assert told(show.depth([book(), book(1, status="failed")]), whole=True)["old"] is True


def test_a_crossed_book_says_so() -> None:
    assert "crossed" in words(show.ladder([book(bid=102.0)]))


def test_of_several_books_the_first_is_followed_and_the_others_are_named() -> None:
    view = show.ladder([book(), book(symbol="ETH/USD"), *(book(symbol=f"S{n}") for n in range(30))])
    assert view._picture.head().title == "BTC/USD"
    assert (
        "also in the stream: kraken ETH/USD, kraken S0, kraken S1, kraken S2 … (choose by symbol= and venue=)"
        in words(view)
    )
    assert show.ladder([book(), book(symbol="ETH/USD")], symbol="ETH/USD")._picture.head().title == "ETH/USD"
    at_binance = show.ladder([book(), book(venue="binance", bid=55.0)], venue="binance")
    assert "55" in words(at_binance)


@pytest.mark.parametrize("make", [show.ladder, lambda items, depth: show.depth(items, levels=depth)])
def test_a_book_shows_one_level_or_more(make: Any) -> None:
    with pytest.raises(ValueError, match="one level or more"):
        make([], depth=0)


def test_depth_adds_up_from_the_touch() -> None:
    said = words(show.depth([book()]))
    assert "mid 100" in said
    assert "20" in said  # 2 + 3 + 4 + 5 + 6 asks, the most


def test_depth_of_a_single_level_of_a_side_and_of_no_level() -> None:
    assert "100" in words(show.depth(OrderBook.of(asks=[(100.0, 1.0)])))
    assert "live" in words(show.depth(OrderBook().view("A", 1, 1)))


def test_the_mid_is_labelled_where_there_is_room() -> None:
    lopsided = OrderBook.of([(1.0, 1.0), (99.0, 1.0)], [(100.0, 1.0)])
    svg = show.depth(lopsided).svg()
    assert re.search(r'text-anchor="end">mid 99.5<', svg)


# -- heatmap ---------------------------------------------------------------------------------------------


def test_a_heatmap_has_a_column_for_each_stretch_of_time() -> None:
    view = show.heatmap([book(0), book(0.1, bid=98.0), book(1.0)], every=0.5, tick=1.0)
    message = told(view, whole=True)
    slot = NOON // (SECOND // 2)
    assert [column[0] for column in message["columns"]] == [slot, slot + 1, slot + 2]
    sizes = array("f", message["sizes"])
    assert len(sizes) == 3 * message["rows"]
    first = dict(enumerate(sizes[: message["rows"]], message["columns"][0][1]))
    assert {price: size for price, size in first.items() if size} == {
        **{98 - n: 1.0 + n for n in range(5)},
        **{101 + n: -2.0 - n for n in range(5)},
    }


def test_a_heatmap_tells_new_columns_and_the_one_that_is_still_written() -> None:
    view = show.heatmap([book(0), book(1)], [trade()], every=0.5)
    assert len(told(view, whole=True)["columns"]) == 3
    assert len(told(view)["columns"]) == 1
    view._picture.take(book(1.5))
    view._picture.take(trade(1.5, side=Side.SELL))
    view._picture.take(trade(1.5, symbol="ETH/USD"))
    message = told(view)
    assert len(message["columns"]) == 2
    slot = NOON // (SECOND // 2)
    assert message["trades"] == [[slot + 3, [[100.0, 0.25, -1]]]]
    view._picture.take(trade(1.6, side=Side.SELL))
    assert told(view)["trades"] == [[slot + 3, [[100.0, 0.5, -1]]]]
    assert [each[0] for each in told(view, whole=True)["trades"]] == [slot, slot + 3]


def test_a_heatmap_forgets_what_is_too_long_ago() -> None:
    view = show.heatmap([book(n) for n in range(100)], [trade(n) for n in range(30)], every=1.0, history=10)
    assert len(told(view, whole=True)["trades"]) == 10
    assert len(told(view, whole=True)["columns"]) == 10
    assert len(told(show.heatmap([book(0), book(1e6)], every=1.0, history=10), whole=True)["columns"]) == 10


def test_a_heatmap_leaves_a_dead_book_blank_and_marks_it() -> None:
    view = show.heatmap([book(0), book(5, status="syncing"), book(10), book(12)], every=0.25)
    live = [column[2] for column in told(view, whole=True)["columns"]]
    assert live.count(False) == 20
    assert "not live" in words(view)
    assert "not live" not in words(show.heatmap([book(0), book(5, status="syncing"), book(5.3), book(50)]))
    assert "not live" in words(show.heatmap([book(status="syncing")]))


def test_a_heatmap_of_one_side_has_a_column_too() -> None:
    for levels in (OrderBook.of(bids=[(99.0, 1.0)]), OrderBook.of(asks=[(99.0, 1.0)])):
        sizes = array("f", told(show.heatmap([levels]), whole=True)["sizes"])
        assert [abs(size) for size in sizes if size] == [1.0]


def test_a_heatmap_shows_the_prices_around_the_mid() -> None:
    sizes = array("f", told(show.heatmap([book()], tick=0.1), whole=True)["sizes"])
    assert sorted(size for size in sizes if size) == [-4.0, -3.0, -2.0, 1.0, 2.0, 3.0]


def test_pixels_of_a_heatmap_are_a_png() -> None:
    svg = show.heatmap([book(n) for n in range(4)], [trade(1), trade(2, side=Side.UNKNOWN)], every=1.0).svg()
    found = re.search(r'href="data:image/png;base64,([^"]+)"', svg)
    assert found is not None
    import base64

    image = base64.b64decode(found[1])
    assert image.startswith(b"\x89PNG")
    assert struct.unpack(">II", image[16:24])[0] == 4


@pytest.mark.parametrize("wrong", [{"every": 0.0}, {"history": 0}, {"tick": 0.0}])
def test_options_of_a_heatmap_are_positive(wrong: Any) -> None:
    with pytest.raises(ValueError, match="positive"):
        show.heatmap([], **wrong)


# -- spread ----------------------------------------------------------------------------------------------


def points(message: Message) -> list[tuple[float, float, float]]:
    values = array("d", message["points"])
    return list(zip(values[::3], values[1::3], values[2::3], strict=True))


def test_a_spread_tells_each_point_once_and_the_last_again() -> None:
    view = show.spread([book(0), book(1), book(2)], every=0.5)
    assert [bid for _, bid, _ in points(told(view, whole=True))] == [99.0] * 3
    view._picture.take(book(2.1, bid=98.0))
    view._picture.take(book(3))
    assert [bid for _, bid, _ in points(told(view))] == [98.0, 99.0]


def test_a_spread_has_no_point_where_the_book_was_not_live() -> None:
    view = show.spread([book(0), book(1, status="suspect"), book(2, status="suspect"), book(3), book(4)])
    assert [math.isnan(bid) for _, bid, _ in points(told(view, whole=True))] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert "not live" in words(view)
    assert "not live" in words(
        show.spread([book(0), book(1), book(5, status="suspect"), book(20, status="suspect")])
    )
    assert "not live" not in words(show.spread([book(0, status="suspect")]))
    assert "spread" in words(show.spread([book(0)]))
    assert "median" not in words(show.spread([book(0), book(1, status="failed")]))


def test_a_spread_says_how_wide_it_is() -> None:
    assert "kraken, spread 2 (200.00 bps), median 2" in words(show.spread([book(0), book(1)]))


def test_a_spread_keeps_so_many_points() -> None:
    view = show.spread([book(n) for n in range(50)], history=20)
    assert len(points(told(view, whole=True))) == 20


def test_a_long_spread_is_drawn_by_its_widest_points() -> None:
    states = [book(n / 10, ask=150.0 if n == 333 else 101.0) for n in range(1000)]
    assert "60" in words(show.spread(states), width=200)


@pytest.mark.parametrize("wrong", [{"every": 0.0}, {"history": 0}])
def test_options_of_a_spread_are_positive(wrong: Any) -> None:
    with pytest.raises(ValueError, match="positive"):
        show.spread([], **wrong)


# -- candles ---------------------------------------------------------------------------------------------


def test_candles_tell_the_bars_that_changed() -> None:
    view = show.candles([bar(0), bar(1, final=False, close=100.0)])
    assert [row[6] for row in told(view, whole=True)["bars"]] == ["", "f"]
    assert told(view)["bars"] == []
    view._picture.take(bar(1, close=99.0, gap=True, partial="start"))
    view._picture.take(bar(2, synthetic=True))
    assert [(row[4], row[6]) for row in told(view)["bars"]] == [(99.0, "gp"), (101.0, "s")]


def test_a_revision_replaces_what_it_revises() -> None:
    view = show.candles([bar(0), bar(0, revision=1, close=99.0), bar(0, revision=1, close=99.0)])
    assert [row[4] for row in told(view, whole=True)["bars"]] == [99.0]


def test_bars_that_began_at_one_moment_stand_beside_each_other() -> None:
    first = bar(0)
    second = Bar("BTC/USD", first.start, first.end + 5, 1.0, 1.0, 1.0, 1.0, 1.0, 1, 1.0)
    assert len(told(show.candles([first, second]), whole=True)["bars"]) == 2


def test_candles_keep_so_many_bars() -> None:
    view = show.candles([bar(n) for n in range(50)], history=20)
    assert len(told(view, whole=True)["bars"]) == 20
    with pytest.raises(ValueError, match="one bar or more"):
        show.candles([], history=0)


def test_candles_of_another_symbol_are_named_and_left_out() -> None:
    other = [Bar(f"S{n}", 0, 60, 1.0, 1.0, 1.0, 1.0, 1.0, 1, 1.0) for n in range(30)]
    view = show.candles([bar(), *other], symbol="BTC/USD")
    assert len(told(view, whole=True)["bars"]) == 1
    assert "also in the stream: S0, S1, S2, S3 …" in words(view)


def test_candles_mark_gaps_and_say_how_the_last_bar_stands() -> None:
    assert "gap" in words(show.candles([bar(0), bar(1, gap=True)]))
    assert "trades may be missing here" in words(
        show.candles([bar(0, gap=True), *(bar(n) for n in range(1, 90))])
    )
    assert "forming" in words(show.candles([bar(0, final=False)]))
    falling = [bar(n, close=99.5, final=n < 3) for n in range(300)]
    assert "final" in words(show.candles([*falling, bar(301, close=100.0, synthetic=True)]), width=400)
    flat = Bar("A", NOON, NOON + SECOND, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0.0)
    assert "A" in words(show.candles([flat]))


# -- tape ------------------------------------------------------------------------------------------------


def test_a_tape_tells_new_rows_only_and_counts_all() -> None:
    view = show.tape([trade(n) for n in range(50)], rows=3)
    assert [row[0] for row in told(view, whole=True)["rows"]] == [48, 49, 50]
    view._picture.take(trade(51, price=100.125))
    message = told(view)
    assert [row[0] for row in message["rows"]] == [51]
    assert message["digits"] == [3, 2]
    assert message["head"]["note"] == "51 trades"


def test_a_tape_says_where_trades_may_be_missing() -> None:
    items = [
        trade(0),
        Gap(NOON, None, 1, NOON, "cut"),
        Gap(NOON, NOON + SECOND, 1, NOON, ""),
        Lost("BTC/USD", "Trade", 7, NOON, NOON, "handoff", NOON),
    ]
    said = words(show.tape(items))
    assert "gap begins: cut" in said
    assert "gap of 1.000 s" in said
    assert "lost: 7 Trade in handoff" in said
    assert told(show.tape(items[:2]), whole=True)["head"]["state"] == "line lost"
    assert [len(row) for row in told(show.tape(items), whole=True)["rows"]] == [6, 2, 2, 2]


def test_a_tape_of_one_symbol_leaves_others_out() -> None:
    items = [trade(0), trade(1, symbol="ETH/USD"), trade(2, side=Side.UNKNOWN), trade(3, side=Side.SELL)]
    assert show.tape(items)._picture.head().title == "trades"
    assert show.tape(items, symbol="BTC/USD")._picture.head() == ("BTC/USD", "3 trades", "", "quiet")
    with pytest.raises(ValueError, match="one row or more"):
        show.tape([], rows=0)


# -- health ----------------------------------------------------------------------------------------------


def test_health_counts_kinds_and_says_how_late_they_are() -> None:
    view = show.health([trade(n / 10) for n in range(300)])
    (row,) = told(view, whole=True)["kinds"]
    assert row == ["Trade", 300, 10.0, 5.0, 5.0]
    assert told(view)["kinds"] == []
    view._picture.take(trade(30))
    view._picture.take(bar())  # an older stamp counts where we are
    message = told(view)
    assert [each[0] for each in message["kinds"]] == ["Trade", "Bar"]
    assert message["seconds"] == [[NOON // SECOND + 29, 10], [NOON // SECOND + 30, 2]]


def test_health_remembers_one_minute_and_a_dozen_kinds() -> None:
    view = show.health([trade(n) for n in range(100)])
    assert len(told(view, whole=True)["seconds"]) == 60
    many = [type(f"Kind{n}", (), {})() for n in range(20)]
    assert [row[0] for row in told(show.health(many), whole=True)["kinds"]][-1] == "others"


def test_health_tells_the_story_of_the_line() -> None:
    story = [
        Status("open", NOON, epoch=1),
        Status("heartbeat", NOON),
        Status("subscribed", NOON, symbol="BTC/USD", kind="trades"),
        Status("closed", NOON, text="1006"),
        Gap(NOON, None, 1, NOON, "cut"),
        Status("retrying", NOON, attempt=2, wait=1.5),
        Status("open", NOON, epoch=2),
        Gap(NOON, NOON + 2 * SECOND, 1, NOON, "cut"),
        Lost("", "Trade", 7, NOON, NOON, "handoff"),
        Stale(NOON, 5.0, action="resync"),
        Malformed(Frame(FrameKind.TEXT, b"", NOON), "no price", NOON),
    ]
    states = []
    view = show.health(Subject[Any]())
    for item in story:
        view._picture.take(item)
        states.append(view._picture.head().state)
    assert states == [
        *["connected"] * 3,
        "disconnected",
        "line lost",
        "reconnecting, attempt 2",
        *["connected"] * 5,
    ]
    facts = {name: (words, tone) for name, words, tone in told(view, whole=True)["facts"]}
    assert facts == {
        "connections": ("2", "warn"),
        "gaps": ("1 (2.0 s)", "warn"),
        "lost": ("7", "bad"),
        "malformed": ("1", "bad"),
        "stale": ("1", "warn"),
    }
    log = [line[3] for line in told(view, whole=True)["log"]]
    assert log[-3:] == ["lost 7 Trade in handoff", "stream silent for 5.0 s: resync", "malformed: no price"]
    assert "malformed: no price" in words(view)


def test_health_says_no_word_twice_and_a_colon_before_the_reason() -> None:
    story = [
        Status("authenticated", NOON, "authenticated"),
        Status("rejected", NOON, "no such pair A/B", symbol="A/B", kind="trades"),
        Status("closed", NOON, "1006"),
        Status("retrying", NOON, "gone", attempt=2, wait=1.5),
        Stale(NOON, 5.0),
    ]
    log = [line[3] for line in told(show.health(story), whole=True)["log"]]
    assert log == [
        "authenticated",
        "rejected trades A/B: no such pair",
        "closed: 1006",
        "retrying attempt 2 in 1.50 s: gone",
        "stream silent for 5.0 s",
    ]


def test_a_gap_that_ends_without_a_status_ends_the_alarm() -> None:
    view = show.health([Gap(NOON, None, 1, NOON, "cut"), Gap(NOON, NOON + SECOND, 1, NOON, "cut")])
    assert view._picture.head().state == "connected"


def test_a_connection_of_several_that_is_lost_is_no_alarm_while_others_serve() -> None:
    lost = Gap(NOON, None, 1, NOON, "cut", symbols=("A",))
    view = show.health([Status("joined", NOON), Status("parted", NOON), lost])
    assert view._picture.head().state == "connected"


# -- marbles ---------------------------------------------------------------------------------------------


def test_marbles_are_drawn_of_texts_and_of_what_came_of_them() -> None:
    timed = marble("--a-b--#", error=ValueError("no"))
    view = show.marbles("--a-b|", came=timed, none=marble("--x"))
    message = told(view, whole=True)
    assert message["lanes"] == ["1", "came", "none"]
    assert [look[1:] for look in message["marbles"]["1"]] == [
        ["circle", "bid", "a"],
        ["circle", "bid", "b"],
        ["end", "ink", ""],
    ]
    assert message["marbles"]["came"][-1][1:] == ["error", "bad", "ValueError"]
    assert message["marbles"]["came"][0][0] == 0.2
    assert message["clock"] is False
    assert "200ms" in words(view)
    assert told(view)["marbles"] == {}


def test_marbles_have_the_looks_of_their_kinds() -> None:
    quote = Quote("A", NOON, NOON, 1.0, 1.0, 2.0, 1.0)
    items = [
        trade(0),
        trade(1, side=Side.SELL),
        bar(),
        Gap(NOON, None, 1, NOON),
        Status("open", NOON),
        quote,
        5,
        2.5,
        "x",
        book(),
    ]
    looks = [look[1:] for look in told(show.marbles(items), whole=True)["marbles"]["1"]]
    assert looks == [
        ["circle", "bid", "100"],
        ["circle", "ask", "100"],
        ["square", "other", "101"],
        ["hole", "warn", "Gap"],
        ["square", "faint", "open"],
        ["circle", "bid", "1|2"],
        ["circle", "bid", "5"],
        ["circle", "bid", "2.5"],
        ["circle", "bid", "x"],
        ["circle", "bid", "BookState"],
    ]
    assert "square" in str(told(show.marbles(items, label=lambda item: "?"), whole=True)["marbles"])
    assert ElementTree.fromstring(show.marbles(items).svg()) is not None
    assert ElementTree.fromstring(show.marbles("-a#").svg()) is not None


def test_marbles_of_streams_show_the_last_seconds() -> None:
    trades, bars = Subject[Any](), Subject[Any]()
    view = show.marbles(trades=trades, bars=bars, seconds=5.0)
    for n in range(20):
        trades.on_next(trade(n))
    start, end = told(view, whole=True)["window"]
    assert end - start == 5.0
    assert told(view, whole=True)["clock"] is True
    bars.on_error(ValueError("no"))
    assert told(view)["marbles"]["bars"][0][1:] == ["error", "bad", "ValueError"]
    assert repr(view) == "<show.marbles live>"
    trades.on_completed()
    assert repr(view) == "<show.marbles ended>"
    assert "20 marbles" in words(view)


def test_a_lane_that_ends_before_anything_came_ends_now() -> None:
    source = Subject[Any]()
    view = show.marbles(source)
    source.on_completed()
    assert told(view, whole=True)["marbles"]["1"][0][1] == "end"
    numbers = Subject[Any]()
    watched = show.marbles(numbers)
    numbers.on_next(5)
    assert "1 marble" in words(watched)


def test_marbles_need_a_lane_and_some_seconds() -> None:
    with pytest.raises(ValueError, match="drawn on lanes"):
        show.marbles()
    with pytest.raises(ValueError, match="some seconds"):
        show.marbles("-a", seconds=0.0)
    with pytest.raises(NotImplementedError, match="lane"):
        show.marbles("-a")._picture.take(1)


def test_a_view_is_typed_to_take_streams() -> None:
    source: Observable[BookState] = Subject[BookState]()
    assert repr(show.ladder(source)) == "<show.ladder live>"
