"""marbles: what happened when in several streams, one lane each, aligned."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

from reactivex import Observable
from reactivex.scheduler import CurrentThreadScheduler

from rtflow import marbles as written
from rtflow.events import Bar, Gap, Lost, Quote, Side, Status, Trade
from rtflow.scheduler import running_line, stamp_of
from rtflow.show._picture import Head, Message, Picture
from rtflow.show._sheet import Sheet, clock, fitted, moments, short
from rtflow.show._view import View, is_list, is_stream
from rtflow.time import SECOND, Duration, nanoseconds


def marbles(
    *lanes: Any,
    every: Duration = 0.1,
    seconds: Duration = 10.0,
    label: Callable[[Any], str] | None = None,
    rate: float = 4.0,
    **named: Any,
) -> View:
    """Lanes of what happened when, one above the other on one axis of time.

    A lane is a stream, which is watched from now on and of which the last ``seconds`` are shown; a
    :class:`~rtflow.testing.Timed`; a line of text as :mod:`rtflow.marbles` reads it, a dash ``every``
    seconds; or a list of items, at their ``ts_recv``. Lanes are named by their keyword; those without one
    are numbered. ``label`` says what an item is called; without it a trade and a bar go by their price, text
    and numbers by themselves, everything else by its type. An end is a bar, an error a cross.

    >>> view = marbles(trades="-a--b---c-|", bars="----------B|")
    >>> view.svg().count("<circle") >= 4
    True

    Raises TypeError for a lane that is none of these, ValueError where there is none.
    """
    sources = {**{f"{place + 1}": lane for place, lane in enumerate(lanes)}, **named}
    if not sources:
        raise ValueError("marbles are drawn on lanes: give a stream, a Timed, a text or a list")
    picture = _Marbles(list(sources), nanoseconds(seconds), label or _label)
    feeds: list[tuple[Any, Callable[[Any], None]]] = []
    for name, source in sources.items():
        if is_stream(source):
            feeds.append((_with_its_end(source, name, picture), partial(picture.came, name)))
        else:
            feeds.append((_finished(source, nanoseconds(every) / SECOND), partial(picture.put, name)))
    return View(picture, feeds, rate=rate)


class Marble(NamedTuple):
    """One thing on a lane, ``at`` so many ns."""

    at: int
    item: Any
    end: str = ""  # "|" or "#" where it is no item, but the end


@runtime_checkable
class _Timed(Protocol):
    """A :class:`rtflow.testing.Timed`, whose module needs what only tests have."""

    items: list[tuple[int, Any]]
    length: int
    end: str
    error: Exception | None


def _finished(source: Any, every: float) -> list[Marble]:
    """What a lane that is complete already says."""
    if isinstance(source, str):
        line = written.read(source, every=every)
        return [Marble(mark.at, mark.name, mark.name if mark.name in "|#" else "") for mark in line.marks]
    if isinstance(source, _Timed):
        items = [Marble(at, item) for at, item in source.items]
        return [*items, Marble(source.length, source.error, source.end)] if source.end else items
    if is_list(source):
        return [Marble(getattr(item, "ts_recv", 0), item) for item in source]
    raise TypeError(f"a lane is an Observable, a Timed, a text or a list of items, not {source!r:.80}")


def _with_its_end(source: Observable[Any], name: str, picture: _Marbles) -> Observable[Any]:
    """``source``, its end on its lane too."""

    def subscribe(observer: Any, scheduler: Any = None) -> Any:
        def failed(error: Exception) -> None:
            picture.came_to_an_end(name, "#", error)
            observer.on_completed()  # the other lanes go on

        def completed() -> None:
            picture.came_to_an_end(name, "|", None)
            observer.on_completed()

        return source.subscribe(observer.on_next, failed, completed, scheduler=scheduler)

    return Observable(subscribe)


_MOST = 400  # marbles of a lane
_LANE = 46


class _Marbles(Picture):
    script = "marbles"
    awaits = "items"

    def __init__(self, lanes: list[str], seconds: int, label: Callable[[Any], str]) -> None:
        super().__init__()
        if seconds <= 0:
            raise ValueError("a diagram is some seconds long")
        self._lanes: dict[str, deque[list[Any]]] = {name: deque(maxlen=_MOST) for name in lanes}
        self._counts = dict.fromkeys(lanes, 0)
        self._untold: dict[str, int] = dict.fromkeys(lanes, 0)
        self._seconds = seconds
        self._called = label
        self._first: int | None = None
        self._last = 0
        self._live = False
        self.height = _LANE * len(lanes) + 26

    def take(self, item: Any) -> None:
        raise NotImplementedError("a marble belongs to a lane: put() takes it")

    def put(self, lane: str, marble: Marble) -> None:
        """A marble of a lane that is finished."""
        shape, tone, words = _look(marble, self._called)
        self._lanes[lane].append([marble.at, shape, tone, words])
        self._counts[lane] += not marble.end
        self._untold[lane] += 1
        self._first = marble.at if self._first is None else min(self._first, marble.at)
        self._last = max(self._last, marble.at)

    def came(self, lane: str, item: Any) -> None:
        """An item of a lane that runs."""
        self._live = True
        self.put(lane, Marble(_now(item), item))

    def came_to_an_end(self, lane: str, end: str, error: Exception | None) -> None:
        """A lane that ran has ended."""
        self._live = True
        self.put(lane, Marble(max(self._last, _now(None)) if self._first is None else self._last, error, end))

    def empty(self) -> bool:
        return self._first is None

    def head(self) -> Head:
        total = sum(self._counts.values())
        what = "marble" if total == 1 else "marbles"
        return Head(f"{total:,} {what}", "", "" if total or not self.empty() else "waiting")

    def _window(self) -> tuple[int, int]:
        """From when to when; of a run that goes on, the end of it."""
        first = self._first or 0
        last = max(self._last, first + 1)
        return (max(first, last - self._seconds), last) if self._live else (first, last)

    def whole(self) -> Message:
        self._untold = {name: len(lane) for name, lane in self._lanes.items()}
        return self.changes()

    def changes(self) -> Message:
        start, end = self._window()
        told = {
            name: [[at / 1e9, *look] for at, *look in list(self._lanes[name])[-count:]]
            for name, count in self._untold.items()
            if count
        }
        self._untold = dict.fromkeys(self._lanes, 0)
        return {
            "lanes": list(self._lanes),
            "marbles": told,
            "window": [start / 1e9, end / 1e9],
            "most": _MOST,
            "clock": start >= _EPOCH_SURELY,
        }

    def draw(self, sheet: Sheet, top: int) -> None:
        start, end = self._window()
        names = 14 + max(7 * len(name) for name in self._lanes)
        left, right = min(names + 12.0, sheet.width * 0.3), sheet.width - 26.0

        def at(stamp: int) -> float:
            return left + (right - left) * (stamp - start) / max(1, end - start)

        bottom = top + _LANE * len(self._lanes)
        for moment, places in moments(start, end, max(2, int((right - left) / 90))):
            sheet.line(at(moment), top + 4, at(moment), bottom, dash="2 4")
            words = clock(moment, places) if start >= _EPOCH_SURELY else written.duration(moment)
            sheet.text(at(moment), bottom + 14, words, "faint", anchor="middle", small=True)
        for place, (name, lane) in enumerate(self._lanes.items()):
            y = top + _LANE * place + 20.0
            sheet.text(4, y + 4, name, strong=True, room=left - 14)
            sheet.line(left - 6, y, right + 14, y, "faint")
            sheet.area([(right + 14, y - 4), (right + 21, y), (right + 14, y + 4)], "faint", opacity=1)
            free = left - 20.0
            for stamp, shape, tone, words in lane:
                if stamp >= start:
                    _draw(sheet, at(stamp), y, shape, tone)
                    wide = 6.3 * len(words)
                    if words and at(stamp) - wide / 2 > free:
                        sheet.text(at(stamp), y + 22, words, "faint", anchor="middle", small=True)
                        free = at(stamp) + wide / 2 + 4


_EPOCH_SURELY = 365 * 86_400 * SECOND  # stamps below it count from the beginning of a test


def _now(item: Any) -> int:
    stamp = getattr(item, "ts_recv", 0)
    return stamp or stamp_of(running_line() or CurrentThreadScheduler.singleton())


def _look(marble: Marble, label: Callable[[Any], str]) -> tuple[str, str, str]:
    """Shape, colour and words."""
    if marble.end:
        if marble.end == "|":
            return "end", "ink", ""
        return (
            "error",
            "bad",
            "" if marble.item in (None, "#") else fitted(type(marble.item).__name__, 130, 6.5),
        )
    words = fitted(label(marble.item), 90, 6.5)
    match marble.item:
        case Gap() | Lost():
            return "hole", "warn", words
        case Bar():
            return "square", "other", words
        case Trade(side=Side.BUY):
            return "circle", "bid", words
        case Trade(side=Side.SELL):
            return "circle", "ask", words
        case Status():
            return "square", "faint", words
        case _:
            return "circle", "bid", words


def _label(item: Any) -> str:
    match item:
        case Trade():
            return f"{item.price:.10g}"
        case Bar():
            return f"{item.close:.10g}"
        case Quote(bid=float(bid), ask=float(ask)):
            return f"{bid:.10g}|{ask:.10g}"
        case Status():
            return item.state
        case float():
            return short(item)
        case str() | int() | bool():
            return str(item)
        case _:
            return type(item).__name__


def _draw(sheet: Sheet, x: float, y: float, shape: str, tone: str) -> None:
    match shape:
        case "end":
            sheet.line(x, y - 10, x, y + 10, tone, width=2.5)
        case "error":
            sheet.path([(x - 7, y - 7), (x + 7, y + 7)], tone, width=2.5)
            sheet.path([(x - 7, y + 7), (x + 7, y - 7)], tone, width=2.5)
        case "hole":
            sheet.area([(x, y - 9), (x + 9, y), (x, y + 9), (x - 9, y)], tone, opacity=1)
        case "square":
            sheet.box(x - 7, y - 7, 14, 14, "paper")
            sheet.box(x - 6, y - 6, 12, 12, tone)
        case _:
            sheet.dot(x, y, 6.5, tone)
