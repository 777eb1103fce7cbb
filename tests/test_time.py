"""Stamps keep every digit they were given."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtflow import time

STAMPS = st.integers(min_value=0, max_value=time.from_datetime(datetime(2199, 12, 31, tzinfo=UTC)))


@given(STAMPS)
def test_every_stamp_survives_its_spelling(stamp: int) -> None:
    assert time.parse(time.format(stamp)) == stamp
    assert time.parse(time.format(stamp)) == stamp  # the second time by the remembered second


@given(STAMPS, st.integers(0, 9))
def test_fewer_digits_cut_and_never_round(stamp: int, digits: int) -> None:
    assert time.parse(time.format(stamp, digits)) == stamp - stamp % 10 ** (9 - digits)


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01z", 1_000_000_000),
        ("1970-01-01 00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T00:00:01.5z", 1_500_000_000),
        ("1969-12-31T23:59:58Z", -2_000_000_000),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("2021-02-22T15:51:44.208Z", 1_614_009_104_208_000_000),
        ("2021-02-22T15:51:44Z", 1_614_009_104_000_000_000),
        ("2021-02-22T21:21:44.000000001+05:30", 1_614_009_104_000_000_001),
        ("2021-02-22T10:51:44-05:00", 1_614_009_104_000_000_000),
    ],
)
def test_every_spelling_of_rfc_3339_is_read(text: str, stamp: int) -> None:
    assert time.parse(text) == stamp
    assert time.parse(text) == stamp


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Z",
        "2021-02-22",
        "2021-02-22T15:51:44",
        "2021-02-22T15:51Z",
        "2021-02-22T15:51:44.Z",
        "2021-02-22T15:51:44.1234567890Z",
        "2021-02-22T15:51:44,5Z",
        "2021-02-22T15:51:44.5",
        "2021-02-22T15:51:44.5X",
        "2021-02-22T15:51:44.+1Z",
        "2021-02-22T15:51:44.-1Z",
        "2021-02-22T15:51:44.1_0Z",
        "2021-02-22T15:51:44.٣Z",
        "2021-02-22T15:51:60Z",
        "2021-02-30T15:51:44Z",
        "2021-02-22T15:51:44+0530",
        "2021-02-22T15:51:44+25:00",
        "2021-02-22X15:51:44Z",
        "２021-02-22T15:51:44Z",
        "2021-02-22T15:51:44ZZ",
        "2021-02-22T15:51:44Z ",
    ],
)
def test_what_is_not_a_stamp_is_refused_by_name(text: str) -> None:
    time.parse("2021-02-22T15:51:44Z")  # the second is remembered, so the short way is tried first
    with pytest.raises(ValueError, match="not an RFC 3339 stamp"):
        time.parse(text)


@pytest.mark.parametrize(
    "text", ["9999-12-31T23:59:59Z", "2262-04-11T23:47:16.854775808Z", "1677-09-21T00:12:43Z"]
)
def test_what_64_bits_do_not_reach_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="1677 to 2262"):
        time.parse(text)


def test_the_first_and_the_last_stamp_of_64_bits_are_read() -> None:
    assert time.parse("1677-09-21T00:12:43.145224192Z") == -(2**63)
    assert time.parse("2262-04-11T23:47:16.854775807Z") == 2**63 - 1
    with pytest.raises(ValueError, match="1677 to 2262"):
        time.parse("2262-04-11T23:47:16.854775808Z")


def test_only_so_many_seconds_are_remembered() -> None:
    for second in range(5000):
        time.parse(time.format(second * time.SECOND))
        assert len(time._seconds) <= 4096


def test_a_second_once_read_in_utc_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "_seconds", {})
    time.parse("2021-02-22T15:51:44Z")
    time.parse("2021-02-22T15:51:44+05:30")
    monkeypatch.delattr(time, "_parse")
    assert time.parse("2021-02-22T15:51:44.25Z") == 1_614_009_104_250_000_000


def test_a_stamp_is_spelled_in_utc_with_a_year_of_four_digits() -> None:
    assert time.format(0) == "1970-01-01T00:00:00.000000000Z"
    assert time.format(time.from_datetime(datetime(987, 1, 2, tzinfo=UTC)), 0) == "0987-01-02T00:00:00Z"


def test_a_stamp_has_at_most_nine_decimals() -> None:
    with pytest.raises(ValueError, match="0 to 9"):
        time.format(0, digits=10)


@pytest.mark.parametrize(
    ("duration", "nanoseconds"),
    [
        (1, 1_000_000_000),
        (0.1, 100_000_000),
        (1e-9, 1),
        (timedelta(days=1, microseconds=1), 86_400_000_001_000),
        (86_400 * 365 * 100, 3_153_600_000_000_000_000),
        (timedelta(days=36_500, microseconds=1), 3_153_600_000_000_001_000),
    ],
)
def test_a_duration_is_seconds_or_a_timedelta(duration: float | timedelta, nanoseconds: int) -> None:
    assert time.nanoseconds(duration) == nanoseconds


@pytest.mark.parametrize("duration", [float("nan"), float("inf")])
def test_a_duration_is_finite(duration: float) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        time.nanoseconds(duration)


def test_what_is_no_duration_is_named() -> None:
    with pytest.raises(TypeError, match="seconds or a timedelta, not '1m'"):
        time.nanoseconds("1m")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("every", "nanoseconds"),
    [
        ("250ms", 250_000_000),
        ("1s", time.SECOND),
        ("5m", 300 * time.SECOND),
        ("1h", 3_600 * time.SECOND),
        ("1d", 86_400 * time.SECOND),
        ("2w", 14 * 86_400 * time.SECOND),
        (1.5, 1_500_000_000),
        (timedelta(minutes=1), 60 * time.SECOND),
    ],
)
def test_an_interval_may_be_text(every: time.Interval, nanoseconds: int) -> None:
    assert time.interval(every) == nanoseconds


@pytest.mark.parametrize("text", ["", "m", "5", "5 m", "5min", "1M", "1mo", "1.5s", "-1s", "٣s", "1m\n"])
def test_a_text_that_says_no_length_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r'ms, s, m, h, d, w, as in "5m", not ' + re.escape(repr(text))):
        time.interval(text)


@pytest.mark.parametrize(
    ("every", "units"),
    [
        ("1d", (1, "day")),
        ("2w", (2, "week")),
        ("1M", (1, "month")),
        ("12mo", (12, "month")),
        ("1m", None),
        ("24h", None),
        ("1 d", None),
        (86_400, None),
        (timedelta(days=1), None),
    ],
)
def test_a_text_may_say_days_weeks_and_months_of_the_calendar(
    every: time.Interval, units: tuple[int, str] | None
) -> None:
    assert time.calendar_units(every) == units


def test_a_datetime_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        time.from_datetime(datetime(2026, 1, 1))


def test_a_datetime_and_its_stamp_agree_to_the_microsecond() -> None:
    moment = datetime(2026, 9, 25, 17, 48, 26, 844359, tzinfo=UTC)
    assert time.to_datetime(time.from_datetime(moment)) == moment
    assert time.to_datetime(1_790_358_506_844_359_566) == moment
