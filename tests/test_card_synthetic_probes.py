"""Each set made from a seed probes one thing, and differs in nothing else."""

from collections import Counter
from datetime import timedelta
from random import Random

from evals.data.haystack import PUBLISHED, Haystack, Question
from evals.data.synthetic import PROBES
from evals.data.synthetic.facts import Facts
from evals.data.synthetic.talk import PEOPLE, START


def number(id: str) -> int:
    return int(id[1:])


def only(probe: str, seed: int = 0) -> Haystack:
    return PROBES[probe](seed, conversations=1).haystacks[0]


def evidence(question: Question) -> list[int]:
    return [number(turn) for turn in question.golds[PUBLISHED].turns]


def person(question: Question) -> str:
    return next(who for who in PEOPLE if who in question.text)


def test_a_fact_lies_as_far_back_as_its_distance_says() -> None:
    haystack = only("distance")
    found = {one.axes["distance"]: one for one in haystack.questions}

    assert list(found) == [10, 50, 100, 150, 300, 500]
    for distance, question in found.items():
        assert question.after == len(haystack.turns)
        assert len(haystack.turns) - 1 - evidence(question)[0] == distance


def test_every_fact_is_at_every_depth_once() -> None:
    data = PROBES["position"](conversations=5)
    seen = Counter(
        (one.expected.answers, one.axes["depth"])
        for haystack in data.haystacks
        for one in haystack.questions
    )

    assert len(seen) == 25
    assert len({answers for answers, _ in seen}) == 5


def test_conversations_that_belong_together_are_resampled_together() -> None:
    clusters = [one.cluster for one in PROBES["position"](conversations=10).haystacks]
    assert Counter(clusters) == {"position-group-0": 5, "position-group-1": 5}
    assert {one.cluster for one in PROBES["distance"](conversations=2).haystacks} == {""}


def test_conversations_that_belong_together_differ_only_in_where_the_facts_are() -> None:
    first, second = PROBES["position"](conversations=2).haystacks
    planted = {turn for one in first.questions for turn in evidence(one)}
    replies = {place + 1 for place in planted}

    assert sorted(first.turns[n].text for n in planted) == sorted(
        second.turns[n].text for n in planted
    )
    for n, (one, other) in enumerate(zip(first.turns, second.turns, strict=True)):
        assert (one == other) == (n not in planted | replies)


def test_the_depth_is_the_place_in_the_history() -> None:
    haystack = only("position")

    for question in haystack.questions:
        place = evidence(question)[0] / (len(haystack.turns) - 1)
        assert abs(place - question.axes["depth"]) < 0.011


def test_a_changed_value_is_asked_for_as_it_is_at_the_time() -> None:
    asked: dict[str, list[Question]] = {}
    for one in only("updates").questions:
        asked.setdefault(one.text, []).append(one)

    assert sorted(map(len, asked.values())) == [2, 2, 3]
    for versions in asked.values():
        values = [one.expected.answers[0] for one in versions]
        turns = [one.golds[PUBLISHED].turns[0] for one in versions]
        for n, one in enumerate(versions):
            assert one.expected.stale == tuple(values[:n])
            assert one.expected.stale_turns == tuple(turns[:n])
        times = [one.after or 0 for one in versions]
        assert all(number(turn) < after for turn, after in zip(turns, times, strict=True))
        assert all(after <= number(turn) for after, turn in zip(times, turns[1:], strict=False))


def test_a_conflict_has_two_sides_by_two_people() -> None:
    kinds = Counter(one.kind for one in only("conflicts").questions)

    assert kinds == {"conflict": 4, "one claim": 2}
    for question in only("conflicts").questions:
        sides = 2 if question.kind == "conflict" else 1
        assert len(question.expected.answers) == len(evidence(question)) == sides
        assert evidence(question) == sorted(evidence(question))


