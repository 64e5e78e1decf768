"""What a card asks about is read as it is; what is missing or wrong says what to do."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up import conversation, erratum, locomo_file, longmemeval_file, question, remembered

from evals.card.task import QuestionState
from evals.data import registry as data
from evals.data.haystack import AUDITED, PUBLISHED, ExpectedAnswer, Gold, Question
from evals.data.registry import FORMATS, Spec
from memkit.errors import InvalidInput

REAL = Path(__file__).parent.parent.parent / "shared" / "data"

BARE = {
    "id": "ann",
    "turns": [{"id": "a", "text": "I moved to Oslo."}, {"text": "Noted.", "role": "assistant"}],
    "questions": [
        {"question": "Where do I live?", "answers": ["Oslo"], "evidence": ["a"]},
        {"question": "Who am I?", "unanswerable": True},
    ],
    "forget": ["t1"],
}


def lines(folder: Path, *records: Any) -> Path:
    file = folder / "own.jsonl"
    file.write_text("\n".join(json.dumps(one) for one in records) + "\n")
    return file


def asked(spec: Spec) -> list[Question]:
    return [one for haystack in data.read(spec).haystacks for one in haystack.questions]


# ---- others' files


def test_locomo_tells_the_answers_and_none_of_what_was_never_said(tmp_path: Path) -> None:
    questions = asked(Spec(format="locomo", path=locomo_file(tmp_path, "conv-99")))

    assert [one.expected.answers for one in questions] == [("x",)] * 3 + [(), ("x",)]


def test_the_audit_corrects_answers_too(tmp_path: Path) -> None:
    file, audit = tmp_path / "locomo.json", tmp_path / "errors.json"
    qa = [question("What froze?", "D1:2"), question("Who sang?", "D1:1", category=5)]
    file.write_text(json.dumps([conversation("conv-99", questions=qa)]))
    errata = [
        erratum("locomo_0_qa0", "What froze?", "D1:3") | {"correct_answer": "the pond"},
        erratum("locomo_0_qa1", "Who sang?") | {"correct_answer": "nobody"},
    ]
    audit.write_text(json.dumps(errata))

    read = data.read(Spec(format="locomo", path=file, audit=audit))

    first, second = read.haystacks[0].questions
    assert (first.expected.answers, second.expected.answers) == (("the pond",), ())
    assert first.golds[AUDITED].turns == ("D1:3",)
    told = data.describe(read, Spec(format="locomo", path=file, audit=audit))
    assert told["dropped"]["report"] == {
        "questions whose answer the audit changes": 1,
        "questions whose evidence the audit changes": 2,
    }


def test_where_there_is_an_audit_its_evidence_is_what_a_card_scores_by(tmp_path: Path) -> None:
    file, audit = locomo_file(tmp_path, "conv-99"), tmp_path / "errors.json"
    audit.write_text(json.dumps([erratum("locomo_0_qa0", "What does Biscuit fear?", "D1:3")]))

    found = {}
    for spec in (Spec(format="locomo", path=file), Spec(format="locomo", path=file, audit=audit)):
        read = data.read(spec)
        (haystack,) = read.haystacks
        golds = [
            QuestionState(haystack=haystack, question=q, turns=8).gold for q in haystack.questions
        ]
        found[data.describe(read, spec)["scored by"]] = golds[:2]

    both = ("D1:3", "D2:3")  # the audit says nothing of this one
    assert found == {"published": [("D1:1",), both], "audited": [("D1:3",), both]}


def test_longmemeval_tells_answers_of_what_can_be_answered(tmp_path: Path) -> None:
    file = longmemeval_file(tmp_path, remembered("q1", answer=3), remembered("q2_abs"))

    told = [one.expected for one in asked(Spec(format="longmemeval", path=file))]

    assert told == [ExpectedAnswer(answers=("3",)), ExpectedAnswer()]


def mentored(folder: Path) -> Path:
    topics = [f"always start function names with '{letter}_'" for letter in "ab"]
    record = {
        "dialogue_id": 4,
        "context": {"mentor": "Ann", "mentee": "Bob"},
        "instructions": [[[6, 0]], [[6, 1]]],
        "fillers": [-1, -1],
        "sessions": [
            {"type": ["instruction-add"], "topic": [topic], "session_regex": [["function", "^"]],
             "text": f"Ann: Hello.\n\nAnn: From now on, {topic}.\n\nBob: Fine."}
            for topic in topics
        ],
    }  # fmt: skip
    return lines(folder, record)


def test_a_revised_instruction_is_asked_as_it_is_now(tmp_path: Path) -> None:
    (one,) = asked(Spec(format="memorycode", path=mentored(tmp_path)))

    assert one.text == "Start function names with: what?"
    expected = ExpectedAnswer(answers=("b_",), stale=("a_",), stale_turns=("s0:1",))
    assert replace(one.expected, version_of=None) == expected
    assert one.golds[PUBLISHED] == Gold(turns=("s1:1",), sessions=("s1",))


def virtual(folder: Path) -> Path:
    said = [{"query": "I like tea.", "response": "So do I."}]
    bank = {"Zoe": {"history": {"2023-05-01": said}}, "Yan": {"history": {"2023-05-02": said}}}
    (folder / "memory_bank_en.json").write_text(json.dumps(bank))
    probing = '{"Zoe": ["What do I like?"]}\n{"Yan": ["What did I say?"]}\n'
    (folder / "probing_questions_en.jsonl").write_text(probing)
    return folder


def test_virtual_users_have_questions_and_no_gold(tmp_path: Path) -> None:
    read = data.read(Spec(format="gvd", path=virtual(tmp_path)))

    assert [haystack.name for haystack in read.haystacks] == ["en-1", "en-2"]
    assert all(not one.golds[PUBLISHED].turns for h in read.haystacks for one in h.questions)
    assert read.counts["report"]["questions without evidence, not scored"] == 2


# ---- which, and how much


def test_a_checksum_that_differs_says_both(tmp_path: Path) -> None:
    spec = Spec(format="jsonl", path=lines(tmp_path, BARE), sha256="0" * 64)
    right = data.read(replace(spec, sha256=None)).sha256

    with pytest.raises(InvalidInput, match=f"{right}, and {'0' * 64} was asked for"):
        data.read(spec)
    assert data.read(replace(spec, sha256=right.upper())).sha256 == right


@pytest.mark.parametrize("name", [name for name, of in FORMATS.items() if of.source])
def test_a_missing_file_says_where_to_get_it(tmp_path: Path, name: str) -> None:
    where = {"jsonl": "jsonl.py", "life": "training/life"}.get(name, "github.com")

    with pytest.raises(InvalidInput, match=f"absent is not there; {name} is .*{where}"):
        data.read(Spec(format=name, path=tmp_path / "absent"))
    with pytest.raises(InvalidInput, match=f"{name} needs a path"):
        data.read(Spec(format=name))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"format": "csv"}, "no format 'csv'; there are locomo"),
        ({"format": "synthetic"}, "has no probe ''; there are distance, position"),
        ({"format": "synthetic", "options": {"probes": 3}}, "no option 'probes'; of synthetic: pr"),
        ({"format": "jsonl", "options": {"size": 3}}, "of jsonl: none"),
        ({"format": "jsonl", "audit": Path("x")}, "there is no audit of jsonl"),
        ({"format": "jsonl", "limit": 0}, "limit must be at least 1, got 0"),
        ({"format": "synthetic", "options": {"probe": "updates", "size": "s"}}, "no size 's'"),
        (
            {"format": "synthetic", "options": {"probe": "updates", "conversations": "3"}},
            "a whole number above 0, not '3'",
        ),
        (
            {"format": "synthetic", "options": {"probe": ["updates"]}},
            "no probe \"\\['updates'\\]\"",
        ),
        ({"format": "pooled"}, "give the path of locomo or longmemeval"),
    ],
)
def test_a_wrong_choice_names_the_right_ones(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        data.read(Spec(**spec))


@pytest.mark.parametrize(
    ("key", "value"), [("turns", "x"), ("turns", True), ("questions", 2.7), ("questions", -1)]
)
def test_a_pool_of_no_whole_number_is_refused(tmp_path: Path, key: str, value: object) -> None:
    file = tmp_path / "locomo.json"
    file.write_text("[]")
    with pytest.raises(InvalidInput, match=f"{key} is a whole number above 0, not"):
        data.read(Spec(format="pooled", options={"locomo": str(file), key: value}))


def test_a_folder_without_memorybanks_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"{tmp_path} has no MemoryBank files of language 'en'"):
        data.read(Spec(format="gvd", path=tmp_path))


def test_a_language_there_is_not_is_an_error(tmp_path: Path) -> None:
    spec = Spec(format="gvd", path=virtual(tmp_path), options={"language": "fr"})

    with pytest.raises(InvalidInput, match="no language 'fr'; there are en, cn"):
        data.read(spec)


def test_a_split_leaves_out_what_memkit_was_tuned_on_or_all_else(tmp_path: Path) -> None:
    path = locomo_file(tmp_path, "conv-26", "a", "b")

    def names(**options: Any) -> list[str]:
        found = data.read(Spec(format="locomo", path=path, **options))
        assert set(found.counts) <= {options.get("split")}
        return [haystack.name for haystack in found.haystacks]

    assert names(split="tuning") == ["conv-26"]
    assert names(split="report") == ["a", "b"]
    assert names(split="report", limit=1) == ["a"]
    with pytest.raises(InvalidInput, match="jsonl: no conversation is of the tuning split"):
        data.read(Spec(format="jsonl", path=lines(tmp_path, BARE), split="tuning"))


def test_a_limit_keeps_the_first_conversations(tmp_path: Path) -> None:
    small = {"probe": "updates", "size": "small"}
    specs = [
        Spec(format="locomo", path=locomo_file(tmp_path, "a", "b"), limit=1),
        Spec(format="gvd", path=virtual(tmp_path), limit=1),
        Spec(format="synthetic", options=small, limit=1),
        Spec(
            format="jsonl",
            path=lines(tmp_path, BARE, {**BARE, "id": "b", "questions": []}),
            limit=1,
        ),
    ]

    names = [[haystack.name for haystack in data.read(spec).haystacks] for spec in specs]

    assert names == [["a"], ["en-1"], ["updates-0"], ["ann"]]


def test_a_spec_without_a_name_is_called_by_what_it_is_and_can_be_a_key() -> None:
    spec = Spec(format="synthetic", options={"probe": "updates"})

    assert spec.name == "synthetic updates"
    assert Spec(format="locomo", name="mine").name == "mine"
    assert {spec: 1}[Spec(format="synthetic", options={"probe": "updates"})] == 1
    assert spec != Spec(format="synthetic", name=spec.name, options={"probe": "distance"})


def test_the_seed_and_the_options_reach_the_synthetic_set() -> None:
    options = {"probe": "deletions", "conversations": 2, "size": "small"}
    one, other = (data.read(Spec(format="synthetic", seed=n, options=options)) for n in (1, 2))

    assert len(one.haystacks) == 2
    assert one.sha256 != other.sha256
    assert one.file == "deletions, small, seed 1"


def test_a_description_counts_and_tells_no_text(tmp_path: Path) -> None:
    spec = Spec(format="jsonl", name="mine", path=lines(tmp_path, BARE))
    told = data.describe(data.read(spec), spec)

    assert (told["name"], told["format"], told["file"]) == ("mine", "jsonl", "own.jsonl")
    assert (told["conversations"], told["turns"], told["deleted turns"]) == (1, 2, 1)
    assert told["questions"] == {"question": 1, "question, unanswerable": 1}
    assert told["with answers"] == 1
    assert "Oslo" not in json.dumps(told)
    assert (told["first"], told["last"], told["seed"]) == (None, None, None)  # no turn has a date


def test_a_description_tells_the_first_and_the_last_day_and_what_was_drawn(tmp_path: Path) -> None:
    locomo = Spec(format="locomo", path=locomo_file(tmp_path, "conv-99"))
    drawn = Spec(format="synthetic", seed=3, options={"probe": "updates", "size": "small"})
    file, made = (data.describe(data.read(spec), spec) for spec in (locomo, drawn))

    assert (file["first"], file["last"], file["seed"]) == ("2023-05-01", "2023-05-02", None)
    assert made["seed"] == 3
    assert made["first"] < made["last"]


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data are not here")
def test_the_real_files_have_what_their_readme_says() -> None:
    specs = [
        Spec(format="locomo", path=REAL / "locomo" / "locomo10.json"),
        Spec(format="memorycode", path=REAL / "memorycode" / "dialogues.jsonl.gz", limit=20),
        Spec(format="gvd", path=REAL / "memorybank-gvd", options={"language": "cn"}),
    ]
    told = [data.describe(data.read(spec), spec) for spec in specs]

    assert sum(told[0]["questions"].values()) == 1986
    assert told[0]["turns"] == 5882
    assert set(told[1]["questions"]) == {"filler", "instruction"}
    assert told[2]["questions"] == {"probing": 100}
