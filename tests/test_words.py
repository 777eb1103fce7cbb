"""What is said of the line is said once, with a colon before the reason."""

from __future__ import annotations

import pytest

from rtflow.events import Status
from rtflow.words import because, words_of


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status("open", 0), "open"),
        (Status("closed", 0, "the line ended"), "closed: the line ended"),
        (Status("authenticated", 0, "Authenticated"), "authenticated"),
        (Status("subscribed", 0, symbol="A/B", kind="trades"), "subscribed trades A/B"),
        (Status("retrying", 0, "gone", attempt=1, wait=0.07), "retrying attempt 1 in 0.07 s: gone"),
        (Status("rejected", 0, "no such pair A/B", "A/B", "trades"), "rejected trades A/B: no such pair"),
        (Status("rejected", 0, "unknown: A/B", "A/B"), "rejected A/B: unknown"),
        (Status("rejected", 0, "A/B", "A/B"), "rejected A/B"),
        (Status("venue", 0, "no CAT", "AT"), "venue AT: no CAT"),
    ],
)
def test_no_word_is_said_twice(status: Status, words: str) -> None:
    assert words_of(status) == words


def test_where_no_reason_is_known_there_is_no_colon() -> None:
    assert because("closed", "") == "closed"
    assert because("closed", "1006") == "closed: 1006"
