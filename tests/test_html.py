"""What a notebook shows of a book and of a bar, without any extra."""

from __future__ import annotations

import re

import pytest

from rtflow import Bar, OrderBook, html
from rtflow.book import _Questions


def cells(shown: str) -> list[str]:
    return re.findall(r"<td[^>]*>([^<]*)</td>", shown)


def test_a_book_shows_its_best_five_levels_of_each_side() -> None:
    book = OrderBook.of([(100.0 - n, 1000.5) for n in range(9)], [(101.0, 2.0)])
    shown = book._repr_html_()
    assert cells(shown)[:8] == ["1,000.5", "100.0", "101.0", "2.0", "1,000.5", "99.0", "–", "–"]
    assert len(cells(shown)) == 20
    assert "9 bids, 1 asks" in shown


def test_a_state_says_whose_it_is_and_how() -> None:
    book = OrderBook.of([(102.0, 1.0)], [(101.0, 2.0)])
    shown = book.view("<BTC>", 1, 2, "live", "kraken", exchange="x")._repr_html_()
    assert "<strong>&lt;BTC&gt;</strong> kraken x live crossed" in shown
    dead = OrderBook().view("BTC/USD", 1, 2, "suspect", reason="checksum")._repr_html_()
    assert "suspect checksum" in dead
    assert cells(dead) == []


def test_a_bar_is_one_row_with_its_marks() -> None:
    bar = Bar(
        "A", 0, 60, 1.0, 3.0, 1.0, 2.0, 1500.0, 2, 8.0, venue="kraken", gap=True, partial="end", final=False
    )
    shown = bar._repr_html_()
    assert "kraken, gap, partial end, forming" in shown
    assert cells(shown) == ["1970-01-01T00:00:00.000Z", "1.0", "3.0", "1.0", "2.0", "1,500.0", "2"]


def test_a_table_says_what_it_is_given() -> None:
    assert cells(html.table("a", "", ("b",), [["<c>"], [None]])) == ["&lt;c&gt;", "–"]


def test_what_can_be_asked_like_a_book_must_say_whose_it_is() -> None:
    with pytest.raises(NotImplementedError):
        _Questions()._heading()
