"""What a lifted operator costs per item, beside reactivex's map in the same run.

pytest tests/bench/test_kernel_bench.py --benchmark-only --benchmark-group-by=group
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import reactivex
from pytest_benchmark.fixture import BenchmarkFixture
from reactivex import Observable, abc
from reactivex import operators as ops
from reactivex.disposable import Disposable

from rtflow.kernel import Kernel, lift

ITEMS = 20_000


class Pass(Kernel[int, int]):
    """Says what it hears."""

    def push(self, item: int) -> Iterable[int]:
        return (item,)


class TimedPass(Pass):
    """The same, asked for its timer after each item."""

    def due(self) -> int | None:
        return None


def twenty_thousand(
    observer: abc.ObserverBase[int], _: abc.SchedulerBase | None = None
) -> abc.DisposableBase:
    push = observer.on_next
    for item in range(ITEMS):
        push(item)
    return Disposable()


@pytest.mark.benchmark(group="20,000 items through one operator")
@pytest.mark.parametrize(
    "operator",
    [
        pytest.param(lambda source: source, id="no operator"),
        pytest.param(ops.map(lambda item: item), id="reactivex map"),
        pytest.param(lift(Pass), id="lifted kernel"),
        pytest.param(lift(TimedPass), id="lifted kernel with timers"),
    ],
)
def test_an_operator(
    benchmark: BenchmarkFixture, operator: Callable[[Observable[Any]], Observable[Any]]
) -> None:
    stream = reactivex.create(twenty_thousand).pipe(operator)
    count = [0]

    def run() -> None:
        count[0] = 0
        stream.subscribe(lambda _: count.__setitem__(0, count[0] + 1))

    benchmark(run)
    assert count == [ITEMS]
