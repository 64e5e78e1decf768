"""Time to the first token deep in a chat, with and without reuse of the prompt's prefix.

Two chats with the bundled SmolLM2-135M (float32, greedy) get the same questions over the same
history; prompts and replies must be the same, token for token. The baseline computes every prompt
from its start.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import numpy as np

import memkit
from evals import USER
from evals.bench import Setup
from evals.bench.measure import time_claim
from evals.data.synthetic.dialogues import plant_facts
from evals.data.synthetic.talk import START, small_talk
from evals.tables import Cell, Claim, Result, Table, Target
from memkit import Chat, Turn
from memkit.embedders import MiniLM
from memkit.models.bundled import smollm2
from memkit.models.huggingface import HuggingFaceModel
from memkit.records import Usage

REPLY = 8  # tokens
_PARTS = 3  # pieces of small talk in a turn, about 60 tokens
_TARGET = Target(bound="≤", value=0.25)  # four times as fast
_COLUMNS = (
    "memory", "turn", "prompt tokens", "reused tokens", "first token ms", "without reuse ms",
    "to first text ms", "without reuse ms",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The length of the history, and of what is measured."""

    session: int = 48  # turns of this session before the first question
    earlier: int = 400  # turns of another session before that
    exchanges: int  # that count (`--sizes`); one before them fills the cache
    budget: int = 3500  # tokens, HEMA's cap


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One question and its answer: its cost, and the time until the caller saw text."""

    turn: int
    usage: Usage
    first_text_s: float


def run(setup: Setup) -> Result:
    """Measure with the session alone in memory, and with months of talk before it."""
    exchanges = setup.choose((6,), (1,))[0]
    sizes = (
        Sizes(session=4, earlier=8, exchanges=exchanges, budget=500)
        if setup.quick
        else Sizes(exchanges=exchanges)
    )
    loaded, embedder = smollm2(), MiniLM()
    claims: list[Claim] = []
    rows: list[list[Cell]] = []
    for before in (0, sizes.earlier):
        label = f"{before} earlier turns" if before else "this session only"
        chats = [
            _make_chat(
                HuggingFaceModel(*loaded, reuse_prefix=reuse), embedder, before, sizes, setup
            )
            for reuse in (True, False)
        ]
        reusing, baseline = _talk(chats, sizes.exchanges, setup.seed)
        claims += _claims(label, reusing, baseline, setup.seed)
        rows += [_row(label, *both) for both in zip(reusing, baseline, strict=True)]
    return Result(
        name="prefix",
        about=f"first token from turn {sizes.session + 3} on",
        settings={"budget": sizes.budget, "reply tokens": REPLY, "turns before": sizes.session},
        claims=claims,
        tables=[Table(title="every exchange", columns=_COLUMNS, rows=rows)],
        notes=["prompts and replies of both chats were the same in every exchange (checked)"],
    )


def _make_clock() -> Callable[[], datetime]:
    """Return a clock that advances a second per call: both chats see the same times."""
    ticks: Iterator[int] = iter(range(10**9))
    return lambda: START + timedelta(days=365, seconds=next(ticks))


def _make_chat(
    model: HuggingFaceModel, embedder: MiniLM, before: int, sizes: Sizes, setup: Setup
) -> Chat:
    """Return a chat that has gone on for a while."""
    settings = memkit.Settings(background=False)
    memory = memkit.open(":memory:", embedder=embedder, settings=settings, clock=_make_clock())
    texts = _long_texts(setup.seed, before + sizes.session)
    turns = [
        Turn(
            text=text,
            id=f"t{n}",
            role="user" if n % 2 == 0 else "assistant",
            said_at=START + timedelta(minutes=n),
            session_id="earlier" if n < before else "main",
        )
        for n, text in enumerate(texts)
    ]
    memory.remember(turns, user_id=USER)
    memory.flush()
    return Chat(model, None, memory, user_id=USER, budget_tokens=sizes.budget, max_new_tokens=REPLY)


def _long_texts(seed: int, n: int) -> Iterator[str]:
    talk = small_talk(random.Random(seed))
    for _ in range(n // 2):
        pieces = list(islice(talk, 2 * _PARTS))
        yield " ".join(pieces[0::2])
        yield " ".join(pieces[1::2])


def _talk(chats: list[Chat], n: int, seed: int) -> tuple[list[Exchange], list[Exchange]]:
    """Ask both chats the same, alternately; the first exchange fills the cache and is left out."""
    questions = [question.text for question in plant_facts(60 * (n + 1), seed + 1).questions]
    exchanges: tuple[list[Exchange], list[Exchange]] = ([], [])
    for turn in range(n + 1):
        order = (0, 1) if turn % 2 == 0 else (1, 0)
        results = {side: _ask(chats[side], questions[turn]) for side in order}
        prompts = [_prompt(chat) for chat in chats]
        if results[0][0] != results[1][0] or prompts[0] != prompts[1]:
            raise AssertionError(f"exchange {turn} differs with and without prefix reuse")
        for side in order if turn else ():
            exchanges[side].append(results[side][1])
    return exchanges


def _prompt(chat: Chat) -> Any:
    assert chat.report is not None
    return chat.report.prompt.messages


def _ask(chat: Chat, question: str) -> tuple[str, Exchange]:
    started = time.perf_counter()
    pieces = chat.stream(question)
    reply = next(pieces, "")
    first_text_s = time.perf_counter() - started
    reply += "".join(pieces)
    chat.memory.flush()
    assert chat.report is not None
    return reply, Exchange(
        turn=len(chat.history), usage=chat.report.usage, first_text_s=first_text_s
    )


def _claims(
    label: str, reusing: list[Exchange], baseline: list[Exchange], seed: int
) -> list[Claim]:
    sides = (reusing, baseline)
    tokens = [np.array([exchange.usage.first_token_s for exchange in side]) for side in sides]
    texts = [np.array([exchange.first_text_s for exchange in side]) for side in sides]
    return [
        time_claim(
            f"prompt to first token, {label}", *tokens, seed=seed, against="without reuse",
            target=_TARGET,
        ),
        time_claim(
            f"question to first text, {label}", *texts, seed=seed, against="without reuse"
        ),
    ]  # fmt: skip


def _row(label: str, reusing: Exchange, baseline: Exchange) -> list[Cell]:
    return [
        label,
        reusing.turn,
        reusing.usage.prompt_tokens,
        reusing.usage.reused_tokens,
        1000 * reusing.usage.first_token_s,
        1000 * baseline.usage.first_token_s,
        1000 * reusing.first_text_s,
        1000 * baseline.first_text_s,
    ]
