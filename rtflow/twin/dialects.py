"""Which venues have a twin."""

from __future__ import annotations

from rtflow.twin.alpaca import AlpacaVenue
from rtflow.twin.kraken import KrakenVenue
from rtflow.twin.venue import Venue

DIALECTS: dict[str, type[Venue]] = {
    "alpaca": AlpacaVenue,
    "kraken": KrakenVenue,
}
"""Every dialect by the name of its venue."""
