"""Anybody's memory can be measured: three methods do, and what it cannot do is said."""

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from evals.data.haystack import Query
from evals.systems.langchain import LangChain
from evals.systems.mem0 import Mem0
from evals.systems.protocol import NotSupported
from evals.systems.registry import CARD_SYSTEMS, load_system
from memkit import Turn
from memkit.errors import InvalidInput, MissingExtra
from memkit.protocols import Embedder
from memkit.testing import HashEmbedder

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
TURNS = [
    Turn(text="Tulips grow behind the shed.", id="a", name="Ann", said_at=NOON),
    Turn(text="Biscuit fears the vacuum.", id="b", role="system", said_at=NOON),
    Turn(text="The harbour froze.", id="c", role="assistant", said_at=NOON),
]


class Least:
    """A memory with three methods: it returns everything, the first said first."""

    def __init__(self, embedder: Embedder) -> None:  # noqa: ARG002
        self.turns: list[Turn] = []

    def remember(self, turns: Sequence[Turn]) -> None:
        self.turns += turns

    def ask(self, text: str, k: int) -> list[tuple[str, float]]:  # noqa: ARG002
        return [(turn.id or "", 1 / n) for n, turn in enumerate(self.turns, start=1)][:k]

    def close(self) -> None:
        self.turns.clear()


class Pretends(Least):
    """It says that it forgets, and does not."""

    def forget(self, turn_ids: Sequence[str]) -> None:
        pass

    def stored(self) -> frozenset[str]:
        return frozenset()

    def footprint(self) -> int:
        return 7


class BareIds(Least):
    """It returns turns without scores."""

    def ask(self, text: str, k: int) -> Any:  # noqa: ARG002
        return [turn.id for turn in self.turns]


class MadeUp(Least):
    """It returns what it was never given."""

    def ask(self, text: str, k: int) -> list[tuple[str, float]]:
        return [*super().ask(text, k), ("made up", 0.0)]


class Silent(Least):
    """It knows when to say nothing."""

    def refuses(self, text: str) -> bool:
        return text == "tulips"


class Mute:
    def __init__(self, embedder: Embedder) -> None:
        pass

    def remember(self, turns: Sequence[Turn]) -> None:
        pass


def test_three_methods_are_enough() -> None:
    memory = load_system(f"{__name__}:Least")(HashEmbedder())
    memory.remember(TURNS)
    asked = Query(text="tulips")

    assert [hit.turn_id for hit in memory.ask(asked, 2)] == ["a", "b"]
    assert memory.pack(asked, 16).turns == ("a", "c")  # b's eight words do not fit then
    assert memory.pack(asked, 16).text.startswith("[1 May 2024] Ann: Tulips grow")
    assert memory.refuses(asked) is None
    assert (memory.stored(), memory.footprint()) == (None, None)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "BareIds",
            r"BareIds\.ask returned \['a', 'b', 'c'\]; it has to return .*\(turn\.id, score\)",
        ),
        ("MadeUp", r"MadeUp\.ask returned the id 'made up', which no turn has"),
    ],
)
def test_a_memory_that_returns_something_else_is_told_what_is_expected(
    name: str, told: str
) -> None:
    memory = load_system(f"{__name__}:{name}")(HashEmbedder())
    memory.remember(TURNS)

    for call in (memory.ask, memory.pack):
        with pytest.raises(InvalidInput, match=told):
            call(Query(text="x"), 3)


def test_a_memory_that_knows_when_to_say_nothing_is_asked() -> None:
    memory = load_system(f"{__name__}:Silent")(HashEmbedder())
    assert memory.refuses(Query(text="tulips")) is True


def test_a_memory_that_cannot_forget_says_so() -> None:
    memory = load_system(f"{__name__}:Least")(HashEmbedder())

    with pytest.raises(NotSupported, match=r"Least cannot delete: give it a forget"):
        memory.forget(["a"])


