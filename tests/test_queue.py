"""The queue of turns to think about: each once, in batches, whatever the thinker does."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from thinkers import (
    NOON,
    Fails,
    Hangs,
    Reader,
    claim,
    claims,
    day,
    everything,
    known,
    lives,
    opened,
    says,
    tell,
)

from memkit import Turn
from memkit.background.reflection import ATTEMPTS, PostThinking
from memkit.memory import Memory
from memkit.protocols import ThoughtPair
from memkit.records import Claim, Role, Scope, Source

ANN = Scope(user_id="ann")


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def memory(reader: Reader) -> Iterator[Memory]:
    with opened(thinker=reader) as made:
        yield made


def many(n: int, **rest: Any) -> list[Turn]:
    return [says(f"Ann has seen number{n}.", n, id=f"t{n}", **rest) for n in range(n)]


FOR_EVER = 3600.0  # longer than a test may take


def until(true: Any, *, seconds: float = 120) -> None:
    """Wait until something becomes true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


# ---- each turn once


def test_each_turn_is_thought_about_once_however_often_the_file_is_opened(
    tmp_path: Path, reader: Reader
) -> None:
    for n in range(3):
        with opened(tmp_path / "ann.db", reader) as memory:
            memory.remember(says("Ann likes tea.", n, id=f"a{n}"), user_id="ann")
    for n in range(3):
        with opened(tmp_path / "ann.db", reader) as memory:
            memory.remember(says("Ann likes tea.", n, id=f"b{n}"), user_id="ann")
            memory.flush()
            memory.think(user_id="ann")

    assert sorted(reader.seen) == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_the_same_turn_again_is_not_thought_about_again(memory: Memory, reader: Reader) -> None:
    tell(memory, *[says("Ann likes tea.", id="1")] * 3)
    assert reader.seen == ["1"]


def test_what_was_left_in_the_queue_is_thought_about_when_the_file_is_opened(
    tmp_path: Path,
) -> None:
    with opened(tmp_path / "ann.db") as memory:
        memory.remember(says("Ann likes tea."), user_id="ann")
    with opened(tmp_path / "ann.db", background=True) as memory:
        until(lambda: known(memory) == ["Ann likes tea."])


class Invents(Reader):
    """Says of each turn one thing that it supports and one that it does not."""

    def __init__(self) -> None:
        super().__init__(lambda turn: [*claims(turn), claim(turn, "Bob owns a zeppelin.")])


