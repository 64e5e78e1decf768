"""The gate stops maintenance that does harm, lets the rest pass, and a refusal changes nothing."""

# ruff: noqa: F811 - fixtures are imported

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Run, run  # noqa: F401 - fixtures
from thinkers import Reader, lives, says, tell

import memkit
from memkit import Forgetting, Hit, Memory, Settings
from memkit.errors import InvalidInput, StepRefused
from memkit.govern.comparison import compare
from memkit.govern.policy import FILE, Policy
from memkit.govern.probes import probe_turn
from memkit.protocols import Relation, ThoughtPair, Vectors, WriteBatch
from memkit.records import Scope, Turn
from memkit.testing import HashEmbedder

ANN = Scope(user_id="ann")
KINDS: tuple[Any, ...] = ("turn", "thought")
THINGS = ["kayak", "violin", "orchid", "teapot", "lantern", "saddle", "compass", "anvil"]
THINGS += ["mandolin", "quilt", "beehive", "telescope", "accordion", "harpoon", "sundial", "piano"]
PLACES = ["garage", "attic", "cellar", "office", "balcony", "workshop", "kitchen", "hallway"]
PLACES += ["pantry", "barn", "boathouse", "stable", "library", "studio", "laundry", "chapel"]
FACTS = [
    says(f"The {thing} made of metal{n} stands in the {place}", n / 100, id=f"fact{n}")
    for n, (thing, place) in enumerate(zip(THINGS, PLACES, strict=True))
]
QUESTIONS = [f"Where is the {thing}?" for thing in THINGS]


class Decides(Reader):
    """A thinker for which every newer thought does the same to every older one."""

    def __init__(self, relation: Relation = "keeps") -> None:
        super().__init__()
        self.relation = relation

    def compare(self, pairs: Sequence[ThoughtPair]) -> list[Relation]:
        return [self.relation for _ in pairs]


def opened(path: Path | str = ":memory:", **rest: Any) -> Memory:
    rest = {"thinker": Decides(), "embedder": HashEmbedder(256)} | rest
    settings = {"background": False} | rest.pop("settings", {})
    return memkit.open(str(path), settings=Settings(**settings), **rest)


def told(path: Path | str = ":memory:", **rest: Any) -> Memory:
    """Return a memory with sixteen facts and their thoughts."""
    memory = opened(path, **rest)
    memory.remember(FACTS, user_id="ann")
    memory.think(user_id="ann")
    return memory


def recalled(memory: Memory) -> list[list[Hit]]:
    return [
        memory.recall(text, user_id="ann", k=20, kind=kind) for text in QUESTIONS for kind in KINDS
    ]


def steps(memory: Memory) -> list[str]:
    """Return whether the steps that were probed were admitted or refused, in their order."""
    kinds = [event.kind for event in memory.store.events()]
    return [kind for kind in kinds if kind in ("admitted", "refused")]


def last_scores(memory: Memory) -> dict[str, int]:
    events = [event for event in memory.store.events() if event.kind in ("refused", "admitted")]
    return dict(events[-1].counts)


def believed(memory: Memory) -> set[str]:
    return {thought.text for thought in memory.thoughts(user_id="ann")}


# ---- probes


def test_a_probe_has_the_content_words_of_the_most_informative_clause() -> None:
    turn = Turn(id="1", text="Hi there! My sister Eve has moved to Trondheim. Nice, isn't it?")
    probe = probe_turn(turn)
    assert probe is not None
    assert (probe.text, probe.turn_id) == ("sister eve moved trondheim", "1")
    assert probe_turn(Turn(id="2", text="Oh, that is so nice of you!")) is None


def test_the_sample_of_turns_stays_the_same_and_is_spread_over_the_history() -> None:
    with opened() as memory:
        memory.remember([f"fact{n}" for n in range(300)], user_id="ann")
        first = memory.store.sample(ANN, 20)
        assert memory.store.sample(ANN, 20) == first
        positions = [turn.position or 0 for turn in first]
        assert positions == sorted(positions)
        assert max(np.diff([0, *positions, 300])) < 60
        memory.forget(user_id="ann", turn_ids=[first[3].id or ""], scan=False)
        assert first[3] not in memory.store.sample(ANN, 20)


# ---- merging and closing


@pytest.mark.parametrize("relation", ["closes", "same"])
def test_a_thinker_that_takes_different_things_for_one_is_refused(relation: Relation) -> None:
    thinker = Decides()
    with told(thinker=thinker) as memory:
        facts, before = believed(memory), recalled(memory)
        thinker.relation = relation
        tell(memory, says("My dentist appointment costs forty euros", 1, id="new"))

        assert believed(memory) == facts | {"My dentist appointment costs forty euros"}
        assert steps(memory)[-1] == "refused"
        assert last_scores(memory)["likeness after"] < 700
        texts = [[hit.text for hit in hits[:1]] for hits in recalled(memory)]
        assert texts == [[hit.text for hit in hits[:1]] for hits in before]


