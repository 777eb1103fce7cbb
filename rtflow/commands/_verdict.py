"""Whether it came to anything: a line that was never there, symbols that are all refused, a foreign tape."""

from __future__ import annotations

from collections.abc import Mapping

from rtflow.commands._failures import Code, Failure
from rtflow.counters import Counters
from rtflow.events import Event, Gap, Lost, Malformed, Status
from rtflow.terminal import Item
from rtflow.words import without_symbol


class LineVerdict:
    """Hears what is said of a live line, and judges it: ``wanted`` are symbols by kind."""

    def __init__(self, venue: str, wanted: Mapping[str, list[str]]) -> None:
        self._venue = venue
        self._wanted = {(kind, symbol) for kind, symbols in wanted.items() for symbol in symbols}
        self._served = set(self._wanted)
        self._refusals: dict[str, str] = {}
        self._there = False
        self._reason = ""
        self.over = False  # who leaves before, by Ctrl-C, need not be told what was seen

    def hear(self, item: Item) -> None:
        """Raises Failure once the venue has refused all that is wanted: nothing will ever come."""
        match item:
            case Status(state="joined"):
                self._there = True  # one of several: what the others were refused stands
            case Status(state="open"):
                self._there = True
                self._served = set(self._wanted)  # a new connection is asked for everything again
                self._refusals.clear()
            case Status(state="retrying" | "parked" | "closed"):
                self._reason = item.text
            case Status(state="rejected") if item.symbol:
                self._refuse(item)
            case _:
                pass

    def _refuse(self, said: Status) -> None:
        """A refusal that names no kind is of every kind of its symbol."""
        self._served -= {
            each for each in self._served if each[1] == said.symbol and said.kind in ("", each[0])
        }
        self._refusals[said.symbol] = without_symbol(said)
        if not self._served:
            told = "; ".join(f"{symbol}: {text}" for symbol, text in self._refusals.items())
            raise Failure(f"{self._venue} refuses {told}", Code.USAGE)

    def judge(self) -> None:
        """Raises Failure where it is ``over`` and no connection ever stood."""
        if self.over and not self._there:
            reason = self._reason or "nobody answered in so short a time"
            raise Failure(f"the line was never there: {reason}", Code.LOST)


class TapeVerdict:
    """Hears what is read from a tape, and judges whether it was this venue's."""

    def __init__(self, venue: str, counters: Counters) -> None:
        self._venue = venue
        self._counters = counters
        self._read = False

    def hear(self, event: Event) -> None:
        """Note whether the venue itself was understood, which what is said of the line does not show."""
        if not isinstance(event, Gap | Lost | Malformed):
            self._read = self._read or not (isinstance(event, Status) and event.state in _OF_THE_LINE)

    def judge(self) -> None:
        """Raises Failure where there was something to read, and none of it could be."""
        if not self._read and (self._counters["malformed"] or self._counters["skipped"]):
            raise Failure(
                f"nothing on this tape could be read as {self._venue}'s: is it another venue's?", Code.FAILED
            )


_OF_THE_LINE = (
    *("open", "closed", "joined", "parted", "bridging", "bridged", "unbridged"),
    *("waiting", "retrying", "parked", "unfetched", "heartbeat"),
)
