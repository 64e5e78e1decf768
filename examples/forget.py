"""Delete a turn and everything derived from it, after a dry run."""

import memkit
from memkit.records import Receipt


def show(receipt: Receipt) -> None:
    """Print what a deletion removes."""
    print("would go:" if receipt.dry_run else "gone:", end=" ")
    print(f"turns {len(receipt.turn_ids)}, chunks {receipt.chunks}", end=", ")
    print(f"thoughts {receipt.thoughts}, summaries {receipt.summaries}")


def main() -> None:
    """Remember two facts, and forget one of them."""
    with memkit.open(":memory:") as memory:
        (secret,) = memory.remember("My locker code is 4711.", user_id="ann")
        memory.remember("My sister Mia is a nurse.", user_id="ann")
        memory.flush()  # now there are thoughts and summaries, too

        show(memory.forget(user_id="ann", turn_ids=[secret], dry_run=True))
        show(memory.forget(user_id="ann", turn_ids=[secret]))

        memory.flush()  # summarise what is left
        print("turns:", [turn.text for turn in memory.turns(user_id="ann")])
        print("thoughts:", [thought.text for thought in memory.thoughts(user_id="ann")])
        summary = memory.summary(user_id="ann")
        print("summary:", summary.text if summary else None)
        print("recalled:", [hit.text for hit in memory.recall("locker code 4711", user_id="ann")])
        print("doctor:", memory.doctor())


if __name__ == "__main__":
    main()
