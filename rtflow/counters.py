"""Counters: plain numbers that a pipeline keeps and anyone may read at any time."""

from __future__ import annotations


class Counters(dict[str, int]):
    """Counts by name; a name nobody has counted yet is 0.

    Each name has one writer, so no lock is needed and a read never blocks the pipeline.

    >>> counters = Counters()
    >>> counters.add("malformed")
    >>> counters["malformed"], counters["late"]
    (1, 0)
    """

    def __missing__(self, name: str) -> int:
        return 0

    def add(self, name: str, count: int = 1) -> None:
        """Count ``name`` up by ``count``."""
        self[name] = self[name] + count
