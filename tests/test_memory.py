"""What a memory promises as a whole: budgets, scopes, forgetting, the worker, opening, closing."""

import gc
import threading
import weakref
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memkit
from memkit import Memory, Turn
from memkit.errors import (
    InvalidInput,
    ModelError,
    NaiveDatetime,
    StoreClosed,
    StoreError,
)
from memkit.testing import NOON, HashEmbedder, open_memory

# ---- context

PIECES = ["tea", "jazz", "Oslo", "7", "ok", "\n", ">", "<memkit-memory>", "bees,", "yes!", "🎷"]
SAID = (
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=12)
    .map(" ".join)
    .filter(lambda text: bool(text.strip(" \n")))
)


@settings(max_examples=40)
@given(st.lists(SAID, max_size=15), st.integers(1, 120), st.sampled_from([None, len]))
def test_a_context_never_exceeds_its_budget(
    texts: list[str], budget: int, count: Callable[[str], int] | None
) -> None:
    with open_memory() as memory:
        memory.remember([Turn(text=text) for text in texts], user_id="ann")
        memory.flush()
        context = memory.context("tea in Oslo", user_id="ann", budget_tokens=budget, count=count)
        counted = (count or memory.embedder.count)(context.text)
    assert context.tokens == counted <= budget
    assert bool(context.text) == bool(context.messages)
    assert context.text or not context.hits


def test_a_context_holds_summary_hits_dates_and_speakers(memory: Memory) -> None:
    memory.remember(Turn(text="I moved to Oslo.", name="Ann"), user_id="ann")
    memory.flush()
    context = memory.context("Where does Ann live?", user_id="ann", budget_tokens=200)
    assert context.text.splitlines()[2:-1] == [
        "> Lately: Ann: I moved to Oslo.",
        "> [1 May 2024] Ann: I moved to Oslo.",
    ]
    assert context.messages == ({"role": "user", "content": context.text},)
    assert [hit.text for hit in context.hits] == ["I moved to Oslo."]


def test_a_context_of_nothing_is_empty(memory: Memory) -> None:
    context = memory.context("anything", user_id="ann")
    assert (context.text, context.tokens, context.hits, context.messages) == ("", 0, (), ())


def test_a_context_as_of_a_time_knows_nothing_later(memory: Memory) -> None:
    memory.remember(Turn(text="I live in Lima", said_at=NOON - timedelta(days=9)), user_id="ann")
    memory.remember(Turn(text="I live in Oslo", said_at=NOON), user_id="ann")
    memory.flush()
    context = memory.context("Where?", user_id="ann", as_of=NOON - timedelta(days=1))
    assert "Lima" in context.text
    assert "Oslo" not in context.text


@pytest.mark.parametrize("budget", [0, -5])
def test_a_context_needs_a_budget(memory: Memory, budget: int) -> None:
    with pytest.raises(InvalidInput, match="budget_tokens"):
        memory.context("x", user_id="ann", budget_tokens=budget)


# ---- turns


def test_turns_come_in_the_order_they_were_said(memory: Memory) -> None:
    times = [NOON + timedelta(hours=hour) for hour in (2, 0, 1)]
    memory.remember([Turn(text=str(at.hour), said_at=at) for at in times], user_id="ann")
    assert [turn.text for turn in memory.turns(user_id="ann")] == ["12", "13", "14"]
    assert [turn.text for turn in memory.turns(user_id="ann", last=2)] == ["13", "14"]


def test_turns_can_be_narrowed_by_session_and_time(memory: Memory) -> None:
    for hour, session in enumerate(["a", "b", "a", "b"]):
        said_at = NOON + timedelta(hours=hour)
        memory.remember(Turn(text=str(hour), said_at=said_at), user_id="ann", session_id=session)
    window = {"since": NOON + timedelta(hours=1), "until": NOON + timedelta(hours=3)}
    assert [t.text for t in memory.turns(user_id="ann", session_id="b", **window)] == ["1", "3"]


