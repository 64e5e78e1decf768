"""What is older than a rule of retention allows is deleted as by forget, in every process."""

# ruff: noqa: F811 - fixtures are imported

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import Run, assert_error, run  # noqa: F401 - fixtures
from on_disk import memory
from thinkers import Reader

from memkit import Chat, Turn
from memkit.background.maintenance import Settings
from memkit.background.worker import Worker
from memkit.errors import InvalidInput
from memkit.memory import Memory
from memkit.policy import RetentionRule
from memkit.testing import ScriptedModel, open_memory

START = datetime(2024, 5, 1, 12, tzinfo=UTC)


def days(n: float) -> timedelta:
    return timedelta(days=n)


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(clock: Clock) -> Iterator[Memory]:
    """Ann says something on each of ten days, in two sessions, half of it to an agent."""
    with open_memory(clock=clock, thinker=Reader()) as opened:
        for n in range(10):
            clock.now = START + days(n)
            turn = Turn(
                text=f"fact number {n}", id=str(n), said_at=START + days(n),
                role="assistant" if n % 5 == 4 else "user", session_id=f"s{n % 2}",
                agent_id="helper" if n < 5 else None, metadata={"n": n % 3},
            )  # fmt: skip
            opened.remember(turn, user_id="ann")
        yield opened


def ids(opened: Memory, user_id: str = "ann") -> str:
    return "".join(turn.id or "" for turn in opened.turns(user_id=user_id))


