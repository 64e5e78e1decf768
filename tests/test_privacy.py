"""Secrets and personal data: what is stored of them, by policy, wherever messages come from."""

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from command_line import Run, run  # noqa: F401 - a fixture
from on_disk import memory as open_file

import memkit
from evals.data.private import HARD, Sample, make_samples
from memkit.errors import InvalidInput, MessageBlocked, MessagesRejected
from memkit.govern.detector import Span
from memkit.govern.patterns import PatternDetector
from memkit.govern.privacy import Privacy
from memkit.importers import import_turns, read_lines
from memkit.memory import Memory
from memkit.testing import HashEmbedder, ScriptedModel, open_memory

CARD = "4111 1111 1111 1111"
SAID = f"My card is {CARD}, keep it."
REDACTED = "My card is [card number removed], keep it."


def texts(memory: Memory) -> list[str]:
    return [turn.text for turn in memory.turns(user_id="ann")]


# ---- what is found


@pytest.mark.parametrize("sample", make_samples(5, seed=1), ids=lambda sample: sample.form)
def test_what_has_a_public_format_is_found_whole_and_nothing_else_is(sample: Sample) -> None:
    spans = Privacy().find(sample.text)
    found = [(span.kind, sample.text[span.start : span.end]) for span in spans]
    if sample.kind is None or sample.form in HARD:
        assert found == []
    else:
        assert (sample.kind, sample.value) in found


@pytest.mark.parametrize("piece", ["sk-", "eyJa.", "password is ", "a@a.", "+1 ", "1234 ", "://a:"])
def test_a_long_text_of_beginnings_costs_no_more_than_its_length(piece: str) -> None:
    # a pattern that is not linear would take longer than the tests may
    assert len(list(PatternDetector().find(piece * 40_000))) < 50_000


def test_a_kind_of_ones_own_is_found_by_ones_own_detector() -> None:
    class Staff:
        kinds = frozenset(("staff_number",))

        def find(self, text: str) -> Iterator[Span]:
            at = text.find("S-")
            if at >= 0:
                yield Span(kind="staff_number", start=at, end=at + 6)

    policy = Privacy(default="redact", detectors=(PatternDetector(), Staff()))
    with open_memory(privacy=policy) as memory:
        memory.remember("I am S-4711.", user_id="ann")
        assert texts(memory) == ["I am [staff number removed]."]


# ---- policies


def test_by_default_no_word_is_changed_and_the_kinds_are_noted(memory: Memory) -> None:
    memory.remember([SAID, "I like tea."], user_id="ann")
    assert texts(memory) == [SAID, "I like tea."]
    assert [turn.flags for turn in memory.turns(user_id="ann")] == [("card_number",), ()]


def test_off_notes_nothing() -> None:
    with open_memory(privacy="off") as memory:
        memory.remember(SAID, user_id="ann")
        assert [(turn.text, turn.flags) for turn in memory.turns(user_id="ann")] == [(SAID, ())]


def test_each_kind_has_its_own_action() -> None:
    actions = {"secret": "redact", "email_address": "off"}
    with open_memory(privacy=Privacy(default="flag", actions=actions)) as memory:
        memory.remember(f"password is hunter22, a@example.org, {CARD}", user_id="ann")
        (turn,) = memory.turns(user_id="ann")
        assert turn.text == f"password is [secret removed] a@example.org, {CARD}"
        assert turn.flags == ("card_number", "secret")


def test_redacted_words_are_in_no_file_and_in_nothing_derived(tmp_path: Path) -> None:
    with open_file(tmp_path / "ann.db", privacy="redact") as memory:
        message = {"role": "user", "content": SAID, "name": "ann@example.org",
                   "metadata": {"raw": [{"body": SAID}]}}  # fmt: skip
        memory.remember(message, user_id="ann")
        memory.flush()
        assert texts(memory) == [REDACTED]
        assert memory.recall("card", user_id="ann")[0].text == REDACTED
        for file in tmp_path.rglob("*"):
            data = file.read_bytes() if file.is_file() else b""
            assert b"1111 1111" not in data
            assert b"ann@example.org" not in data


def test_a_redacted_message_that_comes_again_adds_nothing() -> None:
    with open_memory(privacy="redact") as memory:
        for _ in range(2):
            memory.remember({"role": "user", "content": SAID, "id": "a"}, user_id="ann")
        assert texts(memory) == [REDACTED]


def test_a_blocked_message_is_named_without_its_secret_and_the_others_are_stored() -> None:
    with open_memory(privacy=Privacy(actions={"card_number": "block"})) as memory:
        with pytest.raises(MessagesRejected) as caught:
            memory.remember(["tea", SAID], user_id="ann")
        assert texts(memory) == ["tea"]
        assert "card number at characters 11 to 30" in caught.value.errors[1]
        assert "1111" not in str(caught.value)
        with pytest.raises(MessageBlocked) as alone:
            memory.remember(SAID, user_id="ann")
        assert alone.value.spans == (("card_number", 11, 30),)


def test_an_unknown_action_or_kind_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="off, flag, redact, block"):
        memkit.open(":memory:", embedder=HashEmbedder(), privacy="hide")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="card_number, email_address"):
        Privacy(actions={"cards": "block"})


# ---- wherever messages come from


