"""Every Python block of the README runs, in order, against a twin where it names a venue."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import reactivex
from reactivex import Observable

import rtflow
from rtflow import comparison
from rtflow import operators as op
from rtflow.events import Frame, FrameKind, Malformed, Side, Trade
from rtflow.provider import Subscription
from rtflow.providers import Kraken
from rtflow.twin import Twin

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def block(words: str) -> str:
    """The one block that holds ``words``."""
    (found,) = [each for each in BLOCKS if words in each]
    return str(found)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Path]:
    """An empty folder to work in."""
    with chdir(tmp_path):
        yield tmp_path


def run(*blocks: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "readme"}
    for each in blocks:
        exec(compile(each, "README.md", "exec"), names)
    return names


def test_the_first_screen_has_the_two_commands_that_work_alone() -> None:
    first_screen = README[: README.index("## A pipeline")]
    for extra, command in (("cli", "rtflow demo"), ("dev", "pytest")):
        line = f"python3 -m venv .venv && .venv/bin/pip install -e '.[{extra}]' && .venv/bin/{command}"
        assert line in first_screen
    if os.name != "nt":
        ci = (Path(__file__).parent.parent / ".ci" / "run").read_text("utf-8")
        assert "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/pytest\n" in ci


def test_the_table_of_venues_is_what_the_providers_declare() -> None:
    assert comparison.markdown() in README, "rtflow providers --markdown"


def missing_from(script: str, *beginnings: str) -> set[str]:
    """Which of ``beginnings`` no line had that ``script`` printed, with Kraken's twin for Kraken."""
    with Twin("kraken", seed=1, symbols=["BTC/USD", "ETH/USD"]) as twin:
        at_the_twin = (
            "import functools, rtflow.providers as venues\n"
            f"venues.Kraken = functools.partial(venues.Kraken, url={twin.url!r})\n"
        )
        command = [sys.executable, "-u", "-c", at_the_twin + script]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            missing = {*beginnings}
            while missing and (line := process.stdout.readline()):
                missing = {each for each in missing if not line.startswith(each)}
            process.terminate()
    return missing


def test_the_pipeline_of_ten_lines_prints_trades_bars_and_books() -> None:
    assert not missing_from(block("feed.line.join()"), "Trade(", "Bar(", "<BookState ")


def test_the_engine_calls_back() -> None:
    imports = "import rtflow\nfrom rtflow.providers import Kraken\n"
    assert not missing_from(imports + block("engine.join()"), "BTC/USD ", "ETH/USD ", "Bar(")


def test_the_same_pipeline_records_and_replays(there: Path) -> None:
    names = {"rtflow": rtflow, "op": op, "feed": rtflow.connect(Kraken(), trades=["BTC/USD"])}
    exec(compile(block("monday.tape"), "README.md", "exec"), names)
    assert isinstance(names["frames"], Observable)


def test_a_minute_passes_in_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    run("from rtflow import operators as op", block("advance_by(60)"))
    assert capsys.readouterr().out.startswith("Bar(symbol='BTC/USD', start=0, end=60000000000, open=100.0")


def test_the_venue_of_one_page_works() -> None:
    ticks = run(block("class Ticks:"))["Ticks"]()
    session = ticks.session(Subscription.of(trades=["A"]))
    assert list(session.opened()) == ['{"subscribe": "A"}']
    kernel = op.normalize(ticks).kernel()
    good = Frame(FrameKind.TEXT, b'{"symbol": "A", "price": 1.5, "size": 2, "ts": 3}', ts_recv=4)
    bad = Frame(FrameKind.TEXT, b'{"symbol": "A"}', ts_recv=5)
    assert list(kernel.push(good))[-1] == Trade("A", 3, 4, 1.5, 2.0, venue="ticks")
    assert isinstance(list(kernel.push(bad))[-1], Malformed)


def test_the_operator_of_one_page_works() -> None:
    names = run(block("class Signed(Kernel"))
    trades = [Trade("A", 0, 0, 1.0, 2.0, Side.BUY), Trade("A", 0, 0, 1.0, 0.5, Side.SELL)]
    sums: list[float] = []
    reactivex.from_iterable(trades).pipe(op.by_symbol(names["signed_volume"])).subscribe(sums.append)
    assert sums == [2.0, 1.5]
    fresh = names["signed_volume"].kernel()
    fresh.restore(1.5)
    assert fresh.state() == 1.5
