"""What holds now is not what held once: thoughts, their history, and any day in between."""

from datetime import UTC, datetime

import memkit

SAID = [
    (datetime(2025, 3, 1, tzinfo=UTC), "I live in Oslo, by the harbour."),
    (datetime(2025, 9, 20, tzinfo=UTC), "I moved to Bergen last Friday!"),
    (datetime(2026, 2, 3, tzinfo=UTC), "My sister Mia is a nurse."),
]


def main() -> None:
    """Say where somebody lives, twice, and ask for now, for then, and for how it came about."""
    with memkit.open(":memory:") as memory:
        turns = [memkit.Turn(text=text, said_at=when) for when, text in SAID]
        memory.remember(turns, user_id="ann", session_id="diary")
        memory.flush()  # thoughts are drawn in the background; we ask at once

        print("What holds now:")
        for thought in memory.thoughts(user_id="ann"):
            print(f"  {thought.text}")

        summer = datetime(2025, 7, 1, tzinfo=UTC)
        print("What held in July 2025:")
        for thought in memory.thoughts(user_id="ann", as_of=summer):
            print(f"  {thought.text}")

        (home,) = memory.recall("Where does Ann live?", user_id="ann", k=1, kind="thought")
        now = next(one for one in memory.thoughts(user_id="ann") if one.text == home.text)
        print("How it came about:")
        for one in memory.history(now.id, user_id="ann"):
            until = one.valid_to.date() if one.valid_to else "today"
            print(f"  {one.valid_from.date()} to {until}: {one.text}")
            (said,) = (turn for turn in memory.turns(user_id="ann") if turn.id in one.turn_ids)
            print(f"    said by the {one.said_by} on {one.said_at.date()}: {said.text!r}")


if __name__ == "__main__":
    main()
