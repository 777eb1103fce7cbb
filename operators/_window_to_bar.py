"""window_to_bar: trades to one bar per stretch of time, or per so much trading."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, overload

from rtflow.counters import Counters
from rtflow.events import Bar, Event, LateTrade
from rtflow.kernel import Lifted, lift
from rtflow.operators._bars_by_amount import AmountBars, AmountRules
from rtflow.operators._bars_by_time import TimeBars, TimeRules
from rtflow.operators._bars_revised import RevisedBars
from rtflow.operators._forming import Judge, Table, judge_by
from rtflow.time import Duration, Interval, interval, nanoseconds


@overload
def window_to_bar(
    every: Interval,
    *,
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
) -> Lifted[Event, Bar]: ...
@overload
def window_to_bar(
    every: Interval,
    *,
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
) -> Lifted[Event, Bar | LateTrade]: ...
@overload
def window_to_bar(
    *,
    ticks: int,
    emit: Literal["final", "update"] = ...,
    eligibility: Table | Judge | None = ...,
    counters: Counters | None = ...,
) -> Lifted[Event, Bar]: ...
@overload
def window_to_bar(
    *,
    volume: float,
    overshoot: Literal["split", "keep"] = ...,
    emit: Literal["final", "update"] = ...,
    eligibility: Table | Judge | None = ...,
    counters: Counters | None = ...,
) -> Lifted[Event, Bar]: ...
@overload
def window_to_bar(
    *,
    value: float,
    overshoot: Literal["split", "keep"] = ...,
    emit: Literal["final", "update"] = ...,
    eligibility: Table | Judge | None = ...,
    counters: Counters | None = ...,
) -> Lifted[Event, Bar]: ...


def window_to_bar(
    every: Interval | None = None,
    *,
    ticks: int | None = None,
    volume: float | None = None,
    value: float | None = None,
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
) -> Lifted[Event, Any]:
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

    **By amount.** A bar leaves with the trade that fills it: the ``ticks``-th, or the one that brings its
    volume to ``volume`` or its value (without its sign) to ``value``. Of a trade that is too large,
    ``overshoot="split"`` gives the bar exactly what it lacks, the rest to the next bars, so a trade may fill
    many; it counts as one where it begins, and not again. ``overshoot="keep"`` leaves it whole. Sums are
    exact in decimal and rounded once, so ten trades of 0.1 fill a volume of 1. Such a bar lies between the
    stamps of its trades, ``[first, last + 1)``; several may start at one stamp, in the order of arrival.
    ``gap=True``: something may be missing since the bar before. ``partial="end"``: the source completed, or
    the symbol was unsubscribed, before it was full. A bar waits for a price before it leaves. Of the options
    these are shared: ``emit``, ``eligibility`` and ``counters``; nothing is late, or put right.

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

    Raises ValueError for none or several of the four rules, a length or an amount that is not positive, an
    option of another rule, a negative ``grace``, ``revise_for`` or ``tolerance``, ``revise_for`` beside
    ``empty="flat"``, and for words that are none of the above.
    """
    for word, known in (
        (empty, ("none", "flat")),
        (emit, ("final", "update")),
        (late, ("count", "emit")),
        (clock, ("event", "recv")),
        (overshoot, ("split", "keep")),
    ):
        if word not in known:
            raise ValueError(f"{word!r} is none of {', '.join(map(repr, known))}")
    counted = Counters() if counters is None else counters
    if sum(rule is not None for rule in (every, ticks, volume, value)) != 1:
        raise ValueError("a bar ends by exactly one of every, ticks, volume and value")
    if every is None:
        if (grace, revise_for, empty, late, origin, clock, tolerance) != (
            0,
            0,
            "none",
            "count",
            0,
            "event",
            1,
        ):
            raise ValueError("an option of every is of no use to ticks, volume and value")
        amount_rules = _amount_rules(ticks, volume, value, overshoot == "split", emit == "update")
        return lift(lambda: AmountBars(amount_rules, judge_by(eligibility, daily=False), counted))
    if overshoot != "split":
        raise ValueError("overshoot is an option of volume and of value")
    length, wait, ahead = interval(every), nanoseconds(grace), nanoseconds(tolerance)
    revising = nanoseconds(revise_for)
    if length <= 0:
        raise ValueError(f"a bar needs a positive length, not every={every!r}")
    if wait < 0 or ahead < 0:
        raise ValueError(f"grace and tolerance cannot be negative: grace={grace!r}, tolerance={tolerance!r}")
    if revising < 0:
        raise ValueError(f"revise_for cannot be negative, as {revise_for!r} is")
    if revising and empty == "flat":
        raise ValueError("a flat bar repeats a close that may be revised: revise_for needs empty='none'")
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
    )
    if eligibility is None and not revising:
        return lift(lambda: TimeBars(time_rules, counted))
    judge = judge_by(eligibility, daily=length >= _DAY)
    return lift(lambda: RevisedBars(time_rules, judge, counted))


_DAY = interval("1d")


def _amount_rules(
    ticks: int | None, volume: float | None, value: float | None, splits: bool, updates: bool
) -> AmountRules:
    measure: Literal["ticks", "volume", "value"]
    measure = "value" if value is not None else "ticks" if ticks is not None else "volume"
    amount = next(each for each in (ticks, volume, value) if each is not None)
    if measure == "ticks" and not isinstance(amount, int):
        raise ValueError(f"trades are counted in whole numbers, not by ticks={amount!r}")
    if measure == "ticks" and not splits:
        raise ValueError("overshoot is an option of volume and of value")
    if not 0 < amount < float("inf"):
        raise ValueError(f"a bar needs a positive amount, not {measure}={amount!r}")
    return AmountRules(measure, Decimal(str(amount)), splits and measure != "ticks", updates)
