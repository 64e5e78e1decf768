"""The routes of the page: its files, and a JSON API about the memory of one person.

Every request of the API is about the user that `user_of` returns for it; no route takes a user's
id. Ids of turns and thoughts are in queries and bodies, because they may hold any character.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from memkit.embedders import embed_checked
from memkit.errors import InvalidInput
from memkit.memory import Memory
from memkit.protocols import Window
from memkit.records import Scope
from memkit.retrieval.chunk_attention import attend_to_dialogue
from memkit.server.page import forms, views
from memkit.server.page.beliefs import believed_before
from memkit.server.page.deletion import forget, preview
from memkit.server.page.health import examine
from memkit.server.page.responses import PageRoute, static_file, static_files
from memkit.server.page.transfer import export_response, import_body
from memkit.server.page.views import Json

UserOf = Callable[[Request], str]
_MOST_VERSIONS = 50  # of each summary
_MOST_SESSIONS = 1_000

_api = APIRouter(route_class=PageRoute)


@dataclass(frozen=True, slots=True)
class _Person:
    """A memory, and whose part of it a request is about."""

    memory: Memory
    user_id: str

    @property
    def scope(self) -> Scope:
        return Scope(user_id=self.user_id)


def _person(request: Request) -> _Person:
    person = request.state.person
    assert isinstance(person, _Person)
    return person


Person = Annotated[_Person, Depends(_person)]
Id = Annotated[str, Query(min_length=1, max_length=1_000)]
MaybeId = Annotated[str | None, Query(min_length=1, max_length=1_000)]


def routes(memory: Memory, user_of: UserOf) -> APIRouter:
    """Return a router with the memory page at "/" and its API below "/api".

    Args:
        memory: the memory; it stays open while the app runs.
        user_of: returns whose memory a request is about. It raises `HTTPException` with status 401
            for a request without a valid credential and 403 for one that may not see the memory.

    Include it under any prefix: `app.include_router(routes(memory, user_of), prefix="/memory")`.
    The page sends its credential as a Bearer token: that in the fragment of its URL, or one that
    the person types. Its files are public; they hold no data.
    """

    def bind(request: Request) -> None:
        request.state.person = _Person(memory, user_of(request))

    router = APIRouter(route_class=PageRoute)
    router.include_router(_api, prefix="/api", dependencies=[Depends(bind)])
    router.include_router(_file_routes())
    return router


def _file_routes() -> APIRouter:
    """Return a route for each file, so that an app with the page at its root keeps its own."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    router.add_api_route("/", partial(static_file, "index.html"), response_class=Response)
    for name in static_files():
        router.add_api_route(f"/{name}", partial(static_file, name), response_class=Response)
    return router


# ---- what was said


@_api.get("/overview")
def overview(person: Person) -> Json:
    """Return who this is, how much there is, and the conversations."""
    sessions = person.memory.store.sessions(person.scope)
    return {
        "user_id": person.user_id,
        "stats": person.memory.stats(user_id=person.user_id),
        "sessions": [
            {"id": item.id, "turns": item.turns, "last_said_at": item.last_said_at.isoformat()}
            for item in sessions[:_MOST_SESSIONS]
        ],
    }


@_api.get("/times")
def times(person: Person, session_id: MaybeId = None) -> Json:
    """Return when each turn was said, in seconds since 1970, in the order said."""
    turns = person.memory.turns(user_id=person.user_id, session_id=session_id)
    return {"times": [int(turn.said_at.timestamp()) for turn in turns if turn.said_at]}


