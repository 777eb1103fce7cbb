"""The venues, one file each: ``from rtflow.providers import Kraken``."""

from rtflow.providers.alpaca import Alpaca
from rtflow.providers.angelone import AngelOne
from rtflow.providers.binance import Binance
from rtflow.providers.coinbase import Coinbase, CoinbaseExchange
from rtflow.providers.ibkr import InteractiveBrokers
from rtflow.providers.kraken import Kraken
from rtflow.providers.polygon import Polygon

__all__ = [
    "Alpaca",
    "AngelOne",
    "Binance",
    "Coinbase",
    "CoinbaseExchange",
    "InteractiveBrokers",
    "Kraken",
    "Polygon",
]
