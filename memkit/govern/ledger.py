"""The ledger: every change of a memory as an event, in a chain of hashes. It has no content.

A hash covers the event and the hash before it, so an event that is edited, removed or moved breaks
the chain from there on. Whoever can write the file can also compute all hashes again, or cut off
the end: an anchor, which is the last hash kept elsewhere, shows that.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from memkit.errors import InvalidInput
from memkit.records import Event

_DIGEST_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The end of the chain at one time, to be kept outside of the memory."""

    seq: int
    hash: str


def digest(secret: bytes, value: str) -> str:
    """Return a digest of an id that says nothing without the memory's secret."""
    key = hashlib.blake2b(secret, digest_size=32).digest()
    return hashlib.blake2b(value.encode(), key=key, digest_size=_DIGEST_BYTES).hexdigest()


def seal(event: Event, previous: str) -> str:
    """Return the hash of an event after the one with the hash `previous`."""
    fields = [
        previous, event.seq, event.at, event.kind, event.user, event.source, event.policy,
        sorted(event.counts.items()), event.items,
    ]  # fmt: skip
    return hashlib.blake2b(json.dumps(fields).encode(), digest_size=32).hexdigest()


def find_faults(events: Iterable[Event], anchor: Anchor | None = None) -> Iterator[str]:
    """Yield one sentence per fault in the chain, and one if it does not go through `anchor`."""
    expected, previous, anchored = 1, "", anchor is None
    for event in events:
        if event.seq != expected:
            yield f"event {expected} is missing or was moved: the next one is {event.seq}"
        elif event.hash != seal(event, previous):
            yield f"event {event.seq} ({event.kind}, {event.at}) or the one before it was changed"
        if anchor is not None and event.seq == anchor.seq:
            anchored = event.hash == anchor.hash
        expected, previous = event.seq + 1, event.hash
    if not anchored and anchor is not None:
        yield f"the chain does not go through the anchor, event {anchor.seq}: {anchor.hash}"


def parse_anchor(text: str) -> Anchor:
    """Read an anchor from the JSON that `memkit audit anchor` writes."""
    try:
        data = json.loads(text)
        return Anchor(seq=int(data["seq"]), hash=str(data["hash"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f'an anchor is JSON with "seq" and "hash", as `memkit audit anchor` writes it: {error}'
        ) from error
