"""What users test with: streams as text, to the nanosecond, and accounts that nothing escapes."""

from __future__ import annotations

import pytest
from reactivex import operators as ops

from rtflow import operators as op
from rtflow import testing
from rtflow.events import Event, Gap, Lost, Malformed, Quote, Trade
from rtflow.kernel import lift
from rtflow.testing import Timed, marble, unexplained
from rtflow.time import SECOND
from tests.recorded import Alarm, text
from tests.test_laws import Sums

TRADE = Trade("A", 0, 0, 10.0, 1.0)


def at(stamp: int) -> Trade:
    return Trade("A", stamp, stamp, 10.0, 1.0)


# -- streams as text -------------------------------------------------------------------------------------


def test_names_are_items_and_events_are_stamped_with_their_moment() -> None:
    made = marble("-a-b 7ns c|", {"a": TRADE, "b": lambda now: now * 2}, every=1)
    assert made.items == [
        (SECOND, Trade("A", 0, SECOND, 10.0, 1.0)),
        (2 * SECOND, 4 * SECOND),
        (2 * SECOND + 7, "c"),
    ]
    assert (made.length, made.end, made.error) == (2 * SECOND + 7, "|", None)


def test_an_item_that_knows_no_time_stays_as_it_is() -> None:
    frame = text(5)
    assert marble("-f", {"f": frame}, every=1).items == [(SECOND, text(SECOND))]
    state = testing.faults.Fault("drop")
    assert marble("-s", {"s": state}, every=1).items == [(SECOND, state)]


def test_a_marble_may_fail_or_not_end() -> None:
    assert (marble("a-").end, marble("a-", every=1).length) == ("", SECOND)
    failed = marble("a-#", error=ValueError("mine"))
    assert (failed.end, repr(failed.error)) == ("#", repr(ValueError("mine")))
    assert str(marble("#").error) == "the marble says so"


def test_an_item_has_nothing_in_parentheses() -> None:
    with pytest.raises(ValueError, match="an item has nothing in parentheses, at character 3"):
        marble("--a(1)")


def test_an_operator_is_tried_in_virtual_time_to_the_nanosecond() -> None:
    made = marble("t 1ns t 999999998ns t|", {"t": at}).through(op.window_to_bar(every=1e-9))
    assert made.drawn(lambda bar: f"bar{bar.start}") == " 1ns bar0 1ns bar1 999.999997ms bar999999999|"


def test_timers_run_where_their_time_is_and_behind_data_of_the_same_moment() -> None:
    late = marble("a 7ns b|", {"a": 1, "b": 7}).through(lift(Sums))  # woken at 1 + 5, in vain at 7 + 5
    assert late.items == [(0, 1), (6, 0), (7, 8), (7, -8)]
    just = marble("a 6ns b|", {"a": 1, "b": 7}).through(lift(Sums))
    assert just.items == [(0, 1), (6, 8), (6, -8)]


def test_what_does_not_end_is_looked_at_as_long_as_one_likes() -> None:
    frames = {"f": text(0)}
    assert marble("f", frames).through(lift(lambda: Alarm(50))).drawn(str) == "0"
    made = marble("f", frames).through(lift(lambda: Alarm(50)), until=1)
    assert made.items == [(0, 0), (50, "alarm 50 at 50")]
    assert (made.length, made.end) == (SECOND, "")


