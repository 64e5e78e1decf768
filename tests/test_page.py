"""The memory page in a real browser: what a person sees, does and can rely on."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from page_driver import Page, browser, require_browser, served

from memkit import Turn
from memkit.govern.residue import text_pieces
from memkit.memory import Memory
from memkit.testing import NOON, open_memory

pytestmark = [pytest.mark.slow, pytest.mark.allow_hosts(["127.0.0.1", "localhost", "::1"])]

VIEWS = ("timeline", "beliefs", "search", "summary", "data", "health")
MARKUP = "<img src=x onerror=window.ran=1><script>window.ran=1</script>"
HOSTILE = (
    MARKUP, "javascript:window.ran=1", "\u202edrawkcab", "{{constructor.constructor('ran=1')()}}",
    "\"><svg onload=window.ran=1>", "<!--", "\x07\x1b[31m", "']; window.ran = 1; //", "a/../b?c#d",
)  # fmt: skip


def talk() -> list[Turn]:
    lines = (
        ("s1", "My sister Ingrid keeps bees in Bergen."),
        ("s1", "The spare key is under the blue pot."),
        ("s2", "I am allergic to hazelnuts."),
        ("s2", "My cat is called Luna."),
        ("s3", "The secret word is xylophonist."),
    )
    return [
        Turn(
            id=f"t{n}", text=text, name="Ann", session_id=session,
            said_at=NOON - timedelta(days=30 - 7 * n),
        )
        for n, (session, text) in enumerate(lines)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    require_browser()
    downloads = tmp_path_factory.mktemp("downloads")
    with browser(downloads) as driver:
        yield driver, downloads


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    folder = tmp_path / "memory"
    folder.mkdir()
    with open_memory(str(folder / "m.db")) as memory:
        memory.remember(talk(), user_id="ann")
        memory.think(user_id="ann")
        yield memory


@pytest.fixture
def page(driver: tuple[Any, Path], memory: Memory) -> Iterator[Page]:
    with served(memory) as address:
        page = Page(driver[0], address)
        page.messages()  # of the test before
        yield page


def saved_file(folder: Path, pattern: str) -> Path:
    """Wait for a download that is complete."""
    for _ in range(600):
        if files := [file for file in folder.glob(pattern) if file.stat().st_size]:
            return files[0]
        time.sleep(0.05)
    raise AssertionError(f"no download {pattern} in {list(folder.iterdir())}")


# ---- views


def test_every_view_shows_what_the_memory_has_without_an_error(page: Page) -> None:
    shown = {}
    for view in VIEWS:
        page.open(view)
        shown[view] = page.text()

    assert "The spare key is under the blue pot." in shown["timeline"]
    assert "I am allergic to hazelnuts." in shown["beliefs"]
    assert "Luna" in shown["summary"]
    assert "Sound." in shown["health"]
    assert page.messages() == []
    assert page.text("#owner") == "ann’s memory"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_view_has_an_accessibility_fault_or_scrolls_sideways(
    page: Page, width: int, theme: str
) -> None:
    for view in VIEWS:
        page.open(view, width=width, theme=theme)
        if view == "search":
            page.one("#query").send_keys("Where is the spare key?\n")
            page.wait(lambda: page.all(".hit"))
            page.run("document.querySelectorAll('details').forEach(item => { item.open = true; })")
            page.wait(lambda: page.all("svg.attention"))
        assert page.accessibility() == [], view
        overflow = "return document.documentElement.scrollWidth - innerWidth"
        assert page.run(overflow) <= 0, view
    page.open("timeline", width=width, theme=theme)
    page.run("document.querySelector('.forget').click()")
    page.wait(lambda: page.all("dialog .danger"))
    assert page.accessibility() == []


def test_a_long_timeline_is_paged_and_jumps_to_a_day(page: Page, memory: Memory) -> None:
    start = NOON - timedelta(days=900)
    for part in range(4):
        memory.remember(
            [
                Turn(text=f"Line {n} of the diary.", said_at=start + timedelta(hours=6 * n))
                for n in range(part * 500, part * 500 + 500)
            ],
            user_id="ann",
        )
    page.open("timeline")
    newest = page.text(".pager")
    page.button("Older").send_keys("\ue007")  # Enter
    page.wait(lambda: "1,906–1,955 of 2,005" in page.text(".pager"))
    page.wait(lambda: page.focused() == "Older")
    page.run(
        "const day = document.querySelector('input[type=date]'); day.value = arguments[0];"
        "day.dispatchEvent(new Event('change'))",
        (start + timedelta(days=100)).date().isoformat(),
    )

    assert "1,956–2,005 of 2,005" in newest
    page.wait(lambda: "Line 400 of the diary." in page.text())
    assert len(page.all(".turn")) == 50


def test_an_empty_memory_says_what_to_do(driver: tuple[Any, Path]) -> None:
    with open_memory() as memory, served(memory) as address:
        page = Page(driver[0], address)
        for view, sentence in (
            ("timeline", "Nothing is remembered yet"), ("beliefs", "Nothing is believed"),
            ("summary", "There is no summary yet"), ("search", "Ask the memory something"),
        ):  # fmt: skip
            page.open(view)
            assert sentence in page.text()


def test_an_error_of_memkit_reaches_the_person_and_can_be_tried_again(
    page: Page, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memkit.errors import StoreLocked

    def fail(**_: object) -> None:
        raise StoreLocked("another process holds the file; close it")

    page.open("summary")
    with monkeypatch.context() as patch:
        patch.setattr(memory, "thoughts", fail)
        page.run("location.hash = '#/beliefs'")
        page.wait(lambda: "another process holds the file; close it" in page.text())
    page.click("Try again")
    page.wait(lambda: "I am allergic to hazelnuts." in page.text())


# ---- the token


def test_without_its_token_the_page_shows_nothing_and_asks_for_it(page: Page) -> None:
    page.open()
    page.run("sessionStorage.clear()")
    page.driver.get(page.address.partition("#")[0])
    page.wait(lambda: "This memory is locked" in page.text())
    assert "spare key" not in page.text("body")

    page.one("input[type=password]").send_keys("test-token\n")
    page.wait(lambda: "The spare key is under the blue pot." in page.text())


def test_the_token_leaves_the_address(page: Page) -> None:
    page.open()

    assert "token" not in page.driver.current_url


# ---- search, correct


def test_a_hit_explains_itself_by_signals_and_by_attention(page: Page) -> None:
    page.open("search")
    page.one("#query").send_keys("Where is the spare key?\n")
    page.wait(lambda: page.all(".hit"))
    page.run("document.querySelectorAll('details').forEach(item => { item.open = true; })")
    page.wait(lambda: page.all("svg.attention"))

    assert page.text(".hit .words") == "The spare key is under the blue pot."
    assert "its own words" in page.text(".hit .shares")
    assert len(page.all(".hit .shares svg")) > 2
    assert "of the attention" in page.text(".panel")


def test_a_correction_is_shown_with_its_history_and_can_be_taken_back(
    page: Page, memory: Memory
) -> None:
    page.open("beliefs")
    page.run(
        "[...document.querySelectorAll('.thought')].find(item => item.textContent.includes('Luna'))"
        ".querySelector('.open').click()"
    )
    page.click("Correct", "dialog")
    page.wait(lambda: page.all("dialog textarea"))
    page.run("document.querySelector('dialog textarea').value = 'My cat is called Nova.'")
    page.click("Correct", "dialog")
    page.wait(lambda: "My cat is called Nova." in page.text())
    assert "My cat is called Luna." not in page.text(".thoughts")

    page.run("document.querySelectorAll('.tabs button')[2].click()")
    page.wait(lambda: "My cat is called Luna." in page.text(".thoughts"))
    page.click("Take it back", ".toast")
    page.click("Forget 1 turn", "dialog")
    page.click("Close", "dialog footer")
    page.wait(lambda: "Luna" in str([item.text for item in memory.thoughts(user_id="ann")]))


# ---- forget


def test_what_is_forgotten_on_the_page_leaves_no_byte_in_any_file(
    page: Page, memory: Memory, driver: tuple[Any, Path]
) -> None:
    words = "The secret word is xylophonist."
    page.open("timeline")
    page.run(
        "[...document.querySelectorAll('.turn')].find(item => item.textContent.includes('secret'))"
        ".querySelector('.forget').click()"
    )
    page.wait(lambda: words in page.text("dialog"))
    page.click("Forget 1 turn", "dialog")
    page.wait(lambda: "Nothing of it is left in the files." in page.text("dialog"))
    page.click("Download receipt", "dialog")
    receipt = json.loads(saved_file(driver[1], "receipt-*.json").read_text())
    page.click("Close", "dialog footer")
    page.wait(lambda: words not in page.text())

    files = [file.read_bytes() for file in memory.store.path.parent.rglob("*") if file.is_file()]
    assert files
    assert not [piece for piece in text_pieces([words]) if any(piece in data for data in files)]
    assert receipt["turn_ids"] == ["t4"]
    assert receipt["residue"] == 0


def test_a_turn_is_forgotten_with_the_keyboard_alone_and_cancel_comes_first(
    page: Page, memory: Memory
) -> None:
    from selenium.webdriver.common.keys import Keys

    page.open("timeline")
    page.driver.refresh()
    page.wait(lambda: page.all(".turn"))
    page.press(Keys.TAB)
    assert page.focused() == "Skip to content"
    page.press(Keys.ENTER)
    for _ in range(40):  # through the tools to the first turn
        page.press(Keys.TAB)
        if page.run("return document.activeElement.matches('.turn')"):
            break
    page.press(Keys.ARROW_DOWN, Keys.DELETE)
    page.wait(lambda: page.all("dialog .danger"))
    assert page.focused() == "Cancel"

    page.press(Keys.ENTER)
    page.wait(lambda: not page.all("dialog"))
    assert len(list(memory.turns(user_id="ann"))) == 5
    page.wait(lambda: page.run("return document.activeElement.matches('.turn')"))
    page.press(Keys.DELETE)
    page.wait(lambda: page.all("dialog .danger"))
    page.press(Keys.TAB, Keys.ENTER)
    page.wait(lambda: "Forgotten" in page.text("dialog h2"))
    page.press(Keys.ESCAPE)
    page.wait(lambda: len(page.all(".turn")) == 4)
    assert "t3" not in [turn.id for turn in memory.turns(user_id="ann")]


def test_forget_everything_empties_the_page(page: Page, memory: Memory) -> None:
    page.open("data")
    page.click("Forget everything", "main")
    page.wait(lambda: "xylophonist" in page.text("dialog"))
    page.click("Forget 5 turns", "dialog")
    page.click("Close", "dialog footer")
    page.open("timeline")

    assert "Nothing is remembered yet" in page.text()
    assert list(memory.turns(user_id="ann")) == []


# ---- import, export


DROP = """
const [text, name] = arguments;
const transfer = new DataTransfer();
transfer.items.add(new File([text], name));
const zone = document.querySelector(".drop");
zone.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, cancelable: true}));
"""


def test_a_dropped_file_is_imported_and_what_is_left_out_is_said(
    page: Page, memory: Memory
) -> None:
    lines = '{"role": "user", "content": "I play the cello."}\n{"role": "king", "content": "x"}\n'
    page.open("data")
    page.run(DROP, lines, f"{MARKUP}.jsonl")
    page.wait(lambda: "Read 1 turn, 1 new." in page.text(".report"))

    assert "unknown role 'king'" in page.text(".report")
    assert f"{MARKUP}.jsonl" in page.text(".report")
    assert page.run("return window.ran") is None
    assert "I play the cello." in [turn.text for turn in memory.turns(user_id="ann")]


def test_a_file_that_cannot_be_read_gets_memkits_sentence(page: Page) -> None:
    page.open("data")
    page.run(DROP, "no json at all", "notes.txt")

    page.wait(lambda: "notes.txt is in no format that memkit knows" in page.text(".report"))


def test_the_export_is_saved_and_restores_the_memory(
    page: Page, memory: Memory, driver: tuple[Any, Path]
) -> None:
    page.open("data")
    page.click("Download everything")
    file = saved_file(driver[1], "memory-*.jsonl")

    with open_memory() as copy:
        copy.import_(file)
        assert list(copy.turns(user_id="ann")) == list(memory.turns(user_id="ann"))


# ---- hostile text


def test_hostile_texts_names_and_ids_are_shown_as_plain_text(page: Page, memory: Memory) -> None:
    memory.remember(
        [
            Turn(
                id=text, text=f"{text} in my words", name=text[:60], session_id=text,
                said_at=NOON + timedelta(days=n), metadata={text: text},
            )
            for n, text in enumerate(HOSTILE)
        ],
        user_id="ann",
    )  # fmt: skip
    memory.think(user_id="ann")
    for view in VIEWS:
        page.open(view)
        if view == "search":
            page.one("#query").send_keys(f"{MARKUP}\n")
            page.wait(lambda: page.all(".hit"))
    page.open("timeline")
    shown = page.text()
    page.run(
        "[...document.querySelectorAll('.turn')].find(item => item.textContent.includes('onerror'))"
        ".querySelector('.open').click()"
    )
    page.wait(lambda: page.all("dialog .facts"))

    assert MARKUP in shown
    assert MARKUP in page.text("dialog")
    assert "\ufffddrawkcab" in shown
    assert page.run("return window.ran") is None
    assert page.all("main img, main script, main iframe") == []
    assert page.messages() == []


def test_a_conversation_with_a_hostile_name_can_be_chosen(page: Page, memory: Memory) -> None:
    memory.remember(Turn(text="Here I am.", session_id="\u202e<b>&\x07"), user_id="ann")
    page.open("timeline")
    page.run(
        "const list = document.querySelector('select'); list.selectedIndex = arguments[0];"
        "list.dispatchEvent(new Event('change'))",
        1,
    )

    page.wait(lambda: len(page.all(".turn")) == 1)
    assert "Here I am." in page.text(".turns")


def test_the_policy_stops_markup_even_if_a_script_assigned_it(page: Page) -> None:
    page.open()
    failed = page.run(
        "try { document.body.innerHTML = '<b>x</b>'; return null } catch (error) {"
        " return error.name }"
    )

    assert failed == "TypeError"
