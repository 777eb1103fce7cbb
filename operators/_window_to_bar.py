"""window_to_bar: trades, quotes, books or bars to one bar per stretch of time, or per so much trading."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, overload

from rtflow.book import BookState
from rtflow.columns import Columns
from rtflow.counters import Counters
from rtflow.events import Bar, Event, LateTrade
from rtflow.kernel import Lifted, lift
from rtflow.operators._bars_by_amount import AmountBars, AmountRules
from rtflow.operators._bars_by_time import TimeBars, TimeRules
from rtflow.operators._bars_of_bars import BarsOfBars
from rtflow.operators._bars_of_prices import PRICES, PriceBars, PriceOf
from rtflow.operators._bars_revised import RevisedBars
from rtflow.operators._forming import Judge, Table, judge_by
from rtflow.operators._stretches import Stretches
from rtflow.sessions import Sessions, around_the_clock
from rtflow.time import Duration, Interval, calendar_units, interval, nanoseconds


@overload
def window_to_bar(
    every: Interval,
    *,
    of: Literal["trades", "bars"] = ...,
    session: Sessions | None = ...,
    outside: Literal["count", "keep"] = ...,
    grace: Duration = ...,
    revise_for: Duration = ...,
    empty: Literal["none", "flat"] = ...,
    emit: Literal["final", "update"] = ...,
    late: Literal["count"] = ...,
    origin: int = ...,
    clock: Literal["event", "recv"] = ...,
    tolerance: Duration = ...,
    eligibility: Table | Judge | None = ...,
    counters: Counters | None = ...,
) -> Lifted[Event | Columns[Any], Bar]: ...
@overload
def window_to_bar(
    every: Interval,
    *,
    of: PriceOf,
    session: Sessions | None = ...,
    outside: Literal["count", "keep"] = ...,
    grace: Duration = ...,
    revise_for: Duration = ...,
    empty: Literal["none", "flat"] = ...,
    emit: Literal["final", "update"] = ...,
    origin: int = ...,
    clock: Literal["event", "recv"] = ...,
    tolerance: Duration = ...,
    counters: Counters | None = ...,
) -> Lifted[Event | BookState | Columns[Any], Bar]: ...
@overload
def window_to_bar(
    every: Interval,
    *,
    session: Sessions | None = ...,
    outside: Literal["count", "keep"] = ...,
    grace: Duration = ...,
    revise_for: Duration = ...,
    empty: Literal["none", "flat"] = ...,
    emit: Literal["final", "update"] = ...,
    late: Literal["emit"],
    origin: int = ...,
    clock: Literal["event", "recv"] = ...,
    tolerance: Duration = ...,
    eligibility: Table | Judge | None = ...,
    counters: Counters | None = ...,
) -> Lifted[Event | Columns[Any], Bar | LateTrade]: ...
@overload
def window_to_bar(
    *,
    ticks: int,
    emit: Literal["final", "update"] = ...,
    eligibility: Table | Judge | None = ...,
    counters: Counters | None = ...,
) -> Lifted[Event | Columns[Any], Bar]: ...
@overload
def window_to_bar(
    *,
    volume: float,
    overshoot: Literal["split", "keep"] = ...,
    emit: Literal["final", "update"] = ...,
    eligibility: Table | Judge | None = ...,
    counters: Counters | None = ...,
) -> Lifted[Event | Columns[Any], Bar]: ...
@overload
def window_to_bar(
    *,
    value: float,
    overshoot: Literal["split", "keep"] = ...,
    emit: Literal["final", "update"] = ...,
    eligibility: Table | Judge | None = ...,
    counters: Counters | None = ...,
) -> Lifted[Event | Columns[Any], Bar]: ...


def window_to_bar(
    every: Interval | None = None,
    *,
    ticks: int | None = None,
    volume: float | None = None,
    value: float | None = None,
    of: Literal["trades", "bars"] | PriceOf = "trades",
    session: Sessions | None = None,
    outside: Literal["count", "keep"] = "count",
    grace: Duration = 0.0,
    revise_for: Duration = 0.0,
    empty: Literal["none", "flat"] = "none",
    emit: Literal["final", "update"] = "final",
    late: Literal["count", "emit"] = "count",
    origin: int = 0,
    clock: Literal["event", "recv"] = "event",
    tolerance: Duration = 1.0,
    overshoot: Literal["split", "keep"] = "split",
    eligibility: Table | Judge | None = None,
    counters: Counters | None = None,
) -> Lifted[Any, Any]:
    """One bar for every symbol and every stretch of time in which it traded, or so much of its trading.

    ::

        --t1--q1-t2-------t3-----q2-----|
        [      window_to_bar(60)        ]
        ------------b1------------b2----b3|     b1: by the time that passed; b2: by a quote; b3: cut off

    Give it the whole event stream: trades make the bars, every event tells the time, gaps leave their mark.
    Exactly one of four rules says where a bar ends: ``every`` (seconds, a ``timedelta`` or a text such as
    ``"5m"``: see :func:`rtflow.time.interval`), ``ticks``, ``volume`` or ``value``. What follows is about
    ``every``, up to *By amount*.

    **Stretches.** ``[start, end)`` in integer nanoseconds, aligned to the epoch, or to the stamp ``origin``.
    A trade stamped exactly ``end`` opens the next bar. ``clock="recv"`` cuts by ``ts_recv`` instead of
    ``ts_event``; ``ts_open`` and ``ts_close`` are stamps of the clock that was chosen.

    **Sessions.** ``session`` (see :mod:`rtflow.sessions`) begins a bar at each open and ends one at each
    close, whether that is full or not. Nothing goes flat while the market is closed. What is stamped outside
    of all sessions, before the open or from the close on, is counted as ``outside`` and left out, as a chart
    of regular hours does; ``outside="keep"`` cuts the time between them too, from the close on to the next
    open. An auction that prints after the bell is outside: let the session close later to have it in.

    **Days, weeks, months.** With a session, the text ``"1d"`` is one bar for all sessions of a trading day,
    ``"1w"`` and ``"1mo"`` (or ``"1M"``) are from the first open of a week or a month to its last close;
    ``"24h"`` and 86400 stay lengths of time. Without one, they are days of UTC, weeks from Monday, and
    months; for those of another zone, of 23 and 25 hours where clocks change, take
    ``session=around_the_clock("Europe/London")``. Months are counted from January: ``"3mo"`` are quarters.

    **Closing.** A bar leaves when the watermark of its venue reaches ``end + grace``. The watermark is the
    largest ``ts_event`` of any event of that venue and connection, carried forward by the time passed since
    that event's ``ts_recv``; so a quiet symbol's bar waits for nobody, and the line's own delay is allowed
    for. A stamp further than ``tolerance`` ahead of its ``ts_recv`` moves it by ``tolerance`` only. An item
    that is received at the very nanosecond at which a bar is due comes before that. Bars that are due at one
    moment leave by ``end``, then by venue, then by symbol.

    **Late trades**, whose stretch has closed, are counted as ``late`` in ``counters``; with ``late="emit"``
    they leave as :class:`~rtflow.events.LateTrade`, too. Corrections and cancels are counted, as
    ``unapplied``. Sampled prices count as trades.

    **Revisions.** ``revise_for`` keeps a closed bar, and all of its trades, until the watermark reaches
    ``end + grace + revise_for``. Until then a late trade makes the bar leave again with ``revision + 1``, or
    for the first time where its stretch had none. So does a ``TradeCancel``, which takes out the trade of its
    ``id``, and a ``TradeCorrection``, which puts another in its place, at its stamp and on its side: prices
    and sums are taken anew from the trades that remain. Readers keep the last bar of each venue, symbol and
    ``start``. A bar that has lost all of its trades leaves as ``synthetic``, with volume 0, at the price it
    had closed at.

    **Eligibility.** ``eligibility`` says what a trade may do by its sale conditions, field by field; without
    it, each trade counts in full. It is a table such as :data:`rtflow.conditions.SALE_CONDITIONS`, asked
    about daily bars where ``every`` is a day or more; or a function of conditions and tape, which a feed that
    spells them by numbers needs: ``partial(SALE_CONDITIONS.eligibility, numbered=True)``. What counts for the
    volume counts for ``count`` and ``value``, too. A stretch in which nothing sets a price (odd lots only)
    has no bar: its trades are counted, as ``unpriced``.

    **Marks.** ``partial="start"``: the stretch had begun when we did. We begin with a symbol at the
    ``Status`` that acknowledges its trades, or else at the first sign of its venue; the ``"open"`` of a
    connection is none, since who joins a ``broadcast`` late is told that too. ``partial="end"``: the source
    completed, or the symbol was unsubscribed, before the end. ``gap=True``: a ``Gap`` of the venue, open or
    closed, or a ``Lost`` overlaps the stretch; not a gap that ``op.backfill`` filled. Those two carry stamps
    of arrival, which the watermark's delay (``ts_recv - ts_event``) at that moment makes event time.

    ``empty="flat"`` fills the stretches without a trade, from a symbol's first bar on for as long as it is
    subscribed: open, high, low and close are the last close, the volume is 0, ``synthetic=True``.
    ``emit="update"`` also emits, at each trade, the bar so far, with ``final=False``.

    **Of prices.** With ``of="bid"``, ``"ask"``, ``"mid"`` or ``"microprice"``, quotes and the books of
    :func:`book_apply` make the bars: ``count`` is how many did, ``volume`` is 0. One that has no such price,
    and a book that is not live, is counted as ``unpriced``.

    **Of bars.** With ``of="bars"``, small bars make large ones, equal to what their trades would have made.
    Those that are not final are passed over; one that reaches beyond a stretch, or into another, is counted
    as ``unfit``. Only they tell the time. A large bar leaves with the small one that ends it; a symbol
    without such a one has waited long enough when the next small bars would be there. A revision of a small
    bar takes its place, and within ``revise_for`` makes a large bar that has left leave again. Where small
    bars have waited out a ``grace``, large ones need the same. To know of gaps and of subscriptions, which
    its marks come from, it needs these beside the bars.

    **Batches.** What is in :class:`~rtflow.columns.Columns`, as :func:`batch` or ``Columns.from_arrow`` makes
    them, gives the same bars as its events one by one, to the last bit, however they are cut and mixed with
    single events. Trades are folded as columns, at once: by amount where each counts in full, by time where
    they are of one venue and in the order of arrival. With ``session``, ``revise_for``, ``empty="flat"`` or
    ``emit="update"``, and by time with ``eligibility``, they go through one by one. A batch comes when its
    last event has come: see :func:`batch`.

    **By amount.** A bar leaves with the trade that fills it: the ``ticks``-th, or the one that brings its
    volume to ``volume`` or its value (without its sign) to ``value``. Of a trade that is too large,
    ``overshoot="split"`` gives the bar exactly what it lacks, the rest to the next bars, so a trade may fill
    many; it counts as one where it begins, and not again. ``overshoot="keep"`` leaves it whole. Sums are
    exact in decimal and rounded once, so ten trades of 0.1 fill a volume of 1. Such a bar lies between the
    stamps of its trades, ``[first, last + 1)``; several may start at one stamp, in the order of arrival.
    ``gap=True``: something may be missing since the bar before. ``partial="end"``: the source completed, or
    the symbol was unsubscribed, before it was full. A bar waits for a price before it leaves. Of the options
    these are shared: ``emit``, ``eligibility`` and ``counters``; nothing is late. A ``TradeCancel`` or a
    ``TradeCorrection``, by the ``id`` of a trade in the bar that forms, makes that bar anew, as if the trade
    had never come, or had come as corrected, which may fill it; so a bar keeps its trades until it leaves.
    What has left, in whole or in part, stays as it is, and the event is counted as ``unapplied``.

        >>> from rtflow.events import Trade
        >>> from rtflow.time import SECOND
        >>> kernel = window_to_bar(60).kernel()
        >>> for second, price in (0, 10.0), (20, 12.0), (59, 11.0), (60, 13.0):
        ...     for bar in kernel.push(Trade("A", second * SECOND, second * SECOND, price, size=1.0)):
        ...         print(bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap)
        10.0 12.0 10.0 11.0 3.0 11.0
        >>> kernel.due() // SECOND            # when to wake it, should nothing come
        120
        >>> [bar.open for bar in kernel.wake(120 * SECOND)]
        [13.0]
        >>> kernel = window_to_bar(volume=2).kernel()
        >>> for price, size in (10.0, 1.5), (11.0, 5.0):
        ...     for bar in kernel.push(Trade("A", 0, 0, price, size)):
        ...         print(bar.open, bar.close, bar.volume, bar.value, bar.count)
        10.0 11.0 2.0 20.5 2
        11.0 11.0 2.0 22.0 0
        11.0 11.0 2.0 22.0 0

        >>> from rtflow.sessions import Hours
        >>> from rtflow.time import format, parse
        >>> kernel = window_to_bar("1h", session=Hours("09:15-15:30", zone="Asia/Kolkata")).kernel()
        >>> for time in "09:20", "15:20":
        ...     stamp = parse(f"2026-11-23T{time}:00+05:30")
        ...     for bar in kernel.push(Trade("INFY", stamp, stamp, 1500.0, 1.0)):
        ...         print(format(bar.start, digits=0), format(bar.end, digits=0))
        2026-11-23T03:45:00Z 2026-11-23T04:45:00Z
        >>> format(kernel.due(), digits=0)    # a quarter of an hour is left
        '2026-11-23T10:00:00Z'

    Raises ValueError for none or several of the four rules, a length or an amount that is not positive, an
    option of another rule, a negative ``grace``, ``revise_for`` or ``tolerance``, ``revise_for`` beside
    ``empty="flat"``, options that do not go together, and for words that are none of the above; TypeError for
    a ``session``, an ``eligibility`` or an ``origin`` that is none. For the stream, ValueError at a trade
    that would fill more than 100,000 bars: its size is wrong, or they are much too small for such sizes.
    """
    for word, known in (
        (empty, ("none", "flat")),
        (emit, ("final", "update")),
        (late, ("count", "emit")),
        (clock, ("event", "recv")),
        (overshoot, ("split", "keep")),
        (of, ("trades", "bars", *PRICES)),
        (outside, ("count", "keep")),
    ):
        if word not in known:
            raise ValueError(f"{word!r} is none of {', '.join(map(repr, known))}")
    counted = Counters() if counters is None else counters
    if sum(rule is not None for rule in (every, ticks, volume, value)) != 1:
        raise ValueError("a bar ends by exactly one of every, ticks, volume and value")
    if every is None:
        if (grace, revise_for, empty, late, origin, clock, tolerance, of, session, outside) != (
            0,
            0,
            "none",
            "count",
            0,
            "event",
            1,
            "trades",
            None,
            "count",
        ):
            raise ValueError("an option of every is of no use to ticks, volume and value")
        amount_rules = _amount_rules(ticks, volume, value, overshoot == "split", emit == "update")
        by_prints = judge_by(eligibility, daily=False)
        return lift(lambda: AmountBars(amount_rules, by_prints, counted))
    if overshoot != "split":
        raise ValueError("overshoot is an option of volume and of value")
    if of != "trades" and (eligibility is not None or late == "emit"):
        raise ValueError(f"eligibility and late='emit' are about trades, and of no use to of={of!r}")
    if of == "bars" and (empty == "flat" or clock == "recv"):
        raise ValueError("empty='flat' and clock='recv' are for what makes the small bars, not for of='bars'")
    if not isinstance(origin, int):
        raise TypeError(f"origin is a stamp, in whole nanoseconds as rtflow.time makes them, not {origin!r}")
    length, wait, ahead = _length(every), nanoseconds(grace), nanoseconds(tolerance)
    revising = nanoseconds(revise_for)
    if length <= 0:
        raise ValueError(f"a bar needs a positive length, not every={every!r}")
    if wait < 0 or ahead < 0:
        raise ValueError(f"grace and tolerance cannot be negative: grace={grace!r}, tolerance={tolerance!r}")
    if revising < 0:
        raise ValueError(f"revise_for cannot be negative, as {revise_for!r} is")
    if revising and empty == "flat":
        raise ValueError("a flat bar repeats a close that may be revised: revise_for needs empty='none'")
    stretches = _stretches(every, session, outside == "keep", origin)
    time_rules = TimeRules(
        length=length,
        grace=wait,
        revise_for=revising,
        tolerance=ahead,
        origin=origin,
        by_arrival=clock == "recv",
        flat=empty == "flat",
        updates=emit == "update",
        tells_late=late == "emit",
        stretches=stretches,
    )
    if of == "bars":
        return lift(lambda: BarsOfBars(time_rules, counted))
    if of != "trades":
        return lift(lambda: PriceBars(time_rules, of, counted))
    if eligibility is None and not revising and not (stretches is not None and stretches.joins):
        return lift(lambda: TimeBars(time_rules, counted))
    judge = judge_by(eligibility, daily=length >= _DAY)
    return lift(lambda: RevisedBars(time_rules, judge, counted))


_DAY = interval("1d")


def _length(every: Interval) -> int:
    """How long a bar is, by and large: for a month, it is enough to know that it is longer than a day."""
    units = calendar_units(every)
    return interval(every) if units is None or units[1] != "month" else units[0] * 30 * _DAY


def _stretches(every: Interval, session: Sessions | None, keeps: bool, origin: int) -> Stretches | None:
    """How the calendar cuts time, or None where stretches are all of one length."""
    units = calendar_units(every)
    if session is None:
        if keeps:
            raise ValueError("outside='keep' is an option of session")
        if units is None or units[1] == "day":
            return None
        session = around_the_clock()
    elif not isinstance(session, Sessions):
        raise TypeError(
            f"session= wants the Sessions of a market, as in Hours(…) or exchange(…), not {session!r}"
        )
    if origin:
        raise ValueError("the calendar says where bars begin: origin is for those of equal length")
    if units is None:
        return Stretches(session, length=interval(every), keeps=keeps)
    if units[1] == "day" and units[0] != 1:
        raise ValueError(
            f"sessions are joined into days, weeks and months, as by every='1d', not by {every!r}"
        )
    return Stretches(session, units=units, keeps=keeps)


def _amount_rules(
    ticks: int | None, volume: float | None, value: float | None, splits: bool, updates: bool
) -> AmountRules:
    measure: Literal["ticks", "volume", "value"]
    measure = "value" if value is not None else "ticks" if ticks is not None else "volume"
    amount = next(each for each in (ticks, volume, value) if each is not None)
    if measure == "ticks" and type(amount) is not int:
        raise ValueError(f"trades are counted in whole numbers, not by ticks={amount!r}")
    if measure == "ticks" and not splits:
        raise ValueError("overshoot is an option of volume and of value")
    if not 0 < amount < float("inf"):
        raise ValueError(f"a bar needs a positive amount, not {measure}={amount!r}")
    return AmountRules(measure, Decimal(str(amount)), splits and measure != "ticks", updates)
