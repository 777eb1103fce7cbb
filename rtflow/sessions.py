"""When a market trades: sessions by the clock on its wall, by an exchange's calendar, or around the clock.

Where a session begins and ends is computed by the calendar, never by adding up hours: a day on which clocks
are put forward has 23 of them, and New York's opening bell is at another hour of UTC in winter.
``op.window_to_bar(every="5m", session=…)`` cuts bars by them; any object with the two methods of
:class:`Sessions` will do.

    >>> from rtflow.time import format, parse
    >>> mumbai = Hours("09:15-15:30", zone="Asia/Kolkata", holidays=["2026-11-24"])
    >>> monday_evening = parse("2026-11-23T18:00:00+05:30")
    >>> session = mumbai.at(monday_evening)
    >>> session.day.isoformat(), format(session.open, digits=0)
    ('2026-11-25', '2026-11-25T03:45:00Z')
"""

from __future__ import annotations

import re
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from importlib import import_module
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rtflow.time import from_datetime, to_datetime

Day: TypeAlias = date | str
"""A date, or its text: ``"2026-11-27"``."""


class Session(NamedTuple):
    """``[open, close)`` in ns, and the trading day to which it belongs."""

    day: date
    open: int
    close: int


@runtime_checkable
class Sessions(Protocol):
    """When one market trades. Its sessions do not overlap; two may touch.

    A day may have several, with a lunch between them, and one may open on the evening before its day.
    """

    def at(self, stamp: int, /) -> Session | None:
        """The session that ``stamp`` is in, or else the next one; None after the last that is known."""
        ...

    def before(self, stamp: int, /) -> Session | None:
        """The last session that is over at ``stamp``; None before the first that is known."""
        ...


class Hours:
    """The same hours on the same days of the week, but for holidays and special days.

    ``hours`` is one span or several, ``"09:30-16:00"`` or ``"09:00-11:30 12:30-15:30"``, of the wall clock in
    ``zone``; seconds may follow the minutes, and ``24:00`` is midnight at the end of the day. A span that
    does not close after it opens begins on the evening before: ``"18:00-17:00"`` is Sunday's evening to
    Monday's afternoon, and Monday's. ``weekdays`` are those of :meth:`datetime.date.weekday`, Monday being 0.
    On ``holidays`` there is no session. ``special`` gives a day hours of its own, a half day as well as a
    Saturday or an evening of a holiday.

    Of a wall-clock time that comes twice, the first is meant; one that is skipped is as much later as the
    clock is put forward. What is left without a length by that is no session.

    >>> from rtflow.time import format, parse
    >>> nyse = Hours("09:30-16:00", zone="America/New_York", special={"2026-11-27": "09:30-13:00"})
    >>> half_day = nyse.at(parse("2026-11-27T12:00:00Z"))
    >>> format(half_day.open, digits=0), format(half_day.close, digits=0)
    ('2026-11-27T14:30:00Z', '2026-11-27T18:00:00Z')
    >>> nyse.before(half_day.open).day.isoformat()
    '2026-11-26'

    Raises ValueError for hours, days and zones that cannot be read, for spans of a day that overlap, and
    where no weekday is left.
    """

    def __init__(
        self,
        hours: str,
        *,
        zone: str | tzinfo,
        weekdays: Iterable[int] = range(5),
        holidays: Iterable[Day] = (),
        special: Mapping[Day, str] | None = None,
    ) -> None:
        self.zone = _zone(zone)
        self._spans = _spans(hours)
        self._weekdays = frozenset(weekdays)
        if not self._weekdays or not self._weekdays <= frozenset(range(7)):
            raise ValueError(f"weekdays are some of 0 (Monday) to 6 (Sunday), not {sorted(self._weekdays)}")
        self._special = {_day(day): () for day in holidays} | {
            _day(day): _spans(hours) for day, hours in (special or {}).items()
        }

    def on(self, day: date) -> tuple[Session, ...]:
        """The sessions of one trading day, in order; none on a holiday."""
        spans = self._special.get(day)
        if spans is None:
            spans = self._spans if day.weekday() in self._weekdays else ()
        sessions = (Session(day, self._stamp(day, first), self._stamp(day, last)) for first, last in spans)
        return tuple(session for session in sessions if session.open < session.close)

    def at(self, stamp: int, /) -> Session:
        """The session that ``stamp`` is in, or else the next one."""
        day = self._day(stamp)
        while True:
            for session in self.on(day):
                if stamp < session.close:
                    return session
            day += _A_DAY

    def before(self, stamp: int, /) -> Session:
        """The last session that is over at ``stamp``."""
        day = self._day(stamp)
        while True:
            for session in reversed(self.on(day)):
                if session.close <= stamp:
                    return session
            day -= _A_DAY

    def _day(self, stamp: int) -> date:
        """The day that the wall shows."""
        return to_datetime(stamp).astimezone(self.zone).date()

    def _stamp(self, day: date, time: timedelta) -> int:
        """When the wall clock shows so much after the midnight with which ``day`` begins."""
        wall = datetime.combine(day, datetime.min.time()) + time
        return from_datetime(wall.replace(tzinfo=self.zone))