def test_an_error_comes_where_it_came_and_ends_it() -> None:
    made = marble("a-b-c|").through(ops.map(lambda item: 1 // (item != "b")))
    assert made == Timed(
        [(0, 1)], length=100_000_000, end="#", error=ZeroDivisionError("integer division or modulo by zero")
    )
    through = marble("a-#", error=ValueError("mine")).through(ops.map(str))
    assert through == marble("a-#", error=ValueError("mine"))
    assert through != marble("a-#", error=ValueError("not mine"))
    assert through != "a-#"
    bare = Timed([(0, "a")], length=1, end="#")
    assert bare.through(ops.map(str)).end == "#"


def test_what_came_is_drawn_by_names_texts_or_types() -> None:
    made = marble("-a-b-c|", {"a": TRADE, "b": 7})
    named = Trade("A", 0, 100_000_000, 10.0, 1.0)
    assert made.drawn({"t": named}) == "-t-int-c|"
    assert made.drawn(lambda item: item if isinstance(item, str) else "x") == "-x-x-c|"
    assert repr(made) == "<Timed -Trade-int-c|>"


# -- nothing but the truth -------------------------------------------------------------------------------


def numbered(*numbers: int, symbol: str = "A") -> list[Event]:
    return [Trade(symbol, number, number, 1.0, 1.0, id=str(number)) for number in numbers]


SENT = [("A", number) for number in range(1, 6)]


def test_what_came_once_needs_no_explanation() -> None:
    assert unexplained(SENT, numbered(1, 2, 3, 4, 5)) == []
    assert unexplained(SENT, [*numbered(1, 2, 3, 4, 5), Quote("A", 1, 1, None, None, None, None)]) == []


def test_what_came_twice_or_was_never_sent_cannot_be_explained() -> None:
    gap = Gap(1, 2, 1, 2)
    assert unexplained(SENT, [*numbered(1, 2, 3), gap, *numbered(3, 4, 5, 9)]) == [
        "A 3 came 2 times",
        "A 9 was never sent",
    ]


@pytest.mark.parametrize(
    ("said", "explains"),
    [
        (Gap(1, 2, 1, 2), True),
        (Gap(1, None, 1, 2), True),
        (Gap(1, 2, 1, 2, symbols=("B", "A"), kind="trades"), True),
        (Gap(1, 2, 1, 2, symbols=("B",)), False),
        (Gap(1, 2, 1, 2, kind="books"), False),
        (Lost("", "frames", 1, 1, 1, "ring"), True),
        (Lost("A", "Trade", 1, 1, 1, "handoff"), True),
        (Lost("B", "Trade", 1, 1, 1, "handoff"), False),
        (Malformed(text(1), "half of it", 1), True),
    ],
)
def test_a_report_between_its_neighbours_explains_what_is_missing(said: Event, explains: bool) -> None:
    assert unexplained(SENT, [*numbered(1, 2), said, *numbered(4, 5)]) == (
        [] if explains else ["A 3 never came, and nothing says so"]
    )


def test_a_report_elsewhere_explains_nothing() -> None:
    gap = Gap(1, 2, 1, 2)
    complaint = ["A 3 never came, and nothing says so"]
    assert unexplained(SENT, [*numbered(1), gap, *numbered(2, 4, 5)]) == complaint
    assert unexplained(SENT, [*numbered(1, 2, 4), gap, *numbered(5)]) == complaint


def test_what_is_missing_at_either_end_is_explained_there() -> None:
    gap = Gap(1, None, 1, 2)
    assert unexplained(SENT, [gap, *numbered(3, 4, 5)]) == []
    assert unexplained(SENT, [*numbered(1, 2, 3), gap]) == []
    assert len(unexplained(SENT, numbered(2, 3, 4))) == 2


def test_a_line_that_mixes_up_its_messages_explains_within_what_it_mixed() -> None:
    gap = Gap(1, 2, 1, 2)
    assert unexplained(SENT, [*numbered(1), gap, *numbered(4, 2, 5)]) == []


def test_a_venues_own_way_to_number_is_read() -> None:
    events = [Trade("A", 1, 1, 1.0, 1.0, id=f"V:{number}") for number in (1, 2, 3, 4, 5)]
    assert unexplained(SENT, events, number=lambda trade: int(trade.id[2:])) == []


# -- the front door --------------------------------------------------------------------------------------


def test_everything_for_a_test_is_here() -> None:
    assert testing.__all__ == sorted(testing.__all__)
    for name in testing.__all__:
        assert hasattr(testing, name), name
