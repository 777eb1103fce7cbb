"""rtflow: a reactive dataflow pipeline for real-time market data.

::

    socket ─▶ Frame ─▶ (retry) ─▶ Trade · Quote · OrderBookUpdate · Gap ─▶ BookState · Bar ─▶ subscriber
      connect             op.normalize                      op.book_apply, op.window_to_bar
"""

from rtflow import operators
from rtflow.book import BookState, OrderBook, SpreadStats
from rtflow.columns import Columns
from rtflow.counters import Counters
from rtflow.engine import CallbackFailed, RealtimeEngine
from rtflow.errors import (
    DamagedTape,
    Disconnected,
    FeedError,
    MalformedFrame,
    Overflow,
    Rejected,
    RtflowError,
    SequenceBroken,
    Throttled,
    Unsupported,
)
from rtflow.events import (
    Anomaly,
    Bar,
    BestQuote,
    Event,
    Excluded,
    Frame,
    FrameKind,
    Gap,
    Imbalance,
    Instrument,
    LateTrade,
    Level,
    Lost,
    Malformed,
    Market,
    News,
    OrderBookUpdate,
    PriceBands,
    Quote,
    ReferencePrice,
    Rolled,
    Sample,
    Side,
    Stale,
    Status,
    Ticker,
    Trade,
    TradeCancel,
    TradeCorrection,
    TradingStatus,
    Vwap,
)
from rtflow.kernel import Kernel, Lifted, Operator, lift
from rtflow.operators._reconnections import Reconnected
from rtflow.player import replay
from rtflow.provider import Subscription
from rtflow.scheduler import Line, NanoScheduler
from rtflow.tape import record
from rtflow.ticks import WebSocketDataStream
from rtflow.transport import Feed, connect

__all__ = [
    "Anomaly",
    "Bar",
    "BestQuote",
    "BookState",
    "CallbackFailed",
    "Columns",
    "Counters",
    "DamagedTape",
    "Disconnected",
    "Event",
    "Excluded",
    "Feed",
    "FeedError",
    "Frame",
    "FrameKind",
    "Gap",
    "Imbalance",
    "Instrument",
    "Kernel",
    "LateTrade",
    "Level",
    "Lifted",
    "Line",
    "Lost",
    "Malformed",
    "MalformedFrame",
    "Market",
    "NanoScheduler",
    "News",
    "Operator",
    "OrderBook",
    "OrderBookUpdate",
    "Overflow",
    "PriceBands",
    "Quote",
    "RealtimeEngine",
    "Reconnected",
    "ReferencePrice",
    "Rejected",
    "Rolled",
    "RtflowError",
    "Sample",
    "SequenceBroken",
    "Side",
    "SpreadStats",
    "Stale",
    "Status",
    "Subscription",
    "Throttled",
    "Ticker",
    "Trade",
    "TradeCancel",
    "TradeCorrection",
    "TradingStatus",
    "Unsupported",
    "Vwap",
    "WebSocketDataStream",
    "connect",
    "lift",
    "operators",
    "record",
    "replay",
]
