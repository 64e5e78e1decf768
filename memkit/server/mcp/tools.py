"""The tools: one user's memory, as a model calls it. Each public method of `MemoryTools` is one."""

from collections.abc import Callable
from inspect import getdoc
from typing import Annotated, Any

from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import AwareDatetime, Field, Json

from memkit.errors import InvalidInput
from memkit.memory import Memory
from memkit.protocols import Window
from memkit.records import Hit, Receipt, Scope, Thought, Turn
from memkit.server.mcp import results
from memkit.server.mcp.results import Added, Block, DeletionReceipt, Item, Items, Kind

_MAX_NAMED = 5  # ids that an error names
_MAX_PREVIEW = 10  # turns that a dry run quotes

# what a tool takes: bounded, so that one call cannot ask for the whole memory
Id = Annotated[str, Field(min_length=1, max_length=1000)]
Ids = Annotated[list[Id], Field(min_length=1, max_length=1000)]
Text = Annotated[str, Field(min_length=1, max_length=1_000_000)]
Query = Annotated[str, Field(min_length=1, max_length=20_000)]
Session = Annotated[
    Annotated[str, Field(min_length=1, max_length=1000)] | None,
    Field(description="Only this conversation. Leave it out for all of them."),
]
Time = AwareDatetime
Since = Annotated[Time | None, Field(description="Only what was said at this time or later.")]
Until = Annotated[Time | None, Field(description="Only what was said at this time or earlier.")]


