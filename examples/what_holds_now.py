"""Ask what holds now, what held on another day, and how it changed."""

from datetime import UTC, datetime

import memkit

STATEMENTS = [
    (datetime(2025, 3, 1, tzinfo=UTC), "I live in Oslo."),
    (datetime(2025, 9, 20, tzinfo=UTC), "I moved to Bergen last Friday!"),
    (datetime(2026, 2, 3, tzinfo=UTC), "My sister Mia is a nurse."),
]


def main() -> None:
    """Remember a move to another city; print what holds now, what held then, and the history."""
    with memkit.open(":memory:") as memory:
        turns = [memkit.Turn(text=text, said_at=when) for when, text in STATEMENTS]
        memory.remember(turns, user_id="ann", session_id="diary")
        memory.flush()  # thoughts are drawn in the background; wait for them

        print("What holds now:")
        for thought in memory.thoughts(user_id="ann"):
            print(f"  {thought.text}")

        summer = datetime(2025, 7, 1, tzinfo=UTC)
        print("What held in July 2025:")
        for thought in memory.thoughts(user_id="ann", as_of=summer):
            print(f"  {thought.text}")

        (home,) = memory.recall("Which city did I move to?", user_id="ann", k=1, kind="thought")
        thoughts = memory.thoughts(user_id="ann")
        now = next(thought for thought in thoughts if thought.text == home.text)
        print("How it came about:")
        for version in memory.history(now.id, user_id="ann"):
            until = version.valid_to.date() if version.valid_to else "today"
            print(f"  {version.valid_from.date()} to {until}: {version.text}")
            (turn,) = (turn for turn in memory.turns(user_id="ann") if turn.id in version.turn_ids)
            print(f"    said by the {version.said_by} on {version.said_at.date()}: {turn.text!r}")


if __name__ == "__main__":
    main()
