"""health: how the line does: connection, rates, lag, gaps and losses."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

from reactivex import Observable

from rtflow.book import BookState
from rtflow.events import Gap, Lost, Malformed, Stale, Status
from rtflow.show._picture import Head, Message, Picture, Tone
from rtflow.show._sheet import Sheet, clock, said
from rtflow.show._view import View
from rtflow.time import SECOND
from rtflow.words import because, words_of


def health(events: Observable[Any] | Iterable[Any], *, rate: float = 4.0) -> View:
    """The connection's state, what comes of each kind and how late, and what was lost on the way.

    ``events`` is what ``op.normalize`` gives, or anything made of it: kinds are the names of the items'
    types. Rates are over the last ten seconds in which anything came, lag is ``ts_recv`` less ``ts_event``,
    median and 99th percentile of the last 500: it is off by as much as the two clocks are. The columns
    above are items a second, of one minute.

    >>> from rtflow import Status, Trade
    >>> events = [Status("open", 1), Trade("BTC/USD", 1, 2_000_001, price=9.5, size=1.0)]
    >>> "Trade" in health(events).svg()
    True

    Raises TypeError for what is neither a stream nor a list.
    """
    return View.of(_Health(), events, rate=rate)


_MINUTE = 60
_LINES = 6
_KINDS = 12


class _Kind:
    """One kind of item: how many, when, and how late the last of them."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = deque[tuple[int, int]](maxlen=11)  # a second, and how many came before it was over
        self.lags = deque[float](maxlen=500)  # ms

    def take(self, second: int, lag: float | None) -> None:
        self.count += 1
        if self.seconds and self.seconds[-1][0] >= second:
            self.seconds[-1] = (self.seconds[-1][0], self.seconds[-1][1] + 1)
        else:
            self.seconds.append((second, 1))
        if lag is not None:
            self.lags.append(lag)

    def rate(self, now: int, first: int) -> float:
        """Items a second in the ten whole seconds before ``now``, or in as many as there were."""
        whole = min(10, now - first)
        if whole < 1:
            return float(self.count)
        return sum(count for second, count in self.seconds if now - whole <= second < now) / whole

    def lag(self, part: float) -> float | None:
        ranked = sorted(self.lags)
        return ranked[round(part * (len(ranked) - 1))] if ranked else None


