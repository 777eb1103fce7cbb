"""What IPython shows of a stream: that nothing flows yet, and how to look at it."""

from __future__ import annotations

import sys
from html import escape
from typing import Any

from reactivex import Observable

from rtflow.transport import Feed


def of_stream(stream: Observable[Any]) -> str:
    """A stream cannot tell what is in it before somebody listens; a feed can tell what it asks for."""
    hint = "nothing flows before somebody subscribes; <code>show.marbles(it)</code> watches it"
    if isinstance(stream, Feed):
        venue, wanted = type(stream.provider).__name__, escape(str(stream.wanted))
        return (
            f"<div><strong>Feed of {venue}</strong> {wanted}, connections so far {stream.epoch}: {hint}</div>"
        )
    return f"<div><strong>{type(stream).__name__}</strong>: {hint}</div>"


def register() -> None:
    """Tell IPython, where it runs."""
    if "IPython" in sys.modules:
        shell: Any = sys.modules["IPython"].get_ipython()
        if shell is not None:
            shell.display_formatter.formatters["text/html"].for_type(Observable, of_stream)


register()
