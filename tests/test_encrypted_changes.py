"""Rollback, export, the gate, retention and forgetting in an encrypted memory."""

# ruff: noqa: F811 - fixtures are imported

import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from command_line import Run, run  # noqa: F401 - a fixture
from hypothesis import given, settings
from hypothesis import strategies as st
from test_encryption import content, readable_columns
from test_gate import Decides, believed, steps, told
from test_rollback import check_rollback, state
from test_rollback_cases import SECRET
from test_rollout_embedder import SAID, answers, try_out
from thinkers import FISH, Fails, Reader, claim, day, known, lives, opened, says, tell

import memkit
from memkit import Turn
from memkit.errors import InvalidInput
from memkit.govern.keys import KeyStore
from memkit.memory import Memory
from memkit.policy import RetentionRule
from memkit.protocols import WriteBatch
from memkit.records import Scope
from memkit.testing import HashEmbedder

pytest.importorskip("cryptography")

ANN = Scope(user_id="ann")
KEY = bytes(range(32))
# long enough that they are not in encrypted bytes by chance
WORDS = ("I live in Oslo", "I live in Rome", "The red boat", "The boat number", "My boat is red",
         "I eat fish", "I keep bees", "xylophone", "Zanzibar", "appointment",
         "mandolin", "of steel")  # fmt: skip


@pytest.fixture(autouse=True)
def no_word_is_in_any_file(tmp_path: Path) -> Iterator[None]:
    yield
    for path in tmp_path.glob("*.db"):
        assert readable_columns(path) == set()
    data = content(tmp_path)
    assert [word for word in WORDS if word.lower().encode() in data] == []


def images(memory: Memory) -> str:
    """Return what thoughts were, opened."""
    sql = "SELECT group_concat(unseal_image(image)) FROM undo WHERE item = 'thought'"
    return str(memory.store._connection.fetch(sql)[0][0])  # type: ignore[attr-defined]


def key_files(path: Path) -> set[str]:
    return {file.name for file in Path(f"{path}.keys").glob("*.key")}


# ---- rollback


@settings(max_examples=5)
@given(seed=st.integers(0, 2**32), before=st.integers(0, 25), after=st.integers(1, 40))
def test_after_any_changes_all_is_as_before_except_for_new_turns(
    tmp_path_factory: pytest.TempPathFactory, seed: int, before: int, after: int
) -> None:
    folder = tmp_path_factory.mktemp("rollback")
    check_rollback(folder, seed, before, after, KeyStore(folder / "keys", KEY))
    assert readable_columns(folder / "ann.db") == set()


