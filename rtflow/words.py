"""What a Status says, in words: once, and with a colon before the reason."""

from __future__ import annotations

from rtflow.events import Status


def because(what: str, reason: str) -> str:
    """What happened, and why, where that is known.

    >>> because("closed", "1006"), because("closed", "")
    ('closed: 1006', 'closed')
    """
    return f"{what}: {reason}" if reason else what


def words_of(status: Status) -> str:
    """One Status as a person would put it, without its time.

    >>> words_of(Status("retrying", 0, "the host is gone", attempt=1, wait=0.07))
    'retrying attempt 1 in 0.07 s: the host is gone'
    >>> words_of(Status("rejected", 0, "Currency pair not supported A/B", symbol="A/B", kind="trades"))
    'rejected trades A/B: Currency pair not supported'
    >>> words_of(Status("authenticated", 0, "authenticated"))
    'authenticated'
    """
    attempt = f"attempt {status.attempt} in {status.wait:.2f} s" if status.attempt else ""
    what = " ".join(part for part in (status.state, attempt, status.kind, status.symbol) if part)
    text = without_symbol(status)
    return because(what, "" if text.casefold() == status.state else text)


def without_symbol(status: Status) -> str:
    """The text of a Status, without the symbol behind it, which is named already."""
    before, _, last = status.text.rpartition(" ")
    return before.rstrip(":") if last and last == status.symbol else status.text
