"""A line of text says what happens when, to the nanosecond, and can be read back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtflow.marbles import Mark, duration, misread, read, span, write
from rtflow.time import SECOND


def test_dashes_and_durations_pass_and_names_take_no_time() -> None:
    line = read("--a 7ns b--c(1, x y)  1.5ms |", every=timedelta(seconds=1))
    assert line.marks == (
        Mark(2 * SECOND, "a", (), 2),
        Mark(2 * SECOND + 7, "b", (), 8),
        Mark(4 * SECOND + 7, "c", ("1", "x y"), 11),
        Mark(4 * SECOND + 7 + 1_500_000, "|", (), 28),
    )
    assert line.length == line.marks[-1].at


def test_what_is_left_at_the_end_belongs_to_the_line() -> None:
    assert read("a--", every=1).length == 2 * SECOND
    assert read("", every=1) == ("", (), 0)


def test_empty_parentheses_say_nothing() -> None:
    assert read("a()b( )").marks == (Mark(0, "a", (), 0), Mark(0, "b", (), 3))


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("--a--?--", 5, "neither a dash"),
        ("--3--", 2, "neither a dash"),
        ("--3x--", 2, "neither a dash"),
        ("a(1", 1, "neither a dash"),
        ("a(1(2))", 1, "neither a dash"),
        ("--a|--", 3, "no time passes"),
        ("--a| b", 5, "nothing comes behind"),
        ("#|", 1, "nothing comes behind"),
        ("0.5ns", 0, "a whole number of ns"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text: str, place: int, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        read(text)
    assert f"at character {place + 1}:\n    {text}\n    {' ' * place}^" in str(caught.value)


def test_a_dash_takes_some_time() -> None:
    with pytest.raises(ValueError, match="takes some time, not 0"):
        read("--", every=0)


def test_a_span_is_a_number_and_a_unit() -> None:
    assert (span("2s"), span("1.5ms"), span("3us"), span("7ns")) == (2 * SECOND, 1_500_000, 3_000, 7)
    assert span("2") is span("s") is span("1.5ns") is span("2m") is span("") is None


@given(st.integers(0, 2**62))
def test_a_duration_is_read_as_it_was_written(length: int) -> None:
    assert span(duration(length)) == length


def test_a_complaint_shows_the_place() -> None:
    assert str(misread("ab", 1, "no")) == "no, at character 2:\n    ab\n     ^"


@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(0, 20).map(lambda steps: steps * SECOND), st.integers(0, 2**50)),
            st.from_regex(r"[a-z]\w*", fullmatch=True),
        ),
        max_size=12,
    ),
    st.sampled_from(["|", "#", ""]),
)
def test_what_was_written_is_read_again(steps: list[tuple[int, str]], end: str) -> None:
    at, marks = 0, []
    for elapsed, name in steps:
        at += elapsed
        marks.append((at, name))
    if end:
        marks.append((at, end))
    text = write(marks, every=1)
    assert [(mark.at, mark.name) for mark in read(text, every=1).marks] == marks