def test_a_refused_change_is_left_in_doubt() -> None:
    thinker = Decides()
    with told(thinker=thinker) as memory:
        thinker.relation = "closes"
        (new,) = tell(memory, says("My dentist appointment costs forty euros", 1))
        doubted = [thought for thought in memory.thoughts(user_id="ann") if thought.doubt]
        assert doubted
        assert {thought.doubt for thought in doubted} == {(new,)}


def test_a_change_of_the_same_thing_is_admitted() -> None:
    class Moves(Reader):
        def compare(self, pairs: Sequence[ThoughtPair]) -> list[Relation]:
            kayak = [all("kayak" in item.text for item in (p.older, p.newer)) for p in pairs]
            return ["closes" if both else "keeps" for both in kayak]

    with told(thinker=Moves()) as memory:
        tell(memory, says("I carried the metal0 kayak over to our shed", 1, id="new"))
        assert FACTS[0].text not in believed(memory)
        assert steps(memory) == ["admitted"]
        assert memory.recall("Where is the kayak?", user_id="ann")[0].turn_ids == ("new",)
        scores = last_scores(memory)
        assert scores["kept before"] == scores["kept after"] == 1000


def test_a_reflection_much_longer_than_its_turns_is_parked_and_not_tried_again() -> None:
    class Rambles(Reader):
        def think(self, turns: Sequence[Turn], before: Sequence[Turn] = ()) -> list[Any]:
            return [claim for claim in super().think(turns, before) for _ in range(60)]

    with opened(thinker=Rambles()) as memory:
        memory.remember(says("The kayak made of metal stands in the garage", id="1"), user_id="ann")
        with pytest.raises(StepRefused, match="times what was read"):
            memory.think(user_id="ann")
        memory.think(user_id="ann")
        counts = memory.stats(user_id="ann")
        assert (counts["refused_steps"], counts["parked_turns"], counts["thoughts"]) == (1, 1, 0)
        assert any("the gate refused this step" in fault for fault in memory.doctor())


# ---- pruning

HALF = Forgetting(fraction=0.5, interval=16)
LITTLE = Forgetting(fraction=0.05, interval=16)


def test_a_prune_that_hides_what_is_needed_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with told(tmp_path / "ann.db") as memory:
        before = recalled(memory)
    with opened(tmp_path / "ann.db", settings={"forgetting": HALF}) as memory:
        assert recalled(memory) == before
        memory.remember([f"More talk of weather number{n}" for n in range(16)], user_id="ann")
        after_talk = recalled(memory)
        memory.think(user_id="ann")

        assert memory.stats()["hidden_chunks"] == 0
        assert steps(memory) == ["refused"]
        assert last_scores(memory)["kept after"] < last_scores(memory)["kept before"]
        assert memory.summary(user_id="ann") is not None  # the summary is a step of its own
        assert recalled(memory)[::2] == after_talk[::2]
        assert memory.doctor() == []
    with opened(tmp_path / "ann.db") as memory:
        assert recalled(memory)[::2] == after_talk[::2]


def test_a_prune_that_hides_little_is_admitted() -> None:
    with told(settings={"forgetting": LITTLE}) as memory:
        assert memory.stats()["hidden_chunks"] == 1
        assert steps(memory) == ["admitted"]


def test_without_the_gate_everything_is_admitted() -> None:
    with told(settings={"forgetting": HALF, "gate": False}) as memory:
        assert memory.stats()["hidden_chunks"] == 8
        assert steps(memory) == []


# ---- summaries


