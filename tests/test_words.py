"""The words of a question: telling ones, in any script, and whom it names."""

import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memkit.text.words import (
    asks_of_oneself,
    fold,
    named,
    pairs,
    search_terms,
    sentences,
    stem,
    words,
)

SCRIPTS = "aZé9_ '我住東京かカ서울กรุงเทพ猫🎷\u0301\n\0"
TEXTS = st.text() | st.text(SCRIPTS, max_size=30)

# ---- words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Where is the key?", ["key"]),
        ("Where is it?", ["where", "is", "it"]),
        ("Key, key and KEY", ["key"]),
        ("my_cat's name", ["cat", "name"]),
        ("Crème brûlée in 2024", ["creme", "brulee", "2024"]),
        ("?!", []),
        ("🎷🎷", []),
        ("_", []),
        ("", []),
    ],
)
def test_the_telling_words_are_searched_for_or_all_if_none_is(
    text: str, expected: list[str]
) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("我住在东京", ["我住", "住在", "在东", "东京"]),
        ("東京に行きたい", ["東京", "京に", "に行", "行き", "きた", "たい"]),
        ("カタカナ", ["カタ", "タカ", "カナ"]),
        ("서울에 살아요", ["서울", "울에", "살아", "아요"]),
        ("กรุงเทพ", ["กร", "รุ", "ุง", "งเ", "เท", "ทพ"]),
        ("猫", ["猫"]),
        ("猫 犬", ["猫", "犬"]),
        ("我用iPhone手机", ["我用", "iphone", "手机"]),
        ("猫はTokyoの2階", ["猫は", "tokyo", "の", "2", "階"]),
        ("哈哈哈哈", ["哈哈"]),
        ("住在，东京。", ["住在", "东京"]),
        ("𠮷野家", ["𠮷野", "野家"]),
    ],
)
def test_what_is_written_without_spaces_is_searched_for_by_pairs(
    text: str, expected: list[str]
) -> None:
    assert words(text) == expected


@pytest.mark.parametrize("text", ["Café", "서울에", "がっこう", "Tokyo"])
def test_a_text_has_the_same_words_however_its_letters_are_composed(text: str) -> None:
    decomposed = unicodedata.normalize("NFD", text)
    assert words(decomposed) == words(text) != []
    assert named(decomposed, [text]) == named(text, [decomposed]) == [0]


def test_a_long_question_is_searched_for_by_its_first_words_alone() -> None:
    assert words(" ".join(f"w{n}" for n in range(2000))) == [f"w{n}" for n in range(64)]
    assert len(words("".join(chr(0x4E00 + n) for n in range(10_000)))) == 64
    assert words("a" * 10_000) == ["a" * 10_000]


@given(TEXTS)
@example("İstanbul ǅ ß ﬁ")
def test_words_are_of_the_text_and_each_once(text: str) -> None:
    found = words(text)
    assert len(set(found)) == len(found) <= 64
    assert set(found) <= {*search_terms(text), *pairs(unicodedata.normalize("NFC", text))}
    assert not any(re.search(r"[\s_'\"*():^\0-]", word) for word in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("हिन्दी में बात", ["हिन्दी", "में", "बात"]),
        ("தமிழ் வணக்கம்", ["தமிழ்", "வணக்கம்"]),
        ("বাংলা ভাষা", ["বাংলা", "ভাষা"]),
        ("𞤀𞤣𞤤𞤢𞤥 𞤆𞤵𞤤𞤢𞤪", ["𞤢𞤣𞤤𞤢𞤥", "𞤨𞤵𞤤𞤢𞤪"]),
        ("cafe\u0301 x\u0323\u0307y", ["cafe", "xy"]),
        ("می\u200cخواهم", ["میخواهم"]),
        ("مُحَمَّد שָׁלוֹם", ["محمد", "שלום"]),
        ("👩\u200d👧 ☃\ufe0f hat", ["hat"]),
    ],
)
def test_a_word_of_any_script_is_one_word(text: str, expected: list[str]) -> None:
    assert search_terms(text) == expected
    assert words(text) == expected