def test_steps_are_in_the_order_of_what_happened_not_of_what_was_said() -> None:
    orders = [
        [number(turn) for turn in one.expected.steps]
        for seed in range(5)
        for one in only("ordering", seed).questions
        if one.kind == "order of events"
    ]

    assert all(len(set(order)) == 4 for order in orders)
    assert any(order != sorted(order) for order in orders)
    for one in only("ordering").questions:
        steps = one.expected.steps
        assert steps in ((), one.golds[PUBLISHED].turns)
        assert steps or one.expected.answers


def test_events_happened_before_they_were_told() -> None:
    first = (START - timedelta(days=7)).date().isoformat()  # that can be worked out
    for haystack in PROBES["ordering"](conversations=20).haystacks:
        said = {turn.id: turn.said_at for turn in haystack.turns}
        for question in haystack.questions:
            for answer in question.expected.answers[2:3]:  # as 2024-05-04
                told = said[question.golds[PUBLISHED].turns[0]]
                assert told is not None
                assert answer < told.date().isoformat()
                assert (answer < first) == (question.kind == "date")


def test_nobody_has_two_facts_of_a_kind_and_no_value_is_told_twice() -> None:
    facts = Facts(Random(0))
    told = [facts.make(kind) for kind in facts.kinds for _ in range(12)]

    assert len({(fact.kind, fact.who) for fact in told}) == len(told)
    assert len({(fact.kind, fact.value) for fact in told}) == len(told)
    assert not {fact.value for fact in told} & {foil for fact in told for foil in fact.foils}


def test_a_near_miss_asks_somebody_who_spoke_for_what_somebody_else_told() -> None:
    haystack = only("unanswerable")
    told = {person(one): one.expected.foils for one in haystack.questions if one.answerable}
    missing = [one for one in haystack.questions if not one.answerable]

    assert len(told) == len(missing) == 3
    for question in missing:
        # foils are by kind: this kind was told, and not of the person it is asked of
        assert question.expected.foils in told.values()
        assert question.expected.foils != told[person(question)]
        assert not question.expected.answers


def test_distractors_of_few_are_among_those_of_many() -> None:
    haystack = only("distractors")
    sessions = {turn.id: turn.session_id for turn in haystack.turns}

    for question in haystack.questions:
        known = {turn.session_id for turn in haystack.turns[: question.after]}
        assert len(known) == 1 + question.axes["distractors"]
        assert sessions[question.golds[PUBLISHED].turns[0]] == "s0"
    counts = [one.axes["distractors"] for one in haystack.questions]
    assert counts == [0, 2, 10, 20] * 2


def test_what_was_deleted_is_unanswerable_and_stale() -> None:
    haystack = only("deletions")
    deleted = [one for one in haystack.questions if one.kind == "deleted"]
    kept = [one for one in haystack.questions if one.kind == "kept"]

    assert len(deleted) == len(kept) == 3
    assert haystack.forgotten == tuple(one.expected.stale_turns[0] for one in deleted)
    text = {turn.id: turn.text for turn in haystack.turns}
    assert all(one.expected.stale[0] in text[one.expected.stale_turns[0]] for one in deleted)
    assert not any(one.answerable or evidence(one) for one in deleted)
    assert all(one.answerable and not one.expected.stale for one in kept)


def test_a_preference_is_not_named_by_what_asks_for_it() -> None:
    haystack = only("preferences")

    assert len({one.text for one in haystack.questions}) == 6
    for question in haystack.questions:
        said = haystack.turns[evidence(question)[0]].text
        assert question.expected.answers[0] in said


def test_a_paraphrase_says_the_same_in_other_words() -> None:
    for probe in ("distance", "position", "distractors"):
        for question in only(probe).questions:
            said = {turn.id: turn.text for turn in only(probe).turns}[f"t{evidence(question)[0]}"]
            (value,) = question.expected.answers
            assert question.expected.paraphrases
            assert said not in question.expected.paraphrases
            for other in question.expected.paraphrases:
                assert value in other
                assert person(question) in other.lower()
