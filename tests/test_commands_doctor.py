"""The doctor says what is there, what is missing and what to do about it, and never shows a key."""

from __future__ import annotations

import ssl
import urllib.error
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest
from pytest_mock import MockerFixture
from rich.console import Console
from typer.testing import CliRunner

from rtflow.commands import app
from rtflow.commands._doctor import Finding, _date_of, _first_kind, _print, _unreachable
from rtflow.providers import Kraken, Polygon
from rtflow.twin import Twin
from tests.watching import left_over

KEYS = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "MASSIVE_API_KEY", "POLYGON_API_KEY", "IBKR_SESSION")
NONE = dict.fromkeys(KEYS, "")


def examined(*arguments: object, code: int = 0, **environ: str) -> dict[str, str]:
    """What it says, by what it is about, with the mark in front."""
    result = CliRunner().invoke(app, ["doctor", *map(str, arguments)], env=NONE | {"TERM": "dumb"} | environ)
    assert result.exit_code == code, (result.output, result.exception)
    assert left_over() == []
    return {line[9:27].strip(): f"{line[:8].strip()}: {line[28:]}" for line in result.stdout.splitlines()}


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Twin("kraken", rate=8.0, warmup=1.0) as running:
        yield running


def test_it_looks_at_this_machine_and_at_every_key() -> None:
    said = examined(
        APCA_API_KEY_ID="planted", APCA_API_SECRET_KEY="planted", HTTPS_PROXY="http://u:p@gate:3128"
    )
    assert said["rtflow"].startswith("ok: 0.")
    assert "reactivex 6." in said["packages"]
    assert said["TLS"].startswith("ok: ")
    assert said["alpaca"] == "ok: key by APCA_API_KEY_ID, APCA_API_SECRET_KEY"
    assert said["kraken"] == "ok: no key needed"
    assert said["ibkr"] == "ok: no key set, none needed"
    assert said["polygon"].startswith("missing: set MASSIVE_API_KEY or POLYGON_API_KEY; or each with _FILE")
    assert said["HTTPS_PROXY"] == "ok: connections go by gate"


def test_what_is_not_installed_is_optional_and_not_wrong(mocker: MockerFixture) -> None:
    mocker.patch.dict(
        "rtflow.commands._doctor._WANTED", {"no-such-package": ("cache", "Parquet")}, clear=True
    )
    assert examined()["no-such-package"] == "optional: pip install 'rtflow[cache]' for Parquet"


def test_a_key_that_cannot_be_read_is_wrong() -> None:
    said = examined(MASSIVE_API_KEY_FILE="/not/there", code=1)
    assert said["polygon"].startswith("failed: MASSIVE_API_KEY_FILE names /not/there, which cannot be read")


def test_without_root_certificates_no_venue_can_be_believed(mocker: MockerFixture) -> None:
    context = mocker.patch("rtflow.commands._doctor.ssl.create_default_context")
    context.return_value.cert_store_stats.return_value = {"x509_ca": 0}
    paths = mocker.patch("rtflow.commands._doctor.ssl.get_default_verify_paths").return_value
    paths.cafile = paths.capath = None
    assert "SSL_CERT_FILE" in examined(code=1)["TLS"]
    paths.capath = "/etc/ssl/certs"
    assert examined()["TLS"].startswith("ok: OpenSSL")


def test_a_venue_is_asked_for_its_clock_its_door_and_its_data(twin: Twin) -> None:
    said = examined("kraken", "--url", twin.url, "-s", "BTC/USD")
    assert said["way there"].endswith("speaks unencrypted: for a twin, fine")
    assert said["clock"].startswith("ok: ours and theirs agree")
    assert said["feed"] == "ok: kraken lets us in"
    assert said["data"].startswith("ok: at best ")
    assert "alpaca" not in said, "who was not named is not looked at"


def test_without_symbols_the_door_is_all(twin: Twin) -> None:
    assert {"feed"} <= {*examined("kraken", "--url", twin.url)} - {"data"}


def test_a_symbol_that_is_refused_is_named(twin: Twin) -> None:
    said = examined("kraken", "--url", twin.url, "-s", "NO/PE", code=1)
    assert said["symbol"].startswith("failed: kraken refuses NO/PE: ")


def test_silence_is_missing_data() -> None:
    with Twin("kraken", pace=0.0, warmup=1.0) as still:
        said = examined("kraken", "--url", still.url, "-s", "BTC/USD", "--timeout", 0.3)
    assert said["data"] == "missing: none within 0.3 s: is the market open, the symbol right?"


