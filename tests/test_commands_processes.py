"""The command as a process: Ctrl-C, SIGTERM, kill -9, and a pipe whose reader has gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rtflow import tape as tapes
from rtflow.twin import Twin

PATIENCE = 20.0  # seconds
COMMAND = [sys.executable, "-c", "from rtflow.cli import main; main()"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Twin("kraken", rate=8.0, warmup=1.0) as running:
        yield running


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command; killed if the block fails, so that no test hangs."""
    pipe = subprocess.PIPE
    with subprocess.Popen([*COMMAND, *arguments], stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def until(stream: object, words: str) -> None:
    """Read on until a line has ``words`` in it."""
    assert hasattr(stream, "readline")
    while words not in (line := stream.readline()):
        assert line, "it ended before"


def test_a_twin_and_its_stream_end_cleanly_at_ctrl_c() -> None:
    with started("twin", "kraken") as served:
        assert served.stdout is not None
        url = served.stdout.readline().strip()
        with started("stream", "kraken", "-s", "BTC/USD", "--url", url) as process:
            until(process.stdout, "Trade")
            os.kill(process.pid, signal.SIGINT)
            code, _, err = ended(process)
            assert (code, err) == (0, "")
        os.kill(served.pid, signal.SIGINT)
        code, _, err = ended(served)
    assert (code, err) == (0, "")


def test_who_reads_the_first_lines_only_is_no_error(twin: Twin) -> None:
    with started("stream", "kraken", "-s", "BTC/USD", "--url", twin.url, "--json") as process:
        assert process.stdout is not None
        until(process.stdout, "Trade")
        process.stdout.close()
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait(PATIENCE)) == ("", 0)


def test_who_reads_nothing_at_all_is_no_error_either() -> None:
    with started("providers") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait(PATIENCE)) == ("", 0)


def test_a_recording_that_is_killed_has_what_was_received(twin: Twin, tmp_path: Path) -> None:
    path = tmp_path / "killed.tape"
    with started("record", "kraken", str(path), "-s", "BTC/USD", "--url", twin.url, "--book") as process:
        until(process.stderr, "subscribed books BTC/USD")
        while not path.exists() or path.stat().st_size < 1_000:
            assert process.poll() is None
        process.kill()
        process.wait(PATIENCE)
    frames = list(tapes.read(path))
    assert len(frames) > 3
    assert b"BTC/USD" in frames[-1].payload, "the last block is whole"


def test_a_recording_that_a_service_manager_ends_is_whole(twin: Twin, tmp_path: Path) -> None:
    path = tmp_path / "ended.tape"
    with started("record", "kraken", str(path), "-s", "BTC/USD", "--url", twin.url) as process:
        until(process.stderr, "subscribed trades BTC/USD")
        os.kill(process.pid, signal.SIGTERM)
        code, _, err = ended(process)
    assert code == 0
    assert f"{len(list(tapes.read(path)))} frames" in err
