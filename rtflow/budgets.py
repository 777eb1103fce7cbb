"""Budgets: what a host allows in so many seconds, shared by all feeds of this process that ask it."""

from __future__ import annotations

import threading
from collections import deque

from rtflow.provider import Rate


class Budget:
    """So much within so many seconds, wherever that stretch begins; who comes later waits longer.

    Nothing here knows a clock: ``now`` is any that does not go back, in seconds.

    >>> budget = Budget(Rate(2, 10.0))
    >>> [budget.reserve(1, now) for now in (0.0, 1.0, 2.0, 3.0)]
    [0.0, 0.0, 8.0, 8.0]
    """

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._spent = deque[tuple[float, int]]()  # when, how much; some of it is still to come
        self._total = 0
        self._from = 0.0  # nobody is served before this …
        self._rests_until = 0.0  # … and if it is the host's own word, not even who has a reservation
        self._guard = threading.Lock()

    def reserve(self, amount: int, now: float) -> float:
        """The seconds to wait, after which ``amount`` may be spent.

        More than ``rate.within`` is no reservation: come again then. What is more than all there is counts
        as all there is.
        """
        rate = self._rate
        amount = min(amount, rate.most)
        with self._guard:
            at = max(now, self._from)
            left, total = 0, self._total
            for stamp, spent in self._spent:
                if stamp + rate.within > at and total + amount <= rate.most:
                    break
                at = max(at, stamp + rate.within)
                left, total = left + 1, total - spent
            if at - now <= rate.within:
                for _ in range(left):
                    self._spent.popleft()
                self._spent.append((at, amount))
                self._total = total + amount
                self._from = at
            return at - now

    def rest(self, seconds: float, now: float) -> None:
        """Serve nobody for so long: the host has said that it was too much."""
        with self._guard:
            self._rests_until = max(self._rests_until, now + seconds)
            self._from = max(self._from, self._rests_until)

    def resting(self, now: float) -> float:
        """The seconds for which not even a reservation counts."""
        with self._guard:
            return max(0.0, self._rests_until - now)


class Budgets:
    """The budgets of every host, by what they are for."""

    def __init__(self) -> None:
        self._budgets: dict[tuple[str, str, Rate], Budget] = {}
        self._guard = threading.Lock()

    def of(self, host: str, what: str, rate: Rate) -> Budget:
        """The one budget that all share who ask ``host`` for the same."""
        with self._guard:
            return self._budgets.setdefault((host, what, rate), Budget(rate))


SHARED = Budgets()
"""What all feeds of this process share, unless told otherwise."""
