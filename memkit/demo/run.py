"""Replay a dialogue into a memory, ask a model about it, and report how much it knew.

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
from memkit.entry import open as open_memory
from memkit.errors import ModelError
from memkit.memory import Memory
from memkit.models.available import BUNDLED, choose_model
from memkit.protocols import Model

BUDGET = 512  # tokens of the whole prompt: too few for months of dialogue
ANSWER_TOKENS = 16
SYSTEM = "Answer the question from the quotes of earlier conversations, in one short sentence."
USER = "demo"

_HITS = 6
_BATCH = 64
_WINDOW = 200  # turns offered to (a), many more than fit
_TAIL = 2  # turns of history in (b) and (c), as in HEMA (3.6)
_WORD = re.compile(r"\w+")

Progress = Callable[[str, int, int], None]


def run_demo(
    *,
    dialogue: Sequence[Path] = (),
    store: Path | None = None,
    seed: int = 0,
    as_json: bool = False,
    model_name: str | None = None,
) -> None:
    """Run the experiment, print its table, then ask once more from a new process.

    `dialogue` are LoCoMo files to replay instead of the synthetic dialogue; `store` is a folder for
    the memories, a temporary one if None. `model_name` is for `memkit.models.available`.
    """
    replays = [replay for path in dialogue for replay in from_locomo(path, seed)]
    dialogues = replays or [synthetic(seed)]
    with ExitStack() as stack:
        folder = store or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        chosen = choose_model(model_name)
        report.print_note(f"model: {chosen.description}")  # before a message is sent
        with report.progress_bar() as progress:
            answers = _replay_all(dialogues, chosen.model, folder, progress)
        question = _oldest_known(answers, dialogues[-1])
        file = _file(folder, dialogues[-1])
        reply = ask_in_new_process(file, question.text, chosen.name)
        with open_memory(str(file)) as memory:
            hits = memory.recall(question.text, user_id=USER, k=1)
    if as_json:
        figures = report.summarise(answers) | {"budget_tokens": BUDGET, "seed": seed}
        figures["model"] = chosen.name
        figures["new_process"] = {
            "question": question.text, "expected": question.answers, "reply": reply,
            "recalled": [hit.text for hit in hits],
        }  # fmt: skip
        sys.stdout.write(json.dumps(figures) + "\n")
        return
    report.print_table(answers, dialogues, BUDGET)
    report.print_examples(answers)
    report.print_second_reply(question, hits, reply)


def _replay_all(
    dialogues: Sequence[Dialogue], model: Model, folder: Path, progress: Progress
) -> list[Answer]:
    answers = []
    for dialogue in dialogues:
        with open_memory(str(_file(folder, dialogue))) as memory:
            remember(memory, dialogue, progress)
            answers += ask(memory, model, dialogue, progress)
    return answers


def _file(folder: Path, dialogue: Dialogue) -> Path:
    return folder / f"{dialogue.name}.db"


def remember(memory: Memory, dialogue: Dialogue, progress: Progress) -> None:
    """Store the dialogue and update the Compact Memory."""
    turns = dialogue.turns
    for n in range(0, len(turns), _BATCH):
        progress(f"{dialogue.name}: remember", n, len(turns))
        memory.remember(turns[n : n + _BATCH], user_id=USER)
    memory.flush()


def ask(memory: Memory, model: Model, dialogue: Dialogue, progress: Progress) -> list[Answer]:
    """Ask every question of every system."""
    answers: list[Answer] = []
    total = len(SYSTEMS) * len(dialogue.questions)
    for system in SYSTEMS:
        for question in dialogue.questions:
            progress(f"{dialogue.name}: {system}", len(answers), total)
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
        raise ModelError("the model did not report the cost of its reply (usage is None)")
    in_prompt = {turn.id for turn in newest[len(newest) - packed.history :]}
    in_prompt |= {turn_id for hit in packed.hits for turn_id in hit.turn_ids}
    return Answer(
        system=system,
        question=question,
        text=text,
        correct=contains_answer(text, question.answers),
        evidence=not in_prompt.isdisjoint(question.evidence),
        prompt_tokens=packed.tokens,
        first_token_s=model.usage.first_token_s,
    )


def contains_answer(text: str, answers: Sequence[str]) -> bool:
    """Return whether a text has an answer as whole words (HEMA's factual recall, 4.3)."""
    # words between single spaces: " the blue flowerpot "
    words, *spans = (f" {' '.join(_WORD.findall(part.casefold()))} " for part in (text, *answers))
    return any(span.strip() and span in words for span in spans)


def _oldest_known(answers: Sequence[Answer], dialogue: Dialogue) -> Question:
    """Return the oldest fact that system (c) answered, or the first question."""
    correct = [
        answer.question
        for answer in answers
        if answer.system == VECTOR and answer.correct and answer.question in dialogue.questions
    ]
    return max(correct, key=lambda question: question.distance, default=dialogue.questions[0])


def ask_in_new_process(file: Path, question: str, model_name: str = BUNDLED) -> str:
    """Ask a question of the memory in a new process."""
    command = [sys.executable, "-m", "memkit.demo.run", str(file), question, model_name]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise ModelError(f"the new process failed: {process.stderr.strip()[-500:]}")
    return process.stdout.strip()


def main(file: str, text: str, model_name: str) -> None:
    """Answer one question from a memory on disk, as a process of its own."""
    question = Question(text=text, answers=(), evidence=(), distance=0)
    with open_memory(file) as memory:
        answer = _answer(memory, choose_model(model_name).model, VECTOR, question)
    sys.stdout.write(answer.text + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
