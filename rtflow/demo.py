"""The demo: a twin in the background, a pipeline, and a terminal to watch it in."""

from __future__ import annotations

import threading

import reactivex
from rich.console import Console

from rtflow import operators as op
from rtflow.errors import RtflowError
from rtflow.events import Gap, Lost, Malformed, Status, Trade
from rtflow.provider import Provider
from rtflow.providers import Alpaca, Binance, Coinbase, Kraken
from rtflow.scheduler import wait
from rtflow.terminal import Item, Lines, Screen, View
from rtflow.transport import Feed, connect
from rtflow.twin import Twin

VENUES = {
    "alpaca": ("BTC/USD", "ETH/USD"),
    "binance": ("BTCUSDT", "ETHUSDT"),
    "coinbase": ("BTC-USD", "ETH-USD"),
    "kraken": ("BTC/USD", "ETH/USD"),
}
"""What is watched at each venue, as it spells it."""


def run(venue: str, *, seconds: float, seed: int, plain: bool, console: Console) -> None:
    """Serve ``venue``'s twin, watch it for ``seconds``, cut the connection half way, and sum up.

    ``plain`` prints a line per item, otherwise the terminal is redrawn ten times a second. Ctrl-C leaves
    early, with the same summary.
    """
    symbols = VENUES[venue]
    with Twin(venue, seed=seed, lifetime=seconds + 30) as twin:
        provider = _provider(venue, twin)
        feed = connect(provider, trades=symbols, books=symbols)
        title = f"{venue} twin"
        view: View = Lines(console) if plain else Screen(console, title, feed.counters, symbols=symbols)
        over, failures = threading.Event(), list[Exception]()

        def fail(error: Exception) -> None:
            failures.append(error)
            over.set()

        subscription = pipeline(feed, provider, seed=seed).subscribe(view.show, fail)
        try:
            with view.on():
                if not wait(over, seconds / 2):
                    twin.refuse(0.5)
                    twin.disconnect()
                    wait(over, seconds / 2)
                for error in failures:
                    if not isinstance(error, RtflowError):
                        raise error  # the terminal's: it is of no use to show it there
                    view.fail(error)
        except KeyboardInterrupt:
            pass  # leaving early is leaving: the summary below says what was seen
        finally:
            subscription.dispose()
        console.print(view.tally.summary(feed.counters, feed.epoch), soft_wrap=True, markup=False)


def pipeline(feed: Feed, provider: Provider, *, seed: int) -> reactivex.Observable[Item]:
    """Everything the demo shows, in one stream: the events, and the bars and books made of them."""
    counters = feed.counters
    return feed.pipe(
        op.retry_with_backoff(base=0.5, seed=seed),
        op.normalize(provider, counters=counters),
        op.together(
            op.only(Trade, Gap, Status),
            op.only(Lost, Malformed),
            op.window_to_bar(every=1, grace=0.1, counters=counters),
            op.book_apply(depth=10, emit="top", resync=feed.resync, counters=counters),
        ),
    )


def _provider(venue: str, twin: Twin) -> Provider:
    match venue:
        case "kraken":
            return Kraken(url=twin.url)
        case "coinbase":
            return Coinbase(url=twin.url)
        case "binance":
            return Binance(url=twin.url, rest_url=twin.rest_url)
        case _:
            return Alpaca("demo", "demo", feed="crypto/us", url=twin.url_of("/v1beta3/crypto/us"))
