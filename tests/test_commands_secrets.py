"""No command and no error shows a key: each is run with planted ones, and all that it says is read."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rtflow.commands import app
from rtflow.twin import Twin

SECRET = "c2VjcmV0LXBsYW50ZWQ="  # base64, as Coinbase's are
VARIABLES = (
    "APCA_API_KEY_ID",
    "APCA_API_SECRET_KEY",
    "SMARTAPI_JWT",
    "SMARTAPI_API_KEY",
    "SMARTAPI_CLIENT_CODE",
    "SMARTAPI_FEED_TOKEN",
    "COINBASE_EXCHANGE_API_KEY",
    "COINBASE_EXCHANGE_API_SECRET",
    "COINBASE_EXCHANGE_PASSPHRASE",
    "IBKR_SESSION",
    "IBKR_OAUTH_TOKEN",
    "IBKR_ACCOUNT",
    "MASSIVE_API_KEY",
)
VENUES: dict[str, tuple[str, dict[str, Any]]] = {
    "alpaca": ("AAPL", {"keys": {}}),
    "angelone": ("nse_cm:3045", {"credentials": {"jwt": "another"}}),
    "coinbase_exchange": ("BTC-USD", {"feed": "exchange", "keys": ()}),
    "ibkr": ("3160094812", {"session": "another"}),
    "polygon": ("AAPL", {"keys": ()}),
}


def said(arguments: list[str], environ: dict[str, str], caplog: pytest.LogCaptureFixture) -> str:
    """All that came of it: both streams, the logs, the exception with its causes."""
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "100", "TERM": "dumb", **environ})
    theirs = "websockets."  # the venue's side of it, which must hear the key
    logged = "".join(f"{each.getMessage()}\n" for each in caplog.records if not each.name.startswith(theirs))
    error = "" if result.exception is None else "".join(traceback.format_exception(result.exception))
    return result.output + error + logged + repr(result.return_value)


def planted(folder: Path, *, by_file: bool) -> dict[str, str]:
    """Every variable set, or its cousin to a file."""
    if not by_file:
        return dict.fromkeys(VARIABLES, SECRET)
    (folder / "secret").write_text(f"{SECRET}\n")
    return {f"{name}_FILE": str(folder / "secret") for name in VARIABLES} | dict.fromkeys(VARIABLES, "")


@pytest.mark.parametrize("by_file", [False, True])
@pytest.mark.parametrize("venue", VENUES)
def test_no_venue_that_refuses_a_key_makes_us_show_it(
    venue: str, by_file: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    environ, tape = planted(tmp_path, by_file=by_file), tmp_path / "a.tape"
    symbol, options = VENUES[venue]
    with Twin(venue.removesuffix("_exchange"), warmup=1.0, **options) as twin:
        asked = [venue, "-s", symbol, "--url", twin.url, "--seconds", "0.2", "--retries", "0"]
        heard = said(["stream", *asked, "--json"], environ, caplog)
        heard += said(["record", venue, str(tape), *asked[1:]], environ, caplog)
        heard += said(["doctor", *asked[:5], "--timeout", "0.2"], environ, caplog)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.name != "secret")
    assert heard
    assert SECRET not in heard
    assert SECRET.encode() not in written


@pytest.mark.parametrize(
    "arguments",
    [
        ["doctor"],
        ["providers"],
        ["stream", "alpaca", "-s", "AAPL", "--feed", "nyse"],
        ["stream", "alpaca", "-s", "AAPL", "--bars", "1 parsec"],
        ["stream", "alpaca", "-s", "AAPL", "--url", f"http://user:{SECRET}@host"],
        [
            "stream",
            "alpaca",
            "-s",
            "AAPL",
            "--url",
            f"wss://user:{SECRET}@127.0.0.1:1/?key={SECRET}",
            "--retries",
            "0",
        ],
        ["stream", "ibkr", "-s", "AAPL"],
        ["stream", "polygon", "-s", "AAPL", "--url", "ws://feed.example"],
        ["stream", "angelone", "-s", "nowhere"],
        ["book", "ibkr", "1", "2"],
        ["doctor", "polygon", "--url", f"wss://user:{SECRET}@127.0.0.1:1/?key={SECRET}"],
    ],
    ids=" ".join,
)
def test_no_mistake_makes_us_show_a_key(
    arguments: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert SECRET not in said(arguments, planted(tmp_path, by_file=False), caplog)


def test_keys_come_from_a_file_beside_us_and_the_environment_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("APCA_API_SECRET_KEY", raising=False)
    (tmp_path / ".env").write_text(f"APCA_API_KEY_ID=other\nAPCA_API_SECRET_KEY='{SECRET}$HOME'\nALONE\n")
    with Twin("alpaca", warmup=1.0, keys={"key": f"{SECRET}$HOME"}) as twin:
        asked = ["stream", "alpaca", "-s", "AAPL", "--url", twin.url, "--seconds", "1.5"]
        heard = said(asked, {"APCA_API_KEY_ID": "key"}, caplog)
    assert "authenticated" in heard, "a dollar in a key is a dollar"
    assert SECRET not in heard


def test_a_file_of_keys_that_is_no_text_is_not_quoted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys"
    path.write_bytes(SECRET.encode() + b"=\xff\n")
    heard = said(["--env-file", str(path), "doctor"], {}, caplog)
    assert "is not UTF-8 text" in heard
    assert SECRET not in heard
