"""stats, reembed, doctor: what operators ask of a memory."""

import typer

from memkit.cli import show
from memkit.cli.options import DEFAULT_STORE, AsJson, Embedder, MaybeUser, StorePath, hush, store_at
from memkit.text.sanitise import one_line


def stats(user: MaybeUser = None, store: StorePath = DEFAULT_STORE, json_: AsJson = False) -> None:
    """Count turns, chunks, summaries and users; bytes are those of the whole memory."""
    from memkit.records import Scope

    if user is not None:
        Scope(user_id=user)
    with store_at(store) as opened:
        counts = opened.stats(user)
    if json_:
        show.emit(counts)
    else:
        show.counts(counts)


def reembed(
    store: StorePath = DEFAULT_STORE, embedder: Embedder = None, json_: AsJson = False
) -> None:
    """Move the whole memory to another embedder.

    The old vectors serve until the end; an interrupted run goes on where it stopped.
    """
    from memkit import embedders

    hush(embedder)
    chosen = embedders.resolve_embedder(embedder)
    with store_at(store) as opened, show.progress("embedding") as progress:
        count = opened.reembed(chosen, progress)
    if json_:
        show.emit({"chunks": count, "embedder": str(chosen.fingerprint)})
    else:
        show.say(f"{count} chunks are now embedded with {chosen.fingerprint}")


def doctor(store: StorePath = DEFAULT_STORE, json_: AsJson = False) -> None:
    """Check that rows, full text and vector indexes agree; exits with 1 if they do not."""
    with show.working("checking"), store_at(store) as opened:
        faults = opened.check()
    if json_:
        show.emit({"ok": not faults, "faults": faults})
    else:
        for fault in faults or ["all is well"]:
            show.say(one_line(fault))
    if faults:
        raise typer.Exit(1)
