"""Which venues have a twin."""

from __future__ import annotations

from rtflow.twin.alpaca import AlpacaVenue
from rtflow.twin.angelone import AngelOneVenue
from rtflow.twin.binance import BinanceVenue
from rtflow.twin.coinbase import CoinbaseVenue
from rtflow.twin.ibkr import IbkrVenue
from rtflow.twin.kraken import KrakenVenue
from rtflow.twin.polygon import PolygonVenue
from rtflow.twin.venue import Venue

DIALECTS: dict[str, type[Venue]] = {
    "alpaca": AlpacaVenue,
    "angelone": AngelOneVenue,
    "binance": BinanceVenue,
    "coinbase": CoinbaseVenue,
    "ibkr": IbkrVenue,
    "kraken": KrakenVenue,
    "polygon": PolygonVenue,
}
"""Every dialect by the name of its venue."""
