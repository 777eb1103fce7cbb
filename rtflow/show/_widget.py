"""widget: what carries a view's messages to the browser; the only place that knows anywidget."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

try:
    import anywidget
    import traitlets
except ImportError as error:
    raise ImportError("a live view needs the extra: pip install 'rtflow[notebook]'") from error

from rtflow.show._picture import Message
from rtflow.show._theme import style

STATIC = Path(__file__).parent / "static"
BESIDE = {"candles": "lightweight-charts.standalone.production.js"}
"""What a script needs that is not ours, put before it unmodified."""


def widget(script: str, start: Message, asked: Callable[[], None]) -> Any:
    """A widget that begins with the message ``start``; ``asked`` is called when a browser wants all of it."""
    made = _kind(script)(start=start)

    def heard(_widget: object, content: object, _buffers: object) -> None:
        if content == "whole":
            asked()

    made.on_msg(heard)
    return made


@cache
def script_of(name: str) -> str:
    """One module that needs no other: ``name``'s, and before it what it imports from its own folder."""
    parts = [(STATIC / BESIDE[name]).read_text("utf-8")] if name in BESIDE else []
    own = (STATIC / f"{name}.js").read_text("utf-8")
    parts += [_bare((STATIC / file).read_text("utf-8")) for file in _IMPORT.findall(own)]
    return "\n".join([*parts, _IMPORT.sub("", own)])


_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.-]+)";\n', re.MULTILINE)


def _bare(module: str) -> str:
    return re.sub(r"^export ", "", module, flags=re.MULTILINE)


@cache
def _kind(script: str) -> Any:
    return type(
        f"Show{script.title()}",
        (_Widget,),
        {"_esm": script_of(script), "_css": style(), "__module__": __name__},
    )


class _Widget(anywidget.AnyWidget):
    """Messages to the browser go out as they are; only ``start`` is kept, for one that comes later."""

    start = traitlets.Dict().tag(sync=True)

    def tell(self, message: Message) -> None:
        """Send ``message``, its ``bytes`` beside it."""
        binary = {name: value for name, value in message.items() if isinstance(value, bytes)}
        plain = {name: value for name, value in message.items() if name not in binary}
        untyped: Any = self  # as ipywidgets is
        untyped.send({**plain, "binary": list(binary)}, list(binary.values()))

    def bundle(self) -> dict[str, Any]:
        """What a notebook shows it by."""
        mime = "application/vnd.jupyter.widget-view+json"
        return {mime: {"version_major": 2, "version_minor": 0, "model_id": self.model_id}}
