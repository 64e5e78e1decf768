"""Is an instruction that was revised found as it is now, and is the old one never told as true?

Every revised pivot of MemoryCode's dialogues is asked for once, without its value (memorycode.py).
A turn carries a version if it has the version's literal value and is of a session that set it; a
thought, if its text has the value and it comes from a turn of such a session.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby

from evals import USER
from evals.bench.result import Cell, Result, Table
from evals.data.haystack import SPLITS, Query, Split, sha256
from evals.data.memorycode import Dialogue, Kind, Pivot, read
from evals.stats.shares import cells, share
from evals.systems.protocol import System
from evals.systems.registry import SYSTEMS
from evals.thoughts import Measured, Options
from evals.thoughts.carried import CAUSES, Carriers, Cause, Places, cause, places
from evals.thoughts.filled import conclusions, filled, prepare, vectors
from memkit import Memory
from memkit.errors import InvalidInput
from memkit.protocols import Embedder
from memkit.records import Claim
from memkit.thoughts.rules.thinker import RuleThinker

K, DEEP = 10, 50  # hits that a user's call asks for, and of a deep one
THOUGHTS, TURNS = "memkit thoughts", "memkit turns"
BASELINES = ("dense", "BM25", "RRF")
FIRST_TARGET, STALE_TARGET = 0.90, 0.05
_COLUMNS = (
    "system", f"current first@{K}", "95 %", f"@{DEEP}", "stale told", "95 %", "current found", "n",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one system made of one revised pivot."""

    system: str
    dialogue: str
    split: Split
    pivot: str
    kind: Kind
    top: Places  # among the hits of a user's call
    deep: Places
    stale_told: bool  # a stale version is told as what holds
    in_context: bool | None = None  # of thoughts: also, or only, by the context block
    extracted: bool | None = None  # of thoughts: the current version was concluded at all
    cause: Cause | None = None  # of thoughts: why it failed

    @property
    def failed(self) -> bool:
        """Return whether the current version is not first, or a stale one told as true."""
        return not self.top.current_first or self.stale_told


def run(options: Options, embedder: Embedder) -> Measured:
    """Ask every system for every revised pivot of every dialogue."""
    if len(options.data) != 1:
        raise InvalidInput("give one --data PATH, MemoryCode's dialogues.jsonl.gz")
    dialogues = read(options.data[0], limit=options.limit)
    asked = [one for one in dialogues if one.pivots]
    if not asked:
        raise InvalidInput(f"{options.data[0]} has no dialogue in which something is revised")
    with vectors(options, embedder) as cached:
        queries = [pivot.query for one in asked for pivot in one.pivots]
        prepare(cached, [one.turns for one in asked], queries)
        outcomes = [outcome for one in asked for outcome in ask(one, cached)]
    settings: dict[str, Cell] = {
        "data": options.data[0].name,
        "sha256": sha256(options.data[0]),
        "embedder": str(embedder.fingerprint),
        "k": K,
    }
    results = [
        _result(split, dialogues, [one for one in outcomes if one.split == split], options.seed)
        for split in SPLITS
        if any(one.split == split for one in outcomes)
    ]
    return Measured(
        results=[replace(one, settings={**settings, **one.settings}) for one in results],
        outcomes=[asdict(one) for one in outcomes],
        aside=list(_failures(outcomes)),
    )


def ask(dialogue: Dialogue, embedder: Embedder) -> Iterator[Outcome]:
    """Yield what every system makes of every pivot of a dialogue."""
    of = Carriers(dialogue)
    with filled(dialogue.turns, embedder) as memory:
        yield from _by_thoughts(memory, dialogue, of)
        for pivot in dialogue.pivots:
            yield _by_turns(TURNS, dialogue, pivot, of, _recalled(memory))
    said = {turn.id or "": turn.text for turn in dialogue.turns}
    for name in BASELINES:
        system = SYSTEMS[name](embedder)
        system.remember(dialogue.turns)
        for pivot in dialogue.pivots:
            yield _by_turns(name, dialogue, pivot, of, _searched(system, said))
        system.close()


Search = Callable[[str, int], list[tuple[str, Sequence[str]]]]  # query, k -> texts and their turns


def _recalled(memory: Memory) -> Search:
    said = {turn.id or "": turn.text for turn in memory.turns(user_id=USER)}

    def search(query: str, k: int) -> list[tuple[str, Sequence[str]]]:
        hits = memory.recall(query, user_id=USER, k=k)
        return [(said[hit.turn_ids[0]], hit.turn_ids) for hit in hits]

    return search


def _searched(system: System, said: Mapping[str, str]) -> Search:
    def search(query: str, k: int) -> list[tuple[str, Sequence[str]]]:
        found = system.ask(Query(text=query), k)
        return [(said[one.turn_id], [one.turn_id]) for one in found]

    return search


def _by_turns(
    system: str, dialogue: Dialogue, pivot: Pivot, of: Carriers, search: Search
) -> Outcome:
    top, deep = (places(search(pivot.query, k), pivot, of.turn) for k in (K, DEEP))
    return Outcome(
        system=system, dialogue=dialogue.id, split=dialogue.split, pivot=pivot.id, kind=pivot.kind,
        top=top, deep=deep, stale_told=top.stale_first,
    )  # fmt: skip


