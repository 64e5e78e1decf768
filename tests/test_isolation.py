"""No sequence of calls ever shows one user what another one said."""

import inspect
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from thinkers import Reader, opened, says, tell

import memkit
from memkit.background.maintenance import Settings
from memkit.background.pruning import Forgetting
from memkit.errors import InvalidInput, ScopeRequired
from memkit.memory import Memory
from memkit.testing import HashEmbedder

# names that look alike to anything that folds case, cuts at a mark, or takes part of a key
USERS = ["ann", "Ann", "ann ", "anna", "bob", "%", "*", "ann' OR '1'='1", "ünì", "u:ann"]
COMMON = ["Oslo", "tea", "jazz", "lives", "number", "AND", "cat", "2024"]
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)

a_user = st.integers(0, len(USERS) - 1)
some_words = st.lists(st.sampled_from(COMMON), min_size=1, max_size=5).map(" ".join)
a_session = st.sampled_from([None, "s1", "s2"])
a_day = st.none() | st.integers(0, 9).map(lambda n: NOON + timedelta(days=n))


def marker(user: int) -> str:
    """Return a word that only this user says."""
    return f"marker{user}marker"


def said_in(result: object) -> set[int]:
    """Return the users whose marker stands anywhere in a result."""
    if isinstance(result, str):
        return {int(user) for user in re.findall(r"marker(\d+)marker", result)}
    if isinstance(result, dict):
        return said_in([*result.keys(), *result.values()])
    if is_dataclass(result):
        return said_in([getattr(result, field.name) for field in fields(result)])
    if isinstance(result, (list, tuple, set)):
        return {user for part in result for user in said_in(part)}
    assert result is None or isinstance(result, (int, float, datetime)), type(result)
    return set()


