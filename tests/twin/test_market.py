"""The market: trades, quotes and books agree, whatever the seed."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rtflow.time import SECOND
from rtflow.twin.market import LISTINGS, NEVER, Listing, Market, Move, decimal

SEEDS = st.integers(0, 1 << 32)
THIN = Listing("THIN/USD", 10_000, levels=4, size=1000)
BUSY: list[str | Listing] = ["BTC/USD", "AAPL", THIN]

Book = dict[int, int]


def book(market: Market, symbol: str) -> tuple[Book, Book]:
    bids, asks = market.book(symbol)
    return dict(bids.levels()), dict(asks.levels())


def books(market: Market) -> dict[str, tuple[Book, Book]]:
    return {symbol: book(market, symbol) for symbol in market.listings}


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_the_book_is_what_the_moves_say_and_never_crossed(seed: int) -> None:
    market = Market(seed, BUSY)
    naive = books(market)
    for _ in range(300):
        move = market.step()
        bids, asks = naive[move.symbol]
        for side, changes in ((bids, move.bids), (asks, move.asks)):
            for price, size in changes:
                side[price] = size
                if not size:
                    del side[price]
        assert book(market, move.symbol) == (bids, asks)
        assert min(bids) > 0
        assert (move.bid, move.ask) == (max(bids), min(asks))
        assert move.bid < move.ask
        assert (move.bid_size, move.ask_size) == (bids[move.bid], asks[move.ask])


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_a_trade_meets_the_touch_and_consumes_what_it_says(seed: int) -> None:
    market = Market(seed, BUSY)
    naive = books(market)
    last_id: dict[str, int] = {}
    for _ in range(400):
        move = market.step()
        bids, asks = naive[move.symbol]
        for fill in move.trades:
            assert fill.stamp == move.stamp
            assert fill.id == last_id.get(fill.symbol, fill.id - 1) + 1
            last_id[fill.symbol] = fill.id
            maker, best = (asks, min(asks)) if fill.side == 1 else (bids, max(bids))
            assert fill.price == best
            assert 0 < fill.size <= maker[best]
            maker[best] -= fill.size
            if not maker[best]:
                del maker[best]
        naive[move.symbol] = now = book(market, move.symbol)
        if move.trades:
            assert now == (bids, asks), "trades explain all of the change"
        elif not move.status:
            assert len(move.bids) + len(move.asks) <= 1, "one order, one level"


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_touched_says_whether_the_touch_differs(seed: int) -> None:
    market = Market(seed, ["SPY"])
    touch: tuple[int, ...] = ()
    for _ in range(200):
        move = market.step()
        now = (move.bid, move.bid_size, move.ask, move.ask_size)
        assert move.touched == (now != touch)
        touch = now


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.lists(st.integers(1, SECOND // 2), max_size=8))
def test_however_time_is_cut_the_moves_are_the_same(seed: int, spans: list[int]) -> None:
    whole, cut = Market(seed), Market(seed)
    moves: list[Move] = []
    for span in spans:
        moves += cut.until(cut.now + span)
    assert whole.until(sum(spans)) == moves
    assert whole.now == cut.now == sum(spans)


def test_one_seed_is_one_market_on_every_machine() -> None:
    moves = Market(11, start=1_790_000_000 * SECOND).until(1_790_000_005 * SECOND)
    assert (len(moves), zlib.crc32(repr(moves).encode())) == (1198, 2892387680)
    assert Market(12).until(SECOND) != Market(11).until(SECOND)


def test_what_else_is_listed_changes_nothing_for_a_symbol() -> None:
    alone = Market(5, ["ETH/USD"]).until(3 * SECOND)
    together = Market(5, ["AAPL", "ETH/USD", "BTC/USD"]).until(3 * SECOND)
    assert [each for each in together if each.symbol == "ETH/USD"] == alone


def test_stamps_ascend_and_busy_symbols_move_more() -> None:
    market = Market(3, ["BTC/USD", "DOGE/USD"])
    moves = market.until(60 * SECOND)
    assert all(a.stamp <= b.stamp for a, b in pairwise(moves))
    count: Callable[[str], int] = lambda symbol: sum(each.symbol == symbol for each in moves)  # noqa: E731
    assert 3000 < count("BTC/USD") < 4200
    assert 15 < count("DOGE/USD") < 50


def test_a_rate_makes_everything_busier() -> None:
    slow, fast = Market(3, ["BTC/USD"]), Market(3, ["BTC/USD"], rate=10.0)
    assert len(fast.until(SECOND * 5)) > 8 * len(slow.until(SECOND * 5))


def test_trades_take_both_sides_and_sometimes_several_levels() -> None:
    moves = Market(1, ["BTC/USD"]).until(60 * SECOND)
    sides = {fill.side for move in moves for fill in move.trades}
    assert sides == {1, -1}
    assert max(len(move.trades) for move in moves) > 1


def test_a_coin_uses_all_its_decimals_and_a_stock_shows_round_lots_at_least() -> None:
    market = Market(2, ["SOL/USD", "AAPL"])
    moves = market.until(60 * SECOND)
    bids, _ = market.book("SOL/USD")
    assert any(size % 10 for _, size in bids.levels())
    fills = [fill.size for move in moves if move.symbol == "AAPL" for fill in move.trades]
    assert any(size < 100 for size in fills), "odd lots trade"
    assert all(size >= 100 for side in market.book("AAPL") for _, size in side.levels()), "but are not shown"


def test_a_market_leans_back_to_where_it_opened() -> None:
    market = Market(4, ["GME"], rate=400.0)
    for _ in range(40_000):
        move = market.step()
        assert abs(move.bid - 2400) < 400


def test_a_side_keeps_about_as_many_levels_as_its_listing_says() -> None:
    market = Market(4, ["BTC/USD", THIN], rate=20.0)
    market.until(20 * SECOND)
    for symbol, low, high in (("BTC/USD", 230, 251), ("THIN/USD", 2, 5)):
        assert all(low <= len(side.levels()) <= high for side in market.book(symbol))


def test_a_halted_symbol_does_not_move_until_it_resumes() -> None:
    moves = Market(8, [Listing("TSLA", 250_00, lot=100, halts=3.0, tape="C")]).until(120 * SECOND)
    marks = [index for index, each in enumerate(moves) if each.status == "halted"]
    assert len(marks) > 5
    for index in marks[:-1]:
        assert moves[index + 1].status == "resumed"
        assert moves[index + 1].stamp - moves[index].stamp == 5 * SECOND
        assert not moves[index].bids + moves[index].asks
        assert not moves[index].touched


def test_after_its_steps_nothing_moves() -> None:
    market = Market(1, ["BTC/USD"], steps=3)
    assert len(market.until(SECOND)) == 3
    assert market.due == NEVER


def test_unknown_names_become_coins_and_stocks() -> None:
    market = Market(1, ["XRP/USD", "IBM"])
    assert not market.listings["XRP/USD"].stock
    assert market.listings["IBM"].stock
    assert set(Market().listings) == set(LISTINGS)


def test_levels_come_best_first() -> None:
    bids, asks = Market(1, ["BTC/USD"]).book("BTC/USD")
    assert bids.levels() == sorted(bids.levels(), reverse=True)
    assert asks.levels() == sorted(asks.levels())
    assert asks.levels(3) == asks.levels()[:3]


@pytest.mark.parametrize(
    ("listings", "reason"),
    [
        (["AAPL", "AAPL"], "twice"),
        ([Listing("A", 100)], "down to zero"),
        ([Listing("A", 100_00, levels=3)], "four levels"),
        ([Listing("A", 100_00, rate=0.0)], "rate"),
    ],
)
def test_a_listing_that_cannot_work_is_refused(listings: list[str | Listing], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Market(1, listings)


def test_decimal_text_has_all_its_places_and_no_exponent() -> None:
    assert [decimal(1, 8), decimal(0, 8), decimal(123456, 1), decimal(-5, 2), decimal(42, 0)] == [
        "0.00000001",
        "0.00000000",
        "12345.6",
        "-0.05",
        "42",
    ]


def test_flaws_are_printed_said_and_change_nothing_else() -> None:
    clean, flawed = Market(5, ["BTC/USD"]), Market(5, ["BTC/USD"], flaws=0.1)
    for move, other in zip(clean.until(60 * SECOND), flawed.until(60 * SECOND), strict=True):
        assert replace(move, trades=()) == replace(other, trades=())
        for fill, printed in zip(move.trades, other.trades, strict=True):
            flaw = flawed.flaws.get((fill.symbol, fill.id))
            assert replace(printed, price=fill.price, stamp=fill.stamp) == fill
            assert (printed.price != fill.price) == (flaw == "price")
            assert (printed.stamp != fill.stamp) == (flaw == "stamp")
            assert 0.029 < abs(printed.price / fill.price - 1) < 0.101 or flaw != "price"
            assert 2 * SECOND <= fill.stamp - printed.stamp <= 10 * SECOND or flaw != "stamp"
    assert {*flawed.flaws.values()} == {"price", "stamp"}
    assert clean.flaws == {}


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_of_flaws_is_a_share(share: float) -> None:
    with pytest.raises(ValueError, match="flaws are a share of all trades"):
        Market(flaws=share)