def test_a_thought_and_a_summary_come_back_in_their_words(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    with opened(path, key=KEY) as memory:
        tell(memory, lives("Oslo"), *FISH, says("The red boat is mine", 1))
        before, point = state(memory), memory.checkpoint()
        assert before["summaries"] != [[], []]
        (home,) = [thought for thought in memory.thoughts(user_id="ann") if "Oslo" in thought.text]
        memory.correct(home.id, "I live in Rome", user_id="ann")
        for thought in memory.thoughts(user_id="ann")[1:]:
            memory.retract(thought.id, user_id="ann")
        memory.think(user_id="ann")
        assert "Oslo" in images(memory)
    assert readable_columns(path) == set()
    with opened(path, key=KEY) as memory:
        memory.rollback(user_id="ann", to=point)
        after = state(memory)
        assert [after[part] for part in ("thoughts", "histories", "bands")] == [
            before[part] for part in ("thoughts", "histories", "bands")
        ]
        assert after["summaries"] == before["summaries"]
        assert memory.doctor() == []


def test_the_hash_of_the_thoughts_is_restored_encrypted(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    with opened(path, key=KEY) as memory:
        said = [says(f"The boat number {n} has the sign {n * 7919 % 997}", n) for n in range(700)]
        memory.remember(said[:100], user_id="ann")
        memory.think(user_id="ann")
        point, before = memory.checkpoint(), answers(memory)
        memory.remember(said[100:], user_id="ann")
        memory.think(user_id="ann")
        memory.rollback(user_id="ann", to=point)
        assert readable_columns(path) == set()
        memory.forget(user_id="ann", turn_ids=[turn.id or "" for turn in list(
            memory.turns(user_id="ann"))[100:]], scan=False)  # fmt: skip
        assert answers(memory) == before
        assert memory.doctor() == []


# ---- forgetting


def test_what_was_forgotten_is_in_no_image_and_does_not_return(tmp_path: Path) -> None:
    with opened(tmp_path / "ann.db", key=KEY) as memory:
        tell(memory, says(SECRET, id="secret"), lives("Oslo", 1))
        (hidden,) = [item for item in memory.thoughts(user_id="ann") if SECRET in item.text]
        point = memory.checkpoint()
        memory.correct(hidden.id, "It is lost for good", user_id="ann")
        memory.think(user_id="ann")
        assert "xylophone" in images(memory)
        receipt = memory.forget(user_id="ann", turn_ids=["secret"])
        assert (receipt.purged, receipt.residue, receipt.recalled) == (True, 0, 0)
        assert "xylophone" not in images(memory)
        memory.rollback(user_id="ann", to=point)
        memory.flush()
        assert not any("Zanzibar" in text for text in known(memory))
        assert not memory.recall("Zanzibar", user_id="ann", min_relevance=0.5)
        assert memory.doctor() == []


def test_words_that_only_an_image_has_are_found_and_erased(tmp_path: Path) -> None:
    with opened(tmp_path / "ann.db", key=KEY) as memory:
        tell(memory, lives("Oslo"))
        point = memory.checkpoint()
        tell(memory, says(SECRET, 1, id="secret"))
        last = memory.checkpoint()
        memory.rollback(user_id="ann", to=point)  # the thought is in an image only
        memory.remember(says(f"{SECRET}, as I said", 2, id="again"), user_id="ann")
        assert "xylophone" in images(memory)
        memory.forget(user_id="ann", turn_ids=["again"])  # is no source of it
        assert "xylophone" not in images(memory)
        memory.rollback(user_id="ann", to=last)
        assert known(memory) == ["I live in Oslo now"]


def test_a_reason_that_was_erased_is_encrypted_too(tmp_path: Path) -> None:
    with opened(tmp_path / "ann.db", Fails("bad"), key=KEY) as memory:
        memory.remember([says("My boat is red", id="bad"), lives("Oslo", 1, id="1")], user_id="ann")
        with pytest.raises(RuntimeError):
            memory.think(user_id="ann")
        memory.forget(user_id="ann", turn_ids=["1"])


def test_what_is_stored_still_is_told_from_what_is_left_over(tmp_path: Path) -> None:
    said, retold = "The red boat is made of steel", "The boat of steel is red"
    reader = Reader(lambda turn: [claim(turn, retold)])
    with opened(tmp_path / "ann.db", reader, key=KEY) as memory:
        point = memory.checkpoint()
        tell(memory, says(said, metadata={"a": "I eat fish"}))
        assert known(memory) == [retold]
        memory.rollback(user_id="ann", to=point)  # only images have the thought and its vector
        texts = [said, retold, "I eat fish", "This was never said"]
        *stored, never = [text.encode() for text in texts]
        *vectors, no_vector = [vector.tobytes() for vector in memory.embedder.embed(texts)]
        pieces = {*stored, *vectors[:2]}
        assert memory.store.retained(pieces | {never, no_vector}) == pieces


def test_the_probes_of_a_receipt_read_an_encrypted_memory(tmp_path: Path) -> None:
    with opened(tmp_path / "ann.db", key=KEY) as memory:
        tell(memory, lives("Oslo"), says(SECRET, 1, id="secret"))
        probes = memory.forget(user_id="ann", turn_ids=["secret"], probe=True).probes
        assert probes is not None
        assert (probes.forgotten_before, probes.forgotten_after, probes.kept_after) == (1, 0, 1)


def test_a_key_stays_if_the_deletion_is_rolled_back(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    with opened(path, key=KEY) as memory:
        (turn_id,) = tell(memory, lives("Oslo"))
        with suppress(InvalidInput), memory.store.branch(ANN):
            memory.store.write(ANN, WriteBatch(forget=[turn_id]))
            raise InvalidInput("the caller changes its mind")
        assert known(memory) == ["I live in Oslo now"]


# ---- export and import


def rich(memory: Memory) -> None:
    """Fill a memory with all that an export has."""
    tell(memory, lives("Oslo"), lives("Rome", 1), *FISH)
    memory.remember(says("My boat is red", 2, id="bad"), user_id="ann")
    with pytest.raises(RuntimeError):
        memory.think(user_id="ann")
    memory.remember(Turn(text="I keep bees", said_at=day(3)), user_id="bob")


def test_an_export_of_an_encrypted_memory_is_imported_into_another_one_as_it_was(
    tmp_path: Path,
) -> None:
    exports = []
    with opened(tmp_path / "ann.db", Fails("bad"), key=KEY) as memory:
        rich(memory)
        exports.append(io.BytesIO())
        memory.export(exports[0])
    for n, key in enumerate((bytes(32), "correct horse battery"), start=1):
        path = tmp_path / f"{n}.db"
        with opened(path, Fails("bad"), key=key) as target:
            exports[-1].seek(0)
            report = target.import_(exports[-1])
            assert (report.users, report.problems) == (2, ())
            exports.append(io.BytesIO())
            target.export(exports[-1])
            assert target.recall("boat", user_id="ann")[0].text == "My boat is red"
        assert readable_columns(path) == set()
    first, *others = (file.getvalue().split(b"\n")[1:] for file in exports)
    assert others == [first, first]
    assert b"cannot read ['bad']" in exports[0].getvalue()


def test_an_export_in_the_format_of_age_has_no_word_either(tmp_path: Path) -> None:
    with opened(tmp_path / "ann.db", key=KEY) as memory:
        tell(memory, lives("Oslo"))
        memory.export(tmp_path / "ann.age", passphrase="correct horse battery")
        memory.import_(tmp_path / "ann.age", user_id="ann", passphrase="correct horse battery")
        assert memory.stats(user_id="ann")["turns"] == 1


# ---- the gate, another embedder, retention


def test_the_gate_decides_as_in_a_memory_without_a_key(tmp_path: Path) -> None:
    decisions = []
    for path, key in ((":memory:", None), (tmp_path / "ann.db", KEY)):
        thinker = Decides()
        with told(path, thinker=thinker, key=key) as memory:
            thinker.relation = "closes"
            tell(memory, says("My dentist appointment costs forty euros", 1, id="new"))
            doubts = {item.text for item in memory.thoughts(user_id="ann") if item.doubt}
            decisions.append((steps(memory), believed(memory), doubts))
            assert memory.doctor() == []
    assert decisions[0] == decisions[1]
    assert decisions[0][0][-1] == "refused"


def test_a_gated_move_to_another_embedder_leaves_all_encrypted(tmp_path: Path) -> None:
    path, other = tmp_path / "ann.db", HashEmbedder(512, name="other")
    with told(path, key=KEY) as memory:
        before = [hit.text for hit in memory.recall("Where is the mandolin?", user_id="ann", k=1)]
    assert memkit.reembed(path, other, current=HashEmbedder(256), key=KEY) == 16
    with told(path, embedder=other, key=KEY) as memory:
        hits = memory.recall("Where is the mandolin?", user_id="ann", k=1)
        assert [hit.text for hit in hits] == before


def test_another_embedder_on_trial_finds_what_it_finds_without_a_key(tmp_path: Path) -> None:
    found = []
    for path, key in ((":memory:", None), (tmp_path / "ann.db", KEY)):
        with opened(path, key=key) as memory:
            tell(memory, *(replace(turn, id=f"t{n}") for n, turn in enumerate(SAID)))
            _, served, _ = try_out(memory)
            found.append([[(hit.text, hit.relevance) for hit in hits] for hits in answers(served)])
    assert found[0] == found[1]


def test_retention_deletes_and_destroys_the_key_of_a_user_of_whom_nothing_is_left(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ann.db"
    rule = RetentionRule(ttl=timedelta(days=30), where={"topic": "fish"})
    with opened(path, key=KEY) as memory:
        tell(memory, says("I eat fish", metadata={"topic": "fish"}))
        tell(memory, says("The boat is red"), user_id="bob")
        memory.set_retention([], dry_run=False)
        before = key_files(path)
        memory.set_retention([rule])
        assert memory.users() == ["bob"]
        assert memory.retention() == [rule]
        assert len(before - key_files(path)) == 1
    with opened(path, key=KEY) as memory:
        assert memory.retention() == [rule]


def test_doctor_finds_two_open_thoughts_of_one_attribute(tmp_path: Path) -> None:
    with opened(tmp_path / "ann.db", key=KEY) as memory:
        tell(memory, lives("Oslo"), says("The red boat is mine", 1))
        with memory.store._connection.transaction() as db:  # type: ignore[attr-defined]
            db.execute("UPDATE thoughts SET slot = seal(user_id, 'home')")
        (fault,) = memory.doctor()
        assert fault.startswith("1 single-valued attributes with more than one")


# ---- the command line


def test_commands_that_move_a_memory_take_the_key_from_a_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key.txt").write_text("correct horse battery\n")
    monkeypatch.setenv("MEMKIT_KEY_FILE", "key.txt")
    run("add", "I live in Oslo.", "--user", "ann")
    assert run("reembed", "--embedder", "other", "--json").json["chunks"] == 1
    passphrase = ("--passphrase-file", "key.txt")
    assert run("export", "--encrypt", *passphrase, "--output", "all.age").code == 0
    assert run("import", "all.age", *passphrase, "--store", "copy.db").code == 0
    assert "Oslo" in run("recall", "home", "--user", "ann", "--store", "copy.db").out
    assert run("doctor", "--store", "copy.db").code == 0
    assert run("audit", "verify").code == 0
    assert run("backup", "backup.db").code == 0
