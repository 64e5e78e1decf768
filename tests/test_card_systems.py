"""What every system keeps to, ours, the baselines and other people's alike."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from made_up import SAID

from evals.data.haystack import Query
from evals.systems.memkit import OURS
from evals.systems.protocol import Lines, System
from evals.systems.registry import ABLATIONS, CARD_SYSTEMS, SYSTEMS, load_system
from memkit import Turn
from memkit.protocols import Vectors
from memkit.testing import HashEmbedder

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
TALK = (*SAID, *(f"Small talk number {n} about weather." for n in range(12)))
# the ablations differ in their weights only, so one of them is enough
NAMES = sorted(CARD_SYSTEMS.keys() - ABLATIONS.keys() | {"memkit without lexical"})
BY_WORDS = sorted(
    {*NAMES} - {"no memory", "compact only", "memkit thoughts", "last turns", "full history"}
)
BY_AGE = ["full history", "last turns"]


def turns(*texts: str, first: int = 0) -> list[Turn]:
    return [
        Turn(text=text, id=f"t{n}", said_at=NOON + timedelta(hours=n), session_id=f"s{n // 4}")
        for n, text in enumerate(texts, start=first)
    ]


def made(name: str) -> System:
    return load_system(name)(HashEmbedder())


@pytest.fixture(params=NAMES)
def system(request: pytest.FixtureRequest) -> Iterator[System]:
    """A system that has heard the talk in two parts."""
    one = made(request.param)
    one.remember(turns(*TALK[:9]))
    one.remember(turns(*TALK[9:], first=9))
    yield one
    one.close()


def ids(found: Sequence[Any]) -> list[str]:
    return [hit.turn_id for hit in found]


def test_at_most_k_turns_come_back_once_each_and_best_first(system: System) -> None:
    found = system.ask(Query(text="the vacuum cleaner, tulips and small talk about weather"), 5)

    assert len(found) <= 5
    assert len({*ids(found)}) == len(found)
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)


def test_a_prompt_fits_and_holds_the_words_of_the_turns_it_names_in_order(system: System) -> None:
    said = {turn.id: turn.text for turn in turns(*TALK)}

    for budget in (1, 40, 90, 2000):
        packed = system.pack(Query(text="tulips and small talk"), budget)
        assert HashEmbedder().count(packed.text) <= budget
        assert set(packed.turns) <= said.keys()
        assert len(set(packed.turns)) == len(packed.turns)
        # the last place: a summary before them may quote them too
        places = [packed.text.rfind(said[turn].rstrip(".")) for turn in packed.turns]
        assert -1 not in places
        assert places == sorted(places)


def test_what_is_forgotten_is_neither_found_nor_packed_nor_held(
    system: System, request: pytest.FixtureRequest
) -> None:
    if "that hides" in request.node.name:
        pytest.skip("a soft delete, which is on the card because it keeps what it should not")
    asked = Query(text="greyhound Biscuit fears the vacuum; Small talk number 11 about weather")

    system.forget(["t0", "t15"])

    assert {"t0", "t15"}.isdisjoint(ids(system.ask(asked, 99)))
    packed = system.pack(asked, 2000)
    assert {"t0", "t15"}.isdisjoint(packed.turns)
    assert "Biscuit" not in packed.text
    assert "number 11" not in packed.text
    assert {"t0", "t15"}.isdisjoint(system.stored() or ())


def test_forgetting_twice_or_what_was_never_said_is_no_error(system: System) -> None:
    for _ in range(2):
        system.forget(["t3", "t99"])

    assert "t3" not in ids(system.ask(Query(text="Grandmother's violin"), 99))


def test_all_can_be_forgotten_and_something_new_remembered(system: System) -> None:
    system.forget([f"t{n}" for n in range(len(TALK))])
    nothing = system.ask(Query(text="tulips"), 9), system.pack(Query(text="tulips"), 900)
    system.remember(turns("The ferry leaves at dawn.", first=50))

    assert nothing[0] == []
    assert nothing[1].turns == ()
    assert set(ids(system.ask(Query(text="The ferry leaves at dawn."), 9))) <= {"t50"}


def test_closing_twice_is_harmless(system: System) -> None:
    system.close()
    system.close()


@pytest.mark.parametrize("name", BY_WORDS)
def test_each_turn_is_found_by_its_words_also_one_said_later(name: str) -> None:
    one = made(name)
    one.remember(turns(*TALK[:2]))
    assert ids(one.ask(Query(text=TALK[0]), 1)) == ["t0"]

    one.remember(turns(*TALK[2:], first=2))

    for n, text in enumerate(SAID):
        assert ids(one.ask(Query(text=text), 1)) == [f"t{n}"]
    assert one.stored() == {f"t{n}" for n in range(len(TALK))}
    one.close()


@pytest.mark.parametrize("name", BY_AGE)
def test_the_newest_turn_is_first_whatever_is_asked(name: str) -> None:
    one = made(name)
    one.remember(turns(*TALK[:2]))
    one.remember(turns(*TALK[2:4], first=2))

    assert ids(one.ask(Query(text=TALK[0]), 9)) == ["t3", "t2", "t1", "t0"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_goes_from_one_memory_to_another(name: str) -> None:
    one, other = made(name), made(name)
    one.remember(turns(*TALK))
    other.remember(turns("Nothing of that sort.", first=40))

    found = other.ask(Query(text=" ".join(SAID)), 99)
    packed = other.pack(Query(text=" ".join(SAID)), 2000)

    assert set(ids(found)) | set(packed.turns) | (other.stored() or set()) <= {"t40"}
    assert "Biscuit" not in packed.text
    one.close()
    other.close()


@pytest.mark.parametrize("name", ["dense", "BM25", "RRF", "last turns", "full history"])
def test_a_baseline_filled_in_parts_is_the_one_filled_at_once(name: str) -> None:
    parts, whole = made(name), made(name)
    parts.remember(turns(*TALK[:5]))
    parts.remember([*turns(*TALK[5:], first=5), *turns(*TALK[:2])])  # two of them again
    whole.remember(turns(*TALK))

    asked = Query(text="weather over the harbour")
    assert parts.ask(asked, 99) == whole.ask(asked, 99)
    assert parts.pack(asked, 60) == whole.pack(asked, 60)
    assert parts.footprint() == whole.footprint()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("mem0", "LangChain")])
def test_ours_and_the_baselines_know_nothing_said_after_the_question(name: str) -> None:
    one = made(name)
    one.remember(turns(*TALK))
    asked = Query(text="tulips and small talk", asked_at=NOON + timedelta(hours=2))

    packed = one.pack(asked, 2000)

    assert set(ids(one.ask(asked, 99))) | set(packed.turns) <= {"t0", "t1", "t2"}
    assert "weather" not in packed.text
    one.close()


@pytest.mark.parametrize("name", ["mem0", "LangChain"])
def test_what_an_outside_memory_finds_of_later_turns_is_left_for_the_audit(name: str) -> None:
    one = made(name)
    one.remember(turns(*TALK))

    found = one.ask(Query(text=TALK[3], asked_at=NOON), 3)

    assert ids(found)[0] == "t3"
    one.close()


class Counted(HashEmbedder):
    """Keeps what it was asked for."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked = [*getattr(self, "asked", []), *texts]
        return super().embed(texts)


