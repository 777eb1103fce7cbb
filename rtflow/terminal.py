"""What a person sees of a pipeline: a line per item, a line of JSON per item, or a screen drawn anew."""

from __future__ import annotations

import errno
import re
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeAlias

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rtflow import time as stamps
from rtflow.book import BookState
from rtflow.counters import Counters
from rtflow.events import Bar, Event, Gap, Lost, Malformed, Quote, Side, Status, Trade
from rtflow.words import because, words_of

Item: TypeAlias = Event | BookState


class Terminal(Console):
    """Where we print; nothing of it is guessed to be a number or a path and coloured."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, **options)

    def on_broken_pipe(self) -> None:
        """Nobody reads on, which is for the command to judge; rich would end it as if it had failed."""
        raise BrokenPipeError(errno.EPIPE, "nobody reads what we print")


class View(Protocol):
    """Where items are shown, and counted."""

    tally: Tally

    def on(self) -> AbstractContextManager[object]: ...
    def show(self, item: Item) -> None: ...
    def fail(self, error: Exception) -> None: ...


class Tally:
    """How many of each came, and the last word on each of the last hundred gaps.

    A gap is one gap, though it is said twice: when it begins, and when it has ended.
    """

    def __init__(self) -> None:
        self.items = 0
        self.seen: Counter[str] = Counter()
        self.gaps: deque[Gap] = deque(maxlen=100)
        self.error: Exception | None = None

    def count(self, item: Item) -> None:
        """Take in one item."""
        self.items += 1
        if isinstance(item, Gap) and self._ended(item):
            return
        self.seen[type(item).__name__] += 1

    def _ended(self, gap: Gap) -> bool:
        """Whether ``gap`` is the end of one that is known already."""
        for index, known in enumerate(self.gaps):
            if _hole(known) == _hole(gap):
                self.gaps[index] = gap
                return True
        self.gaps.append(gap)
        return False

    def summary(self, counters: Counters, connections: int) -> str:
        """What was seen, what was lost, and whether anything is unexplained."""
        seen = ", ".join(f"{count} {name}" for name, count in sorted(self.seen.items()))
        lines = [f"seen: {seen or 'nothing'}", f"connections: {connections}"]
        lines += [_plain(because(f"lost: {_span(gap)}", gap.reason)) for gap in self.gaps]
        told = ((_COUNTED.get(name, name), count) for name, count in dict(counters).items() if count)
        lines += sorted(f"{name.replace('_', ' ')}: {count}" for name, count in told)
        if self.error is not None:
            lines.append(f"ended by {type(self.error).__name__}: {_plain(str(self.error))}")
        return "\n".join(lines)


_COUNTED = {"received": "frames received"}


def _hole(gap: Gap) -> tuple[object, ...]:
    return gap.ts_start, gap.epoch, gap.venue, gap.symbols, gap.kind


class Lines:
    """One line per item, in words or, with ``encode=json_of``, in JSON; each leaves at once."""

    def __init__(self, console: Console, encode: Callable[[Item], str] | None = None) -> None:
        self.tally = Tally()
        self._file = console.file
        self._encode = encode or line_of
        self._for_people = encode is None

    def on(self) -> AbstractContextManager[object]:
        """Nothing to turn on."""
        return nullcontext()

    def show(self, item: Item) -> None:
        """Write its line."""
        self.tally.count(item)
        self._file.write(f"{self._encode(item)}\n")
        self._file.flush()

    def fail(self, error: Exception) -> None:
        """Write what ended it, where that is no item's line but a person reads."""
        self.tally.error = error
        if self._for_people:
            self._file.write(f"{type(error).__name__}: {_plain(str(error))}\n")