@_api.get("/turns")
def turns(
    person: Person,
    session_id: MaybeId = None,
    from_end: Annotated[int, Query(ge=1, le=100_000_000)] = 50,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Json:
    """Return `limit` turns in the order said, the first of them `from_end` before the last."""
    scope = Scope(user_id=person.user_id, session_id=session_id)
    page = person.memory.store.turns(scope, Window(last=from_end))
    return {"turns": [views.turn_to_json(turn) for turn in islice(page, limit)]}


@_api.get("/turn")
def turn(person: Person, id: Id) -> Json:
    """Return a turn in full, and the thoughts that were drawn from it."""
    for turn in person.memory.store.turns(person.scope, Window(ids=[id])):
        thoughts = person.memory.thoughts(user_id=person.user_id)
        derived = [thought for thought in thoughts if id in thought.turn_ids]
        return {
            "turn": views.turn_to_json(turn, whole=True),
            "thoughts": views.thoughts_to_json(derived),
        }
    raise InvalidInput(f"there is no turn {id!r} any more; reload the page")


# ---- what is believed


@_api.get("/thoughts")
def thoughts(
    person: Person,
    *,
    state: Literal["holds", "doubted", "before"] = "holds",
    text: Annotated[str, Query(max_length=200)] = "",
    as_of: forms.MaybeTime = None,
    offset: Annotated[int, Query(ge=0, le=100_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> Json:
    """Return thoughts that hold, are in doubt or held before, the newest first."""
    current = person.memory.thoughts(user_id=person.user_id, as_of=as_of)
    doubted = [thought for thought in current if thought.doubt]
    groups = {"holds": [thought for thought in current if not thought.doubt], "doubted": doubted}
    if state == "before":
        groups["before"] = believed_before(person.memory, person.user_id)
    words = text.casefold()
    selected = [thought for thought in groups[state] if words in thought.text.casefold()]
    selected.sort(key=lambda thought: thought.valid_from, reverse=True)
    return {
        "thoughts": views.thoughts_to_json(selected[offset : offset + limit]),
        "total": len(selected),
        "counts": {name: len(group) for name, group in groups.items()},
    }


@_api.get("/thought")
def thought(person: Person, id: Id) -> Json:
    """Return a thought, all that it replaced and that replaced it, and the words it came from."""
    versions = person.memory.history(id, user_id=person.user_id)
    thought = next(version for version in versions if version.id == id)
    sources = person.memory.store.turns(person.scope, Window(ids=thought.turn_ids))
    return {
        "thought": views.thought_to_json(thought),
        "versions": views.thoughts_to_json(versions),
        "turns": [views.turn_to_json(turn) for turn in sources],
    }


@_api.post("/correct")
def correct(person: Person, form: forms.Correction) -> Json:
    """Replace a thought; forgetting the `turn_ids` of the new one takes that back."""
    new = person.memory.correct(form.id, form.text, user_id=person.user_id)
    return {"thought": views.thought_to_json(new)}


@_api.post("/retract")
def retract(person: Person, form: forms.Retraction) -> Json:
    """Mark a thought as wrong; `event` is the state before, for `undo`."""
    event = person.memory.checkpoint()
    person.memory.retract(form.id, user_id=person.user_id)
    return {"event": event}


@_api.post("/undo")
def undo(person: Person, form: forms.Undo) -> Json:
    """Give thoughts and summaries the state they had after an event."""
    rollback = person.memory.rollback(user_id=person.user_id, to=form.event)
    return {"thoughts": rollback.thoughts, "summaries": rollback.summaries}


@_api.get("/summaries")
def summaries(person: Person) -> Json:
    """Return the running summary and the summary of summaries, the newest version first."""
    store = person.memory.store
    return {
        "running": list(
            map(views.summary_to_json, islice(store.summaries(person.scope, 1), _MOST_VERSIONS))
        ),
        "overview": list(
            map(views.summary_to_json, islice(store.summaries(person.scope, 2), _MOST_VERSIONS))
        ),
    }


# ---- search


@_api.post("/search")
def search(person: Person, form: forms.Search) -> Json:
    """Return what a question recalls, and each signal's share."""
    hits = person.memory.recall(
        form.query, user_id=person.user_id, k=form.k, kind=form.kind, as_of=form.as_of,
        session_id=form.session_id, min_relevance="auto",
    )  # fmt: skip
    return {"hits": list(map(views.hit_to_json, hits))}


@_api.post("/attention")
def attention(person: Person, form: forms.Search) -> Json:
    """Return which chunks of dialogue a question opens. Cost: the cosines with all turns."""
    vector = embed_checked(person.memory.embedder, [form.query], queries=True)[0]
    scope = Scope(user_id=person.user_id, session_id=form.session_id)
    with person.memory.store.snapshot(scope, form.as_of) as snapshot:
        if not len(snapshot.timeline):
            raise InvalidInput("nothing was said by then, so there is nothing to attend to")
        return views.attention_to_json(attend_to_dialogue(snapshot, vector))


# ---- forgetting, moving, health


@_api.post("/forget")
def delete(person: Person, form: forms.Deletion) -> Json:
    """Say exactly what would go (`dry_run`), or delete it and return the receipt."""
    act = preview if form.dry_run else forget
    return act(person.memory, person.user_id, form.selection())


@_api.post("/import")
async def import_(
    person: Person, request: Request, name: Annotated[str, Query(max_length=1_000)]
) -> Json:
    """Remember a file: an export of memkit, or conversations."""
    return await import_body(person.memory, person.user_id, request, name)


@_api.get("/export")
def export(person: Person) -> Response:
    """Return all turns, thoughts and summaries as JSON lines."""
    return export_response(person.memory, person.user_id)


@_api.get("/health")
def health(person: Person) -> Json:
    """Count, check and verify. Cost: reads the whole memory once."""
    return examine(person.memory, person.user_id)