def test_a_correction_is_redacted() -> None:
    with open_memory(privacy="redact") as memory:
        memory.remember("I pay by cash.", user_id="ann")
        memory.think(user_id="ann")
        (thought,) = memory.thoughts(user_id="ann")
        assert memory.correct(thought.id, SAID, user_id="ann").text == REDACTED


def test_a_correction_that_is_blocked_changes_nothing() -> None:
    with open_memory(privacy="block") as memory:
        memory.remember("I pay by cash.", user_id="ann")
        memory.think(user_id="ann")
        (thought,) = memory.thoughts(user_id="ann")
        with pytest.raises(MessageBlocked):
            memory.correct(thought.id, SAID, user_id="ann")
        assert memory.thoughts(user_id="ann") == [thought]


def import_lines(memory: Memory, path: Path, *contents: str) -> tuple[int, tuple[str, ...]]:
    lines = [{"role": "user", "content": text, "id": str(n)} for n, text in enumerate(contents)]
    path.write_text("\n".join(map(json.dumps, lines)))
    counts = import_turns(
        memory, read_lines(path, user_id="ann"), user_id="ann", progress=lambda *_: None
    )
    return counts.new, counts.problems


def test_an_import_is_redacted_and_can_be_repeated(tmp_path: Path) -> None:
    with open_memory(privacy="redact") as memory:
        assert import_lines(memory, tmp_path / "a.jsonl", SAID) == (1, ())
        assert import_lines(memory, tmp_path / "a.jsonl", SAID) == (0, ())
        assert texts(memory) == [REDACTED]


def test_a_blocked_line_of_an_import_is_a_problem_and_the_others_are_stored(tmp_path: Path) -> None:
    with open_memory(privacy="block") as memory:
        new, (problem,) = import_lines(memory, tmp_path / "a.jsonl", SAID, "tea")
        assert (new, texts(memory)) == (1, ["tea"])
        assert "line 1: the privacy policy blocks" in problem
        assert "1111" not in problem


def test_a_chat_stores_redacted_words() -> None:
    with open_memory(privacy="redact") as memory:
        memkit.Chat(ScriptedModel([f"Noted: {CARD}"]), memory=memory, user_id="ann").reply(SAID)
        assert texts(memory) == [REDACTED, "Noted: [card number removed]"]


@pytest.mark.skipif(find_spec("langgraph") is None, reason="langgraph is not installed")
def test_langgraphs_items_are_redacted() -> None:
    from memkit.integrations.langgraph import MemkitStore

    with open_memory(privacy="redact") as memory:
        graph_store = MemkitStore(memory)
        graph_store.put(("ann", "facts"), "card", {"text": SAID})
        item = graph_store.get(("ann", "facts"), "card")
        assert item is not None
        assert item.value == {"text": REDACTED}


def test_the_command_line_redacts_and_blocks(run: Run) -> None:  # noqa: F811
    run("add", SAID, "--user", "ann", "--privacy", "redact")
    assert REDACTED in run("show", "--user", "ann", "--json").out
    blocked = run("add", SAID, "--user", "ann", "--privacy", "block")
    assert blocked.code == 2
    assert "1111" not in blocked.err


def test_a_scan_lists_kinds_and_places_and_never_the_words(run: Run) -> None:  # noqa: F811
    run("add", SAID, "I like tea.", "--user", "ann")
    run("add", SAID, "--user", "ann", "--privacy", "redact")
    for result in (run("privacy", "scan", "--user", "ann"),
                   run("privacy", "scan", "--user", "ann", "--json")):  # fmt: skip
        assert result.code == 0
        assert "1111" not in result.out
    listed = run("privacy", "scan", "--user", "ann", "--json").lines
    assert [item["flags"] for item in listed] == [["card_number"], ["card_number"]]
    assert listed[0]["spans"] == [{"kind": "card_number", "start": 11, "end": 30}]
    assert run("privacy", "scan", "--user", "bob").code == 1


def test_a_scan_finds_what_was_stored_without_flags(run: Run) -> None:  # noqa: F811
    run("add", SAID, "--user", "ann", "--privacy", "off")
    (item,) = run("privacy", "scan", "--user", "ann", "--json").lines
    assert (item["flags"], len(item["spans"])) == ([], 1)


# ---- whose words they are


def test_pasted_words_become_no_thoughts_and_are_found_as_pasted(memory: Memory) -> None:
    memory.remember({"role": "user", "content": "I own a boat.", "origin": "pasted"}, user_id="ann")
    memory.remember("I own a bike.", user_id="ann")
    memory.think(user_id="ann")
    assert [thought.text for thought in memory.thoughts(user_id="ann")] == ["I own a bike."]
    sources = {hit.text: hit.source for hit in memory.recall("own", user_id="ann")}
    assert sources == {"I own a boat.": "pasted", "I own a bike.": "user"}


def test_an_origin_is_kept_by_export_and_import(run: Run) -> None:  # noqa: F811
    run("add", "I own a boat.", "--user", "ann", "--origin", "pasted")
    run("export", "--user", "ann", "--output", "ann.jsonl")
    run("import", "ann.jsonl", "--user", "ann", "--store", "two.db")
    (hit,) = run("recall", "boat", "--user", "ann", "--store", "two.db", "--json").lines
    assert hit["source"] == "pasted"
