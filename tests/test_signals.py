"""The signals of `recall`: words in any script, neighbours, speakers, times."""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fakes import VOCABULARY, BlindEmbedder, apart, users

import memkit
from memkit import Hit, Turn
from memkit.errors import InvalidInput, ModelError
from memkit.protocols import Vectors
from memkit.retrieval import fusion
from memkit.testing import NOON, HashEmbedder, open_memory


@pytest.fixture
def blind() -> Iterator[memkit.Memory]:
    with open_memory(embedder=BlindEmbedder()) as memory:
        yield memory


def by_text(hits: Sequence[Hit]) -> dict[str, Hit]:
    return {hit.text: hit for hit in hits}


# ---- words


def test_speaker_and_date_can_be_searched_for(memory: memkit.Memory) -> None:
    june = datetime(2023, 6, 7, tzinfo=UTC)
    memory.remember([Turn(text="fine", name="Ingrid", said_at=june), "fine"], user_id="ann")
    assert memory.recall("Ingrid in June 2023", user_id="ann")[0].name == "Ingrid"


@pytest.mark.parametrize(
    "query",
    [
        '"', "' OR 1=1", "a AND NOT (b", "text:x*", "scope : u1", "NEAR(a b)", "{text said} : (a",
        "^tea", "tea*", '"tea', "-", "*", "\0", "a\0b", "tea\x00", "🎷", "🎷🎷 🎸", "👩‍👩‍👧",
        "is it the?", "我住在哪里？", "猫", "東京に住んでいますか", "서울에 살아요?", "อยู่ที่ไหน",
        "iPhone在哪里 teaはどこ", "हिन्दी", "עברית", "e\u0301", "İstanbul ß ﬁ", "\u200b", "___",
        "²³", "x" * 10_000, "tea? " * 2_000, "茶" * 10_000, "茶 " * 5_000,
    ],
    ids=lambda query: ascii(query[:20]),
)  # fmt: skip
def test_any_question_finds_what_there_is(memory: memkit.Memory, query: str) -> None:
    memory.remember(["tea", "茶"], user_id="ann")
    assert {hit.text for hit in memory.recall(query, user_id="ann")} == {"tea", "茶"}


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("你住在东京吗？", "我住在东京的一个小公寓里"),
        ("公园", "昨天我们去了公园"),
        ("猫", "我的猫叫小花"),
        ("どこの大学で働いていますか", "京都の大学で働いています"),
        ("고양이 이름이 뭐예요?", "우리 고양이 이름은 나비예요"),
        ("แมวชื่ออะไร", "แมวของฉันชื่อส้ม"),
        ("我的iPhone在哪里", "手机iPhone丢了"),
    ],
)
def test_a_question_written_without_spaces_finds_the_turn_that_answers(
    blind: memkit.Memory, query: str, answer: str
) -> None:
    turns = [
        "今天天气很好", "昨天我们去了公园", "我住在东京的一个小公寓里", "我的猫叫小花",
        "喜欢爵士音乐", "手机iPhone丢了", "京都の大学で働いています", "우리 고양이 이름은 나비예요",
        "แมวของฉันชื่อส้ม",
    ]  # fmt: skip
    blind.remember(apart(turns), user_id="ann")
    hit = blind.recall(query, user_id="ann")[0]
    assert hit.text == answer
    assert hit.explain["lexical"] > 0


@pytest.mark.parametrize(
    ("query", "answer"),
    [("Wo ist die Hauptstraße?", "Ich wohne in der Hauptstraße"), ("İstanbul", "I love İstanbul")],
)
def test_letters_that_fold_into_several_are_found(
    blind: memkit.Memory, query: str, answer: str
) -> None:
    blind.remember(apart(["tea", answer]), user_id="ann")
    assert by_text(blind.recall(query, user_id="ann"))[answer].explain["lexical"] > 0