class Writes:
    """A summariser that writes what a test says."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)

    def count(self, text: str) -> int:
        return len(text.split())

    def summarise(self, previous: str, new: Sequence[str], *, max_tokens: int) -> str:  # noqa: ARG002
        return self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]


def moved(summariser: Writes, **rest: Any) -> Memory:
    """Return a memory with a summary, and with a fact that was replaced after it."""
    memory = opened(summariser=summariser, thinker=Reader(), **rest)
    tell(memory, lives("Oslo", 1))
    tell(memory, lives("Lima", 2))
    return memory


def test_a_summary_that_says_what_no_longer_holds_is_refused_and_the_old_one_stays() -> None:
    with opened(summariser=Writes("Ann lives in Oslo."), thinker=Reader()) as memory:
        tell(memory, lives("Oslo", 1))
        tell(memory, lives("Lima", 2))
        assert memory.summary(user_id="ann") is not None
        assert steps(memory)[-1] == "refused"
        assert memory.stats()["refused_steps"] == 1
        assert any("current is 0.000" in fault for fault in memory.doctor())


def test_a_summary_that_tells_of_the_change_or_of_the_new_fact_is_admitted() -> None:
    for text in ("Ann moved from Oslo to Lima.", "Ann lives in Lima."):
        with moved(Writes("Ann lives in Oslo.", text)) as memory:
            summary = memory.summary(user_id="ann")
            assert summary is not None
            assert summary.text == text
            (*_, event) = (event for event in memory.store.events() if event.kind == "summary")
            assert event.counts["current after"] == 1000


def test_a_summary_that_says_what_was_retracted_is_refused() -> None:
    with opened(summariser=Writes("Ann owns a red boat."), thinker=Reader()) as memory:
        tell(memory, says("I own a red boat", 1))
        (thought,) = memory.thoughts(user_id="ann")
        memory.retract(thought.id, user_id="ann")
        tell(memory, says("My tea is green", 2))
        assert steps(memory)[-1] == "refused"
        assert any("current is 0.000" in fault for fault in memory.doctor())


def test_a_summary_longer_than_the_policy_allows_is_refused(tmp_path: Path) -> None:
    short = tmp_path / "policy.toml"
    short.write_text(FILE.read_text().replace("most = 60", "most = 3"))
    with opened(summariser=Writes("one two three four"), settings={"policy": short}) as memory:
        tell(memory, says("tea", 1))
        assert memory.summary(user_id="ann") is None
        assert any("tokens is 4 (at most 3)" in fault for fault in memory.doctor())


def test_without_the_gate_any_summary_is_written() -> None:
    with moved(Writes("Ann lives in Oslo."), settings={"gate": False}) as memory:
        summary = memory.summary(user_id="ann")
        assert summary is not None
        assert (summary.text, summary.through) == ("Ann lives in Oslo.", 2)


# ---- what users write


def test_what_a_user_writes_is_never_gated() -> None:
    with told() as memory:
        thought = memory.thoughts(user_id="ann")[0]
        memory.correct(thought.id, "I have no instruments at all", user_id="ann")
        memory.retract(memory.thoughts(user_id="ann")[0].id, user_id="ann")
        memory.forget(user_id="ann", turn_ids=[turn.id or "" for turn in FACTS[:12]])
        assert steps(memory) == []


# ---- branches


@contextmanager
def failing_branch(memory: Memory) -> Iterator[None]:
    with suppress(ZeroDivisionError), memory.store.branch(ANN):
        yield
        raise ZeroDivisionError


def test_a_branch_that_fails_leaves_every_cache_as_it_was() -> None:
    with told() as memory:
        hide = [chunk.id for chunk in memory.store.chunks(ANN)[:8]]
        before = recalled(memory)
        with failing_branch(memory):
            memory.store.write(ANN, WriteBatch(hide=hide))
            assert recalled(memory) != before
        assert recalled(memory) == before
        assert memory.doctor() == []


def test_turns_and_thoughts_of_a_failed_branch_are_in_no_index() -> None:
    with told() as memory:
        before = recalled(memory)
        with failing_branch(memory):
            memory.remember(says("The yacht rests in the marina", 1), user_id="ann")
            memory.think(user_id="ann")
            hits = memory.recall("yacht marina", user_id="ann", kind="thought")
            assert hits[0].text == "The yacht rests in the marina"
        assert recalled(memory) == before
        zeppelin = "The zeppelin hovers over the stadium"  # it gets the keys of the yacht's rows
        tell(memory, says(zeppelin, 2))
        hits = [memory.recall(zeppelin, user_id="ann", kind=kind)[0] for kind in KINDS]
        assert [hit.text for hit in hits] == [zeppelin, zeppelin]
        assert hits[1].relevance == pytest.approx(1)
        assert memory.doctor() == []


def test_a_write_that_fails_inside_a_branch_takes_back_only_itself() -> None:
    with told() as memory, memory.store.branch(ANN):
        memory.remember("kept words", user_id="ann")
        with pytest.raises(InvalidInput):
            memory.remember(Turn(id="fact0", text="another text"), user_id="ann")
        assert [turn.text for turn in memory.turns(user_id="ann")][-1] == "kept words"


_KILLED = """
import os, signal, sys
from test_gate import ANN, opened
from memkit.protocols import WriteBatch
memory = opened(sys.argv[1])
with memory.store.branch(ANN):
    memory.store.write(ANN, WriteBatch(hide=[chunk.id for chunk in memory.store.chunks(ANN)]))
    memory.recall("kayak", user_id="ann")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_trial_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    with told(path) as memory:
        before, events = recalled(memory), list(memory.store.events())
    folder = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(path)], env=environment, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    with opened(path) as memory:
        assert (recalled(memory), list(memory.store.events())) == (before, events)
        assert memory.doctor() == []


