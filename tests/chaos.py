"""Chaos, and an account of it: what was done to a line, what was sent, what came, and what nobody explains.

``python -m tests.chaos 10`` breaks the line to each venue's twin for ten seconds over real sockets,
rehearses a hundred scenarios in virtual time for each of those seconds, floods a slow subscriber, and prints
the account.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from reactivex import Observable, Subject
from reactivex.disposable import CompositeDisposable

from rtflow import faults, marbles
from rtflow import operators as op
from rtflow.book import BookState
from rtflow.counters import Counters
from rtflow.events import Bar, Event, Gap, Lost, Status, Trade
from rtflow.provider import Provider
from rtflow.providers import Alpaca, AngelOne, Binance, Coinbase, InteractiveBrokers, Kraken, Polygon
from rtflow.testing import Proxy, Rehearsal, unexplained, venue
from rtflow.time import SECOND
from rtflow.transport import connect
from rtflow.twin import Market, Twin
from rtflow.twin.ibkr import conid
from rtflow.twin.kraken import KrakenConversation
from rtflow.twin.market import Move, decimal
from tests.watching import within

PATIENCE = 30.0  # seconds that a line may take to be whole again, and anything may take at all
FAST = 10  # how much faster the clocks of real runs go, so that ten seconds of patience are one


@dataclass
class Account:
    """What was done and what came of it; adds up."""

    scenarios: int = 0
    injected: int = 0
    sent: int = 0
    delivered: int = 0
    reported: int = 0  # missing, and a Gap, a Lost or a Malformed says so
    unnumbered: int = 0  # missing before the first trade of a connection, where no number can tell
    unexplained: list[str] = field(default_factory=list)
    longest_stop: float = 0.0  # seconds

    def __add__(self, other: Account) -> Account:
        return Account(
            self.scenarios + other.scenarios,
            self.injected + other.injected,
            self.sent + other.sent,
            self.delivered + other.delivered,
            self.reported + other.reported,
            self.unnumbered + other.unnumbered,
            self.unexplained + other.unexplained,
            max(self.longest_stop, other.longest_stop),
        )

    def __str__(self) -> str:
        return (
            f"{self.scenarios} scenarios, {self.injected} faults; trades: {self.sent} sent, "
            f"{self.delivered} delivered, {self.reported} reported lost, "
            f"{self.unnumbered} lost before a connection's first, unexplained: {len(self.unexplained)}"
        )


class Ledger:
    """Everything one pipeline said: its events, its books, its bars, and its error."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.books: dict[str, BookState] = {}
        self.live: list[BookState] = []
        self.bars: list[Bar] = []
        self.error: Exception | None = None

    @classmethod
    def of(cls, events: Iterable[Event]) -> Ledger:
        """The ledger of a stream that is over."""
        ledger = cls()
        ledger.events += events
        return ledger

    def watch(
        self, events: Observable[Event], resync: Callable[[str], object], scheduler: Any = None
    ) -> CompositeDisposable:
        """Read ``events``, and the books and bars that are made of them."""
        shared: Subject[Event] = Subject()
        return CompositeDisposable(
            shared.subscribe(self.events.append, self._failed),
            shared.pipe(op.book_apply(resync=resync)).subscribe(
                self._book, self._failed, scheduler=scheduler
            ),
            shared.pipe(op.window_to_bar(every=1, grace=0.5)).subscribe(
                self.bars.append, self._failed, scheduler=scheduler
            ),
            events.subscribe(shared, scheduler=scheduler),
        )

    def trades(self) -> list[Trade]:
        return [event for event in self.events if isinstance(event, Trade)]

    @property
    def epoch(self) -> int:
        """Of the connection that is believed."""
        states = [event for event in list(self.events) if isinstance(event, Status)]
        return next((each.epoch for each in states[::-1] if each.state in ("open", "bridged")), 0)

    def acknowledged(self, epoch: int) -> set[tuple[str, str]]:
        """The topics that the venue serves on a connection."""
        return {
            (event.kind, event.symbol)
            for event in list(self.events)
            if isinstance(event, Status) and event.state == "subscribed" and event.epoch == epoch
        }

    def _book(self, book: BookState) -> None:
        self.books[book.symbol] = book
        if book.status == "live":
            self.live.append(book)

    def _failed(self, error: Exception) -> None:
        self.error = error