@pytest.mark.parametrize(
    ("query", "with_both", "with_one"),
    [
        ("the cat and the moon and the key", "the cat saw the moon", "where did you put the key"),
        ("京都大学と公園", "京都大学です", "公園でした"),
    ],
)
def test_two_words_of_the_question_tell_more_than_one(
    blind: memkit.Memory, query: str, with_both: str, with_one: str
) -> None:
    blind.remember(apart([with_both, with_one]), user_id="ann")
    hits = by_text(blind.recall(query, user_id="ann"))
    score = {text: hit.explain["lexical"] / hit.explain["length"] for text, hit in hits.items()}
    assert score[with_both] > 1.2 * score[with_one]


def test_may_is_a_month_only_where_it_is_one(blind: memkit.Memory) -> None:
    days = [NOON, NOON - timedelta(days=60)]
    turns = [replace(turn, said_at=at) for turn, at in zip(apart(["tea"] * 2), days, strict=True)]
    blind.remember(turns, user_id="ann")
    first, second = blind.recall("which tea may help?", user_id="ann")
    assert first.explain["time"] == second.explain["time"] == 0


@pytest.mark.parametrize(
    ("query", "longer", "same"),
    [
        ("东京", "东京麒麟", True),
        ("我住在东京", "我住在东京麒麟", True),
        ("Oslo", "Oslo zebra", False),
    ],
)
def test_a_word_found_nowhere_makes_an_answer_less_likely_and_a_pair_does_not(
    blind: memkit.Memory, query: str, longer: str, same: bool
) -> None:
    blind.remember(apart(["我住在东京", "今天天气很好", "Oslo"]), user_id="ann")
    hits = blind.recall(query, user_id="ann")
    assert (blind.recall(longer, user_id="ann") == hits) is same


@pytest.mark.parametrize("query", ["who lives in Oslo?", "tea in Oslo", "tea or a tent in Oslo"])
def test_a_turn_is_found_by_its_words_among_hundreds_as_near(
    blind: memkit.Memory, query: str
) -> None:
    blind.remember(apart(["tea for two"] * 200 + ["tea in Oslo"] + ["a tent"] * 100), user_id="ann")
    assert blind.recall(query, user_id="ann", k=1)[0].text == "tea in Oslo"


def test_a_turn_is_found_by_its_meaning_among_hundreds_with_the_words() -> None:
    class Knowing(HashEmbedder):
        def embed(self, texts: Sequence[str]) -> Vectors:
            return super().embed([text.replace("holiday", "camping") for text in texts])

    with open_memory(embedder=Knowing()) as memory:
        memory.remember(apart(["camping", *(f"tea {n}" for n in range(300))]), user_id="ann")
        hits = memory.recall("holiday tea", user_id="ann", k=99)
    assert by_text(hits)["camping"].explain["lexical"] == 0


# ---- neighbours

QUESTION, ANSWER = "which song did you dance to at the wedding?", "Blue Moon"


def recall_after(memory: memkit.Memory, *turns: Turn, k: int = 10) -> dict[str | None, Hit]:
    """Remember turns an hour apart; return the hits of the answer by their session."""
    hours = [replace(turn, said_at=NOON + timedelta(hours=n)) for n, turn in enumerate(turns)]
    memory.remember(hours, user_id="ann")
    hits = memory.recall("the song at the wedding", user_id="ann", k=k)
    return {hit.session_id: hit for hit in hits if hit.text == ANSWER}


def test_a_short_turn_is_found_by_what_stands_around_it(blind: memkit.Memory) -> None:
    hits = recall_after(
        blind,
        Turn(text=QUESTION, session_id="one"),
        Turn(text=ANSWER, session_id="one"),
        Turn(text="what is in the sky?", session_id="two"),
        Turn(text=ANSWER, session_id="two"),
    )
    assert hits["one"].relevance > hits["two"].relevance
    assert hits["one"].explain["lexical window"] > 0 == hits["one"].explain["lexical"]


