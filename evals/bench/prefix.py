"""Time to the first token deep in a chat: layouts of the prompt, with and without prefix reuse.

Three chats with the bundled SmolLM2-135M (float32, greedy) get the same messages over the same
history. Two have the layout "append"; one of these computes every prompt from its start, and their
prompts and replies must be the same, token for token. The third reuses what the layout "cache"
leaves the same.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, cycle, islice
from pathlib import Path
from shutil import copy

import numpy as np

import memkit
from evals import USER
from evals.bench import Setup
from evals.bench.measure import size_claim, time_claim
from evals.data import life
from evals.data.synthetic.dialogues import plant_facts
from evals.data.synthetic.talk import START, small_talk
from evals.tables import Cell, Claim, Result, Table, Target
from memkit import Chat, Turn
from memkit.embedders import MiniLM
from memkit.models.bundled import smollm2
from memkit.models.huggingface import HuggingFaceModel
from memkit.prompt import Layout, Prompt
from memkit.records import Role, Usage

REPLY = 8  # tokens
BUDGET = 3500  # tokens, HEMA's cap
_PARTS = 3  # pieces of small talk in a turn, about 60 tokens
_TALK = Path(__file__).parents[2] / "training" / "life"
_TARGET = Target(bound="≤", value=0.25)  # four times as fast
_COLUMNS = (
    "memory", "turn", "chat", "prompt tokens", "computed tokens", "first token ms",
    "to first text, CPU ms",
)  # fmt: skip

NEW, OLD, NO_REUSE = "append", "cache", "append, no reuse"
_SIDES: dict[str, tuple[Layout, bool]] = {  # name -> layout, whether it reuses the prefix
    NEW: ("append", True), OLD: ("cache", True), NO_REUSE: ("append", False),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What was said before, and what the user says next."""

    label: str
    turns: Sequence[Turn]
    messages: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One message and its answer: its cost, and the CPU time until the caller saw text."""

    turn: int
    reply: str
    prompt: Prompt
    usage: Usage
    first_text_s: float


Exchanges = dict[str, list[Exchange]]


def run(setup: Setup) -> Result:
    """Measure with the session alone in memory, and with months of talk before it."""
    n = setup.choose((6,), (1,))[0]  # that many count; one before them fills the cache
    session, earlier, budget = (4, 8, 500) if setup.quick else (48, 400, BUDGET)
    loaded, embedder = smollm2(), MiniLM()
    claims: list[Claim] = []
    rows: list[list[Cell]] = []
    for scenario in _scenarios(session, earlier, n + 1, setup.seed):
        file = _fill_memory(setup.folder, embedder, scenario.turns)
        chats = {}
        for side, (layout, reuse) in _SIDES.items():
            memory = _open_memory(copy(file, f"{file}-{side}"), embedder)
            model = HuggingFaceModel(*loaded, reuse_prefix=reuse)
            chats[side] = Chat(
                model, None, memory, user_id=USER, budget_tokens=budget, max_new_tokens=REPLY,
                layout=layout,
            )  # fmt: skip
        exchanges = _talk(chats, scenario.messages)
        claims += _claims(scenario.label, exchanges, setup.seed)
        rows += _rows(scenario.label, exchanges)
    return Result(
        name="prefix",
        about=f"first token from turn {session + 3} on",
        settings={"budget": budget, "reply tokens": REPLY, "turns before": session},
        claims=claims,
        tables=[Table(title="every exchange", columns=_COLUMNS, rows=rows)],
        notes=[f"{NEW} and {NO_REUSE}: prompts and replies were the same each time (checked)"],
    )


# ---- what is said


def _scenarios(session: int, earlier: int, n: int, seed: int) -> Iterator[Scenario]:
    """Yield two scenarios of small talk, each message about another thing, and one real talk."""
    questions = [question.text for question in plant_facts(60 * n, seed + 1).questions][:n]
    for before in (0, earlier):
        turns = _make_turns(_small_talk(before + session, seed), before)
        label = f"{before} earlier turns, unrelated questions" if before else "this session only"
        yield Scenario(label=label, turns=turns, messages=questions)
    people = life.read(_TALK).haystacks
    speaker = max(people, key=lambda person: len(person.turns))
    others = [turn.text for person in people if person is not speaker for turn in person.turns]
    texts = [turn.text for turn in speaker.turns]
    yield Scenario(
        label=f"{earlier} earlier turns, a conversation",
        turns=_make_turns([*islice(others, earlier), *texts[:session]], earlier),
        messages=[turn.text for turn in speaker.turns[session:] if turn.role == "user"][:n],
    )


def _small_talk(n: int, seed: int) -> list[str]:
    talk = small_talk(random.Random(seed))
    texts: list[str] = []
    while len(texts) < n:
        pieces = list(islice(talk, 2 * _PARTS))
        texts += [" ".join(pieces[0::2]), " ".join(pieces[1::2])]
    return texts[:n]


def _make_turns(texts: Sequence[str], before: int) -> list[Turn]:
    """Return turns of a user and an assistant, the first `before` of an earlier session."""
    roles: Iterator[Role] = cycle(("user", "assistant"))
    return [
        Turn(
            text=text, id=f"t{n}", role=role, said_at=START + timedelta(minutes=n),
            session_id="earlier" if n < before else "main",
        )
        for n, (text, role) in enumerate(zip(texts, roles, strict=False))
    ]  # fmt: skip


def _fill_memory(folder: Path, embedder: MiniLM, turns: Sequence[Turn]) -> str:
    path = folder / f"{len(list(folder.iterdir()))}.db"
    with _open_memory(path, embedder) as memory:
        memory.remember(turns, user_id=USER)
        memory.flush()
        memory.backup(str(path.with_suffix(".backup")))
    return str(path.with_suffix(".backup"))


def _open_memory(path: Path | str, embedder: MiniLM) -> memkit.Memory:
    ticks = count()  # the clock advances a second per call: all chats see the same times
    return memkit.open(
        str(path),
        embedder=embedder,
        settings=memkit.Settings(background=False),
        clock=lambda: START + timedelta(days=365, seconds=next(ticks)),
    )


# ---- what is measured


def _talk(chats: dict[str, Chat], messages: Sequence[str]) -> Exchanges:
    """Send all chats the same, alternately; the first exchange fills the cache and is left out."""
    exchanges: Exchanges = {side: [] for side in chats}
    for n, message in enumerate(messages):
        for side in chats if n % 2 == 0 else reversed(chats):
            exchanges[side].append(_ask(chats[side], message))
        reusing, baseline = (exchanges[side][-1] for side in (NEW, NO_REUSE))
        if (reusing.prompt.messages, reusing.reply) != (baseline.prompt.messages, baseline.reply):
            raise AssertionError(f"exchange {n} differs with and without reuse")
    return {side: answers[1:] for side, answers in exchanges.items()}


def _ask(chat: Chat, message: str) -> Exchange:
    started = time.process_time()
    pieces = chat.stream(message)
    reply = next(pieces, "")
    first_text_s = time.process_time() - started
    reply += "".join(pieces)
    chat.memory.flush()
    assert chat.report is not None
    return Exchange(
        turn=len(chat.history), reply=reply, prompt=chat.report.prompt, usage=chat.report.usage,
        first_text_s=first_text_s,
    )  # fmt: skip


_MEASURES: tuple[tuple[str, Callable[[Exchange], float]], ...] = (
    ("prompt to first token", lambda exchange: exchange.usage.first_token_s),
    ("message to first text, CPU time", lambda exchange: exchange.first_text_s),
)


def _claims(label: str, exchanges: Exchanges, seed: int) -> Iterator[Claim]:
    for what, measure in _MEASURES:
        samples = {
            side: np.array([measure(exchange) for exchange in exchanges[side]])
            for side in exchanges
        }
        is_goal = measure is _MEASURES[0][1]
        for side in (NEW, OLD):
            yield time_claim(
                f"{what}, {side}, {label}", samples[side], samples[NO_REUSE], seed=seed,
                against=NO_REUSE, target=_TARGET if side == NEW and is_goal else None,
            )  # fmt: skip
    for side in (NEW, OLD):
        computed = np.mean([exchange.usage.computed_tokens for exchange in exchanges[side]])
        total = np.mean([exchange.usage.prompt_tokens for exchange in exchanges[side]])
        yield size_claim(
            f"tokens computed per message, {side}, {label}", float(computed), float(total),
            against="tokens of its prompts", unit="tokens",
        )  # fmt: skip


def _rows(label: str, exchanges: Exchanges) -> Iterator[list[Cell]]:
    for side, answers in exchanges.items():
        for exchange in answers:
            times = [1000 * measure(exchange) for _, measure in _MEASURES]
            usage = exchange.usage
            tokens = (usage.prompt_tokens, usage.computed_tokens)
            yield [label, exchange.turn, side, *tokens, *times]