def agrees(market: Market, listed: str, book: BookState | None, count: int = 5) -> bool:
    """Whether a book is live, and the market's own as far as ``count`` levels down."""
    if book is None or book.status != "live":
        return False
    return sides_of(book, count) == true_sides(market, listed, count)


_Sides: TypeAlias = tuple[tuple[tuple[float, float], ...], ...]


def sides_of(book: BookState, count: int) -> _Sides:
    """The bids and the asks that a book shows."""
    return tuple(book.levels("bid", count)), tuple(book.levels("ask", count))


def true_sides(market: Market, listed: str, count: int) -> _Sides:
    """The bids and the asks of the market, as its text would be read."""
    listing = market.listings[listed]
    return tuple(
        tuple(
            (float(decimal(price, listing.price_precision)), float(decimal(size, listing.size_precision)))
            for price, size in ladder.levels(count)
        )
        for ladder in market.book(listed)
    )


def account_of(ledger: Ledger, sent: Iterable[tuple[str, int]], number: Callable[[Trade], int]) -> Account:
    """What became of what was sent, from the earliest trade of each symbol that came."""
    ids: dict[str, list[int]] = {}
    firsts: set[tuple[str, int]] = set()  # trades that were the first of their connection
    begun: set[str] = set()
    for event in ledger.events:
        if isinstance(event, Status) and event.state == "open":
            begun = set()
        elif isinstance(event, Trade):
            ids.setdefault(event.symbol, []).append(number(event))
            if event.symbol not in begun:
                begun.add(event.symbol)
                firsts.add((event.symbol, number(event)))
    came = {(symbol, each) for symbol, numbers in ids.items() for each in numbers}
    sent = list(sent)
    spans = {
        symbol: (min(numbers), max(numbers)) for symbol, numbers in ids.items()
    }  # a line may mix them up
    due = [each for each in sent if each[0] in ids and spans[each[0]][0] <= each[1] <= spans[each[0]][1]]
    asked = {symbol for symbol, _ in sent}
    events = [event for event in ledger.events if not isinstance(event, Trade) or event.symbol in asked]
    untold = _before(firsts, due, came)
    complaints = unexplained(due, events, number=number)
    real = unexplained([each for each in due if each not in untold], events, number=number)
    missing = len(set(due) - came)
    never = sum("never came" in complaint for complaint in complaints)
    return Account(
        sent=len(due),
        delivered=len(due) - missing,
        reported=missing - never,
        unnumbered=len(complaints) - len(real),
        unexplained=real,
    )


def _before(
    firsts: set[tuple[str, int]], due: list[tuple[str, int]], came: set[tuple[str, int]]
) -> set[tuple[str, int]]:
    """What is missing right before the first trade of a connection."""
    missing: set[tuple[str, int]] = set()
    row: dict[str, list[tuple[str, int]]] = {}
    for each in sorted(due):
        if each not in came:
            row.setdefault(each[0], []).append(each)
        else:
            waiting = row.pop(each[0], [])
            if each in firsts:
                missing.update(waiting)
    return missing


# -- in virtual time -------------------------------------------------------------------------------------

SYMBOLS = ("BTC/USD", "ETH/USD")
EVERY = 0.25  # seconds a dash


