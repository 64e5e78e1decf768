"""A change serves its share of sessions, is watched, and stays only if nobody is worse off."""

import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_rollback import verify
from thinkers import Reader, claims, known, opened, says

from memkit import Forgetting, Turn
from memkit.errors import InvalidInput, StepRefused
from memkit.govern.online import Counts, Limits, find_breaches
from memkit.govern.rollout import Change, Rollout
from memkit.memory import Memory
from memkit.retrieval.ranker import Ranker, bundled_ranker

SESSIONS = [f"s{n}" for n in range(400)]
BUNDLED = bundled_ranker()
QUESTION = "Where is the red boat?"


def ranker(bias: float) -> Ranker:
    """Return a ranking that thinks more or less of every hit."""
    return replace(BUNDLED, calibration=replace(BUNDLED.calibration, bias=bias))


NAMES = ("Olga", "Pedro", "Ravi", "Sofia", "Tomas", "Umut")
THINGS = (("bread", "cellar"), ("ropes", "garage"), ("letters", "attic"), ("candles", "hall"))
SHY, SAME = ranker(-30.0), replace(BUNDLED)


def stage(memory: Memory, change: Change | None = None, **rest: Any) -> Rollout[Memory]:
    options: dict[str, Any] = {"name": "new", "share": 0.5, "limits": Limits(least=20)}
    return Rollout(memory, change or Change(ranker=SHY), **options | rest)


def sessions_of(rollout: Rollout[Memory], memory: Memory) -> tuple[list[str], list[str]]:
    """Return the sessions of the control arm and those of the candidate."""
    arms: tuple[list[str], list[str]] = ([], [])
    for session in SESSIONS:
        served = rollout.memory_for(user_id="ann", session_id=session)
        arms[served is not memory].append(session)
    return arms


def ask(rollout: Rollout[Memory], session: str | None, n: int = 1) -> float:
    served = rollout.memory_for(user_id="ann", session_id=session)
    return max(served.recall(QUESTION, user_id="ann")[0].relevance for _ in range(n))


def kinds(memory: Memory) -> list[str]:
    return [event.kind for event in memory.store.events()]


@pytest.fixture
def memory() -> Any:
    with opened() as memory:
        memory.remember([says("The red boat is in the harbour"), says("I like tea")], user_id="ann")
        yield memory


# ---- who is served


def test_a_session_is_in_the_same_arm_in_every_process(tmp_path: Path) -> None:
    arms = []
    for _ in range(2):
        with opened(tmp_path / "ann.db") as memory:
            arms.append(sessions_of(stage(memory, share=0.25), memory))
    assert arms[0] == arms[1]
    assert 60 < len(arms[0][1]) < 140


def test_another_rollout_and_another_memory_split_differently(memory: Memory) -> None:
    with opened() as other:
        splits = [sessions_of(stage(memory, name=name), memory)[1] for name in ("new", "newer")]
        splits.append(sessions_of(stage(other), other)[1])
    assert len({tuple(split) for split in splits}) == 3


@pytest.mark.parametrize(("share", "served"), [(0, 0), (1, 400)])
def test_a_share_of_none_or_all(memory: Memory, share: float, served: int) -> None:
    rollout = stage(memory, share=share)
    assert len(sessions_of(rollout, memory)[1]) == served
    assert rollout.memory_for(user_id="ann", session_id=None) is memory


def test_another_ranking_answers_in_its_sessions_only(memory: Memory) -> None:
    before = memory.recall(QUESTION, user_id="ann")
    rollout = stage(memory)
    control, candidate = sessions_of(rollout, memory)
    assert ask(rollout, candidate[0]) < 0.001
    assert memory.recall(QUESTION, user_id="ann") == before
    served = rollout.memory_for(user_id="ann", session_id=candidate[0])
    assert served.context(QUESTION, user_id="ann").hits[0].relevance < 0.001
    assert ask(rollout, control[0]) == before[0].relevance


class Shouts(Reader):
    """Believes what is said in capitals."""

    def __init__(self) -> None:
        super().__init__(
            lambda turn: [replace(each, text=each.text.upper()) for each in claims(turn)]
        )


