"""Promises of the importer of WhatsApp's exports, on chats of our own."""

import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from exports import fill, left_of, texts_of, turns_of
from hypothesis import given, settings
from hypothesis import strategies as st

import memkit
from memkit.errors import AmbiguousDates, InvalidInput, UnknownFormat
from memkit.importers import sniff
from memkit.testing import open_memory


def write(tmp_path: Path, *lines: str, name: str = "chat.txt", end: str = "\n") -> Path:
    (tmp_path / name).write_bytes("".join(f"{line}{end}" for line in lines).encode())
    return tmp_path / name


def times_of(memory: memkit.Memory) -> list[str]:
    return [f"{turn.said_at:%Y-%m-%d %H:%M:%S}" for turn in turns_of(memory)]


HEADERS = {
    "American": ("12/31/20, 9:15 PM - ", "2020-12-31 21:15:00"),
    "American with a narrow space": ("12/31/20, 9:15\u202fPM - ", "2020-12-31 21:15:00"),
    "midnight": ("12/31/20, 12:05 AM - ", "2020-12-31 00:05:00"),
    "noon": ("12/31/20, 12:05 p. m. - ", "2020-12-31 12:05:00"),
    "German": ("31.12.20, 21:15 - ", "2020-12-31 21:15:00"),
    "German, ambiguous but for its points": ("03.04.20, 21:15 - ", "2020-04-03 21:15:00"),
    "iPhone": ("[31/12/2020, 22:15:03] ", "2020-12-31 22:15:03"),
    "iPhone with marks": ("\u200e[31.12.20, 22:15:03] \u200e", "2020-12-31 22:15:03"),
    "iPhone, twelve hours": ("[12/31/20, 10:15:03\u202fPM] ", "2020-12-31 22:15:03"),
    "French": ("31/12/2020 à 21:15 - ", "2020-12-31 21:15:00"),
    "Swedish": ("2020-12-31 21:15 - ", "2020-12-31 21:15:00"),
    "Japanese": ("2020/12/31 21:15 - ", "2020-12-31 21:15:00"),
    "Hungarian": ("2020. 12. 31. 21:15 - ", "2020-12-31 21:15:00"),
    "Danish": ("31.12.2020 21.15 - ", "2020-12-31 21:15:00"),
    "Dutch": ("31-12-2020 21:15 - ", "2020-12-31 21:15:00"),
    "Chinese": ("2020/12/31 下午9:15 - ", "2020-12-31 21:15:00"),
    "Arabic": ("\u200f٣١/١٢/٢٠٢٠، ٩:١٥ م - ", "2020-12-31 21:15:00"),
    "Arabic with marks": ("٣١\u200f/١٢\u200f/٢٠٢٠، ٩:١٥ م - ", "2020-12-31 21:15:00"),
    "Arabic, morning": ("٣١\u200f/١٢\u200f/٢٠٢٠، ٩:١٥ ص - ", "2020-12-31 09:15:00"),
    "Korean": ("2020. 12. 31. 오후 9:15 - ", "2020-12-31 21:15:00"),
    "Korean, morning": ("2020. 12. 31. 오전 9:15 - ", "2020-12-31 09:15:00"),
    "Korean, iPhone": ("[2020. 12. 31. 오후 9:15:03] ", "2020-12-31 21:15:03"),
    "Turkish": ("31.12.2020 ÖS 9:15 - ", "2020-12-31 21:15:00"),
    "Turkish, morning": ("31.12.2020 ÖÖ 9:15 - ", "2020-12-31 09:15:00"),
    "Chinese, evening": ("2020/12/31 晚上9:15 - ", "2020-12-31 21:15:00"),
    "Chinese, noon": ("2020/12/31 中午12:05 - ", "2020-12-31 12:05:00"),
    "Chinese, night": ("2020/12/31 凌晨12:05 - ", "2020-12-31 00:05:00"),
    "Thai": ("31/12/2563 21:15 - ", "2020-12-31 21:15:00"),
    "Finnish": ("31.12.2020 klo 21.15 - ", "2020-12-31 21:15:00"),
    "Norwegian": ("31.12.2020 kl. 21.15 - ", "2020-12-31 21:15:00"),
}


@pytest.mark.parametrize(("header", "time"), HEADERS.values(), ids=HEADERS)
def test_a_date_is_read_in_the_way_of_its_country(
    memory: memkit.Memory, tmp_path: Path, header: str, time: str
) -> None:
    path = write(tmp_path, f"{header}Ann: Happy new year")
    assert sniff(path) == "whatsapp"
    fill(memory, path)
    assert (texts_of(memory), times_of(memory)) == (["Happy new year"], [time])
    assert [turn.name for turn in turns_of(memory)] == ["Ann"]