def around_the_clock(zone: str | tzinfo = UTC) -> Hours:
    """A market that never closes: one session for each day of ``zone``, from midnight to midnight.

    Where clocks change, a day has 23 or 25 hours.

    >>> from rtflow.time import SECOND, parse
    >>> london = around_the_clock("Europe/London")
    >>> sunday = london.at(parse("2026-03-29T12:00:00Z"))
    >>> (sunday.close - sunday.open) // (3600 * SECOND)
    23
    """
    return Hours("00:00-24:00", zone=zone, weekdays=range(7))


class Listed:
    """Sessions that are written down, one by one, in order.

    >>> listed = Listed([Session(date(2026, 11, 23), 10, 20), Session(date(2026, 11, 24), 30, 40)])
    >>> listed.at(20).open, listed.at(40), listed.before(25).close
    (30, None, 20)

    Raises ValueError for one that does not open after the one before has closed, or closes before it opens.
    """

    def __init__(self, sessions: Iterable[Session]) -> None:
        self._sessions = tuple(sessions)
        for session in self._sessions:
            if session.open >= session.close:
                raise ValueError(f"a session closes after it opens, which {session} does not")
        for one, other in pairwise(self._sessions):
            if one.close > other.open:
                raise ValueError(f"sessions come in order and do not overlap, as {one} and {other} do")
        self._closes = [session.close for session in self._sessions]

    def at(self, stamp: int, /) -> Session | None:
        """The session that ``stamp`` is in, or else the next one; None after the last."""
        over = bisect_right(self._closes, stamp)
        return self._sessions[over] if over < len(self._sessions) else None

    def before(self, stamp: int, /) -> Session | None:
        """The last session that is over at ``stamp``; None before the first is."""
        over = bisect_right(self._closes, stamp)
        return self._sessions[over - 1] if over else None


