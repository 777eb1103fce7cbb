"""marbles: what happens when, written as a line of text and read back.

::

    --a--b 1.5s c(3)-- 7ns d|

From left to right:

- a dash lets ``every`` pass, and so does each next one;
- a duration, ``7ns``, ``20us``, ``1.5ms`` or ``2s``, lets that much pass;
- a name happens then and there, and takes no time itself; what it needs to know stands in parentheses right
  behind it, with commas between;
- ``|`` is the end and ``#`` an end by an error; behind them is nothing but blanks;
- blanks mean nothing, but keep apart what would otherwise read as one word.

    >>> line = read("--a--b 1.5s c(3, x)|", every=1)
    >>> [(mark.at / SECOND, mark.name, mark.arguments) for mark in line.marks]
    [(2.0, 'a', ()), (4.0, 'b', ()), (5.5, 'c', ('3', 'x')), (5.5, '|', ())]
    >>> write([(2 * SECOND, "a"), (2 * SECOND, "b"), (2 * SECOND + 7, "|")], every=1)
    '--a b 7ns |'
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from rtflow.time import SECOND, Duration, nanoseconds

END, ERROR = "|", "#"


class Mark(NamedTuple):
    """Something that happens ``at`` so many ns from the beginning of the line."""

    at: int
    name: str  # END and ERROR among them
    arguments: tuple[str, ...]
    place: int  # of its first character in the text


class Marble(NamedTuple):
    """A line of text, read: what happens in it, and how long it is, in ns."""

    text: str
    marks: tuple[Mark, ...]
    length: int


def read(text: str, *, every: Duration = 0.1) -> Marble:
    """What ``text`` says, when a dash is ``every`` (seconds or ``timedelta``).

    Raises ValueError, and shows the place, for what is none of the above, and for a duration that is no
    whole number of ns.
    """
    step = _step(every)
    marks: list[Mark] = []
    at = place = 0
    while place < len(text):
        word = _WORD.match(text, place)
        if word is None:
            raise misread(text, place, "this is neither a dash, a duration, a name nor an end")
        if word["dashes"]:
            at += step * len(word["dashes"])
        elif word["duration"]:
            at += _span(text, place, word["duration"])
        elif word["name"] or word["end"]:
            if marks and marks[-1].name in (END, ERROR):
                raise misread(text, place, "nothing comes behind the end")
            within = (word["within"] or "").strip()
            arguments = tuple(part.strip() for part in within.split(",")) if within else ()
            marks.append(Mark(at, word["name"] or word["end"], arguments, place))
        place = word.end()
    if marks and marks[-1].name in (END, ERROR) and at > marks[-1].at:
        raise misread(text, marks[-1].place, "no time passes behind the end")
    return Marble(text, tuple(marks), at)


def write(marks: Iterable[tuple[int, str]], *, every: Duration = 0.1) -> str:
    """The line on which these names, ``(at, name)`` in the order of ``at``, are read again.

    Up to twelve whole steps of ``every`` are dashes, every other stretch is a duration.
    """
    step = _step(every)
    words: list[str] = []
    before = 0
    for at, name in marks:
        steps, rest = divmod(at - before, step)
        if rest or steps > _DASHES:
            words.append(f" {duration(at - before)} ")
        elif steps:
            words.append("-" * steps)
        elif words and name not in (END, ERROR):
            words.append(" ")
        words.append(name)
        before = at
    return "".join(words)


def duration(nanoseconds: int) -> str:
    """So much time, exactly, in the largest unit that it fills.

    >>> duration(1_500_000_000), duration(20_000), duration(1_000_000_007)
    ('1.5s', '20us', '1.000000007s')
    """
    for unit, (size, places) in _UNITS.items():
        if nanoseconds >= size:
            whole, rest = divmod(nanoseconds, size)
            decimals = f".{rest:0{places}}".rstrip("0") if rest else ""
            return f"{whole}{decimals}{unit}"
    return "0s"


def span(text: str) -> int | None:
    """The ns of a duration such as ``1.5s``; None for any other text, and for what is no whole number."""
    word = _SPAN.fullmatch(text)
    if word is None:
        return None
    exact = Fraction(word[1]) * _UNITS[word[2]][0]
    return int(exact) if exact.denominator == 1 else None


def misread(text: str, place: int, why: str) -> ValueError:
    """A complaint about ``text`` that points at the place.

    >>> print(misread("--drip--", 2, "no such fault"))
    no such fault, at character 3:
        --drip--
          ^
    """
    return ValueError(f"{why}, at character {place + 1}:\n    {text}\n    {' ' * place}^")


_UNITS = {"s": (SECOND, 9), "ms": (1_000_000, 6), "us": (1_000, 3), "ns": (1, 0)}  # ns, and its decimals
_DASHES = 12
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s)", re.ASCII)
_WORD = re.compile(
    r"\s+|(?P<dashes>-+)|(?P<duration>\d+(?:\.\d+)?(?:ns|us|ms|s)\b)"
    r"|(?P<name>[^\W\d]\w*)(?:\((?P<within>[^()]*)\))?|(?P<end>[|#])"
)


def _step(every: Duration) -> int:
    step = nanoseconds(every)
    if step <= 0:
        raise ValueError(f"a dash takes some time, not {every!r}")
    return step


def _span(text: str, place: int, word: str) -> int:
    length = span(word)
    if length is None:
        raise misread(text, place, "a duration is a whole number of ns")
    return length
