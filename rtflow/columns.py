"""Events as columns: many of one type, one array a field, and to and from Arrow.

::

    events ──▶ Columns.of ──▶ Columns ──▶ iter() ──▶ equal events
    table  ──▶ from_arrow ──▶    │    ──▶ __arrow_c_stream__ ──▶ pandas · polars · DuckDB · pyarrow

Nothing is lost on the way: every field of the event is a column, ids and conditions too. An event that does
not fit (a book update, whose levels are of no fixed number) is refused in words, and so is a value.

    >>> trade = Trade("A", ts_event=1, ts_recv=2, price=10.5, size=2.0, conditions=("@", "I"))
    >>> from msgspec.structs import replace
    >>> batch = Columns.of([trade, replace(trade, symbol="B", price=11.0)])
    >>> batch
    <Columns of 2 Trade: A, B; 1970-01-01T00:00:00.000000002Z to 1970-01-01T00:00:00.000000002Z>
    >>> batch["price"], batch["symbol"]
    (array([10.5, 11. ]), array(['A', 'B'], dtype=object))
    >>> batch[0] == trade, list(batch[1:]) == [replace(trade, symbol="B", price=11.0)]
    (True, True)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from types import MappingProxyType, NoneType, UnionType
from typing import (
    Any,
    Generic,
    NoReturn,
    TypeAlias,
    TypeGuard,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

import numpy as np
from msgspec import NODEFAULT, Struct
from msgspec.structs import astuple, fields
from numpy.typing import NDArray

from rtflow.events import (
    Bar,
    Frame,
    Imbalance,
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
from rtflow.time import format as spell

_E = TypeVar("_E")
_F = TypeVar("_F")


class Columns(Generic[_E]):
    """Some events of one type, in their order: a batch.

    ``Columns(Trade, symbol="A", ts_event=stamps, …)`` makes them of arrays, or any sequences, of equal
    lengths; one value stands for all rows, and what is not named takes the event's default. An array of the
    right type is not copied, so leave it as it is from then on. See :meth:`of` for events and
    :meth:`from_arrow` for tables.

    ``batch["price"]`` is a column: ``int64`` nanoseconds for stamps, ``float64`` for prices and sizes (NaN
    where an event says ``None``), ``int8`` for sides, ``bool``, and an array of objects for texts, which are
    kept as :meth:`codes`. ``batch[5]`` is an event; a slice, a mask or an array of places is a batch again,
    and a slice is no copy. Columns are read-only. ``np.asarray(batch)`` is the structured array of the rows,
    of the dtype in :data:`DTYPES`; its record array reads as an event does, all rows at once:

    >>> quotes = Columns(Quote, symbol="A", ts_event=[1, 2], ts_recv=[1, 2], bid=[10.0, 11.0],
    ...                  bid_size=1.0, ask=[12.0, 12.0], ask_size=1.0)
    >>> rows = np.asarray(quotes).view(np.recarray)
    >>> (rows.bid + rows.ask) / 2
    array([11. , 11.5])

    Raises TypeError for a type that has no columns, ValueError for columns that are missing, strange, of
    different lengths, or hold what the event's field cannot.
    """

    __slots__ = ("_arrays", "_texts", "kind")

    def __init__(self, kind: type[_E], /, **columns: Any) -> None:
        layout = _layout(kind)
        strange = [name for name in columns if name not in layout]
        if strange:
            raise ValueError(f"a {kind.__name__} has no {', '.join(strange)}: it has {', '.join(layout)}")
        missing = [name for name, each in layout.items() if each.required and name not in columns]
        if missing:
            raise ValueError(f"these columns of a {kind.__name__} are missing: {', '.join(missing)}")
        columns = {name: _as_array(each) for name, each in columns.items()}
        long = {name: each for name, each in columns.items() if _is_many(layout[name], each)}
        rows = len(next(iter(long.values()))) if long else 1 if columns else 0
        uneven = [name for name, each in long.items() if len(each) != rows]
        if uneven:
            wrong = uneven[0]
            raise ValueError(f"columns are of one length, but {wrong} has {len(long[wrong])}, not {rows}")
        self.kind: type[_E] = kind
        """The type of the events."""
        self._arrays: dict[str, NDArray[Any]] = {}
        self._texts: dict[str, tuple[Any, ...]] = {}
        for name, column in layout.items():
            if name in long:
                array, texts = column.read(long[name])
            else:
                one, texts = column.read([columns.get(name, column.default)])
                array = np.broadcast_to(one, rows) if rows else one[:0]
            self._put(name, array, texts)

    @classmethod
    def of(cls, events: Iterable[_E], kind: type[_E] | None = None) -> Columns[_E]:
        """These events, all of one type; ``kind`` says which one where there may be none.

        Raises TypeError where they are of several types, ValueError for none without a ``kind``.
        """
        many = [*events]
        if kind is None:
            if not many:
                raise ValueError("of no events nobody knows the type: say kind=, as in kind=Trade")
            kind = type(many[0])
        layout = _layout(kind)
        for each in many:
            if type(each) is not kind:
                raise TypeError(f"a batch is of one type: a {type(each).__name__} is no {kind.__name__}")
        if many:
            values: Iterable[Any] = zip(*map(astuple, cast("list[Struct]", many)), strict=True)
        else:
            values = repeat(())
        read = zip(layout.items(), values, strict=False)
        return _batch(kind, ((name, *column.read(each)) for (name, column), each in read))

    @classmethod
    def concat(cls, batches: Iterable[Columns[_E]]) -> Columns[_E]:
        """One after the other. Raises TypeError for different types, ValueError for none at all."""
        many = [*batches]
        if not many:
            raise ValueError("of no batches nobody knows the type")
        kind = many[0].kind
        for other in many:
            if other.kind is not kind:
                raise TypeError(f"{other.kind.__name__} and {kind.__name__} make no one batch")
        return _batch(kind, (_joined(name, many) for name in _layout(kind)))

    @classmethod
    def from_arrow(cls, kind: type[_E], table: Any) -> Columns[_E]:
        """The rows of anything that speaks Arrow's ``__arrow_c_stream__``: a data frame, a query's result.

        Columns go by the names of the event's fields, in any order; those with a default may be missing.
        Stamps are timestamps with a zone, of any unit, or whole nanoseconds since the epoch. Numbers may be
        of any width, and decimals; texts may be dictionary-encoded or not. Nothing is read out of a text, or
        made one.

        Raises ValueError for columns that the event has not, lacks or cannot hold, for a null where the event
        knows no ``None``, and for a timestamp without a zone; TypeError for what does not speak Arrow, and
        ImportError without the extra ``cache``.
        """
        pyarrow = _pyarrow()
        if not hasattr(table, "__arrow_c_stream__"):
            raise TypeError(f"a {type(table).__name__} is no table: it has no __arrow_c_stream__")
        read = pyarrow.table(table)
        layout, names = _layout(kind), cast("list[str]", read.column_names)
        for name, count in Counter(names).items():
            if count > 1:
                raise ValueError(f"columns go by their names, and two are called {name}")
        columns = {
            name: _from_arrow(pyarrow, layout[name], read.column(name)) if name in layout else ()
            for name in names
        }
        if not read.num_rows:
            Columns(kind, **columns)  # says what is wrong with the names
            return cls.of((), kind)
        return cls(kind, **columns)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """As Arrow's C stream interface: what pandas, polars, DuckDB and pyarrow ask a table for.

        Stamps are ``timestamp[ns, UTC]``, texts are dictionary-encoded, conditions are lists of texts, sides
        are ``int8``, and ``None`` is null. Numbers are not copied. Raises ImportError without the extra
        ``cache``.
        """
        pyarrow = _pyarrow()
        arrays = {
            name: _to_arrow(pyarrow, column, self._arrays[name], self._texts.get(name, ()))
            for name, column in _layout(self.kind).items()
        }
        return pyarrow.table(arrays).__arrow_c_stream__(requested_schema)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The rows as a structured array, texts by their codes; always a copy."""
        if copy is False:
            raise ValueError("rows are made of columns by copying")
        rows = np.empty(len(self), DTYPES[self.kind])
        for name, array in self._arrays.items():
            rows[name] = array
        return rows if dtype is None else rows.astype(dtype)

    def codes(self, name: str) -> tuple[NDArray[np.int32], tuple[Any, ...]]:
        """A column of texts as places in a tuple of what they may be.

        >>> Columns(Bar, symbol=["A", "B", "A"], start=0, end=1, open=1.0, high=1.0, low=1.0, close=1.0,
        ...         volume=1.0, count=1, value=1.0).codes("symbol")
        (array([0, 1, 0], dtype=int32), ('A', 'B'))

        Raises KeyError for a column that holds no texts.
        """
        return self._arrays[name], self._texts[name]

    @overload
    def __getitem__(self, place: int) -> _E: ...
    @overload
    def __getitem__(self, place: str) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, place: slice | NDArray[Any] | list[Any]) -> Columns[_E]: ...
    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, str):
            array = self._arrays[place]
            return _objects(self._texts[place])[array] if place in self._texts else array
        if isinstance(place, slice | np.ndarray | list):
            return _batch(self.kind, ((name, array[place], texts) for name, array, texts in self._each()))
        rows = len(self)
        if not -rows <= place < rows:
            raise IndexError(f"there is no row {place} in {rows}")
        at = place % rows
        return next(iter(self[at : at + 1]))

    def __len__(self) -> int:
        return len(next(iter(self._arrays.values())))

    def __iter__(self) -> Iterator[_E]:
        """The events."""
        make: Callable[..., _E] = self.kind
        layout = _layout(self.kind)
        columns = [
            column.told(self._arrays[name], self._texts.get(name, ())) for name, column in layout.items()
        ]
        return map(make, *columns)

    def __eq__(self, other: object) -> bool:
        """Whether they hold equal events, however the texts are coded."""
        if not is_batch(other):
            return NotImplemented
        return self.kind is other.kind and len(self) == len(other) and [*self] == [*other]

    __hash__ = None  # type: ignore[assignment]  # as for arrays and lists

    def __repr__(self) -> str:
        rows, name = len(self), self.kind.__name__
        if not rows:
            return f"<Columns of 0 {name}>"
        codes, texts = self.codes("symbol")
        symbols = [texts[code] for code in np.unique(codes)]
        named = ", ".join(symbols[:3]) + (f" and {len(symbols) - 3} more" if len(symbols) > 3 else "")
        stamps = self._arrays["ts_recv"]
        return f"<Columns of {rows:,} {name}: {named}; {spell(int(stamps[0]))} to {spell(int(stamps[-1]))}>"

    def __getattr__(self, name: str) -> NoReturn:
        # Who asks a batch for the field of an event would else be answered by a column, or pass it over.
        if name in _FIELDS:
            raise TypeError(
                f"this takes single events, and was given a batch of {self.kind.__name__}: put op.rows() "
                f"before it; the column is batch[{name!r}]"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _batch, (self.kind, [*self._each()])

    def _each(self) -> Iterator[_Named]:
        return ((name, array, self._texts.get(name)) for name, array in self._arrays.items())

    def _put(self, name: str, array: NDArray[Any], texts: tuple[Any, ...] | None) -> None:
        view = array.view()
        view.flags.writeable = False
        self._arrays[name] = view
        if texts is not None:
            self._texts[name] = texts


_Named: TypeAlias = tuple[str, NDArray[Any], tuple[Any, ...] | None]
"""A column's name, its array, and what the codes in it mean."""


def _batch(kind: type[_E], columns: Iterable[_Named]) -> Columns[_E]:
    """Of columns that were read before."""
    made: Columns[_E] = object.__new__(cast("type[Columns[_E]]", Columns))
    made.kind, made._arrays, made._texts = kind, {}, {}
    for each in columns:
        made._put(*each)
    return made


def _joined(name: str, batches: Sequence[Columns[Any]]) -> _Named:
    """One column of several batches, whose codes may mean different texts."""
    parts = [each._arrays[name] for each in batches]
    if name not in batches[0]._texts:
        return name, np.concatenate(parts), None
    places: dict[Any, int] = {}
    for at, each in enumerate(batches):
        known = [places.setdefault(text, len(places)) for text in each._texts[name]]
        parts[at] = np.array(known, np.int32)[parts[at]]
    return name, np.concatenate(parts), tuple(places)


def is_batch(item: object) -> TypeGuard[Columns[Any]]:
    """Whether it is a batch."""
    return isinstance(item, Columns)


def pass_over(item: object, operator: str) -> None:
    """For an item that ``operator`` has no use for: TypeError for a frame or a batch, which hold events."""
    kind = item.__class__  # most items are neither, and this is the fastest way to see it
    if kind is Frame:
        raise TypeError(
            f"{operator}() takes events, and this is a frame: put op.normalize(provider) before it"
        )
    if kind is Columns:
        _ = cast("Any", item).ts_recv  # it says what is wrong


# -- what a column holds ---------------------------------------------------------------------------------

_NO_STAMP = np.iinfo(np.int64).min  # what numpy calls NaT
_LARGEST = np.iinfo(np.int64).max
_LISTS = ("list", "large_list", "fixed_size_list", "list_view", "large_list_view")
_EXACT = 1 << 53  # up to there, every whole number is a float


class _Column(ABC, Generic[_F]):
    """One field of an event, and how its values stand in an array."""

    dtype: type[np.generic] = np.float64
    arrow: tuple[str, ...] = ("integer", "floating", "decimal")  # the types that it is read from

    def __init__(self, name: str, default: Any, *, optional: bool) -> None:
        self.name = name
        self.required = default is NODEFAULT
        self.default = default
        self.optional = optional

    @abstractmethod
    def read(self, values: Any) -> tuple[NDArray[Any], tuple[Any, ...] | None]:
        """The array, and what its codes mean where it holds codes."""
        ...

    def told(self, array: NDArray[Any], texts: tuple[Any, ...]) -> Sequence[Any] | Iterator[Any]:
        """The values that an event holds."""
        return cast("Sequence[Any]", array.tolist())

    def wrong(self, reason: str) -> ValueError:
        return ValueError(f"the column {self.name} {reason}")


class _Numbers(_Column[float]):
    """Floats; NaN is ``None`` where the event knows that."""

    def read(self, values: Any) -> tuple[NDArray[Any], None]:
        if _is_array(values) and values.dtype.kind in "iuf" and values.dtype.itemsize <= 8:
            if values.dtype.kind == "f" or _within(values, _EXACT):
                return values.astype(np.float64, copy=False), None
            values = values.tolist()
        told = [*values]
        for each in told if self.optional or {*map(type, told)} != {float} else ():
            if each is None:
                if not self.optional:
                    raise self.wrong("holds numbers, and None is none")
            elif not isinstance(each, float | int) or each == each != float(each):
                raise self.wrong(f"holds numbers of 64 bits, not {each!r}")
            elif self.optional and math.isnan(each):
                raise self.wrong("says None where there is nothing: NaN would come back as None")
        return np.array(told, np.float64), None

    def told(self, array: NDArray[Any], texts: tuple[Any, ...]) -> Sequence[Any]:
        told: list[Any] = array.tolist()
        return [None if each != each else each for each in told] if self.optional else told


class _Whole(_Column[int]):
    """Whole numbers of 64 bits; the smallest is ``None`` where the event knows that."""

    dtype = np.int64

    def __init__(self, name: str, default: Any, *, optional: bool) -> None:
        super().__init__(name, default, optional=optional)
        self.stamps = name.startswith("ts_") or name in ("start", "end")
        self.arrow = ("integer", "decimal", "timestamp") if self.stamps else ("integer", "decimal")

    def read(self, values: Any) -> tuple[NDArray[Any], None]:
        if _is_array(values) and values.dtype.kind in "iu":
            if values.dtype == np.uint64 and not _within(values, _LARGEST):
                raise self.wrong("has 64 bits, and a number does not fit in")
            return values.astype(np.int64, copy=False), None
        told = [*values]
        for at, each in enumerate(told) if {*map(type, told)} != {int} else ():
            if each is None and self.optional:
                told[at] = _NO_STAMP
            elif not isinstance(each, int):
                raise self.wrong(f"holds whole numbers, not {each!r}")
        try:
            return np.array(told, np.int64), None
        except OverflowError as error:
            raise self.wrong("has 64 bits, and a number does not fit in") from error

    def told(self, array: NDArray[Any], texts: tuple[Any, ...]) -> Sequence[Any]:
        told: list[Any] = array.tolist()
        return [None if each == _NO_STAMP else each for each in told] if self.optional else told


class _Flags(_Column[bool]):
    """True or false."""

    dtype = np.bool_
    arrow = ("boolean",)

    def read(self, values: Any) -> tuple[NDArray[Any], None]:
        if _is_array(values) and values.dtype == np.bool_:
            return values, None
        told = [*values]
        for kind in {*map(type, told)} - {bool}:
            raise self.wrong(f"holds True and False, not a {kind.__name__}")
        return np.array(told, np.bool_), None


class _Sides(_Column[Side]):
    """1, -1 and 0."""

    dtype = np.int8
    arrow = ("integer",)

    def read(self, values: Any) -> tuple[NDArray[Any], None]:
        if _is_array(values) and values.dtype.kind in "iu":
            array = values
        else:
            told = [*values]
            for kind in {*map(type, told)} - {Side, int}:
                raise self.wrong(f"holds sides, not a {kind.__name__}")
            array = np.array(told, np.int64)
        if array.size and (array.min() < -1 or array.max() > 1):
            raise self.wrong("holds sides: 1, -1 or 0")
        return array.astype(np.int8, copy=False), None

    def told(self, array: NDArray[Any], texts: tuple[Any, ...]) -> Iterator[Any]:
        return map(_SIDES.__getitem__, array.tolist())


_SIDES = {int(side): side for side in Side}


class _Texts(_Column[str]):
    """Texts, or tuples of them, as places in a tuple of all that occur."""

    dtype = np.int32

    def __init__(self, name: str, default: Any, *, optional: bool, tuples: bool) -> None:
        super().__init__(name, default, optional=optional)
        self.tuples = tuples
        self.arrow = _LISTS if tuples else ("string", "large_string", "string_view")

    def read(self, values: Any) -> tuple[NDArray[Any], tuple[Any, ...]]:
        if isinstance(values, _Coded):
            codes, texts = values.codes, values.texts
        else:
            told = values.tolist() if _is_array(values) else values
            places = {text: at for at, text in enumerate(dict.fromkeys(told))}
            if len(places) < 2:
                codes = np.zeros(len(told), np.int32)
            else:
                codes = np.fromiter(map(places.__getitem__, told), np.int32, len(told))
            texts = tuple(places)
        for each in texts:
            if not (each is None and self.optional) and not self._fits(each):
                raise self.wrong(f"holds {'tuples of texts' if self.tuples else 'texts'}, not {each!r}")
        return codes, texts

    def told(self, array: NDArray[Any], texts: tuple[Any, ...]) -> Iterator[Any]:
        return map(texts.__getitem__, array.tolist())

    def _fits(self, value: Any) -> bool:
        if self.tuples:
            return isinstance(value, tuple) and _are_texts(cast("Any", value))
        return isinstance(value, str)


def _are_texts(values: tuple[Any, ...]) -> bool:
    return all(isinstance(each, str) for each in values)


class _Coded:
    """Texts by their codes, as Arrow's dictionaries bring them."""

    def __init__(self, codes: NDArray[np.int32], texts: tuple[Any, ...]) -> None:
        self.codes = codes
        self.texts = texts

    def __len__(self) -> int:
        return len(self.codes)


def _as_array(value: Any) -> Any:
    """A data frame's column is an array, too."""
    if isinstance(value, np.ndarray | np.generic) or not hasattr(value, "__array__"):
        return cast("Any", value)
    return np.asarray(value)


def _within(whole: NDArray[Any], most: int) -> bool:
    """Whether whole numbers are no larger than that, with or without a sign."""
    return not whole.size or (int(whole.max()) <= most and int(whole.min()) >= -most)


def _is_many(column: _Column[Any], value: Any) -> bool:
    """Whether it is a column, and not one value for all rows."""
    if isinstance(value, np.ndarray) and value.ndim > 1:
        raise column.wrong(f"is an array of {value.ndim} dimensions, not of one")
    if isinstance(column, _Texts):
        lists = (list, np.ndarray, _Coded) if column.tuples else (list, np.ndarray, _Coded, tuple)
        return isinstance(value, lists)
    return isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _is_array(values: Any) -> TypeGuard[NDArray[Any]]:
    return isinstance(values, np.ndarray)


def _objects(values: tuple[Any, ...]) -> NDArray[Any]:
    """An array of these, also where they are sequences themselves."""
    made = np.empty(len(values), object)
    made[:] = values if not any(isinstance(each, tuple) for each in values) else [*values, None][:-1]
    return made


def _column(name: str, hint: Any, default: Any) -> _Column[Any]:
    """How a field of this type stands in an array."""
    options = get_args(hint) if isinstance(hint, UnionType) or NoneType in get_args(hint) else (hint,)
    optional = NoneType in options
    (inner,) = [each for each in options if each is not NoneType]
    made = _OF_TYPE.get(inner)
    if made is not None:
        return made(name, default, optional=optional)
    return _Texts(name, default, optional=optional, tuples=get_origin(inner) is tuple)


_OF_TYPE: dict[Any, type[_Column[Any]]] = {float: _Numbers, int: _Whole, bool: _Flags, Side: _Sides}

_KINDS: tuple[type[Struct], ...] = (
    Trade,
    TradeCorrection,
    TradeCancel,
    Quote,
    Bar,
    Ticker,
    ReferencePrice,
    PriceBands,
    TradingStatus,
    Imbalance,
    Vwap,
)

_LAYOUTS: dict[type, dict[str, _Column[Any]]] = {
    kind: {
        field.name: _column(field.name, get_type_hints(kind)[field.name], field.default)
        for field in fields(kind)
    }
    for kind in _KINDS
}

DTYPES: Mapping[type, np.dtype[Any]] = MappingProxyType(
    {
        kind: np.dtype([(name, column.dtype) for name, column in layout.items()], align=True)
        for kind, layout in _LAYOUTS.items()
    }
)
"""The dtype of a row, for each type of event that has columns; texts are ``int32`` codes."""

_FIELDS = {field.name for kind in (*_KINDS, Frame) for field in fields(cast("type[Struct]", kind))} - {"kind"}


def _layout(kind: type) -> dict[str, _Column[Any]]:
    try:
        return _LAYOUTS[kind]
    except (KeyError, TypeError):
        known = ", ".join(each.__name__ for each in _KINDS)
        name = getattr(kind, "__name__", repr(kind))
        raise TypeError(f"a {name} has no columns; these have: {known}") from None


# -- Arrow -----------------------------------------------------------------------------------------------


def _pyarrow() -> Any:
    try:
        import pyarrow  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as missing:
        raise ImportError("columns become Arrow by way of pyarrow: pip install 'rtflow[cache]'") from missing
    return cast("Any", pyarrow)


def _to_arrow(pyarrow: Any, column: _Column[Any], array: NDArray[Any], texts: tuple[Any, ...]) -> Any:
    if isinstance(column, _Texts):
        if column.tuples:
            spelled = pyarrow.array(map(list, texts), pyarrow.list_(pyarrow.string()))
            return spelled.take(pyarrow.array(array))
        known = [text for text in texts if text is not None]
        places = np.array([known.index(text) if text is not None else -1 for text in texts], np.int32)
        codes = places[array]
        return pyarrow.DictionaryArray.from_arrays(
            pyarrow.array(codes, mask=codes < 0), pyarrow.array(known, pyarrow.string())
        )
    if isinstance(column, _Whole):
        type_ = pyarrow.timestamp("ns", "UTC") if column.stamps else pyarrow.int64()
        return pyarrow.array(array, type_, mask=array == _NO_STAMP if column.optional else None)
    return pyarrow.array(array, mask=np.isnan(array) if column.optional else None)


def _from_arrow(pyarrow: Any, column: _Column[Any], chunked: Any) -> Any:
    types, values = pyarrow.types, chunked.combine_chunks()
    if values.null_count and not column.optional:
        raise column.wrong("has nulls, and the event knows no None there")
    kind = values.type.value_type if types.is_dictionary(values.type) else values.type
    if not any(getattr(types, f"is_{each}")(kind) for each in ("null", *column.arrow)):
        raise column.wrong(f"does not fit, being of {kind}: it wants {', '.join(column.arrow)}")
    try:
        if isinstance(column, _Texts):
            return _texts_from_arrow(pyarrow, column, values)
        if isinstance(column, _Whole) and types.is_timestamp(values.type):
            if values.type.tz is None:
                raise column.wrong("has no time zone, and nobody knows which is meant; say UTC if it is UTC")
            values = values.cast(pyarrow.timestamp("ns", "UTC")).cast(pyarrow.int64())
        if isinstance(column, _Flags):
            return values.cast(pyarrow.bool_()).to_numpy(zero_copy_only=False)
        if isinstance(column, _Numbers):
            numbers = values.cast(pyarrow.float64())
            told = numbers.to_numpy(zero_copy_only=False)
            if np.isnan(told).sum() > values.null_count and column.optional:
                raise column.wrong("says null where there is nothing: NaN would come back as None")
            return told
        values = values.cast(pyarrow.int64())
        return values.fill_null(_NO_STAMP).to_numpy(zero_copy_only=False)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError) as error:
        raise column.wrong(f"does not fit: {error}") from error


def _texts_from_arrow(pyarrow: Any, column: _Texts, values: Any) -> Any:
    if column.tuples:
        return [*map(tuple, values.to_pylist())]
    if not pyarrow.types.is_dictionary(values.type):
        values = values.cast(pyarrow.string()).dictionary_encode()
    codes = values.indices.cast(pyarrow.int32())
    texts = tuple(values.dictionary.to_pylist())
    if codes.null_count:
        codes, texts = codes.fill_null(len(texts)), (*texts, None)
    return _Coded(codes.to_numpy(zero_copy_only=False), texts)
