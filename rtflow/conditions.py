"""Sale conditions of US stocks: which prints may set a bar's prices, and which only add to its volume.

The two processors of the consolidated tapes mark each print with letters, one alphabet for tapes A and B
(CTA) and another for tape C (UTP). Alpaca passes the letters on; Massive, once Polygon.io, spells the same
conditions as numbers of its own. Here both are columns of one table, so they cannot disagree::

    one print ──▶ conditions, tape ──▶ the row of each ──▶ the strictest, field by field ──▶ Eligibility

Rules, and who published them:

1. For a daily bar: the consolidated columns of the two processors' tables, "Sale Condition" in the CTS Pillar
   Output Specification (https://www.ctaplan.com/tech-specs) and in the UTP Data Feed Services Specification
   (https://utpplan.com/DOC/UtpBinaryOutputSpec.pdf).
2. For a minute bar: what Alpaca says that its own bars do, "Bar aggregation" in
   https://docs.alpaca.markets/docs/market-data-faq. It differs for extended hours, for prints that are late
   or priced by something else, and for the corrected close. Massive's minute bars take extended hours alike:
   https://massive.com/knowledge-base/article/does-a-form-t-trade-update-a-pre-market-minute-bars-high-low-open-and-close
3. Massive's numbers: https://polygon.io/glossary/us/stocks/conditions-indicators, and what they do to a bar,
   https://massive.com/blog/understanding-trade-eligibility.
4. A print with several conditions obeys the strictest of them, in each field by itself.
5. "First" in those tables: the price counts if no other has been counted yet. It makes no difference to the
   open, which is the first one anyhow; so it is said of the close alone, ``close_if_none``.
6. Where sources differ, the stricter one: a seller's print (``R``, 29) sets no price. Sold last (``L``, 30)
   sets the last price only up to a moment that only the processor knows; it counts here, as for Alpaca.

A print without conditions is a regular one. A condition that is not in the table adds volume and sets no
price: see ``unknown`` of :class:`SaleConditions`. Options and coins have conditions of other kinds: ask about
stocks only.

    >>> SALE_CONDITIONS.eligibility(("@", "I"), "C")     # an odd lot
    Eligibility(volume=True, high_low=False, open=False, close=False, close_if_none=False)
    >>> SALE_CONDITIONS.eligibility((14, 37)) == SALE_CONDITIONS.eligibility(("F", "I"), "A")
    True
    >>> late = SALE_CONDITIONS.eligibility((" ", "Z"), "A", daily=True)
    >>> late.high_low, late.close, late.close_if_none
    (True, True, True)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias, TypeVar

from msgspec import Struct


class Eligibility(Struct, frozen=True):
    """What one print does to a bar."""

    volume: bool  # it adds to the volume and to the count of trades
    high_low: bool  # it may be the high or the low
    open: bool
    close: bool
    close_if_none: bool = False  # it may be the close only while the bar has none

    @property
    def vwap(self) -> bool:
        """Whether its price and its size go into the average: where both count."""
        return self.volume and self.high_low

    def __and__(self, other: Eligibility) -> Eligibility:
        """The stricter of the two, field by field.

        >>> (LATE & VOLUME_ONLY) == VOLUME_ONLY, (LATE & EVERYTHING) == LATE
        (True, True)
        """
        close = self.close and other.close
        return Eligibility(
            self.volume and other.volume,
            self.high_low and other.high_low,
            self.open and other.open,
            close,
            close and (self.close_if_none or other.close_if_none),
        )


EVERYTHING = Eligibility(volume=True, high_low=True, open=True, close=True)
"""Of a regular print."""
VOLUME_ONLY = Eligibility(volume=True, high_low=False, open=False, close=False)
"""Its size is real, its price is no news."""
LATE = Eligibility(volume=True, high_low=True, open=True, close=True, close_if_none=True)
"""It may be a high, but a later print has been the last price already."""
NOTHING = Eligibility(volume=False, high_low=False, open=False, close=False)
"""It repeats what other prints said."""
PRICE_ONLY = Eligibility(volume=False, high_low=True, open=True, close=True)
"""Its size was in other prints."""


class SaleCondition(Struct, frozen=True):
    """One row: how each spells the condition, and what it lets a print do."""

    name: str
    numbers: tuple[int, ...] = ()  # Massive's
    cta: str = ""  # the letter on tapes A and B
    utp: str = ""  # on tape C
    otc: str = ""  # on tape O
    minute: Eligibility = EVERYTHING
    daily: Eligibility | None = None  # None: as in a minute

    def rule(self, *, daily: bool) -> Eligibility:
        """What it lets a print do to a bar of a minute, or of a day."""
        return self.minute if self.daily is None or not daily else self.daily


Conditions: TypeAlias = tuple[str, ...] | tuple[int, ...]
"""A print's conditions: letters, or Massive's numbers."""

_Key = TypeVar("_Key", str, int)
_TAPES = {"A": "cta", "B": "cta", "C": "utp", "O": "otc"}
_REMEMBERED = 8192


class SaleConditions:
    """A table of conditions, and the answers it has given.

    ``version`` names it: keep it beside what was computed by it. ``unknown`` is the rule for a condition that
    has no row.

    Raises ValueError where two rows share a name, a number, or a letter on one tape.
    """

    def __init__(
        self, rows: Iterable[SaleCondition], *, version: str, unknown: Eligibility = VOLUME_ONLY
    ) -> None:
        self.rows = tuple(rows)
        self.version = version
        self.unknown = unknown
        self._by_letter: dict[str, dict[str, SaleCondition]] = {"cta": {}, "utp": {}, "otc": {}}
        self._by_number: dict[int, SaleCondition] = {}
        names: dict[str, SaleCondition] = {}
        for row in self.rows:
            _enter(names, row.name, row)
            for number in row.numbers:
                _enter(self._by_number, number, row)
            for plan, letters in self._by_letter.items():
                if letter := getattr(row, plan):
                    _enter(letters, letter, row)
        for letters in self._by_letter.values():
            for letter in "@ ":  # either plan's blank is regular on the other's tapes, too
                letters.setdefault(letter, SaleCondition("regular"))
        self._given: dict[tuple[Conditions, str, bool, bool], Eligibility] = {}

    def eligibility(
        self, conditions: Conditions, tape: str = "", *, daily: bool = False, numbered: bool = False
    ) -> Eligibility:
        """What a print with these ``conditions`` on this ``tape`` does to a bar of a minute, or of a day.

        Texts are letters, and ``tape`` (A, B, C or O) says whose; without a tape it is the strictest that the
        letters can mean. Integers are Massive's numbers, the same on all tapes; with ``numbered=True`` so are
        texts, for that is how :attr:`rtflow.Trade.conditions` carries them.

            >>> SALE_CONDITIONS.eligibility(("B",), "A").close, SALE_CONDITIONS.eligibility(("B",), "C").close
            (False, True)
            >>> SALE_CONDITIONS.eligibility(("14", "41"), numbered=True) is SALE_CONDITIONS.eligibility(())
            True
        """
        key = (conditions, tape, daily, numbered)
        answer = self._given.get(key)
        if answer is None:
            answer = self._judge(conditions, tape, daily, numbered)
            if len(self._given) >= _REMEMBERED:  # a venue may say anything: it cannot make us keep it all
                self._given.clear()
            self._given[key] = answer
        return answer

    def replace(
        self, *rows: SaleCondition, version: str, unknown: Eligibility | None = None
    ) -> SaleConditions:
        """Another table: each of ``rows`` takes the place of the row of its name, or is added.

            >>> from msgspec.structs import replace
            >>> odd_lots = replace(SALE_CONDITIONS["odd lot"], minute=EVERYTHING)
            >>> mine = SALE_CONDITIONS.replace(odd_lots, version="with odd lots")
            >>> mine.eligibility(("@", "I"), "C").high_low
            True

        Raises ValueError, as the class does, and where ``version`` is this table's own.
        """
        if version == self.version:
            raise ValueError(f"another table needs another version than {version!r}")
        table = {row.name: row for row in self.rows} | {row.name: row for row in rows}
        return SaleConditions(
            table.values(), version=version, unknown=self.unknown if unknown is None else unknown
        )

    def __getitem__(self, name: str) -> SaleCondition:
        """The row of that name; KeyError for none."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def __iter__(self) -> Iterator[SaleCondition]:
        return iter(self.rows)

    def __repr__(self) -> str:
        return f"SaleConditions({len(self.rows)} conditions, version={self.version!r})"

    def _judge(self, conditions: Conditions, tape: str, daily: bool, numbered: bool) -> Eligibility:
        plan = _TAPES.get(tape)
        plans = [self._by_letter[plan]] if plan else [*self._by_letter.values()]
        verdict = EVERYTHING
        for condition in conditions:
            if numbered or isinstance(condition, int):
                verdict &= self._numbered(condition, daily)
            else:
                rows = [letters[condition] for letters in plans if condition in letters]
                for rule in [row.rule(daily=daily) for row in rows] or [self.unknown]:
                    verdict &= rule
        return EVERYTHING if verdict == EVERYTHING else verdict

    def _numbered(self, condition: str | int, daily: bool) -> Eligibility:
        try:
            row = self._by_number.get(int(condition))
        except ValueError:
            row = None
        return self.unknown if row is None else row.rule(daily=daily)