def rehearsed(
    said: str, *, seed: int = 1, wants: Iterable[tuple[float, str, str]] = (), calm: float = 35.0
) -> tuple[Account, Ledger, Rehearsal]:
    """Kraken and its twin through a scenario, and a calm after it, in virtual time.

    ``wants`` are changes of mind: after so many seconds, ``"add"`` or ``"remove"``, a symbol.
    """
    kraken, counters, ledger = Kraken(), Counters(), Ledger()
    harm = faults.scenario(said, every=EVERY, seed=seed, counters=counters)
    listed = venue("kraken", seed=seed, symbols=(*SYMBOLS, "SOL/USD", "ADA/USD"), rate=0.15)
    show = Rehearsal(kraken, listed, faults=harm, tick=0.05, trades=SYMBOLS, books=SYMBOLS)
    true: dict[str, set[_Sides]] = {
        each: {true_sides(listed.market, each, 10)} for each in listed.market.listings
    }

    def moved(move: Move) -> None:
        show.moves.append(move)
        true[move.symbol].add(true_sides(listed.market, move.symbol, 10))

    listed.watch = moved
    for after, act, symbol in wants:
        change = show.add if act == "add" else show.remove
        due = show.scheduler.now_ns + round(after * SECOND)
        show.scheduler.at(due, partial(change, trades=symbol, books=symbol))
    frames = show.pipe(op.retry_with_backoff(base=0.5, cap=2, retries=None, seed=seed))
    events = frames.pipe(op.normalize(kraken), op.dedupe(), op.detect_gaps())
    with ledger.watch(events, show.resync, show.scheduler):
        show.advance(marbles.read(said, every=EVERY).length / SECOND + calm)
        served = [
            topic
            for talk in listed.conversations
            if isinstance(talk, KrakenConversation)
            for topic in (
                *(("books", each) for each in talk._books),
                *(("trades", each) for each in talk._trades),
            )
        ]
    sent = [(fill.symbol, fill.id) for fill in show.trades if fill.symbol in SYMBOLS]
    account = account_of(ledger, sent, lambda trade: int(trade.id))
    account.scenarios, account.injected = 1, sum(counters.values())
    wanted = {symbol for kind, symbol in show.wanted.topics if kind == "books"}
    account.unexplained += [
        f"the book of {symbol} is not the venue's: {ledger.books.get(symbol)}"
        for symbol in sorted(wanted)
        if not agrees(listed.market, symbol, ledger.books.get(symbol), 10)
    ]
    account.unexplained += [
        f"a live book was never the venue's: {book}"
        for book in ledger.live
        if sides_of(book, 10) not in true[book.symbol]
    ]
    if sorted(served) != sorted(show.wanted.topics):
        account.unexplained.append(f"wanted are {sorted(show.wanted.topics)}, served {sorted(served)}")
    if ledger.error is not None:
        account.unexplained.append(f"it ended: {ledger.error!r}")
    return account, ledger, show


def some_scenario(random: Random, *, bits: bool = False) -> str:
    """A few faults, some time apart."""
    words: list[str] = []
    for _ in range(random.randint(1, 7)):
        some, few = random.randint(1, 60) * 100, random.randint(1, 6)
        of = random.choice(["", ", BTC/USD", ", ETH/USD"])
        word = random.choice(
            [
                f"drop({few}{of})",
                f"duplicate({few}{of})",
                f"reorder({few})",
                f"truncate({few}{of})",
                f"delay({some}ms)",
                f"mute({some}ms{of})",
                "cut",
                f"cut({some}ms)",
                f"refuse({some}ms)",
            ]
        )
        words.append("-" * random.randint(0, 20) + word)
    return " ".join(words)


# -- over real sockets -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Speaker:
    """How one venue is spoken to through a proxy."""

    provider: Callable[[Twin, Proxy], Provider]
    symbols: Mapping[str, str]  # the venue's spelling of them, by the market's
    kinds: tuple[str, ...]
    number: Callable[[Trade], int] | None = None  # None: what comes are samples
    numbered: bool = True  # whether anybody can tell that one is missing
    alone: bool = False  # one connection a key: a half-open one keeps the next out until the venue notices
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    shuts_down: bool = False  # whether it announces that it will, so that a new connection is made before

    @property
    def books(self) -> bool:
        return "books" in self.kinds


def _coins(separator: str, quote: str = "USD", market: str = "/") -> dict[str, str]:
    return {f"{coin}{market}{quote}": f"{coin}{separator}{quote}" for coin in ("BTC", "ETH")}


def _id(trade: Trade) -> int:
    return int(trade.id)


ALPACAS = 3_447_222_699_000_000_000  # what coins' ids begin with there
STOCKS = {symbol: symbol for symbol in ("AAPL", "MSFT")}
CONTRACTS = {symbol: str(conid(symbol)) for symbol in STOCKS}

