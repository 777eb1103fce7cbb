"""Which prints make a bar, row by row against what the vendors and the processors of the tapes publish."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from rtflow.conditions import (
    EVERYTHING,
    LATE,
    NOTHING,
    PRICE_ONLY,
    SALE_CONDITIONS,
    VOLUME_ONLY,
    Eligibility,
    SaleCondition,
    SaleConditions,
)

RULES = {"YYY": EVERYTHING, "NNY": VOLUME_ONLY, "FYY": LATE, "NNN": NOTHING, "YYN": PRICE_ONLY}

# https://docs.alpaca.markets/docs/market-data-faq: letter, tapes, then open and close, high and low, volume
# for a minute bar and for a daily bar. Y: it counts, N: it does not, F: only if it is the first.
ALPACA = """
_  AB    YYY YYY
@  CO    YYY YYY
A  C     YYY YYY
B  AB    NNY NNY
B  C     YYY YYY
C  ABCO  NNY NNY
D  C     YYY YYY
E  AB    YYY YYY
F  ABC   YYY YYY
G  C     NNY FYY
H  ABC   NNY NNY
I  ABCO  NNY NNY
K  ABC   YYY YYY
L  ABC   YYY YYY
M  ABC   NNN NNN
N  ABCO  NNY NNY
O  ABC   YYY YYY
P  ABCO  NNY FYY
Q  ABC   NNN NNN
R  ABCO  NNY NNY
T  ABCO  YYY NNY
U  ABCO  NNY NNY
V  ABC   NNY NNY
W  CO    NNY NNY
X  ABC   YYY YYY
Y  C     YYY YYY
Z  ABC   NNY FYY
4  ABC   NNY FYY
5  ABC   YYY YYY
6  ABC   YYY YYY
7  ABC   NNY NNY
9  ABC   NNN YYN
"""

# The consolidated columns of the processors' tables, by letter: what a daily bar obeys. N and 8 are reserved.
CTA = {
    " EFKOX56": EVERYTHING,
    "L": EVERYTHING,
    "PZ4": LATE,
    "9": PRICE_ONLY,
    "BCHIRTUV7": VOLUME_ONLY,
    "MQ": NOTHING,
}
UTP = {
    "@ABDFKOSXY156": EVERYTHING,
    "L": EVERYTHING,
    "GPZ4": LATE,
    "9": PRICE_ONLY,
    "CHIRTUVW7": VOLUME_ONLY,
    "MQ": NOTHING,
}

# https://polygon.io/glossary/us/stocks/conditions-indicators: number, the two letters ("-" for none)
MASSIVE = """
0 _ @   1 - A   2 B W   3 E -   4 - B   5 - G   7 C C   8 - 6   9 X X   10 4 4   11 - D   12 T T   13 U U
14 F F   15 M M   16 Q Q   17 O -   18 5 -   19 6 -   20 N N   21 H H   22 P P   23 K K   24 K -   25 - O
27 - 1   28 - 5   29 R R   30 L L   32 Z Z   33 Z Z   34 - S   36 - Y   37 I I   38 9 9   52 V V   53 7 7
"""


@pytest.mark.parametrize("row", ALPACA.split("\n")[1:-1])
def test_a_letter_does_what_alpaca_says_that_its_bars_do(row: str) -> None:
    letter, tapes, minute, daily = row.split()
    for tape in tapes:
        conditions = (letter.replace("_", " "),)
        assert SALE_CONDITIONS.eligibility(conditions, tape) == RULES[minute]
        assert SALE_CONDITIONS.eligibility(conditions, tape, daily=True) == RULES[daily]


@pytest.mark.parametrize(("tape", "table"), [("A", CTA), ("B", CTA), ("C", UTP)])
def test_a_daily_bar_obeys_the_processors_consolidated_columns(
    tape: str, table: dict[str, Eligibility]
) -> None:
    for letters, rule in table.items():
        for letter in letters:
            assert SALE_CONDITIONS.eligibility((letter,), tape, daily=True) == rule, letter


@pytest.mark.parametrize(
    ("number", "cta", "utp"), [each.split() for each in re.split("   |\n", MASSIVE.strip())]
)
@pytest.mark.parametrize("daily", [False, True])
def test_a_number_and_its_letters_do_the_same(number: str, cta: str, utp: str, daily: bool) -> None:
    by_number = SALE_CONDITIONS.eligibility((int(number),), daily=daily)
    assert SALE_CONDITIONS.eligibility((number,), daily=daily, numbered=True) == by_number
    for letter, tape in (cta, "A"), (cta, "B"), (utp, "C"):
        if letter != "-":
            by_letter = SALE_CONDITIONS.eligibility((letter.replace("_", " "),), tape, daily=daily)
            assert by_letter == by_number, tape


def test_every_row_is_proved_above() -> None:
    letters = {line.split()[0].replace("_", " ") for line in ALPACA.split("\n")[1:-1]} | {"1", "S"}
    numbers = {int(each.split()[0]) for each in re.split("   |\n", MASSIVE.strip())}
    for row in SALE_CONDITIONS:
        assert {row.cta, row.utp, row.otc} - {""} <= letters, row
        assert set(row.numbers) <= numbers | {6, 41}, row
        assert row.numbers, row


def test_no_condition_is_a_regular_print() -> None:
    for tape in ("A", "B", "C", "O", ""):
        assert SALE_CONDITIONS.eligibility((), tape) == EVERYTHING


@pytest.mark.parametrize("number", [6, 41])
def test_numbers_without_a_letter_change_nothing(number: int) -> None:
    assert SALE_CONDITIONS.eligibility((number,)) == EVERYTHING
    assert SALE_CONDITIONS.eligibility((37, number)) == VOLUME_ONLY


@pytest.mark.parametrize(
    ("conditions", "tape", "daily", "expected"),
    [
        (("@", "F"), "C", False, EVERYTHING),
        (("@", "F", "I"), "C", False, VOLUME_ONLY),  # a sweep, and an odd lot
        (("@", "T", "I"), "C", False, VOLUME_ONLY),
        (("@", "T"), "C", True, VOLUME_ONLY),
        (("@", " ", "Z"), "C", True, LATE),
        (("@", "Z", "T"), "C", True, VOLUME_ONLY),  # N beats F
        ((" ", "7", "V"), "B", False, VOLUME_ONLY),
        ((" ", "M", "I"), "A", False, NOTHING),
        ((" ", "9", "I"), "A", True, NOTHING),  # a price without volume, volume without a price
        ((" ", "9", "4"), "A", True, Eligibility(False, True, True, True, close_if_none=True)),
        ((14, 41), "", False, EVERYTHING),
        ((14, 37, 41), "", False, VOLUME_ONLY),
        ((32, 12), "", True, VOLUME_ONLY),
    ],
)
def test_the_strictest_condition_wins_field_by_field(
    conditions: tuple[str, ...], tape: str, daily: bool, expected: Eligibility
) -> None:
    assert SALE_CONDITIONS.eligibility(conditions, tape, daily=daily) == expected
    assert SALE_CONDITIONS.eligibility(conditions[::-1], tape, daily=daily) == expected  # order is nothing


def test_strictness_is_the_same_however_it_is_grouped() -> None:
    rules = [*RULES.values(), PRICE_ONLY & LATE]
    for one in rules:
        assert one & one == one
        assert EVERYTHING & one == one
        for two in rules:
            assert one & two == two & one
            for three in rules:
                assert (one & two) & three == one & (two & three)


def test_a_late_price_that_sets_no_close_is_not_late() -> None:
    assert not (LATE & VOLUME_ONLY).close_if_none


def test_an_average_takes_prints_whose_price_and_size_count() -> None:
    assert [rule.vwap for rule in (EVERYTHING, LATE, VOLUME_ONLY, PRICE_ONLY, NOTHING)] == [
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("tape", ["", "?", "N"])
def test_without_a_tape_a_letter_is_the_strictest_it_can_mean(tape: str) -> None:
    assert SALE_CONDITIONS.eligibility(("B",), tape) == VOLUME_ONLY  # an average on A, bunched on C
    assert SALE_CONDITIONS.eligibility(("A",), tape) == EVERYTHING  # means something on tape C alone
    assert SALE_CONDITIONS.eligibility(("G",), tape, daily=True) == LATE


def test_the_blank_of_either_plan_is_regular_on_every_tape() -> None:
    for tape in "ABCO":
        assert SALE_CONDITIONS.eligibility(("@",), tape) == EVERYTHING
        assert SALE_CONDITIONS.eligibility((" ",), tape) == EVERYTHING


@pytest.mark.parametrize("conditions", [("8",), ("é",), ("",), ("TI",), (99,), (-1,)])
def test_an_unknown_condition_adds_volume_and_sets_no_price(conditions: tuple[str, ...]) -> None:
    assert SALE_CONDITIONS.eligibility(conditions, "C") == VOLUME_ONLY


def test_a_letter_of_another_tape_is_unknown() -> None:
    assert SALE_CONDITIONS.eligibility(("E",), "C") == VOLUME_ONLY
    assert SALE_CONDITIONS.eligibility(("F",), "O") == VOLUME_ONLY


def test_a_number_that_is_none_is_unknown() -> None:
    assert SALE_CONDITIONS.eligibility(("x",), numbered=True) == VOLUME_ONLY


def test_letters_and_numbers_that_look_alike_are_told_apart() -> None:
    assert SALE_CONDITIONS.eligibility(("4",), "A") == VOLUME_ONLY  # derivatively priced
    assert SALE_CONDITIONS.eligibility((4,), "A") == EVERYTHING  # bunched
    assert SALE_CONDITIONS.eligibility(("4",), "A", numbered=True) == EVERYTHING
    assert SALE_CONDITIONS.eligibility(("4",), "A") == VOLUME_ONLY


def test_a_table_is_replaced_row_by_row_and_leaves_its_origin_alone() -> None:
    seller = replace(SALE_CONDITIONS["seller"], minute=LATE)
    new = SaleCondition("reserved", numbers=(99,), cta="8", minute=NOTHING)
    mine = SALE_CONDITIONS.replace(seller, new, version="mine", unknown=EVERYTHING)
    assert mine.eligibility(("R",), "A") == LATE
    assert mine.eligibility((29,)) == LATE
    assert mine.eligibility(("8",), "A") == NOTHING
    assert mine.eligibility(("8",), "C") == EVERYTHING  # unknown there
    assert mine.eligibility(("I",), "A") == VOLUME_ONLY
    assert mine.version == "mine"
    assert len(mine.rows) == len(SALE_CONDITIONS.rows) + 1
    assert SALE_CONDITIONS.eligibility(("R",), "A") == VOLUME_ONLY
    assert mine.replace(version="again").unknown == EVERYTHING


def test_two_tables_never_share_a_version() -> None:
    with pytest.raises(ValueError, match="another version than"):
        SALE_CONDITIONS.replace(version=SALE_CONDITIONS.version)


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (SaleCondition("a", (37,)), "37 is of two rows: 'odd lot' and 'a'"),
        (SaleCondition("a", cta="I"), "'I' is of two rows"),
        (SaleCondition("a", utp="@"), "'@' is of two rows"),
        (SaleCondition("a", otc="W"), "'W' is of two rows"),
    ],
)
def test_a_spelling_means_one_condition(row: SaleCondition, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        SALE_CONDITIONS.replace(row, version="mine")


def test_two_rows_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="'a' is of two rows"):
        SaleConditions([SaleCondition("a"), SaleCondition("a", (1,))], version="mine")


def test_a_row_is_found_by_its_name() -> None:
    assert SALE_CONDITIONS["odd lot"].numbers == (37,)
    with pytest.raises(KeyError):
        SALE_CONDITIONS["even lot"]


def test_an_answer_is_remembered_but_not_everything_is() -> None:
    table = SALE_CONDITIONS.replace(version="mine")
    first = table.eligibility(("@", "Z"), "C", daily=True)
    assert table.eligibility(("@", "Z"), "C", daily=True) is first
    for number in range(10_000):  # whatever a venue says
        assert table.eligibility((f"{number}th", "I"), "C") == VOLUME_ONLY
    assert len(table._given) <= 8192
    assert table.eligibility(("@", "Z"), "C", daily=True) == first


def test_a_table_says_which_it_is() -> None:
    assert repr(SALE_CONDITIONS) == f"SaleConditions(34 conditions, version={SALE_CONDITIONS.version!r})"