def test_another_thinker_thinks_about_the_turns_of_its_sessions_only(memory: Memory) -> None:
    rollout = stage(memory, Change(thinker=Shouts()))
    control, candidate = sessions_of(rollout, memory)
    for session in (control[0], candidate[0], None):
        turn = Turn(text=f"I like boats of {session}", session_id=session)
        rollout.memory_for(user_id="bob", session_id=session).remember(turn, user_id="bob")
    memory.think(user_id="bob")
    assert set(known(memory, "bob")) == {
        f"I like boats of {control[0]}", f"I LIKE BOATS OF {candidate[0].upper()}",
        "I like boats of None",
    }  # fmt: skip
    sources = {event.source for event in memory.store.events() if event.kind == "think"}
    assert {"Reader", "Shouts"} <= sources


def test_pruning_is_tried_on_a_share_of_users() -> None:
    with opened() as memory:
        rollout = stage(memory, Change(forgetting=Forgetting(fraction=0.5, interval=10)))
        users = [f"u{n}" for n in range(12)]
        for user_id in users:
            memory.remember([says(f"boat {n}", n) for n in range(20)], user_id=user_id)
            memory.think(user_id=user_id)
        pruned = {user_id for user_id in users if memory.stats(user_id=user_id)["hidden_chunks"]}
        served = {
            user_id
            for user_id in users
            if rollout.memory_for(user_id=user_id, session_id="any") is not memory
        }
        assert pruned == served
        assert 0 < len(pruned) < 12

        for user_id in pruned:
            memory.rollback(user_id=user_id, to=rollout.started)
        assert memory.stats()["hidden_chunks"] == 0
        verify(memory)


# ---- what is counted, and when it ends


def test_a_worse_ranking_falls_back_by_itself_and_the_ledger_says_why(memory: Memory) -> None:
    rollout = stage(memory)
    control, candidate = sessions_of(rollout, memory)
    for session in control[:20]:
        ask(rollout, session)
    for session in candidate[:19]:
        ask(rollout, session)
    assert (rollout.state, kinds(memory)[-1]) == ("running", "rollout")
    ask(rollout, candidate[19])
    assert rollout.state == "fallen back"
    event = memory.store.last_event()
    assert (event.kind, event.source) == ("fallback", "new: empty, relevance")
    assert ask(rollout, candidate[0]) == ask(rollout, control[0]) > 0.1
    assert rollout.counts["candidate"].recalls == 20
    with pytest.raises(InvalidInput, match="is over: it is fallen back"):
        rollout.promote()
    verify(memory)


def test_a_ranking_that_is_as_good_stays_until_it_is_promoted(memory: Memory) -> None:
    rollout = stage(memory, Change(ranker=ranker(BUNDLED.calibration.bias + 0.01)))
    control, candidate = sessions_of(rollout, memory)
    for session in SESSIONS:
        ask(rollout, session)
    assert (rollout.state, rollout.check()) == ("running", [])
    before = ask(rollout, candidate[0])
    assert ask(rollout, control[0]) != before
    rollout.promote()
    assert ask(rollout, control[0]) == memory.recall(QUESTION, user_id="ann")[0].relevance == before
    assert kinds(memory)[-2:] == ["rollout", "promote"]


def by_one_signal(name: str) -> Ranker:
    """Return a ranking that looks at one signal only."""
    base = [20.0 if signal == name else -20.0 for signal in BUNDLED.signals]
    return replace(BUNDLED, base=np.array(base), slopes=np.zeros_like(BUNDLED.slopes))


def test_a_ranking_that_answers_the_probes_worse_is_not_promoted(memory: Memory) -> None:
    memory.remember(
        [says(f"{name} keeps {thing} in the {room}") for name in NAMES for thing, room in THINGS],
        user_id="ann",
    )
    rollout = stage(memory, Change(ranker=by_one_signal("length")))
    with pytest.raises(StepRefused, match="kept"):
        rollout.promote()
    assert (rollout.state, kinds(memory)[-1]) == ("running", "refused")
    assert memory.stats()["refused_steps"] == 1
    verify(memory)


@pytest.mark.parametrize(
    ("end", "share", "text"), [("promote", 0.0, "I LIKE IT"), ("fall_back", 1.0, "I like it")]
)
def test_at_the_end_one_thinker_thinks_about_all_sessions(
    memory: Memory, end: str, share: float, text: str
) -> None:
    rollout = stage(memory, Change(thinker=Shouts()), share=share)
    getattr(rollout, end)()
    memory.remember(Turn(text="I like it", session_id="s"), user_id="bob")
    memory.think(user_id="bob")
    assert known(memory, "bob") == [text]