SPEAKERS: dict[str, Speaker] = {
    "kraken": Speaker(lambda twin, line: Kraken(url=line.url), _coins("/"), ("trades", "books"), _id),
    "binance": Speaker(
        lambda twin, line: Binance(url=line.url, rest_url=line.through(twin.rest_url)),
        _coins("", "USDT"),
        ("trades", "books"),
        _id,
        options={"messages": 1000},
        shuts_down=True,
    ),
    "coinbase": Speaker(
        lambda twin, line: Coinbase(url=line.url), _coins("-", market="-"), ("trades", "books"), _id
    ),
    "alpaca": Speaker(
        lambda twin, line: Alpaca("key", "secret", feed="crypto/us", url=line.url),
        _coins("/"),
        ("trades", "books"),
        lambda trade: int(trade.id) - ALPACAS,
        numbered=False,
        alone=True,
    ),
    "polygon": Speaker(
        lambda twin, line: Polygon("key", cluster="crypto", url=line.through(twin.url_of("/crypto"))),
        _coins("-"),
        ("trades",),
        lambda trade: int(trade.id.rpartition(":")[2]),
        numbered=False,
    ),
    "angelone": Speaker(
        lambda twin, line: AngelOne("Bearer jwt", "key", "A123456", "feed", url=line.url),
        {"nse_cm:3045": "nse_cm:3045"},
        ("trades",),
    ),
    "ibkr": Speaker(
        lambda twin, line: InteractiveBrokers("session", url=line.url, names=CONTRACTS),
        STOCKS,
        ("trades",),
        options={"session": "session", "interval": 0.0},
    ),
}


def some_real_scenario(random: Random, speaker: Speaker, seconds: float) -> str:
    """What goes wrong within so many real seconds: at the twin, and on the line to it."""
    words: list[str] = []
    left = round(seconds * 1000)
    spelled = [*speaker.symbols.values()]
    harms = ["cut", "cut(100ms)", "refuse(200ms) cut", "stall(150ms)", "flap(150ms)", "garble(100ms) cut"]
    harms += ["trickle(20000, 100ms)", "truncate"] + ([] if speaker.alone else ["half_open"])
    if speaker.numbered and speaker.number is not None:
        harms += ["drop(2)", "drop(20)", "mute(150ms)", *(f"mute({each}, 200ms)" for each in spelled)]
    if speaker.shuts_down:
        harms += ["server_shutdown(seconds=3)", "server_shutdown(seconds=60)", "day_over"] * 2
    while left > 0:
        pause = random.randint(50, 350)
        left -= pause
        words.append(f"{pause}ms {random.choice(harms)}")
    return " ".join(words)


def broken(name: str, *, seconds: float, seed: int = 1) -> Account:
    """A venue's twin over real sockets through a scenario of so many seconds, and a calm after it."""
    speaker, ledger, began = SPEAKERS[name], Ledger(), time.time_ns()

    def fast() -> int:
        return began + (time.time_ns() - began) * FAST

    options = {"symbols": list(speaker.symbols)} | dict(speaker.options)
    before = left_open()
    with (
        Twin(name, seed=seed, pace=0.0, lifetime=seconds + 4 * PATIENCE, **options) as twin,
        Proxy(twin) as line,
    ):
        provider = speaker.provider(twin, line)
        wanted = {kind: list(speaker.symbols.values()) for kind in speaker.kinds}
        settings: dict[str, Any] = {"clock": fast, "keepalive": 0.25, "timeout": 1.0} | wanted
        feed = connect(provider, **settings)
        retried = feed.pipe(op.retry_with_backoff(base=0.05, cap=0.2, retries=None, seed=seed))
        counters = Counters()
        events = retried.pipe(op.normalize(provider), op.dedupe(counters=counters), op.detect_gaps())
        subscription = ledger.watch(events, feed.resync)
        topics = {(kind, symbol) for kind, symbols in wanted.items() for symbol in symbols}
        _pump(twin, 0.2, lambda: ledger.acknowledged(ledger.epoch) >= topics)
        said = some_real_scenario(Random(f"{seed} {name}"), speaker, seconds)
        with faults.play(said, twin, proxy=line) as played:
            _pump(twin, seconds)
            assert played.join(PATIENCE)
        twin.silence(0.0)
        for symbol in speaker.symbols.values():
            twin.silence(0.0, symbol)
        whole = _pump_until_whole(twin, speaker, ledger, lambda: ledger.acknowledged(ledger.epoch) >= topics)
        stopping = time.monotonic()
        subscription.dispose()
        stopped = time.monotonic() - stopping
        sent = [
            (speaker.symbols[fill.symbol], fill.id) for fill in twin.trades if fill.symbol in speaker.symbols
        ]
        epochs = feed.epoch
    if speaker.number is None:
        account = _account_of_samples(ledger)
    else:
        account = account_of(ledger, sent, speaker.number)
    account.scenarios, account.injected, account.longest_stop = 1, played.done, stopped
    if not whole:
        books = {symbol: str(book) for symbol, book in ledger.books.items()}
        account.unexplained.append(f"{name} is not whole again after {epochs} connections: {books}")
    if ledger.error is not None:
        account.unexplained.append(f"{name} ended: {ledger.error!r}")
    if speaker.shuts_down and counters["duplicate"]:
        account.unexplained.append(f"{name} told {counters['duplicate']} trades twice")
    account.unexplained += [f"{name} left {each}" for each in still_there(before)]
    return account