# ---- another embedder


class Blind(HashEmbedder):
    """Gives every text a vector that has nothing to do with its words."""

    def __init__(self) -> None:
        super().__init__(256, name="blind")

    def embed(self, texts: Sequence[str]) -> Vectors:
        return super().embed([f"{hash(text) % 10**9} {len(text)}" for text in texts])


def many(path: Path) -> None:
    with opened(path) as memory:
        memory.remember([f"The {a} is in the {b} with {a}{b}" for a in THINGS for b in PLACES],
                        user_id="ann")  # fmt: skip


def test_an_embedder_that_finds_less_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    many(path)
    with opened(path) as memory:
        before = recalled(memory)
    with pytest.raises(StepRefused, match="nearest"):
        memkit.reembed(path, Blind(), current=HashEmbedder(256))
    with opened(path) as memory:
        assert recalled(memory) == before
        assert steps(memory) == ["refused"]
        assert memory.doctor() == []
    with pytest.raises(StepRefused, match="nearest"):  # by the least value alone
        memkit.reembed(path, Blind())
    assert memkit.reembed(path, Blind(), settings=Settings(gate=False)) == 256


def test_an_embedder_that_finds_as_much_is_admitted(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    many(path)
    assert memkit.reembed(path, HashEmbedder(512), current=HashEmbedder(256)) == 256
    with opened(path, embedder=HashEmbedder(512)) as memory:
        assert memory.recall("kayak garage", user_id="ann")[0].text.startswith("The kayak")


# ---- the policy


def test_a_policy_of_ones_own_replaces_the_thresholds(tmp_path: Path) -> None:
    lenient = tmp_path / "policy.toml"
    text = FILE.read_text().replace("least = 0.85", "least = 0").replace("fall = 0.05", "fall = 1")
    text = text.replace("least = 0.80\nfall = 0.125", "least = 0\nfall = 1")
    lenient.write_text(text.replace("version = 2", "version = 7"))
    with told(settings={"forgetting": HALF, "policy": lenient}) as memory:
        assert memory.stats()["hidden_chunks"] == 8
        (event,) = [event for event in memory.store.events() if event.kind == "admitted"]
        assert "policy 7" in event.source


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version = 2", "", "lacks version"),
        ("[kept]", "[keep]", "lacks kept"),
        ("least = 0.85", "lest = 0.85", "lacks kept.least"),
        ("least = 0.85", "least = 'much'", "kept.least must be a number"),
        ("version = 2", "version = ", "cannot be read"),
    ],
)
def test_a_wrong_policy_says_what_is_wrong(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    wrong = tmp_path / "policy.toml"
    wrong.write_text(FILE.read_text().replace(old, new))
    with pytest.raises(InvalidInput, match=message):
        Policy.load(wrong)
    with pytest.raises(InvalidInput, match=message):
        opened(settings={"policy": wrong})


# ---- reports


def test_the_log_shows_the_scores_of_a_refusal(run: Run) -> None:
    with told("memkit.db", settings={"forgetting": HALF}):
        pass
    shown = run("audit", "log", "--kind", "refused")
    assert shown.code == 0
    assert {"kept", "1.000", "→", "0.500,"} <= set(shown.out.split())
    assert run("audit", "verify").code == 0
    (event,) = run("audit", "log", "--kind", "refused", "--json").lines
    assert event["counts"]["kept after"] == 500
    assert run("stats", "--json").json["refused_steps"] == 1


def test_forgetting_drops_the_words_of_probes() -> None:
    with told(settings={"forgetting": LITTLE}) as memory:
        gate = memory._maintenance._gate
        assert gate is not None
        assert "kayak" in repr(gate._users)
        memory.forget(user_id="ann", turn_ids=["fact0"])
        assert "kayak" not in repr(gate._users)


# ---- another configuration


def test_a_configuration_that_answers_less_is_not_admitted() -> None:
    with told() as memory, opened(embedder=HashEmbedder(128)) as same, opened() as forgetful:
        same.remember(memory.turns(user_id="ann"), user_id="ann")
        forgetful.remember(list(memory.turns(user_id="ann"))[:8], user_id="ann")
        recall, recall_same, recall_less = (
            partial(each.recall, user_id="ann") for each in (memory, same, forgetful)
        )
        assert compare(memory.store, "ann", recall, recall_same).is_admitted
        comparison = compare(memory.store, "ann", recall, recall_less)
        assert not comparison.is_admitted
        assert comparison.breaches[0] == "kept falls from 1.000 to 0.500 (by at most 0.05)"
