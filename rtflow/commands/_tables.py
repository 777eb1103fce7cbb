"""Trades from CSV and Parquet, bars to CSV and Parquet; the suffix says which."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from rtflow import time as stamps
from rtflow.commands._failures import Failure
from rtflow.events import Bar, Side, Trade

SUFFIXES = (".csv", ".parquet")
"""What a table's name ends with."""


class Row(msgspec.Struct):
    """One trade as a table has it; more columns than these are left alone."""

    symbol: str
    ts_event: int | str  # ns, or RFC 3339
    price: float
    size: float
    ts_recv: int | str = ""
    side: int | str = ""  # buy or sell, 1 or -1; else unknown
    id: str = ""
    venue: str = ""

    def trade(self) -> Trade:
        """The event."""
        if not (isfinite(self.price) and isfinite(self.size) and self.size >= 0):
            raise ValueError(f"no trade has a price of {self.price:g} and a size of {self.size:g}")
        event = _stamp(self.ts_event)
        received = event if self.ts_recv == "" else _stamp(self.ts_recv)
        side = _SIDES.get(str(self.side).lower(), Side.UNKNOWN)
        return Trade(self.symbol, event, received, self.price, self.size, side, self.id, self.venue)


_NEEDED = ("symbol", "ts_event", "price", "size")
_SIDES = {"buy": Side.BUY, "1": Side.BUY, "sell": Side.SELL, "-1": Side.SELL}


def _stamp(told: int | str) -> int:
    return told if isinstance(told, int) else int(told) if told.isdecimal() else stamps.parse(told)


class Trades:
    """The trades of a table, read once, row by row; ``done`` of ``total`` (bytes or rows) are behind us."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.done = 0
        self._csv = path.suffix == ".csv"
        with _readable(path):
            self._parquet = None if self._csv else _pyarrow(".parquet").ParquetFile(path)
        self.total = path.stat().st_size if self._parquet is None else self._parquet.metadata.num_rows

    def __iter__(self) -> Iterator[Trade]:
        """Raises Failure, with the row's number, for a column or a row that is not as it should be."""
        rows = self._csv_rows() if self._csv else self._parquet_rows()
        for number, row in enumerate(rows, 1):
            try:
                yield msgspec.convert(row, Row, strict=False).trade()
            except ValueError as error:  # msgspec's own error is one
                raise Failure(f"{self._path}, row {number}: {error}") from None

    def _csv_rows(self) -> Iterator[dict[str, str]]:
        with self._path.open("rb") as file:
            reader = csv.DictReader(self._lines(file), strict=True)
            self._check(reader.fieldnames or ())
            for row in reader:
                yield {name: text for name, text in row.items() if name in Row.__struct_fields__ and text}

    def _lines(self, file: Any) -> Iterator[str]:
        for line in file:
            self.done += len(line)
            try:
                yield line.decode("utf-8-sig")
            except UnicodeDecodeError:
                raise Failure(f"{self._path} is not UTF-8 text") from None

    def _parquet_rows(self) -> Iterator[dict[str, Any]]:
        assert self._parquet is not None
        names = self._parquet.schema_arrow.names
        self._check(names)
        columns = [name for name in names if name in Row.__struct_fields__]
        with _readable(self._path):
            for batch in self._parquet.iter_batches(columns=columns):
                for row in _in_nanoseconds(batch).to_pylist():
                    self.done += 1
                    yield {name: value for name, value in row.items() if value is not None}

    def _check(self, names: Any) -> None:
        if missing := [name for name in _NEEDED if name not in names]:
            raise Failure(
                f"{self._path} has no column {', '.join(missing)}; trades need {', '.join(_NEEDED)}"
            )


@contextmanager
def _readable(path: Path) -> Generator[None]:
    """What pyarrow says of a file within the block is said of the file."""
    try:
        yield
    except (ValueError, TypeError, NotImplementedError) as error:  # pyarrow's own errors are these
        raise Failure(f"{path} is no Parquet file that can be read: {error}") from None


def _in_nanoseconds(batch: Any) -> Any:
    """The same rows with stamps as whole numbers."""
    arrow = import_module("pyarrow")
    for index, field in enumerate(batch.schema):
        if arrow.types.is_timestamp(field.type):
            column = batch.column(index).cast(arrow.timestamp("ns", field.type.tz)).cast(arrow.int64())
            batch = batch.set_column(index, field.name, column)
    return batch


COLUMNS = (
    "symbol",
    "start",
    "end",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "count",
    "value",
    "vwap",
    "buy_volume",
    "sell_volume",
    "venue",
    "partial",
    "gap",
)
"""What a file of bars holds; ``start`` and ``end`` are whole nanoseconds, in Parquet as timestamps in UTC."""


class BarsFile:
    """A new file of bars: it is there, whole, when the ``with`` block has ended well, or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._bars: list[Bar] = []
        self.count = 0
        self._file: _Csv | _Parquet = _Csv(self._part) if path.suffix == ".csv" else _Parquet(self._part)

    def add(self, bar: Bar) -> None:
        """One more bar."""
        self._bars.append(bar)
        self.count += 1
        if len(self._bars) == _GROUP:
            self._write()

    def _write(self) -> None:
        bars, self._bars = self._bars, []
        self._file.write({name: [getattr(bar, name) for bar in bars] for name in COLUMNS})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._write()
        finally:
            self._file.close()
        if error is None:
            self._part.replace(self._path)
        else:
            with suppress(FileNotFoundError):
                self._part.unlink()


_GROUP = 65_536  # bars that are written at once


class _Csv:
    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(COLUMNS)

    def write(self, columns: dict[str, list[Any]]) -> None:
        columns["gap"] = [str(gap).lower() for gap in columns["gap"]]  # as other languages spell it
        self._writer.writerows(zip(*columns.values(), strict=True))

    def close(self) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, path: Path) -> None:
        parquet = _pyarrow(".parquet")
        self._arrow = arrow = import_module("pyarrow")
        stamp = arrow.timestamp("ns", "UTC")
        kinds = {"start": stamp, "end": stamp, "count": arrow.int64(), "gap": arrow.bool_()}
        texts = dict.fromkeys(("symbol", "venue", "partial"), arrow.string())
        types = texts | kinds
        self._schema = arrow.schema([(name, types.get(name, arrow.float64())) for name in COLUMNS])
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, columns: dict[str, list[Any]]) -> None:
        self._writer.write_table(self._arrow.table(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _pyarrow(suffix: str) -> Any:
    try:
        return import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        raise Failure(
            f"{suffix} needs pyarrow, which is not installed: pip install 'rtflow[cache]'; .csv needs nothing"
        ) from None