def json_of(item: Item) -> str:
    """One item as one line of JSON: its ``type``, its fields as they are called, stamps as whole ns.

    What is as its type has it by default is left out. A book shows its ``bids`` and ``asks``.

    >>> json_of(Trade("BTC/USD", ts_event=1790358506844359566, ts_recv=2, price=1.5, size=2.0))
    '{"type":"Trade","symbol":"BTC/USD","ts_event":1790358506844359566,"ts_recv":2,"price":1.5,"size":2.0}'
    """
    if isinstance(item, BookState):
        fields = {name: getattr(item, name) for name in _BOOK}
        told = {name: value for name, value in fields.items() if value not in (None, "", False)}
        return msgspec.json.encode({"type": "BookState", **told}).decode()
    return msgspec.json.encode(item).decode()


_BOOK = (
    "symbol",
    "ts_event",
    "ts_recv",
    "status",
    "bids",
    "asks",
    "venue",
    "exchange",
    "epoch",
    "sequence",
    "known_depth",
    "crossed",
    "reason",
)


def line_of(item: Item) -> str:
    """One item as one line of text, its type first; stamps are times of day, UTC."""
    return _plain(f"{type(item).__name__} {_words(item)}".rstrip())


def _words(item: Item) -> str:
    match item:
        case Trade():
            side = Side(item.side).name.lower()
            return f"{_clock(item.ts_event)} {item.symbol} {side} {_size(item.size)} @ {_price(item.price)}"
        case Quote():
            return f"{_clock(item.ts_event)} {item.symbol} {_touch(item)}"
        case Bar():
            named = {"open": item.open, "high": item.high, "low": item.low, "close": item.close}
            prices = " ".join(f"{word}={_price(price)}" for word, price in named.items())
            rest = " ".join([f"volume={_size(item.volume)} count={item.count}", *_marks(item)])
            return f"{_clock(item.start)} {item.symbol} {prices} {rest}"
        case BookState():
            return because(f"{_clock(item.ts_recv)} {item.symbol} {item.status} {_touch(item)}", item.reason)
        case Gap():
            return because(f"{_clock(item.ts_recv)} {_span(item)}", item.reason)
        case Status():
            return f"{_clock(item.ts_recv)} {words_of(item)}"
        case Lost():
            return f"{_clock(item.ts_recv)} {item.count} {item.kind} in the {item.where}"
        case Malformed():
            return f"{_clock(item.ts_recv)} {item.reason}"
        case _:
            return _fields(item)


def _fields(item: Any) -> str:
    """What has no words of its own: the time, the symbol, and each field that says something."""
    fields = msgspec.structs.asdict(item)
    stamp, symbol = fields.pop("ts_recv"), fields.pop("symbol", "")
    said = (f"{name}={value}" for name, value in fields.items() if value not in (None, "", (), 0, False))
    return " ".join(part for part in (_clock(stamp), symbol, *said) if part)


