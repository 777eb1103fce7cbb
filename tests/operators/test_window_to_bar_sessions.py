"""window_to_bar by sessions: from the open on, never over a close, and days that are as long as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtflow.conditions import SALE_CONDITIONS
from rtflow.counters import Counters
from rtflow.events import Bar, Event, Gap, LateTrade, Quote, Status, Trade
from rtflow.operators import window_to_bar
from rtflow.operators._stretches import Stretches
from rtflow.sessions import Hours, Listed, Sessions, around_the_clock
from rtflow.time import SECOND, parse
from rtflow.time import format as spell
from tests.laws import event_streams, resumes_anywhere, run, same_live_and_virtual

NEW_YORK = Hours(
    "09:30-16:00", zone="America/New_York", holidays=["2026-11-26"], special={"2026-11-27": "09:30-13:00"}
)
LONDON = Hours("08:00-16:30", zone="Europe/London")
MUMBAI = Hours("09:15-15:30", zone="Asia/Kolkata")
TOKYO = Hours("09:00-11:30 12:30-15:30", zone="Asia/Tokyo")


def trade(at: str, price: float = 10.0, symbol: str = "A", *, received: str = "", size: float = 1.0) -> Trade:
    return Trade(symbol, parse(at), parse(received or at), price, size, venue="x")


def quote(at: str) -> Quote:
    return Quote("Q", parse(at), parse(at), 1.0, 1.0, 2.0, 1.0, "x")


def push(kernel: Any, *events: Event) -> list[Any]:
    return [made for event in events for made in kernel.push(event)]


def spans(made: Iterable[Any]) -> list[tuple[str, str]]:
    return [(spell(bar.start, 0)[:-4], spell(bar.end, 0)[:-4]) for bar in made]


def span_of(
    at: str, every: Any, session: Sessions | None, outside: Literal["count", "keep"] = "count"
) -> tuple[str, str]:
    """From when to when the bar is that takes what is stamped so."""
    kernel = window_to_bar(every, session=session, outside=outside, emit="update").kernel()
    (span,) = spans(push(kernel, trade(at)))
    return span


# From the open to the close


def test_in_mumbai_hours_begin_at_a_quarter_past_and_the_last_is_a_quarter_long() -> None:
    kernel = window_to_bar("1h", session=MUMBAI).kernel()
    made = push(
        kernel,
        trade("2026-11-23T09:15:00+05:30"),
        trade("2026-11-23T10:14:59.999999999+05:30"),
        trade("2026-11-23T10:15:00+05:30"),
        trade("2026-11-23T15:20:00+05:30"),
    )
    assert spans(made) == [
        ("2026-11-23T03:45", "2026-11-23T04:45"),
        ("2026-11-23T04:45", "2026-11-23T05:45"),
    ]
    assert made[0].count == 2
    assert spans(kernel.wake(parse("2026-11-23T10:00:00Z"))) == [("2026-11-23T09:45", "2026-11-23T10:00")]
    assert kernel.due() is None


@pytest.mark.parametrize(
    ("session", "friday", "monday"),
    [
        (NEW_YORK, ("2026-03-06T14:30", "2026-03-06T15:30"), ("2026-03-09T13:30", "2026-03-09T14:30")),
        (NEW_YORK, ("2026-10-30T13:30", "2026-10-30T14:30"), ("2026-11-02T14:30", "2026-11-02T15:30")),
        (LONDON, ("2026-03-27T08:00", "2026-03-27T09:00"), ("2026-03-30T07:00", "2026-03-30T08:00")),
        (LONDON, ("2026-10-23T07:00", "2026-10-23T08:00"), ("2026-10-26T08:00", "2026-10-26T09:00")),
    ],
)
def test_over_a_weekend_on_which_clocks_change_the_first_bar_begins_at_the_bell(
    session: Sessions, friday: tuple[str, str], monday: tuple[str, str]
) -> None:
    kernel = window_to_bar("1h", session=session, empty="flat").kernel()
    (first,) = push(kernel, *(trade(f"{day}:01Z") for day in (friday[0], friday[1])))[:1]
    assert spans([first]) == [friday]
    flat = spans(push(kernel, quote(f"{monday[1]}:00Z")))
    hours = (parse(f"{friday[0]}:00Z") - session.at(parse(f"{friday[0]}:00Z")).open, len(flat))  # type: ignore[union-attr]
    assert hours == (0, {NEW_YORK: 7, LONDON: 9}[session]), "the rest of Friday, and Monday's first hour"  # type: ignore[index]
    assert flat[-1] == monday


def test_a_half_day_closes_at_noon_and_what_comes_after_is_outside() -> None:
    counters = Counters()
    kernel = window_to_bar("1h", session=NEW_YORK, counters=counters).kernel()
    made = push(kernel, trade("2026-11-27T12:45:00-05:00"), trade("2026-11-27T13:00:00-05:00"))
    assert spans(made) == [("2026-11-27T17:30", "2026-11-27T18:00")]
    assert counters == {"outside": 1}
    assert span_of("2026-11-27T12:45:00-05:00", "1d", NEW_YORK) == ("2026-11-27T14:30", "2026-11-27T18:00")


def test_a_length_beyond_the_close_is_cut_there() -> None:
    assert span_of("2026-11-23T12:00:00+05:30", 12 * 3600, MUMBAI) == ("2026-11-23T03:45", "2026-11-23T10:00")
    assert span_of("2026-11-23T12:00:00+05:30", timedelta(days=9), MUMBAI) == (
        "2026-11-23T03:45",
        "2026-11-23T10:00",
    )


def test_the_arrival_may_say_which_session_it_is() -> None:
    kernel = window_to_bar("1h", session=MUMBAI, clock="recv").kernel()
    push(kernel, trade("2026-11-23T09:14:59+05:30", received="2026-11-23T09:15:00+05:30"))
    assert spans(kernel.flush()) == [("2026-11-23T03:45", "2026-11-23T04:45")]


# Outside


def test_what_is_outside_is_counted_tells_the_time_and_is_in_no_bar() -> None:
    counters = Counters()
    kernel = window_to_bar("1h", session=MUMBAI, late="emit", counters=counters).kernel()
    made = push(
        kernel,
        trade("2026-11-23T09:14:59.999999999+05:30"),
        trade("2026-11-23T15:29:00+05:30"),
        trade("2026-11-23T15:30:00+05:30"),
        trade("2026-11-21T12:00:00+05:30", received="2026-11-23T15:30:01+05:30"),
    )
    assert spans(made) == [("2026-11-23T09:45", "2026-11-23T10:00")]
    assert counters == {"outside": 3}


def test_with_revisions_too() -> None:
    counters = Counters()
    kernel = window_to_bar("1h", session=MUMBAI, revise_for=7200, counters=counters).kernel()
    made = push(
        kernel,
        trade("2026-11-23T15:29:00+05:30"),
        trade("2026-11-23T15:30:00+05:30"),
        trade("2026-11-23T15:28:00+05:30", received="2026-11-23T15:31:00+05:30"),
    )
    assert [(bar.revision, bar.count) for bar in made] == [(0, 1), (1, 2)]
    assert counters == {"outside": 1}


@pytest.mark.parametrize(
    ("at", "span"),
    [
        ("2026-11-23T16:10:00+05:30", ("2026-11-23T10:00", "2026-11-23T14:00")),
        ("2026-11-24T09:14:00+05:30", ("2026-11-24T02:00", "2026-11-24T03:45")),
        ("2026-11-24T09:15:00+05:30", ("2026-11-24T03:45", "2026-11-24T07:45")),
        ("2026-11-21T12:00:00+05:30", ("2026-11-21T06:00", "2026-11-21T10:00")),
    ],
)
def test_what_is_outside_may_be_kept_in_bars_that_end_at_the_open(at: str, span: tuple[str, str]) -> None:
    assert span_of(at, "4h", MUMBAI, "keep") == span


def test_the_night_has_a_bar_of_its_own_beside_the_days_and_belongs_to_the_weeks() -> None:
    tuesday_night, sunday = "2026-11-24T20:00:00+05:30", "2026-11-22T12:00:00+05:30"
    assert span_of(tuesday_night, "1d", MUMBAI, "keep") == ("2026-11-24T10:00", "2026-11-25T03:45")
    assert span_of(tuesday_night, "1w", MUMBAI, "keep") == ("2026-11-23T03:45", "2026-11-27T10:00")
    assert span_of(sunday, "1w", MUMBAI, "keep") == ("2026-11-20T10:00", "2026-11-23T03:45")
    counters = Counters()
    kernel = window_to_bar("1w", session=MUMBAI, counters=counters).kernel()
    assert push(kernel, trade("2026-11-24T12:00:00+05:30"), trade(tuesday_night), trade(sunday)) == []
    assert counters == {"outside": 2}


@pytest.mark.parametrize(("outside", "count"), [("count", 2), ("keep", 3)])
def test_a_lunch_is_outside_of_the_day_unless_it_is_kept(
    outside: Literal["count", "keep"], count: int
) -> None:
    counters = Counters()
    kernel = window_to_bar("1d", session=TOKYO, outside=outside, counters=counters).kernel()
    made = push(
        kernel,
        *(trade(f"2026-11-24T{at}:00+09:00") for at in ("11:00", "12:00", "13:00")),
        quote("2026-11-24T07:00:00Z"),
    )
    assert [bar.count for bar in made] == [count]
    assert counters["outside"] == 3 - count


def test_before_the_first_session_and_after_the_last_all_is_outside() -> None:
    listed = Listed([MUMBAI.at(parse("2026-11-23T06:00:00Z"))])
    counters = Counters()
    kernel = window_to_bar("1h", session=listed, outside="keep", empty="flat", counters=counters).kernel()
    push(kernel, trade("2026-11-22T06:00:00Z"), trade("2026-11-23T09:00:00Z"))
    assert counters == {"outside": 1}
    made = [*kernel.wake(parse("2026-11-23T09:45:00Z")), *kernel.wake(parse("2026-11-23T10:00:00Z"))]
    assert [bar.synthetic for bar in made] == [False, True]
    assert kernel.due() is None, "nobody knows of a session after it"
    assert push(kernel, trade("2026-11-23T10:00:00Z"), trade("2026-11-23T10:00:01Z")) == []
    assert counters == {"outside": 3}


# Empty stretches


def test_nights_weekends_holidays_and_lunches_are_not_filled() -> None:
    kernel = window_to_bar("30m", session=TOKYO, empty="flat").kernel()
    push(kernel, trade("2026-11-20T11:10:00+09:00", 7.0))
    made = list(kernel.wake(parse("2026-11-24T09:30:00+09:00")))
    assert [bar.synthetic for bar in made] == [False] + [True] * (6 + 11 + 1)
    assert spans(made)[:2] == [
        ("2026-11-20T02:00", "2026-11-20T02:30"),
        ("2026-11-20T03:30", "2026-11-20T04:00"),
    ]
    assert spans(made)[6:8] == [
        ("2026-11-20T06:00", "2026-11-20T06:30"),
        ("2026-11-23T00:00", "2026-11-23T00:30"),
    ]
    assert spans(made)[-1] == ("2026-11-24T00:00", "2026-11-24T00:30")
    assert spell(kernel.due() or 0, 0) == "2026-11-24T01:00:00Z"


def test_a_night_that_is_kept_goes_flat_for_nobody() -> None:
    kernel = window_to_bar("6h", session=MUMBAI, empty="flat", outside="keep").kernel()
    push(kernel, trade("2026-11-23T12:00:00+05:30"), trade("2026-11-23T12:00:00+05:30", symbol="B"))
    made = push(kernel, trade("2026-11-23T21:00:00+05:30", 9.0, "B"), quote("2026-11-24T15:15:00+05:30"))
    assert [
        (bar.symbol, span, bar.close, bar.synthetic) for bar, span in zip(made, spans(made), strict=True)
    ] == [
        ("A", ("2026-11-23T03:45", "2026-11-23T09:45"), 10.0, False),
        ("B", ("2026-11-23T03:45", "2026-11-23T09:45"), 10.0, False),
        ("A", ("2026-11-23T09:45", "2026-11-23T10:00"), 10.0, True),
        ("B", ("2026-11-23T09:45", "2026-11-23T10:00"), 10.0, True),
        ("B", ("2026-11-23T10:00", "2026-11-23T16:00"), 9.0, False),
        ("A", ("2026-11-24T03:45", "2026-11-24T09:45"), 10.0, True),
        ("B", ("2026-11-24T03:45", "2026-11-24T09:45"), 9.0, True),
    ]


# Days, weeks and months


@pytest.mark.parametrize(
    ("at", "every", "session", "span"),
    [
        # One bar a session, and one for all sessions of a day.
        ("2026-11-24T12:00:00+05:30", "1d", MUMBAI, ("2026-11-24T03:45", "2026-11-24T10:00")),
        ("2026-11-24T10:00:00+09:00", "1d", TOKYO, ("2026-11-24T00:00", "2026-11-24T06:30")),
        ("2026-11-24T14:00:00+09:00", "1d", TOKYO, ("2026-11-24T00:00", "2026-11-24T06:30")),
        # Weeks: of a holiday and a half day, before and after a change of clocks, of two months, two of them.
        ("2026-11-24T12:00:00-05:00", "1w", NEW_YORK, ("2026-11-23T14:30", "2026-11-27T18:00")),
        (
            "2026-11-02T12:00:00-05:00",
            "1w",
            around_the_clock("America/New_York"),
            ("2026-11-02T05:00", "2026-11-09T05:00"),
        ),
        (
            "2026-11-01T12:00:00-05:00",
            "1w",
            around_the_clock("America/New_York"),
            ("2026-10-26T04:00", "2026-11-02T05:00"),
        ),
        ("2026-09-30T12:00:00-04:00", "1w", NEW_YORK, ("2026-09-28T13:30", "2026-10-02T20:00")),
        ("2026-11-24T12:00:00-05:00", "2w", NEW_YORK, ("2026-11-23T14:30", "2026-12-04T21:00")),
        # Months and quarters, whose first and last days may be a weekend's.
        ("2026-11-24T12:00:00-05:00", "1M", NEW_YORK, ("2026-11-02T14:30", "2026-11-30T21:00")),
        ("2026-11-24T12:00:00-05:00", "3mo", NEW_YORK, ("2026-10-01T13:30", "2026-12-31T21:00")),
        (
            "2026-03-10T12:00:00Z",
            "1mo",
            around_the_clock("Europe/London"),
            ("2026-03-01T00:00", "2026-03-31T23:00"),
        ),
        # Around the clock, a day has 24 hours, or 23, or 25.
        ("2026-03-28T12:00:00Z", "1d", around_the_clock(), ("2026-03-28T00:00", "2026-03-29T00:00")),
        (
            "2026-03-29T12:00:00Z",
            "1d",
            around_the_clock("Europe/London"),
            ("2026-03-29T00:00", "2026-03-29T23:00"),
        ),
        (
            "2026-10-25T12:00:00Z",
            "1d",
            around_the_clock("Europe/London"),
            ("2026-10-24T23:00", "2026-10-26T00:00"),
        ),
        # Without a session: UTC.
        ("2026-03-29T12:00:00Z", "1d", None, ("2026-03-29T00:00", "2026-03-30T00:00")),
        ("2026-03-29T12:00:00Z", "1w", None, ("2026-03-23T00:00", "2026-03-30T00:00")),
        ("2026-02-27T12:00:00Z", "1mo", None, ("2026-02-01T00:00", "2026-03-01T00:00")),
        ("2026-02-27T12:00:00Z", "12M", None, ("2026-01-01T00:00", "2027-01-01T00:00")),
        # A day is the calendar's, 24 hours are not.
        (
            "2026-10-25T12:00:00Z",
            "24h",
            around_the_clock("Europe/London"),
            ("2026-10-24T23:00", "2026-10-25T23:00"),
        ),
        (
            "2026-10-25T23:30:00Z",
            "24h",
            around_the_clock("Europe/London"),
            ("2026-10-25T23:00", "2026-10-26T00:00"),
        ),
    ],
)
def test_days_weeks_and_months_are_the_calendars(
    at: str, every: str, session: Sessions | None, span: tuple[str, str]
) -> None:
    assert span_of(at, every, session) == span


def test_hours_of_a_day_of_23_hours_are_23() -> None:
    kernel = window_to_bar("1h", session=around_the_clock("Europe/London"), empty="flat").kernel()
    push(kernel, trade("2026-03-29T00:30:00+00:00"))
    made = list(kernel.wake(parse("2026-03-30T00:00:00+01:00")))
    assert len(made) == 23
    assert all(bar.end - bar.start == 3600 * SECOND for bar in made)


def test_a_daily_bar_waits_for_the_close_and_the_next_one_for_the_next() -> None:
    kernel = window_to_bar("1d", session=NEW_YORK, empty="flat").kernel()
    made = push(kernel, trade("2026-11-24T12:00:00-05:00"), quote("2026-11-24T16:00:00-05:00"))
    made += list(kernel.wake(parse("2026-11-30T20:59:59Z")))
    assert spans(made) == [
        ("2026-11-24T14:30", "2026-11-24T21:00"),
        ("2026-11-25T14:30", "2026-11-25T21:00"),
        ("2026-11-27T14:30", "2026-11-27T18:00"),
    ]


def test_bars_of_days_and_longer_ask_for_the_rules_of_a_day() -> None:
    late_print = Trade(
        "A",
        parse("2026-11-24T17:00:00Z"),
        parse("2026-11-24T17:00:00Z"),
        12.0,
        1.0,
        venue="x",
        conditions=("Z",),
        tape="A",
    )
    for every in "1d", "1w", "1mo":
        kernel = window_to_bar(every, session=NEW_YORK, eligibility=SALE_CONDITIONS).kernel()
        push(kernel, trade("2026-11-24T15:00:00Z"), late_print)
        (bar,) = kernel.flush()
        assert isinstance(bar, Bar)
        assert (bar.high, bar.close) == (12.0, 10.0)


# Gaps and beginnings


@pytest.mark.parametrize(
    ("every", "holes", "marks"),
    [("1w", 2, [True, False]), ("1d", 0, [True, False, False]), ("1h", 0, [False] * 3)],
)
def test_a_gap_is_known_for_as_long_as_a_bar_may_tell_of_it(
    every: str, holes: int, marks: list[bool]
) -> None:
    monday = Gap(
        parse("2026-11-23T08:00:00Z"),
        parse("2026-11-23T08:01:00Z"),
        1,
        parse("2026-11-23T08:01:00Z"),
        venue="x",
    )
    kernel = window_to_bar(every, session=MUMBAI).kernel()
    made = push(kernel, trade("2026-11-23T06:00:00Z"), monday, trade("2026-11-24T06:00:00Z"))
    made += push(kernel, quote("2026-11-24T12:00:00Z"))
    night = Gap(
        parse("2026-11-24T13:00:00Z"),
        parse("2026-11-24T13:01:00Z"),
        1,
        parse("2026-11-24T13:01:00Z"),
        venue="x",
    )
    assert push(kernel, night) == []
    assert len(kernel.state()["x"]["holes"]) == holes
    made += push(
        kernel, quote("2026-11-25T06:00:00Z"), trade("2026-11-30T06:00:00Z"), quote("2026-12-05T00:00:00Z")
    )
    assert [bar.gap for bar in made] == marks
    assert kernel.state()["x"]["holes"] == []


def test_a_gap_up_to_the_very_open_touches_the_first_bar() -> None:
    begin, told = parse("2026-11-23T03:44:00Z"), parse("2026-11-23T03:50:00Z")
    for end, marked in ("2026-11-23T03:45:00.000000001Z", True), ("2026-11-23T03:45:00Z", False):
        kernel = window_to_bar("1h", session=MUMBAI).kernel()
        push(kernel, trade("2026-11-23T03:50:00Z"), Gap(begin, parse(end), 1, told, venue="x"))
        assert [bar.gap for bar in kernel.flush()] == [marked]


def test_before_the_bell_is_before_the_first_bar() -> None:
    kernel = window_to_bar("1h", session=MUMBAI).kernel()
    acknowledged = Status("subscribed", parse("2026-11-23T03:44:59Z"), "", "A", "trades", venue="x")
    push(kernel, acknowledged, trade("2026-11-23T03:46:00Z"))
    assert [bar.partial for bar in kernel.wake(parse("2026-11-23T04:45:00Z"))] == [None]


# Laws: the streams of tests.laws begin at a quarter past midnight, 1970-01-01T00:16:40Z

SHORT = Hours(
    "00:16:38-00:16:44 00:16:44-00:16:50 00:16:55-00:17:10 00:17:30-24:00", zone="UTC", weekdays=range(7)
)
OPERATORS: tuple[Callable[[], Any], ...] = (
    lambda: window_to_bar(4, session=SHORT, late="emit"),
    lambda: window_to_bar(4, session=SHORT, empty="flat", grace=0.5),
    lambda: window_to_bar(7, session=SHORT, outside="keep", empty="flat"),
    lambda: window_to_bar(4, session=SHORT, revise_for=3, outside="keep"),
    lambda: window_to_bar(4, session=SHORT, emit="update", clock="recv"),
    lambda: window_to_bar("1d", session=SHORT),
    lambda: window_to_bar("1w", session=SHORT, outside="keep"),
    lambda: window_to_bar("1mo", empty="flat"),
)
VENUES = ("x", "y")


@settings(max_examples=100, deadline=None)
@given(event_streams(venues=VENUES), st.sampled_from(OPERATORS))
def test_it_is_held_to_the_laws(events: list[Event], operator: Callable[[], Any]) -> None:
    resumes_anywhere(operator(), events)


@settings(max_examples=60, deadline=None)
@given(event_streams(venues=VENUES), st.sampled_from(OPERATORS))
def test_live_and_virtual_runs_agree(events: list[Event], operator: Callable[[], Any]) -> None:
    same_live_and_virtual(operator(), events)


@settings(max_examples=200)
@given(event_streams(venues=VENUES), st.sampled_from((1, 4, 100)), st.sampled_from(("count", "keep")))
def test_bars_are_what_a_look_at_each_trade_gives(
    events: list[Event], every: int, outside: Literal["count", "keep"]
) -> None:
    counters = Counters()
    operator = window_to_bar(every, session=SHORT, outside=outside, late="emit", counters=counters)
    made = run(operator.kernel(), events)
    late = [each.trade for each in made if isinstance(each, LateTrade)]
    groups: dict[tuple[str, str, int, int], list[Trade]] = defaultdict(list)
    left_out = 0
    for event in events:
        if isinstance(event, Trade):
            session = SHORT.at(event.ts_event)
            begin, end = session.open, session.close
            if event.ts_event < begin:
                begin, end = SHORT.before(event.ts_event).close, begin
                if outside == "count":
                    left_out += 1
                    continue
            if event not in late:
                start = begin + (event.ts_event - begin) // (every * SECOND) * every * SECOND
                groups[event.venue, event.symbol, start, min(start + every * SECOND, end)].append(event)
    assert counters["outside"] == left_out
    bars = [bar for bar in made if isinstance(bar, Bar)]
    assert {(bar.venue, bar.symbol, bar.start, bar.end) for bar in bars} == set(groups)
    for bar in bars:
        group = sorted(groups[bar.venue, bar.symbol, bar.start, bar.end], key=lambda each: each.ts_event)
        prices = [each.price for each in group]
        assert (bar.open, bar.high, bar.low, bar.close) == (prices[0], max(prices), min(prices), prices[-1])
        assert (bar.volume, bar.count) == (sum(each.size for each in group), len(group))


@settings(max_examples=100)
@given(event_streams(), st.sampled_from((1, 4, 100)))
def test_flat_bars_fill_the_sessions_and_nothing_else(events: list[Event], every: int) -> None:
    flat = run(window_to_bar(every, session=SHORT, empty="flat").kernel(), events)
    assert [bar for bar in flat if not bar.synthetic] == run(
        window_to_bar(every, session=SHORT).kernel(), events
    )
    chains: dict[str, list[Bar]] = defaultdict(list)
    for bar in flat:
        assert SHORT.at(bar.start).open <= bar.start < bar.end <= SHORT.at(bar.start).close
        if bar.partial != "end":
            chains[bar.symbol].append(bar)
    for chain in chains.values():
        for one, other in pairwise(chain):
            assert other.start == max(one.end, SHORT.at(one.end).open)


@settings(max_examples=100)
@given(event_streams(venues=VENUES), st.sampled_from((1, 7)))
def test_around_the_clock_in_utc_bars_are_the_plain_ones(events: list[Event], every: int) -> None:
    plain = run(window_to_bar(every, late="emit", empty="flat").kernel(), events)
    by_day = window_to_bar(every, late="emit", empty="flat", session=around_the_clock())
    assert run(by_day.kernel(), events) == plain


def test_a_look_at_the_night_hides_nothing_of_the_day() -> None:
    cut = Stretches(MUMBAI, length=3600 * SECOND, keeps=True)
    day, night = parse("2026-11-23T09:50:00Z"), parse("2026-11-23T12:10:00Z")
    assert cut.around(night) == (parse("2026-11-23T12:00:00Z"), parse("2026-11-23T13:00:00Z"))
    assert cut.around(day) == (parse("2026-11-23T09:45:00Z"), parse("2026-11-23T10:00:00Z"))


@settings(max_examples=100)
@given(
    st.lists(st.integers(0, 4 * 80), min_size=2, max_size=12),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_what_was_asked_before_does_not_matter(
    quarters: list[int], keeps: bool, joined: bool, ends: bool
) -> None:
    day = SHORT.on(date(1970, 1, 1))
    sessions: Sessions = Listed(day[:-1]) if ends else SHORT

    def cut() -> Stretches:
        return Stretches(
            sessions, length=0 if joined else 4 * SECOND, units=(1, "day") if joined else None, keeps=keeps
        )

    same = cut()
    for quarter in quarters:
        stamp = 980 * SECOND + quarter * SECOND // 4
        assert same.around(stamp) == cut().around(stamp)
        if quarter % 4 == 0:
            assert same.after(stamp) == cut().after(stamp)


# Options


class NoSessions:
    def at(self, stamp: int) -> None: ...


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"outside": "keep"}, ValueError, "an option of session"),
        ({"outside": "drop", "session": MUMBAI}, ValueError, "'drop' is none of 'count', 'keep'"),
        ({"session": "XNYS"}, TypeError, "wants the Sessions of a market, .* not 'XNYS'"),
        ({"session": NoSessions()}, TypeError, "wants the Sessions of a market"),
        ({"session": MUMBAI, "origin": 5}, ValueError, "origin is for those of equal length"),
        ({"every": "1mo", "origin": 5}, ValueError, "origin is for those of equal length"),
        (
            {"every": "2d", "session": MUMBAI},
            ValueError,
            "joined into days, weeks and months, .* not by '2d'",
        ),
        ({"every": "0w"}, ValueError, "positive length"),
        ({"every": "0mo"}, ValueError, "positive length"),
        ({"every": None, "ticks": 5, "session": MUMBAI}, ValueError, "an option of every"),
        ({"every": None, "volume": 5, "outside": "keep"}, ValueError, "an option of every"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        window_to_bar(**{"every": "1h", **options})