def _enter(rows: dict[_Key, SaleCondition], key: _Key, row: SaleCondition) -> None:
    other = rows.setdefault(key, row)
    if other is not row:
        raise ValueError(f"{key!r} is of two rows: {other.name!r} and {row.name!r}")


SALE_CONDITIONS = SaleConditions(
    [
        SaleCondition("regular", (0,), " ", "@", "@"),
        SaleCondition("acquisition", (1,), utp="A"),
        SaleCondition("average price", (2,), "B", "W", "W", VOLUME_ONLY),
        SaleCondition("automatic execution", (3,), "E"),
        SaleCondition("bunched", (4,), utp="B"),
        SaleCondition("bunched sold", (5,), utp="G", minute=VOLUME_ONLY, daily=LATE),
        SaleCondition("CAP election", (6,)),  # its letter has become the odd lot's
        SaleCondition("cash sale", (7,), "C", "C", "C", VOLUME_ONLY),
        SaleCondition("closing trade", (8, 19), "6", "6"),
        SaleCondition("cross", (9,), "X", "X"),
        SaleCondition("derivatively priced", (10,), "4", "4", minute=VOLUME_ONLY, daily=LATE),
        SaleCondition("distribution", (11,), utp="D"),
        SaleCondition("extended hours", (12,), "T", "T", "T", EVERYTHING, VOLUME_ONLY),
        SaleCondition("extended hours, sold out of sequence", (13,), "U", "U", "U", VOLUME_ONLY),
        SaleCondition("intermarket sweep", (14,), "F", "F"),
        SaleCondition("official close", (15,), "M", "M", minute=NOTHING),
        SaleCondition("official open", (16,), "Q", "Q", minute=NOTHING),
        SaleCondition("opening trade", (17, 25), "O", "O"),
        SaleCondition("reopening trade", (18, 28), "5", "5"),
        SaleCondition("next day", (20,), "N", "N", "N", VOLUME_ONLY),
        SaleCondition("price variation", (21,), "H", "H", minute=VOLUME_ONLY),
        SaleCondition("prior reference price", (22,), "P", "P", "P", VOLUME_ONLY, LATE),
        SaleCondition("rule 127 or 155", (23, 24), "K", "K"),
        SaleCondition("stopped stock", (27,), utp="1"),
        SaleCondition("seller", (29,), "R", "R", "R", VOLUME_ONLY),
        SaleCondition("sold last", (30,), "L", "L"),
        SaleCondition("sold out of sequence", (32, 33), "Z", "Z", minute=VOLUME_ONLY, daily=LATE),
        SaleCondition("split trade", (34,), utp="S"),
        SaleCondition("yellow flag", (36,), utp="Y"),
        SaleCondition("odd lot", (37,), "I", "I", "I", VOLUME_ONLY),
        SaleCondition("corrected consolidated close", (38,), "9", "9", minute=NOTHING, daily=PRICE_ONLY),
        SaleCondition("trade-through exempt", (41,)),  # said beside others, and changes nothing
        SaleCondition("contingent", (52,), "V", "V", minute=VOLUME_ONLY),
        SaleCondition("qualified contingent", (53,), "7", "7", minute=VOLUME_ONLY),
    ],
    version="2026-11-21",
)
"""The consolidated tapes' conditions as both processors and both vendors document them on that day."""