@pytest.mark.parametrize("word", ["xyz", "อ", "ÖX"])
def test_an_unknown_word_before_the_hour_is_refused(
    memory: memkit.Memory, tmp_path: Path, word: str
) -> None:
    path = write(tmp_path, f"31.12.2020 {word} 9:15 - Ann: Happy new year")
    with pytest.raises(UnknownFormat):
        sniff(path)
    with pytest.raises(InvalidInput, match="line 1: no date before this line"):
        fill(memory, path, format="whatsapp")
    assert texts_of(memory) == []


@pytest.mark.parametrize(
    ("dates", "first"),
    [
        (["3/4/20", "13/4/20"], "2020-04-03"),
        (["3/4/20", "3/14/20"], "2020-03-04"),
        (["2/1/20", "1/2/20"], "2020-01-02"),  # the chat goes forward
        (["1/12/20", "2/1/20"], "2020-01-12"),
        (["5/5/20", "6/6/20"], "2020-05-05"),
    ],
)
def test_the_order_of_dates_is_decided_from_the_whole_file(
    memory: memkit.Memory, tmp_path: Path, dates: list[str], first: str
) -> None:
    fill(memory, write(tmp_path, *(f"{date}, 10:00 - Ann: {date}" for date in dates)))
    assert times_of(memory)[0].startswith(first)


def test_dates_with_two_readings_are_asked_for(memory: memkit.Memory, tmp_path: Path) -> None:
    path = write(tmp_path, "3/4/20, 10:00 - Ann: a", "5/6/20, 10:00 - Ann: b")
    with pytest.raises(AmbiguousDates, match="--date-order dmy"):
        fill(memory, path)
    assert texts_of(memory) == []
    fill(memory, path, date_order="mdy")
    assert times_of(memory)[0].startswith("2020-03-04")


def test_the_timezone_given_is_that_of_the_file(memory: memkit.Memory, tmp_path: Path) -> None:
    path = write(tmp_path, "31.12.20, 21:15 - Ann: a")
    fill(memory, path, timezone=ZoneInfo("Europe/Oslo"))
    assert turns_of(memory)[0].said_at == datetime(2020, 12, 31, 20, 15, tzinfo=UTC)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_message_may_have_many_lines(memory: memkit.Memory, tmp_path: Path, end: str) -> None:
    path = write(tmp_path, "31.12.20, 21:15 - Ann: milk", "", "  eggs: 6", "31.12.20 or later",
                 "31.12.20, 21:16 - Bob: ok", end=end)  # fmt: skip
    fill(memory, path)
    assert texts_of(memory) == ["milk\n\n  eggs: 6\n31.12.20 or later", "ok"]