class Sharing(RuleBasedStateMachine):
    """Several users of one memory, each checked after every call."""

    turns = Bundle("turns")

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.count = 0
        self.stored: dict[int, dict[str, str]] = {user: {} for user in range(len(USERS))}

    @initialize(pruning=st.booleans())
    def open(self, pruning: bool) -> None:
        forgetting = Forgetting(fraction=0.4, interval=3) if pruning else None
        self.settings = Settings(forgetting=forgetting, background=False)
        self.memory = self._open()

    def _open(self) -> Memory:
        return memkit.open(
            str(Path(self.folder.name) / "all.db"), embedder=HashEmbedder(16, reads=8),
            settings=self.settings, clock=lambda: NOON, thinker=Reader(),
        )  # fmt: skip

    def only(self, user: int, result: Any) -> Any:
        """Check that nothing in the result was said by anybody else."""
        assert said_in(result) <= {user}, (USERS[user], result)
        return result

    @rule(
        target=turns, user=a_user, words=some_words, session=a_session, day=a_day,
        what=st.sampled_from(["said", "live in"]),
    )  # fmt: skip
    def remember(
        self, *, user: int, words: str, session: str | None, day: datetime | None, what: str
    ) -> str:
        self.count += 1
        id = f"{marker(user)}-{self.count}"
        text = f"I {what} {marker(user)}{words}"
        turn = memkit.Turn(id=id, text=text, name=marker(user), said_at=day)
        ids = self.memory.remember([turn], user_id=USERS[user], session_id=session)
        self.stored[user][id] = text
        assert ids == [id]
        return id

    @rule(user=a_user, words=some_words)
    def remember_the_same_id_as_others(self, user: int, words: str) -> None:
        text = f"{marker(user)} again {words}"
        if self.stored[user].setdefault("shared", text) == text:
            self.memory.remember([memkit.Turn(id="shared", text=text)], user_id=USERS[user])

    @rule(
        user=a_user, other=a_user, words=some_words, session=a_session, day=a_day,
        k=st.sampled_from([1, 3, 50]),
    )  # fmt: skip
    def recall(
        self,
        *,
        user: int,
        other: int,
        words: str,
        session: str | None,
        day: datetime | None,
        k: int,
    ) -> None:
        asked = f"{words} {marker(other)}"
        hits = self.memory.recall(asked, user_id=USERS[user], k=k, session_id=session, as_of=day)
        self.only(user, hits)
        if session is None and day is None and self.settings.forgetting is None:
            assert len(hits) == min(k, len(self.stored[user]))  # others take no places

    @rule(user=a_user, other=a_user, words=some_words, session=a_session, budget=st.integers(1, 90))
    def context(self, user: int, other: int, words: str, session: str | None, budget: int) -> None:
        asked = f"{words} {marker(other)}"
        block = self.memory.context(
            asked, user_id=USERS[user], session_id=session, budget_tokens=budget
        )
        self.only(user, block)

    @rule(user=a_user)
    def think(self, user: int) -> None:
        self.memory.think(user_id=USERS[user])
        self.only(user, [self.memory.summary(user_id=USERS[user], level=n) for n in (1, 2)])

    @rule(user=a_user, other=a_user, session=a_session, day=a_day)
    def thoughts(self, user: int, other: int, session: str | None, day: datetime | None) -> None:
        own: dict[str, Any] = {"user_id": USERS[user], "session_id": session}
        found = self.memory.thoughts(as_of=day, **own)
        self.only(user, found)
        asked = f"lives {marker(other)}"
        hits = self.memory.recall(asked, kind="thought", as_of=day, **own)
        self.only(user, hits)
        turns = {turn.id for turn in self.memory.turns(**own)}
        for turn_ids in [one.turn_ids for one in found] + [hit.turn_ids for hit in hits]:
            assert turn_ids
            assert set(turn_ids) <= turns

    @rule(user=a_user, other=a_user, retract=st.booleans())
    def another_users_thought(self, user: int, other: int, retract: bool) -> None:
        for one in self.memory.thoughts(user_id=USERS[user])[:1]:
            call = self.memory.retract if retract else self.memory.history
            if user == other:
                self.only(user, call(one.id, user_id=USERS[other]))
            else:
                with pytest.raises(InvalidInput, match="has no thought"):
                    call(one.id, user_id=USERS[other])

    @rule(user=a_user)
    def restore(self, user: int) -> None:
        self.memory.restore(user_id=USERS[user])

    @rule(user=a_user, id=turns, dry=st.booleans())
    def forget(self, user: int, id: str, dry: bool) -> None:
        named = [id, "shared"]
        receipt = self.memory.forget(user_id=USERS[user], turn_ids=named, dry_run=dry)
        self.only(user, receipt)
        assert set(receipt.turn_ids) == set(named) & set(self.stored[user])
        for gone in [] if dry else receipt.turn_ids:
            del self.stored[user][gone]

    @rule(user=a_user)
    def forget_everything(self, user: int) -> None:
        receipt = self.memory.forget(user_id=USERS[user], everything=True)
        assert set(receipt.turn_ids) == set(self.stored[user])
        self.stored[user].clear()

    @rule()
    def reopen(self) -> None:
        self.memory.close()
        self.memory = self._open()

    @rule()
    def check(self) -> None:
        assert self.memory.doctor() == []

    @invariant()
    def everybody_has_their_own_turns_and_no_others(self) -> None:
        for user, stored in self.stored.items():
            turns = list(self.memory.turns(user_id=USERS[user]))
            assert {turn.id: turn.text for turn in turns} == stored
            self.only(user, self.memory.summaries(user_id=USERS[user]))
            self.only(user, self.memory.thoughts(user_id=USERS[user]))

    def teardown(self) -> None:
        self.memory.close()
        self.folder.cleanup()


@pytest.mark.slow
def test_no_sequence_of_calls_shows_a_user_what_another_said() -> None:
    run_state_machine_as_test(
        Sharing, settings=settings(max_examples=40, stateful_step_count=30, deadline=None)
    )