def test_a_long_neighbour_does_not_help(blind: memkit.Memory) -> None:
    hits = recall_after(
        blind,
        Turn(text=f"{QUESTION} {'and ' * 50} {'or ' * 200}", session_id="one"),
        Turn(text=ANSWER, session_id="one"),
        Turn(text=QUESTION, session_id="two"),
        Turn(text=ANSWER, session_id="two"),
    )
    assert hits["two"].explain["lexical window"] > hits["one"].explain["lexical window"] == 0


@pytest.mark.parametrize("kind", [BlindEmbedder, HashEmbedder])
def test_a_window_ends_with_the_session(kind: Callable[[], HashEmbedder]) -> None:
    with open_memory(embedder=kind()) as memory:
        hit = recall_after(
            memory,
            Turn(text=QUESTION, session_id="one"),
            Turn(text=ANSWER, session_id="two"),
            Turn(text=QUESTION, session_id="three"),
        )["two"]
    assert hit.explain["lexical window"] == hit.explain["session"] == 0


def test_a_session_that_speaks_of_it_lifts_all_its_turns(blind: memkit.Memory) -> None:
    far = [Turn(text="and so on " * 12, session_id="one") for _ in range(8)]
    hits = recall_after(
        blind,
        Turn(text=QUESTION, session_id="one"),
        *far,
        Turn(text=ANSWER, session_id="one"),
        Turn(text=ANSWER, session_id="two"),
        k=20,
    )
    assert hits["one"].explain["lexical window"] == 0
    assert hits["one"].explain["session"] > hits["two"].explain["session"] == 0


def test_only_what_is_in_an_attended_chunk_has_a_share_of_attention(memory: memkit.Memory) -> None:
    memory.remember(apart([f"fact {n}" for n in range(3 * fusion.ATTENDED)]), user_id="ann")
    memory.remember("the red key", user_id="ann", session_id="key")
    hits = memory.recall("the red key", user_id="ann", k=99)
    attended = [hit for hit in hits if hit.explain["attention"] > 0]
    assert len(hits) == 3 * fusion.ATTENDED + 1
    assert len(attended) == fusion.ATTENDED
    assert max(attended, key=lambda hit: hit.explain["attention"]).text == "the red key"


# ---- speakers


def test_what_somebody_named_said_comes_before_the_same_said_by_another(
    blind: memkit.Memory,
) -> None:
    blind.remember(
        [
            Turn(text="I like tea", name="Ann", session_id="1"),
            Turn(text="I like tea", name="Bob", session_id="2", said_at=NOON + timedelta(1)),
        ],
        user_id="u",
    )
    anns, bobs = blind.recall("Does Ann like tea?", user_id="u")
    assert (anns.name, bobs.name) == ("Ann", "Bob")
    assert anns.explain["speaker"] > 0 == bobs.explain["speaker"]
    assert blind.recall("Does Bob like tea?", user_id="u")[0].name == "Bob"


@pytest.mark.parametrize(
    "query", ["Do Ann and Bob like tea?", "Who likes tea?", "Where do I like tea?"]
)
def test_if_both_are_named_or_neither_it_makes_no_difference(
    blind: memkit.Memory, query: str
) -> None:
    blind.remember(
        [
            Turn(text="Bob likes tea", name="Ann", session_id="1"),
            Turn(text="Ann likes tea", name="Bob", session_id="2"),
        ],
        user_id="u",
    )
    first, second = blind.recall(query, user_id="u")
    assert first.relevance == second.relevance


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("Where did I drink tea?", "user"),
        ("my tea", "user"),
    ],
)
def test_i_is_the_nameless_user(blind: memkit.Memory, query: str, first: str) -> None:
    both = [Turn(text="tea", role=role, session_id=role) for role in ("assistant", "user")]
    for turns in (both, both[::-1]):
        user = next(users)
        blind.remember(turns, user_id=user)
        hits = blind.recall(query, user_id=user)
        assert hits[0].role == first
        assert hits[0].relevance > hits[1].relevance