def test_times_without_a_zone_are_refused_at_once(memory: Memory) -> None:
    with pytest.raises(NaiveDatetime, match="since"):
        memory.turns(user_id="ann", since=datetime(2024, 5, 1))  # noqa: DTZ001


# ---- forget


def test_forgotten_turns_are_gone_with_all_that_was_derived(memory: Memory) -> None:
    ids = memory.remember(["I live in Oslo", "my cat is Tau", "I like tea"], user_id="ann")
    memory.flush()
    receipt = memory.forget(user_id="ann", turn_ids=[ids[1]])
    assert (receipt.turn_ids, receipt.chunks, receipt.summaries) == ((ids[1],), 1, 1)
    assert "Tau" not in str(memory.recall("my cat Tau", user_id="ann"))
    assert [turn.text for turn in memory.turns(user_id="ann")] == ["I live in Oslo", "I like tea"]
    memory.flush()
    assert "Tau" not in str(memory.summaries(user_id="ann"))
    assert memory.doctor() == []


def test_a_dry_run_says_the_same_and_takes_nothing(memory: Memory) -> None:
    ids = memory.remember(["I live in Oslo", "my cat is Tau"], user_id="ann")
    memory.flush()
    dry = memory.forget(user_id="ann", turn_ids=ids, dry_run=True)
    assert len(list(memory.turns(user_id="ann"))) == 2
    wet = memory.forget(user_id="ann", turn_ids=ids)
    assert (dry.dry_run, wet.dry_run) == (True, False)
    assert (dry.turn_ids, dry.chunks, dry.summaries) == (wet.turn_ids, wet.chunks, wet.summaries)


def test_everything_of_one_user_can_go_and_nothing_of_another(memory: Memory) -> None:
    memory.remember("mine", user_id="ann")
    memory.remember("mine too", user_id="bob")
    memory.flush()
    memory.forget(user_id="ann", everything=True)
    assert memory.stats(user_id="ann") | {"bytes": 0, "users": 0} == dict.fromkeys(
        memory.stats(), 0
    )
    assert [turn.text for turn in memory.turns(user_id="bob")] == ["mine too"]


def test_another_users_turns_cannot_be_forgotten(memory: Memory) -> None:
    ids = memory.remember("mine", user_id="ann")
    assert memory.forget(user_id="bob", turn_ids=ids).turn_ids == ()
    assert len(list(memory.turns(user_id="ann"))) == 1


@pytest.mark.parametrize(
    "what", [{}, {"turn_ids": ["a"], "everything": True}, {"turn_ids": "an id"}]
)
def test_forget_takes_either_a_list_of_ids_or_everything(
    memory: Memory, what: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput, match="turn_ids"):
        memory.forget(user_id="ann", **what)


def test_an_id_may_be_used_again_once_its_turn_is_forgotten(memory: Memory) -> None:
    memory.remember(Turn(id="a", text="one"), user_id="ann")
    memory.forget(user_id="ann", turn_ids=["a"])
    memory.remember(Turn(id="a", text="two"), user_id="ann")
    assert [turn.text for turn in memory.turns(user_id="ann")] == ["two"]


# ---- the background worker


class Gate:
    """A summariser that says when it began and waits to be let through."""

    def __init__(self) -> None:
        self.count = len
        self.began, self.go = threading.Event(), threading.Event()

    def summarise(self, *_: Any, **__: Any) -> str:
        self.began.set()
        assert self.go.wait(60)
        return "done"


def test_remember_and_recall_do_not_wait_for_a_slow_summariser() -> None:
    gate = Gate()
    with memkit.open(":memory:", embedder=HashEmbedder(), summariser=gate) as memory:
        memory.remember("the key is red", user_id="ann")
        assert gate.began.wait(60)
        memory.remember("the cat is blue", user_id="ann")
        assert memory.recall("key", user_id="ann")[0].text == "the key is red"
        assert memory.summary(user_id="ann") is None
        gate.go.set()
        memory.flush()
        summary = memory.summary(user_id="ann")
    assert summary is not None
    assert summary.through == 2


