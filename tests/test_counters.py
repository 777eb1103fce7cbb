"""Counts by name."""

from __future__ import annotations

from rtflow.counters import Counters


def test_a_name_nobody_counted_is_zero_and_stays_absent() -> None:
    counters = Counters()
    assert counters["late"] == 0
    assert dict(counters) == {}


def test_counts_add_up() -> None:
    counters = Counters(late=1)
    counters.add("late")
    counters.add("late", 3)
    assert counters == {"late": 5}