def test_a_chat_that_was_pasted_into_a_message_stays_in_it(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    path = write(tmp_path, "[31.12.20, 21:15:03] Ann: look:", "31.12.20, 21:10 - Eve: hello")
    fill(memory, path)
    assert texts_of(memory) == ["look:\n31.12.20, 21:10 - Eve: hello"]


LEFT = {
    "Messages are end-to-end encrypted. Tap to learn more.": "system message",
    "Ann changed the subject to “Trip: Rome”": "system message",
    'Ann created group "Trip: Rome"': "system message",
    "Ann hat die Gruppe „Trip: Rom“ erstellt": "system message",
    "Ann a créé le groupe « Voyage : Rome »": "system message",
    "Annさんが「旅行: ローマ」を作成しました": "system message",
    "Ann: \u200eAnn added Bob": "system message",
    "Ann: Missed voice call": "system message",
    "Ann: <Media omitted>": "media without words",
    "Ann: \u200eimage omitted": "media without words",
    "Ann: <Médias omis>": "media without words",
    "Ann: IMG-1.jpg (file attached)": "media without words",
    "Ann: Plan v2.pdf (fichier joint)": "media without words",
    "Ann: IMG-20201231-WA0001.jpg (anything)": "media without words",
    "Ann: \u200e<attached: 0001-PHOTO.jpg>": "media without words",
    "Ann: This message was deleted": "deleted message",
    "Ann: Diese Nachricht wurde gelöscht.": "deleted message",
    "Ann: Se eliminó este mensaje.": "deleted message",
}


@pytest.mark.parametrize(("line", "reason"), LEFT.items())
def test_what_is_no_persons_words_is_left_out_with_its_reason(
    memory: memkit.Memory, tmp_path: Path, line: str, reason: str
) -> None:
    counts = fill(memory, write(tmp_path, f"31.12.20, 21:15 - {line}",
                                "31.12.20, 21:16 - Ann: hello"))  # fmt: skip
    assert texts_of(memory) == ["hello"]
    assert left_of(counts) == {reason: 1}
    assert counts.left[0].first == (f"{tmp_path}/chat.txt, line 1",)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("IMG-1.jpg (Datei angehängt)\nOur house", "[file: IMG-1.jpg]\nOur house"),
        ("\u200e<Anhang: 1-PHOTO.jpg>\nOur house", "[file: 1-PHOTO.jpg]\nOur house"),
        ("\u200eLocation: https://maps.example/1", "Location: https://maps.example/1"),
        ("I said this message was deleted", "I said this message was deleted"),
        ("Use python3.11 (not 3.12)", "Use python3.11 (not 3.12)"),
        ("Call me at 5.30 (pm)", "Call me at 5.30 (pm)"),
        ("look at bit.ly (finally)\nand this", "look at bit.ly (finally)\nand this"),
        ("Plan v2.pdf (fichier joint)\nRead it", "[file: Plan v2.pdf]\nRead it"),
        ("3 < 4 <This message was edited>", "3 < 4"),
        ("Oslo \u200e<Diese Nachricht wurde bearbeitet>", "Oslo"),
        ("I <3 you", "I <3 you"),
        ("at 10:00: ready", "at 10:00: ready"),
    ],
)
def test_marks_of_whatsapp_are_told_from_words(
    memory: memkit.Memory, tmp_path: Path, written: str, text: str
) -> None:
    fill(memory, write(tmp_path, f"31.12.20, 21:15 - Ann: {written}"))
    assert texts_of(memory) == [text]
    is_edited = "<This" in written or "<Diese" in written
    assert turns_of(memory)[0].metadata == ({"edited": True} if is_edited else {})


@pytest.mark.parametrize(
    "name", ['Robert "Bob" Smith', "Robert “Bob” Smith", "Robert „Bob“ Smith", "«Bob»", "「Bob」"]
)
def test_a_sender_with_a_quoted_nickname_speaks(
    memory: memkit.Memory, tmp_path: Path, name: str
) -> None:
    fill(memory, write(tmp_path, f"31.12.20, 21:15 - {name}: see you at 10:00"))
    assert [(turn.name, turn.text) for turn in turns_of(memory)] == [(name, "see you at 10:00")]


CHAT = ["31.12.20, 21:15 - Ann: hi", "31.12.20, 21:15 - ~ Bob: hi", "31.12.20, 21:15 - Ann: hi"]


