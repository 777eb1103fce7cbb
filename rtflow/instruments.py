"""Which symbol is which token: the instrument file of Angel One as a table.

The venue publishes one JSON document with every instrument, anew each morning:
https://margincalculator.angelone.in/OpenAPI_File/files/OpenAPIScripMaster.json. On its socket an instrument
is a number and the exchange it is listed on; this table is how people get to say ``SBIN-EQ`` instead. Reading
opens a file or a URL; the rest is plain data.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TypeAlias

import msgspec

from rtflow.errors import Unsupported

Address: TypeAlias = tuple[str, str]
"""Exchange and token, as ``("nse_cm", "3045")``: what the venue knows an instrument by."""

EXCHANGES = {
    "NSE": "nse_cm",
    "NFO": "nse_fo",
    "BSE": "bse_cm",
    "BFO": "bse_fo",
    "MCX": "mcx_fo",
    "NCDEX": "ncx_fo",
    "CDS": "cde_fo",
}
"""An exchange's name in the file, and on the socket."""
_WEB = ("http://", "https://")


class Instruments:
    """Symbols and their addresses, both ways.

    ``rows`` are symbols with their addresses. One symbol may be listed on several exchanges; then it names
    none of them, and each is spelled by its address.

    >>> gold = [("GOLD", ("mcx_fo", "1")), ("GOLD", ("bse_cm", "2"))]
    >>> table = Instruments([("SBIN-EQ", ("nse_cm", "3045")), *gold])
    >>> table.address("SBIN-EQ"), table.symbol("nse_cm", "3045")
    (('nse_cm', '3045'), 'SBIN-EQ')
    >>> table.symbol("mcx_fo", "1"), "GOLD" in table, len(table)
    (None, False, 3)
    """

    def __init__(self, rows: Iterable[tuple[str, Address]], *, left_out: int = 0) -> None:
        self._addresses: dict[str, list[Address]] = {}
        self._symbols: dict[Address, str] = {}
        self.left_out = left_out
        """How many rows of the document are not here: of exchanges without a stream, or not readable."""
        for symbol, address in rows:
            if address not in self._symbols:  # a row that comes twice is one instrument
                self._symbols[address] = symbol
                self._addresses.setdefault(symbol, []).append(address)

    @classmethod
    def read(cls, source: str | PathLike[str], *, timeout: float = 30.0) -> Instruments:
        """The table of the document at ``source``: a path, or an ``http`` or ``https`` URL.

        Raises OSError where nothing can be read there within ``timeout`` seconds, ValueError for what is no
        instrument file.
        """
        if isinstance(source, str) and source.startswith(_WEB):
            with urllib.request.urlopen(source, timeout=timeout) as answer:
                document = answer.read()
        else:
            document = Path(source).read_bytes()
        return cls.parse(document)

    @classmethod
    def parse(cls, document: bytes) -> Instruments:
        """The table that ``document`` describes.

        >>> table = Instruments.parse(
        ...     b'[{"token":"3045","symbol":"SBIN-EQ","name":"SBIN","expiry":"","strike":"-1.000000",'
        ...     b'"lotsize":"1","instrumenttype":"","exch_seg":"NSE","tick_size":"5.000000"}]'
        ... )
        >>> table.address("SBIN-EQ")
        ('nse_cm', '3045')

        Raises ValueError for what is no JSON array.
        """
        try:
            try:
                rows = _read_rows(document)
            except msgspec.ValidationError:  # some row is not like the others
                rows = [row for row in map(_row, _read_raw(document)) if row is not None]
            count = len(_read_raw(document))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"not an instrument file: {error}") from error
        here = [
            (row.symbol, (EXCHANGES[row.exch_seg], row.token))
            for row in rows
            if row.exch_seg in EXCHANGES and row.symbol and row.token
        ]
        return cls(here, left_out=count - len(here))

    def address(self, symbol: str, exchange: str | None = None) -> Address:
        """Where ``symbol`` is listed; with an ``exchange``, there.

        Raises Unsupported for a symbol that is not in the table, and for one that names several instruments.
        """
        addresses = [each for each in self._addresses.get(symbol, []) if exchange in (None, each[0])]
        if not addresses:
            raise Unsupported(f"no instrument is called {symbol!r}; symbols are spelled as in the file")
        if len(addresses) > 1:
            spelled = ", ".join(map(":".join, sorted(addresses)))
            raise Unsupported(f"{symbol!r} names {len(addresses)} instruments; say which of {spelled}")
        return addresses[0]

    def symbol(self, exchange: str, token: str) -> str | None:
        """What the instrument at this address is called; None where no symbol names it alone."""
        symbol = self._symbols.get((exchange, token))
        return symbol if symbol is not None and symbol in self else None

    def __contains__(self, symbol: object) -> bool:
        return isinstance(symbol, str) and len(self._addresses.get(symbol, ())) == 1

    def __len__(self) -> int:
        return len(self._symbols)

    def __repr__(self) -> str:
        return f"<Instruments: {len(self)}>"


# {"token":"3045","symbol":"SBIN-EQ","name":"SBIN","expiry":"","strike":"-1.000000","lotsize":"1",
#  "instrumenttype":"","exch_seg":"NSE","tick_size":"5.000000"}
class _Row(msgspec.Struct, gc=False):
    token: str
    symbol: str
    exch_seg: str


_read_rows = msgspec.json.Decoder(list[_Row]).decode
_read_raw = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_row = msgspec.json.Decoder(_Row).decode


def _row(raw: msgspec.Raw) -> _Row | None:
    """One row; None for what is none."""
    try:
        return _read_row(raw)
    except msgspec.ValidationError:
        return None
