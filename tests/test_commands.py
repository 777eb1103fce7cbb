"""What the commands do, each against a twin over loopback: stream, book, record, replay, bars, twin."""

from __future__ import annotations

import csv
import errno
import re
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
import reactivex
from pytest_mock import MockerFixture
from reactivex import Observable
from reactivex import operators as ops
from reactivex.disposable import Disposable
from rich.console import Console
from rich.progress import Progress
from typer.testing import CliRunner, Result

from rtflow import tape as tapes
from rtflow.book import BookState
from rtflow.commands import app
from rtflow.commands._failures import Code, Failure, explained, stopped_by_signals
from rtflow.commands._options import Venue, listed
from rtflow.commands._pipeline import Asked, follow
from rtflow.commands._record import _told
from rtflow.commands._replay import _step_through
from rtflow.commands._tables import COLUMNS
from rtflow.commands._twin import _DIALECTS, _symbols
from rtflow.commands._verdict import LineVerdict, TapeVerdict
from rtflow.counters import Counters
from rtflow.errors import DamagedTape, Disconnected, Overflow, Rejected
from rtflow.events import Bar, FrameKind, Gap, OrderBookUpdate, Quote, Status, Ticker, Trade
from rtflow.terminal import Lines
from rtflow.twin import Twin
from tests.watching import left_over

SECOND = 1_000_000_000
arrow: Any = import_module("pyarrow")  # which says nothing of its types
parquet: Any = import_module("pyarrow.parquet")


def run(*arguments: object, code: int = 0, typed: str = "", **environ: str) -> Result:
    """The command's outcome; it must have ended with ``code`` and left no thread behind."""
    clean = {"APCA_API_KEY_ID": "", "APCA_API_SECRET_KEY": "", "COLUMNS": "200", "TERM": "dumb", **environ}
    result = CliRunner().invoke(app, [str(each) for each in arguments], env=clean, input=typed)
    assert result.exit_code == code, (result.output, result.exception)
    assert left_over() == []
    return result


def items(result: Result) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in result.stdout.splitlines()]


def kinds(result: Result) -> Counter[str]:
    """How many lines of each type; JSON or plain."""
    lines = result.stdout.splitlines()
    return Counter(msgspec.json.decode(line)["type"] if line[0] == "{" else line.split()[0] for line in lines)


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Twin("kraken", seed=3, rate=8.0, warmup=1.0) as running:
        yield running


