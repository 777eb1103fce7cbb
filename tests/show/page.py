"""A page with live views in it, as a notebook has them, for a browser to draw and to be looked at.

::

    python -m tests.show.page views.html --theme dark
"""

from __future__ import annotations

import argparse
import base64
import json
from pathlib import Path
from typing import Any

from rtflow import operators as op
from rtflow import show
from rtflow.events import Trade
from rtflow.providers import Kraken
from rtflow.show._theme import style
from rtflow.show._view import View
from rtflow.show._widget import script_of
from rtflow.testing import Rehearsal, faults, venue


def views(seconds: float = 40.0) -> dict[str, View]:
    """One of each, of some time at a twin whose line is cut for some seconds."""
    kraken = Kraken()
    harm = faults.scenario("--------------------cut(4s)--|", every=1)
    twin = venue("kraken", seed=3, symbols="BTC/USD")
    line = Rehearsal(kraken, twin, faults=harm, trades="BTC/USD", books="BTC/USD")
    stream = line.pipe(op.retry_with_backoff(seed=1), op.normalize(kraken), op.broadcast())
    events: list[Any] = []
    bars: list[Any] = []
    books: list[Any] = []
    stream.subscribe(events.append, scheduler=line.scheduler)
    stream.pipe(op.window_to_bar(every=1)).subscribe(bars.append, scheduler=line.scheduler)
    stream.pipe(op.book_apply(depth=10)).subscribe(books.append, scheduler=line.scheduler)
    line.advance(seconds)
    trades = [each for each in events if isinstance(each, Trade)]
    some = [each for each in trades if each.ts_recv < trades[0].ts_recv + 3 * 10**9]
    dead = next(place for place, book in enumerate(books) if place and book.status != "live")
    return {
        "candles": show.candles(bars),
        "ladder": show.ladder(books),
        "depth": show.depth(books),
        "heatmap": show.heatmap(books, trades),
        "spread": show.spread(books),
        "tape": show.tape(events),
        "health": show.health(events),
        "marbles": show.marbles(trades=some, bars=bars[:3]),
        "text": show.marbles("--a--b-c--|", source="-x-y--#"),
        "dead": show.ladder(books[: dead + 1], depth=3),
        "empty": show.ladder([]),
    }


def page(shown: dict[str, View], *, theme: str = "light", width: int = 640) -> str:
    """The views below each other, ``width`` pixels wide; what came of it is in ``#found``."""
    parts = [_part(name, view) for name, view in shown.items()]
    paper = {"light": "#ffffff", "dark": "#15191f"}[theme]
    return (
        f'<!doctype html><meta charset="utf-8"><style>{style()}</style>'
        f'<body class="{theme}" style="margin:8px;background:{paper};width:{width}px">'
        "<script>window.wrong = []; window.onerror = (words) => { wrong.push(String(words)); };</script>"
        f'{"".join(parts)}<pre id="found" hidden></pre><script type="module">{_FOUND}</script>'
    )


_FOUND = """
let looks = 40;  // a busy machine paints late
const look = () => {
  const views = Object.fromEntries([...document.querySelectorAll(".rtflow")].map((view) => {
    const inks = [...view.querySelectorAll(".stage canvas")].map((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.reduce((sum, value, place) => sum + (place % 4 === 3 && value > 0), 0);
    });
    return [view.parentElement.id, {
      ink: Math.max(0, ...inks), room: view.clientWidth,
      wide: Math.max(view.scrollWidth,
        ...[...view.querySelectorAll(".stage *")].map((part) => part.clientWidth)),
      words: view.innerText, rows: view.querySelectorAll("tr").length,
    }];
  }));
  document.getElementById("found").textContent = JSON.stringify({ wrong, views });
  const painted = ({ ink, rows, words }) => ink > 500 || rows > 0 || words.includes("waiting");
  if (!Object.values(views).every(painted) && (looks -= 1)) setTimeout(look, 250);
};
setTimeout(look, 1500);
"""


def _part(name: str, view: View) -> str:
    whole, change = (_packed(view._picture.message(whole=part)) for part in (True, False))
    script = base64.b64encode(script_of(view._picture.script).encode()).decode()
    return f"""<div id="{name}" style="margin-bottom:14px"></div><script type="module">
import script from "data:text/javascript;base64,{script}";
const unpack = (message) => Object.fromEntries(Object.entries(message).map(([name, value]) => [
  name,
  value && value.bytes !== undefined
    ? new DataView(Uint8Array.from(atob(value.bytes), (each) => each.charCodeAt(0)).buffer) : value,
]));
let tell = () => {{}};
const whole = unpack({whole}), change = unpack({change});
const model = {{
  get: () => whole, on: (_, to) => {{ tell = to; }}, off() {{}}, send: () => tell(change, []),
}};
script.render({{ model, el: document.getElementById("{name}") }});
</script>"""


def _packed(message: dict[str, Any]) -> str:
    return json.dumps(message, default=lambda value: {"bytes": base64.b64encode(value).decode()}).replace(
        "</", "<\\/"
    )


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--theme", choices=["light", "dark"], default="light")
    options = parser.parse_args()
    options.path.write_text(page(views(), theme=options.theme, width=options.width), "utf-8")


if __name__ == "__main__":
    main()
