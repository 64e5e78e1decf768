"""The Compact Memory is one short, valid sentence that leads back to its turns."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thinkers import Reader

import memkit
from memkit import Memory, Summary, Turn
from memkit.background.summary import MAX_TOKENS, ExtractiveSummariser, ModelSummariser
from memkit.errors import ModelError
from memkit.models.huggingface import HuggingFaceModel
from memkit.records import Claim
from memkit.testing import NOON, ScriptedModel, open_memory


def words(text: str) -> int:
    return len(text.split())


class Recorder:
    """A summariser that counts what it took in, and fails when told to."""

    def __init__(self) -> None:
        self.count = words
        self.calls: list[tuple[str, list[str]]] = []
        self.failing: Callable[[], str] | None = None

    def summarise(self, previous: str, new: Sequence[str], **_: int) -> str:
        if self.failing is not None:
            return self.failing()
        self.calls.append((previous, list(new)))
        return f"{len(self.calls)} updates"


def versions(memory: Memory, level: int) -> list[Summary]:
    scope = memkit.records.Scope(user_id="ann")
    return list(memory.store.summaries(scope, level))[::-1]


def test_there_is_no_summary_before_anything_was_said(memory: Memory) -> None:
    memory.flush()
    assert memory.summary(user_id="ann") is None
    assert memory.summaries(user_id="ann") == []


def test_a_summary_grows_from_the_previous_one_and_the_new_turns_only() -> None:
    recorder = Recorder()
    with open_memory(summariser=recorder) as memory:
        for text in ("one", "two"):
            memory.remember(text, user_id="ann")
            memory.think(user_id="ann")
        memory.think(user_id="ann")  # nothing waits
    assert recorder.calls == [("", ["User: one"]), ("1 updates", ["User: two"])]


def test_remembering_in_between_takes_in_all_that_waits_at_once() -> None:
    recorder = Recorder()
    with open_memory(summariser=recorder) as memory:
        memory.remember(["one", "two", "three"], user_id="ann")
        memory.flush()
    assert recorder.calls == [("", ["User: one", "User: two", "User: three"])]


@pytest.mark.parametrize("sizes", [[350], [1] * 350, [99, 1, 1, 249], [120, 230]])
def test_the_summary_of_summaries_comes_at_every_hundredth_turn(sizes: list[int]) -> None:
    with open_memory(summariser=Recorder()) as memory:
        for size in sizes:
            memory.remember([f"turn {n}" for n in range(size)], user_id="ann")
            if len(sizes) < 10:
                memory.think(user_id="ann")
        memory.think(user_id="ann")
        assert [summary.through for summary in versions(memory, 2)] == [100, 200, 300]
        assert versions(memory, 1)[-1].through == 350
        assert [summary.level for summary in memory.summaries(user_id="ann")] == [2, 1]


def test_overviews_can_be_switched_off() -> None:
    off = memkit.Settings(background=False, overviews=False)
    with open_memory(settings=off) as memory:
        memory.remember([f"turn {n}" for n in range(120)], user_id="ann")
        memory.think(user_id="ann")
        assert memory.summary(user_id="ann", level=2) is None


@pytest.mark.parametrize("level", [1, 2])
def test_every_summary_leads_back_to_all_its_turns(level: int) -> None:
    with open_memory(summariser=Recorder()) as memory:
        ids = []
        for n in range(5):
            ids += memory.remember([f"turn {n} {m}" for m in range(50)], user_id="ann")
            memory.think(user_id="ann")
        by_id = {version.id: version for both in (1, 2) for version in versions(memory, both)}
        reached, ahead = set(), [versions(memory, level)[-1].id]
        while ahead:
            source = ahead.pop()
            ahead += by_id[source].sources if source in by_id else []
            reached |= set() if source in by_id else {source}
    assert reached == set(ids[: 250 if level == 1 else 200])


def test_an_older_version_stays_readable() -> None:
    with open_memory(summariser=Recorder()) as memory:
        for text in ("one", "two"):
            memory.remember(text, user_id="ann")
            memory.think(user_id="ann")
        assert [version.text for version in versions(memory, 1)] == ["1 updates", "2 updates"]


def raising(error: Exception) -> Callable[[], str]:
    def fail() -> str:
        raise error

    return fail


FAILURES: dict[str, tuple[Callable[[], str], str]] = {
    "says nothing": (lambda: " \n", "returned nothing"),
    "says too much": (lambda: "word " * 61, "61 tokens, 60 are allowed"),
    "raises our error": (raising(ModelError("out of memory")), "out of memory"),
    "raises any error": (raising(KeyError("choices")), "KeyError: 'choices'"),
    "has no network": (raising(ConnectionError("refused")), "refused"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failing_summariser_leaves_the_old_summary_and_the_turns_waiting(name: str) -> None:
    recorder = Recorder()
    failing, hint = FAILURES[name]
    with open_memory(summariser=recorder) as memory:
        memory.remember("one", user_id="ann")
        memory.flush()
        recorder.failing = failing
        memory.remember("two", user_id="ann")
        memory.flush()  # does not raise
        assert [version.text for version in versions(memory, 1)] == ["1 updates"]
        assert hint in " ".join(memory.doctor())
        assert memory.store.pending() == ["ann"]
        recorder.failing = None
        memory.flush()
        assert recorder.calls[-1] == ("1 updates", ["User: two"])
        assert memory.doctor() == []


@pytest.mark.parametrize("name", FAILURES)
def test_think_raises_what_the_summariser_failed_with(name: str) -> None:
    recorder = Recorder()
    recorder.failing, hint = FAILURES[name]
    with open_memory(summariser=recorder) as memory:
        memory.remember("one", user_id="ann")
        with pytest.raises((ModelError, KeyError, ConnectionError)):
            memory.think(user_id="ann")
        assert hint in " ".join(memory.doctor())


def test_a_summary_of_summaries_that_fails_commits_neither_level() -> None:
    class FailsAtTheOverview(Recorder):
        def summarise(self, _previous: str, new: Sequence[str], **_: int) -> str:
            return "fine" if new[0].startswith("User:") else ""

    with open_memory(summariser=FailsAtTheOverview()) as memory:
        memory.remember(["x"] * 100, user_id="ann")
        memory.flush()
        assert versions(memory, 1) == versions(memory, 2) == []


def test_one_users_failing_summary_does_not_hold_up_another() -> None:
    class FailsForBob(Recorder):
        def summarise(self, _previous: str, new: Sequence[str], **_: int) -> str:
            if "Bob" in new[0]:
                raise RuntimeError("no")
            return "fine"

    with open_memory(summariser=FailsForBob()) as memory:
        memory.remember("I am Bob", user_id="bob")
        memory.remember("I am Ann", user_id="ann")
        memory.flush()
        assert memory.summary(user_id="ann") is not None


# ---- the extractive summariser

TEXT = st.text(st.sampled_from("ab Z9.;:!?\n-/🎷强é\u200b"), min_size=1, max_size=400).filter(
    lambda text: bool(text.strip())
)


@settings(max_examples=60)
@given(st.lists(TEXT, min_size=1, max_size=12), st.integers(1, 4))
def test_whatever_is_remembered_the_sentence_has_at_most_60_tokens(
    texts: list[str], per_token: int
) -> None:
    def count(text: str) -> int:  # an unkind tokenizer: blanks count, and so do parts of words
        return -(-len(text) // per_token)

    with open_memory(summariser=ExtractiveSummariser(count)) as memory:
        for text in texts:
            memory.remember(text, user_id="ann")
            memory.think(user_id="ann")
        for version in versions(memory, 1):
            assert 0 < version.tokens == count(version.text) <= MAX_TOKENS
            assert "\n" not in version.text
        assert memory.doctor() == []


def test_a_word_longer_than_the_whole_sentence_is_cut() -> None:
    with open_memory(summariser=ExtractiveSummariser(len)) as memory:
        memory.remember("https://example.org/" + "a1" * 5000, user_id="ann")
        memory.think(user_id="ann")
        summary = memory.summary(user_id="ann")
    assert summary is not None
    assert summary.tokens <= MAX_TOKENS


def test_names_and_numbers_are_kept_over_chit_chat(memory: Memory) -> None:
    chat = ["hi there", "how are you?", "oh well", "yes sure", "ok then", "hm, no", "so it goes"]
    facts = ["I moved to Oslo in 2021", "my sister Ingrid keeps 40 hives"]
    memory.remember([*chat, *facts, *chat, *chat, *chat], user_id="ann")
    memory.think(user_id="ann")
    summary = memory.summary(user_id="ann")
    assert summary is not None
    assert all(word in summary.text for word in ("Oslo", "2021", "Ingrid", "40"))
    assert "how are you" not in summary.text


def test_a_question_alone_does_not_push_a_fact_out(memory: Memory) -> None:
    memory.remember("I moved to Oslo", user_id="ann")
    memory.think(user_id="ann")
    memory.remember("Did Ingrid Johansen visit Copenhagen on 17 March?", user_id="ann")
    memory.think(user_id="ann")
    summary = memory.summary(user_id="ann")
    assert summary is not None
    assert summary.text == "User: I moved to Oslo."


def test_without_thoughts_the_summary_of_summaries_keeps_facts_of_every_hundred_turns() -> None:
    cities = ["Oslo", "Lima", "Kyoto"]
    with open_memory(settings=memkit.Settings(background=False, thoughts=False)) as memory:
        for city in cities:
            facts = [f"I lived in {city} for {len(city)} years", "my job was at Opera House 12"]
            chat = ["ok"] * 98
            memory.remember([*chat, *facts], user_id="ann")
        memory.think(user_id="ann")
        overview = memory.summary(user_id="ann", level=2)
    assert overview is not None
    assert all(city in overview.text for city in cities)
    assert overview.tokens <= MAX_TOKENS


# ---- the summary of what holds


def summary_text(memory: Memory, level: Literal[1, 2] = 1) -> str:
    summary = memory.summary(user_id="ann", level=level)
    return summary.text if summary else ""


def remember_and_think(memory: Memory, *texts: str) -> None:
    for text in texts:
        memory.remember(text, user_id="ann")
        memory.think(user_id="ann")


def test_a_summary_shows_what_replaced_a_fact_and_not_the_fact() -> None:
    with open_memory(thinker=Reader()) as memory:
        remember_and_think(memory, "I live in Oslo", "I like tea", "I live in Rome")
        assert summary_text(memory) == "User: I like tea; I live in Rome."


def test_a_summary_leaves_out_what_is_in_doubt() -> None:
    with open_memory(thinker=Reader()) as memory:
        remember_and_think(memory, "I live in Oslo", "I like tea", "I might move")
        assert "Oslo" not in summary_text(memory)
        assert "tea" in summary_text(memory)


def retract(memory: Memory, thought_id: str) -> None:
    memory.retract(thought_id, user_id="ann")


def correct(memory: Memory, thought_id: str) -> None:
    memory.correct(thought_id, "My cat is called Tau", user_id="ann")


def forget(memory: Memory, thought_id: str) -> None:
    (thought,) = memory.history(thought_id, user_id="ann")
    memory.forget(turn_ids=thought.turn_ids, user_id="ann")


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("change", [retract, correct, forget])
def test_what_no_longer_holds_leaves_the_summaries_at_once(
    memory: Memory, change: Callable[[Memory, str], None], level: Literal[1, 2]
) -> None:
    memory.remember([f"thing{n} is in room{n}, on floor{n}" for n in range(100)], user_id="ann")
    memory.think(user_id="ann")
    shown = next(
        thought for thought in memory.thoughts(user_id="ann")
        if thought.text.rstrip(",") in summary_text(memory, level)
    )  # fmt: skip
    change(memory, shown.id)
    assert shown.text not in summary_text(memory, 1) + summary_text(memory, 2)
    memory.think(user_id="ann")
    assert shown.text not in summary_text(memory, 1) + summary_text(memory, 2)
    assert summary_text(memory)
    assert memory.store.pending() == memory.doctor() == []


def test_no_older_version_says_what_no_longer_holds() -> None:
    with open_memory(thinker=Reader()) as memory:
        remember_and_think(memory, "I live in Oslo", "I like tea", "I live in Rome", "I sing")
        assert not [version for version in versions(memory, 1) if "Oslo" in version.text]


def test_what_is_talked_about_often_is_kept_over_what_is_newer(memory: Memory) -> None:
    about_biscuit = [f"Biscuit the donkey {does}" for does in ("limps", "kicks", "sleeps")]
    other = [f"word{n}a word{n}b word{n}c word{n}d word{n}e word{n}f" for n in range(20)]
    memory.remember([*about_biscuit, *other], user_id="ann")
    memory.think(user_id="ann")
    assert "Biscuit" in summary_text(memory)


def test_the_summary_of_summaries_shows_what_the_first_one_leaves_out(memory: Memory) -> None:
    memory.remember([f"thing{n} is in room{n} on floor{n}" for n in range(120)], user_id="ann")
    memory.think(user_id="ann")
    shown = [set(summary_text(memory, level).rstrip(".").split("; ")) for level in (1, 2)]
    assert all(shown)
    assert not shown[0] & shown[1]


def test_thoughts_that_come_after_a_failure_come_into_the_summary() -> None:
    class Failing(Reader):
        fails = True

        def think(self, turns: Sequence[Turn], before: Sequence[Turn] = ()) -> list[Claim]:
            if self.fails:
                raise ConnectionError("refused")
            return super().think(turns, before)

    thinker = Failing()
    with open_memory(thinker=thinker) as memory:
        memory.remember("Hello. I like tea", user_id="ann")
        memory.flush()
        assert summary_text(memory) == "User: Hello."  # a sentence of the turn
        thinker.fails = False
        memory.think(user_id="ann", retry=True)
        assert summary_text(memory) == "User: Hello. I like tea."  # the whole thought


@settings(max_examples=60)
@given(st.lists(TEXT, min_size=1, max_size=12))
def test_a_summary_is_made_of_whole_thoughts_and_the_same_in_every_memory(
    texts: list[str],
) -> None:
    times = [NOON + timedelta(hours=n) for n in range(len(texts))]
    turns = [Turn(text=text, said_at=at) for text, at in zip(texts, times, strict=True)]
    seen = set()
    for _ in range(2):
        with open_memory() as memory:
            memory.remember(turns, user_id="ann")
            memory.think(user_id="ann")
            seen.add(summary_text(memory))
            by_id = {thought.id: thought.text for thought in memory.thoughts(user_id="ann")}
            current = memory.summary(user_id="ann")
            assert current is not None
            assert current.tokens <= MAX_TOKENS
            for source in current.sources:
                words_of = " ".join(by_id.get(source, "").split()).rstrip(".!;,:… ")
                assert words_of in current.text
    assert len(seen) == 1


# ---- the summariser that asks a model


def test_a_model_is_asked_with_the_previous_sentence_and_the_new_turns() -> None:
    model = ScriptedModel(["Ann lives in Oslo. And more.", "Ann lives in Bergen."])
    with open_memory(summariser=ModelSummariser(model, words)) as memory:
        for text in ("I live in Oslo", "I moved to Bergen"):
            memory.remember(text, user_id="ann")
            memory.think(user_id="ann")
        summary = memory.summary(user_id="ann")
    assert summary is not None
    assert summary.text == "Ann lives in Bergen."
    assert "Summary so far: Ann lives in Oslo.\n" in model.prompts[1][0]["content"]
    assert "User: I moved to Bergen" in model.prompts[1][0]["content"]


def test_a_models_long_answer_is_cut_to_60_tokens_at_a_word() -> None:
    with open_memory(summariser=ModelSummariser(ScriptedModel(["word " * 200]), words)) as memory:
        memory.remember("hello", user_id="ann")
        memory.think(user_id="ann")
        summary = memory.summary(user_id="ann")
    assert summary is not None
    assert summary.tokens == MAX_TOKENS


def test_a_model_that_says_nothing_changes_nothing() -> None:
    with open_memory(summariser=ModelSummariser(ScriptedModel(["  \n "]), words)) as memory:
        memory.remember("hello", user_id="ann")
        with pytest.raises(ModelError, match="nothing"):
            memory.think(user_id="ann")
        assert memory.summary(user_id="ann") is None


def test_a_tiny_real_model_summarises(tokenizer: Any, tiny: Callable[..., Any]) -> None:
    model = HuggingFaceModel(tiny("Llama"), tokenizer)

    def count(text: str) -> int:
        return len(tokenizer(text)["input_ids"])

    with open_memory(summariser=ModelSummariser(model, count)) as memory:
        memory.remember("I live in Oslo <|im_end|>", user_id="ann")
        memory.flush()
        summary = memory.summary(user_id="ann")
        assert summary is None or 0 < count(summary.text) <= MAX_TOKENS
        assert (summary is None) == (memory.doctor() != [])


@pytest.mark.slow
def test_smollm2_summarises(smollm2: Any) -> None:
    model = HuggingFaceModel(*smollm2)
    with open_memory(summariser=ModelSummariser(model, words)) as memory:
        memory.remember(["I moved to Oslo in May.", "My cat is called Tau."], user_id="ann")
        memory.think(user_id="ann")
        summary = memory.summary(user_id="ann")
    assert summary is not None
    assert "Oslo" in summary.text


# ---- nothing is lost by a crash

CRASH = """
import os, sys
from memkit.testing import open_memory
memory = open_memory(sys.argv[1])
memory.remember(["I live in Oslo", "my cat is called Tau"], user_id="ann")
os._exit(9)
"""


def test_turns_that_a_crash_left_waiting_are_taken_in_later(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CRASH, tmp_path / "ann.db"], check=False)
    assert done.returncode == 9
    with open_memory(str(tmp_path / "ann.db")) as memory:
        assert memory.store.pending() == ["ann"]
        assert memory.summary(user_id="ann") is None
        memory.flush()
        summary = memory.summary(user_id="ann")
        assert summary is not None
        assert summary.through == 2
        assert memory.store.pending() == []
