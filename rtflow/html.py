"""html: what a notebook shows of a value: a small table as text, which needs nothing and looks like the page.

>>> table("BTC/USD", "live", ("bid", "ask"), [("99.0", "101.0")]).count("<td")
2
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def table(title: str, note: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with a line above it; numbers with aligned figures, ``None`` as a dash."""
    heading = "".join(f'<th style="{_CELL}">{escape(column)}</th>' for column in columns)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{_said(each)}</td>' for each in row) + "</tr>" for row in rows
    )
    return (
        f"<div><strong>{escape(title)}</strong> {escape(note)}</div>"
        '<table style="border-collapse:collapse;font-variant-numeric:tabular-nums">'
        f"<thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table>"
    )


_CELL = "padding:1px 8px;text-align:right"


def _said(value: object) -> str:
    return "–" if value is None else escape(f"{value:,}" if isinstance(value, float) else str(value))
