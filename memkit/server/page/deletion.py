"""What a deletion would remove, word for word, and the deletion itself with its receipt."""

import json
from typing import Any

from memkit.errors import InvalidInput, MemkitError
from memkit.memory import Memory
from memkit.protocols import Window
from memkit.records import Receipt, Scope
from memkit.server.page import views
from memkit.server.page.beliefs import read_all_thoughts
from memkit.server.page.views import Json

_SHOWN = 200  # turns and thoughts of a preview with their words; the others are counted


def preview(memory: Memory, user_id: str, selection: dict[str, Any]) -> Json:
    """Return what `forget` would delete: a receipt, and the words of the turns and thoughts."""
    receipt = memory.forget(user_id=user_id, dry_run=True, **selection)
    if not receipt.turn_ids:
        raise InvalidInput("there is nothing to forget: no such turns are stored any more")
    window = Window(ids=receipt.turn_ids[:_SHOWN])
    turns = memory.store.turns(Scope(user_id=user_id), window)
    gone = set(receipt.thought_ids)
    thoughts = [item for item in read_all_thoughts(memory, user_id) if item.id in gone]
    return {
        "receipt": views.receipt_to_json(receipt),
        "turns": list(map(views.turn_to_json, turns)),
        "thoughts": views.thoughts_to_json(thoughts[:_SHOWN]),
    }


def forget(memory: Memory, user_id: str, selection: dict[str, Any]) -> Json:
    """Delete; return the receipt, the document to keep, and why it is not signed, if so."""
    receipt = memory.forget(user_id=user_id, **selection)
    document, unsigned = _document(memory, receipt)
    return {"receipt": views.receipt_to_json(receipt), "document": document, "unsigned": unsigned}


def _document(memory: Memory, receipt: Receipt) -> tuple[str, str | None]:
    """Return a receipt as JSON, signed if that is possible, and else why it is not.

    The words are deleted by now, so no error may hide that.
    """
    try:
        return memory.sign(receipt), None
    except (MemkitError, OSError) as error:
        content = views.receipt_to_json(receipt)
        return json.dumps(content, ensure_ascii=False, indent=1), str(error)