def _pump(twin: Twin, seconds: float, happened: Callable[[], bool] | None = None) -> bool:
    """Let the market go on, ``FAST`` times as fast as real time, for so long or until something happened."""
    deadline = time.monotonic() + (PATIENCE if happened is not None else seconds)
    while time.monotonic() < deadline:
        if happened is not None and happened():
            return True
        twin.advance(0.01 * FAST)
        threading.Event().wait(0.01)
    return happened is None


def _pump_until_whole(twin: Twin, speaker: Speaker, ledger: Ledger, served: Callable[[], bool]) -> bool:
    """Whether, in the end, all is served, all that comes now is delivered, and all books are the venue's."""
    if not _pump(twin, 0.0, served):
        return False
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        _pump(twin, 0.2)
        _stand_still(twin, still=True)
        close = time.monotonic() + 0.3
        while time.monotonic() < close:
            twin.advance(0.1)  # what was gathered is said
            if _is_whole(twin, speaker, ledger) and served():
                return True
            threading.Event().wait(0.01)
        _stand_still(twin, still=False)
    return False


def _stand_still(twin: Twin, *, still: bool) -> None:
    """Time goes on, but nothing moves; or it does again."""
    market = twin.market
    twin._look(lambda: setattr(market, "steps", market.moved if still else None))


def _is_whole(twin: Twin, speaker: Speaker, ledger: Ledger) -> bool:
    events = list(ledger.events)
    lives = [
        (place, event.state)
        for place, event in enumerate(events)
        if isinstance(event, Status) and event.state in ("open", "closed")
    ]
    if not lives or lives[-1][1] == "closed":
        return False
    trades = [event for event in events[lives[-1][0] :] if isinstance(event, Trade)][::-1]
    fills = twin.trades[::-1]
    for listed, symbol in speaker.symbols.items():
        last = next((trade for trade in trades if trade.symbol == symbol), None)
        fill = next((fill for fill in fills if fill.symbol == listed), None)
        if last is None or fill is None:
            return False
        if speaker.number is not None and speaker.number(last) != fill.id:
            return False
        if speaker.books and not agrees(twin.market, listed, ledger.books.get(symbol)):
            return False
    return True


def _account_of_samples(ledger: Ledger) -> Account:
    """Of samples nobody can say what is missing; but each lost line is said, and each is made whole again."""
    account, open_since = Account(), None
    for event in ledger.events:
        if isinstance(event, Gap) and not event.symbols:
            if event.ts_end is None:
                open_since = event.ts_start
            elif open_since == event.ts_start:
                open_since = None
        elif isinstance(event, Status) and event.state == "closed" and open_since is None:
            open_since = -1  # a Gap must follow
        elif isinstance(event, Trade) and open_since is not None:
            account.unexplained.append(f"{event} came within a gap that is still open")
    account.delivered = account.sent = len(ledger.trades())
    return account


def left_open() -> set[str]:
    """Threads and descriptors of ours, by name; the latter only where the system shows them."""
    folder = Path("/proc/self/fd")
    files = {f"descriptor {each.name}" for each in folder.iterdir()} if folder.exists() else set[str]()
    return files | {f"thread {each.name}" for each in threading.enumerate() if each.name.startswith("rtflow")}


