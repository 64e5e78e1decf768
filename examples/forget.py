"""Forget something and all that was derived from it; see first what would go."""

import memkit
from memkit.records import Receipt


def show(receipt: Receipt) -> None:
    """Print what a deletion takes."""
    print("would go:" if receipt.dry_run else "gone:", end=" ")
    print(f"turns {len(receipt.turn_ids)}, chunks {receipt.chunks}", end=", ")
    print(f"thoughts {receipt.thoughts}, summaries {receipt.summaries}")


def main() -> None:
    """Tell a memory two things, and have it forget one."""
    with memkit.open(":memory:") as memory:
        (secret,) = memory.remember("My locker code is 4711.", user_id="ann")
        memory.remember("My sister Mia is a nurse.", user_id="ann")
        memory.flush()  # thoughts and summaries are there, too

        show(memory.forget(user_id="ann", turn_ids=[secret], dry_run=True))
        show(memory.forget(user_id="ann", turn_ids=[secret]))

        memory.flush()  # what is left is summarised anew
        print("turns:", [turn.text for turn in memory.turns(user_id="ann")])
        print("thoughts:", [thought.text for thought in memory.thoughts(user_id="ann")])
        summary = memory.summary(user_id="ann")
        print("summary:", summary.text if summary else None)
        print("recalled:", [hit.text for hit in memory.recall("locker code 4711", user_id="ann")])
        print("doctor:", memory.doctor())


if __name__ == "__main__":
    main()
