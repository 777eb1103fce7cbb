"""Sheet: what a static picture is drawn on, and what it says of numbers and moments."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from html import escape
from typing import Literal

from rtflow import time as stamps
from rtflow.show._theme import Theme, style

Anchor = Literal["start", "middle", "end"]


class Sheet:
    """A drawing ``width`` wide, as SVG, from the top left in CSS pixels. Colours are names of the theme."""

    def __init__(self, width: int, height: int, *, label: str) -> None:
        self.width, self.height = width, height
        self._label = label
        self._parts: list[str] = []

    def box(
        self, x: float, y: float, width: float, height: float, fill: str, *, opacity: float = 1.0
    ) -> None:
        """A filled box."""
        self._parts.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(max(0.0, width))}" height="{_n(max(0.0, height))}"'
            f' class="f-{fill}"{_opacity(opacity)}/>'
        )

    def frame(self, x: float, y: float, width: float, height: float, stroke: str, *, dash: str = "") -> None:
        """The outline of a box, filled with paper."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(max(0.0, width))}" height="{_n(max(0.0, height))}"'
            f' class="s-{stroke}" style="fill:var(--rt-paper)"{dashed}/>'
        )

    def line(
        self,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        stroke: str = "rule",
        *,
        width: float = 1.0,
        dash: str = "",
    ) -> None:
        """A straight line."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" class="s-{stroke}"'
            f' stroke-width="{_n(width)}"{dashed}/>'
        )

    def path(self, points: Sequence[tuple[float, float]], stroke: str, *, width: float = 1.5) -> None:
        """A line through ``points``."""
        self._parts.append(f'<path d="{_way(points)}" class="s-{stroke}" stroke-width="{_n(width)}"/>')

    def area(self, points: Sequence[tuple[float, float]], fill: str, *, opacity: float) -> None:
        """What lies within ``points``."""
        self._parts.append(f'<path d="{_way(points)}Z" class="f-{fill}"{_opacity(opacity)}/>')

    def dot(self, x: float, y: float, radius: float, fill: str) -> None:
        """A dot with an edge of paper, which keeps it apart from its neighbours."""
        self._parts.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" class="f-{fill} edge"/>')

    def text(
        self,
        x: float,
        y: float,
        words: str,
        fill: str = "ink",
        *,
        anchor: Anchor = "start",
        strong: bool = False,
        small: bool = False,
        room: float = math.inf,
    ) -> None:
        """Words whose line stands at ``y``, cut where they would take more than ``room``."""
        kinds = f"f-{fill}{' strong' if strong else ''}{' small' if small else ''}"
        words = fitted(words, room, 6.3 if small else 6.9)
        self._parts.append(
            f'<text x="{_n(x)}" y="{_n(y)}" class="{kinds}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def words(self, x: float, y: float, title: str, note: str, *, room: float) -> None:
        """A title and, behind it, a note that is cut where there is no more room."""
        note = fitted(note, room - 7.6 * len(title) - 10, 6.9)
        self._parts.append(
            f'<text x="{_n(x)}" y="{_n(y)}"><tspan class="f-ink strong">{escape(title)}</tspan>'
            f'<tspan dx="10" class="f-faint">{escape(note)}</tspan></text>'
        )

    def image(self, x: float, y: float, width: float, height: float, source: str) -> None:
        """Pixels, enlarged without being smoothed."""
        self._parts.append(
            f'<image x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" href="{source}"'
            ' preserveAspectRatio="none" style="image-rendering:pixelated"/>'
        )

    def svg(self, theme: Theme) -> str:
        """The drawing, with its style inside."""
        paper = "" if theme == "auto" else '<rect width="100%" height="100%" class="f-paper"/>'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="rtflow" role="img" width="{self.width}"'
            f' height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
            f' style="max-width:100%;height:auto"><title>{escape(self._label)}</title>'
            f"<style>{escape(style(theme), quote=False)}</style>{paper}{''.join(self._parts)}</svg>"
        )


def fitted(words: str, room: float, letter: float) -> str:
    """``words``, or their beginning and an ellipsis where ``room`` is too narrow for them."""
    most = math.inf if room == math.inf else int(room / letter)
    return words if len(words) <= most else words[: max(0, int(most) - 1)] + "…"


def decimals(numbers: Iterable[float], *, most: int = 10) -> int:
    """How many decimals it takes to write all of ``numbers``, as the venue did.

    >>> decimals([83744.3, 0.25, 100.0]), decimals([]), decimals([math.inf])
    (2, 0, 0)
    """
    return min(max(map(_decimals, numbers), default=0), most)


@lru_cache(4096)
def _decimals(number: float) -> int:
    exponent = Decimal(repr(number)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def said(number: float | None, digits: int) -> str:
    """A number with ``digits`` decimals and commas; a dash for none."""
    return "–" if number is None else f"{number:,.{digits}f}"


def short(number: float) -> str:
    """A number in a few letters.

    >>> short(0.000125), short(12.5), short(4321.0), short(1_250_000.0)
    ('0.000125', '12.5', '4,321', '1.25M')
    """
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= size:
            return f"{number / (1e3 if letter == 'k' else size):.3g}{letter}"
    return (
        f"{number:,.0f}"
        if abs(number) >= 1000
        else f"{number:.3g}"
        if abs(number) >= 1e-4 or not number
        else f"{number:.1e}"
    )


def clock(stamp: int, digits: int = 0) -> str:
    """The time of day of ``stamp``, UTC."""
    return stamps.format(stamp, digits)[11:-1]


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from ``low`` to ``high``, not many more than ``most``.

    >>> ticks(0.0, 1.0, 4), ticks(5.0, 5.0, 4)
    ([0.0, 0.5, 1.0], [5.0])
    """
    if not high > low:
        return [low]
    step = round_step((high - low) / max(1, most))
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def round_step(least: float) -> float:
    """The smallest 1, 2 or 5 times a power of ten that is not below ``least``."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= least * (1 - 1e-9))


def moments(start: int, end: int, most: int) -> Iterator[tuple[int, int]]:
    """Round stamps between two, not more than ``most`` and one, and the decimals that tell them apart.

    >>> list(moments(0, 1_000_000_000, 2))
    [(0, 1), (500000000, 1), (1000000000, 1)]
    """
    least = (end - start) / max(1, most)
    step = next((each for each in _STEPS if each >= least), _STEPS[-1])
    zeros = len(str(step)) - len(str(step).rstrip("0"))
    digits = max(0, 9 - zeros)
    yield from ((stamp, digits) for stamp in range(-(-start // step) * step, end + 1, step))


_SECOND = 1_000_000_000
_STEPS = [
    *(10**power * times for power in range(9) for times in (1, 2, 5)),
    *(_SECOND * each for each in (1, 2, 5, 10, 15, 30)),
    *(60 * _SECOND * each for each in (1, 2, 5, 10, 15, 30)),
    *(3600 * _SECOND * each for each in (1, 2, 3, 6, 12)),
    *(86_400 * _SECOND * each for each in (1, 2, 7, 14, 30, 90, 365)),
]


def _n(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _opacity(opacity: float) -> str:
    return "" if opacity == 1.0 else f' opacity="{_n(opacity)}"'


def _way(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
