"""The state of a memory as its page shows it."""

from collections import deque
from collections.abc import Iterator

from memkit.govern.ledger import digest, find_faults
from memkit.memory import Memory
from memkit.records import Event
from memkit.server.page import views
from memkit.server.page.views import Json

_RECENT = 30  # events


def examine(memory: Memory, user_id: str) -> Json:
    """Return counts, faults of the memory, faults of the ledger, and the user's latest events.

    The faults of a memory of several users may name the others: they are counted, not shown.
    """
    user = digest(memory.store.secret, user_id)
    recent: deque[Event] = deque(maxlen=_RECENT)
    count = 0

    def events() -> Iterator[Event]:
        nonlocal count
        for event in memory.store.events():
            count += 1
            if event.user == user:
                recent.append(event)
            yield event

    ledger_faults = list(find_faults(events()))
    return {
        "stats": memory.stats(user_id=user_id),
        "embedder": str(memory.embedder.fingerprint),
        "faults": _faults(memory, user_id),
        "ledger": {"events": count, "faults": ledger_faults},
        "recent": [views.event_to_json(event) for event in reversed(recent)],
    }


def _faults(memory: Memory, user_id: str) -> list[str]:
    faults = memory.doctor()
    if not faults or set(memory.users()) <= {user_id}:
        return faults
    number = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return [f"{number} in the memory of all users; `memkit doctor` shows them"]