@pytest.mark.parametrize(
    "query", ["What did you tell me of tea?", "tea", "Which assistant has tea?", "the user's tea"]
)
def test_who_is_told_or_only_has_a_role_is_nobody_in_particular(
    blind: memkit.Memory, query: str
) -> None:
    turns = [Turn(text="tea", role=role, session_id=role) for role in ("assistant", "user")]
    blind.remember(turns, user_id="u")
    first, second = blind.recall(query, user_id="u")
    assert first.explain["speaker"] == second.explain["speaker"] == 0
    assert (first.role, second.role) == ("user", "assistant")  # a person's words come first


def doubted(memory: memkit.Memory, query: str, monkeypatch: pytest.MonkeyPatch) -> float:
    """Return what doubt makes of the relevance of every hit; it must leave the order."""
    monkeypatch.undo()
    hits = memory.recall(query, user_id="u")
    monkeypatch.setattr(fusion, "_DOUBT", 1.0)
    sure = memory.recall(query, user_id="u")
    assert [hit.turn_ids for hit in hits] == [hit.turn_ids for hit in sure]
    (factor,) = {
        round(hit.relevance / sure_hit.relevance, 6)
        for hit, sure_hit in zip(hits, sure, strict=True)
    }
    return factor


def test_words_said_by_another_than_the_one_named_are_half_as_relevant(
    blind: memkit.Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = [Turn(text=f"I like {word}", name="Ann") for word in VOCABULARY[:7]]
    bob = [Turn(text="I build rockets", name="Bob"), Turn(text="I sail", name="Bob")]
    blind.remember([replace(t, session_id=str(n)) for n, t in enumerate(ann + bob)], user_id="u")
    assert doubted(blind, "Which rockets does Ann build?", monkeypatch) == 0.5
    assert doubted(blind, "Which rockets does Bob build?", monkeypatch) == 1
    assert doubted(blind, "Which rockets do Ann and Bob build?", monkeypatch) == 1
    assert doubted(blind, "Who builds rockets?", monkeypatch) == 1
    assert doubted(blind, "Do I build rockets?", monkeypatch) == 1


# ---- times


def test_what_was_said_in_the_time_named_comes_first(blind: memkit.Memory) -> None:
    days = [NOON + timedelta(days=30 * n) for n in range(-6, 1)]
    turns = [replace(turn, said_at=at) for turn, at in zip(apart(["tea"] * 7), days, strict=True)]
    blind.remember(turns, user_id="u")
    hit = blind.recall("What tea did I drink from February 20 to March 5?", user_id="u")[0]
    assert hit.said_at == NOON - timedelta(days=60)
    assert hit.explain["time"] > 0


def test_last_week_is_before_what_was_said_last_or_before_the_time_of_asking(
    blind: memkit.Memory,
) -> None:
    days = [NOON - timedelta(days=7 * n) for n in range(6)]
    turns = [replace(turn, said_at=at) for turn, at in zip(apart(["tea"] * 6), days, strict=True)]
    blind.remember(turns, user_id="u")
    query = "What tea did I drink last week?"
    assert blind.recall(query, user_id="u")[0].said_at == days[1]
    assert blind.recall(query, user_id="u", as_of=days[3])[0].said_at == days[4]
    tuesday = days[3] + timedelta(days=6)
    assert blind.recall(query, user_id="u", as_of=tuesday)[0].said_at == days[3]


def test_a_question_that_names_no_time_asks_of_all_times_alike(blind: memkit.Memory) -> None:
    days = [NOON - timedelta(days=400 * n) for n in range(6)]
    turns = [replace(turn, said_at=at) for turn, at in zip(apart(["tea"] * 6), days, strict=True)]
    blind.remember(turns, user_id="u")
    hits = blind.recall("What tea do I drink?", user_id="u")
    assert {hit.explain["time"] for hit in hits} == {0}
    assert len({hit.relevance for hit in hits}) == 1


# ---- what a reviewer found


def test_many_equal_answers_do_not_make_one_another_irrelevant(memory: memkit.Memory) -> None:
    memory.remember(apart(["I love pizza with olives"] * 12), user_id="ann")
    assert len(memory.recall("Do I love pizza?", user_id="ann", min_relevance="auto")) == 10


@pytest.mark.parametrize("role", ["system", "tool", "assistant", "user"])
def test_a_role_is_not_the_name_of_a_person(memory: memkit.Memory, role: str) -> None:
    memory.remember({"role": role, "content": "hello there"}, user_id="ann", session_id="s1")
    memory.remember("the garage has a new heating", user_id="ann", session_id="s2")
    hits = memory.recall(f"Which {role} is new in the garage?", user_id="ann")
    assert hits[0].text == "the garage has a new heating"
    assert hits[0].relevance > 0.5


def test_a_composed_letter_is_found_by_a_decomposed_one(blind: memkit.Memory) -> None:
    blind.remember(apart(["Frau Müller called", "tea at five"]), user_id="ann")
    query = unicodedata.normalize("NFD", "Has Müller called?")
    assert blind.recall(query, user_id="ann")[0].text == "Frau Müller called"


def test_turns_without_a_session_are_apart_if_days_lie_between(blind: memkit.Memory) -> None:
    turns = [
        Turn(text="Ok.", said_at=NOON - timedelta(days=300)),
        Turn(text="My passport number is 77.", said_at=NOON),
    ]
    blind.remember(turns, user_id="ann")
    hits = by_text(blind.recall("passport number", user_id="ann"))
    assert hits["Ok."].explain["lexical window"] == 0


def test_a_question_that_is_embedded_as_nan_is_an_error() -> None:
    class Broken(HashEmbedder):
        def embed(self, texts: Sequence[str]) -> Vectors:
            return super().embed(texts) * np.float32("nan" if "?" in texts[0] else 1)

    with open_memory(embedder=Broken()) as broken:
        broken.remember("tea", user_id="ann")
        with pytest.raises(ModelError, match="finite"):
            broken.recall("tea?", user_id="ann")


def test_one_id_is_not_taken_for_many(memory: memkit.Memory) -> None:
    memory.remember("tea", user_id="ann")
    with pytest.raises(InvalidInput, match="list of ids"):
        memory.recall("tea", user_id="ann", without="t1")


def test_a_turn_between_two_that_match_comes_after_them(blind: memkit.Memory) -> None:
    blind.remember(["the cat sat down", "ok", "it has a moon"], user_id="ann", session_id="s1")
    assert blind.recall("cat moon", user_id="ann")[-1].text == "ok"


def test_decomposed_letters_are_found_by_composed_ones(blind: memkit.Memory) -> None:
    text = unicodedata.normalize("NFD", "서울에 살아요")
    blind.remember(apart([text, "tea at five"]), user_id="ann")
    hit = blind.recall("서울", user_id="ann")[0]
    assert (hit.text, hit.explain["lexical"] > 0) == (text, True)


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("What tea before the trip to Rome?", "red tea"),
        ("What tea after the trip to Rome?", "black tea"),
        ("What tea since our trip to Rome?", "black tea"),
        ("What tea until the trip to Rome?", "red tea"),
    ],
)
def test_an_event_in_the_question_stands_for_its_time(
    blind: memkit.Memory, query: str, best: str
) -> None:
    texts = ("red tea", "the trip to Rome begins", "black tea")
    days = (-90, 0, 90)
    turns = [
        replace(turn, said_at=NOON + timedelta(days=n))
        for turn, n in zip(apart(list(texts)), days, strict=True)
    ]
    blind.remember(turns, user_id="ann")
    hits = by_text(blind.recall(query, user_id="ann"))
    worse = {"red tea": "black tea", "black tea": "red tea"}[best]
    assert hits[best].relevance > hits[worse].relevance


def test_an_event_nobody_spoke_of_changes_nothing(blind: memkit.Memory) -> None:
    blind.remember(apart(["red tea"]), user_id="ann")
    (hit,) = blind.recall("What tea before the wedding?", user_id="ann")
    assert hit.explain["time"] == 0