def test_the_eye_of_this_test_sees_markers_wherever_they_are(tmp_path: Path) -> None:
    with opened(tmp_path / "a.db") as memory:
        memory.remember(f"{marker(1)} of ann", user_id="ann")
        memory.think(user_id="ann")

        assert said_in(memory.recall("ann", user_id="ann")) == {1}
        assert said_in(memory.context("ann", user_id="ann")) == {1}
        assert said_in(memory.summary(user_id="ann")) == {1}
        assert said_in(list(memory.turns(user_id="ann"))) == {1}
        assert said_in(memory.thoughts(user_id="ann")) == {1}
        assert said_in(memory.recall("ann", user_id="ann", kind="thought")) == {1}
        assert said_in({"a": [("b", marker(7))]}) == {7}


# ---- no call without a user

OF_ALL_USERS = {
    "flush": "waits for everybody's summaries and returns nothing",
    "doctor": "tells operators about faults, with no text of anybody's",
    "close": "ends the memory",
    "backup": "copies the file of everybody, for operators",
    "export": "writes everybody's part for the operator, or one user's if one is named",
    "import_": "reads what `export` wrote",
    "retention": "returns rules, with no text of anybody's",
    "set_retention": "stores rules that name their users",
    "apply_retention": "deletes by these rules, and returns ids and counts",
    "users": "names the users, for operators, with no text of anybody's",
    "checkpoint": "names an event of the ledger, which has no text of anybody's",
    "sign": "signs a receipt, which names its user and has no text of anybody's",
    "on": "tells callbacks the ids of what has happened, with the user of each",
    "stats": "counts; of everybody if no user is named",
    "_think_quietly": "the background worker's; fails quietly like a failing model",
}
ARGUMENTS: dict[str, Any] = {
    "text": "milk", "to": 1,
    "messages": "tea", "query": "tea", "everything": True, "budget_tokens": 100,
}  # fmt: skip


def scoped_methods() -> list[str]:
    public = inspect.getmembers(Memory, inspect.isfunction)
    return [name for name, _ in public if not name.startswith("_") and name not in OF_ALL_USERS]


def call(method: Callable[..., Any], **scope: Any) -> object:
    """Call a method with what else it needs, and use what it returns."""
    parameters = inspect.signature(method).parameters.values()
    needed = {
        one.name: ARGUMENTS[one.name]
        for one in parameters
        if one.name in ARGUMENTS and (one.default is one.empty or one.name == "everything")
    }
    thought_id = inspect.signature(method).parameters.get("thought_id")
    if thought_id is not None and thought_id.default is thought_id.empty:
        memory: Memory = method.__self__  # type: ignore[attr-defined]
        needed["thought_id"] = memory.thoughts(user_id="ann")[0].id
    if "turn_id" in inspect.signature(method).parameters:
        memory = method.__self__  # type: ignore[attr-defined]
        needed["turn_id"] = next(memory.turns(user_id="ann")).id
        if method.__name__ == "update":
            needed["tags"] = ["a"]
    result = method(**needed, **scope)
    return list(result) if inspect.isgenerator(result) else result


@pytest.fixture
def memory() -> Any:
    with opened() as made:
        tell(made, says("tea"))
        yield made


@pytest.mark.parametrize("method", scoped_methods())
def test_every_method_is_callable_with_a_user(memory: Memory, method: str) -> None:
    call(getattr(memory, method), user_id="ann")


@pytest.mark.parametrize("method", scoped_methods())
@pytest.mark.parametrize("bad", ["", None, 7, b"ann", ["ann"]])
def test_no_method_takes_a_bad_user(memory: Memory, method: str, bad: Any) -> None:
    with pytest.raises(ScopeRequired, match="user_id"):
        call(getattr(memory, method), user_id=bad)
    assert memory.stats()["turns"] == 1


@pytest.mark.parametrize("method", scoped_methods())
def test_user_id_is_a_required_keyword_of_every_method(memory: Memory, method: str) -> None:
    with pytest.raises(TypeError, match="user_id"):
        call(getattr(memory, method))


@pytest.mark.parametrize("user", ["", 7, b"ann"])
def test_stats_of_a_user_needs_a_real_one(memory: Memory, user: Any) -> None:
    with pytest.raises(ScopeRequired):
        memory.stats(user_id=user)
