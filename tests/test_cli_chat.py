"""Promises of `memkit chat`: replies, the commands that begin with a slash, words on lines."""

# ruff: noqa: F811 - fixtures are imported

from collections.abc import Callable, Generator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from command_line import Result, Run, assert_error, at_terminal, oslo, run  # noqa: F401 - fixtures
from hypothesis import given
from hypothesis import strategies as st

from memkit.cli.output import WordWrapper
from memkit.errors import ModelError
from memkit.protocols import Messages
from memkit.testing import ScriptedModel


class Impatient(ScriptedModel):
    """Stands for Ctrl-C: it strikes after the first word of the first answer."""

    def stream(self, messages: Messages, *, max_new_tokens: int) -> Generator[str]:
        for piece in super().stream(messages, max_new_tokens=max_new_tokens):
            yield piece
            if len(self.prompts) == 1:
                raise KeyboardInterrupt


Talk = Callable[..., Result]


@pytest.fixture
def talk(run: Run, monkeypatch: pytest.MonkeyPatch) -> Talk:
    """Chat with a model that says what it is told to say."""

    def talk(
        replies: Sequence[str | Exception],
        lines: Sequence[str],
        *options: str,
        model: type[ScriptedModel] = ScriptedModel,
    ) -> Result:
        monkeypatch.setattr("memkit.models.bundled.smollm2", lambda: (model(replies), None))
        return run("chat", "--user", "ann", *options, stdin="".join(f"{line}\n" for line in lines))

    return talk


def test_chat_answers_every_line_of_its_input(talk: Talk) -> None:
    result = talk(["Hello Ann.", "Goodbye."], ["Hi, I am Ann.", "", "Bye."])
    assert (result.code, result.out) == (0, "Hello Ann.\nGoodbye.\n")


def test_chat_remembers_both_sides_and_goes_on_later(talk: Talk, run: Run) -> None:
    talk(["Nice."], ["I moved to Oslo."])
    talk(["Rex it is."], ["My dog is Rex."])
    turns = run("export", "--user", "ann", "--session", "main").lines
    assert [turn["content"] for turn in turns] == [
        "I moved to Oslo.",
        "Nice.",
        "My dog is Rex.",
        "Rex it is.",
    ]


def test_quit_ends_the_chat(talk: Talk) -> None:
    assert talk(["Hello."], ["/quit", "Hi."]).out == ""


def test_why_shows_what_the_last_prompt_was_made_of(talk: Talk, run: Run) -> None:
    run("add", "I moved to Oslo in May.", "--user", "ann")
    result = talk(["In Oslo."], ["/why", "Where in May did I move to?", "/why"])
    assert "nothing has been asked yet" in result.out
    assert "I moved to Oslo in May." in result.out
    assert "prompt " in result.out


def test_chat_as_json_is_an_object_a_reply(talk: Talk, run: Run) -> None:
    run("add", "I moved to Oslo in May.", "--user", "ann")
    (reply,) = talk(["In Oslo."], ["Where did I move to?"], "--json").lines
    assert (reply["reply"], reply["stopped"]) == ("In Oslo.", False)
    assert reply["hits"][0]["text"] == "I moved to Oslo in May."
    assert reply["usage"]["new_tokens"] == 2


def test_an_answer_that_fails_is_reported_and_the_chat_goes_on(talk: Talk) -> None:
    result = talk([ModelError("out of\nmemory"), "Better."], ["Hi.", "And now?"])
    assert result.code == 2
    assert result.out == "Better.\n"
    assert "memkit: out of memory\n" in result.err


def test_ctrl_c_stops_the_answer_and_not_the_chat(talk: Talk, run: Run) -> None:
    result = talk(["A long story.", "Fine."], ["Tell me.", "Enough."], model=Impatient)
    assert (result.code, result.out) == (0, "A  [stopped]\nFine.\n")
    assert [turn["content"] for turn in run("export", "--messages", "--user", "ann").lines] == [
        "Tell me.",
        "A",
        "Enough.",
        "Fine.",
    ]


def test_a_reply_cannot_command_the_terminal(talk: Talk) -> None:
    assert talk(["\x1b[2J[bold]Hi"], ["Hello."]).out == "[2J[bold]Hi\n"


@pytest.mark.slow
def test_a_model_that_is_not_there_is_an_error_of_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_error(run("chat", "--user", "ann", "--model", "empty"), "no causal language model at")


# ---- commands


def stored(run: Run) -> list[str]:
    return [turn["content"] for turn in run("export", "--messages", "--user", "ann").lines]


@pytest.mark.parametrize(
    "line", ["/help", "/why", "/thoughts", "/save-off", "/save-on", "/forget", "/undo", "/nope",
             "/quit now please", "/", "/etc/hosts is broken", "/help /help"]
)  # fmt: skip
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_line_with_a_slash_is_neither_sent_nor_remembered(
    talk: Talk, run: Run, line: str, form: list[str]
) -> None:
    talk([], [line], *form)  # a model without replies: a message would fail
    assert stored(run) == []


@pytest.mark.parametrize("line", ["/nope", "/quit now", "/forget", "/etc/hosts is broken"])
def test_an_unknown_command_is_answered_with_help(talk: Talk, line: str) -> None:
    result = talk([], [line])
    assert result.code == 0
    assert f"{line!r} is no command" in result.err
    for command in ("/help", "/why", "/thoughts", "/forget", "/undo", "/save-off", "/quit", "//"):
        assert command in result.out
    assert "/undo" in talk([], [line], "--json").json["commands"]


