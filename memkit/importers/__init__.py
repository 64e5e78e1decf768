"""Import conversations from the files of other programs; export turns as JSON lines.

`read_file` opens a file in any of `FORMATS`, and `import_turns` remembers its turns.
"""

from memkit._moved import serve_old_names
from memkit.importers.batches import BATCH, ImportCounts, LeftOut, import_turns
from memkit.importers.files import Kind
from memkit.importers.formats import FORMATS, Format, guess_format, read_file, sniff
from memkit.importers.jsonl import read_lines, to_line
from memkit.importers.locomo import (
    LocomoConversation,
    LocomoQuestion,
    locomo_source,
    read_locomo,
    select_conversation,
)
from memkit.importers.source import DateOrder, LocatedTurn, ReadOptions, TurnSource

__all__ = [
    "BATCH", "FORMATS", "DateOrder", "Format", "ImportCounts", "Kind", "LeftOut", "LocatedTurn",
    "LocomoConversation", "LocomoQuestion", "ReadOptions", "TurnSource", "guess_format",
    "import_turns", "locomo_source", "read_file", "read_lines", "read_locomo",
    "select_conversation", "sniff", "to_line",
]  # fmt: skip

serve_old_names(__name__)