def still_there(before: set[str]) -> list[str]:
    """What was not there before, and does not leave within a second."""
    within(1.0, lambda: not left_open() - before)
    return sorted(left_open() - before)


# -- a flood ---------------------------------------------------------------------------------------------


@dataclass
class Flood:
    """What a slow subscriber behind a handoff was given, and what was reported."""

    entered: int
    out: int
    dropped: int
    reported: int  # by the Lost items
    most_held: int
    capacity: int
    overflowed: int  # in the reader's own ring
    fast: int  # what a subscriber on the line got meanwhile
    seconds: float
    complaints: list[str]

    def __str__(self) -> str:
        times = self.entered / max(1, self.out)
        return (
            f"{self.entered} trades in {self.seconds:.1f} s, {times:.1f} times what the subscriber took: "
            f"{self.out}; {self.dropped} dropped, {self.reported} reported lost; at most {self.most_held} "
            f"of {self.capacity} held; the reader dropped {self.overflowed}"
        )


def flooded(seconds: float = 1.5, *, capacity: int = 64, pause: float = 0.004) -> Flood:
    """Kraken's twin, many times as fast as a subscriber behind ``op.handoff`` can take it."""
    counters, complaints, got, everything = Counters(), list[str](), list[Trade | Lost](), list[Trade]()

    def slow(item: Trade | Lost) -> None:
        got.append(item)
        threading.Event().wait(pause)

    most = 0
    with Twin("kraken", seed=4, symbols=["BTC/USD"], rate=40.0, warmup=0.1, pace=0.0) as twin:
        kraken = Kraken(url=twin.url)
        feed = connect(kraken, trades="BTC/USD")
        trades = feed.pipe(op.normalize(kraken), op.only(Trade), op.broadcast())
        aside = trades.subscribe(everything.append)
        handed = trades.pipe(op.handoff(capacity=capacity, overflow="drop_oldest", counters=counters))
        subscription = handed.subscribe(slow)
        _pump(twin, 0.0, lambda: bool(everything))
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            twin.advance(1.0)
            seen = dict(counters)
            most = max(most, seen["handoff.held"])
            if seen["handoff.in"] != sum(
                seen[f"handoff.{each}"] for each in ("out", "conflated", "dropped", "held")
            ):
                complaints.append(f"it does not add up: {seen}")
            threading.Event().wait(0.005)
        last = str(twin.trades[-1].id)
        kept_up = within(PATIENCE, lambda: everything[-1].id == last and not counters["handoff.held"])
        took = time.monotonic() - began
        if twin.accepted != 1 or not kept_up:
            complaints.append("the line itself did not keep up")
        subscription.dispose()
        aside.dispose()
    there = [int(item.id) if isinstance(item, Trade) else item for item in got]
    expected = int(everything[0].id)
    for each in there:
        if isinstance(each, Lost):
            expected += each.count
        elif each != expected:
            complaints.append(f"trade {each} came where {expected} should have")
            expected = each + 1
        else:
            expected += 1
    lost = sum(item.count for item in got if isinstance(item, Lost))
    return Flood(
        counters["handoff.in"],
        counters["handoff.out"],
        counters["handoff.dropped"],
        lost,
        most,
        capacity,
        feed.counters["overflowed"],
        len(everything),
        took,
        complaints,
    )


def main(seconds: float, seed: int) -> int:
    """Everything, and the account of it; 0 if nothing is unexplained."""
    total = Account()
    for number in range(round(100 * seconds)):
        account, _, _ = rehearsed(some_scenario(Random(f"{seed} {number}")), seed=seed + number)
        total += account
    _print(f"virtual time, kraken: {total}")
    bad = total.unexplained
    for name in SPEAKERS:
        account = broken(name, seconds=seconds, seed=seed)
        _print(f"real sockets, {name}: {account}; stopped in {account.longest_stop:.2f} s")
        bad += account.unexplained
        total += account
    flood = flooded()
    _print(f"flood: {flood}")
    _print(f"all in all: {total}")
    for complaint in (*bad, *flood.complaints):
        _print(f"! {complaint}")
    return 1 if bad or flood.complaints else 0


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    seconds, seed = (*sys.argv[1:], *("10", "1")[len(sys.argv) - 1 :])
    sys.exit(main(float(seconds), int(seed)))
