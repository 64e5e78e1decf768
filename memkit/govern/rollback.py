"""Find the event that a rollback goes back to: by its number, its hash or a time."""

from collections.abc import Iterable
from datetime import datetime

from memkit.errors import AmbiguousId, InvalidInput
from memkit.records import Event, shorten, zoned

_SHORTEST = 6  # characters of the beginning of a hash


def find_event(events: Iterable[Event], to: int | str | datetime) -> Event:
    """Return the event with this number or hash, or the last one that is not after this time.

    Of a hash the first 6 characters are enough, if no other event's begins with them.

    Raises:
        InvalidInput: there is none.
        AmbiguousId: several hashes begin like that.
    """
    if isinstance(to, datetime):
        until = zoned(to, "to")
        matching = [event for event in events if datetime.fromisoformat(event.at) <= until][-1:]
    elif isinstance(to, str):
        if len(to) < _SHORTEST:
            raise InvalidInput(f"a hash needs at least {_SHORTEST} characters, got {to!r}")
        matching = [event for event in events if event.hash.startswith(to)]
    else:
        matching = [event for event in events if event.seq == to]
    if not matching:
        raise InvalidInput(
            f"the memory has no event {shorten(to)}; `memkit audit log` lists its events"
        )
    if len(matching) > 1:
        raise AmbiguousId(str(to), tuple(event.hash for event in matching))
    return matching[0]