def test_a_memory_that_only_says_it_forgets_is_seen_through() -> None:
    memory = load_system(f"{__name__}:Pretends")(HashEmbedder())
    memory.remember(TURNS)

    memory.forget(["a"])

    assert memory.ask(Query(text="x"), 1)[0].turn_id == "a"
    assert "a" in memory.pack(Query(text="x"), 99).turns
    assert (memory.stored(), memory.footprint()) == (frozenset(), 7)


def test_a_whole_system_is_taken_as_it_is() -> None:
    memory = load_system("evals.systems.memkit:Memkit")(HashEmbedder())

    assert type(memory).__name__ == "Memkit"
    memory.close()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("bm25", r"no system 'bm25'; there are memkit, .*BM25.*, and package\.module:Class"),
        ("no_such_module:Mine", r"no module 'no_such_module'; install it, or start in the folder"),
        ("evals.no_such:Mine", r"no module 'evals\.no_such'"),
        ("evals.systems.memkit:NoSuch", r"evals\.systems\.memkit has no class 'NoSuch'"),
        ("evals.systems.memkit:OURS", r"has no class 'OURS'"),
        ("a b:C", r"'a b:C' is not package\.module:Class"),
        (":C", r"':C' is not package\.module:Class"),
        (f"{__name__}:Mute", r"Mute has no ask, close; a memory needs remember, ask, close"),
    ],
)
def test_a_name_that_names_no_memory_says_what_to_do(name: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        load_system(name)


@pytest.mark.parametrize("name", ["mem0", "LangChain"])
def test_turns_of_every_role_are_kept(name: str) -> None:
    memory = load_system(name)(HashEmbedder())
    memory.remember(TURNS)
    memory.remember(TURNS)  # again changes nothing

    assert memory.stored() == {"a", "b", "c"}
    for turn in TURNS:
        best, *others = memory.ask(Query(text=turn.text), 9)
        assert best.turn_id == turn.id
        assert turn.id not in {hit.turn_id for hit in others}
    memory.close()


@pytest.mark.parametrize(
    ("name", "module", "line"),
    [
        ("mem0", "mem0", r'pip install "memkit-llm\[mem0\]"'),
        ("LangChain", "langchain_core.vectorstores", r'pip install "memkit-llm\[langchain\]"'),
    ],
)
def test_without_its_package_the_install_line_is_told(
    name: str, module: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(MissingExtra, match=line):
        CARD_SYSTEMS[name](HashEmbedder())


def test_mem0_reports_to_nobody_and_leaves_the_home_folder_alone() -> None:
    before = dict(os.environ)
    Mem0(HashEmbedder()).close()
    from mem0.memory import setup, telemetry

    assert telemetry.MEM0_TELEMETRY is False
    assert Path.home() not in Path(setup.mem0_dir).parents
    assert not Path(setup.mem0_dir).exists()
    assert dict(os.environ) == before


def test_mem0_with_its_telemetry_on_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    Mem0(HashEmbedder()).close()
    monkeypatch.setattr("mem0.memory.telemetry.MEM0_TELEMETRY", True)

    with pytest.raises(InvalidInput, match="MEM0_TELEMETRY=False"):
        Mem0(HashEmbedder())


def test_mem0_loads_none_of_its_optional_models(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[Any] = []
    module: Any = ModuleType("fastembed")
    module.SparseTextEmbedding = lambda **options: used.append(options)
    monkeypatch.setitem(sys.modules, "fastembed", module)

    memory = Mem0(HashEmbedder())
    memory.remember(TURNS)
    memory.ask("tulips", 3)
    memory.close()

    assert used == []
    assert sys.modules["fastembed"] is module


def test_mem0_asking_a_model_fails_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Mem0(HashEmbedder())
    from mem0.exceptions import LLMError

    add = memory._memory.add
    monkeypatch.setattr(memory._memory, "add", lambda *a, **k: add(*a, **{**k, "infer": True}))

    with pytest.raises(LLMError, match="though infer=False needs none"):
        memory.remember(TURNS)
    memory.close()


def test_adding_embeds_all_turns_of_a_batch_in_one_call() -> None:
    for made in (Mem0, LangChain):
        embedder = HashEmbedder()
        memory = made(embedder)
        memory.remember(TURNS)
        assert embedder.calls == 1
        memory.close()
