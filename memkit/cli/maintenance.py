"""stats, reembed, doctor: commands for operators."""

import typer

from memkit.cli import output
from memkit.cli.options import (
    DEFAULT_STORE,
    AsJson,
    Embedder,
    MaybeUser,
    StorePath,
    disable_progress_bars,
    open_store,
)
from memkit.text.sanitise import one_line


def stats(user: MaybeUser = None, store: StorePath = DEFAULT_STORE, json_: AsJson = False) -> None:
    """Count turns, chunks, summaries and users; bytes are those of the whole memory."""
    from memkit.records import Scope

    if user is not None:
        Scope(user_id=user)
    with open_store(store) as backend:
        counts = backend.stats(user)
    if json_:
        output.print_json(counts)
    else:
        output.print_counts(counts)


def reembed(
    store: StorePath = DEFAULT_STORE, embedder: Embedder = None, json_: AsJson = False
) -> None:
    """Move the whole memory to another embedder.

    The old vectors are used until the end; an interrupted run continues where it stopped.
    """
    from memkit import embedders

    disable_progress_bars(embedder)
    target = embedders.resolve_embedder(embedder)
    with open_store(store) as backend, output.progress_bar("embedding") as progress:
        count = backend.reembed(target, progress)
    if json_:
        output.print_json({"chunks": count, "embedder": str(target.fingerprint)})
    else:
        output.print_text(f"{count} chunks are now embedded with {target.fingerprint}")


def doctor(store: StorePath = DEFAULT_STORE, json_: AsJson = False) -> None:
    """Check that rows, full text and vector indexes agree; exit with 1 if they do not."""
    with output.spinner("checking"), open_store(store) as backend:
        faults = backend.check()
    if json_:
        output.print_json({"ok": not faults, "faults": faults})
    else:
        for fault in faults or ["all is well"]:
            output.print_text(one_line(fault))
    if faults:
        raise typer.Exit(1)