@pytest.fixture(scope="module")
def tape(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second and more of trades, quotes and books."""
    path = tmp_path_factory.mktemp("tapes") / "day.tape"
    asked = ["-s", "BTC/USD,ETH/USD", "-t", "-q", "-b", "--url", twin.url, "--seconds", 1.2]
    run("record", "kraken", path, *asked)
    return path


class Ending:
    """Ends what a command follows as soon as it has seen enough, so that no test waits for a clock."""

    def __init__(self, mocker: MockerFixture) -> None:
        self._mocker = mocker
        self.seen: list[object] = []

    def when(self, last: Callable[[Any], object], act: Callable[[Any], None] | None = None) -> None:
        """After the item that is the ``last``; ``act`` sees each."""

        def see(item: Any) -> None:
            self.seen.append(item)
            if act is not None:
                act(item)

        def ended(items: Observable[Any], show: Any, *, seconds: float | None = None) -> None:
            enough = ops.take_while(lambda item: not last(item), inclusive=True)
            follow(items.pipe(ops.do_action(see), enough), show, seconds=10)

        for place in ("_stream", "_record"):
            self._mocker.patch(f"rtflow.commands.{place}.follow", ended)

    def after(self, *types: type) -> None:
        """When there has been one of each; of books, a live one."""

        def enough(_: object) -> bool:
            return {*types} <= {type(each) for each in self.seen if getattr(each, "status", "live") == "live"}

        self.when(enough)


@pytest.fixture
def ending(mocker: MockerFixture) -> Ending:
    return Ending(mocker)


# -- stream and book -------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["stream", "kraken", "-s", ", ,"], ["book", "kraken", ""]])
def test_where_no_symbol_is_named_nothing_is_asked(arguments: list[str]) -> None:
    assert "no symbol is named" in run(*arguments, "--url", "ws://127.0.0.1:9", code=2).stderr


def test_symbols_are_named_with_commas_and_blanks_or_again() -> None:
    assert listed(["A, B", "C,", "A"]) == ["A", "B", "C"]
    assert listed([]) == []


def test_a_stream_shows_trades_where_nothing_was_named(twin: Twin, ending: Ending) -> None:
    ending.after(Trade)
    result = run("stream", "kraken", "-s", "BTC/USD", "--url", twin.url)
    assert {"Status", "Trade"} == {*kinds(result)}


def test_a_stream_shows_what_was_asked_for_as_json_with_every_nanosecond(twin: Twin, ending: Ending) -> None:
    ending.after(Quote, BookState, Bar)
    options = ["--quotes", "--book", "--bars", "200ms", "--depth", 2, "--json"]
    told = items(run("stream", "kraken", "-s", "BTC/USD", "--url", twin.url, *options))
    assert {each["type"] for each in told} == {"Status", "Quote", "BookState", "Bar"}
    assert all(isinstance(each["ts_recv"], int) and each["ts_recv"] > 10**18 for each in told)
    assert {len(each["bids"]) for each in told if each.get("status") == "live"} == {2}


def test_other_kinds_are_the_venues_own(twin: Twin, ending: Ending) -> None:
    ending.after(Bar, OrderBookUpdate)
    options = ["--kind", "bars", "--kind", "books"]
    result = run("stream", "kraken", "-s", "BTC/USD", "--url", twin.url, *options)
    assert {"Bar", "OrderBookUpdate"} <= {*kinds(result)}
    assert "Trade" not in kinds(result)


@pytest.mark.parametrize(
    ("kind", "shown"),
    [("aggregate_trades", {Trade, Ticker}), ("tickers", {Ticker}), ("quotes", {Ticker, Quote})],
)
def test_a_kind_shows_the_events_that_it_is_made_of(kind: str, shown: set[type]) -> None:
    seen: list[object] = []
    quote = Quote("A", 1, 1, 1.0, 1.0, None, None)
    events: Any = reactivex.of(Trade("A", 1, 1, 1.0, 1.0), Ticker("A", 1, 1), quote)
    Asked(kinds=(kind,)).made_of(events, Counters()).subscribe(seen.append)
    assert {type(each) for each in seen} == shown


def test_what_comes_while_it_is_being_subscribed_is_shown_too() -> None:
    def speak(observer: Any, scheduler: Any = None) -> Disposable:
        observer.on_next(Status("open", 1, venue="x"))
        observer.on_next(Trade("A", 2, 2, 1.0, 1.0, venue="x"))
        return Disposable()

    seen: list[object] = []
    made = Asked(trades=True, bars="1s").made_of(Observable(speak), Counters())
    made.subscribe(seen.append)
    assert [type(each) for each in seen] == [Status, Trade]


def test_books_are_watched_by_their_touch(twin: Twin, ending: Ending) -> None:
    ending.after(BookState)
    result = run("book", "kraken", "BTC/USD", "ETH/USD", "--url", twin.url)
    assert {"Status", "BookState"} == {*kinds(result)}
    assert " live " in result.stdout


def test_on_a_terminal_it_is_a_screen_and_a_summary(
    twin: Twin, ending: Ending, mocker: MockerFixture
) -> None:
    mocker.patch("rtflow.commands._options.sys").stdout.isatty.return_value = True
    ending.after(Trade, BookState)
    result = run("stream", "kraken", "-s", "BTC/USD", "--url", twin.url, "-t", "-b")
    assert "rtflow · kraken" in result.stdout
    assert "connections: 1" in result.stdout


def cuts(twin: Twin) -> Callable[[object], None]:
    """Cuts the line at the first acknowledgement, once."""

    def cut(item: object) -> None:
        if isinstance(item, Status) and item.state == "subscribed" and twin.accepted == 1:
            twin.disconnect(1001)

    return cut


def is_mended(item: object) -> bool:
    return isinstance(item, Gap) and item.ts_end is not None


def test_a_line_that_is_lost_comes_back_and_says_what_it_lost(ending: Ending) -> None:
    with Twin("kraken", rate=4.0, warmup=1.0) as twin:
        ending.when(is_mended, cuts(twin))
        told = items(run("stream", "kraken", "-s", "BTC/USD", "--url", twin.url, "--json"))
    states = [each["state"] for each in told if each["type"] == "Status"]
    assert states.count("open") == 2
    assert ["ts_end" in each for each in told if each["type"] == "Gap"] == [True, True]


def test_ctrl_c_ends_what_only_you_can_end(twin: Twin, mocker: MockerFixture, tmp_path: Path) -> None:
    for place in ("_stream", "_record"):
        mocker.patch(f"rtflow.commands.{place}.follow", side_effect=KeyboardInterrupt)
    run("stream", "kraken", "-s", "BTC/USD", "--url", twin.url)
    run("record", "kraken", tmp_path / "a.tape", "-s", "BTC/USD", "--url", twin.url)


def test_ctrl_c_before_a_work_is_done_is_told_to_the_shell(mocker: MockerFixture, tape: Path) -> None:
    mocker.patch("rtflow.commands._replay.follow", side_effect=KeyboardInterrupt)
    run("replay", "kraken", tape, code=130)


@pytest.mark.parametrize("command", ["stream", "book", "record"])
def test_symbols_that_are_all_refused_end_it(command: str, twin: Twin, tmp_path: Path) -> None:
    target = [tmp_path / "a.tape"] if command == "record" else []
    asked = ["NOPE/USD", "-s", "FOO/USD", "--url", twin.url, "--seconds", 10]
    last = run(command, "kraken", *target, *asked, code=2).stderr.splitlines()[-1]
    assert last.startswith("rtflow: kraken refuses ")
    for symbol in ("NOPE/USD", "FOO/USD"):
        assert f"{symbol}: Currency pair not supported" in last


def refused(symbol: str, kind: str) -> Status:
    return Status("rejected", 0, "no", symbol=symbol, kind=kind)


def test_one_refusal_of_several_ends_nothing_and_a_new_connection_asks_again() -> None:
    verdict = LineVerdict("kraken", {"trades": ["A", "B"], "books": ["A"]})
    story = [refused("A", "trades"), refused("B", "quotes"), refused("B", ""), Status("rejected", 0, "slow")]
    for said in (*story, Status("open", 0), refused("A", ""), Status("joined", 0)):
        verdict.hear(said)
    with pytest.raises(Failure, match=r"^kraken refuses A: no; B: no$"):
        verdict.hear(refused("B", "trades"))


@pytest.mark.parametrize("command", ["stream", "book", "record"])
def test_symbols_are_named_by_position_or_by_option(
    command: str, twin: Twin, tmp_path: Path, ending: Ending
) -> None:
    both = ("BTC/USD", "ETH/USD")
    ending.when(lambda _: {*both} <= {getattr(item, "symbol", "") for item in ending.seen})
    target = [tmp_path / "a.tape"] if command == "record" else []
    for asked in (both, ("-s", ",".join(both)), ("BTC/USD", "--symbols", "ETH/USD")):
        ending.seen.clear()
        run(command, "kraken", *target, *asked, "--url", twin.url)
        assert {*both} <= {getattr(item, "symbol", "") for item in ending.seen}


# -- record and replay -----------------------------------------------------------------------------------


def test_a_replay_of_a_recording_is_what_was_streamed(tape: Path) -> None:
    result = run("replay", "kraken", tape, "-t", "-b", "--bars", "100ms", "--json")
    assert {"Status", "Trade", "BookState", "Bar"} == {*kinds(result)}
    assert run("replay", "kraken", tape, "-t", "-b", "--bars", "100ms", "--json").stdout == result.stdout


def test_a_tape_is_continued_or_begun_anew(twin: Twin, tmp_path: Path, ending: Ending) -> None:
    ending.when(lambda item: isinstance(item, Status) and item.state == "subscribed")
    path = tmp_path / "a.tape"
    for epochs, more in (({1}, []), ({1, 2}, []), ({1}, ["--overwrite", "--fsync"])):
        said = run("record", "kraken", path, "-s", "BTC/USD", "--url", twin.url, *more).stderr
        frames = list(tapes.read(path))
        assert {frame.epoch for frame in frames} == epochs
        assert "subscribed trades BTC/USD" in said
        assert (" added · " in said and " kB in all" in said) == (epochs == {1, 2})
    assert f"{len(frames)} frames" in said


def test_a_size_has_a_unit_that_fits() -> None:
    assert [_told(size) for size in (0, 587, 999_949, 1_234_567)] == [
        "0.0 kB",
        "0.6 kB",
        "999.9 kB",
        "1.23 MB",
    ]


def test_a_recording_says_what_was_lost(tmp_path: Path, ending: Ending) -> None:
    path = tmp_path / "a.tape"
    with Twin("kraken", rate=4.0, warmup=1.0) as twin:
        ending.when(is_mended, cuts(twin))
        said = run("record", "kraken", path, "-s", "BTC/USD", "--url", twin.url).stderr
    assert " · 1 gap\n" in said
    assert [frame.kind for frame in tapes.read(path)].count(FrameKind.OPEN) == 2


def test_a_paced_replay_takes_its_time_and_says_the_same(tape: Path) -> None:
    at_once = run("replay", "kraken", tape, "--json")
    assert run("replay", "kraken", tape, "--json", "--speed", 10).stdout == at_once.stdout


def test_a_replay_by_steps_waits_for_enter(tape: Path) -> None:
    whole = run("replay", "kraken", tape).stdout
    assert run("replay", "kraken", tape, "--step", typed="\n" * 10_000).stdout == whole
    three = run("replay", "kraken", tape, "--step", typed="\n\nq\n").stdout
    assert whole.startswith(three)
    assert 3 <= len(three.splitlines()) < len(whole.splitlines())
    assert run("replay", "kraken", tape, "--step", typed="").stdout == whole.splitlines(keepends=True)[0]


def test_by_steps_a_person_is_told_how(tape: Path, mocker: MockerFixture) -> None:
    stdin = mocker.patch("rtflow.commands._replay.sys").stdin
    stdin.isatty.return_value, stdin.readline.return_value = True, "q\n"
    assert "Enter: on · q: leave" in run("replay", "kraken", tape, "--step").stderr


def test_a_replay_by_steps_says_what_is_wrong(tape: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tape"
    broken.write_bytes(b"no tape at all")
    assert "this is no tape" in run("replay", "kraken", broken, "--step", code=1).stderr
    items: Observable[Any] = reactivex.throw(Disconnected("gone"))
    with pytest.raises(Disconnected, match="gone"):
        _step_through(items, Lines(Console()), tape)


def test_part_of_a_tape(tape: Path) -> None:
    stamps = [frame.ts_recv for frame in tapes.read(tape)]
    middle = stamps[len(stamps) // 2]
    late = items(run("replay", "kraken", tape, "--json", "--since", middle))
    early = items(run("replay", "kraken", tape, "--json", "--until", middle))
    assert min(each["ts_recv"] for each in late) >= middle > max(each["ts_recv"] for each in early)
    assert not run("replay", "kraken", tape, "--until", "2020-01-01").stdout
    assert not run("replay", "kraken", tape, "--since", "2200-01-01T00:00:00.5Z").stdout


# -- bars ------------------------------------------------------------------------------------------------


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_bars_of_a_tape_are_the_bars_of_its_replay(tape: Path, tmp_path: Path) -> None:
    target = tmp_path / "bars.csv"
    said = run("bars", tape, target, "--venue", "kraken", "--every", "100ms").stderr
    shown = [
        each
        for each in items(run("replay", "kraken", tape, "--bars", "100ms", "--json"))
        if each["type"] == "Bar"
    ]
    assert [(row["symbol"], int(row["start"]), float(row["close"])) for row in rows(target)] == [
        (each["symbol"], each["start"], each["close"]) for each in shown
    ]
    assert f"{len(shown)} bars" in said
    assert [*rows(target)[0]] == [*COLUMNS]


def test_parquet_holds_the_same_bars(tape: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "bars.csv", tmp_path / "bars.parquet"
    for target in (first, second):
        run("bars", tape, target, "--venue", "kraken", "--every", "100ms")
    table = parquet.read_table(second)
    assert table.schema.field("start").type == arrow.timestamp("ns", "UTC")
    starts = table["start"].cast(arrow.int64()).to_pylist()
    assert starts == [int(row["start"]) for row in rows(first)]
    assert table["vwap"].to_pylist() == [float(row["vwap"]) for row in rows(first)]
    assert [str(gap).lower() for gap in table["gap"].to_pylist()] == [row["gap"] for row in rows(first)]


TRADES = """symbol,ts_event,price,size,side,note
A,1000000000,10,1,buy,x
A,1970-01-01T00:00:01.5Z,12,2,sell,
A,2500000000,11,4,,
A,1100000000,9,1,,late
"""


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_bars_of_a_table_of_trades(suffix: Literal[".csv", ".parquet"], tmp_path: Path) -> None:
    source, target = tmp_path / f"trades{suffix}", tmp_path / "bars.csv"
    if suffix == ".csv":
        source.write_text(TRADES, encoding="utf-8-sig")
    else:
        stamps = arrow.array(
            [SECOND, SECOND * 3 // 2, SECOND * 5 // 2, SECOND * 11 // 10], arrow.timestamp("ns")
        )
        sides = ["buy", "sell", None, ""]
        columns = {"symbol": ["A"] * 4, "ts_event": stamps, "price": [10, 12, 11, 9], "size": [1, 2, 4, 1]}
        parquet.write_table(arrow.table(columns | {"side": sides, "note": [1, 2, 3, 4]}), source)
    said = run("bars", source, target, "--every", "1s").stderr
    first, second = rows(target)
    assert (first["start"], first["open"], first["close"], first["volume"]) == (
        "1000000000",
        "10.0",
        "12.0",
        "3.0",
    )
    assert (first["buy_volume"], first["sell_volume"]) == ("1.0", "2.0")
    assert (second["start"], second["count"]) == ("2000000000", "1")
    assert "2 bars, 1 late" in said


@pytest.mark.parametrize(("rule", "count"), [("--ticks", 2), ("--volume", 4), ("--value", 100)])
def test_bars_by_amount(rule: str, count: int, tmp_path: Path) -> None:
    source, target = tmp_path / "trades.csv", tmp_path / "bars.csv"
    source.write_text(TRADES)
    run("bars", source, target, rule, count)
    assert sum(float(row["volume"]) for row in rows(target)) == 8


def test_long_work_shows_how_far_it_is(tmp_path: Path, mocker: MockerFixture) -> None:
    source = tmp_path / "trades.csv"
    source.write_text("symbol,ts_event,price,size\n" + "".join(f"A,{n}000000000,1,1\n" for n in range(100)))
    mocker.patch("rtflow.commands._bars._SELDOM", 8)
    mocker.patch("rtflow.commands._tables._GROUP", 30)
    moved = mocker.spy(Progress, "update")
    said = run("bars", source, tmp_path / "bars.parquet", "--every", "1s").stderr
    done = [call.kwargs["completed"] for call in moved.call_args_list]
    assert done == sorted(done)
    assert 0 < done[0] < done[-1] <= source.stat().st_size
    assert "100 bars" in said
    assert parquet.read_table(tmp_path / "bars.parquet").num_rows == 100


def test_a_file_of_bars_is_whole_or_not_there(tmp_path: Path) -> None:
    source = tmp_path / "trades.csv"
    source.write_text(f"{TRADES}A,yesterday,1,1,,\n")
    for name in ("bars.csv", "bars.parquet"):
        said = run("bars", source, tmp_path / name, "--every", "1s", code=1).stderr
        assert "row 5: not an RFC 3339 stamp: 'yesterday'" in said
    assert [each.name for each in tmp_path.iterdir()] == ["trades.csv"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"symbol,price\nA,1\n", "has no column ts_event, size; trades need symbol, ts_event, price, size"),
        (b"", "has no column symbol, ts_event, price, size"),
        (b"symbol,ts_event,price,size\nA,1,dear,1\n", "row 1: Expected `float`, got `str` - at `$.price`"),
        (b"symbol,ts_event,price,size\nA,1\n", "row 1: Object missing required field `price`"),
        (b"symbol,ts_event,price,size\n\xff,1,1,1\n", "is not UTF-8 text"),
        (b"symbol,ts_event,price,size\nA,1,1,1\nA,2,nan,1\n", "row 2: no trade has a price of nan"),
        (b"symbol,ts_event,price,size\nA,1,1,-5\n", "row 1: no trade has a price of 1 and a size of -5"),
    ],
)
def test_a_table_that_holds_no_trades_is_refused_by_row(content: bytes, words: str, tmp_path: Path) -> None:
    source = tmp_path / "trades.csv"
    source.write_bytes(content)
    assert words in run("bars", source, tmp_path / "bars.csv", "--every", "1s", code=1).stderr


def test_a_table_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "trades.parquet"
    source.write_bytes(b"PAR1 no more PAR1")
    said = run("bars", source, tmp_path / "bars.csv", "--every", "1s", code=1).stderr
    assert f"{source} is no Parquet file that can be read: " in said


def test_a_target_that_is_there_stays_unless_told(tmp_path: Path) -> None:
    source, target = tmp_path / "trades.csv", tmp_path / "bars.csv"
    source.write_text(TRADES)
    target.write_text("mine")
    assert "is there already" in run("bars", source, target, "--every", "1s", code=2).stderr
    assert target.read_text() == "mine"
    run("bars", source, target, "--every", "1s", "--overwrite")
    assert len(rows(target)) == 2


def test_without_pyarrow_parquet_says_what_to_install(tmp_path: Path, mocker: MockerFixture) -> None:
    source = tmp_path / "trades.csv"
    source.write_text(TRADES)
    mocker.patch("rtflow.commands._tables.import_module", side_effect=ModuleNotFoundError)
    said = run("bars", source, tmp_path / "bars.parquet", "--every", "1s", code=1).stderr
    assert "pip install 'rtflow[cache]'" in said


def test_a_damaged_tape_gives_its_whole_part_and_says_so(tape: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tape"
    cut.write_bytes(tape.read_bytes()[:-100])
    said = run("bars", cut, tmp_path / "bars.csv", "--venue", "kraken", "--every", "1s").stderr
    assert "frames lost" in said
    assert rows(tmp_path / "bars.csv")
    assert "Lost" in run("replay", "kraken", cut).stdout


FOREIGN = "nothing on this tape could be read as {}'s: is it another venue's?"


@pytest.mark.parametrize("venue", [each for each in Venue if each != "kraken"])
def test_a_tape_of_another_venue_is_taken_for_what_it_is(venue: Venue, tape: Path, tmp_path: Path) -> None:
    for more in ([], ["--step"]):
        said = run("replay", venue, tape, *more, code=1, typed="\n" * 10_000).stderr
        assert FOREIGN.format(venue) in said
    target = tmp_path / "bars.csv"
    said = run("bars", tape, target, "--venue", venue, "--every", "1s", code=1).stderr
    assert FOREIGN.format(venue) in said
    assert not target.exists()


def test_a_tape_with_nothing_on_it_is_nobody_elses() -> None:
    verdict = TapeVerdict("kraken", Counters())
    verdict.hear(Status("open", 0))
    verdict.judge()


# -- twins -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("venue", list(Venue))
def test_what_a_twin_offers_can_be_streamed_without_a_key(venue: Venue, ending: Ending) -> None:
    ending.after(Trade)
    dialect = _DIALECTS[venue.value]
    choice: dict[str, Any] = {dialect.choice: dialect.default} if dialect.choice else {}
    with Twin(dialect.twin, rate=2.0, warmup=1.0, **choice) as served:
        first, *_ = _symbols(served, dialect, dialect.default)
        result = run("stream", venue.value, "-s", first, "--url", served.url, "--json")
    assert "Trade" in kinds(result)


def test_a_twin_says_where_it_is_and_what_to_try() -> None:
    url, symbols, advice = run("twin", "alpaca", "--feed", "crypto/us", "--seconds", 0.1).stdout.splitlines()
    assert url.startswith("ws://127.0.0.1:")
    assert url.endswith("/v1beta3/crypto/us")
    assert symbols.startswith("symbols: BTC/USD ETH/USD ")
    assert "AAPL" not in symbols
    assert advice == f"try: rtflow stream alpaca --feed crypto/us --url {url} --symbols BTC/USD"
    assert "AAPL" in run("twin", "polygon", "--seconds", 0.1).stdout


# -- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (
            ["stream", "alpaca", "-s", "AAPL"],
            3,
            "alpaca needs APCA_API_KEY_ID, APCA_API_SECRET_KEY: set them",
        ),
        (["stream", "kraken", "-s", "BTC/USD", "--kind", "timeout"], 2, "kraken has no 'timeout'; it offers"),
        (
            ["stream", "kraken", "-s", "BTC/USD", "--bars", "5 parsec"],
            2,
            "a length is a whole number and one of",
        ),
        (["stream", "kraken", "-s", "BTC/USD", "--feed", "x"], 2, "kraken has one feed only"),
        (
            ["stream", "binance", "-s", "X", "--feed", "x"],
            2,
            "binance has no market 'x'; it has spot, usdm, us",
        ),
        (["stream", "kraken", "-s", "X", "--plain", "--json"], 2, "--plain and --json exclude each other"),
        (
            ["stream", "kraken", "-s", "X", "--url", "http://x?key"],
            2,
            "an address is ws://host… or wss://host…",
        ),
        (["stream", "kraken"], 2, "no symbol is named: say which"),
        (["stream", "nyse", "-s", "X"], 2, "'nyse' is not a venue. One of alpaca, angelone, "),
        (["twin", "kraken", "--feed", "x"], 2, "kraken has one feed only"),
        (["twin", "alpaca", "--feed", "x"], 2, "alpaca's twin has no feed 'x'; it has"),
        (["replay", "kraken", "/not/there"], 2, "'/not/there' does not exist"),
        (["replay", "kraken", __file__], 1, "this is no tape"),
        (
            ["replay", "kraken", __file__, "--step", "--speed", "1"],
            2,
            "--step and --speed exclude each other",
        ),
        (["replay", "kraken", __file__, "--speed", "-1"], 2, "a replay's speed is positive"),
        (["replay", "kraken", __file__, "--kind", "gossip"], 2, "kraken has no 'gossip'; it offers bars,"),
        (
            ["replay", "kraken", __file__, "--since", "noon"],
            2,
            "a moment is 2026-09-25, 2026-09-25T17:48:26Z or",
        ),
        (["bars", __file__, "x.csv", "--every", "1s"], 2, "is taken for a tape: say whose with --venue"),
        (["bars", __file__, "x.txt", "--every", "1s"], 2, "bars go into a file named .csv or .parquet"),
        (["bars", __file__, "x.csv", "--venue", "kraken"], 2, "a bar ends by exactly one of"),
        (["bars", __file__, "/not/there/x.csv", "--every", "1s", "--venue", "kraken"], 1, "No such file"),
        (
            ["record", "kraken", "/not/there/x.tape", "-s", "X", "--url", "ws://127.0.0.1:1"],
            1,
            "/not/there/x.tape",
        ),
        (["--env-file", "/not/there", "providers"], 2, "/not/there: there is no such file"),
    ],
)
def test_an_error_is_one_sentence_and_a_code(arguments: list[str], code: int, words: str) -> None:
    said = run(*arguments, code=code).stderr
    assert words in said
    assert "Traceback" not in said
    if said.startswith("rtflow: "):
        assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["stream", "krakn", "X"], "'krakn' is not a venue. Did you mean kraken? One of alpaca,"),
        (["stream", "Kraken", "X"], "Did you mean kraken?"),
        (["demo", "--venue", "coinbas"], "'coinbas' has no demo. Did you mean coinbase? One of alpaca,"),
    ],
)
def test_who_mistypes_a_venue_is_told_which_is_meant(arguments: list[str], words: str) -> None:
    said = " ".join(run(*arguments, code=2).stderr.replace("│", "").split())
    assert words in said
    assert "Value error" not in said


def test_a_port_that_is_taken_says_what_to_do(mocker: MockerFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = run("twin", "kraken", "--port", port, "--seconds", 0.1, code=1).stderr
    assert f"port {port} is in use: choose another --port, or 0" in said
    mocker.patch("rtflow.commands._twin.Twin", side_effect=OSError(errno.EMFILE, "Too many open files"))
    assert "Too many open files" in run("twin", "kraken", code=1).stderr


def test_a_line_that_was_never_there_is_lost(tmp_path: Path, ending: Ending) -> None:
    ending.when(lambda item: isinstance(item, Status) and item.state == "retrying")
    nobody = ["BTC/USD", "--url", "ws://127.0.0.1:1"]
    for arguments in (["stream", "kraken"], ["book", "kraken"], ["record", "kraken", tmp_path / "a.tape"]):
        said = run(*arguments, *nobody, code=4).stderr
        assert "the line was never there: 127.0.0.1:1 refused the connection" in said


def test_who_leaves_early_is_told_nothing_and_who_stays_hears_why() -> None:
    verdict = LineVerdict("kraken", {"trades": ["A"]})
    verdict.judge()
    verdict.over = True
    with pytest.raises(Failure, match="never there: nobody answered in so short a time"):
        verdict.judge()


def test_a_line_that_does_not_come_ends_when_the_retries_are_spent() -> None:
    arguments = ["stream", "kraken", "-s", "BTC/USD", "--url", "ws://127.0.0.1:1", "--retries", 0]
    assert "the line failed: 127.0.0.1:1 refused the connection" in run(*arguments, code=4).stderr


def test_a_key_that_is_refused_is_not_tried_twice() -> None:
    with Twin("alpaca", warmup=1.0, keys={"right": "secret"}) as twin:
        keys = {"APCA_API_KEY_ID": "wrong", "APCA_API_SECRET_KEY": "planted"}
        result = run("stream", "alpaca", "-s", "AAPL", "--url", twin.url, code=3, **keys)
        assert "the venue refused us: 402 auth failed" in result.stderr
        assert "planted" not in result.output
        assert twin.accepted == 1


def test_a_key_does_not_travel_unencrypted() -> None:
    arguments = ["stream", "polygon", "-s", "AAPL", "--url", "ws://feed.example/stocks"]
    said = run(*arguments, code=2, MASSIVE_API_KEY="planted").stderr
    assert "feed.example would be sent your key unencrypted" in said
    assert "planted" not in said


def test_half_a_key_is_not_taken_for_none_even_by_a_twin() -> None:
    with Twin("alpaca", warmup=1.0) as twin:
        arguments = ["stream", "alpaca", "-s", "AAPL", "--url", twin.url, "--seconds", 0.1]
        assert "alpaca needs APCA_API_SECRET_KEY" in run(*arguments, code=3, APCA_API_KEY_ID="half").stderr


def test_a_bug_is_a_bug_and_keeps_its_traceback(twin: Twin, mocker: MockerFixture) -> None:
    mocker.patch("rtflow.commands._stream.follow", side_effect=ZeroDivisionError)
    result = run("stream", "kraken", "-s", "BTC/USD", "--url", twin.url, code=1)
    assert isinstance(result.exception, ZeroDivisionError)


def test_every_error_of_ours_has_its_sentence_and_a_bug_has_none() -> None:
    full = explained(Overflow("the ring is full"))
    assert (str(full), full and full.code) == ("the ring is full", Code.FAILED)
    cut = explained(DamagedTape("the tape is cut", offset=7))
    assert str(cut) == "the tape is cut; what is before byte 7 is whole"
    assert explained(ZeroDivisionError()) is None


def test_signals_are_the_main_threads_business() -> None:
    def enter() -> None:
        with stopped_by_signals():
            handlers.append(signal.getsignal(signal.SIGTERM))

    handlers: list[object] = []
    enter()
    other = threading.Thread(target=enter)
    other.start()
    other.join()
    assert handlers == [signal.default_int_handler, signal.SIG_DFL]


# -- help ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", ["stream", "book", "record", "replay", "bars", "doctor", "twin", "demo", "providers"]
)
def test_what_is_to_be_put_in_is_written_in_capitals_and_no_venue_is_broken(command: str) -> None:
    text = run(command, "--help", COLUMNS="80").stdout
    usage = next(line for line in text.splitlines() if "Usage:" in line)
    assert all(word.isupper() for word in re.findall(r"[{\[](\w+)", usage))
    assert not re.search(r"<(float|int|str)\b", text), "a word of ours says more than a type"
    assert "|coinbase" not in text
    if "VENUE" in text:
        assert {"kraken", "coinbase"} <= {*re.findall(r"\w+", text)}


# -- following -------------------------------------------------------------------------------------------


def test_who_follows_hears_what_ended_it() -> None:
    with pytest.raises(Disconnected, match="gone"):
        follow(reactivex.throw(Disconnected("gone")), print)


def test_who_raises_while_showing_is_heard_too_and_shown_no_more() -> None:
    shown: list[int] = []

    def show(item: int) -> None:
        shown.append(item)
        raise Rejected("enough")

    with pytest.raises(Rejected, match="enough"):
        follow(reactivex.of(1, 2, 3), show)
    assert shown == [1]


def test_who_follows_for_a_while_leaves_then() -> None:
    silent: reactivex.Observable[Bar | Status] = reactivex.never()
    follow(silent, print, seconds=0.01)