def test_dense_search_embeds_a_turn_once() -> None:
    embedder = Counted()
    one = load_system("dense")(embedder)
    for last in (4, 9, len(TALK)):
        one.remember(turns(*TALK[:last]))
    one.forget(["t2"])

    assert embedder.asked == list(TALK)


def test_full_history_is_the_newest_turns_without_a_gap() -> None:
    one = made("full history")
    one.remember(turns("Short.", "word " * 60, "Also short.", "Last."))

    packed = one.pack(Query(text="x"), 30)  # a line's date and speaker are four words

    assert packed.turns == ("t2", "t3")
    assert packed.text == "[1 May 2024] User: Also short.\n[1 May 2024] User: Last."
    assert one.pack(Query(text="x"), 999).turns == ("t0", "t1", "t2", "t3")


def test_full_history_has_no_most_number_of_turns() -> None:
    one = made("full history")
    one.remember(turns(*(f"Turn {n}" for n in range(400))))

    assert len(one.pack(Query(text="x"), 10**6).turns) == 400


def test_lines_are_cut_where_the_whole_counts_more_than_its_parts() -> None:
    lines = Lines(lambda text: 3 * text.count("\n") + 1)  # joined lines cost more than alone
    lines.add(turns("a", "b", "c"))

    assert lines.pack(["t2", "t0", "t1"], 9).turns == ("t0", "t2")


