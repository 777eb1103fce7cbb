"""Venue twins: a seeded market behind a real loopback WebSocket that speaks a venue's own protocol."""

from rtflow.twin.market import Listing, Market
from rtflow.twin.server import Twin

__all__ = ["Listing", "Market", "Twin"]
