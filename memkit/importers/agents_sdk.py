"""The SQLite sessions of OpenAI's Agents SDK: tables agent_sessions and agent_messages."""

from collections.abc import Iterator

from memkit.errors import InvalidInput
from memkit.importers.files import ExportFile, parse_json
from memkit.importers.foreign import read_time
from memkit.importers.ids import digest, make_id
from memkit.importers.openai_items import read_item
from memkit.importers.sniff import Sample
from memkit.importers.source import LocatedTurn, ReadOptions
from memkit.importers.sqlite_files import read_rows

_ROWS = "SELECT id, session_id, message_data, created_at FROM agent_messages ORDER BY id"


def matches(sample: Sample) -> bool:
    """Return whether a file has the table of the messages."""
    return "agent_messages" in sample.tables


def read(export: ExportFile, options: ReadOptions) -> Iterator[LocatedTurn]:
    """Yield the turns of all sessions, oldest first; their times are UTC."""
    del options
    for id, session_id, data, created_at in read_rows(export, _ROWS):
        location = f"{export.path}, agent_messages {id}"
        try:
            item = parse_json(str(data).encode())
        except InvalidInput as error:
            item = error
        fields = {
            "id": make_id("agents", session_id, id, digest(str(data))),
            "session_id": make_id("agents", session_id), "said_at": read_time(created_at),
        }  # fmt: skip
        yield read_item(item, location, fields)
