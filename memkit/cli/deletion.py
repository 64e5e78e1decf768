"""Which turns to delete, whether to delete them, and what was deleted."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from memkit.cli import output
from memkit.cli.ids import find_id, shorten_id
from memkit.errors import InvalidInput

if TYPE_CHECKING:
    from memkit.memory import Memory
    from memkit.records import Receipt

_PREVIEW = 5  # turns shown before they are deleted


def select_turns(memory: "Memory", user_id: str, prefixes: Sequence[str]) -> list[str]:
    """Return the ids of turns that are named by ids of turns, or of thoughts drawn from them.

    Raises:
        AmbiguousId: several ids begin with one of `prefixes`, and none equals it.
        InvalidInput: no id does.
    """
    turn_ids: list[str] = []
    for prefix in prefixes:
        kind, item_id = find_id(memory.store, user_id, prefix, kinds=("turn", "thought"))
        if kind == "turn":
            turn_ids.append(item_id)
        else:
            versions = memory.history(item_id, user_id=user_id)
            turn_ids += next(version for version in versions if version.id == item_id).turn_ids
    return turn_ids


def confirm_deletion(memory: "Memory", receipt: "Receipt", *, yes: bool) -> bool:
    """Show on stderr what would be deleted, and ask; `yes` asks nobody.

    Raises:
        InvalidInput: there is no terminal to ask at.
    """
    if yes:
        return True
    question = f"Delete {count_parts(receipt)} for good?"
    if not sys.stdin.isatty():
        raise InvalidInput(f"{question} There is no terminal to ask at; pass --yes")
    _print_preview(memory, receipt)
    confirmed = typer.confirm(question, err=True)
    if not confirmed:
        output.print_note("nothing was deleted")
    return confirmed


def _print_preview(memory: "Memory", receipt: "Receipt") -> None:
    from memkit.protocols import Window
    from memkit.records import Scope

    window = Window(ids=receipt.turn_ids[:_PREVIEW])
    for turn in memory.store.turns(Scope(user_id=receipt.user_id), window):
        output.print_note(f"  {shorten_id(turn.id or '')}  {output.preview_turn(turn)}")
    if (more := len(receipt.turn_ids) - _PREVIEW) > 0:
        output.print_note(f"  and {more:,} more")


def count_parts(receipt: "Receipt") -> str:
    """Return "2 turns, 2 chunks, 1 summary and 0 thoughts"."""
    turns = output.count_noun(len(receipt.turn_ids), "turn")
    chunks = output.count_noun(receipt.chunks, "chunk")
    summaries = f"{receipt.summaries:,} {'summary' if receipt.summaries == 1 else 'summaries'}"
    return f"{turns}, {chunks}, {summaries} and {output.count_noun(receipt.thoughts, 'thought')}"


def check_can_sign(memory: "Memory") -> None:
    """Raise before anything is deleted, if the receipt could not be signed."""
    from memkit.govern import receipts

    receipts.check_can_sign(memory.store)


def describe_purge(receipt: "Receipt") -> str:
    """Return what became of the bytes in the files, to follow the counts."""
    if receipt.purged:
        return "; nothing of it is left in the files"
    return "; it is still in the files, until other processes that use them end"


def receipt_to_dict(receipt: "Receipt") -> dict[str, object]:
    """Return a receipt as a JSON object."""
    names = (
        "user_id", "chunks", "summaries", "thoughts", "dry_run", "event", "purged", "searched",
        "residue", "recalled",
    )  # fmt: skip
    ids = {"turn_ids": list(receipt.turn_ids), "thought_ids": list(receipt.thought_ids)}
    probes = asdict(receipt.probes) if receipt.probes else None
    return ids | {name: getattr(receipt, name) for name in names} | {"probes": probes}