def test_two_slashes_send_a_message_that_begins_with_one(talk: Talk, run: Run) -> None:
    talk(["Fixed."], ["//etc/hosts is broken"])
    assert stored(run) == ["/etc/hosts is broken", "Fixed."]


def test_undo_takes_back_the_last_exchange(talk: Talk, run: Run) -> None:
    result = talk(["Hello.", "Noted."], ["I am Ann.", "My PIN is 4417.", "/undo", "/undo", "/undo"])
    assert "deleted 2 turns" in result.out
    assert (result.code, stored(run)) == (2, [])
    assert "nothing to undo" in result.err


def test_forget_deletes_what_a_short_id_names_and_the_model_no_longer_sees_it(
    talk: Talk, run: Run
) -> None:
    run("add", "My door PIN is 4417.", "--user", "ann", "--id", "pin1")
    result = talk(
        ["Hm.", "No idea."],
        ["What is my door PIN?", "/forget pin", "And now?", "/why", "/forget x"],
    )
    assert "deleted 1 turn" in result.out
    assert "4417" not in result.out[result.out.index("No idea.") :]
    assert "'ann' has no turn or thought 'x'" in result.err
    assert stored(run) == ["What is my door PIN?", "Hm.", "And now?", "No idea."]


def test_save_off_remembers_nothing_until_save_on(talk: Talk, run: Run) -> None:
    lines = ["one", "/save-off", "two", "/save-on", "three"]
    talk(["a", "b", "c"], lines, "--remember", "user")
    assert stored(run) == ["one", "three"]
    talk(["a", "b"], ["four", "/save-on", "five"], "--remember", "none")
    assert stored(run)[2:] == ["five", "b"]


@pytest.mark.usefixtures("oslo")
def test_thoughts_are_shown_with_who_said_them(talk: Talk) -> None:
    result = talk([], ["/thoughts"])
    assert "I moved to Oslo in May" in result.out
    assert "User" in result.out
    (thoughts,) = talk([], ["/thoughts"], "--json").lines
    assert len(thoughts["thoughts"]) == 2


@pytest.mark.usefixtures("oslo")
def test_memorys_part_is_shown_next_to_the_reply(talk: Talk) -> None:
    result = talk(["In Oslo."], ["Where in May did I move to?"])
    assert result.out == "In Oslo.\n"
    assert "[memory: 2 quotes, best 2024-05-01 User: I moved to Oslo in May." in result.err


def test_the_model_is_named_before_the_first_message(talk: Talk) -> None:
    result = talk([ModelError("out of memory")], ["Hi."])
    assert result.err.startswith("model: SmolLM2-135M-Instruct, the bundled model")
    assert "very small" in result.err
    assert result.err.index("model:") < result.err.index("out of memory")


SCRIPTED = """
import memkit.models.bundled
from memkit.testing import ScriptedModel
memkit.models.bundled.smollm2 = lambda: (ScriptedModel(["word " * 40, "fine"]), None)
"""


def test_at_a_terminal_words_stay_whole_and_forget_asks(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "33")
    monkeypatch.setenv("TERM", "dumb")
    run("add", "My door PIN is 4417.", "--user", "ann", "--id", "pin")
    typed = {"> ": "What is my PIN?", "/why]": "/forget pin", "[y/N]": "y", "deleted": "/quit"}
    code, printed = at_terminal(["chat", "--user", "ann"], typed, folder=tmp_path, setup=SCRIPTED)
    assert code == 0, printed
    reply = [line for line in printed.splitlines() if line.startswith("word")]
    assert reply[:-1] == ["word word word word word word"] * (len(reply) - 1)
    after = " ".join(printed[printed.index("/forget pin") :].split())
    assert "My door PIN is 4417. Delete 1 turn" in after
    assert stored(run) == ["What is my PIN?", ("word " * 40).strip()]


# ---- words on lines

lines_of_text = st.text(st.sampled_from("abc  \t\n語ü"), max_size=80)


def wrapped(pieces: Sequence[str], width: int) -> str:
    wrapper = WordWrapper(width)
    return "".join([*map(wrapper.feed, pieces), wrapper.end()])


@given(text=lines_of_text, width=st.integers(2, 12))
def test_wrapping_changes_only_white_space_and_breaks_no_word(text: str, width: int) -> None:
    result = wrapped([text], width)
    assert "".join(result.split()) == "".join(text.split())
    if "語" not in text:
        assert result.split() == text.split()
    for line in result.splitlines():
        cells = sum(2 if character == "語" else 1 for character in line)
        assert cells <= width or len(line.split()) <= 1


@given(text=lines_of_text, cuts=st.lists(st.integers(0, 80)), width=st.integers(2, 12))
def test_a_stream_wraps_like_its_whole_text(text: str, cuts: list[int], width: int) -> None:
    ends = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[start:end] for start, end in pairwise(ends)]
    assert wrapped(pieces, width) == wrapped([text], width)


@given(text=lines_of_text)
def test_text_that_fits_is_printed_as_it_is(text: str) -> None:
    assert wrapped([text], 1000) == text
