"""The demo: a twin in the background, a pipeline, and a terminal to watch it in."""

from __future__ import annotations

import threading
from collections import Counter, deque
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeAlias

import reactivex
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rtflow import operators as op
from rtflow import time as stamps
from rtflow.book import BookState
from rtflow.events import Bar, Event, Gap, Lost, Malformed, Side, Status, Trade
from rtflow.provider import Provider
from rtflow.providers import Alpaca, Binance, Coinbase, Kraken
from rtflow.transport import Feed, connect
from rtflow.twin import Twin

VENUES = {
    "alpaca": ("BTC/USD", "ETH/USD"),
    "binance": ("BTCUSDT", "ETHUSDT"),
    "coinbase": ("BTC-USD", "ETH-USD"),
    "kraken": ("BTC/USD", "ETH/USD"),
}
"""What is watched at each venue, as it spells it."""

Item: TypeAlias = Event | BookState


def run(venue: str, *, seconds: float, seed: int, plain: bool, console: Console) -> None:
    """Serve ``venue``'s twin, watch it for ``seconds``, cut the connection half way, and sum up.

    ``plain`` prints a line per item, otherwise the terminal is redrawn ten times a second. Ctrl-C leaves
    early, with the same summary.
    """
    symbols = VENUES[venue]
    with Twin(venue, seed=seed, lifetime=seconds + 30) as twin:
        provider = _provider(venue, twin)
        feed = connect(provider, trades=symbols, books=symbols)
        view: _View = _Lines(console) if plain else _Screen(console, venue, feed)
        over = threading.Event()

        def fail(error: Exception) -> None:
            view.fail(error)
            over.set()

        subscription = pipeline(feed, provider, seed=seed).subscribe(view.show, fail)
        try:
            with view.on():
                if not over.wait(seconds / 2):
                    twin.refuse(0.5)
                    twin.disconnect()
                    over.wait(seconds / 2)
        except KeyboardInterrupt:
            pass  # leaving early is leaving: the summary below says what was seen
        finally:
            subscription.dispose()
        console.print(view.tally.summary(feed), soft_wrap=True)


def pipeline(feed: Feed, provider: Provider, *, seed: int) -> reactivex.Observable[Item]:
    """Everything the demo shows, in one stream: the events, and the bars and books made of them."""
    counters = feed.counters
    events = feed.pipe(
        op.retry_with_backoff(base=0.5, seed=seed),
        op.normalize(provider, counters=counters),
        op.broadcast(),
    )
    bars = events.pipe(op.window_to_bar(every=1, grace=0.1, counters=counters))
    books = events.pipe(op.book_apply(depth=10, emit="top", resync=feed.resync, counters=counters))
    said, broken = events.pipe(op.only(Trade, Gap, Status)), events.pipe(op.only(Lost, Malformed))
    return reactivex.merge(said, broken, bars, books)


def _provider(venue: str, twin: Twin) -> Provider:
    match venue:
        case "kraken":
            return Kraken(url=twin.url)
        case "coinbase":
            return Coinbase(url=twin.url)
        case "binance":
            return Binance(url=twin.url, rest_url=twin.rest_url)
        case _:
            return Alpaca("demo", "demo", feed="crypto/us", url=twin.url_of("/v1beta3/crypto/us"))


