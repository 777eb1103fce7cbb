"""The table of symbols and tokens, from any path or URL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from rtflow.errors import Unsupported
from rtflow.instruments import Instruments
from tests.fuzz import broken

# as the venue publishes it, a few rows of some hundred thousand
ROWS: list[dict[str, str]] = [
    {
        "token": "99926000",
        "symbol": "Nifty 50",
        "name": "NIFTY",
        "expiry": "",
        "strike": "0.000000",
        "lotsize": "1",
        "instrumenttype": "AMXIDX",
        "exch_seg": "NSE",
        "tick_size": "0.000000",
    },
    {
        "token": "3045",
        "symbol": "SBIN-EQ",
        "name": "SBIN",
        "expiry": "",
        "strike": "-1.000000",
        "lotsize": "1",
        "instrumenttype": "",
        "exch_seg": "NSE",
        "tick_size": "5.000000",
    },
    {
        "token": "53001",
        "symbol": "NIFTY28AUG25FUT",
        "name": "NIFTY",
        "expiry": "28AUG2025",
        "strike": "-1.000000",
        "lotsize": "75",
        "instrumenttype": "FUTIDX",
        "exch_seg": "NFO",
        "tick_size": "5.000000",
    },
]


def row(symbol: str, exchange: str, token: str) -> dict[str, str]:
    return ROWS[1] | {"symbol": symbol, "exch_seg": exchange, "token": token}


def table(*rows: object) -> Instruments:
    return Instruments.parse(json.dumps(rows).encode())


def test_a_symbol_has_an_address_and_an_address_its_symbol() -> None:
    instruments = table(*ROWS)
    assert len(instruments) == 3
    assert instruments.left_out == 0
    for symbol, address in {
        "Nifty 50": ("nse_cm", "99926000"),
        "SBIN-EQ": ("nse_cm", "3045"),
        "NIFTY28AUG25FUT": ("nse_fo", "53001"),
    }.items():
        assert symbol in instruments
        assert instruments.address(symbol) == address
        assert instruments.symbol(*address) == symbol
    assert instruments.symbol("bse_cm", "3045") is None
    assert repr(instruments) == "<Instruments: 3>"


def test_every_exchange_that_has_a_stream_is_known_by_its_streams_name() -> None:
    names = {"NSE": "nse_cm", "NFO": "nse_fo", "BSE": "bse_cm", "BFO": "bse_fo", "MCX": "mcx_fo"}
    names |= {"NCDEX": "ncx_fo", "CDS": "cde_fo"}
    instruments = table(*[row(f"on {exchange}", exchange, "7") for exchange in names])
    assert {exchange: instruments.address(f"on {exchange}")[0] for exchange in names} == names


def test_a_symbol_of_two_exchanges_names_neither() -> None:
    instruments = table(row("GOLD", "MCX", "1"), row("GOLD", "BSE", "2"), row("TCS", "BSE", "3"))
    with pytest.raises(Unsupported, match="'GOLD' names 2 instruments; say which of bse_cm:2, mcx_fo:1"):
        instruments.address("GOLD")
    assert "GOLD" not in instruments
    assert instruments.symbol("mcx_fo", "1") is None
    assert instruments.symbol("bse_cm", "3") == "TCS"


def test_a_row_that_comes_twice_is_one_instrument() -> None:
    assert table(ROWS[1], ROWS[1]).address("SBIN-EQ") == ("nse_cm", "3045")


def test_what_is_not_listed_has_no_address() -> None:
    with pytest.raises(Unsupported, match="no instrument is called 'SBIN'"):
        table(*ROWS).address("SBIN")
    assert 5 not in table(*ROWS)


def test_rows_that_cannot_be_read_or_streamed_are_counted_and_cost_no_others() -> None:
    no_token: dict[str, Any] = {"symbol": "X", "exch_seg": "NSE"}
    instruments = table(ROWS[0], 5, no_token, row("Y", "NCO", "8"), row("Z", "NSE", ""), ROWS[2])
    assert len(instruments) == 2
    assert instruments.left_out == 4


@pytest.mark.parametrize("document", [b"", b"{}", b"[", b"<html>", b"\xff", b"[" * 100_000])
def test_what_is_no_instrument_file_is_a_value_error(document: bytes) -> None:
    with pytest.raises(ValueError, match="not an instrument file"):
        Instruments.parse(document)


@settings(max_examples=200)
@given(broken([json.dumps(ROWS).encode()]) | st.binary())
def test_any_document_is_a_table_or_a_value_error(document: bytes) -> None:
    try:
        instruments = Instruments.parse(document)
    except ValueError:
        return
    assert len(instruments) <= 3


def test_it_is_read_from_any_path(tmp_path: Path) -> None:
    path = tmp_path / "instruments.json"
    path.write_text(json.dumps(ROWS))
    assert len(Instruments.read(path)) == len(Instruments.read(str(path))) == 3
    with pytest.raises(FileNotFoundError):
        Instruments.read(tmp_path / "none.json")


@pytest.mark.parametrize("url", ["https://example.org/instruments.json", "http://127.0.0.1:1/x"])
def test_it_is_read_from_any_url(mocker: MockerFixture, url: str) -> None:
    answer = MagicMock()
    answer.__enter__.return_value.read.return_value = json.dumps(ROWS).encode()
    asked = mocker.patch("urllib.request.urlopen", return_value=answer)
    assert len(Instruments.read(url, timeout=5.0)) == 3
    asked.assert_called_once_with(url, timeout=5.0)
