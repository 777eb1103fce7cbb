"""shards: which topics go over which connection, where one cannot carry them all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from rtflow.errors import Unsupported
from rtflow.provider import Room, Subscription, Topic


def spread(
    wanted: Subscription, shards: Sequence[Subscription], room: Room | None
) -> tuple[Subscription, ...]:
    """What is ``wanted``, by connection: what is served already stays where it is in ``shards``.

    The topics of one symbol go over one connection. A new one begins where the others are full; one that has
    become empty keeps its place. Without a ``room`` there is one connection for everything.

    >>> first = spread(Subscription.of(trades=["A", "B", "C"]), (), Room(2))
    >>> [shard.symbols("trades") for shard in first]
    [('A', 'B'), ('C',)]
    >>> [shard.symbols("trades") for shard in spread(Subscription.of(trades=["B", "C", "D"]), first, Room(2))]
    [('B', 'D'), ('C',)]

    Raises Unsupported where that takes more connections than the venue allows.
    """
    if room is None:
        return (wanted,)
    kept = [_still(each, wanted) for each in shards] or [Subscription()]
    served = frozenset[Topic]().union(*(each.topics for each in kept))
    sides = [next(map(room.apart, each.topics), None) for each in kept]  # None goes with anything
    loads = [_load(each, room) for each in kept]
    homes = {place: number for number, each in enumerate(kept) for place in _placed(each.topics, room)}
    added: dict[int, set[Topic]] = defaultdict(set)
    for place, topics in sorted(_placed(wanted.topics - served, room).items()):
        side, load = place[0], room.weigh(frozenset(topics))
        numbers = [homes[place]] if place in homes else range(len(loads))
        fits = (each for each in numbers if loads[each] + load <= room.topics)
        number = next((each for each in fits if sides[each] in (None, side)), None)
        if number is None:
            number = len(loads)
            loads.append(0)
            sides.append(side)
        sides[number] = side
        loads[number] += load
        added[number] |= topics
    if room.connections is not None and len(loads) > room.connections:
        raise Unsupported(
            f"{len(wanted.topics)} topics take {len(loads)} connections, as {room.topics} go over each; the "
            f"venue allows {room.connections}"
        )
    kept += [Subscription()] * (len(loads) - len(kept))
    return tuple(
        each | Subscription(frozenset(added[at])) if at in added else each for at, each in enumerate(kept)
    )


def _still(shard: Subscription, wanted: Subscription) -> Subscription:
    """The same object, where nothing of it has to go."""
    return shard if shard.topics <= wanted.topics else Subscription(shard.topics & wanted.topics)


def _load(shard: Subscription, room: Room) -> int:
    return sum(room.weigh(frozenset(topics)) for topics in _placed(shard.topics, room).values())


def _placed(topics: Iterable[Topic], room: Room) -> dict[tuple[str, str], set[Topic]]:
    """What has to go over one connection, by side and symbol."""
    placed: dict[tuple[str, str], set[Topic]] = defaultdict(set)
    for topic in topics:
        placed[room.apart(topic), topic[1]].add(topic)
    return placed