class _Tally:
    """How many of each came, and the last word on each gap."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.gaps: list[Gap] = []
        self.error: Exception | None = None

    def count(self, item: Item) -> None:
        self.seen[type(item).__name__] += 1
        if isinstance(item, Gap) and item.ts_end is not None:
            self.gaps.append(item)

    def summary(self, feed: Feed) -> str:
        """What was seen, what was lost, and whether anything is unexplained."""
        seen = ", ".join(f"{count} {name}" for name, count in sorted(self.seen.items()))
        lines = [f"seen: {seen}", f"connections: {feed.epoch}"]
        lines += [f"lost: {_span(gap)}: {gap.reason}" for gap in self.gaps]
        counted = {name: count for name, count in feed.counters.items() if count}
        lines.append("counters: " + ", ".join(f"{name}={count}" for name, count in sorted(counted.items())))
        if self.error is not None:
            lines.append(f"ended by {type(self.error).__name__}: {self.error}")
        return "\n".join(lines)


class _View(Protocol):
    """Where items are shown."""

    tally: _Tally

    def on(self) -> AbstractContextManager[object]: ...
    def show(self, item: Item) -> None: ...
    def fail(self, error: Exception) -> None: ...


class _Lines:
    """One line per item."""

    def __init__(self, console: Console) -> None:
        self.tally = _Tally()
        self._console = console

    def on(self) -> AbstractContextManager[object]:
        return nullcontext()

    def show(self, item: Item) -> None:
        self.tally.count(item)
        self._console.print(line_of(item), soft_wrap=True)

    def fail(self, error: Exception) -> None:
        self.tally.error = error
        self._console.print(f"{type(error).__name__} {error}", soft_wrap=True)


def line_of(item: Item) -> str:
    """One item as one line of text, its type first."""
    name = type(item).__name__
    match item:
        case Trade():
            side = Side(item.side).name.lower()
            return f"{name} {_clock(item.ts_event)} {item.symbol} {side} {item.size:g} @ {item.price:,.10g}"
        case Bar():
            named = {"open": item.open, "high": item.high, "low": item.low, "close": item.close}
            prices = " ".join(f"{word}={price:,.10g}" for word, price in named.items())
            rest = " ".join([f"volume={item.volume:.6g} count={item.count}", *_marks(item)])
            return f"{name} {_clock(item.start)} {item.symbol} {prices} {rest}"
        case BookState():
            touch = f"{_size(item.bid_size)} {_price(item.bid)} | {_price(item.ask)} {_size(item.ask_size)}"
            return f"{name} {_clock(item.ts_recv)} {item.symbol} {item.status} {touch} {item.reason}".rstrip()
        case Gap():
            return f"{name} {_clock(item.ts_recv)} {_span(item)} {item.reason}"
        case Status():
            wait = f" attempt {item.attempt} in {item.wait:.2f} s" if item.attempt else ""
            about = " ".join(part for part in (item.kind, item.symbol, item.text) if part)
            return f"{name} {_clock(item.ts_recv)} {item.state}{wait} {about}".rstrip()
        case Lost():
            return f"{name} {_clock(item.ts_recv)} {item.count} {item.kind} in the {item.where}"
        case Malformed():
            return f"{name} {_clock(item.ts_recv)} {item.reason}"
        case _:
            return f"{name} {item}"


class _Screen:
    """The terminal, redrawn from plain state; the pipeline only ever writes that state."""

    def __init__(self, console: Console, venue: str, feed: Feed) -> None:
        self.tally = _Tally()
        self._console = console
        self._venue = venue
        self._feed = feed
        self._line = Text("connecting", style="yellow")
        self._trades: deque[Trade] = deque(maxlen=50)
        self._bars: deque[Bar] = deque(maxlen=50)
        self._said: deque[str] = deque(maxlen=5)
        self._books: dict[str, BookState] = {}

    def on(self) -> AbstractContextManager[object]:
        return Live(get_renderable=self.draw, console=self._console, refresh_per_second=10)

    def show(self, item: Item) -> None:
        self.tally.count(item)
        match item:
            case Trade():
                self._trades.appendleft(item)
            case Bar():
                self._bars.appendleft(item)
            case BookState():
                self._books[item.symbol] = item
            case Status(state="open"):
                self._line = Text(f"connected (connection {item.epoch})", style="green")
                self._said.append(line_of(item))
            case Status(state="retrying"):
                self._line = Text(f"reconnecting: attempt {item.attempt}", style="yellow")
                self._said.append(line_of(item))
            case Status(state="heartbeat"):
                pass  # it says that the line lives, and so does all else here
            case Gap(ts_end=None):
                self._line = Text("disconnected", style="bold red")
                self._said.append(line_of(item))
            case _:
                self._said.append(line_of(item))

    def fail(self, error: Exception) -> None:
        self.tally.error = error
        self._line = Text(f"{type(error).__name__}: {error}", style="bold red")

    def draw(self) -> RenderableType:
        """The whole screen as it stands, for a terminal of any size from 80 by 24 on."""
        width, height = self._console.size
        rows = max(10, height - 14)  # what the headings, the foot and the last words leave
        trades, bars = rows * 2 // 3, rows - rows * 2 // 3
        top = Table.grid(padding=(0, 3))
        books = list(self._books.values())[: 2 if width >= 112 else 1]
        top.add_row(
            _trades(list(self._trades)[:trades], trades),
            *(_ladder(book, (trades - 1) // 2) for book in books),
        )
        seen, counted = self.tally.seen, self._feed.counters
        gaps = len(self.tally.gaps)
        foot = Text.assemble(
            f"{seen['Trade']} trades · {seen['Bar']} bars · {seen['BookState']} book states · ",
            (f"{gaps} {'gap' if gaps == 1 else 'gaps'}", "yellow" if gaps else ""),
            f" · {counted['overflowed']} lost · {counted['malformed']} malformed · {counted['late']} late",
        )
        said = Text("\n".join(list(self._said)[-4:]), style="dim", no_wrap=True, overflow="ellipsis")
        head = Text.assemble((f" rtflow · {self._venue} twin ", "bold reverse"), "  ", self._line)
        return Group(head, "", top, "", _bars(list(self._bars)[:bars], bars), "", foot, said)


def _table(*columns: str) -> Table:
    """A table without lines; a column that starts with ``>`` is aligned to the right."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(
            column.removeprefix(">"), justify="right" if column[:1] == ">" else "left", no_wrap=True
        )
    return table