class _Health(Picture):
    script = "health"
    awaits = "events"
    height = 366

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[str, _Kind] = {}
        self._seconds: dict[int, int] = {}
        self._first = self._now = 0
        self._state: tuple[str, Tone] = ("", "quiet")
        self._connections = 0
        self._facts = Counter[str]()
        self._gone = 0  # ns within gaps that have ended
        self._log: deque[tuple[int, str, Tone, str]] = deque(maxlen=_LINES)
        self._logged = 0
        self._told_log = 0
        self._untold_kinds: set[str] = set()
        self._untold_seconds: set[int] = set()

    def take(self, item: Any) -> None:
        stamp = getattr(item, "ts_recv", 0)
        second = stamp // SECOND
        if not self._kinds:
            self._first = self._now = second
        if second > self._now:
            self._now = second
        name = type(item).__name__
        if name not in self._kinds and len(self._kinds) >= _KINDS:
            name = "others"
        sent = getattr(item, "ts_event", 0)
        late = (stamp - sent) / 1e6 if sent and not isinstance(item, BookState) else None
        self._kinds.setdefault(name, _Kind()).take(self._now, late)
        self._untold_kinds.add(name)
        self._seconds[self._now] = self._seconds.get(self._now, 0) + 1
        self._untold_seconds.add(self._now)
        while (oldest := next(iter(self._seconds))) <= self._now - _MINUTE:
            del self._seconds[oldest]
        self._note(item, stamp)

    def _note(self, item: Any, stamp: int) -> None:
        match item:
            case Status(state="heartbeat"):
                return
            case Status():
                self._status(item)
            case Gap(ts_end=None):
                if not item.symbols:  # else others still serve
                    self._state = ("line lost", "bad")
                self._write(stamp, "warn", f"gap begins: {item.reason}")
            case Gap(ts_end=int(end)):
                self._facts["gaps"] += 1
                self._gone += end - item.ts_start
                if self._state[0] == "line lost":
                    self._state = ("connected", "good")
                self._write(stamp, "warn", f"gap of {(end - item.ts_start) / 1e9:.3f} s: {item.reason}")
            case Lost():
                self._facts["lost"] += item.count
                self._write(stamp or item.ts_last, "bad", f"lost {item.count:,} {item.kind} in {item.where}")
            case Stale():
                self._facts["stale"] += 1
                about = item.symbol or item.tier
                self._write(
                    stamp, "warn", because(f"{about} silent for {item.silent_for:.1f} s", item.action)
                )
            case Malformed():
                self._facts["malformed"] += 1
                self._write(stamp, "bad", f"malformed: {item.reason}")
            case _:
                return

    def _status(self, status: Status) -> None:
        match status.state:
            case "open" | "joined" | "bridged":
                self._connections = max(self._connections, status.epoch)
                self._state = ("connected", "good")
            case "closed":
                self._state = ("disconnected", "bad")
            case "retrying" | "parked":
                self._state = (f"reconnecting, attempt {status.attempt}", "warn")
            case _:
                pass
        tone: Tone = "bad" if status.state in ("closed", "rejected") else "quiet"
        self._write(status.ts_recv, tone, words_of(status))

    def _write(self, stamp: int, tone: Tone, words: str) -> None:
        self._logged += 1
        self._log.append((self._logged, clock(stamp, 3), tone, words.strip().removesuffix(":")))

    def empty(self) -> bool:
        return not self._kinds

    def head(self) -> Head:
        words, tone = self._state
        total = sum(each.count for each in self._kinds.values())
        return Head(
            "feed", f"{total:,} items" if total else "", words or ("waiting" if not total else ""), tone
        )

    def whole(self) -> Message:
        self._told_log = 0
        self._untold_kinds = set(self._kinds)
        self._untold_seconds = set(self._seconds)
        return self.changes()

    def changes(self) -> Message:
        kinds = [self._row(name) for name in self._kinds if name in self._untold_kinds]
        seconds = [
            [each, self._seconds[each]] for each in sorted(self._untold_seconds) if each in self._seconds
        ]
        log = [each for each in self._log if each[0] > self._told_log]
        self._untold_kinds, self._untold_seconds, self._told_log = (
            set(),
            {self._now} & set(self._seconds),
            self._logged,
        )
        return {"kinds": kinds, "seconds": seconds, "facts": self._told_facts(), "log": log, "lines": _LINES}

    def _row(self, name: str) -> list[Any]:
        kind = self._kinds[name]
        return [name, kind.count, kind.rate(self._now, self._first), kind.lag(0.5), kind.lag(0.99)]

    def _told_facts(self) -> list[list[Any]]:
        facts = self._facts
        return [
            ["connections", f"{self._connections:,}", "warn" if self._connections > 1 else "quiet"],
            [
                "gaps",
                f"{facts['gaps']:,}" + (f" ({self._gone / 1e9:.1f} s)" if self._gone else ""),
                _tone(facts["gaps"], "warn"),
            ],
            ["lost", f"{facts['lost']:,}", _tone(facts["lost"], "bad")],
            ["malformed", f"{facts['malformed']:,}", _tone(facts["malformed"], "bad")],
            ["stale", f"{facts['stale']:,}", _tone(facts["stale"], "warn")],
        ]

    def draw(self, sheet: Sheet, top: int) -> None:
        wide = sheet.width
        facts = self._told_facts()
        for place, (name, words, tone) in enumerate(facts):
            x = 4 + place * wide / len(facts)
            sheet.text(x, top + 14, str(name), "faint", small=True)
            sheet.text(
                x,
                top + 31,
                words,
                "ink" if tone == "quiet" else tone,
                strong=True,
                room=wide / len(facts) - 4,
            )
        self._sparks(sheet, top + 42)
        self._table(sheet, top + 96)

    def _sparks(self, sheet: Sheet, top: int) -> None:
        largest = max(self._seconds.values())
        step = (sheet.width - 8) / _MINUTE
        for second, count in self._seconds.items():
            place = _MINUTE - 1 - (self._now - second)
            tall = 34 * count / largest
            sheet.box(4 + place * step, top + 36 - tall, max(1.0, step - 1), tall, "other", opacity=0.7)
        sheet.line(4, top + 36.5, sheet.width - 4, top + 36.5)
        sheet.text(4, top + 48, "items a second, one minute", "faint", small=True)
        sheet.text(sheet.width - 4, top + 48, f"most {largest:,}", "faint", anchor="end", small=True)

    def _table(self, sheet: Sheet, top: int) -> None:
        wide = sheet.width
        at = [4.0, wide * 0.45, wide * 0.62, wide * 0.81, wide - 4.0]
        for x, words in zip(at, ("kind", "count", "a second", "lag ms", "99 %"), strict=True):
            sheet.text(x, top + 14, words, "faint", anchor="start" if x == 4 else "end", small=True)
        rows = sorted(self._kinds, key=lambda name: -self._kinds[name].count)[:7]
        for place, name in enumerate(rows):
            _, count, rate, lag, late = self._row(name)
            y = top + 32 + 18 * place
            sheet.text(at[0], y, name, room=wide * 0.3)
            for x, words in zip(
                at[1:], (f"{count:,}", said(rate, 1), said(lag, 1), said(late, 1)), strict=True
            ):
                sheet.text(x, y, words, anchor="end")
        line = top + 36 + 18 * len(rows)
        sheet.line(0, line + 0.5, wide, line + 0.5)
        lines = max(1, (self.height - 96 - (line - top)) // 18)
        for place, (_, moment, tone, words) in enumerate(list(self._log)[-int(lines) :]):
            sheet.text(4, line + 18 * (place + 1) - 2, moment, "faint", small=True)
            sheet.text(
                84,
                line + 18 * (place + 1) - 2,
                words,
                "ink" if tone == "quiet" else tone,
                small=True,
                room=wide - 90,
            )


def _tone(count: int, tone: Tone) -> Tone:
    return tone if count else "quiet"
