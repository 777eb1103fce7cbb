"""What a person sees: an item is one line, JSON keeps every nanosecond, and a screen fits its terminal."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from rtflow.book import BookState
from rtflow.counters import Counters
from rtflow.errors import Rejected
from rtflow.events import (
    Bar,
    Event,
    Frame,
    FrameKind,
    Gap,
    Lost,
    Malformed,
    OrderBookUpdate,
    Quote,
    Side,
    Stale,
    Status,
    Ticker,
    Trade,
)
from rtflow.operators._book_apply import book_apply
from rtflow.terminal import Item, Lines, Places, Screen, Tally, Terminal, json_of, line_of

SECOND = 1_000_000_000
TRADE = Trade("BTC/USD", 5 * SECOND, 5 * SECOND, 64_991.5, 0.25, Side.SELL)
BAR = Bar("BTC/USD", 4 * SECOND, 5 * SECOND, 1.0, 3.0, 1.0, 2.0, 4.0, 2, 8.0, partial="start", gap=True)
CUT = Gap(SECOND, None, 1, 2 * SECOND, "cut")
MENDED = Gap(SECOND, 3 * SECOND, 1, 3 * SECOND, "cut")


QUOTE = Quote("BTC/USD", SECOND, SECOND, 64_989.6, 0.5, None, None)


def book(symbol: str = "BTC/USD", *, live: bool = True, levels: int = 2) -> BookState:
    """A state as book_apply makes them."""
    kernel = book_apply().kernel()
    bids = tuple((10.0 - each, each + 1.0) for each in range(levels))
    update = OrderBookUpdate(symbol, 1, 1, bids, ((11.0, 4.0),), snapshot=True)
    made = list(kernel.push(update))
    return made[-1] if live else list(kernel.push(CUT))[-1]


def console(width: int = 120, height: int = 40) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, highlight=False)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("item", "line"),
    [
        (TRADE, "Trade 00:00:05.000 BTC/USD sell 0.25 @ 64991.5"),
        (
            BAR,
            "Bar 00:00:04.000 BTC/USD open=1 high=3 low=1 close=2 volume=4 count=2 gap partial start",
        ),
        (CUT, "Gap 00:00:02.000 from 00:00:01.000 on: cut"),
        (MENDED, "Gap 00:00:03.000 from 00:00:01.000 to 00:00:03.000 (2.000 s): cut"),
        (Status("subscribed", 0, symbol="A", kind="trades"), "Status 00:00:00.000 subscribed trades A"),
        (
            Status("retrying", 0, "gone", attempt=2, wait=1.5),
            "Status 00:00:00.000 retrying attempt 2 in 1.50 s: gone",
        ),
        (Lost("", "frames", 3, 0, 0, "ring"), "Lost 00:00:00.000 3 frames in the ring"),
        (Malformed(Frame(FrameKind.TEXT, b"", 0), "no JSON", 0), "Malformed 00:00:00.000 no JSON"),
        (QUOTE, "Quote 00:00:01.000 BTC/USD 0.5 64989.6 | - -"),
        (
            Ticker("A", 0, SECOND, last=1.5, window="day"),
            "Ticker 00:00:01.000 A last=1.5 window=day",
        ),
        (Stale(SECOND, 2.5), "Stale 00:00:01.000 silent_for=2.5 tier=stream"),
        (
            Status("venue", 0, "two\nlines \x1b[2J\x9b", venue="x"),
            "Status 00:00:00.000 venue: two\N{REPLACEMENT CHARACTER}lines "
            "\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}",
        ),
        (book(), "BookState 00:00:00.000 BTC/USD live 1 10 | 11 4"),
        (book(live=False), "BookState 00:00:02.000 BTC/USD syncing - - | - -: cut"),
    ],
)
def test_an_item_is_one_line_with_its_type_first(item: Item, line: str) -> None:
    assert line_of(item) == line


@pytest.mark.parametrize("item", [TRADE, BAR, CUT, MENDED, QUOTE, Status("open", 1_790_358_506_844_359_567)])
def test_a_line_of_json_is_the_event_again_to_the_nanosecond(item: Event) -> None:
    line = json_of(item)
    assert "\n" not in line
    assert msgspec.json.decode(line, type=Event) == item


def test_a_book_in_json_has_its_levels_and_its_state() -> None:
    told = msgspec.json.decode(json_of(book()))
    assert (told["type"], told["status"]) == ("BookState", "live")
    assert (told["bids"], told["asks"]) == ([[10.0, 1.0], [9.0, 2.0]], [[11.0, 4.0]])
    assert "reason" not in told
    assert msgspec.json.decode(json_of(book(live=False)))["reason"] == "cut"


def test_lines_leave_one_by_one_and_are_counted() -> None:
    words, json = console(), console()
    for view in (Lines(words), Lines(json, json_of)):
        with view.on():
            view.show(TRADE)
        view.fail(Rejected("auth failed"))
        assert view.tally.seen["Trade"] == 1
        assert isinstance(view.tally.error, Rejected)
    assert text_of(words).splitlines() == [line_of(TRADE), "Rejected: auth failed"]
    assert text_of(json).splitlines() == [json_of(TRADE)], "what is no item is no line of JSON"


# -- what is counted -------------------------------------------------------------------------------------


def test_a_gap_is_one_gap_though_it_is_said_twice() -> None:
    tally, other = Tally(), Gap(SECOND, 4 * SECOND, 2, 4 * SECOND, "another connection")
    for gap in (CUT, MENDED, other):
        tally.count(gap)
    assert (tally.seen["Gap"], tally.items) == (2, 3)
    assert list(tally.gaps) == [MENDED, other], "the last word on each"
    lines = tally.summary(Counters(late=2, malformed=0, received=587), connections=3).splitlines()
    assert lines[:2] == ["seen: 2 Gap", "connections: 3"]
    assert lines[2] == "lost: from 00:00:01.000 to 00:00:03.000 (2.000 s): cut"
    assert lines[-2:] == ["frames received: 587", "late: 2"]


def test_a_gap_that_never_ended_is_in_the_summary_too() -> None:
    tally = Tally()
    tally.count(CUT)
    tally.error = Rejected("auth\nfailed")
    lines = tally.summary(Counters(), connections=1).splitlines()
    assert "lost: from 00:00:01.000 on: cut" in lines
    assert lines[-1] == "ended by Rejected: auth\N{REPLACEMENT CHARACTER}failed"


def test_who_has_seen_nothing_says_so() -> None:
    assert Tally().summary(Counters(), connections=0).startswith("seen: nothing")


# -- the screen ------------------------------------------------------------------------------------------

ALL = ("trades", "quotes", "bars", "books")


def screen(out: Console, *shows: str) -> Screen:
    return Screen(out, "kraken", Counters(), shows or ("trades", "bars", "books"))


def drawn(view: Screen, out: Console) -> str:
    out.print(view.draw())
    return text_of(out)


def test_before_anything_has_come_the_screen_says_connecting() -> None:
    out = console()
    assert "connecting" in drawn(screen(out), out)


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([Status("open", 0, "ws://127.0.0.1", epoch=3)], "connected (connection 3)"),
        ([Status("open", 0), CUT], "disconnected"),
        ([CUT, Status("retrying", 0, "gone", attempt=4, wait=1.0)], "reconnecting: attempt 4"),
        ([CUT, Status("parked", 0, "gone", attempt=11, wait=60.0)], "reconnecting: attempt 11"),
        ([CUT, MENDED], "1 gap "),
        ([Stale(0, 1.0)], "Stale"),
        ([book(live=False)], "syncing"),
    ],
)
def test_the_screen_says_how_the_line_is(items: list[Item], words: str) -> None:
    out = console()
    view = screen(out)
    for item in items:
        view.show(item)
    assert words in drawn(view, out)


def test_the_screen_shows_trades_quotes_bars_and_the_ladder() -> None:
    out = console()
    view = screen(out, *ALL)
    for item in (TRADE, QUOTE, BAR, book(), Status("heartbeat", SECOND)):
        view.show(item)
    seen = drawn(view, out)
    assert "heartbeat" not in seen
    for words in ("64,991.50", "64,989.60", "gap partial", "spread", "██████"):
        assert words in seen
    assert "1 trade · 1 quote · 1 bar · 1 book state · 0 gaps" in seen


@pytest.mark.parametrize("shows", [ALL, ("trades",), ("quotes",), ("bars",), ("books",), ("trades", "books")])
@pytest.mark.parametrize(("width", "height"), [(60, 20), (60, 24), (80, 24), (96, 30), (120, 36), (200, 60)])
def test_a_screen_fits_its_terminal_and_never_changes_its_height(
    shows: tuple[str, ...], width: int, height: int
) -> None:
    out, busy = console(width, height), console(width, height)
    view = screen(busy, *shows)
    for number in range(30):
        for symbol in ("BTC/USD", "DOGE/USD", "ETH/USD", "SOL/USD"):
            update = {"symbol": symbol, "price": 64_991.5 + number, "size": 31_191.25}
            view.show(msgspec.structs.replace(TRADE, **update))
            view.show(msgspec.structs.replace(QUOTE, symbol=symbol))
            view.show(
                msgspec.structs.replace(
                    BAR, symbol=symbol, open=64_991.5, high=64_991.5, low=64_991.5, close=64_991.5
                )
            )
            view.show(book(symbol, levels=20))
    lines = drawn(view, busy).splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in "\n".join(lines), "nothing is cut off"
    empty = drawn(screen(out, *shows), out).splitlines()
    if height >= 24 or len(shows) < 4:
        assert max(len(lines), len(empty)) < height
    words = {"trades": "sell", "quotes": "ask", "bars": "close", "books": "spread"}
    assert all(words[part] in "\n".join(lines) for part in shows)


def test_ladders_stand_side_by_side_as_far_as_there_is_room() -> None:
    for width, ladders in ((60, 2), (120, 4)):
        out = console(width, 24)
        view = screen(out, "books")
        for symbol in ("AAA", "BBB", "CCC", "DDD"):
            view.show(book(symbol))
        assert sum(symbol in drawn(view, out) for symbol in ("AAA", "BBB", "CCC", "DDD")) == ladders


def test_books_stand_as_they_were_asked_for_and_what_finds_no_room_is_counted() -> None:
    asked = ("DDD", "BBB", "CCC", "AAA")
    for width, shown, rest in ((60, ["DDD", "BBB"], "+2 more"), (90, ["DDD", "BBB", "CCC"], "+1 more")):
        out = console(width, 24)
        view = Screen(out, "kraken", Counters(), ("books",), symbols=asked)
        for symbol in ("AAA", "BBB", "CCC", "DDD"):
            view.show(book(symbol))
        lines = drawn(view, out).splitlines()
        assert [each for each in lines[2].split() if each in asked] == shown
        assert lines[2].rstrip().endswith(rest)
        assert max(map(len, lines)) <= width


def test_where_all_books_fit_nothing_more_is_spoken_of() -> None:
    out = console(120, 24)
    view = screen(out, "books")
    view.show(book())
    assert "more" not in drawn(view, out)


def test_a_dozen_hidden_books_take_no_more_room_than_one() -> None:
    out = console(60, 24)
    view = screen(out, "books")
    for number in range(14):
        view.show(book(f"A{number:02}"))
    assert drawn(view, out).splitlines()[2].rstrip().endswith(" +12")


def test_a_line_is_for_programs_too_so_no_number_has_commas_and_none_is_rounded() -> None:
    line = line_of(msgspec.structs.replace(TRADE, size=31_191.25))
    assert line.endswith(" 31191.25 @ 64991.5")


def test_prices_have_the_decimals_that_their_symbol_has_had() -> None:
    places = Places()
    assert [places.price("A", each) for each in (1.5, 0.1200009, 1.5)] == ["1.50", "0.1200009", "1.5000000"]
    assert places.price("B", 0.123456789) == "0.12345679"
    assert places.price("B", 1.0) == "1.00000000"


def test_what_a_venue_calls_a_symbol_is_no_markup() -> None:
    out = console()
    view = screen(out, *ALL)
    view.show(msgspec.structs.replace(TRADE, symbol="[red]\x1b[2J"))
    assert "[red]\N{REPLACEMENT CHARACTER}[2J" in drawn(view, out)


def test_the_screen_says_what_ended_it() -> None:
    out = console()
    view = screen(out)
    view.fail(Rejected("auth failed"))
    assert "Rejected: auth failed" in drawn(view, out)


def test_who_no_longer_reads_is_for_the_command_to_judge() -> None:
    with pytest.raises(BrokenPipeError):
        Terminal(file=io.StringIO()).on_broken_pipe()


def test_a_screen_is_live_while_its_block_runs() -> None:
    out = console(80, 24)
    view = screen(out)
    with view.on():
        view.show(TRADE)
    assert "64,991.50" in text_of(out)