def test_the_user_has_no_name_and_the_others_keep_theirs(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    counts = fill(memory, write(tmp_path, *CHAT), me="Ann")
    assert [(turn.role, turn.name) for turn in turns_of(memory)] == [
        ("user", None), ("user", "Bob"), ("user", None)]  # fmt: skip
    assert counts.notes == ()


def test_without_the_users_name_the_report_asks_for_it(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    (note,) = fill(memory, write(tmp_path, *CHAT)).notes
    assert note == "people: Ann, Bob; pass --me NAME to say which of them is the user"


def test_a_name_that_nobody_has_is_refused_before_anything_is_stored(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=r"nobody in .* is called 'Eve'; people: Ann, Bob"):
        fill(memory, write(tmp_path, *CHAT), me="Eve")
    assert texts_of(memory) == []


def test_the_chat_of_an_archive_is_its_session(memory: memkit.Memory, tmp_path: Path) -> None:
    path = tmp_path / "WhatsApp Chat - Bob (2).zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("_chat.txt", "[31.12.20, 21:15:01] Bob: hi")
        archive.writestr("0001-PHOTO.jpg", b"\xff")
    fill(memory, path)
    assert [turn.session_id for turn in turns_of(memory)] == ["whatsapp:Bob"]


def test_each_chat_of_an_archive_is_a_session_with_its_own_dates_and_speakers(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    path = tmp_path / "chats.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("WhatsApp Chat with Bob.txt", "12/31/20, 9:15 PM - Bob: hi\n"
                         "12/31/20, 9:16 PM - Ann: hello")  # fmt: skip
        archive.writestr("WhatsApp Chat with Cara.txt", "[31/12/20, 22:15:01] Cara: hi")
        archive.writestr("deep/WhatsApp Chat with Dan.txt", "5.4.20, 21:15 - Dan: hi")
    counts = fill(memory, path, me="Ann")
    assert counts.notes == ()
    assert [
        (turn.session_id, turn.name, turn.said_at and f"{turn.said_at:%Y-%m-%d %H:%M}")
        for turn in sorted(turns_of(memory), key=lambda turn: f"{turn.session_id} {turn.said_at}")
    ] == [
        ("whatsapp:Bob", "Bob", "2020-12-31 21:15"), ("whatsapp:Bob", None, "2020-12-31 21:16"),
        ("whatsapp:Cara", "Cara", "2020-12-31 22:15"), ("whatsapp:Dan", "Dan", "2020-04-05 21:15"),
    ]  # fmt: skip
    assert fill(memory, path, me="Ann").new == 0


def test_chats_of_an_archive_without_titles_are_separate_sessions(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    path = tmp_path / "WhatsApp Chat - Bob.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for n, name in enumerate(["Bob", "Cara"]):
            archive.writestr(f"{n}/_chat.txt", f"[31.12.20, 21:15:01] {name}: hi")
    fill(memory, path)
    assert sorted(turn.name or "" for turn in turns_of(memory)) == ["Bob", "Cara"]
    assert len({turn.session_id for turn in turns_of(memory)}) == 2


@pytest.mark.parametrize("note_first", [True, False])
def test_what_macos_notes_of_a_file_in_an_archive_is_no_chat(
    memory: memkit.Memory, tmp_path: Path, note_first: bool
) -> None:
    members: list[tuple[str, bytes]] = [
        ("__MACOSX/._WhatsApp Chat with Bob.txt", b"\0\5\x16\7Mac OS X \xff\xfe"),
        ("WhatsApp Chat with Bob.txt", b"31.12.20, 21:15 - Bob: hi"),
    ]
    path = tmp_path / "mac.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members if note_first else reversed(members):
            archive.writestr(name, data)
    assert sniff(path) == "whatsapp"
    counts = fill(memory, path)
    assert (texts_of(memory), counts.failed) == (["hi"], 0)
    assert turns_of(memory)[0].session_id == "whatsapp:Bob"


def test_bytes_that_are_no_text_and_lines_without_a_date_cost_themselves_only(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    path = write(tmp_path, "stray", *CHAT[:2], "99.99.20, 21:15 - Ann: never")
    path.write_bytes(
        path.read_bytes() + b"31.12.20, 21:17 - Ann: a\n\xff\n31.12.20, 21:18 - Ann: b\n"
    )
    counts = fill(memory, path, format="whatsapp")
    assert texts_of(memory) == ["hi", "hi", "b"]
    assert [problem.partition("txt, ")[2] for problem in counts.problems] == [
        "line 1: no date before this line",
        "line 4: '99.99.20, 21:15 -' is no date in the order dmy",
        "line 5: line 6 is not UTF-8",
    ]


def test_a_message_without_an_end_is_refused(memory: memkit.Memory, tmp_path: Path) -> None:
    counts = fill(memory, write(tmp_path, CHAT[0], *["x" * 1000] * 1100, CHAT[1]))
    assert texts_of(memory) == ["hi"]
    assert "longer than" in counts.problems[0]


said = st.tuples(
    st.sampled_from(["Ann", "Bob"]), st.integers(0, 2), st.sampled_from(["hi", "ok", "a: b"])
)


def chat_of(messages: Sequence[tuple[str, int, str]]) -> list[str]:
    return [f"{20 + minute // 60}.12.20, 21:{minute:02} - {name}: {text}"
            for name, minute, text in messages]  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(first=st.lists(said, max_size=5), added=st.lists(said, max_size=4))
def test_the_same_file_adds_nothing_and_a_longer_one_only_what_is_new(
    first: list[tuple[str, int, str]], added: list[tuple[str, int, str]], tmp_path: Path
) -> None:
    with open_memory() as memory:
        path = write(tmp_path, *chat_of(first))
        assert fill(memory, path, format="whatsapp").new == len(first)
        assert fill(memory, path, format="whatsapp").new == 0
        path = write(tmp_path, *chat_of([*first, *added]))
        assert fill(memory, path, format="whatsapp").new == len(added)
        assert len(texts_of(memory)) == len(first) + len(added)


@settings(max_examples=60, deadline=None)
@given(rest=st.text(max_size=40), more=st.binary(max_size=30))
def test_any_bytes_are_read_or_refused_in_our_words(rest: str, more: bytes, tmp_path: Path) -> None:
    path = tmp_path / "chat.txt"
    path.write_bytes(f"31.12.20, 21:15 - {rest}\n".encode() + more)
    with open_memory() as memory:
        try:
            fill(memory, path, format="whatsapp")
        except InvalidInput:
            return
