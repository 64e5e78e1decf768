"""Tiny files in LoCoMo's and LongMemEval's shapes, made up for tests."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SAID = (
    "My greyhound Biscuit fears the vacuum cleaner.",
    "The harbour in Oslo froze last winter.",
    "We planted forty tulips behind the shed.",
    "Grandmother's violin needs a new string.",
)


def conversation(name: str, *, questions: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    talk: dict[str, Any] = {"speaker_a": "Ann", "speaker_b": "Bob"}
    for n in (1, 2):
        talk[f"session_{n}_date_time"] = f"1:56 pm on {n} May, 2023"
        talk[f"session_{n}"] = [
            {"speaker": "Ann", "dia_id": f"D{n}:{m}", "text": f"{text} {name} {n}"}
            for m, text in enumerate(SAID, start=1)
        ]
    return {"sample_id": name, "conversation": talk, "qa": list(questions)}


def question(text: str, *evidence: str, category: int = 4) -> dict[str, Any]:
    return {"question": text, "answer": "x", "evidence": list(evidence), "category": category}


ASKED = (
    question("What does Biscuit fear?", "D1:1"),
    question("Which flowers were planted?", "D1:3", "D2:3", category=1),
    question("What froze?", "D9:9", "D1:2", "nonsense", category=2),
    question("Who plays the trumpet?", "D1:4", category=5),
    question("What is it?", "D"),
)


def locomo_file(folder: Path, *names: str) -> Path:
    file = folder / "made-up.json"
    file.write_text(json.dumps([conversation(name, questions=ASKED) for name in names]))
    return file


def session(text: str, *, marked: bool = False) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": f"{text} I said.", "has_answer": marked},
        {"role": "assistant", "content": f"Noted about {text.split()[1]}."},
        {"role": "user", "content": " "},
    ]


def remembered(id: str = "q1", **changes: Any) -> dict[str, Any]:
    record = {
        "question_id": id,
        "question_type": "single-session-user",
        "question": "What does Biscuit fear?",
        "question_date": "2023/05/20 (Sat) 09:00",
        "answer": "x",
        "answer_session_ids": ["b", "gone"],
        "haystack_session_ids": ["a", "b", "a"],
        "haystack_dates": [
            "2023/05/09 (Tue) 10:00", "2023/05/20 (Sat) 21:15", "2023/05/01 (Mon) 10:00",
        ],
        "haystack_sessions": [session(SAID[1]), session(SAID[0], marked=True), session(SAID[2])],
    }  # fmt: skip
    return record | changes


def longmemeval_file(folder: Path, *recordings: dict[str, Any]) -> Path:
    file = folder / "made-up.jsonl"
    file.write_text("\n".join(json.dumps(one) for one in recordings) + "\n")
    return file


def erratum(id: str, asked: str, *evidence: str) -> dict[str, Any]:
    return {"question_id": id, "question": asked, "correct_evidence": list(evidence)}