@pytest.mark.parametrize(
    ("written", "searched"),
    [
        ("Αθήνα", "ΑΘΗΝΑ"), ("Άννα", "αννα"), ("Οδυσσεύς", "ΟΔΥΣΣΕΥΣ"), ("Ёлка", "елка"),
        ("Київ", "КИІВ"), ("Đường", "duong"), ("Łódź", "lodz"), ("Tromsø", "TROMSO"),
        ("Ísafjörður", "isafjordur"), ("Straße", "STRASSE"), ("Diyarbakır", "diyarbakir"),
        ("İzmir", "izmir"), ("Århus", "arhus"), ("Čapek", "capek"), ("Cœur", "coeur"),
        ("Ǆ", "ǆ"), ("𞤀𞤁", "𞤢𞤣"),
    ],
)  # fmt: skip
def test_accents_strokes_and_capitals_fold_in_every_script(written: str, searched: str) -> None:
    assert fold(written) == fold(searched)


def test_vowel_signs_and_voicing_marks_are_no_accents() -> None:
    assert fold("की") != fold("का") != fold("क")
    assert fold("が") != fold("か")
    assert fold("क़") != fold("क")


@given(TEXTS | st.text("aéßŁđЁάςकि्\u0301\u0323𞤀𞤢", max_size=12))
def test_a_text_has_the_same_terms_however_it_is_encoded(text: str) -> None:
    terms = search_terms(text)
    assert search_terms(unicodedata.normalize("NFD", text)) == terms
    assert all(fold(term) == term for term in terms if not pairs(term))


# ---- pairs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("東京都", ["東京", "京都", "都"]),
        ("東", ["東"]),
        ("I live in 東京 now", ["東京", "京"]),
        ("서울 살", ["서울", "울", "살"]),
        ("plain text", []),
        ("", []),
    ],
)
def test_every_character_without_spaces_around_begins_one_pair(
    text: str, expected: list[str]
) -> None:
    assert pairs(text) == expected


@given(TEXTS)
def test_pairs_are_of_the_text_in_order(text: str) -> None:
    expected = pairs(text)
    assert all(1 <= len(pair) <= 2 and pair in text for pair in expected)
    assert [pair[0] for pair in expected] == [character for character in text if pairs(character)]


# ---- who is named, and who asks


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What did Ann buy?", [0]),
        ("what did ANN LEE buy", [0]),
        ("Where is Lee's car?", [0]),
        ("Did Ann meet Bob?", [0, 1]),
        ("What did the assistant say?", [2]),
        ("What about Annie or Bobby?", []),
        ("Does Bo assist?", []),
        ("Whose car?", []),
        ("?", []),
    ],
)
def test_whoever_is_called_by_a_word_of_their_name_is_named(text: str, expected: list[int]) -> None:
    assert named(text, ["Ann Lee", "Bob", "assistant"]) == expected


@pytest.mark.parametrize(
    ("text", "name"),
    [("What did Will buy?", "Will"), ("王小明喜欢什么？", "王小明"), ("田中さんの猫は？", "田中")],
)
def test_anybody_can_be_named(text: str, name: str) -> None:
    assert named(text, [name]) == [0]


def test_function_words_in_a_name_name_nobody() -> None:
    assert named("who was at the party?", ["The Who", "At"]) == []


@pytest.mark.parametrize(
    ("text", "oneself"),
    [
        ("Where do I live?", True),
        ("what's MY name", True),
        ("Who wrote me?", True),
        ("Which is mine?", True),
        ("What did you tell me?", False),
        ("Is my key yours?", False),
        ("Where does Ann live?", False),
        ("mime", False),
        ("", False),
    ],
)
def test_who_says_i_and_not_you_asks_of_themselves(text: str, oneself: bool) -> None:
    assert asks_of_oneself(text) is oneself


# ---- sentences and stems


@pytest.mark.parametrize(
    "parts",
    [
        ["Dr. Lee called.", "It rained!", "Why?"],
        ["See No. 5 today.", "No.", "I am out"],
        ["J. Doe paid 3.5 crowns...", "So did I.", "e.g. for tea"],
        ['"Hi!"', "She left."],
    ],
)
def test_a_full_stop_of_an_abbreviation_ends_no_sentence(parts: list[str]) -> None:
    text = " ".join(parts)
    assert [text[start:end] for start, end in sentences(text)] == parts


def test_line_breaks_and_chinese_full_stops_end_sentences() -> None:
    text = "我住在北京。我喝茶\nHello there"
    assert [text[start:end] for start, end in sentences(text)] == [
        "我住在北京。",
        "我喝茶",
        "Hello there",
    ]


def test_one_stemmer_can_serve_many_threads() -> None:
    forms = [f"word{n}ing" for n in range(2000)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(stem, forms)) == [stem(form) for form in forms]
