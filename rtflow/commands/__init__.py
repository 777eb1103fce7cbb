"""What the ``rtflow`` command can do, one file each: thin pipelines of the operators."""

from rtflow.commands._app import app
from rtflow.commands._bars import bars
from rtflow.commands._book import book
from rtflow.commands._demo import demo
from rtflow.commands._doctor import doctor
from rtflow.commands._providers import providers
from rtflow.commands._record import record
from rtflow.commands._replay import replay
from rtflow.commands._stream import stream
from rtflow.commands._twin import twin

__all__ = ["app", "bars", "book", "demo", "doctor", "providers", "record", "replay", "stream", "twin"]
