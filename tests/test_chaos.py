"""Whatever happens to a line, its books end as the venue's, and no trade is missing that nobody speaks of.

``RTFLOW_CHAOS=60`` has each run over real sockets take so many seconds; ``--hypothesis-profile=explore``
rehearses two thousand scenarios in virtual time. ``python -m tests.chaos`` prints the account of it all.
"""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtflow.events import Event, Gap, LateTrade, Trade
from rtflow.testing import unexplained
from rtflow.time import SECOND
from tests import chaos
from tests.chaos import SPEAKERS, SYMBOLS, Account, account_of, broken, flooded, rehearsed

SECONDS = float(os.environ.get("RTFLOW_CHAOS", "1"))
FEWER = settings().max_examples // 4


# -- in virtual time -------------------------------------------------------------------------------------

of = st.sampled_from(["", ", BTC/USD", ", ETH/USD"])
few, some = st.integers(1, 6), st.integers(1, 60).map(lambda tenths: tenths * 100)
noticeable = st.one_of(
    st.builds("drop({}{})".format, few, of),
    st.builds("duplicate({}{})".format, few, of),
    st.builds("reorder({})".format, few),
    st.builds("truncate({}{})".format, few, of),
    st.builds("delay({}ms)".format, some),
    st.builds("mute({}ms{})".format, some, of),
    st.just("cut"),
    st.builds("cut({}ms)".format, some),
    st.builds("refuse({}ms)".format, some),
)


def lines_of(fault: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    step = st.builds(lambda dashes, word: "-" * dashes + word, st.integers(0, 20), fault)
    return st.lists(step, min_size=1, max_size=7).map(" ".join)


changes = st.lists(
    st.tuples(
        st.floats(0.0, 20.0), st.sampled_from(["add", "remove"]), st.sampled_from(["SOL/USD", "ADA/USD"])
    ),
    max_size=4,
)


@given(lines_of(noticeable), st.integers(1, 1000), changes)
def test_nothing_is_lost_unsaid_and_every_book_is_the_venues_in_the_end(
    said: str, seed: int, wants: list[tuple[float, str, str]]
) -> None:
    account, _, _ = rehearsed(said, seed=seed, wants=wants)
    assert account.unexplained == []


@settings(max_examples=FEWER)
@given(lines_of(noticeable), st.integers(1, 1000))
def test_a_bar_that_says_it_is_whole_is_whole_or_a_later_gap_takes_that_back(said: str, seed: int) -> None:
    _, ledger, show = rehearsed(said, seed=seed)
    ids = {event.symbol: int(event.id) for event in ledger.trades()[::-1]}  # the first that came
    fills = [fill for fill in show.trades if fill.id >= ids.get(fill.symbol, 1 << 62)]
    holes = [event for event in ledger.events if isinstance(event, Gap) and event.ts_end is not None]
    came = {(event.symbol, int(event.id)) for event in ledger.trades()}
    late = {each.trade.id for each in ledger.events if isinstance(each, LateTrade)}
    for bar in ledger.bars:
        if bar.gap or bar.partial:
            continue
        within = [fill for fill in fills if fill.symbol == bar.symbol and bar.start <= fill.stamp < bar.end]
        if bar.count == len(within) or late:
            continue
        missing = [fill for fill in within if (fill.symbol, fill.id) not in came]
        for fill in missing:
            assert any(
                hole.ts_start - SECOND <= fill.stamp <= (hole.ts_end or 0)
                for hole in holes
                if fill.symbol in (hole.symbols or (fill.symbol,))
            ), f"{bar} lacks {fill}, and nothing says so"


@settings(max_examples=FEWER)
@given(lines_of(st.builds("corrupt({}, update)".format, few)), st.integers(1, 99))
def test_a_wrong_bit_never_makes_a_wrong_book_and_harms_no_other_message(said: str, seed: int) -> None:
    """Where nothing sums it up, a bit can make another id, symbol or price: of one message, and no more."""
    account, ledger, show = rehearsed(said, seed=seed)
    assert not [each for each in account.unexplained if "never came" not in each and "never sent" not in each]
    places = {symbol: 10**each.price_precision for symbol, each in show.venue.market.listings.items()}
    prices = {(fill.symbol, fill.id): fill.price / places[fill.symbol] for fill in show.trades}
    wrong = [each for each in ledger.trades() if prices.get((each.symbol, int(each.id))) != each.price]
    assert len(wrong) <= 4 * account.injected, "a message has four trades at most"


@pytest.mark.parametrize(
    "said", ["----------drop(1, trade)", "----------mute(2s, trade)", "----------reorder(9)"]
)
def test_what_a_venue_without_numbers_cannot_know_is_known_by_kraken(said: str) -> None:
    """The same streams, read as if trades had no ids, show which faults only numbers can tell."""
    account, ledger, show = rehearsed(said, seed=3)
    assert account.unexplained == []
    unnumbered = [event for event in ledger.events if not (isinstance(event, Gap) and event.kind == "trades")]
    sent = [(fill.symbol, fill.id) for fill in show.trades if fill.symbol in SYMBOLS]
    first = {trade.symbol: int(trade.id) for trade in ledger.trades()[::-1]}
    due = [(symbol, each) for symbol, each in sent if each >= first[symbol]]
    silent = unexplained(due, unnumbered)
    assert bool(silent) == ("reorder" not in said), silent


# -- over real sockets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPEAKERS)
def test_over_real_sockets_too(name: str) -> None:
    account = broken(name, seconds=SECONDS, seed=5)
    assert account.unexplained == []
    assert account.injected > 1
    assert account.delivered > 0
    assert account.longest_stop < 1.0


def test_a_flood_is_dropped_and_told_exactly_and_the_reader_never_waits() -> None:
    flood = flooded(max(1.0, SECONDS / 10))
    assert flood.complaints == []
    assert flood.entered >= 3 * flood.out, f"no flood: {flood}"
    assert flood.entered == flood.out + flood.dropped
    assert flood.dropped == flood.reported > 0
    assert flood.most_held <= flood.capacity + 1, "what waits, and what the subscriber is at"
    assert flood.overflowed == 0
    assert flood.fast == flood.entered


# -- the account itself ----------------------------------------------------------------------------------


def a_trade(number: int, symbol: str = "A") -> Trade:
    return Trade(symbol, number, number, 1.0, 1.0, id=str(number))


def test_the_account_adds_up_and_reads_as_a_sentence() -> None:
    events: list[Event] = [a_trade(1), Gap(1, 4, 1, 4, symbols=("A",), kind="trades"), a_trade(4), a_trade(6)]
    account = account_of(
        chaos.Ledger.of(events), [("A", each) for each in range(1, 8)], lambda each: int(each.id)
    )
    assert account == Account(
        sent=6, delivered=3, reported=2, unexplained=["A 5 never came, and nothing says so"]
    )
    both = account + Account(scenarios=2, injected=3, unnumbered=1, longest_stop=0.5)
    assert str(both) == (
        "2 scenarios, 3 faults; trades: 6 sent, 3 delivered, 2 reported lost, "
        "1 lost before a connection's first, unexplained: 1"
    )


def test_what_was_left_behind_is_named() -> None:
    before, leave = chaos.left_open(), threading.Event()
    thread = threading.Thread(target=leave.wait, name="rtflow-forgotten")
    thread.start()
    assert chaos.still_there(before) == ["thread rtflow-forgotten"]
    leave.set()
    thread.join()
    assert chaos.still_there(before) == []