def exchange(name: str, *, start: Day = "2000-01-01", end: Day = "2037-12-31") -> Listed:
    """The regular sessions of one exchange, by its ISO 10383 code: ``"XNYS"``, ``"XLON"``, ``"XBOM"``.

    Needs the extra ``calendars``: https://github.com/gerrymanoim/exchange_calendars, which knows the
    holidays, the half days and the lunch breaks of a hundred exchanges, and by their own names ``"CMES"``,
    ``"24/5"`` and others. Those of ``start`` to ``end`` are taken, as far as it knows them: of some exchanges
    no longer than to the end of this year or the next, so keep it up to date.

    >>> from rtflow.time import format, parse
    >>> thanksgiving = parse("2026-11-26T15:00:00Z")
    >>> session = exchange("XNYS", start="2026-01-01", end="2026-12-31").at(thanksgiving)
    >>> format(session.open, digits=0), format(session.close, digits=0)
    ('2026-11-27T14:30:00Z', '2026-11-27T18:00:00Z')

    Raises ImportError without the extra, ValueError for an exchange that nobody knows.
    """
    try:
        known: Any = import_module("exchange_calendars")
    except ImportError as missing:
        raise ImportError(
            "an exchange's calendar comes with the exchange_calendars package: install 'rtflow[calendars]'"
        ) from missing
    if name not in known.get_calendar_names():
        raise ValueError(f"exchange_calendars knows no {name!r}; its get_calendar_names() are what it knows")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # between it and pandas, and no user's to mend
        usual: Any = known.get_calendar(name)
        first, last = usual.bound_min(), usual.bound_max()
        calendar = known.get_calendar(
            name,
            start=_day(start) if first is None else max(_day(start), first.date()),
            end=_day(end) if last is None else min(_day(end), last.date()),
        )
    breaks = zip(calendar.break_starts_nanos.tolist(), calendar.break_ends_nanos.tolist(), strict=True)
    sessions: list[Session] = []
    for label, open, close, (lunch, back) in zip(  # noqa: A001 - as in Session
        calendar.sessions, calendar.opens_nanos.tolist(), calendar.closes_nanos.tolist(), breaks, strict=True
    ):
        day = label.date()
        if lunch > open:  # where there is none, it is NaT, the smallest number of all
            sessions += Session(day, open, lunch), Session(day, back, close)
        else:
            sessions.append(Session(day, open, close))
    return Listed(sessions)


_A_DAY = timedelta(days=1)
_TIME = r"(\d\d):([0-5]\d)(?::([0-5]\d))?"
_SPAN = re.compile(rf"{_TIME}-{_TIME}", re.ASCII)

_Span: TypeAlias = tuple[timedelta, timedelta]
"""Open and close, from the midnight with which the day begins."""


def _spans(hours: str) -> tuple[_Span, ...]:
    """What a text says of the hours of a day, in their order."""
    if not isinstance(hours, str):
        raise TypeError(f'hours are a text such as "09:30-16:00", not {hours!r}')
    spans = sorted(_span(text) for text in hours.split())
    if not spans or any(one[1] > other[0] for one, other in pairwise(spans)):
        raise ValueError(
            f'the hours of a day are spans such as "09:30-16:00" that do not overlap, not {hours!r}'
        )
    return tuple(spans)


def _span(text: str) -> _Span:
    said = _SPAN.fullmatch(text)
    if said is None:
        raise ValueError(f'a session is from one time to another, as in "09:30-16:00", not {text!r}')
    first, last = (
        timedelta(hours=int(hour), minutes=int(minute), seconds=int(second or 0))
        for hour, minute, second in (said.group(1, 2, 3), said.group(4, 5, 6))
    )
    if first >= _A_DAY or last > _A_DAY:
        raise ValueError(f"a day goes from 00:00 to 24:00, and {text!r} beyond")
    return (first, last) if first < last else (first - _A_DAY, last)


def _day(said: Day) -> date:
    if isinstance(said, datetime) or not isinstance(said, date | str):
        raise TypeError(f'a day is a date or a text such as "2026-11-27", not {said!r}')
    try:
        return said if isinstance(said, date) else date.fromisoformat(said)
    except ValueError as error:
        raise ValueError(f'a day is a date or a text such as "2026-11-27", not {said!r}') from error


def _zone(said: str | tzinfo) -> tzinfo:
    if isinstance(said, tzinfo):
        return said
    if not isinstance(said, str):
        raise TypeError(f'a time zone is a name such as "America/New_York" or a tzinfo, not {said!r}')
    try:
        return ZoneInfo(said)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(
            f"no time zone is called {said!r} here; names are those of the IANA database, and where the "
            "system has none, the package tzdata brings it"
        ) from error
