"""Memory does not grow, whatever breaks and however slow a subscriber is."""

from __future__ import annotations

import pytest

from tests import soak


@pytest.mark.skipif(not soak.STATM.exists(), reason="this system does not say what a process weighs in /proc")
def test_memory_stays_flat_through_outages_and_behind_a_slow_subscriber() -> None:
    soaked = soak.soaked(6.0)
    assert soaked.complaints == []
    assert soaked.connections > 3
    assert soaked.events > 2_000
    assert soaked.conflated > 20 * soaked.shown, "no flood"
    assert soaked.growth < 4 * 2**20, str(soaked)