def _trades(trades: list[Trade], rows: int) -> RenderableType:
    table = _table("trades", "symbol", "", ">size", ">price")
    for trade in trades:
        side = Side(trade.side)
        style = {Side.BUY: "green", Side.SELL: "red"}.get(side, "")
        size, price = f"{trade.size:.6f}", f"{trade.price:,.2f}"
        table.add_row(_clock(trade.ts_event, 1), trade.symbol, side.name.lower(), size, price, style=style)
    return _padded(table, rows)


def _bars(bars: list[Bar], rows: int) -> RenderableType:
    table = _table("bars", "symbol", ">open", ">high", ">low", ">close", ">volume", "")
    for bar in bars:
        prices = (f"{price:,.2f}" for price in (bar.open, bar.high, bar.low, bar.close))
        style = "yellow" if bar.gap else "green" if bar.close >= bar.open else "red"
        start, volume = _clock(bar.start, digits=0), f"{bar.volume:.4f}"
        marks = " ".join(mark.partition(" ")[0] for mark in _marks(bar))
        table.add_row(start, bar.symbol, *prices, volume, marks, style=style)
    return _padded(table, rows)


def _ladder(book: BookState, depth: int) -> RenderableType:
    """The best levels of both sides, asks on top, each with a bar as long as its size."""
    table = _table(f">{book.symbol}", ">size", "")
    asks, bids = book.asks[:depth], book.bids[:depth]
    largest = max((size for _, size in asks + bids), default=1.0)
    if book.status != "live":
        table.add_row(Text(book.status, style="bold yellow"), "", " " * _WIDEST)
    for levels, style in ((asks[::-1], "red"), (bids, "green")):
        if style == "green":
            table.add_row(f"{book.spread:,.2f}" if book.spread is not None else "", "spread", "", style="dim")
        for price, size in levels:
            table.add_row(f"{price:,.2f}", f"{size:.4f}", "█" * round(_WIDEST * size / largest), style=style)
    return _padded(table, 2 * depth + 1)


_WIDEST = 6  # characters of a bar


def _padded(table: Table, rows: int) -> Table:
    """The same height however little has come, so that nothing below it jumps."""
    for _ in range(rows - table.row_count):
        table.add_row()
    return table


def _marks(bar: Bar) -> list[str]:
    return [
        *(["gap"] if bar.gap else []),
        *([f"partial {bar.partial}"] if bar.partial else []),
    ]


def _clock(stamp: int, digits: int = 3) -> str:
    return stamps.format(stamp, digits)[11:-1]


def _span(gap: Gap) -> str:
    if gap.ts_end is None:
        return f"from {_clock(gap.ts_start)} on"
    return f"from {_clock(gap.ts_start)} to {_clock(gap.ts_end)} ({(gap.ts_end - gap.ts_start) / 1e9:.3f} s)"


def _price(price: float | None) -> str:
    return "-" if price is None else f"{price:,.10g}"


def _size(size: float | None) -> str:
    return "-" if size is None else f"{size:g}"
