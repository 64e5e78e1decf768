"""Google's Agent Development Kit: a memory as the memory service of a runner.

```python
runner = Runner(app_name="app", agent=agent, session_service=sessions,
                memory_service=MemkitMemoryService(memory))
```
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from memkit.errors import InvalidInput, MissingExtra

try:
    from google.adk.events import Event
    from google.adk.memory import BaseMemoryService
    from google.adk.memory.base_memory_service import SearchMemoryResponse
    from google.adk.memory.memory_entry import MemoryEntry
    from google.adk.sessions import Session
    from google.genai.types import Content, Part
except ModuleNotFoundError as error:
    raise MissingExtra(
        "Google's ADK is not installed: pip install 'memkit-llm[google-adk]'"
    ) from error

from memkit.integrations.session_items import without_blocks
from memkit.memory import Memory
from memkit.prompt import quote
from memkit.protocols import Window
from memkit.records import Hit, Role, Scope, Turn
from memkit.text.content import format_call

KEY = "google_adk"
_RECALLING = ("load_memory", "preload_memory")  # tools whose answers are recalled memories


class MemkitMemoryService(BaseMemoryService):  # type: ignore[misc]  # the package has no types here
    """Remembers the events of ADK's sessions, and finds them for the same app and user.

    An event is a turn: its text is searched, and the whole event is kept beside it (`events`). The
    app is the turn's agent. An event is stored once, however often its session is added. What a
    tool recalled from memory is not remembered again. The memory runs in threads; a cancelled call
    does not stop its thread, and events are stored all or not at all.

    Args:
        memory: the memory.
        k: most memories that a search returns.
    """

    def __init__(self, memory: Memory, *, k: int = 10) -> None:
        self._memory, self._k = memory, k

    async def add_session_to_memory(self, session: Session) -> None:
        """Remember the events of a session that are not remembered yet."""
        scope = _scope(session.app_name, session.user_id, session.id)
        await asyncio.to_thread(self._add, list(session.events), scope)

    async def add_events_to_memory(
        self,
        *,
        app_name: str,
        user_id: str,
        events: Sequence[Event],
        session_id: str | None = None,
        custom_metadata: Mapping[str, object] | None = None,
    ) -> None:
        """Remember some events of a session. Raises InvalidInput for `custom_metadata`."""
        if custom_metadata:
            raise InvalidInput("custom_metadata are not supported; leave them out")
        scope = _scope(app_name, user_id, session_id)
        await asyncio.to_thread(self._add, list(events), scope)

    async def search_memory(
        self, *, app_name: str, user_id: str, query: str
    ) -> SearchMemoryResponse:
        """Return what is most relevant to `query`, best first, each text as a quote.

        Role markers are escaped in it, because ADK's tools put it into a prompt.
        """
        scope = _scope(app_name, user_id, None)
        hits = await asyncio.to_thread(
            self._memory.recall, query, user_id=scope.user_id, agent_id=scope.agent_id, k=self._k
        )
        return SearchMemoryResponse(memories=[_to_entry(hit) for hit in hits])

    async def delete_memory(
        self, *, app_name: str, user_id: str, memory_id: str | None = None
    ) -> None:
        """Forget one memory of this app and user, by the id that a search returned."""
        if memory_id:
            scope = _scope(app_name, user_id, None)
            await asyncio.to_thread(self._forget, memory_id, scope)

    def events(self, *, app_name: str, user_id: str, session_id: str | None = None) -> list[Event]:
        """Return the remembered events as they were added, oldest first."""
        turns = self._memory.store.turns(_scope(app_name, user_id, session_id), Window())
        ordered = sorted(turns, key=lambda turn: turn.position or 0)
        return [
            Event.model_validate(turn.metadata[KEY]) for turn in ordered if KEY in turn.metadata
        ]

    def _add(self, events: list[Event], scope: Scope) -> None:
        turns = [turn for event in events if (turn := self._to_turn(event, scope)) is not None]
        # an event that was edited since has the id of another text
        stored = self._memory.store.turns(scope, Window(ids=[turn.id or "" for turn in turns]))
        ids = {turn.id for turn in stored}
        new = [turn for turn in turns if turn.id not in ids]
        if new:
            self._memory.remember(
                new, user_id=scope.user_id, agent_id=scope.agent_id, session_id=scope.session_id
            )

    def _to_turn(self, event: Event, scope: Scope) -> Turn | None:
        data = without_blocks(event.model_dump(mode="json", exclude_none=True), self._memory.signer)
        parts = (data.get("content") or {}).get("parts") or []
        text = "\n".join(filter(None, map(_part_text, parts)))
        if event.partial or not text.strip():
            return None
        key = json.dumps([scope.agent_id, scope.session_id, event.id])
        return Turn(
            id=uuid5(NAMESPACE_OID, key).hex, text=text.encode("utf-8", "replace").decode(),
            role=_role(event),
            name=None if event.author == "user" else event.author or None,
            said_at=datetime.fromtimestamp(event.timestamp, tz=UTC), metadata={KEY: data},
        )  # fmt: skip

    def _forget(self, memory_id: str, scope: Scope) -> None:
        turns = self._memory.store.turns(scope, Window(ids=[memory_id]))
        ids = [turn.id or "" for turn in turns]
        self._memory.forget(user_id=scope.user_id, turn_ids=ids)


def _scope(app_name: str, user_id: str, session_id: str | None) -> Scope:
    return Scope(user_id=user_id, agent_id=app_name or "", session_id=session_id)


def _role(event: Event) -> Role:
    if event.get_function_responses():
        return "tool"
    return "user" if event.author == "user" else "assistant"


def _part_text(part: Mapping[str, Any]) -> str:
    """Return what a part of an event says, shows or calls; "" for thoughts and for recall."""
    call, answer = part.get("function_call"), part.get("function_response")
    if part.get("thought"):
        return ""
    if call is not None:
        return (
            ""
            if call.get("name") in _RECALLING
            else format_call(call.get("name"), call.get("args") or {})
        )
    if answer is not None:
        recalled = answer.get("name") in _RECALLING
        return "" if recalled else json.dumps(answer.get("response"), ensure_ascii=False)
    if "text" in part:
        return str(part["text"])
    return f"[{next(iter(part), 'part')}]"


def _to_entry(hit: Hit) -> MemoryEntry:
    role = "user" if hit.role == "user" else "model"
    return MemoryEntry(
        id=hit.turn_ids[0], content=Content(role=role, parts=[Part(text=quote(hit.text))]),
        author=hit.name or hit.role, timestamp=hit.said_at.isoformat(),
    )  # fmt: skip
