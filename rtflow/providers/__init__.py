"""The venues, one file each: ``from rtflow.providers import Kraken``."""

from rtflow.providers.alpaca import Alpaca
from rtflow.providers.kraken import Kraken

__all__ = ["Alpaca", "Kraken"]