class MemoryTools:
    """The memory of one user. Every method may run in a thread of its own."""

    def __init__(self, memory: Memory, user_id: str) -> None:
        self._memory, self._user_id = memory, user_id

    # ---- in

    def add_memory(
        self,
        *,
        text: Annotated[Text, Field(description="The words as they were said, in full.")],
        role: Annotated[
            str, Field(pattern="^(user|assistant)$", description="Who said it: user or assistant.")
        ] = "user",
        name: Annotated[Id | None, Field(description="The speaker's name, if known.")] = None,
        session_id: Annotated[
            Id | None, Field(description="The conversation it belongs to, new or existing.")
        ] = None,
        said_at: Annotated[
            Time | None, Field(description="When it was said. Default: now.")
        ] = None,
        pasted: Annotated[
            bool,
            Field(description="True if the speaker copied it from a page, a mail or a file."),
        ] = False,
        id: Annotated[
            Id | None, Field(description="The same id with the same text again adds nothing.")
        ] = None,
    ) -> Annotated[CallToolResult, Added]:
        """Remember what was said. Pass the speaker's own words, one message per call.

        Facts, plans and changes in them are concluded from it in the background.
        """
        if not text.strip():
            raise InvalidInput("text is empty; pass what was said")
        message: dict[str, Any] = {"role": role, "content": text, "name": name, "id": id}
        message |= {"origin": "pasted"} if pasted else {}
        message |= {} if said_at is None else {"timestamp": said_at}
        ids = self._memory.remember(message, user_id=self._user_id, session_id=session_id)
        stored = [results.escape_line(turn_id) for turn_id in ids]
        line = f"Remembered as {', '.join(stored)}." if ids else (
            "Nothing was stored: the text is a memory block, which is in the memory already."
        )  # fmt: skip
        return results.make_result(line, Added(ids=stored))

    # ---- out

    def search_memories(
        self,
        *,
        query: Annotated[Query, Field(description="What to look for: a question or words.")],
        k: Annotated[int, Field(ge=1, le=50, description="Most memories to return.")] = 10,
        kind: Annotated[
            Kind, Field(description="turn: what was said. thought: what was concluded from it.")
        ] = "turn",
        session_id: Session = None,
        as_of: Annotated[Time | None, Field(description="Only what was said by then.")] = None,
        min_relevance: Annotated[
            float, Field(ge=0, le=1, description="Leave out less relevant memories.")
        ] = 0.0,
    ) -> Annotated[CallToolResult, Items]:
        """Search the memory; the most relevant memories come first."""
        self._check_session(session_id)
        hits = self._memory.recall(
            query, user_id=self._user_id, k=k, kind=kind, session_id=session_id, as_of=as_of,
            min_relevance=min_relevance,
        )  # fmt: skip
        items = [item for hit in hits if (item := self._hit_to_item(hit))]
        head = f"{len(items)} found, best first." if items else "Nothing found."
        return results.make_result(results.list_items(head, items), Items(memories=items))

    def get_context(
        self,
        query: Annotated[Query, Field(description="The question or message to answer.")],
        budget_tokens: Annotated[int, Field(ge=50, le=20_000, description="Most tokens.")] = 1500,
        session_id: Session = None,
    ) -> Annotated[CallToolResult, Block]:
        """Get what helps to answer a message: summary, what holds now, and quotes, as one block."""
        self._check_session(session_id)
        context = self._memory.context(
            query, user_id=self._user_id, budget_tokens=budget_tokens, session_id=session_id
        )
        ids = [results.escape_line(turn_id) for hit in context.hits for turn_id in hit.turn_ids]
        block = Block(text=context.text, tokens=context.tokens, turn_ids=ids)
        return results.make_result(context.text or "The memory has nothing about it.", block)

    def list_memories(
        self,
        *,
        kind: Annotated[
            Kind, Field(description="turn: what was said. thought: what holds now.")
        ] = "turn",
        session_id: Session = None,
        since: Since = None,
        until: Until = None,
        limit: Annotated[int, Field(ge=1, le=100, description="Most memories to return.")] = 20,
        offset: Annotated[int, Field(ge=0, le=100_000, description="How many to skip.")] = 0,
    ) -> Annotated[CallToolResult, Items]:
        """List memories, the newest first."""
        self._check_session(session_id)
        end = offset + limit
        if kind == "turn":
            turns = list(
                self._memory.turns(
                    user_id=self._user_id, session_id=session_id, since=since, until=until,
                    last=end + 1,
                )
            )[::-1]  # fmt: skip
            items, total = [results.turn_to_item(turn) for turn in turns[offset:end]], len(turns)
        else:
            thoughts = [
                thought
                for thought in self._memory.thoughts(user_id=self._user_id, session_id=session_id)
                if (since is None or thought.said_at >= since)
                and (until is None or thought.said_at <= until)
            ][::-1]
            items = [results.thought_to_item(thought) for thought in thoughts[offset:end]]
            total = len(thoughts)
        more = total > end
        head = f"{len(items)} {kind}s, the newest first{'; there are more' if more else ''}."
        return results.make_result(
            results.list_items(head, items), Items(memories=items, more=more)
        )

    def get_memory(
        self, id: Annotated[Id, Field(description="The id of a turn or a thought.")]
    ) -> Annotated[CallToolResult, Item]:
        """Get one memory in full, with since when it holds and what it was concluded from."""
        memory = self._find(id)
        item = (
            results.turn_to_item(memory, results.MAX_WHOLE_TEXT)
            if isinstance(memory, Turn)
            else results.thought_to_item(memory)
        )
        return results.make_result(results.list_items("One memory.", [item]), item)

    # ---- changes

    def correct_memory(
        self,
        id: Annotated[Id, Field(description="The id of a thought.")],
        text: Annotated[Text, Field(description="What holds instead, in a sentence.")],
    ) -> Annotated[CallToolResult, Item]:
        """Correct a thought that is wrong or no longer holds; the old one stays in its history.

        Turns are what was said and cannot be corrected, only deleted.
        """
        memory = self._find(id)
        if isinstance(memory, Turn):
            raise InvalidInput(self._explain_turn(id))
        item = results.thought_to_item(self._memory.correct(id, text, user_id=self._user_id))
        return results.make_result(results.list_items("Corrected to:", [item]), item)

    def delete_memory(
        self, id: Annotated[Id, Field(description="The id of a turn or a thought.")]
    ) -> Annotated[CallToolResult, DeletionReceipt]:
        """Delete one memory for good, with all that was concluded from it.

        Deleting a thought deletes the turns it was concluded from. Ask the user first. To say that
        something no longer holds, use correct_memory.
        """
        memory = self._find(id)
        turn_ids = [id] if isinstance(memory, Turn) else memory.turn_ids
        return self._show(self._memory.forget(user_id=self._user_id, turn_ids=turn_ids))

    def forget(
        self,
        *,
        query: Annotated[
            Query | None, Field(description="What this question recalls, at most 50 turns.")
        ] = None,
        session_id: Session = None,
        since: Since = None,
        until: Until = None,
        turn_ids: Ids | Json[Ids] | None = None,  # some hosts send a list as a string
        everything: Annotated[bool, Field(description="All that this user ever said.")] = False,
        dry_run: Annotated[
            bool, Field(description="True: only report what would be deleted. False: delete it.")
        ] = True,
    ) -> Annotated[CallToolResult, DeletionReceipt]:
        """Delete many memories for good; all conditions must hold. Returns a receipt.

        Call it with dry_run first, show the user what would be deleted, and call it again with
        dry_run=false only if the user agrees. turn_ids and everything allow no other condition.
        """
        self._check_session(session_id)
        receipt = self._memory.forget(
            user_id=self._user_id, query=query, session_id=session_id, since=since, until=until,
            turn_ids=turn_ids, everything=everything, dry_run=dry_run,
        )  # fmt: skip
        return self._show(receipt)

    # ---- shared

    def _show(self, receipt: Receipt) -> CallToolResult:
        text = results.describe_receipt(receipt)
        if receipt.dry_run and receipt.turn_ids:
            window = Window(ids=receipt.turn_ids[:_MAX_PREVIEW])
            turns = self._memory.store.turns(Scope(user_id=self._user_id), window)
            text = results.list_items(text, [results.turn_to_item(turn) for turn in turns])
        return results.make_result(text, results.receipt_to_data(receipt))

    def _hit_to_item(self, hit: Hit) -> Item | None:
        """Return a hit as data; None if it is a thought that was deleted meanwhile."""
        if hit.thought_id is None:
            return results.hit_to_item(hit)
        thought = self._find_thought(hit.thought_id)
        if thought is None:
            return None
        return results.thought_to_item(thought, round(hit.relevance, 4))

    def _find(self, memory_id: str) -> Turn | Thought:
        """Return the turn or thought with this id; raise InvalidInput if there is none."""
        scope = Scope(user_id=self._user_id)
        for turn in self._memory.store.turns(scope, Window(ids=[memory_id])):
            return turn
        thought = self._find_thought(memory_id)
        if thought is None:
            raise InvalidInput(
                f"there is no memory {memory_id!r}; search_memories and list_memories return ids"
            )
        return thought

    def _find_thought(self, thought_id: str) -> Thought | None:
        versions = self._memory.store.history(Scope(user_id=self._user_id), thought_id)
        return next((version for version in versions if version.id == thought_id), None)

    def _explain_turn(self, turn_id: str) -> str:
        """Return the error for a turn that should be corrected: which thoughts can be."""
        thoughts = self._memory.thoughts(user_id=self._user_id)
        ids = [thought.id for thought in thoughts if turn_id in thought.turn_ids]
        if ids:
            todo = f"correct what was concluded from it: {', '.join(ids[:_MAX_NAMED])}"
        else:
            todo = "add_memory what holds instead, or delete_memory it"
        return f"{turn_id!r} is a turn, and turns stay as they were said; {todo}"

    def _check_session(self, session_id: str | None) -> None:
        """Raise InvalidInput if the session has no turns, so that a misspelled one is noticed."""
        if session_id is None:
            return
        sessions = self._memory.sessions(user_id=self._user_id)
        if session_id not in sessions:
            latest = ", ".join(map(repr, sessions[:_MAX_NAMED])) or "none"
            raise InvalidInput(
                f"there is no session {session_id!r}; the latest sessions are {latest}; leave "
                "session_id out to use all of them"
            )


