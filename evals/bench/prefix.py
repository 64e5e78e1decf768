"""Time to the first token deep in a chat, with and without reuse of the prompt's prefix.

Two chats with the bundled SmolLM2-135M (float32, greedy) get the same questions over the same
history; prompts and replies must be the same, token for token. The baseline computes every prompt
from its start.
"""

import random
import time
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, islice
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
BUDGET = 3500  # tokens, HEMA's cap
_PARTS = 3  # pieces of small talk in a turn, about 60 tokens
_TARGET = Target(bound="≤", value=0.25)  # four times as fast
_COLUMNS = (
    "memory", "turn", "prompt tokens", "reused tokens", "first token ms", "without reuse ms",
    "to first text ms", "without reuse ms",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One question and its answer: its cost, and the time until the caller saw text."""

    turn: int
    usage: Usage
    first_text_s: float


def run(setup: Setup) -> Result:
    """Measure with the session alone in memory, and with months of talk before it."""
    exchanges = setup.choose((6,), (1,))[0]  # that count; one before them fills the cache
    session, earlier, budget = (4, 8, 500) if setup.quick else (48, 400, BUDGET)
    loaded, embedder = smollm2(), MiniLM()
    claims: list[Claim] = []
    rows: list[list[Cell]] = []
    for before in (0, earlier):
        label = f"{before} earlier turns" if before else "this session only"
        chats = []
        for reuse in (True, False):
            memory = _make_memory(embedder, before, session, setup.seed)
            model = HuggingFaceModel(*loaded, reuse_prefix=reuse)
            chats.append(
                Chat(
                    model, None, memory, user_id=USER, budget_tokens=budget, max_new_tokens=REPLY
                )
            )  # fmt: skip
        reusing, baseline = _talk(chats, exchanges, setup.seed)
        claims += _claims(label, reusing, baseline, setup.seed)
        rows += [_row(label, *both) for both in zip(reusing, baseline, strict=True)]
    return Result(
        name="prefix",
        about=f"first token from turn {session + 3} on",
        settings={"budget": budget, "reply tokens": REPLY, "turns before": session},
        claims=claims,
        tables=[Table(title="every exchange", columns=_COLUMNS, rows=rows)],
        notes=["prompts and replies of both chats were the same in every exchange (checked)"],
    )


def _make_memory(embedder: MiniLM, before: int, session: int, seed: int) -> memkit.Memory:
    ticks = count()  # the clock advances a second per call: both chats see the same times
    talk = small_talk(random.Random(seed))
    turns: list[Turn] = []
    while len(turns) < before + session:
        pieces = list(islice(talk, 2 * _PARTS))
        for texts in (pieces[0::2], pieces[1::2]):
            n = len(turns)
            turns.append(
                Turn(
                    text=" ".join(texts),
                    id=f"t{n}",
                    role="user" if n % 2 == 0 else "assistant",
                    said_at=START + timedelta(minutes=n),
                    session_id="earlier" if n < before else "main",
                )
            )
    memory = memkit.open(
        ":memory:",
        embedder=embedder,
        settings=memkit.Settings(background=False),
        clock=lambda: START + timedelta(days=365, seconds=next(ticks)),
    )
    memory.remember(turns, user_id=USER)
    memory.flush()
    return memory


def _talk(chats: list[Chat], n: int, seed: int) -> tuple[list[Exchange], list[Exchange]]:
    """Ask both chats the same, alternately; the first exchange fills the cache and is left out."""
    questions = [question.text for question in plant_facts(60 * (n + 1), seed + 1).questions]
    exchanges: tuple[list[Exchange], list[Exchange]] = ([], [])
    for turn in range(n + 1):
        order = (0, 1) if turn % 2 == 0 else (1, 0)
        results = {side: _ask(chats[side], questions[turn]) for side in order}
        if results[0][:2] != results[1][:2]:
            raise AssertionError(f"exchange {turn} differs with and without prefix reuse")
        for side in order if turn else ():
            exchanges[side].append(results[side][2])
    return exchanges


def _ask(chat: Chat, question: str) -> tuple[str, Any, Exchange]:
    started = time.perf_counter()
    pieces = chat.stream(question)
    reply = next(pieces, "")
    first_text_s = time.perf_counter() - started
    reply += "".join(pieces)
    chat.memory.flush()
    assert chat.report is not None
    exchange = Exchange(turn=len(chat.history), usage=chat.report.usage, first_text_s=first_text_s)
    return reply, chat.report.prompt.messages, exchange


def _claims(
    label: str, reusing: list[Exchange], baseline: list[Exchange], seed: int
) -> list[Claim]:
    sides = (reusing, baseline)
    tokens = [np.array([exchange.usage.first_token_s for exchange in side]) for side in sides]
    texts = [np.array([exchange.first_text_s for exchange in side]) for side in sides]
    return [
        time_claim(f"{what}, {label}", *times, seed=seed, against="without reuse", target=target)
        for what, times, target in (
            ("prompt to first token", tokens, _TARGET),
            ("question to first text", texts, None),
        )
    ]


def _row(label: str, reusing: Exchange, baseline: Exchange) -> list[Cell]:
    usage = reusing.usage
    tokens = (usage.first_token_s, baseline.usage.first_token_s)
    texts = (reusing.first_text_s, baseline.first_text_s)
    times = [1000 * seconds for seconds in (*tokens, *texts)]
    return [label, reusing.turn, usage.prompt_tokens, usage.reused_tokens, *times]
