"""The resources: what a person or a host may read without a question."""

from collections.abc import Callable
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError

from memkit.errors import MemkitError
from memkit.memory import Memory
from memkit.prompt import format_summary
from memkit.records import Thought
from memkit.server.mcp.results import (
    INTRODUCTION,
    MAX_WHOLE_TEXT,
    escape_line,
    list_items,
    thought_to_item,
)
from memkit.text.sanitise import sanitise, truncate


def add_resources(server: MCPServer[Any], memory: Memory, user_id: str) -> None:
    """Add the running summary, what holds now, and what is in doubt, as text."""

    def summary() -> str:
        """What was talked about: the summary of all conversations, and of the latest ones."""
        summaries = memory.summaries(user_id=user_id)
        quotes = sanitise("\n".join(map(format_summary, summaries)))
        return f"{INTRODUCTION}\n{quotes}" if summaries else "There is no summary yet."

    def holds() -> str:
        """What holds now: facts, plans and states, with since when, the newest first."""
        thoughts = [thought for thought in memory.thoughts(user_id=user_id) if not thought.doubt]
        return _list_thoughts("{} hold now, the newest first.", thoughts) + _count_waiting()

    def doubts() -> str:
        """What is in doubt: facts that later words may have changed, with these words."""
        thoughts = [thought for thought in memory.thoughts(user_id=user_id) if thought.doubt]
        return _list_thoughts("{} are in doubt, the newest first.", thoughts)

    def _count_waiting() -> str:
        waiting = memory.stats(user_id=user_id)["waiting_turns"]
        return f"\nTurns that were not thought about yet: {waiting:,}." if waiting else ""

    for name, read in (("summary", summary), ("holds", holds), ("doubts", doubts)):
        server.resource(f"memkit://{name}", name=name, description=read.__doc__)(_reported(read))


def _list_thoughts(head: str, thoughts: list[Thought]) -> str:
    items = [thought_to_item(thought) for thought in reversed(thoughts)]
    return truncate(list_items(head.format(f"{len(items):,} thoughts"), items), MAX_WHOLE_TEXT)


def _reported(read: Callable[[], str]) -> Callable[[], str]:
    """Return `read` with memkit's errors as those that the SDK passes on."""

    def read_or_report() -> str:
        try:
            return read()
        except MemkitError as error:
            raise ResourceError(escape_line(str(error))) from error

    return read_or_report
