"""What a notebook and a terminal show: all of it, and nothing that the remembered text commands."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from made_up_card import Size, made_up
from rich.console import Console

import memkit
from evals.card.report import page
from memkit.records import Context, Hit, Hits, Quote, Source, Summary, Thought, Thoughts
from memkit.testing import HashEmbedder
from memkit.text.sanitise import HARMFUL

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
LATER = datetime(2024, 8, 9, tzinfo=UTC)
HOSTILE = (
    "</div><script>alert(1)</script><img src=x onerror='a'>\" style=\"x [red]b[/red] \x1b[2J\u202e"
)
texts = st.text(st.sampled_from(HOSTILE) | st.characters(), min_size=1, max_size=30)


def hit(text: str, **fields: Any) -> Hit:
    made = Hit(
        text=text, relevance=0.4, kind="turn", said_at=NOON, turn_ids=("t1",), name="Ann",
        session_id="monday", explain={"lexical": 0.3, "dense": 0.1},
    )  # fmt: skip
    return replace(made, **fields)


def thought(text: str, **fields: Any) -> Thought:
    made = Thought(
        id="th1", text=text, sources=(Source(turn_id="t1", start=0, end=4),), said_by="Ann",
        role="user", said_at=NOON, repeated_at=NOON, valid_from=NOON, head="Ann",
        relation="lives in", tail="Oslo",
    )  # fmt: skip
    return replace(made, **fields)


def context(*hits: Hit, thoughts: tuple[Thought, ...] = ()) -> Context:
    text = "> a block"
    return Context(
        text=text, tokens=30, hits=hits, messages=(), thoughts=thoughts, budget_tokens=120
    )


def all_of(text: str) -> list[Any]:
    """One of everything that can be shown, with `text` wherever text of others can stand."""
    said = hit(text, name=text, session_id=text, turn_ids=(text,), explain={text: 0.4})
    drawn = thought(
        text, id=text, sources=(Source(turn_id=text, start=0, end=1),), said_by=text, head=text,
        relation=text, tail=text, closed_by=text, valid_to=LATER, conflicts=(text,),
    )  # fmt: skip
    summary = Summary(
        id=text, text=text, level=1, through=3, tokens=5, sources=(text,), created_at=NOON
    )
    packed = replace(context(said, thoughts=(drawn,)), text=text)
    concluded = replace(said, kind="thought")
    return [said, concluded, Hits([said]), drawn, Thoughts([drawn]), summary, packed]


class Elements(HTMLParser):
    """The elements and attributes a browser would see, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(f"{name}={value}" for name, value in attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def html(item: Any) -> Elements:
    elements = Elements(item._repr_html_())
    assert not elements.open
    return elements


def words(item: Any) -> str:
    return " ".join(html(item).words)


def printed(item: Any, *, colours: bool = False) -> str:
    console = Console(file=StringIO(), width=120, force_terminal=colours, emoji=False)
    console.print(item)
    out = console.file
    assert isinstance(out, StringIO)
    return out.getvalue()


@given(text=texts)
@example(text=HOSTILE)
def test_no_element_and_no_attribute_comes_from_what_was_remembered(text: str) -> None:
    for item, plain in zip(all_of(text), all_of("plain"), strict=True):
        assert html(item).elements == html(plain).elements


@given(text=texts)
@example(text=HOSTILE)
def test_nothing_remembered_commands_a_terminal_or_turns_a_line(text: str) -> None:
    for item in all_of(text):
        assert not HARMFUL.search(printed(item))
        assert not HARMFUL.search(words(item))


def test_markup_of_a_terminal_is_shown_and_not_obeyed() -> None:
    for item in all_of("[red]jazz[/red]"):
        assert "[red]jazz[/red]" in printed(item)


def test_no_script_and_no_request_is_in_what_a_notebook_shows(memory: memkit.Memory) -> None:
    for item in [*all_of(HOSTILE), memory]:
        markup = item._repr_html_()
        tags = {tag for tag, _ in Elements(markup).elements}
        assert not tags & {"script", "link", "img", "style"}
        assert "url(" not in markup


def test_a_long_text_is_cut_and_its_length_told() -> None:
    for item in all_of("x" * 100_000):
        assert "(100,000 characters)" in words(item)
        assert len(item._repr_html_()) < 20_000
        assert len(printed(item)) < 20_000


def test_a_hit_shows_who_said_what_when_how_relevant_it_is_and_why() -> None:
    for output in (words(hit("I moved to Oslo.")), printed(hit("I moved to Oslo."))):
        for text in ("Ann, 1 May 2024", "I moved to Oslo.", "0.40", "lexical 0.30 + dense 0.10"):
            assert text in output
        assert "monday" in output


def test_the_bar_is_as_long_as_the_hit_is_relevant_and_never_longer() -> None:
    for relevance, width in ((0.4, "40%"), (7.0, "100%"), (-1.0, "0%"), (float("nan"), "0%")):
        assert f"width:{width}" in hit("x", relevance=relevance)._repr_html_()


def test_hits_are_shown_as_a_table_of_at_most_fifty() -> None:
    item = Hits([hit(f"number {n}") for n in range(60)])
    for output in (words(item), printed(item)):
        assert "60 hits" in output
        assert "number 49" in output
        assert "number 50" not in output
        assert "and 10 more" in output


def test_what_recall_and_thoughts_return_is_a_list_and_is_shown(memory: memkit.Memory) -> None:
    memory.remember("I moved to Oslo in March.", user_id="ann")
    memory.flush()
    (one,) = memory.thoughts(user_id="ann")
    found = memory.recall("Where do I live?", user_id="ann")
    for item in (found, memory.thoughts(user_id="ann"), memory.history(one.id, user_id="ann")):
        assert isinstance(item, list)
        assert item == list(item)
        assert "Oslo" in words(item[:1])
        assert "Oslo" in words(item)
    assert memory.recall("Where?", user_id="bob") == []
    assert "0 hits" in words(memory.recall("Where?", user_id="bob"))


def test_a_thought_shows_when_it_held_what_it_comes_from_and_what_doubts_it() -> None:
    later = Quote(turn_id="t9", start=0, said_at=LATER, text="we moved!!")
    one = thought("I live in Oslo.", valid_to=LATER, closed_by="th2", later=(later,))
    for output in (words(one), printed(one)):
        for text in ("I live in Oslo.", "1 May 2024 to 9 August 2024", "t1", "th2", "we moved!!"):
            assert text in output
        assert "Ann, 1 time" in output
    assert "since 1 May 2024" in words(thought("Ann lives in Oslo."))


def test_a_context_shows_how_much_of_its_budget_it_takes(memory: memkit.Memory) -> None:
    memory.remember("I moved to Oslo in March.", user_id="ann")
    block = memory.context("Where do I live?", user_id="ann", budget_tokens=200)
    for output in (words(block), printed(block)):
        assert f"{block.tokens} of 200" in output
        assert "1 turn, 0 thoughts" in output
        assert "I moved to Oslo in March." in output


def test_a_memory_shows_what_is_in_it_and_never_who(memory: memkit.Memory) -> None:
    assert "Memory, empty" in words(memory)
    memory.remember(["I moved to Oslo.", "It rains."], user_id="ann-secret")
    memory.remember("I like jazz.", user_id="bob-secret")
    for output in (words(memory), printed(memory)):
        for text in ("users", "waiting turns", "hash (revision 0, 64-d)", "SQLiteStore :memory:"):
            assert text in output
        assert "secret" not in output


def test_a_closed_memory_says_so() -> None:
    memory = memkit.open(":memory:", embedder=HashEmbedder())
    memory.close()
    assert "Memory, closed" in words(memory)
    assert "Memory, closed" in printed(memory)


def test_a_password_in_a_stores_address_is_not_shown(memory: memkit.Memory) -> None:
    memory.store.url = "postgresql://ann:pass@host/db"
    assert "postgresql://…@host/db" in words(memory)


def test_a_summary_shows_its_words_and_how_far_it_reaches(memory: memkit.Memory) -> None:
    memory.remember(["I moved to Oslo.", "It rains."], user_id="ann")
    memory.flush()
    summary = memory.summary(user_id="ann")
    assert "2 turns" in words(summary)
    assert "I moved to Oslo" in printed(summary)


@pytest.fixture(scope="module")
def card() -> Any:
    size = Size(systems=("memkit", "bm25"), data=("chats",), scores=("recall@10",),
                kinds=("all",), regimes=("replay",))  # fmt: skip
    made = made_up(size)
    return replace(made, name=HOSTILE, curves=[], funnels=[])


def test_a_card_shows_its_page_in_a_frame_that_runs_nothing(card: Any) -> None:
    output = card._repr_html_()
    (frame,) = Elements(output).elements
    assert frame[0] == "iframe"
    assert "sandbox=" in frame[1]
    srcdoc = next(one for one in frame[1] if one.startswith("srcdoc="))
    assert srcdoc.removeprefix("srcdoc=") == page(card)
    assert "<script>" not in unescape(output)


def test_a_card_prints_its_summary(card: Any) -> None:
    output = printed(card)
    assert "memkit" in output
    assert "[red]b[/red]" in output
    assert "\x1b[2J" not in output


def test_showing_is_loaded_when_something_is_shown(tmp_path: Path) -> None:
    code = (
        "import sys, memkit.memory, memkit.records;"
        "assert not {'rich', 'matplotlib', 'memkit.display.views'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