def test_the_compact_memory_alone_claims_only_turns_whose_words_it_kept() -> None:
    one = made("compact only")
    one.remember(turns("Well.", "My sister Ada moved to Trondheim in 2019.", "I see?"))

    asked = Query(text="Where does Ada live?")

    assert ids(one.ask(asked, 9)) == ["t1"]
    packed = one.pack(asked, 100)
    assert packed.turns == ("t1",)
    assert "Lately: User: My sister Ada moved to Trondheim in 2019." in packed.text
    one.close()


def test_of_two_turns_that_said_the_same_the_compact_memory_claims_the_one_left() -> None:
    one = made("compact only")
    one.remember(turns(*["My sister Ada moved to Trondheim in 2019."] * 2))
    before = one.pack(Query(text="x"), 100)

    one.forget(["t0"])

    assert before.turns == ("t0", "t1")
    assert one.pack(Query(text="x"), 100).turns == ("t1",)
    one.close()


def test_the_compact_memory_of_an_earlier_time_is_the_one_there_was() -> None:
    one = made("compact only")
    one.remember(turns("My sister Ada moved to Trondheim in 2019."))
    one.remember(turns("My brother Ben moved to Bergen in 2020.", first=1))

    then = one.pack(Query(text="x", asked_at=NOON), 100)
    now = one.pack(Query(text="x", asked_at=NOON + timedelta(hours=1)), 100)

    assert (then.turns, now.turns) == (("t0",), ("t0", "t1"))
    one.close()


def test_footprints_grow_where_they_are_told() -> None:
    in_ram = {"memkit thoughts", "memkit without lexical", "mem0", "LangChain"}
    for name in sorted({*NAMES} - {"no memory", *in_ram}):
        one = made(name)
        one.remember(turns(*TALK[:2]))
        before = one.footprint()
        one.remember(turns(*TALK[2:], first=2))
        after = one.footprint()
        assert before is not None
        assert after is not None
        assert 0 < before < after
        one.close()
    assert made("no memory").footprint() == 0


def test_ours_is_the_first_of_the_card_and_those_of_the_retrieval_benchmark_are_on_it() -> None:
    assert next(iter(CARD_SYSTEMS)) == OURS
    assert set(SYSTEMS) < set(CARD_SYSTEMS)


def test_turns_without_a_date_get_the_same_one_whatever_the_day_of_the_run() -> None:
    one = made(OURS)
    one.remember([Turn(id="t0", text="I like tulips.")])

    assert "[1 January 2024] User: I like tulips." in one.pack(Query(text="tulips"), 200).text
    one.close()


def test_a_turn_counts_as_packed_only_if_all_of_it_stands_in_the_prompt() -> None:
    one = made(OURS)
    long = " ".join(f"Word{n} of a long talk about tulips." for n in range(200))
    one.remember(turns("I like tulips.", long))

    packed = one.pack(Query(text="tulips"), 2000)

    assert "of a long talk" in packed.text
    assert long not in packed.text
    assert packed.turns == ("t0",)
    one.close()