def test_a_key_that_is_refused_is_wrong() -> None:
    with Twin("alpaca", warmup=1.0, keys={"right": "secret"}) as twin:
        keys = {"APCA_API_KEY_ID": "wrong", "APCA_API_SECRET_KEY": "planted"}
        said = examined("alpaca", "--url", twin.url, "-s", "AAPL", code=1, **keys)
    assert said["feed"].startswith("failed: the venue refused us: 402")
    assert "planted" not in str(said)


def test_nobody_there_is_wrong() -> None:
    said = examined("kraken", "--url", "ws://127.0.0.1:1", "-s", "BTC/USD", code=1)
    assert said["way there"].startswith("failed: 127.0.0.1:1 cannot be reached (Connection refused): check")
    assert said["feed"].startswith("failed: the line failed: 127.0.0.1:1 refused the connection")


def test_a_venue_whose_key_is_missing_is_not_contacted() -> None:
    said = examined("polygon", "-s", "AAPL", code=3)
    assert said["polygon"].startswith("missing: ")
    assert "way there" not in said


def test_a_venue_that_needs_no_key_ends_well_and_one_that_needs_one_says_so_to_the_shell(twin: Twin) -> None:
    examined("alpaca", code=3)
    examined("kraken", "--url", twin.url)


def test_a_machine_that_is_broken_goes_before_a_key_that_is_missing(mocker: MockerFixture) -> None:
    broken = Finding("failed", "TLS", "no root certificates")
    mocker.patch("rtflow.commands._doctor._authorities", return_value=broken)
    examined("alpaca", code=1)


def test_what_a_venue_cannot_serve_is_wrong_before_it_is_contacted() -> None:
    assert "spells symbols as in 'BTCUSDT'" in examined("binance", "-s", "btc", code=1)["binance"]
    assert "has one feed only" in examined("kraken", "--feed", "x", code=1)["kraken"]


@pytest.mark.parametrize(
    ("ahead", "words"),
    [(-100, "ok: ours and theirs agree"), (60, "failed: ours is 60 s behind"), (-60, "failed: ours is 5")],
)
def test_a_clock_that_is_off_is_wrong(ahead: int, words: str, twin: Twin, mocker: MockerFixture) -> None:
    now = 1_790_358_506.0
    mocker.patch("rtflow.commands._doctor.time.time", return_value=now)
    mocker.patch("rtflow.commands._doctor._date_of", return_value=now + (0 if ahead == -100 else ahead))
    said = examined("kraken", "--url", twin.url, code=0 if ahead == -100 else 1)
    assert said["clock"].startswith(words)


def test_who_does_not_say_the_time_is_not_wrong(twin: Twin, mocker: MockerFixture) -> None:
    mocker.patch("rtflow.commands._doctor._date_of", return_value=None)
    assert examined("kraken", "--url", twin.url)["clock"].startswith("missing: 127.0.0.1")


class _Answer:
    """What an opener gives."""

    def __init__(self, date: str) -> None:
        self.headers = {"Date": date}

    def __enter__(self) -> _Answer:
        return self

    def __exit__(self, *_: object) -> None:
        return None


@pytest.mark.parametrize(("date", "stamp"), [(formatdate(5, usegmt=True), 5.0), ("", None), ("noon", None)])
def test_the_date_of_any_answer_will_do(date: str, stamp: float | None, mocker: MockerFixture) -> None:
    opener = mocker.patch("rtflow.commands._doctor.urllib.request.build_opener").return_value
    opener.open.return_value = _Answer(date)
    assert _date_of("https://venue.example/", 1.0, ssl.create_default_context()) == stamp


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError("the network is down"), "(the network is down)"),
        (urllib.error.URLError("no host given"), "(no host given)"),
        (urllib.error.URLError(ConnectionRefusedError(111, "Connection refused")), "(Connection refused)"),
    ],
)
def test_why_it_cannot_be_reached(error: OSError, words: str) -> None:
    assert words in _unreachable("venue.example", error)


def test_a_certificate_that_does_not_convince_says_what_to_do() -> None:
    error: Any = ssl.SSLCertVerificationError("self-signed certificate")
    error.verify_message = "self-signed certificate"
    said = _unreachable("localhost:5000", urllib.error.URLError(error))
    assert "does not convince us (self-signed certificate)" in said
    assert "IBKR_CERTIFICATE" in said


def test_on_a_terminal_long_lines_stay_in_their_column(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(force_terminal=True, width=60, color_system=None)
    _print(console, Finding("missing", "polygon", "set " + ", ".join(["MASSIVE_API_KEY"] * 4)))
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("missing  polygon            set MASSIVE")
    assert rest
    assert all(line.startswith(" " * 28) and len(line) <= 60 for line in rest)


def test_what_is_asked_for_is_what_the_feed_has() -> None:
    assert _first_kind(Kraken()) == "trades"
    assert _first_kind(Polygon("key", cluster="indices")) != "trades"