def test_a_correction_counts_for_the_arm_that_drew_the_thought(memory: Memory) -> None:
    rollout = stage(memory, Change(thinker=Shouts()))
    control, candidate = sessions_of(rollout, memory)
    for n in range(30):
        memory.remember(Turn(text=f"I like boat {n}", session_id=candidate[n]), user_id="bob")
        ask(rollout, candidate[n])
        ask(rollout, control[n])
    memory.remember(Turn(text="I like tea", session_id=control[0]), user_id="bob")
    memory.think(user_id="bob")
    *shouted, tea = memory.thoughts(user_id="bob")
    memory.correct(tea.id, "I like no tea", user_id="bob")
    assert (rollout.counts["control"].corrections, rollout.state) == (1, "running")
    for thought in shouted:
        memory.retract(thought.id, user_id="bob")
    assert rollout.counts["candidate"].corrections == 30
    assert rollout.state == "fallen back"
    assert [event.source for event in memory.store.events() if event.kind == "fallback"] == [
        "new: corrections"
    ]


def test_a_probe_that_scores_less_ends_it_and_its_recalls_are_not_counted(memory: Memory) -> None:
    def probe(arm: Memory) -> Mapping[str, float]:
        return {"recall@1": float(arm.recall(QUESTION, user_id="ann")[0].relevance > 0.1), "x": 1.0}

    rollout = stage(memory, probe=probe)
    assert rollout.check() == ["recall@1"]
    assert (rollout.state, rollout.counts["control"].recalls) == ("fallen back", 0)
    assert stage(memory, Change(ranker=SAME), name="harmless", probe=probe).check() == []


def test_another_process_learns_of_a_decision_and_a_new_one_begins_with_it(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    with opened(path) as here, opened(path) as there:
        here.remember("The red boat is in the harbour", user_id="ann")
        first, second = stage(here), stage(there)
        assert first.started == second.started
        first.promote()
        assert (second.check(), second.state) == ([], "promoted")
        assert there.recall(QUESTION, user_id="ann")[0].relevance < 0.001
    with opened(path) as again:
        assert stage(again).state == "promoted"
        assert again.recall(QUESTION, user_id="ann")[0].relevance < 0.001
        assert kinds(again).count("rollout") == 1


def test_many_threads_fall_back_once(memory: Memory) -> None:
    rollout = stage(memory)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda session: ask(rollout, session), SESSIONS))
    assert kinds(memory).count("fallback") == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda memory: stage(memory, share=1.5), "share must be from 0 to 1"),
        (lambda memory: stage(memory, name="a: b"), "without a colon"),
        (lambda _: Change(), "changes one thing"),
        (lambda _: Change(ranker=SAME, thinker=Reader()), "changes one thing"),
    ],
)
def test_a_rollout_that_cannot_be_is_an_error(
    memory: Memory, make: Callable[[Memory], object], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        make(memory)


# ---- how much worse is too much


def counted(rng: random.Random, n: int, empty: float, corrections: float = 0.0) -> Counts:
    counts = Counts()
    for _ in range(n):
        counts.add_recall(0.0 if rng.random() < empty else rng.uniform(0.2, 0.9))
        counts.corrections += rng.random() < corrections
    return counts


def test_equal_arms_seldom_exceed_a_limit_however_often_they_are_looked_at() -> None:
    alarms = 0
    for seed in range(40):
        rng = random.Random(seed)
        arms: Sequence[Counts] = (Counts(), Counts())
        breaches: set[str] = set()
        for _ in range(1000):
            for arm in arms:
                arm.add_recall(0.0 if rng.random() < 0.1 else rng.uniform(0.2, 0.9))
                arm.corrections += rng.random() < 0.02
            breaches |= set(find_breaches(arms[0], arms[1], Limits()))
        alarms += bool(breaches)
    assert alarms == 0


def test_a_great_difference_exceeds_its_limit_and_only_in_one_direction() -> None:
    good = counted(random.Random(1), 1000, 0.05)
    bad = counted(random.Random(2), 1000, 0.25, corrections=0.2)
    assert find_breaches(good, bad, Limits()) == ["empty", "relevance", "corrections"]
    assert find_breaches(bad, good, Limits()) == []
    assert find_breaches(good, bad, Limits(least=1001)) == []
