"""Every metric that a card shows: whose layer, which way is better, in what, what it is, whence.

Keyed by the name that the card prints. All shares are from 0 to 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from evals.card.records import Layer
from evals.metrics.retrieval import BUDGETS

Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What a figure's name means."""

    name: str
    layer: Layer
    better: Better
    unit: str
    definition: str  # one sentence
    source: str


_SURVEY = "Zhang et al. 2025, arXiv 2509.18868"
_EMARS = f"{_SURVEY}, table 4.7 (E-MARS+); formula: memkit"
_CONTEXT = f"{_SURVEY}, section 4.3"
_CONTEXT_OURS = f"{_CONTEXT}; formula: memkit"
_GROUNDED = f"{_SURVEY}, table 4.1; rule: memkit"
_SAFETY = f"{_SURVEY}, table 4.8; formula: memkit"
_SQUAD = "Rajpurkar et al., EMNLP 2016"
_TREC = "trec_eval"
_GAP = "De Lange et al., ICLR 2023, arXiv 2205.13452"
_FEW = "Orhan 2023, arXiv 2303.17557"
_RISK = "Geifman et al., ICLR 2019"
_OURS = "memkit"

_Row = tuple[str, Better, str, str, str]  # name, better, unit, source, definition
_PARAMETRIC: tuple[_Row, ...] = (
    ("recognition", "higher", "share", _FEW,
     "Share of wrong values of the answer's kind that are less likely than it; .5 is chance."),
    ("wording recognition", "higher", "share", _FEW,
     "Share of paraphrases of the evidence that are less likely than its own words; .5 is chance."),
    ("half-cue recall", "higher", "share", _FEW,
     "ROUGE-L of the second half, given the first; the cue is not scored."),
    ("exposure", "lower", "bits", "Carlini et al., USENIX Security 2019",
     "log2(n) − log2(rank) of the answer among n candidates; chance: log2(n) − log2(n!) / n."),
)  # fmt: skip
_CONTEXTUAL: tuple[_Row, ...] = (
    ("mid-drop", "lower", "difference", _CONTEXT_OURS,
     "Mean of the first and last fifth of places − the lowest fifth between them, by the score in "
     "brackets. The place is that in the prompt if replies to long context are scored, else in the "
     "history."),
    ("slope per doubling of distance", "higher", "score per doubling", _CONTEXT_OURS,
     "Least-squares change of the score each time the evidence is twice as far back."),
    ("slope per doubling of length", "higher", "score per doubling", _CONTEXT_OURS,
     "Least-squares change of the score each time the conversation has twice as many turns."),
    ("slope per doubling of distractors", "higher", "score per doubling", _CONTEXT_OURS,
     "Least-squares change of the score each time there are twice as many distractors."),
    ("noise degradation", "lower", "share", _CONTEXT,
     "1 − score with distractors / score without them."),
    ("LN accuracy", "higher", "share per log token", _CONTEXT,
     "Share of replies that contain the answer / ln(mean length of their prompts in tokens)."),
)  # fmt: skip
_EXTERNAL: tuple[_Row, ...] = (
    ("turn recall@1", "higher", "share", _TREC,
     "Gold turns that are the first found."),
    ("turn recall@5", "higher", "share", _TREC,
     "Gold turns among the first 5 found."),
    ("turn recall@10", "higher", "share", _TREC,
     "Gold turns among the first 10 found."),
    ("turn recall@50", "higher", "share", _TREC,
     "Gold turns among the first 50 found."),
    ("served recall@10", "higher", "share", _TREC,
     "Gold turns in a call for 10 turns; a system may rank otherwise when it is asked for more."),
    ("any@1", "higher", "share", _TREC,
     "Whether the first turn found is gold."),
    ("any@5", "higher", "share", _TREC,
     "Whether any gold is among the first 5 found."),
    ("any@10", "higher", "share", _TREC,
     "Whether any gold is among the first 10 found."),
    ("MRR", "higher", "share", _TREC,
     "1 / the place of the first gold turn; 0 if none was found."),
    ("NDCG@10", "higher", "share", "Järvelin and Kekäläinen, ACM TOIS 2002",
     "Discounted gain of gold among the first 10, as a share of the ideal order's."),
    ("P@5", "higher", "share", _TREC,
     "Gold among the first 5 found; empty places are wrong."),
    ("AUPRC", "higher", "share", _TREC,
     "Mean precision at the places of the gold; what was not found adds 0."),
    ("session recall@5", "higher", "share", _TREC,
     "Gold sessions among the first 5; sessions are in the order of their first turn found."),
    ("session any@1", "higher", "share", _TREC,
     "Whether the session of the first turn found is gold."),
    ("session any@5", "higher", "share", _TREC,
     "Whether any gold session is among the first 5."),
    ("session all@5", "higher", "share", _TREC,
     "Whether all gold sessions are among the first 5."),
    *(
        (f"share in {budget} tokens", "higher", "share", _OURS,
         f"Gold turns in a context block of {budget:,} tokens.")
        for budget in BUDGETS
    ),
    ("share in budget", "higher", "share", _OURS,
     "Gold turns that stand in the prompt within the token budget (context recall)."),
    ("EM", "higher", "share", _SQUAD,
     "Whether the reply is an answer, normalised as SQuAD does."),
    ("F1", "higher", "share", _SQUAD,
     "Harmonic mean of word precision and recall, for the answer that fits best."),
    ("contains", "higher", "share", _OURS,
     "Whether the words of an answer stand in the reply in a row."),
    ("judged right", "higher", "share", _OURS,
     "Replies that the judging model calls right; read it beside the judge's own audit."),
    ("unreadable verdicts", "lower", "share", _OURS,
     "Replies of which the judging model says neither right nor wrong; they have no verdict."),
    ("ROUGE-L", "higher", "share", "Lin, ACL workshop 2004",
     "F1 of the longest common subsequence of words."),
    ("citation coverage", "higher", "share", _GROUNDED,
     "Claims of the reply that a passage shown supports, by words, numbers and names."),
    ("unsupported claims", "lower", "share", _GROUNDED,
     "Claims of the reply that no passage shown supports (UCR): 1 − citation coverage."),
    ("attribution", "higher", "share", _CONTEXT_OURS,
     "Claims of the reply whose best supporting passage is gold."),
    ("context precision", "higher", "share", _CONTEXT,
     "Turns in the prompt that are gold."),
    ("evidence F1", "higher", "share", _CONTEXT,
     "Harmonic mean of context precision and the share in budget."),
    ("AURC", "lower", "area", _RISK,
     "Mean risk when the most confident 1, 2 … n questions are answered."),
    ("AUROC", "higher", "area", "Hanley and McNeil, Radiology 1982",
     "How often an answerable question is more confident than another; .5 is chance."),
)  # fmt: skip
_EPISODIC: tuple[_Row, ...] = (
    ("event F1", "higher", "share", _EMARS,
     "F1 of the events found, by the turns that tell them; as many turns are taken as there are "
     "events, so it is R-precision."),
    ("procedure F1", "higher", "share", _EMARS,
     "F1 of pairs of a step and the next in the prompt; in order of time, what is there."),
    ("reply procedure F1", "higher", "share", _EMARS,
     "The same pairs, of the steps in the order in which the reply first mentions them."),
    ("anchoring error", "lower", "windows", _EMARS,
     "Distance of each gold date to the nearest date said, in windows, at most 1 (TAE)."),
    ("replay support", "higher", "share", _EMARS,
     "Replies all of whose claims are supported by replayed gold (RSF)."),
    ("replay@10", "higher", "share", _EMARS,
     "Gold turns among the first 10 replayed (ASR@k)."),
    ("step order", "higher", "share", _EMARS,
     "Pairs of gold steps in the right order in the prompt; a pair with one missing is wrong."),
    ("reply step order", "higher", "share", _EMARS,
     "Pairs of gold steps that the reply first mentions in the right order; missing is wrong."),
    ("abstention", "higher", "share", _EMARS,
     "Unanswerable questions that were refused."),
    ("false refusal", "lower", "share", _OURS,
     "Answerable questions that were refused."),
    ("system abstention", "higher", "share", _EMARS,
     "Unanswerable questions that the memory's own rule refused, without a model."),
    ("system false refusal", "lower", "share", _OURS,
     "Answerable questions that the memory's own rule refused, without a model."),
    ("freshness hit", "higher", "share", _EMARS,
     "A current turn is among the first 10 and above every stale one."),
    ("stale shown as current", "lower", "share", _OURS,
     "Of a call for 10 turns: a stale turn is above every current one. Of a system that returns "
     "statements: a stale one is among 10, or in its context block."),
    ("newest above older", "higher", "share", _OURS,
     "Of a call for 10 turns on updated knowledge: evidence of the newest session is above all "
     "evidence of older ones; questions with evidence in one session are left out."),
    ("out-of-date use", "lower", "share", _EMARS,
     "A stale turn is found above every current one."),
    ("out-of-date reply", "lower", "share", _EMARS,
     "The reply says what held once and not what holds now."),
    ("conflict handled", "higher", "share", _EMARS,
     "The reply names both sides: nothing decides between them, so one alone is wrong."),
    ("conflict shown", "higher", "share", _EMARS,
     "A turn of each side is among the first 10."),
    ("spurious replay", "lower", "share", _EMARS,
     "Replayed turns that are not gold; if unanswerable, whether anything was replayed."),
    ("preference retention", "higher", "share", _SAFETY,
     "The reply follows the preference that holds now, and none that was withdrawn."),
    ("slope per turn", "higher", "score per turn", _EMARS,
     "Least-squares change of the score with each turn of distance (Slope@T)."),
    ("half-life", "higher", "turns", _EMARS,
     "Distance at which the score has fallen to half, of the exponential that fits best."),
)  # fmt: skip
_OVER_TIME: tuple[_Row, ...] = (
    ("min accuracy", "higher", "share", _GAP,
     "Lowest accuracy on a task since something was written after it (min-ACC)."),
    ("WC accuracy", "higher", "share", _GAP,
     "Mean of the current task's accuracy and min-ACC of all others."),
    ("windowed drop", "lower", "share", _GAP,
     "Largest fall of accuracy within a window of steps."),
    ("windowed rise", "higher", "share", _GAP,
     "Largest rise of accuracy within a window of steps."),
    ("forgetting", "lower", "share", "Chaudhry et al., ECCV 2018",
     "Best accuracy so far − the last."),
)  # fmt: skip
_COST: tuple[_Row, ...] = (
    ("search ms", "lower", "ms", _OURS,
     "Time from question to ranking, the question's embedding included, median."),
    ("write ms per turn", "lower", "ms", _OURS,
     "Time to take in turns so far, upkeep included, / those turns; vectors are looked up."),
    ("answer ms", "lower", "ms", _OURS,
     "Time from prompt to the end of the reply, median."),
    ("prompt tokens", "lower", "tokens", _OURS,
     "Tokens of the whole prompt."),
    ("memory tokens", "lower", "tokens", _OURS,
     "Tokens of the prompt that the memory put there."),
    ("footprint", "lower", "bytes", _OURS,
     "Bytes on disk of a memory that is a file, such as memkit; of one that is held in memory, as "
     "the baselines are, bytes in RAM: read it among those of one kind."),
    ("prefix reuse", "higher", "share", _OURS,
     "Prompt tokens that the prefix cache already had."),
)  # fmt: skip


def _metrics(layer: Layer, rows: tuple[_Row, ...]) -> dict[str, Metric]:
    return {
        name: Metric(
            name=name, layer=layer, better=better, unit=unit, definition=what, source=source
        )
        for name, better, unit, source, what in rows
    }


METRICS: Mapping[str, Metric] = (
    _metrics("parametric", _PARAMETRIC)
    | _metrics("contextual", _CONTEXTUAL)
    | _metrics("external", _EXTERNAL)
    | _metrics("episodic", _EPISODIC)
    | _metrics("over time", _OVER_TIME)
    | _metrics("cost", _COST)
)