def test_two_memories_on_one_file_think_about_each_turn_once_in_effect(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    with opened(path, Invents()) as first, opened(path, Invents()) as second:
        for turn in many(40):
            first.remember(turn, user_id="ann", session_id=f"{turn.id}"[:2])
        threads = [Thread(target=memory.flush) for memory in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [thought.support for thought in second.thoughts(user_id="ann")] == [1] * 40
        assert first.stats()["rejected_claims"] == 40  # counted with the turns that it takes out
        assert (first.stats()["waiting_turns"], first.doctor()) == (0, [])


def test_thoughts_switched_off_wait_for_when_they_are_switched_on(tmp_path: Path) -> None:
    with opened(tmp_path / "ann.db", thoughts=False) as memory:
        memory.remember(says("Ann likes tea."), user_id="ann")
        memory.flush()
        assert (memory.stats()["waiting_turns"], known(memory)) == (1, [])
    with opened(tmp_path / "ann.db") as memory:
        memory.flush()
        assert known(memory) == ["Ann likes tea."]


# ---- batches


def test_a_batch_stays_inside_one_session(memory: Memory, reader: Reader) -> None:
    for session, turns in {"s1": many(6)[:2], "s2": many(6)[2:4], "s3": many(6)[4:]}.items():
        memory.remember(turns, user_id="ann", session_id=session)
    memory.remember(says("tea", id="t6"), user_id="bob", session_id="s3")
    memory.flush()

    assert sorted(reader.batches) == [["t0", "t1"], ["t2", "t3"], ["t4", "t5"], ["t6"]]


def test_batches_are_bounded_in_turns_and_in_characters(memory: Memory, reader: Reader) -> None:
    memory.remember(many(100), user_id="ann")
    memory.think(user_id="ann")
    assert max(map(len, reader.batches)) == 16
    assert reader.seen == [f"t{n}" for n in range(100)]

    long = [says("tea " * 25_000, 200 + n, id=f"l{n}") for n in range(3)]
    memory.remember(long, user_id="ann")
    memory.think(user_id="ann")
    assert reader.batches[-3:] == [["l0"], ["l1"], ["l2"]]


def test_what_systems_and_tools_say_is_never_given_to_the_thinker(
    memory: Memory, reader: Reader
) -> None:
    roles: list[Role] = ["system", "user", "tool", "assistant", "system"]
    said = [says("Ann likes tea.", 0, role, id=f"{role[0]}{n}") for n, role in enumerate(roles)]
    memory.remember(said, user_id="ann")
    memory.remember(says("Be kind.", role="system"), user_id="bob")
    memory.flush()

    assert reader.batches == [["u1", "a3"]]
    assert memory.stats()["waiting_turns"] == 0


# ---- a thinker that fails


def post(memory: Memory, thinker: Any, clock: list[datetime]) -> PostThinking:
    return PostThinking(
        store=memory.store, embedder=memory.embedder, thinker=thinker,
        clock=lambda: clock[0], seconds=60,
    )  # fmt: skip


def test_a_turn_that_fails_is_tried_again_alone_after_growing_pauses_and_then_given_up(
    memory: Memory,
) -> None:
    thinker, clock = Fails("t1"), [NOON]
    thinking = post(memory, thinker, clock)

    def due() -> bool:
        return thinking.step(ANN, patient=True, stopped=lambda: False) is not False

    memory.remember(many(3), user_id="ann")
    assert due()
    assert not due()  # not before its time
    clock[0] += timedelta(seconds=30)
    while due():
        pass
    assert thinker.batches == [["t0", "t1", "t2"], ["t0"], ["t1"], ["t2"]]
    assert len(known(memory)) == 2

    pauses = []
    while memory.stats()["waiting_turns"]:
        before = clock[0]
        while not due():
            clock[0] += timedelta(seconds=30)
        pauses.append((clock[0] - before).total_seconds())
    assert pauses == [120, 480, 1920]
    assert thinker.seen.count("t1") == ATTEMPTS
    assert memory.stats()["parked_turns"] == 1
    clock[0] += timedelta(days=365)
    assert not due()


def test_others_go_on_while_one_is_given_up_and_it_is_shown_and_can_be_retried() -> None:
    thinker = Fails("t1")
    with opened(thinker=thinker) as memory:
        memory.remember(many(3), user_id="ann")
        with pytest.raises(RuntimeError, match="cannot read"):
            memory.think(user_id="ann")
        memory.remember(says("Ann likes tea."), user_id="ann")
        memory.think(user_id="ann")  # nothing is left that fails

        assert len(known(memory)) == 3
        assert memory.stats(user_id="ann")["parked_turns"] == 1
        (fault,) = memory.doctor()
        assert "'t1' of 'ann' was parked after 5 failed attempts" in fault
        assert "cannot read ['t1']" in fault

        thinker.at.clear()
        memory.think(user_id="ann", retry=True)
        assert (len(known(memory)), memory.stats()["parked_turns"]) == (4, 0)
        assert memory.doctor() == []


def test_flush_ends_whatever_the_thinker_does() -> None:
    with opened(thinker=Fails("t0", "t1", "t2")) as memory:
        memory.remember(many(3), user_id="ann")
        memory.flush()
        assert (memory.stats()["waiting_turns"], memory.stats()["parked_turns"]) == (0, 3)
        memory.flush()


@pytest.mark.parametrize("answer", [None, 7, [None], ["text"], [Claim]])
def test_a_thinker_that_returns_no_claims_has_failed(answer: Any) -> None:
    class Confused:
        def think(self, _: list[Turn], __: Any = ()) -> Any:
            return answer

    with opened(thinker=Confused()) as memory:
        memory.remember(says("Ann likes tea."), user_id="ann")
        memory.flush()
        assert memory.stats()["parked_turns"] == 1
        assert "was parked" in memory.doctor()[0]


def test_a_failure_starts_no_background_work_where_that_is_switched_off() -> None:
    with opened(thinker=Fails("t0")) as memory:
        memory.remember(many(1), user_id="ann")
        memory.flush()
        assert memory._maintenance._worker._thread is None


def test_a_thinker_that_fails_once_is_tried_again_in_the_background(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("memkit.background.reflection._FIRST_PAUSE", timedelta(seconds=0.2))
    monkeypatch.setattr("memkit.background.maintenance._RECHECK_S", 0.2)

    class Stumbles(Reader):
        def think(self, turns: Any, before: Any = ()) -> list[Claim]:
            found = super().think(turns, before)
            if len(self.batches) == 1:
                raise RuntimeError("not yet")
            return found

    with opened(thinker=Stumbles(), background=True) as memory:
        memory.remember(says("Ann likes tea."), user_id="ann")
        until(lambda: known(memory) == ["Ann likes tea."])


# ---- users in turn


def test_a_user_with_thousands_of_waiting_turns_delays_nobody_by_more_than_a_batch(
    tmp_path: Path,
) -> None:
    with opened(tmp_path / "ann.db") as memory:
        memory.remember([says("tea", n, id=f"t{n}") for n in range(3_000)], user_id="ann")
    thinker = Hangs("t0")
    with opened(tmp_path / "ann.db", thinker, background=True, seconds=FOR_EVER) as memory:
        assert thinker.count_derived.wait(60)  # ann's first batch is being thought about
        memory.remember(says("Ann likes tea.", id="bob's"), user_id="bob")
        thinker.let_go.set()
        until(lambda: known(memory, "bob") == ["Ann likes tea."])
    assert 1 <= thinker.batches.index(["bob's"]) <= 2
    assert sum(map(len, thinker.batches)) < 1_000


def test_a_summariser_that_fails_keeps_no_user_from_being_thought_about() -> None:
    class Broken:
        def count(self, text: str) -> int:
            return len(text)

        def summarise(self, *_: Any, **__: Any) -> str:
            raise RuntimeError("no summary")

    with opened(background=True, summariser=Broken()) as memory:
        memory.remember(many(70), user_id="ann")
        memory.remember(says("Ann likes tea."), user_id="bob")
        until(lambda: len(known(memory)) == 70 and known(memory, "bob") == ["Ann likes tea."])
        until(lambda: any("no summary" in fault for fault in memory.doctor()))


# ---- a thinker that compares


def test_a_comparer_that_fails_loses_nothing_and_is_asked_again() -> None:
    thinker = Reader()
    answers: list[Any] = [RuntimeError("cannot compare"), [], None]

    def compare(pairs: list[ThoughtPair]) -> Any:
        answer = answers.pop(0) if answers else ["closes"] * len(pairs)
        if isinstance(answer, Exception):
            raise answer
        return answer

    thinker.compare = compare  # type: ignore[method-assign]
    with opened(thinker=thinker) as memory:
        tell(memory, lives("Oslo", 0))
        memory.remember(lives("Rome", 1), user_id="ann")
        with pytest.raises(RuntimeError, match="cannot compare"):
            memory.think(user_id="ann")
        assert answers == []  # too few answers, and none, failed as well
        assert (known(memory), memory.doctor()) == (["I live in Rome now"], [])


def test_a_thinker_without_compare_changes_no_older_thought() -> None:
    class Plain:
        def think(self, turns: list[Turn], before: Any = ()) -> list[Claim]:  # noqa: ARG002
            return [claim for turn in turns for claim in claims(turn)]

    with opened(thinker=Plain()) as memory:
        tell(memory, lives("Oslo", 0), lives("Rome", 1))
        assert known(memory) == ["I live in Oslo now", "I live in Rome now"]
        assert [thought.later for thought in memory.thoughts(user_id="ann")] == [(), ()]


def test_a_new_thought_is_compared_with_its_neighbours_and_not_with_closed_ones() -> None:
    thinker = Reader()
    with opened(thinker=thinker) as memory:
        tell(memory, lives("Oslo", 0), lives("Rome", 1))
        thinker.pairs.clear()
        tell(memory, lives("Bonn", 2))
    assert thinker.pairs == [("I live in Rome now", "I live in Bonn now")]


# ---- a thinker that hangs


@pytest.fixture
def hangs() -> Iterator[Hangs]:
    thinker = Hangs("t0")
    yield thinker
    thinker.let_go.set()


def test_a_thinker_that_hangs_is_left_behind_and_the_queue_goes_on(hangs: Hangs) -> None:
    with opened(thinker=hangs, background=True, seconds=0.3) as memory:
        memory.remember(many(1), user_id="ann", session_id="s1")
        memory.remember(says("Ann likes tea."), user_id="ann", session_id="s2")
        until(lambda: known(memory) == ["Ann likes tea."])

        (waiting,) = memory.store.next_batch(ANN, 9)
        assert (waiting.turn.id, waiting.attempts) == ("t0", 1)
    assert not hangs.let_go.is_set()


def test_closing_does_not_wait_for_a_thinker_that_hangs(tmp_path: Path, hangs: Hangs) -> None:
    memory = opened(tmp_path / "ann.db", hangs, background=True, seconds=FOR_EVER)
    memory.remember(many(1), user_id="ann")
    assert hangs.count_derived.wait(60)

    memory.close()

    with opened(tmp_path / "ann.db") as memory:
        assert memory.stats()["waiting_turns"] == 1
        memory.flush()
        assert len(known(memory)) == 1


def test_remembering_and_recalling_do_not_wait_for_the_thinker(hangs: Hangs) -> None:
    with opened(thinker=hangs, background=True, seconds=FOR_EVER) as memory:
        memory.remember(many(1), user_id="ann")
        assert hangs.count_derived.wait(60)
        for n in range(20):
            memory.remember(says(f"tea {n}"), user_id="ann")
            assert memory.recall(f"tea {n}", user_id="ann", k=1)[0].text == f"tea {n}"
        memory.forget(user_id="ann", turn_ids=["t0"])

        hangs.let_go.set()
        memory.flush()
        assert "number0" not in " ".join(known(memory))  # forgotten while it was thought about
        assert memory.stats()["thoughts"] == 20


# ---- claims that nothing supports


def nonsense(turn: Turn) -> list[Claim]:
    end = len(turn.text)
    return [
        claim(turn, turn.text),
        claim(turn, "Ann owns a zeppelin."),
        claim(turn, turn.text, 0, end + 1),
        claim(turn, turn.text, -1, end),
        claim(turn, turn.text, 5, 5),
        claim(turn, ""),
        claim(turn, "Ann likes \ud83d tea."),
        claim(turn, turn.text, tail="\ud83d"),
        claim(turn, turn.text, slot="\ud83d"),
        claim(turn, turn.text, valid_from=datetime(2024, 1, 1)),  # noqa: DTZ001
        claim(turn, turn.text * 50),
        Claim(text=turn.text, source=Source(turn_id="nobody's", start=0, end=end)),
    ]


def test_claims_that_their_turn_does_not_support_are_rejected_and_counted() -> None:
    with opened(thinker=Reader(nonsense)) as memory:
        tell(memory, says("Ann likes tea."))
        tell(memory, says("Ann likes milk."), user_id="bob")

        assert known(memory) == ["Ann likes tea."]
        assert [memory.stats(user_id=user)["rejected_claims"] for user in ("ann", "bob")] == [
            11,
            11,
        ]
        assert memory.stats()["rejected_claims"] == 22
        assert memory.doctor() == []


def test_a_claim_may_not_name_a_turn_that_the_thinker_was_not_given() -> None:
    def read(_: Turn) -> list[Claim]:
        return [Claim(text="Ann likes tea.", source=Source(turn_id="1", start=0, end=14))]

    with opened(thinker=Reader(read)) as memory:
        tell(memory, says("Ann likes tea.", id="1"), says("Ann likes tea.", id="2"))
        (thought,) = memory.thoughts(user_id="ann")
        assert (thought.turn_ids, memory.stats()["rejected_claims"]) == (("1",), 1)


# ---- counted


def test_stats_count_what_waits_of_one_user_and_of_all(memory: Memory) -> None:
    memory.remember(many(2), user_id="ann")
    memory.remember(lives("Oslo"), user_id="bob")
    assert [memory.stats(user_id=user)["waiting_turns"] for user in ("ann", "bob")] == [2, 1]
    assert memory.stats()["waiting_turns"] == 3

    memory.think(user_id="ann")
    assert memory.stats()["waiting_turns"] == 1
    assert memory.store.pending() == ["bob"]
    memory.forget(user_id="bob", everything=True)
    assert memory.stats()["waiting_turns"] == 0


def test_what_is_thought_does_not_depend_on_how_turns_are_batched() -> None:
    turns = [lives(city, n, id=f"t{n}") for n, city in enumerate(["Oslo", "Rome", "Rome", "Oslo"])]
    found = []
    for sessions in (["s"] * 4, ["s1", "s2", "s1", "s3"]):
        with opened() as memory:
            for turn, session in zip(turns, sessions, strict=True):
                memory.remember(turn, user_id="ann", session_id=session)
            memory.flush()
            found.append(
                [
                    (thought.text, thought.turn_ids, thought.valid_to)
                    for thought in everything(memory)
                ]
            )
    assert found[0] == found[1]
    assert [valid_to for _, _, valid_to in found[0]] == [day(1), day(3), None]


def test_a_turn_with_the_id_of_a_forgotten_one_never_brings_its_words_back() -> None:
    thinker = Hangs("t0")
    with opened(thinker=thinker, background=True) as memory:
        memory.remember(says("The xylophone is mine.", id="t0"), user_id="ann")
        assert thinker.count_derived.wait(60)  # it has read the old words
        memory.forget(user_id="ann", turn_ids=["t0"])
        memory.remember(says("Ann likes tea.", id="t0"), user_id="ann")
        thinker.let_go.set()
        memory.flush()

        assert known(memory) == ["Ann likes tea."]


def test_what_was_read_before_a_deletion_is_read_again_after_it() -> None:
    thinker = Hangs("t1")
    with opened(thinker=thinker, background=True) as memory:
        before = [says("The xylophone is mine.", id="t0"), says("Ann likes tea.", id="t1")]
        memory.remember(before, user_id="ann")
        assert thinker.count_derived.wait(60)
        memory.forget(user_id="ann", turn_ids=["t0"])
        thinker.let_go.set()
        memory.flush()

        assert known(memory) == ["Ann likes tea."]