RULES: dict[str, tuple[dict[str, Any], str]] = {
    "all": ({}, "56789"),
    "a user": ({"user_id": "ann"}, "56789"),
    "another user": ({"user_id": "bob"}, "0123456789"),
    "a session": ({"session_id": "s1"}, "02456789"),
    "an agent": ({"agent_id": "helper"}, "56789"),
    "another agent": ({"agent_id": "x"}, "0123456789"),
    "a role": ({"role": "assistant"}, "012356789"),
    "metadata": ({"where": {"n": 0}}, "12456789"),
    "two conditions": ({"session_id": "s0", "where": {"n": 0}}, "123456789"),
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_deletes_what_meets_all_its_conditions_and_is_older(
    opened: Memory, name: str
) -> None:
    conditions, left = RULES[name]
    opened.set_retention([RetentionRule(ttl=days(4.5), **conditions)])
    opened.apply_retention()
    assert ids(opened) == left


def test_of_two_rules_the_shorter_time_holds(opened: Memory) -> None:
    opened.set_retention(
        [RetentionRule(ttl=days(7.5)), RetentionRule(ttl=days(2.5), session_id="s1")]
    )
    opened.apply_retention()
    assert ids(opened) == "246789"


def test_a_turn_dated_in_the_future_ages_from_when_it_was_stored(
    opened: Memory, clock: Clock
) -> None:
    turn = Turn(text="later", id="x", said_at=START + days(900))
    opened.remember(turn, user_id="ann")
    opened.set_retention([RetentionRule(ttl=days(30))])
    clock.now += days(29)
    opened.apply_retention()
    assert ids(opened).endswith("x")
    clock.now += days(2)
    opened.apply_retention()
    assert ids(opened) == ""


def test_what_was_derived_expires_with_its_turns(opened: Memory) -> None:
    opened.flush()
    opened.set_retention([RetentionRule(ttl=days(4.5))])
    opened.flush()
    sources = {id for thought in opened.thoughts(user_id="ann") for id in thought.turn_ids}
    assert sources == set("56789")
    assert not any(
        f"number {n}" in summary.text
        for summary in opened.summaries(user_id="ann")
        for n in range(5)
    )
    assert opened.doctor() == []


def test_thoughts_are_retracted_with_what_they_replaced_and_their_turns_stay(
    clock: Clock,
) -> None:
    with open_memory(clock=clock, thinker=Reader()) as opened:
        for n, text in enumerate(["I live in Oslo", "I live in Rome", "I eat fish"]):
            turn = Turn(text=text, id=str(n), name="Ann", said_at=START + days(3 * n))
            opened.remember(turn, user_id="ann")
        opened.flush()
        opened.set_retention([RetentionRule(ttl=days(30), kind="thought")])
        clock.now = START + days(34)
        (expiry,) = opened.apply_retention()
        assert [thought.text for thought in opened.thoughts(user_id="ann")] == ["I eat fish"]
        assert (expiry.receipt, len(expiry.retracted)) == (None, 2)
        assert ids(opened) == "012"
        assert opened.apply_retention() == []
        assert [event.kind for event in opened.store.events()][-1] == "retract"


def test_a_thought_that_was_said_again_is_young_again(clock: Clock) -> None:
    with open_memory(clock=clock, thinker=Reader()) as opened:
        opened.set_retention([RetentionRule(ttl=days(30), kind="thought")])
        for n in (0, 20):
            clock.now = START + days(n)
            opened.remember("I eat fish", user_id="ann")
        clock.now = START + days(45)
        opened.flush()
        assert [thought.text for thought in opened.thoughts(user_id="ann")] == ["I eat fish"]


# ---- when it happens


@pytest.mark.parametrize("how", ["think", "flush", "apply_retention"])
def test_work_on_request_applies_the_rules(opened: Memory, clock: Clock, how: str) -> None:
    opened.set_retention([RetentionRule(ttl=days(20))])
    clock.now = START + days(24.5)
    works: dict[str, Callable[[], object]] = {
        "think": lambda: opened.think(user_id="ann"),
        "flush": opened.flush,
        "apply_retention": opened.apply_retention,
    }
    works[how]()
    assert ids(opened) == "56789"


def test_background_work_applies_the_rules_and_comes_back(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def wake(worker: Worker, user_id: str, *, after_s: float = 0) -> None:
        waits.append(after_s)
        if not after_s:
            worker.attempt(user_id)

    with memory(tmp_path / "ann.db", clock=clock) as opened:
        opened.remember(Turn(text="tea", said_at=START), user_id="ann")
        opened.flush()
        opened.set_retention([RetentionRule(ttl=days(1))])
    clock.now = START + days(2)
    monkeypatch.setattr(Worker, "wake", wake)  # in this thread, at once
    settings = Settings(background=True)
    with open_memory(str(tmp_path / "ann.db"), clock=clock, settings=settings) as opened:
        assert ids(opened) == ""  # opening it was enough, although no turn waits
    assert max(waits) > 60


def test_every_process_has_the_same_rules(tmp_path: Path) -> None:
    rules = [
        RetentionRule(ttl=days(0.5), user_id="ann", where={"tag": ["a", None]}),
        RetentionRule(ttl=days(9), kind="thought", role="user"),
    ]
    with memory(tmp_path / "ann.db") as first, memory(tmp_path / "ann.db") as second:
        first.set_retention(rules)
        assert second.retention() == rules
        second.set_retention([])
        assert first.retention() == []


def test_a_dry_run_says_what_would_go_and_deletes_nothing(opened: Memory) -> None:
    opened.flush()
    rules = [RetentionRule(ttl=days(4.5)), RetentionRule(ttl=days(1), kind="thought")]
    (before,) = opened.set_retention(rules, dry_run=True)
    assert (ids(opened), opened.retention()) == ("0123456789", [])
    (after,) = opened.set_retention(rules)
    assert before.receipt is not None
    assert after.receipt is not None
    assert before.receipt.turn_ids == after.receipt.turn_ids == ("0", "1", "2", "3", "4")
    assert before.receipt.thoughts == after.receipt.thoughts
    assert before.retracted == after.retracted


# ---- the same path as forget


def test_expired_words_leave_the_files_and_the_receipt_says_so(
    tmp_path: Path, clock: Clock
) -> None:
    with memory(tmp_path / "ann.db", clock=clock) as opened:
        opened.remember(Turn(text="The xylophone is in Zanzibar", id="1"), user_id="ann")
        opened.remember(Turn(text="I live in Oslo", id="2"), user_id="bob")
        opened.set_retention([RetentionRule(ttl=days(1), user_id="ann")])
        clock.now += days(2)
        (expiry,) = opened.apply_retention()
        assert expiry.receipt is not None
        assert (expiry.receipt.purged, expiry.receipt.residue) == (True, 0)
        assert opened.users() == ["bob"]
    data = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"xylophone" not in data


def test_the_ledger_has_each_policy_and_each_deletion_by_it(opened: Memory) -> None:
    opened.set_retention([RetentionRule(ttl=days(4.5))])
    opened.apply_retention()
    opened.set_retention([])
    events = [event for event in opened.store.events() if event.kind in ("policy", "forget")]
    assert [(event.kind, event.source, event.policy) for event in events] == [
        ("policy", "caller", 1), ("forget", "retention", 1), ("policy", "caller", 2),
    ]  # fmt: skip
    assert events[1].counts["turns"] == 5


def test_an_open_chat_drops_expired_words(clock: Clock) -> None:
    model = ScriptedModel(["Noted.", "I do not know."])
    with open_memory(clock=clock) as opened:
        chat = Chat(model, memory=opened, user_id="ann")
        chat.reply("My door PIN is 4417.")
        opened.set_retention([RetentionRule(ttl=days(1))])
        clock.now += days(2)
        opened.flush()
        assert (chat.history, chat.report) == ([], None)
        chat.reply("Hello")
    assert "4417" not in str(model.prompts[-1])


def test_thinking_goes_on_without_rules_as_before(opened: Memory) -> None:
    before = list(opened.store.events())
    assert opened.apply_retention() == []
    assert list(opened.store.events()) == before
    assert ids(opened) == "0123456789"


WRONG: list[dict[str, Any]] = [
    {"ttl": timedelta(0)}, {"ttl": timedelta(-1)}, {"ttl": 5}, {"kind": "summary"},
    {"role": "boss"}, {"user_id": ""}, {"where": {"a": {1}}},
    {"kind": "thought", "session_id": "s"}, {"kind": "thought", "where": {"a": 1}},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_wrong_rule_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        RetentionRule(**{"ttl": days(1), **wrong})


# ---- the command line


def test_rules_are_added_listed_applied_and_removed(run: Run) -> None:
    run("add", "old", "--user", "ann", "--at", "2020-01-01T00:00:00Z")
    run("add", "new", "--user", "ann")
    assert run("retention", "list").code == 1
    options = ("--user", "ann", "--role", "user", "--where", "tag=1")
    assert run("retention", "add", "--days", "9", *options).out == (
        "rule 1: delete turns of user ann, role user, tag = 1 after 9 days\n"
    )
    assert run("retention", "apply").code == 1
    assert run("retention", "remove", "1").code == 0
    trial = run("retention", "add", "--days", "30", "--dry-run")
    assert trial.out.startswith("ann: would delete 1 turn,")
    assert run("retention", "list").code == 1
    run("retention", "add", "--days", "30")
    assert run("retention", "list", "--json").json == {
        "rule": 1,
        "ttl_s": 2_592_000,
        "kind": "turn",
    }
    assert run("retention", "apply", "--json").json["purged"] is True
    assert run("export", "--messages", "--user", "ann").json["content"] == "new"


@pytest.mark.parametrize(
    "command", [["remove", "1"], ["add", "--days", "0"], ["add", "--days", "nan"]]
)
def test_a_rule_that_cannot_be_is_an_error_of_one_line(run: Run, command: list[str]) -> None:
    run("add", "tea", "--user", "ann")
    assert_error(run("retention", *command), "")