def make_tools(memory: Memory, user_id: str) -> list[Tool]:
    """Return the tools for one user's memory, with their schemas."""
    tools = MemoryTools(memory, user_id)
    reads = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
    adds, changes, deletes = (
        ToolAnnotations(
            read_only_hint=False, destructive_hint=destructive, idempotent_hint=idempotent,
            open_world_hint=False,
        )
        for destructive, idempotent in ((False, False), (True, False), (True, True))
    )  # fmt: skip
    annotated: list[tuple[Callable[..., CallToolResult], ToolAnnotations]] = [
        (tools.get_context, reads),
        (tools.search_memories, reads),
        (tools.add_memory, adds),
        (tools.list_memories, reads),
        (tools.get_memory, reads),
        (tools.correct_memory, changes),
        (tools.delete_memory, deletes),
        (tools.forget, deletes),
    ]
    return [_make_tool(function, annotations) for function, annotations in annotated]


def _make_tool(function: Callable[..., CallToolResult], annotations: ToolAnnotations) -> Tool:
    tool = Tool.from_function(
        function, description=getdoc(function), annotations=annotations, structured_output=True
    )
    tool.parameters["additionalProperties"] = False
    tool.fn_metadata = _Arguments(**dict(tool.fn_metadata))
    return tool


class _Arguments(FuncMetadata):
    """Takes strings as they are, where the SDK reads them as JSON if a tool also takes None.

    It would read the session "null" as no session, and search all of them.
    """

    def pre_parse_json(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments unchanged."""
        return data
