"""The waits double, stop at the cap, and are spread by a seeded generator."""

from __future__ import annotations

from itertools import islice
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtflow.backoff import backoff


def test_without_jitter_the_waits_double_up_to_the_cap() -> None:
    assert list(islice(backoff(jitter=None), 10)) == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


@given(st.integers())
def test_full_jitter_stays_between_zero_and_the_bound(seed: int) -> None:
    spread = islice(backoff(random=Random(seed)), 10)
    assert all(0 <= wait <= bound for wait, bound in zip(spread, backoff(jitter=None), strict=False))


def test_the_same_seed_waits_the_same() -> None:
    first, again = (list(islice(backoff(random=Random(7)), 5)) for _ in range(2))
    assert first == again
    assert first != list(islice(backoff(random=Random(8)), 5))


def test_a_thousand_retries_do_not_overflow() -> None:
    assert next(islice(backoff(jitter=None), 5000, None)) == 60.0


def test_an_unseeded_backoff_draws_its_own() -> None:
    assert 0 <= next(backoff()) <= 1


@pytest.mark.parametrize(("base", "cap"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (float("nan"), 1.0)])
def test_a_wait_is_positive_and_below_its_cap(base: float, cap: float) -> None:
    with pytest.raises(ValueError, match="0 < base <= cap"):
        backoff(base, cap)


@pytest.mark.parametrize("jitter", ["half", "", True])
def test_another_word_for_jitter_is_refused(jitter: Any) -> None:
    with pytest.raises(ValueError, match="jitter is 'full' or None, not "):
        backoff(jitter=jitter)


def test_full_jitter_is_uniform_from_zero_to_the_bound() -> None:
    drawn, random = islice(backoff(random=Random(7)), 5), Random(7)
    assert list(drawn) == [random.uniform(0.0, bound) for bound in (1.0, 2.0, 4.0, 8.0, 16.0)]


def test_a_base_at_the_cap_waits_the_same_every_time() -> None:
    assert list(islice(backoff(2.0, 2.0, jitter=None), 3)) == [2.0, 2.0, 2.0]