def _by_thoughts(memory: Memory, dialogue: Dialogue, of: Carriers) -> Iterator[Outcome]:
    concluded = conclusions(memory, dialogue.turns)
    holding = {one.id for one in memory.thoughts(user_id=USER)}
    claims = _claims(dialogue)
    for pivot in dialogue.pivots:
        top, deep = (
            places(
                [(hit.text, hit.turn_ids) for hit in memory.recall(
                    pivot.query, user_id=USER, k=k, kind="thought"
                )], pivot, of.thought,
            )
            for k in (K, DEEP)
        )  # fmt: skip
        shown = memory.context(pivot.query, user_id=USER).thoughts
        block = places([(one.text, one.turn_ids) for one in shown], pivot, of.thought)
        made = [(one.text, one.turn_ids) for one in concluded.values()]
        outcome = Outcome(
            system=THOUGHTS, dialogue=dialogue.id, split=dialogue.split, pivot=pivot.id,
            kind=pivot.kind, top=top, deep=deep,
            stale_told=top.stale is not None or block.stale is not None,
            in_context=block.stale is not None,
            extracted=any(of.thought(pivot.current, said, pivot) for said in made),
        )  # fmt: skip
        why = cause(concluded.values(), holding, pivot, of, claims) if outcome.failed else None
        yield replace(outcome, cause=why)


def _claims(dialogue: Dialogue) -> list[Claim]:
    """Return what the rules claim, before it is held against the turns."""
    thinker, sessions = RuleThinker(), groupby(dialogue.turns, lambda turn: turn.session_id)
    return [claim for _, turns in sessions for claim in thinker.think(list(turns))]


# ---- what is told


def _result(
    split: Split, dialogues: Sequence[Dialogue], outcomes: Sequence[Outcome], seed: int
) -> Result:
    theirs = [one for one in dialogues if one.split == split]
    ours = [one for one in outcomes if one.system == THOUGHTS]
    tables = [
        _systems("all pivots", outcomes, seed),
        _systems("instructions", [one for one in outcomes if one.kind == "instruction"], seed),
        _systems("fillers", [one for one in outcomes if one.kind == "filler"], seed),
        _targets(ours, seed),
        _causes(ours),
    ]
    return Result(
        name=f"supersession, {split} split",
        about="MemoryCode: revised instructions",
        settings={
            "split": split,
            "dialogues": len(theirs),
            "with revisions": len({one.dialogue for one in outcomes}),
            "revised instructions": sum(one.kind == "instruction" for one in ours),
            "revised fillers": sum(one.kind == "filler" for one in ours),
            "revised fillers not counted": sum(one.unmarked for one in theirs),
        },
        tables=[table for table in tables if table.rows],
        notes=[
            "counted: instruction-* pivots of more than one version, and filler-instruction-* "
            "pivots whose values are names or numbers; fillers that only turn always into never "
            f"are not ({sum(one.unmarked for one in theirs)} of them)",
            "stale told: for thoughts, one is among what recall or context tells as holding; for "
            "turns, the first of the pivot's is a stale one",
        ],
    )


def _systems(title: str, outcomes: Sequence[Outcome], seed: int) -> Table:
    by_system: dict[str, list[Outcome]] = {}
    for one in outcomes:
        by_system.setdefault(one.system, []).append(one)
    rows = []
    for name, theirs in by_system.items():
        groups = [one.dialogue for one in theirs]
        first = share([one.top.current_first for one in theirs], groups, seed)
        deep = share([one.deep.current_first for one in theirs], groups, seed)
        stale = share([one.stale_told for one in theirs], groups, seed)
        found = share([one.top.current is not None for one in theirs], groups, seed)
        rows.append(
            [name, *cells(first), cells(deep)[0], *cells(stale), cells(found)[0], len(theirs)]
        )
    return Table(
        title=title, columns=_COLUMNS, rows=rows, note="intervals draw whole dialogues"
    )  # fmt: skip


def _targets(ours: Sequence[Outcome], seed: int) -> Table:
    groups = [one.dialogue for one in ours]
    first = share([one.top.current_first for one in ours], groups, seed)
    stale = share([one.stale_told for one in ours], groups, seed)
    assert first is not None
    assert stale is not None
    rest = {
        "current version extracted": [bool(one.extracted) for one in ours],
        "a stale one among recall(kind='thought')": [one.top.stale is not None for one in ours],
        "a stale one in the context block": [bool(one.in_context) for one in ours],
    }
    return Table(
        title="thoughts, against their targets",
        columns=("what", "share", "95 %", "n", "target", "met"),
        rows=[
            [
                f"current first@{K}", *cells(first), len(ours), f"≥ {FIRST_TARGET}",
                "yes" if first.value >= FIRST_TARGET else "NO",
            ],
            [
                "stale told", *cells(stale), len(ours), f"≤ {STALE_TARGET}",
                "yes" if stale.value <= STALE_TARGET else "NO",
            ],
            *(
                [what, *cells(share(told, groups, seed)), len(told), "", ""]
                for what, told in rest.items()
            ),
        ],
    )  # fmt: skip


def _causes(ours: Sequence[Outcome]) -> Table:
    kinds: tuple[Kind, ...] = ("instruction", "filler")
    return Table(
        title="why thoughts fail, the first that applies",
        columns=("cause", *(f"{kind}s" for kind in kinds)),
        rows=[
            [why, *(sum(one.cause == why and one.kind == kind for one in ours) for kind in kinds)]
            for why in CAUSES
        ],
    )


def _failures(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield where thoughts fail on the tuning dialogues, for whoever improves the rules."""
    for one in outcomes:
        if one.cause and one.split == "tuning":
            yield f"dialogue {one.dialogue}, pivot {one.pivot}: {one.cause}"
