"""backoff: the waits between attempts, as an endless iterator of seconds."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Literal, TypeAlias

Jitter: TypeAlias = Literal["full"] | None


def backoff(
    base: float = 1.0, cap: float = 60.0, jitter: Jitter = "full", random: Random | None = None
) -> Iterator[float]:
    """Seconds to wait before the first, second, … retry: ``min(cap, base * 2**n)``, spread by ``jitter``.

    ``jitter="full"`` draws each wait uniformly from zero to that bound, out of ``random`` (a fresh,
    unseeded generator if none is given), so that many clients which fell together do not come back
    together; ``None`` waits the bound itself. See "Exponential Backoff And Jitter", AWS Architecture Blog,
    2015, for why full jitter.

    >>> from itertools import islice
    >>> list(islice(backoff(jitter=None), 9))
    [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]

    Raises ValueError when ``base`` is not positive, ``cap`` is below ``base`` or ``jitter`` is another word.
    """
    if jitter not in ("full", None):
        raise ValueError(f"jitter is 'full' or None, not {jitter!r}")
    if not 0 < base <= cap:
        raise ValueError(f"backoff wants 0 < base <= cap, got base={base}, cap={cap}")
    return _waits(base, cap, jitter, random or Random())


def _waits(bound: float, cap: float, jitter: Jitter, random: Random) -> Iterator[float]:
    while True:
        yield random.uniform(0.0, bound) if jitter == "full" else bound
        bound = min(cap, bound * 2)  # multiply and cap: 2**n would overflow on a long night
