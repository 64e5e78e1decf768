"""What the contract suite of the stores is made of. A new store joins by one line in STORES."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memkit_sqlite.sqlite import SQLiteStore

from memkit.protocols import (
    Backend,
    Fingerprint,
    RecalledThought,
    ReflectionResult,
    Relation,
    Verdict,
    Window,
    WriteBatch,
)
from memkit.records import Chunk, Scope, Source, Summary, Thought, Turn
from memkit.testing import HashEmbedder

Open = Callable[[Fingerprint | None], Backend]

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
ANN, BOB = Scope(user_id="ann"), Scope(user_id="bob")
EMBEDDER = HashEmbedder()


def sqlite_file(folder: Path) -> Open:
    return lambda fingerprint: SQLiteStore(str(folder / "ann.db"), fingerprint)


def sqlite_encrypted(folder: Path) -> Open:
    pytest.importorskip("cryptography")
    return lambda fingerprint: SQLiteStore(str(folder / "ann.db"), fingerprint, key=bytes(32))


def sqlite_in_ram(_: Path) -> Open:
    return lambda fingerprint: SQLiteStore(":memory:", fingerprint)


ON_DISK: list[Callable[[Path], Open]] = [sqlite_file, sqlite_encrypted]
STORES: list[Callable[[Path], Open]] = [*ON_DISK, sqlite_in_ram]

every_store = pytest.fixture(params=STORES, ids=lambda make: make.__name__)


@every_store
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    made: Backend = request.param(tmp_path)(EMBEDDER.fingerprint)
    yield made
    made.close()


@pytest.fixture(params=ON_DISK, ids=lambda make: make.__name__)
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    made: Open = request.param(tmp_path)
    return made


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SQLiteStore]]:
    """Two connections to one file, for users of their own: `next(users)`."""
    path = tmp_path_factory.mktemp("timeline") / "ann.db"
    made = [SQLiteStore(str(path), EMBEDDER.fingerprint) for _ in "12"]
    yield made
    for store in made:
        store.close()


users = map("user{}".format, count())


def turn(id: str, text: str, **rest: Any) -> Turn:
    return Turn(**{"id": id, "text": text, "said_at": NOON, "stored_at": NOON, **rest})


def adding(*turns: Turn, **rest: Any) -> WriteBatch:
    """One chunk per turn, with the turn's own text."""
    chunks = [
        Chunk(
            id=f"{turn.id}/0", turn_id=str(turn.id), start=0, end=len(turn.text), text=turn.text,
            said_at=NOON,
        )
        for turn in turns
    ]  # fmt: skip
    vectors = EMBEDDER.embed([turn.text for turn in turns])
    return WriteBatch(turns=turns, chunks=chunks, vectors=vectors, **rest)


def texts(store: Backend, scope: Scope = ANN, **window: Any) -> list[str]:
    return [turn.text for turn in store.turns(scope, Window(**window))]


def nearest(
    store: Backend, text: str, scope: Scope = ANN, k: int = 10, until: datetime | None = None
) -> list[str]:
    """Return the texts of what is nearest, nearest first."""
    with store.snapshot(scope, until) as snapshot:
        places, _ = snapshot.nearest(EMBEDDER.embed([text])[0], k)
        return [match.turn.text for match in snapshot.chunks(places)]


def worded(
    store: Backend, text: str, scope: Scope = ANN, k: int = 10, until: datetime | None = None
) -> list[str]:
    """Return the texts of what has any of the words, in the order of the timeline."""
    with store.snapshot(scope, until) as snapshot:
        found = {place for word in text.split() for place in snapshot.postings(word).tolist()}
        places = np.array(sorted(found)[:k], dtype=np.int64)
        return [match.turn.text for match in snapshot.chunks(places)]


def told(store: Backend, scope: Scope = ANN, until: datetime | None = None) -> list[list[str]]:
    """Return the texts of the timeline's chunks, session by session."""
    with store.snapshot(scope, until) as snapshot:
        found: dict[int, list[str]] = {}
        sessions = snapshot.timeline.sessions
        for session, match in zip(sessions, snapshot.chunks(np.arange(len(sessions))), strict=True):
            found.setdefault(int(session), []).append(match.turn.text[match.start : match.end])
    assert list(found) == list(range(len(found)))
    return list(found.values())


SIGNALS = pytest.mark.parametrize("signal", [nearest, worded])
Signal = Callable[..., list[str]]


def summary(through: int, sources: Sequence[str], level: Any = 1) -> Summary:
    return Summary(
        id=f"S{level}/{through}", text=f"the first {through}", level=level, through=through,
        tokens=3, sources=tuple(sources), created_at=NOON,
    )  # fmt: skip


def thought(id: str, text: str, turn_id: str, **rest: Any) -> Thought:
    said: dict[str, Any] = {"said_by": "user", "role": "user", "said_at": NOON}
    times = {"repeated_at": NOON, "valid_from": NOON, "recorded_at": NOON}
    start = rest.pop("start", 0)
    source = Source(turn_id=turn_id, start=start, end=start + 1)
    return Thought(**{"id": id, "text": text, "sources": (source,), **said, **times, **rest})


def reflection(turns: Sequence[str], *thoughts: Thought, **rest: Any) -> WriteBatch:
    """What a thinker drew from these turns, embedded unless vectors are given."""
    vectors = EMBEDDER.embed([thought.text for thought in thoughts]) if thoughts else None
    given = {"turns": turns, "thoughts": thoughts, "vectors": vectors, **rest}
    return WriteBatch(reflection=ReflectionResult(**given))


def verdict(older_id: str, newer_id: str, relation: Relation) -> Verdict:
    return Verdict(older_id=older_id, newer_id=newer_id, relation=relation)


def concluded(
    store: Backend, text: str, scope: Scope = ANN, k: int = 10, until: datetime | None = None
) -> list[RecalledThought]:
    """Return the thoughts nearest to a text."""
    with store.snapshot(scope, until) as snapshot:
        return snapshot.thoughts(EMBEDDER.embed([text])[0], k)


class Midway(Exception):
    pass