def counted(count: int, word: str) -> str:
    """A number and its word: "1 gap", "2 gaps"."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


class Screen:
    """The terminal, drawn anew from plain state; the pipeline only ever writes that state.

    ``shows`` names the parts: ``trades``, ``quotes``, ``bars``, ``books``. Whatever the terminal's width, no
    part is cut off: what does not fit beside stands below, and below 80 columns bars say less. Books stand in
    the order of ``symbols``, others behind them; the last that is shown says how many find no room.
    """

    def __init__(
        self,
        console: Console,
        title: str,
        counters: Counters,
        shows: Collection[str] = ("trades", "bars", "books"),
        *,
        symbols: Iterable[str] = (),
    ) -> None:
        self.tally = Tally()
        self._console = console
        self._title = title
        self._counters = counters
        self._shows = shows
        self._ranks = {symbol: rank for rank, symbol in enumerate(dict.fromkeys(symbols))}
        self._line = Text("connecting", style="yellow")
        self._trades: deque[Trade] = deque(maxlen=200)
        self._bars: deque[Bar] = deque(maxlen=200)
        self._said: deque[str] = deque(maxlen=_SAID)
        self._quotes: dict[str, Quote] = {}
        self._books: dict[str, BookState] = {}
        self._places = Places()

    def on(self) -> AbstractContextManager[object]:
        """Draw, ten times a second, as long as the block runs."""
        return Live(get_renderable=self.draw, console=self._console, refresh_per_second=10)

    def show(self, item: Item) -> None:
        """Remember what the next drawing needs of it."""
        self.tally.count(item)
        match item:
            case Trade():
                self._trades.appendleft(item)
            case Quote():
                self._quotes[item.symbol] = item
            case Bar():
                self._bars.appendleft(item)
            case BookState():
                self._books[item.symbol] = item
            case Status(state="open" | "joined" | "bridged"):
                self._line = Text(f"connected (connection {item.epoch})", style="green")
                self._say(item)
            case Status(state="retrying" | "parked"):
                self._line = Text(f"reconnecting: attempt {item.attempt}", style="yellow")
                self._say(item)
            case Status(state="heartbeat"):
                pass  # it says that the line lives, and so does all else here
            case Gap(ts_end=None, symbols=()):
                self._line = Text("disconnected", style="bold red")
                self._say(item)
            case _:
                self._say(item)

    def _say(self, item: Item) -> None:
        self._said.append(line_of(item))

    def fail(self, error: Exception) -> None:
        """Say what ended it."""
        self.tally.error = error
        self._line = Text(f"{type(error).__name__}: {_plain(str(error))}", style="bold red")

    def draw(self) -> RenderableType:
        """The whole screen as it stands, for a terminal of any size from 60 by 20 on."""
        width, height = self._console.size
        foot = self._foot(width)
        last = _SAID if width >= _WIDE else _SAID // 2
        parts = self._parts(width)
        taken = 4 + foot.plain.count("\n") + 1 + last  # head, two blanks, the cursor; foot; last words
        rows = max(height - taken, 4 * len(parts))
        weight = sum(share for share, _ in parts)
        body: list[RenderableType] = []
        for share, part in parts:
            body += [part(rows * share // weight - 1), ""]
        said = Text("\n".join(list(self._said)[-last:]), style="dim", no_wrap=True, overflow="ellipsis")
        head = Text(no_wrap=True, overflow="ellipsis")
        head = head.append(f" rtflow · {self._title} ", "bold reverse").append("  ").append_text(self._line)
        return Group(head, "", *body, foot, said)

    def _parts(self, width: int) -> list[tuple[int, Callable[[int], RenderableType]]]:
        """What stands below what: how large its share of the rows is, and how to draw it in so many."""
        parts: list[tuple[int, Callable[[int], RenderableType]]] = []
        wide = width >= _WIDE
        trades, books = "trades" in self._shows, "books" in self._shows
        if trades and books and wide:
            parts.append((2, lambda rows: self._beside(rows, width, self._draw_trades(rows))))
        else:
            if books:
                parts.append((2, lambda rows: self._beside(rows, width)))
            if trades:
                parts.append((2 if wide else 1, self._draw_trades))
        if "quotes" in self._shows:
            parts.append((1, lambda rows: self._draw_quotes(rows, wide=wide)))
        if "bars" in self._shows:
            parts.append((1, lambda rows: self._draw_bars(rows, width)))
        return parts

    def _foot(self, width: int) -> Text:
        """The counts, none of them broken at the end of a line."""
        seen, counters = self.tally.seen, self._counters
        words = {"trades": "trade", "quotes": "quote", "bars": "bar", "books": "book state"}
        kinds = {"trades": "Trade", "quotes": "Quote", "bars": "Bar", "books": "BookState"}
        counts = [counted(seen[kinds[each]], words[each]) for each in words if each in self._shows]
        gaps = counted(seen["Gap"], "gap")
        lost = (("overflowed", "lost"), ("malformed", "malformed"), ("late", "late"))
        counts += [gaps, *(f"{counters[name]} {word}" for name, word in lost)]
        lines = counts[:1]
        for count in counts[1:]:
            longer = f"{lines[-1]} · {count}"
            lines[-1:] = [longer] if len(longer) <= width else [lines[-1], count]
        foot = Text("\n".join(lines))
        if seen["Gap"]:
            foot.highlight_words([gaps], "yellow")
        return foot

    def _draw_trades(self, rows: int) -> RenderableType:
        table = _table("trades", "symbol", "", ">size", ">price")
        for trade in list(self._trades)[: rows - 1]:
            side = Side(trade.side)
            price = self._places.price(trade.symbol, trade.price)
            size = self._places.size(trade.symbol, trade.size)
            cells = _clock(trade.ts_event, 1), trade.symbol, side.name.lower(), size, price
            _row(table, *cells, style=_SIDES[side])
        return _padded(table, rows - 1)

    def _draw_quotes(self, rows: int, *, wide: bool) -> RenderableType:
        """The latest of each symbol; on a narrow screen without its time."""
        table = _table(*(["quotes", "symbol"] if wide else ["quotes"]), ">size", ">bid", ">ask", ">size")
        price, size = self._places.price, self._places.size
        for quote in list(self._quotes.values())[: rows - 1]:
            time = [_clock(quote.ts_event, 1)] if wide else []
            cells = (
                _or_dash(size, quote.symbol, quote.bid_size),
                _or_dash(price, quote.symbol, quote.bid),
                _or_dash(price, quote.symbol, quote.ask),
                _or_dash(size, quote.symbol, quote.ask_size),
            )
            _row(table, *time, quote.symbol, *cells)
        return _padded(table, rows - 1)

    def _draw_bars(self, rows: int, width: int) -> RenderableType:
        """Bars; on a narrow screen without the prices before the close."""
        prices = ("open", "high", "low", "close") if width >= _WIDE else ("close",)
        columns = "bars", "symbol", *(f">{name}" for name in prices), ">volume", ""
        table = _table(*columns, between=2 if width >= _ROOMY else 1)
        for bar in list(self._bars)[: rows - 1]:
            style = "yellow" if bar.gap else "green" if bar.close >= bar.open else "red"
            told = (self._places.price(bar.symbol, getattr(bar, name)) for name in prices)
            marks = " ".join(mark.partition(" ")[0] for mark in _marks(bar))
            volume = self._places.size(bar.symbol, bar.volume)
            _row(table, _clock(bar.start, digits=0), bar.symbol, *told, volume, marks, style=style)
        return _padded(table, rows - 1)

    def _beside(self, rows: int, width: int, *first: RenderableType) -> RenderableType:
        """What stands first, and as many ladders as there is room for: one at least, or a place for one."""
        depth = max(1, (rows - 2) // 2)
        books = sorted(self._books.values(), key=self._rank)
        ladders = [ladder(book, depth, self._places) for book in books]
        shown: list[RenderableType] = ladders[:1] or [_padded(_table("books"), rows - 1)]
        left = width - sum(map(self._width, (*first, *shown)))
        for each in ladders[1:]:
            left -= self._width(each)
            if left < 0:
                break
            shown.append(each)
        hidden = len(books) - len(shown)
        if hidden > 0:
            shown[-1] = ladder(books[len(shown) - 1], depth, self._places, beside=hidden)
        grid = Table.grid(padding=(0, _BETWEEN, 0, 0))
        grid.add_row(*first, *shown)
        return grid

    def _rank(self, book: BookState) -> int:
        return self._ranks.get(book.symbol, len(self._ranks))

    def _width(self, part: RenderableType) -> int:
        return self._console.measure(part).maximum + _BETWEEN


_SAID = 4  # last words
_WIDE = 80  # columns from which trades and a ladder stand side by side
_ROOMY = 96  # columns from which bars need not stand close
_BETWEEN = 2  # columns between what stands side by side
_SIDES = {Side.BUY: "green", Side.SELL: "red", Side.UNKNOWN: ""}


class Places:
    """How many decimals the prices and the sizes of each symbol want, so that they stand in columns."""

    def __init__(self) -> None:
        self._prices: dict[str, int] = {}
        self._largest: dict[str, float] = {}

    def price(self, symbol: str, value: float) -> str:
        """A price with the most decimals that any of its symbol has had: two at least, eight at most."""
        known = self._prices.get(symbol, 2)
        if known < _FINEST:
            known = max(known, len(f"{value:.{_FINEST}f}".rstrip("0").partition(".")[2]))
            self._prices[symbol] = known
        return f"{value:,.{known}f}"

    def size(self, symbol: str, value: float) -> str:
        """A size with as many decimals as the largest of its symbol leaves room for: four at most.

        >>> places = Places()
        >>> places.size("A", 0.25), places.size("A", 12.5), places.size("A", 31191.4)
        ('0.2500', '12.500', '31,191')
        """
        largest = self._largest[symbol] = max(value, self._largest.get(symbol, 1.0))
        return f"{value:,.{max(0, 5 - len(str(int(largest))))}f}"


_FINEST = 8  # decimals


def ladder(book: BookState, depth: int, places: Places, *, beside: int = 0) -> RenderableType:
    """The best ``depth`` levels of both sides, asks on top, each with a bar as long as its size.

    It is ``2 * depth + 2`` rows high, whatever the book holds; of one that is not live it says what it is.
    ``beside`` is how many books there are that find no room.
    """
    table = _table(f">{book.symbol}", ">size", _more(beside))
    asks, bids = book.asks[:depth], book.bids[:depth]
    largest = max((size for _, size in asks + bids), default=1.0)
    for index in range(depth - len(asks)):
        said = Text(book.status, "bold yellow") if index == 0 and book.status != "live" else ""
        _row(table, said, "", " " * _WIDEST)
    for levels, style in ((asks[::-1], "red"), (bids, "green")):
        if style == "green":
            spread = "" if book.spread is None else places.price(book.symbol, book.spread)
            _row(table, spread, "spread", "", style="dim")
        for price, size in levels:
            told = places.price(book.symbol, price), places.size(book.symbol, size)
            _row(table, *told, "█" * round(_WIDEST * size / largest), style=style)
    return _padded(table, 2 * depth + 1)


def _more(count: int) -> str:
    """At most as wide as a bar, so that the ladder keeps its width."""
    return f"+{count} more"[:_WIDEST].removesuffix(" mor") if count else ""


_WIDEST = 7  # characters of a bar


def _table(*columns: str, between: int = 2) -> Table:
    """A table without lines; a column that starts with ``>`` is aligned to the right."""
    table = Table(box=None, padding=(0, between, 0, 0), header_style="dim")
    for column in columns:
        title = Text(_plain(column.removeprefix(">")))
        table.add_column(title, justify="right" if column[:1] == ">" else "left", no_wrap=True)
    return table


def _row(table: Table, *cells: str | Text, style: str = "") -> None:
    """A row whose texts are texts: what a venue calls a symbol is no markup."""
    table.add_row(*(Text(_plain(cell)) if isinstance(cell, str) else cell for cell in cells), style=style)


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


def _touch(item: Quote | BookState) -> str:
    bid, ask = (_price(price) for price in (item.bid, item.ask))
    return f"{_size(item.bid_size)} {bid} | {ask} {_size(item.ask_size)}"


def _price(price: float | None) -> str:
    return "-" if price is None else f"{price:.10g}"


def _size(size: float | None) -> str:
    return "-" if size is None else f"{size:.10g}"


def _or_dash(text: Callable[[str, float], str], symbol: str, value: float | None) -> str:
    return "-" if value is None else text(symbol, value)


def _plain(text: str) -> str:
    """Without the characters that would move a terminal's cursor: what a venue says is only ever text."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
