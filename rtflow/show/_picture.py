"""Picture: what a view knows, as plain bounded state: no thread, no clock, no browser."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from rtflow.show._sheet import Sheet
from rtflow.show._theme import Theme

Message: TypeAlias = dict[str, Any]
"""What a view's script is told: plain data, and ``bytes`` for columns of numbers."""

Tone: TypeAlias = Literal["good", "warn", "bad", "quiet"]


class Head(NamedTuple):
    """The line above a picture."""

    title: str
    note: str = ""
    state: str = ""
    tone: Tone = "quiet"


class Picture(ABC):
    """Takes items in, and tells what of them is to be seen: all of it, or what changed since it last told.

    ``take`` is called by whoever has an item, the rest by whoever shows it; the view sees to it that they
    take turns. What is remembered is bounded, however long the stream.
    """

    script: str
    """The file in ``static/`` that draws it, without ``.js``."""

    awaits: str
    """What has to come before there is anything to see."""

    height: int

    def __init__(self) -> None:
        self.ending = ""
        """How the stream ended: ``""`` while it has not."""
        self.failed = False
        self.over = False
        """Whether nothing more will come."""
        self._strangers = Counter[str]()

    @abstractmethod
    def take(self, item: Any) -> None:
        """One more item; of a kind that is not shown here, it is counted."""

    @abstractmethod
    def head(self) -> Head:
        """The line above."""

    @abstractmethod
    def empty(self) -> bool:
        """Whether there is nothing to see yet."""

    @abstractmethod
    def whole(self) -> Message:
        """Everything, for a script that knows nothing; what changes from here on is told by ``changes``."""

    @abstractmethod
    def changes(self) -> Message:
        """What changed since this or ``whole`` was last asked."""

    @abstractmethod
    def draw(self, sheet: Sheet, top: int) -> None:
        """Draw everything below ``top``."""

    def stranger(self, item: object) -> None:
        """Count an item of a kind that is not shown here."""
        self._strangers[type(item).__name__] += 1

    def message(self, *, whole: bool) -> Message:
        """What the script is told, with the line above and the words for an empty picture."""
        told = self.whole() if whole else self.changes()
        head = self._head()
        return {
            **told,
            "whole": whole,
            "head": head._asdict(),
            "awaited": self.awaited() if self.empty() else "",
            "foot": self.foot(),
            "ended": self.over,
        }

    def awaited(self) -> str:
        """What an empty picture says."""
        came = ", ".join(f"{count:,} {name}" for name, count in self._strangers.most_common(3))
        seen = f"; so far came {came}" if came else ""
        if self.over:
            return f"{self.awaits} never came{seen}"
        return f"waiting for {self.awaits}{seen}"

    def foot(self) -> str:
        """A line below, such as what was left out."""
        return ""

    def svg(self, width: int, theme: Theme) -> str:
        """The picture as it stands, ``width`` wide."""
        head, foot, top = self._head(), self.foot(), 24
        inside = min(self.height, 160) if self.empty() else self.height
        height = top + inside + (18 if foot else 0)
        sheet = Sheet(width, height, label=self._label(head))
        state = 6.9 * len(head.state)
        sheet.text(width - 2, 15, head.state, _FILL[head.tone], anchor="end", strong=head.tone != "quiet")
        sheet.words(2, 15, head.title, head.note, room=width - state - 20)
        if self.empty():
            sheet.frame(1, top, width - 2, inside - 2, "rule", dash="4 3")
            sheet.text(width / 2, top + inside / 2, self.awaited(), "faint", anchor="middle", room=width - 20)
        else:
            self.draw(sheet, top)
        if foot:
            sheet.text(2, height - 5, foot, "faint", small=True, room=width - 4)
        return sheet.svg(theme)

    def _head(self) -> Head:
        head = self.head()
        if not self.ending:
            return head
        return head._replace(state=self.ending, tone="bad" if self.failed else "quiet")

    def _label(self, head: Head) -> str:
        return " ".join(filter(None, (self.script, "of", head.title, head.state)))


_FILL: dict[Tone, str] = {"good": "good", "warn": "warn", "bad": "bad", "quiet": "faint"}


def names(others: Sequence[str], what: str) -> str:
    """What a foot says of those who were left out."""
    if not others:
        return ""
    shown = ", ".join(others[:4]) + (" …" if len(others) > 4 else "")
    return f"also in the stream: {shown} ({what})"
