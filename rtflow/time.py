"""Stamps and durations as integer nanoseconds, and their spellings for people.

A stamp is ``int`` nanoseconds since the Unix epoch, UTC. A duration that people write is seconds or a
``timedelta``; :func:`nanoseconds` makes it an ``int``. A bar's length may be text: :func:`interval`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

SECOND = 1_000_000_000

Duration: TypeAlias = float | timedelta
"""Seconds, or a ``timedelta``."""

Interval: TypeAlias = Duration | str
"""Seconds, a ``timedelta``, or a text such as ``"5m"``."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_seconds: dict[
    str, int
] = {}  # "2026-09-25T17:48:26" -> ns; a feed asks for the same second thousands of times
_REMEMBERED = 4096
_SHAPE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)


def parse(text: str) -> int:
    """The stamp that an RFC 3339 text names, all nine digits of it.

    Takes ``Z`` or an offset, and no fraction or one of any length up to nine digits.

    >>> parse("2026-09-25T17:48:26.844359566Z")
    1790358506844359566
    >>> parse("1970-01-01T05:30:00+05:30")
    0

    Raises ValueError for anything else, for a leap second (``:60``), which POSIX time does not have, and for
    what 64 bits of nanoseconds do not reach.
    """
    second = _seconds.get(text[:20])
    if second is not None:
        digits = text[20:-1]
        if digits.isdecimal() and text[-1] == "Z" and len(text) < 31 and text.isascii():
            return second + int(digits) * _SCALE[len(digits)]
    return _parse(text)


_SCALE: list[int] = [10 ** (9 - digits) for digits in range(10)]


def _parse(text: str) -> int:
    """The same, slowly and strictly; remembers the second."""
    head, rest = text[:19], text[19:]
    fraction = ""
    if rest.startswith("."):
        fraction = rest[1:-1] if rest[-1] in "Zz" else rest[1:-6]
        rest = rest[1 + len(fraction) :]
        if not (fraction.isdecimal() and fraction.isascii() and len(fraction) <= 9):
            raise ValueError(f"not an RFC 3339 stamp: {text!r}")
    if not _SHAPE.fullmatch(head + rest):
        raise ValueError(f"not an RFC 3339 stamp: {text!r}")
    try:
        moment = datetime.fromisoformat(head + ("+00:00" if rest in "Zz" else rest))
    except ValueError as error:
        raise ValueError(f"not an RFC 3339 stamp: {text!r}") from error
    second = (moment - _EPOCH) // _MICROSECOND * 1000
    stamp = second + int(fraction.ljust(9, "0") if fraction else 0)
    if not -(2**63) <= stamp < 2**63:
        raise ValueError(f"a stamp has 64 bits, which reach from 1677 to 2262, and not to {text!r}")
    if rest in "Zz" and head[10] == "T" and second + SECOND <= 2**63:
        if len(_seconds) >= _REMEMBERED:
            _seconds.clear()
        _seconds[head + "."] = second
    return stamp


def format(stamp: int, digits: int = 9) -> str:  # noqa: A001 - rtflow.time.format reads as it should
    """A stamp as RFC 3339 text in UTC with ``digits`` decimals (0 to 9), cut and not rounded.

    >>> format(1790358506844359566)
    '2026-09-25T17:48:26.844359566Z'
    >>> format(1790358506844359566, digits=3)
    '2026-09-25T17:48:26.844Z'
    """
    if not 0 <= digits <= 9:
        raise ValueError(f"a stamp has 0 to 9 decimals, not {digits}")
    second, fraction = divmod(stamp, SECOND)
    head = (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return f"{head}.{fraction:09d}"[: 20 + digits if digits else 19] + "Z"


def nanoseconds(duration: Duration) -> int:
    """A duration in nanoseconds, rounded to the nearest.

    >>> nanoseconds(1.5), nanoseconds(timedelta(minutes=1))
    (1500000000, 60000000000)

    Raises ValueError where it is not finite, TypeError where it is neither.
    """
    if isinstance(duration, timedelta):
        return duration // _MICROSECOND * 1000
    if not isinstance(duration, int | float):
        raise TypeError(f"a duration is seconds or a timedelta, not {duration!r}")
    try:
        return duration * SECOND if isinstance(duration, int) else round(duration * SECOND)
    except (OverflowError, ValueError) as error:
        raise ValueError(f"not a duration in seconds: {duration!r}") from error


def interval(every: Interval) -> int:
    """A length that comes again and again, in nanoseconds: a duration, or a whole number of a unit as text.

    The units are ``ms``, ``s``, ``m`` (minutes), ``h``, ``d`` (24 hours) and ``w`` (7 of these).

    >>> interval("5m"), interval("1d") == interval(86_400) == interval(timedelta(days=1))
    (300000000000, True)

    Raises ValueError for a text that says no length, or one of another unit, and for months, which have no
    one length; else as :func:`nanoseconds`.
    """
    if not isinstance(every, str):
        return nanoseconds(every)
    said = _LENGTH.fullmatch(every)
    if said is None:
        raise ValueError(
            f'a length is a whole number and one of {", ".join(_UNITS)}, as in "5m", not {every!r}'
        )
    return int(said[1]) * _UNITS[said[2]]


Unit: TypeAlias = Literal["day", "week", "month"]
"""What the calendar counts, and a clock does not: days of 23 hours, months of 28 days."""


def calendar_units(every: Interval) -> tuple[int, Unit] | None:
    """How many days (``d``), weeks (``w``) or months (``mo`` or ``M``) a text says; None for anything else.

    >>> calendar_units("1d"), calendar_units("3mo"), calendar_units("3M"), calendar_units("24h")
    ((1, 'day'), (3, 'month'), (3, 'month'), None)
    """
    said = _BY_CALENDAR.fullmatch(every) if isinstance(every, str) else None
    return None if said is None else (int(said[1]), _CALENDAR[said[2]])


_UNITS = {
    "ms": SECOND // 1000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
    "d": 86_400 * SECOND,
    "w": 7 * 86_400 * SECOND,
}
_CALENDAR: dict[str, Unit] = {"d": "day", "w": "week", "mo": "month", "M": "month"}
_LENGTH = re.compile(rf"(\d{{1,9}})({'|'.join(_UNITS)})", re.ASCII)
_BY_CALENDAR = re.compile(rf"(\d{{1,9}})({'|'.join(_CALENDAR)})", re.ASCII)


def from_datetime(moment: datetime) -> int:
    """The stamp of an aware ``datetime``; ValueError for a naive one, whose zone nobody knows."""
    if moment.tzinfo is None:
        raise ValueError(f"a stamp needs a time zone, and {moment!r} has none; say tzinfo=UTC if it is UTC")
    return (moment - _EPOCH) // _MICROSECOND * 1000


def to_datetime(stamp: int) -> datetime:
    """The ``datetime`` in UTC of a stamp; its last three digits are lost, so keep the stamp."""
    return _EPOCH + timedelta(microseconds=stamp // 1000)
