"""Columns: events come back as they went in, alone, in pieces, and through everybody's tables."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import fields, replace

from rtflow.columns import DTYPES, Columns, is_batch, pass_over
from rtflow.events import (
    Bar,
    Event,
    Imbalance,
    OrderBookUpdate,
    PriceBands,
    Quote,
    ReferencePrice,
    Side,
    Ticker,
    Trade,
    TradeCancel,
    TradeCorrection,
    TradingStatus,
    Vwap,
)
from rtflow.time import parse

STAMP = parse("2026-11-20T14:30:00.123456789Z")
STAMPS = st.integers(-(2**63) + 1, 2**63 - 1)
NUMBERS = st.floats(allow_nan=False)
MAYBE = st.none() | NUMBERS
TEXTS = st.sampled_from(("", "A", "BTC/USD", "été")) | st.text(st.characters(codec="utf-8"), max_size=3)
LISTS = st.lists(TEXTS, max_size=3).map(tuple)

KINDS: dict[type, st.SearchStrategy[Any]] = {
    Trade: st.builds(
        Trade,
        TEXTS,
        STAMPS,
        STAMPS,
        NUMBERS,
        NUMBERS,
        st.sampled_from(Side),
        TEXTS,
        TEXTS,
        TEXTS,
        LISTS,
        TEXTS,
        st.booleans(),
    ),
    TradeCorrection: st.builds(
        TradeCorrection, TEXTS, STAMPS, STAMPS, TEXTS, NUMBERS, NUMBERS, TEXTS, NUMBERS, NUMBERS
    ),
    TradeCancel: st.builds(TradeCancel, TEXTS, STAMPS, STAMPS, TEXTS, NUMBERS, NUMBERS),
    Quote: st.builds(Quote, TEXTS, STAMPS, STAMPS, MAYBE, MAYBE, MAYBE, MAYBE, conditions=LISTS),
    Bar: st.builds(
        Bar,
        TEXTS,
        STAMPS,
        STAMPS,
        NUMBERS,
        NUMBERS,
        NUMBERS,
        NUMBERS,
        NUMBERS,
        st.integers(0, 9),
        NUMBERS,
        partial=st.sampled_from((None, "start", "end")),
        gap=st.booleans(),
        revision=st.integers(0, 3),
    ),
    Ticker: st.builds(Ticker, TEXTS, STAMPS, STAMPS, MAYBE, ts_trade=st.none() | STAMPS),
    ReferencePrice: st.builds(
        ReferencePrice, TEXTS, STAMPS, STAMPS, NUMBERS, st.sampled_from(("index", "mark"))
    ),
    PriceBands: st.builds(PriceBands, TEXTS, STAMPS, STAMPS, MAYBE, MAYBE),
    TradingStatus: st.builds(TradingStatus, TEXTS, STAMPS, STAMPS, TEXTS),
    Imbalance: st.builds(Imbalance, TEXTS, STAMPS, STAMPS, NUMBERS, side=st.sampled_from(Side)),
    Vwap: st.builds(Vwap, TEXTS, STAMPS, STAMPS, MAYBE, NUMBERS, NUMBERS, st.integers(0, 9)),
}


@st.composite
def events(draw: st.DrawFn, *, least: int = 0) -> tuple[type[Any], list[Any]]:
    kind = draw(st.sampled_from(list(KINDS)))
    return kind, draw(st.lists(KINDS[kind], min_size=least, max_size=6))


def trade(symbol: str = "A", price: float = 10.0, **more: Any) -> Trade:
    return Trade(symbol, STAMP, STAMP + 5, price, 2.0, **more)


# -- events and columns ----------------------------------------------------------------------------------


def test_every_market_event_of_fixed_width_has_columns() -> None:
    assert set(DTYPES) == set(KINDS)
    for kind, dtype in DTYPES.items():
        assert dtype.names == tuple(field.name for field in fields(kind))


@given(events())
def test_events_come_back_equal_and_of_the_same_types(given_: tuple[type[Any], list[Any]]) -> None:
    kind, many = given_
    batch = Columns.of(many, kind)
    back = list(batch)
    assert back == many
    assert len(batch) == len(many)
    assert [[type(getattr(each, field.name)) for field in fields(kind)] for each in back] == [
        [type(getattr(each, field.name)) for field in fields(kind)] for each in many
    ]


@given(events(), st.data())
def test_pieces_are_the_pieces_of_the_events(
    given_: tuple[type[Any], list[Any]], data: st.DataObject
) -> None:
    kind, many = given_
    batch = Columns.of(many, kind)
    start, end = data.draw(st.integers(-7, 7)), data.draw(st.integers(-7, 7))
    assert list(batch[start:end]) == many[start:end]
    assert list(batch[::-1]) == many[::-1]
    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=len(many), max_size=len(many))), bool)
    assert list(batch[chosen]) == [each for each, wanted in zip(many, chosen, strict=True) if wanted]
    for place in range(-len(many), len(many)):
        assert batch[place] == many[place]


@given(events(), st.data())
def test_what_is_cut_joins_again(given_: tuple[type[Any], list[Any]], data: st.DataObject) -> None:
    kind, many = given_
    cuts = sorted(data.draw(st.lists(st.integers(0, len(many)), max_size=3)))
    parts = [many[a:b] for a, b in zip([0, *cuts], [*cuts, len(many)], strict=True)]
    assert Columns.concat([Columns.of(part, kind) for part in parts]) == Columns.of(many, kind)


@given(events())
def test_a_batch_may_be_pickled(given_: tuple[type[Any], list[Any]]) -> None:
    kind, many = given_
    assert pickle.loads(pickle.dumps(Columns.of(many, kind))) == Columns.of(many, kind)


def test_batches_are_equal_when_their_events_are() -> None:
    batch = Columns.of([trade("A"), trade("B")])
    assert batch == Columns.of([trade("B"), trade("A")])[[1, 0]]
    assert batch != Columns.of([trade("A"), trade("A")])
    assert batch != batch[:1]
    assert batch[:0] != Columns.of((), Quote)
    assert batch != [*batch]
    with pytest.raises(TypeError, match="unhashable"):
        hash(batch)


def test_columns_are_arrays_that_cannot_be_written() -> None:
    batch = Columns.of([trade("A", 10.0, side=Side.SELL), trade("B", 11.0, conditions=("@", "I"))])
    assert batch["price"].dtype == np.float64
    assert batch["ts_event"].tolist() == [STAMP, STAMP]
    assert batch["side"].tolist() == [-1, 0]
    assert batch["symbol"].tolist() == ["A", "B"]
    assert batch["conditions"].tolist() == [(), ("@", "I")]
    assert (batch["side"] * batch["size"]).tolist() == [-2.0, 0.0]
    with pytest.raises(ValueError, match="read-only"):
        batch["price"][0] = 1.0


def test_texts_are_kept_as_codes() -> None:
    codes, texts = Columns.of([trade("A"), trade("B"), trade("A")]).codes("symbol")
    assert [texts[code] for code in codes] == ["A", "B", "A"]
    assert codes.dtype == np.int32
    with pytest.raises(KeyError):
        Columns.of([trade()]).codes("price")


def test_the_rows_are_a_structured_array() -> None:
    rows = np.asarray(Columns.of([trade("A", 10.0), trade("B", 11.0)]))
    assert rows.dtype == DTYPES[Trade]
    assert rows["price"].tolist() == [10.0, 11.0]
    assert rows["symbol"].tolist() == [0, 1]
    assert np.asarray(Columns.of([trade()]), object).shape == (1,)
    with pytest.raises(ValueError, match="copying"):
        np.array(Columns.of([trade()]), copy=False)


def test_it_is_made_of_arrays_and_of_single_values_too() -> None:
    made = Columns(
        Trade,
        symbol=np.array(["A", "B"], object),
        ts_event=[STAMP, STAMP],
        ts_recv=STAMP + 5,
        price=np.array([10, 11], np.int32),
        size=2,
        side=np.array([0, -1], np.int64),
        conditions=[("@",), ()],
        venue="x",
        sampled=np.array([True, False]),
    )
    first = trade("A", 10.0, venue="x", conditions=("@",), sampled=True)
    assert list(made) == [first, trade("B", 11.0, venue="x", side=Side.SELL)]
    named = Columns(Trade, symbol=("A", "B"), ts_event=1, ts_recv=1, price=1.0, size=1.0, conditions=("@",))
    assert [(each.symbol, each.conditions) for each in named] == [("A", ("@",)), ("B", ("@",))]
    alone = Columns(Trade, symbol="A", ts_event=STAMP, ts_recv=STAMP + 5, price=10.0, size=2.0)
    assert list(alone) == [trade("A")]
    none = Columns(Trade, symbol=[], ts_event=[], ts_recv=[], price=[], size=[])
    assert len(none) == 0
    empty = np.array([], np.uint64)
    assert len(Columns(Trade, symbol=[], ts_event=empty, ts_recv=empty, price=empty, size=empty)) == 0
    large = Columns(Trade, symbol="A", ts_event=np.array([1], np.uint64), ts_recv=1, price=[2**54], size=1.0)
    assert [(each.ts_event, each.price) for each in large] == [(1, 2.0**54)]
    assert (
        large["price"]
        == Columns(Trade, symbol="A", ts_event=1, ts_recv=1, price=np.array([2**54]), size=1)["price"]
    )


@pytest.mark.parametrize("series", [pd.Series, pl.Series, pa.array])
def test_it_is_made_of_the_columns_of_a_data_frame(series: Any) -> None:
    made = Columns(
        Trade,
        symbol=series(["A", "B"]),
        ts_event=series([STAMP, STAMP]),
        ts_recv=STAMP + 5,
        price=series([10.0, 11.0]),
        size=2.0,
        sampled=series([False, False]),
    )
    assert list(made) == [trade("A"), trade("B", 11.0)]


@pytest.mark.parametrize(
    ("batch", "text"),
    [
        (Columns.of((), Trade), "<Columns of 0 Trade>"),
        (
            Columns.of([trade(symbol) for symbol in "ABCDE"] * 300),
            "<Columns of 1,500 Trade: A, B, C and 2 more; "
            "2026-11-20T14:30:00.123456794Z to 2026-11-20T14:30:00.123456794Z>",
        ),
    ],
)
def test_it_says_what_it_holds(batch: Columns[Any], text: str) -> None:
    assert repr(batch) == text


# -- what does not fit is refused in words ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (replace(trade(), price=None), "price holds numbers, and None is none"),
        (replace(trade(), price="10"), "price holds numbers"),
        (replace(trade(), price=2**53 + 1), "price holds numbers of 64 bits"),
        (replace(trade(), ts_event=2**63), "ts_event has 64 bits"),
        (replace(trade(), ts_event=1.5), "ts_event holds whole numbers"),
        (replace(trade(), sampled=1), "sampled holds True and False, not a int"),
        (replace(trade(), side="B"), "side holds sides, not a str"),
        (replace(trade(), side=2), "side holds sides: 1, -1 or 0"),
        (replace(trade(), symbol=None), "symbol holds texts, not None"),
        (replace(trade(), conditions="@I"), "conditions holds tuples of texts, not '@I'"),
        (Quote("A", 1, 1, float("nan"), 1.0, None, None), "bid says None where there is nothing"),
    ],
)
def test_a_value_that_would_not_come_back_is_refused(wrong: Event, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Columns.of([wrong])


def test_a_nan_that_is_meant_comes_back() -> None:
    (back,) = Columns.of([trade(price=float("nan"))])
    assert back.price != back.price


def make(**changed: Any) -> Columns[Trade]:
    given_: dict[str, Any] = {"symbol": "A", "ts_event": [1, 2], "ts_recv": 1, "price": 1.0, "size": 1.0}
    return Columns(Trade, **{name: each for name, each in (given_ | changed).items() if each is not None})


@pytest.mark.parametrize(
    ("build", "error", "complaint"),
    [
        (lambda: make(prise=1.0), ValueError, "a Trade has no prise: it has symbol, ts_event"),
        (lambda: make(price=None, size=None), ValueError, "of a Trade are missing: price, size"),
        (lambda: make(price=[1.0]), ValueError, "one length, but price has 1, not 2"),
        (lambda: make(price=np.ones((2, 2))), ValueError, "price is an array of 2 dimensions, not of one"),
        (lambda: make(price=np.array([2**53 + 1, 1])), ValueError, "price holds numbers of 64 bits"),
        (lambda: make(price=np.ones(2, np.longdouble) / 3), ValueError, "price holds numbers of 64 bits"),
        (lambda: make(ts_event=np.array([2**63, 1], np.uint64)), ValueError, "ts_event has 64 bits"),
        (lambda: make(ts_event=np.array([1, 2], "M8[ns]")), ValueError, "ts_event holds whole numbers"),
        (lambda: Columns(OrderBookUpdate), TypeError, "a OrderBookUpdate has no columns; these have: Trade"),
        (lambda: Columns([]), TypeError, r"a \[\] has no columns"),  # type: ignore[arg-type]
        (lambda: Columns.of([]), ValueError, "say kind="),
        (lambda: Columns.of([trade(), 1]), TypeError, "a batch is of one type: a int is no Trade"),
        (lambda: Columns.concat([]), ValueError, "of no batches"),
        (
            lambda: Columns.concat([make(), Columns.of((), Quote)]),  # type: ignore[arg-type]
            TypeError,
            "Quote and Trade make no one batch",
        ),
        (lambda: make()[2], IndexError, "no row 2 in 2"),
        (lambda: make()["prise"], KeyError, "prise"),
    ],
)
def test_what_makes_no_batch_is_refused(
    build: Callable[[], Any], error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        build()


def test_a_batch_is_no_event() -> None:
    batch: Any = make()
    with pytest.raises(TypeError, match=r"given a batch of Trade: put op.rows\(\) before it"):
        _ = batch.ts_recv
    with pytest.raises(TypeError, match="takes single events"):
        getattr(batch, "venue", "")
    with pytest.raises(AttributeError, match="no attribute 'prise'"):
        _ = batch.prise
    with pytest.raises(TypeError, match="takes single events"):
        pass_over(batch, "dedupe")
    pass_over(trade(), "dedupe")
    assert is_batch(batch)
    assert not is_batch(trade())


# -- everybody's tables ----------------------------------------------------------------------------------

READERS: dict[str, Callable[[Any], Any]] = {
    "pyarrow": pa.table,
    "polars": pl.DataFrame,
    "pandas": pd.DataFrame.from_arrow,
    "duckdb": lambda batch: duckdb.sql("select * from batch"),
}


@pytest.mark.parametrize("reader", READERS)
def test_each_reads_it_as_it_is_and_gives_it_back(reader: str) -> None:
    trades = [
        trade("A", 10.25, side=Side.BUY, id="1", conditions=("@", "I"), tape="C"),
        trade("B", 0.1, venue="x", sampled=True),
    ]
    quotes = [
        Quote("A", STAMP, STAMP, None, None, 10.5, 1.0),
        Quote("A", STAMP + 1, STAMP, 1.0, 2.0, 3.0, 4.0),
    ]
    partial = Bar("A", STAMP, STAMP + 1, 1.0, 2.0, 1.0, 2.0, 3.0, 4, 5.0, partial="start")
    bars = [partial, replace(partial, partial=None, gap=True)]
    tickers = [Ticker("A", 1, 2, ts_trade=3), Ticker("A", 1, 2)]
    for many in (trades, quotes, bars, tickers):
        batch: Columns[Any] = Columns.of(many)
        assert list(Columns.from_arrow(batch.kind, READERS[reader](batch))) == many


@settings(max_examples=50, deadline=None)
@given(events(), st.sampled_from(("pyarrow", "polars")))
def test_every_event_goes_through_arrow(given_: tuple[type[Any], list[Any]], reader: str) -> None:
    kind, many = given_
    batch = Columns.of(many, kind)
    assert Columns.from_arrow(kind, READERS[reader](batch)) == batch


def test_in_arrow_stamps_are_nanoseconds_of_utc() -> None:
    schema = pa.table(Columns.of([trade()])).schema
    assert schema.field("ts_event").type == pa.timestamp("ns", "UTC")
    assert schema.field("side").type == pa.int8()
    assert schema.field("price").type == pa.float64()
    frame = pl.DataFrame(Columns.of([trade()]))
    assert frame["ts_event"].dt.epoch("ns").to_list() == [STAMP]


def test_pandas_and_duckdb_compute_on_it_at_once() -> None:
    batch = Columns.of([trade("A", 10.0), trade("A", 12.0), trade("B", 5.0)])
    frame = pd.DataFrame.from_arrow(batch)
    assert frame.groupby("symbol", observed=True)["price"].mean().to_dict() == {"A": 11.0, "B": 5.0}
    found = duckdb.sql("select symbol, sum(price * size) from batch group by all order by all")
    assert found is not None
    assert found.fetchall() == [("A", 44.0), ("B", 10.0)]


def table(**changed: Any) -> pa.Table:
    columns = {"symbol": ["A"], "ts_event": [1], "ts_recv": [2], "price": [10.0], "size": [1.0]} | changed
    return pa.table({name: each for name, each in columns.items() if each is not None})


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"symbol": pa.array(["A"]).dictionary_encode()},
        {"symbol": pa.array(["A"], pa.large_string())},
        {"symbol": pa.array(["A"], pa.string_view())},
        {"ts_event": pa.array([1], pa.int32())},
        {"ts_event": pa.array([1], pa.timestamp("ns", "America/New_York"))},
        {"price": pa.array([10], pa.int16())},
        {"price": pa.array([10], pa.float32())},
        {"price": pa.array([10], pa.decimal128(10, 2))},
        {"ts_event": pa.array([1], pa.decimal128(38, 0))},  # a sum of whole numbers in DuckDB
        {"side": pa.array([0], pa.int64())},
        {"conditions": pa.array([[]], pa.list_(pa.string()))},
        {"conditions": pa.array([[]], pa.large_list(pa.large_string()))},
        {"sampled": [False]},
    ],
)
def test_columns_of_any_width_are_read(changed: dict[str, Any]) -> None:
    assert list(Columns.from_arrow(Trade, table(**changed))) == [Trade("A", 1, 2, 10.0, 1.0)]


def test_coarser_stamps_become_nanoseconds() -> None:
    stamps = pa.array([STAMP // 1000], pa.timestamp("us", "UTC"))
    (back,) = Columns.from_arrow(Trade, table(ts_event=stamps))
    assert back.ts_event == STAMP // 1000 * 1000


def test_an_empty_table_makes_an_empty_batch() -> None:
    assert Columns.from_arrow(Trade, table()[:0]) == Columns.of((), Trade)
    with pytest.raises(ValueError, match="missing: price"):
        Columns.from_arrow(Trade, table(price=None)[:0])


@pytest.mark.parametrize(
    ("given_", "error", "complaint"),
    [
        (table(extra=[1]), ValueError, "a Trade has no extra"),
        (table(size=None), ValueError, "missing: size"),
        (table(price=[None]), ValueError, "price has nulls"),
        (table(symbol=pa.array([None], pa.string())), ValueError, "symbol has nulls"),
        (table(ts_event=pa.array([1], pa.timestamp("ns"))), ValueError, "ts_event has no time zone"),
        (table(ts_event=pa.array([2**62], pa.timestamp("s", "UTC"))), ValueError, "ts_event does not fit"),
        (table(price=["ten"]), ValueError, "price does not fit, being of string: it wants integer, floating"),
        (table(price=["10"]), ValueError, "price does not fit"),
        (table(price=[True]), ValueError, "price does not fit"),
        (table(price=[2**53 + 1]), ValueError, "price does not fit"),
        (table(symbol=[5]), ValueError, "symbol does not fit"),
        (table(symbol=pa.array([5]).dictionary_encode()), ValueError, "symbol does not fit"),
        (table(symbol=pa.array([1], pa.timestamp("s"))), ValueError, "symbol does not fit"),
        (table(symbol=pa.DictionaryArray.from_arrays([0], [None])), ValueError, "symbol"),
        (table(ts_event=[1_700_000_000.0]), ValueError, "ts_event does not fit, being of double"),
        (table(ts_event=["1"]), ValueError, "ts_event does not fit"),
        (table(ts_event=pa.array([1], pa.duration("s"))), ValueError, "ts_event does not fit"),
        (table(ts_event=pa.array([86_400_000], pa.date64())), ValueError, "ts_event does not fit"),
        (table(ts_event=["1"])[:0], ValueError, "ts_event does not fit"),
        (table(side=[True]), ValueError, "side does not fit"),
        (table(side=[1.0]), ValueError, "side does not fit"),
        (table(sampled=[2]), ValueError, "sampled does not fit"),
        (table(conditions=[5]), ValueError, "conditions does not fit, being of int64"),
        (table(conditions=["@I"]), ValueError, "conditions does not fit, being of string: it wants list"),
        (
            pa.Table.from_arrays([pa.array(["A"])] * 2, names=["symbol"] * 2),
            ValueError,
            "two are called symbol",
        ),
        (table(conditions=[["@", None]]), ValueError, "conditions holds tuples of texts"),
        ([trade()], TypeError, "a list is no table"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(given_: Any, error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        Columns.from_arrow(Trade, given_)


def test_a_nan_in_a_table_is_no_null() -> None:
    read = pa.table(Columns.of([Quote("A", 1, 1, 1.0, 1.0, 1.0, 1.0)]))
    place = read.column_names.index("bid")
    with pytest.raises(ValueError, match="bid says null where there is nothing"):
        Columns.from_arrow(Quote, read.set_column(place, "bid", pa.array([float("nan")])))


def test_a_null_is_the_none_of_a_text_that_may_be_missing() -> None:
    bar = Bar("A", 1, 2, 1.0, 1.0, 1.0, 1.0, 1.0, 1, 1.0)
    read = pa.table(Columns.of([bar, replace(bar, partial="end")]))
    place = read.column_names.index("partial")
    plain = read.set_column(place, "partial", pa.array([None, "end"], pa.string()))
    assert [each.partial for each in Columns.from_arrow(Bar, plain)] == [None, "end"]


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'rtflow\[cache\]'"):
        Columns.of([trade()]).__arrow_c_stream__()
    with pytest.raises(ImportError, match=r"pip install 'rtflow\[cache\]'"):
        Columns.from_arrow(Trade, None)