def test_the_worker_summarises_without_being_asked() -> None:
    done = threading.Event()

    class Tells(Gate):
        def summarise(self, *_: Any, **__: Any) -> str:
            done.set()
            return "done"

    with memkit.open(":memory:", embedder=HashEmbedder(), summariser=Tells()) as memory:
        memory.remember("hello", user_id="ann")
        assert done.wait(60)


def test_the_worker_survives_a_failing_summariser() -> None:
    tried = threading.Event()

    class FailsOnce(Gate):
        def summarise(self, *_: Any, **__: Any) -> str:
            if not tried.is_set():
                tried.set()
                raise KeyError("choices")
            return "done"

    with memkit.open(":memory:", embedder=HashEmbedder(), summariser=FailsOnce()) as memory:
        memory.remember("hello", user_id="ann")
        assert tried.wait(60)
        memory.flush()
        memory.remember("again", user_id="ann")
        memory.flush()
        assert memory.summary(user_id="ann") is not None
        assert memory.doctor() == []


def test_closing_ends_the_worker() -> None:
    with memkit.open(":memory:", embedder=HashEmbedder()) as memory:
        memory.remember("hello", user_id="ann")
        (thread,) = (t for t in threading.enumerate() if t.name == "memkit")
    assert not thread.is_alive()


def test_a_memory_opens_at_a_path_object_too(tmp_path: Path) -> None:
    with memkit.open(tmp_path / "a.db", embedder=HashEmbedder()) as memory:
        memory.remember("hello", user_id="ann")
    with open_memory(str(tmp_path / "a.db")) as again:
        assert [turn.text for turn in again.turns(user_id="ann")] == ["hello"]


def test_closing_does_not_wait_for_all_that_is_pending(tmp_path: Path) -> None:
    gate = Gate()
    url = str(tmp_path / "a.db")
    settings = memkit.Settings(thoughts=False)  # summaries come after thoughts, which take long
    memory = memkit.open(url, embedder=HashEmbedder(), summariser=gate, settings=settings)
    memory.remember([f"turn {n}" for n in range(500)], user_id="ann")
    assert gate.began.wait(60)
    closing = threading.Thread(target=memory.close)
    closing.start()
    while not memory._maintenance._worker.stopped:
        closing.join(0.001)
    gate.go.set()
    closing.join()
    with open_memory(url) as again:
        summary = again.summary(user_id="ann")
        assert summary is not None
        assert summary.through == 100
        assert again.store.pending() == ["ann"]


def test_a_memory_that_is_dropped_can_go_with_its_worker() -> None:
    memory = memkit.open(":memory:", embedder=HashEmbedder())
    memory.remember("hello", user_id="ann")
    memory.flush()
    gone = weakref.ref(memory)
    (thread,) = (t for t in threading.enumerate() if t.name == "memkit")
    del memory
    gc.collect()
    thread.join(60)  # it may hold the memory for the last moments of its job
    assert gone() is None
    assert not thread.is_alive()


# ---- opening and closing


def test_what_was_remembered_is_there_after_reopening(tmp_path: Path) -> None:
    for url in (str(tmp_path / "a.db"), f"sqlite:///{tmp_path / 'b.db'}"):
        with memkit.open(url, embedder=HashEmbedder()) as memory:
            memory.remember("the key is red", user_id="ann")
        with memkit.open(url, embedder=HashEmbedder()) as memory:
            assert memory.recall("key", user_id="ann")[0].text == "the key is red"
    assert {path.name for path in tmp_path.glob("*.db")} == {"a.db", "b.db"}


def test_a_memory_in_ram_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with memkit.open(":memory:", embedder=HashEmbedder()) as memory:
        memory.remember("hello", user_id="ann")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_scheme_names_the_installed_ones() -> None:
    with pytest.raises(StoreError, match=r"no store for mongodb://; installed are .*sqlite"):
        memkit.open("mongodb://localhost/ann", embedder=HashEmbedder())


