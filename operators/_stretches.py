"""How the calendar cuts time: sessions into lengths, or sessions joined into days, weeks and months."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TypeAlias

from rtflow.sessions import Session, Sessions
from rtflow.time import Unit

Stretch: TypeAlias = tuple[int, int]
"""``[start, end)`` in ns."""

_NEVER = 1 << 63


class Stretches:
    """The stretches of one market, each within a session, or from the first to the last of a period.

    ``keeps``: the time between them is cut too, from the close on to the next open.
    """

    def __init__(
        self,
        sessions: Sessions,
        *,
        length: int = 0,
        units: tuple[int, Unit] | None = None,
        keeps: bool = False,
    ) -> None:
        self._sessions = sessions
        self._length = length  # 0: the whole of a session or of a period
        self._period = None if units is None else _period(*units)
        self._keeps = keeps
        # From where to where the last answer holds, and that answer: in one, since threads may share it.
        self._known: tuple[int, int, Stretch | None] = (0, 0, None)

    @property
    def joins(self) -> bool:
        """Whether one may go on over a close, so that what lies between its ends may yet be outside."""
        return self._period is not None

    def around(self, stamp: int) -> Stretch | None:
        """The stretch that takes what is stamped so; None where that is outside of all."""
        since, until, whole = self._known
        if not since <= stamp < until:
            self._known = _, _, whole = self._look(stamp)
        if whole is None or not self._length:
            return whole
        start, end = whole
        start = stamp - (stamp - start) % self._length
        return start, min(start + self._length, end)

    def after(self, end: int) -> Stretch | None:
        """The first stretch of trading from ``end`` on; None after the last that is known."""
        session = self._sessions.at(end)
        return None if session is None else self.around(max(end, session.open))

    def _look(self, stamp: int) -> tuple[int, int, Stretch | None]:
        session = self._sessions.at(stamp)
        if session is None:
            return stamp, _NEVER, None
        if session.open <= stamp:
            return session.open, session.close, self._whole(session)
        last = self._sessions.before(stamp) if self._keeps else None
        if last is None:
            return stamp, session.open, None
        whole = self._whole(session) if self._joined(last, session) else (last.close, session.open)
        return last.close, session.open, whole

    def _whole(self, session: Session) -> Stretch:
        """From the first to the last session of a period, by one after the other."""
        first = last = session
        while (before := self._sessions.before(first.open)) is not None and self._joined(before, session):
            first = before
        while (after := self._sessions.at(last.close)) is not None and self._joined(session, after):
            last = after
        return first.open, last.close

    def _joined(self, one: Session, other: Session) -> bool:
        return self._period is not None and self._period(one.day) == self._period(other.day)


def _period(count: int, unit: Unit) -> Callable[[date], int]:
    """The number of the period that a day is in: weeks begin on Monday, months are counted from January."""
    if unit == "day":
        return date.toordinal
    if unit == "week":
        return lambda day: (day.toordinal() - 1) // 7 // count  # 1 January of the year 1 was a Monday
    return lambda day: (12 * day.year + day.month - 1) // count
