"""Words that are not trusted put others' in doubt at most, and are labelled."""

from typing import Any

import pytest
from thinkers import Reader, lives, tell

import memkit
from memkit import Memory, Settings
from memkit.errors import InvalidInput
from memkit.testing import HashEmbedder


def opened(*untrusted: str, **rest: Any) -> Memory:
    settings = Settings(background=False, untrusted=untrusted)
    return memkit.open(
        ":memory:", embedder=HashEmbedder(), thinker=Reader(), settings=settings, **rest
    )


def believed(memory: Memory) -> dict[str, bool]:
    """Return the texts that hold, and whether each is in doubt."""
    return {item.text: bool(item.doubt) for item in memory.thoughts(user_id="ann")}


OSLO, ROME = "I live in Oslo now", "I live in Rome now"


def test_by_default_imported_words_are_trusted() -> None:
    with opened() as memory:
        tell(memory, lives("Oslo", 1), lives("Rome", 2, origin="imported"))
        assert believed(memory) == {ROME: False}
        assert all(hit.trusted for hit in memory.recall("Rome Oslo", user_id="ann"))
        assert "not verified" not in memory.context("Rome", user_id="ann").text


def test_words_that_are_not_trusted_only_put_ones_own_in_doubt() -> None:
    with opened("imported") as memory:
        tell(memory, lives("Oslo", 1, id="own"), lives("Rome", 2, origin="imported", id="other"))
        assert believed(memory)[OSLO] is True
        (oslo,) = (item for item in memory.thoughts(user_id="ann") if item.text == OSLO)
        assert oslo.doubt == ("other",)


def test_in_whatever_order_they_are_thought_about() -> None:
    with opened("imported") as memory:
        tell(memory, lives("Rome", 2, origin="imported"), lives("Oslo", 1))
        assert believed(memory)[OSLO] is True


def test_trusted_words_replace_any() -> None:
    with opened("imported") as memory:
        tell(memory, lives("Oslo", 1, origin="imported"), lives("Rome", 2))
        assert believed(memory) == {ROME: False}
    with opened("imported") as memory:
        tell(memory, lives("Oslo", 1, origin="imported"), lives("Rome", 2, origin="imported"))
        assert believed(memory) == {ROME: False}


def test_no_judge_closes_what_is_trusted_for_words_that_are_not() -> None:
    class Strict:
        def contradict(self, older: str, newer: str) -> bool:  # noqa: ARG002
            return True

    for untrusted, holds in ((("imported",), {OSLO, ROME}), ((), {ROME})):
        with opened(*untrusted, judge=Strict()) as memory:
            tell(memory, lives("Oslo", 1), lives("Rome", 2, origin="imported"))
            assert set(believed(memory)) == holds


@pytest.mark.parametrize("origin", ["pasted", None])
def test_pasted_words_and_those_of_tools_say_nothing_of_ann(origin: Any) -> None:
    with opened() as memory:
        role: Any = "user" if origin else "tool"
        tell(memory, lives("Oslo", 1), lives("Rome", 2, role, origin=origin))
        assert believed(memory) == {OSLO: False}


def test_a_block_labels_them_and_a_caller_can_leave_them_out() -> None:
    with opened("imported", "tool") as memory:
        tell(
            memory, lives("Oslo", 1, id="own"), lives("Rome", 2, origin="imported", id="imported"),
            lives("Lima", 3, "tool", id="tool"),
        )  # fmt: skip
        hits = memory.recall("live in now", user_id="ann")
        assert {id for hit in hits if not hit.trusted for id in hit.turn_ids} == {
            "imported", "tool",
        }  # fmt: skip
        block = memory.context("live in now", user_id="ann").text
        lines = {city: line for line in block.splitlines() for city in ("Rome", "Lima", "Oslo")
                 if city in line and "[" in line}  # fmt: skip
        assert "(imported, not verified): " in lines["Rome"]
        assert "(not verified): " in lines["Lima"]


def test_an_unknown_source_is_named_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"no source 'mail'; sources are user, .*pasted"):
        Settings(untrusted=["mail"])