@pytest.mark.parametrize("url", ["", None, 7])
def test_a_url_is_a_non_empty_string(url: Any) -> None:
    with pytest.raises(InvalidInput, match="path"):
        memkit.open(url, embedder=HashEmbedder())


USES: list[Callable[[Memory], object]] = [
    lambda memory: memory.remember("x", user_id="ann"),
    lambda memory: memory.recall("x", user_id="ann"),
    lambda memory: memory.context("x", user_id="ann"),
    lambda memory: list(memory.turns(user_id="ann")),
    lambda memory: memory.summary(user_id="ann"),
    lambda memory: memory.think(user_id="ann"),
    lambda memory: memory.flush(),
    lambda memory: memory.restore(user_id="ann"),
    lambda memory: memory.forget(user_id="ann", everything=True),
    lambda memory: memory.stats(),
    lambda memory: memory.users(),
    lambda memory: memory.sessions(user_id="ann"),
    lambda memory: memory.doctor(),
]


@pytest.mark.parametrize("use", USES)
def test_use_after_close_is_a_typed_error(use: Callable[[Memory], object]) -> None:
    memory = memkit.open(":memory:", embedder=HashEmbedder())
    memory.remember("hello", user_id="ann")
    memory.close()
    memory.close()
    with pytest.raises(StoreClosed, match=r"memkit\.open"):
        use(memory)


def test_a_memory_closes_when_its_block_fails() -> None:
    with pytest.raises(ModelError), memkit.open(":memory:", embedder=HashEmbedder()) as memory:
        raise ModelError("no")
    with pytest.raises(StoreClosed):
        memory.stats()


def test_stats_count_one_user_or_all(memory: Memory) -> None:
    memory.remember(["one", "two"], user_id="ann")
    memory.remember("three", user_id="bob")
    assert (memory.stats()["turns"], memory.stats(user_id="bob")["turns"]) == (3, 1)
    assert memory.stats()["users"] == 2


# ---- users and sessions


def test_users_and_sessions_are_listed_the_latest_first(memory: Memory) -> None:
    assert memory.users() == memory.sessions(user_id="ann") == []
    sessions = ((3, "ann", "s1"), (1, "bob", "s2"), (2, "ann", "s3"), (4, "eve", None))
    for hour, user, session in sessions:
        said_at = NOON + timedelta(hours=hour)
        memory.remember(Turn(text="hi", said_at=said_at), user_id=user, session_id=session)
    assert memory.users() == ["eve", "ann", "bob"]
    assert memory.sessions(user_id="ann") == ["s1", "s3"]
    assert memory.sessions(user_id="eve") == []


def test_sessions_of_an_agent_are_those_in_which_it_took_part(memory: Memory) -> None:
    memory.remember("hi", user_id="ann", session_id="s1", agent_id="cook")
    memory.remember("hi", user_id="ann", session_id="s2")
    assert memory.sessions(user_id="ann", agent_id="cook") == ["s1"]


def test_a_forgotten_user_is_no_longer_listed(memory: Memory) -> None:
    memory.remember("hi", user_id="ann")
    memory.forget(user_id="ann", everything=True)
    assert memory.users() == []


@pytest.mark.parametrize("scope", [{"agent_id": "cook"}, {"session_id": "s1"}])
def test_the_context_of_an_agent_or_a_session_shows_nothing_said_elsewhere(
    memory: Memory, scope: dict[str, str]
) -> None:
    memory.remember("I cook pasta.", user_id="ann", **scope)  # type: ignore[arg-type]
    memory.remember("I run marathons.", user_id="ann")
    memory.flush()
    assert "marathons" in memory.context("What do I run?", user_id="ann").text
    assert "marathons" not in memory.context("What do I run?", user_id="ann", **scope).text  # type: ignore[arg-type]
