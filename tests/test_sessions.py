"""Sessions: when a market trades, by its own wall clock, to the nanosecond, in summer and in winter."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtflow.sessions import Hours, Listed, Session, Sessions, around_the_clock, exchange
from rtflow.time import SECOND, parse
from rtflow.time import format as spell

HOUR = 3600 * SECOND
NEW_YORK = Hours(
    "09:30-16:00", zone="America/New_York", holidays=["2026-11-26"], special={"2026-11-27": "09:30-13:00"}
)
LONDON = Hours("08:00-16:30", zone="Europe/London")
MUMBAI = Hours("09:15-15:30", zone="Asia/Kolkata", special={"2026-11-08": "18:00-19:00"})
TOKYO = Hours("09:00-11:30 12:30-15:30", zone="Asia/Tokyo")
CHICAGO = Hours("17:00-16:00", zone="America/Chicago")
CURRENCIES = Hours("17:00-17:00", zone="America/New_York")


def said(session: Session | None) -> tuple[str, str, str]:
    """Its day, its open and its close in UTC, without what is always the same."""
    assert session is not None
    return session.day.isoformat(), spell(session.open, 0)[:-4], spell(session.close, 0)[:-4]


# By the wall clock


@pytest.mark.parametrize(
    ("hours", "at", "session"),
    [
        (MUMBAI, "2026-11-23T03:45:00Z", ("2026-11-23", "2026-11-23T03:45", "2026-11-23T10:00")),
        (MUMBAI, "2026-11-23T03:44:59.999999999Z", ("2026-11-23", "2026-11-23T03:45", "2026-11-23T10:00")),
        (MUMBAI, "2026-11-23T09:59:59.999999999Z", ("2026-11-23", "2026-11-23T03:45", "2026-11-23T10:00")),
        (MUMBAI, "2026-11-23T10:00:00Z", ("2026-11-24", "2026-11-24T03:45", "2026-11-24T10:00")),
        # The hour of Diwali, on a Sunday.
        (MUMBAI, "2026-11-07T00:00:00Z", ("2026-11-08", "2026-11-08T12:30", "2026-11-08T13:30")),
        # Thanksgiving, and the half day after it.
        (NEW_YORK, "2026-11-26T15:00:00Z", ("2026-11-27", "2026-11-27T14:30", "2026-11-27T18:00")),
        (NEW_YORK, "2026-11-27T18:00:00Z", ("2026-11-30", "2026-11-30T14:30", "2026-11-30T21:00")),
        # A lunch.
        (TOKYO, "2026-11-24T02:30:00Z", ("2026-11-24", "2026-11-24T03:30", "2026-11-24T06:30")),
        (TOKYO, "2026-11-24T00:00:00Z", ("2026-11-24", "2026-11-24T00:00", "2026-11-24T02:30")),
        # Across midnight: Sunday's evening is Monday's, and there is no Friday evening.
        (CHICAGO, "2026-11-20T22:30:00Z", ("2026-11-23", "2026-11-22T23:00", "2026-11-23T22:00")),
        (CHICAGO, "2026-11-24T04:00:00Z", ("2026-11-24", "2026-11-23T23:00", "2026-11-24T22:00")),
        (CURRENCIES, "2026-11-23T22:00:00Z", ("2026-11-24", "2026-11-23T22:00", "2026-11-24T22:00")),
    ],
)
def test_a_stamp_is_in_a_session_or_before_the_next(
    hours: Hours, at: str, session: tuple[str, str, str]
) -> None:
    assert said(hours.at(parse(at))) == session


@pytest.mark.parametrize(
    ("hours", "friday", "monday"),
    [
        (NEW_YORK, "2026-03-06T14:30", "2026-03-09T13:30"),
        (NEW_YORK, "2026-10-30T13:30", "2026-11-02T14:30"),
        (LONDON, "2026-03-27T08:00", "2026-03-30T07:00"),
        (LONDON, "2026-10-23T07:00", "2026-10-26T08:00"),
        (CHICAGO, "2026-03-05T23:00", "2026-03-08T22:00"),
        (CHICAGO, "2026-10-29T22:00", "2026-11-01T23:00"),
    ],
)
def test_over_a_weekend_on_which_clocks_change_the_bell_rings_at_the_same_time_of_the_wall(
    hours: Hours, friday: str, monday: str
) -> None:
    first = hours.at(parse(friday + ":00Z"))
    second = hours.at(first.close)
    assert (said(first)[1], said(second)[1]) == (friday, monday)
    assert hours.before(second.open) == first
    assert first.close - first.open == second.close - second.open


@pytest.mark.parametrize(
    ("zone", "day", "length"),
    [
        ("Europe/London", "2026-03-29", 23),
        ("Europe/London", "2026-10-25", 25),
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("America/Havana", "2026-03-08", 23),  # from midnight on, so that it begins at one
        ("America/Havana", "2026-11-01", 25),  # midnight comes twice
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Asia/Kolkata", "2026-03-29", 24),
        ("UTC", "2026-03-29", 24),
    ],
)
def test_around_the_clock_a_day_is_as_long_as_the_calendar_makes_it(
    zone: str, day: str, length: float
) -> None:
    clock = around_the_clock(zone)
    noon = datetime.combine(date.fromisoformat(day), time(12), ZoneInfo(zone))
    session = clock.at(round(noon.timestamp()) * SECOND)
    assert session.day.isoformat() == day
    assert session.close - session.open == length * HOUR
    assert clock.at(session.close).open == session.close
    assert clock.before(session.open).close == session.open


def test_around_the_clock_is_in_utc_unless_said_otherwise() -> None:
    assert said(around_the_clock().at(0)) == ("1970-01-01", "1970-01-01T00:00", "1970-01-02T00:00")
    india = around_the_clock(timezone(timedelta(hours=5.5)))
    assert said(india.at(0)) == ("1970-01-01", "1969-12-31T18:30", "1970-01-01T18:30")


def test_what_the_clock_skips_is_no_session_or_begins_later() -> None:
    # New York's clocks go from 02:00 to 03:00 on 8 March 2026.
    early = Hours("02:30-03:15", zone="America/New_York", weekdays=range(7))
    assert early.on(date(2026, 3, 8)) == ()
    assert early.at(early.on(date(2026, 3, 7))[0].close).day == date(2026, 3, 9)
    (later,) = Hours("02:30-04:00", zone="America/New_York", weekdays=[6]).on(date(2026, 3, 8))
    assert said(later)[1:] == ("2026-03-08T07:30", "2026-03-08T08:00")


def test_of_a_time_that_comes_twice_the_first_is_meant() -> None:
    (session,) = Hours("00:30-01:30:15", zone="America/New_York", weekdays=[6]).on(date(2026, 11, 1))
    assert (session.close - session.open) == HOUR + 15 * SECOND


def test_a_special_day_goes_before_a_holiday() -> None:
    hours = Hours(
        "09:00-17:00", zone="UTC", holidays=[date(2026, 11, 9)], special={date(2026, 11, 9): "18:00-19:00"}
    )
    assert [said(each)[1] for each in hours.on(date(2026, 11, 9))] == ["2026-11-09T18:00"]


def test_spans_may_be_written_in_any_order() -> None:
    # Hong Kong's futures: the night belongs to the next day.
    hours = Hours("09:15-12:00 13:00-16:30 17:15-03:00", zone="Asia/Hong_Kong")
    assert [said(each)[1] for each in hours.on(date(2026, 11, 24))] == [
        "2026-11-23T09:15",
        "2026-11-24T01:15",
        "2026-11-24T05:00",
    ]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"hours": ""}, ValueError, "spans such as"),
        ({"hours": "09:00"}, ValueError, "from one time to another, .* not '09:00'"),
        ({"hours": "9:00-16:00"}, ValueError, "from one time to another"),
        ({"hours": "09:00-16:60"}, ValueError, "from one time to another"),
        ({"hours": "09:00-24:01"}, ValueError, "goes from 00:00 to 24:00"),
        ({"hours": "24:00-09:00"}, ValueError, "goes from 00:00 to 24:00"),
        ({"hours": "09:00-12:00 11:00-15:00"}, ValueError, "do not overlap"),
        ({"hours": "22:00-12:00 11:00-15:00"}, ValueError, "do not overlap"),
        ({"hours": None}, TypeError, "hours are a text"),
        ({"zone": "America/Gotham"}, ValueError, "no time zone is called 'America/Gotham'"),
        ({"zone": "../etc"}, ValueError, "no time zone is called"),
        ({"zone": 5}, TypeError, "a time zone is a name"),
        ({"weekdays": []}, ValueError, "weekdays are some of 0"),
        ({"weekdays": [7]}, ValueError, r"not \[7\]"),
        ({"holidays": ["27.11.2026"]}, ValueError, "a day is a date or a text"),
        ({"holidays": [5]}, TypeError, "a day is a date or a text"),
        ({"holidays": [datetime(2026, 11, 27, tzinfo=UTC)]}, TypeError, "a day is a date or a text"),
        ({"special": {"2026-11-27": "13:00"}}, ValueError, "from one time to another"),
    ],
)
def test_hours_that_cannot_be_read_are_refused(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Hours(**{"hours": "09:00-17:00", "zone": "UTC", **options})


# Laws

STAMPS = st.integers(parse("1990-01-01T00:00:00Z"), parse("2037-12-31T00:00:00Z"))
MARKETS = (NEW_YORK, LONDON, MUMBAI, TOKYO, CHICAGO, CURRENCIES, around_the_clock("Europe/London"))


@settings(max_examples=300)
@given(st.sampled_from(MARKETS), STAMPS)
def test_between_the_last_session_and_the_next_there_is_none(hours: Hours, stamp: int) -> None:
    last, next_one = hours.before(stamp), hours.at(stamp)
    assert last.close <= stamp < next_one.close
    assert last.close <= next_one.open < next_one.close
    assert hours.at(last.close) == next_one
    assert hours.before(next_one.open) == last
    assert hours.at(next_one.open) == next_one


@settings(max_examples=100)
@given(st.sampled_from(MARKETS), STAMPS, st.integers(0, 12), st.integers(-5, 5))
def test_sessions_written_down_are_the_same_sessions(hours: Hours, stamp: int, ahead: int, off: int) -> None:
    sessions = [hours.at(stamp)]
    for _ in range(12):
        sessions.append(hours.at(sessions[-1].close))
    listed = Listed(sessions)
    for bell in sessions[ahead].open, sessions[ahead].close:
        if sessions[0].close <= bell + off < sessions[-1].close:
            assert listed.at(bell + off) == hours.at(bell + off)
            assert listed.before(bell + off) == hours.before(bell + off)


# Written down


def test_a_list_ends() -> None:
    one, other = Session(date(2026, 1, 1), 10, 20), Session(date(2026, 1, 2), 20, 40)
    listed = Listed([one, other])
    assert [listed.at(stamp) for stamp in (0, 19, 20, 39, 40)] == [one, one, other, other, None]
    assert [listed.before(stamp) for stamp in (19, 20, 39, 40)] == [None, one, one, other]
    assert Listed([]).at(0) is None


@pytest.mark.parametrize(
    ("spans", "words"),
    [([(10, 10)], "closes after it opens"), ([(10, 20), (19, 30)], "in order and do not overlap")],
)
def test_a_list_that_is_none_is_refused(spans: list[tuple[int, int]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Listed(Session(date(2026, 1, 1), *span) for span in spans)


@pytest.mark.parametrize("sessions", [NEW_YORK, Listed([])])
def test_both_are_sessions(sessions: object) -> None:
    assert isinstance(sessions, Sessions)


# Of an exchange


def test_an_exchange_knows_its_half_days_its_holidays_and_its_lunch() -> None:
    new_york = exchange("XNYS", start="2026-01-01", end=date(2026, 12, 31))
    tokyo = exchange("XTKS", start="2026-11-01", end="2026-11-30")
    for hours, listed in (NEW_YORK, new_york), (TOKYO, tokyo):
        for day in "2026-11-24", "2026-11-25", "2026-11-26", "2026-11-27":
            for at in "00:00", "02:29", "02:31", "15:00", "20:59":
                stamp = parse(f"{day}T{at}:00Z")
                assert listed.at(stamp) == hours.at(stamp)
    assert tokyo.at(parse("2026-11-03T01:00:00Z")) != TOKYO.at(parse("2026-11-03T01:00:00Z")), (
        "the day of culture"
    )


def test_an_exchange_is_known_no_further_than_the_package_knows_it() -> None:
    hong_kong = exchange("XHKG", start="1950-01-01", end="2100-01-01")
    assert hong_kong.before(parse("2049-12-31T23:59:59Z")) is not None
    assert hong_kong.at(parse("2050-01-03T02:00:00Z")) is None


def test_an_exchange_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="knows no 'NYSEE'"):
        exchange("NYSEE")


def test_without_the_extra_its_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    with pytest.raises(ImportError, match=r"install 'rtflow\[calendars\]'"):
        exchange("XNYS")
