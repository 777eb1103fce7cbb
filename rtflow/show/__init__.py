"""show: live views of a running pipeline, which are pictures for documents when it has ended.

A view is made of a stream (an ``Observable`` of events, books or bars) or of finished items (a list, one
book). Name it in a cell of JupyterLab, VS Code or marimo and it changes in place, ten times a second at
most; it stops when the cell runs again, when the stream ends, or at ``view.stop()``. Everywhere else, and
without the extra ``notebook``, the same view is a picture: ``view.svg()``, ``view.html()``,
``view.save("ladder.png")``.

    >>> from rtflow import OrderBook, show
    >>> book = OrderBook.of(bids=[(99.5, 2.0), (99.0, 5.0)], asks=[(100.5, 1.0)])
    >>> view = show.ladder(book)
    >>> "99.5" in view.svg()
    True
"""

from rtflow.show import _formatter as _formatter
from rtflow.show._candles import candles
from rtflow.show._depth import depth
from rtflow.show._health import health
from rtflow.show._heatmap import heatmap
from rtflow.show._ladder import ladder
from rtflow.show._marbles import marbles
from rtflow.show._spread import spread
from rtflow.show._tape import tape
from rtflow.show._view import View

__all__ = ["View", "candles", "depth", "health", "heatmap", "ladder", "marbles", "spread", "tape"]
