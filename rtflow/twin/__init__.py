"""Venue twins: a seeded market behind a real loopback WebSocket that speaks a venue's own protocol."""

from rtflow.twin.alpaca import AlpacaVenue
from rtflow.twin.angelone import AngelOneVenue
from rtflow.twin.binance import BinanceVenue
from rtflow.twin.coinbase import CoinbaseVenue
from rtflow.twin.ibkr import IbkrVenue
from rtflow.twin.kraken import KrakenVenue
from rtflow.twin.market import Listing, Market
from rtflow.twin.polygon import PolygonVenue
from rtflow.twin.server import Twin

__all__ = [
    "AlpacaVenue",
    "AngelOneVenue",
    "BinanceVenue",
    "CoinbaseVenue",
    "IbkrVenue",
    "KrakenVenue",
    "Listing",
    "Market",
    "PolygonVenue",
    "Twin",
]
