"""Replay a dialogue into a real memory, ask a real model about it, and say how much it knew.

Three systems get the same model, questions and token budget: as many of the last turns as fit (a);
the last exchange with HEMA's Compact Memory (b); the same with Compact and Vector Memory (c).
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from memkit import prompt
from memkit.demo import report
from memkit.demo.dialogue import Dialogue, Question, from_locomo, synthetic
from memkit.demo.report import SYSTEMS, VECTOR, WINDOW, Answer
from memkit.errors import ModelError
from memkit.memory import Memory
from memkit.memory import open as open_memory
from memkit.protocols import Model

BUDGET = 512  # tokens of the whole prompt: a small window, so that months do not fit
ANSWER_TOKENS = 16
SYSTEM = "Answer the question from the quotes of earlier conversations, in one short sentence."
USER = "demo"

_HITS = 6
_BATCH = 64
_WINDOW = 200  # turns offered to (a), far more than fit
_TAIL = 2  # turns that stand beside the memory in (b) and (c), as in HEMA (3.6)
_WORD = re.compile(r"\w+")

Progress = Callable[[str, int, int], None]


def run_demo(
    *,
    dialogue: Sequence[Path] = (),
    store: Path | None = None,
    seed: int = 0,
    as_json: bool = False,
) -> None:
    """Run the experiment, print its table, then ask once more from a new process.

    Args:
        dialogue: LoCoMo files to replay; the synthetic dialogue if there are none.
        store: folder to keep the memories in; a temporary one if left out.
        seed: of the synthetic dialogue, or of the choice of questions.
        as_json: print one JSON object instead of tables.
    """
    dialogues = [one for path in dialogue for one in from_locomo(path, seed)] or [synthetic(seed)]
    with ExitStack() as stack:
        folder = store or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        with report.progress() as progress:
            answers = _replay_all(dialogues, folder, progress)
        again = _known_best(answers, dialogues[-1])
        reply = ask_again(_file(folder, dialogues[-1]), again.text)
    if as_json:
        shown = report.summary(answers) | {"budget_tokens": BUDGET, "seed": seed}
        shown["new_process"] = {"question": again.text, "expected": again.answers, "reply": reply}
        sys.stdout.write(json.dumps(shown) + "\n")
        return
    report.table(answers, dialogues, BUDGET)
    report.once_more(again, reply)


def _replay_all(dialogues: Sequence[Dialogue], folder: Path, progress: Progress) -> list[Answer]:
    from memkit.models.bundled import smollm2
    from memkit.models.huggingface import HuggingFaceModel

    progress("load the chat model", 0, 1)
    model = HuggingFaceModel(*smollm2())
    answers = []
    for one in dialogues:
        file = _file(folder, one)
        with open_memory(str(file)) as memory:
            remember(memory, one, progress)
            answers += ask(memory, model, one, progress)
    return answers


def _file(folder: Path, dialogue: Dialogue) -> Path:
    return folder / f"{dialogue.name}.db"


def remember(memory: Memory, dialogue: Dialogue, progress: Progress) -> None:
    """Store the dialogue with the real embedder and bring the Compact Memory up to date."""
    turns = dialogue.turns
    for n in range(0, len(turns), _BATCH):
        progress(f"{dialogue.name}: remember", n, len(turns))
        memory.remember(turns[n : n + _BATCH], user_id=USER)
    memory.flush()


def ask(memory: Memory, model: Model, dialogue: Dialogue, progress: Progress) -> list[Answer]:
    """Put every question to every system."""
    answers = []
    for n, system in enumerate(SYSTEMS):
        for m, question in enumerate(dialogue.questions):
            done = n * len(dialogue.questions) + m
            progress(f"{dialogue.name}: {system}", done, len(SYSTEMS) * len(dialogue.questions))
            answers.append(_answer(memory, model, system, question))
    return answers


def _answer(memory: Memory, model: Model, system: str, question: Question) -> Answer:
    newest = list(memory.turns(user_id=USER, last=_WINDOW if system == WINDOW else _TAIL))
    hits = memory.recall(question.text, user_id=USER, k=_HITS) if system == VECTOR else []
    parts = prompt.Parts(
        question=f"Question: {question.text}",
        system=SYSTEM,
        history=prompt.history_messages(newest),
        summaries=[] if system == WINDOW else memory.summaries(user_id=USER),
        hits=hits,
    )
    packed = prompt.compose(parts, model, budget=BUDGET)
    text = "".join(model.stream(packed.messages, max_new_tokens=ANSWER_TOKENS)).strip()
    if model.usage is None:
        raise ModelError("the model did not say what its reply cost")
    shown = {turn.id for turn in newest[len(newest) - packed.history :]}
    shown |= {turn_id for hit in packed.hits for turn_id in hit.turn_ids}
    return Answer(
        system=system,
        question=question,
        text=text,
        correct=contains(text, question.answers),
        evidence=not shown.isdisjoint(question.evidence),
        prompt_tokens=packed.tokens,
        first_token_s=model.usage.first_token_s,
    )


def contains(text: str, answers: Sequence[str]) -> bool:
    """Return whether a text holds one of the expected spans, as whole words in any case.

    HEMA's factual recall: exact match against predefined spans (section 4.3).
    """
    said = _words(text)
    return any(span.strip() and span in said for span in map(_words, answers))


def _words(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.casefold()))} "


def _known_best(answers: Sequence[Answer], dialogue: Dialogue) -> Question:
    """Return the oldest fact that the full memory answered, or the first question."""
    right = [
        answer.question
        for answer in answers
        if answer.system == VECTOR and answer.correct and answer.question in dialogue.questions
    ]
    return max(right, key=lambda question: question.distance, default=dialogue.questions[0])


def ask_again(file: Path, question: str) -> str:
    """Open the memory in a new process and put a question to the model there."""
    command = [sys.executable, "-m", "memkit.demo.run", str(file), question]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ModelError(f"the new process failed: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()


def main(file: str, text: str) -> None:
    """Answer one question from a memory on disk, as a process of its own."""
    from memkit.models.bundled import smollm2
    from memkit.models.huggingface import HuggingFaceModel

    question = Question(text=text, answers=(), evidence=(), distance=0)
    with open_memory(file) as memory:
        answer = _answer(memory, HuggingFaceModel(*smollm2()), VECTOR, question)
    sys.stdout.write(answer.text + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
