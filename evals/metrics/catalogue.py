"""The catalogue of metrics: layer, direction, unit, source and definition of each.

Keyed by the name that the card prints. Shares are from 0 to 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from evals.metrics.retrieval import BUDGETS

Better = Literal["higher", "lower"]
Layer = Literal["parametric", "contextual", "external", "episodic", "over time", "cost"]
LAYERS: tuple[Layer, ...] = (
    "parametric", "contextual", "external", "episodic", "over time", "cost",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """The definition of one metric."""

    name: str
    layer: Layer
    better: Better
    unit: str
    definition: str  # one sentence
    source: str


_SURVEY = "Zhang et al. 2025, arXiv 2509.18868"
_EMARS = f"{_SURVEY}, table 4.7 (E-MARS+); formula: memkit"
_CONTEXT = f"{_SURVEY}, section 4.3"
_CONTEXT_FORMULA = f"{_CONTEXT}; formula: memkit"
_GROUNDED = f"{_SURVEY}, table 4.1; rule: memkit"
_SAFETY = f"{_SURVEY}, table 4.8; formula: memkit"
_SQUAD = "Rajpurkar et al., EMNLP 2016"
_TREC = "trec_eval"
_GAP = "De Lange et al., ICLR 2023, arXiv 2205.13452"
_FEW = "Orhan 2023, arXiv 2303.17557"
_RISK = "Geifman et al., ICLR 2019"
_MEMKIT = "memkit"

_Row = tuple[str, Better, str, str, str]  # name, better, unit, source, definition
_PARAMETRIC: tuple[_Row, ...] = (
    ("recognition", "higher", "share", _FEW,
     "Share of wrong values of the same kind that are less likely than the answer; chance: .5."),
    ("wording recognition", "higher", "share", _FEW,
     "Share of paraphrases of the evidence that are less likely than its wording; chance: .5."),
    ("half-cue recall", "higher", "share", _FEW,
     "ROUGE-L of the completion and the second half of the evidence, given the first half."),
    ("exposure", "lower", "bits", "Carlini et al., USENIX Security 2019",
     "log2(n) − log2(rank) of the answer among n candidates; chance: log2(n) − log2(n!) / n."),
)  # fmt: skip
_CONTEXTUAL: tuple[_Row, ...] = (
    ("mid-drop", "lower", "difference", _CONTEXT_FORMULA,
     "Mean score of the first and last fifth of positions − that of the lowest fifth between "
     "them; positions in the prompt for replies to long context, else in the history."),
    ("slope per doubling of distance", "higher", "score per doubling", _CONTEXT_FORMULA,
     "Least-squares change of the score each time the evidence is twice as far back."),
    ("slope per doubling of length", "higher", "score per doubling", _CONTEXT_FORMULA,
     "Least-squares change of the score each time the conversation has twice as many turns."),
    ("slope per doubling of distractors", "higher", "score per doubling", _CONTEXT_FORMULA,
     "Least-squares change of the score each time there are twice as many distractors."),
    ("noise degradation", "lower", "share", _CONTEXT,
     "1 − score with distractors / score without them."),
    ("LN accuracy", "higher", "share per log token", _CONTEXT,
     "Share of replies that contain the answer / ln(mean prompt length in tokens)."),
)  # fmt: skip
_EXTERNAL: tuple[_Row, ...] = (
    ("turn recall@1", "higher", "share", _TREC,
     "Share of the gold turns among the first retrieved."),
    ("turn recall@5", "higher", "share", _TREC,
     "Share of the gold turns among the first 5 retrieved."),
    ("turn recall@10", "higher", "share", _TREC,
     "Share of the gold turns among the first 10 retrieved."),
    ("turn recall@50", "higher", "share", _TREC,
     "Share of the gold turns among the first 50 retrieved."),
    ("served recall@10", "higher", "share", _TREC,
     "Share of the gold turns in a call for 10 turns, which may rank otherwise than a deep call."),
    ("any@1", "higher", "share", _TREC,
     "Whether the first turn retrieved is gold."),
    ("any@5", "higher", "share", _TREC,
     "Whether any gold turn is among the first 5 retrieved."),
    ("any@10", "higher", "share", _TREC,
     "Whether any gold turn is among the first 10 retrieved."),
    ("MRR", "higher", "share", _TREC,
     "1 / rank of the first gold turn; 0 if none was retrieved."),
    ("NDCG@10", "higher", "share", "Järvelin and Kekäläinen, ACM TOIS 2002",
     "Discounted cumulative gain of the first 10, as a share of that of the ideal order."),
    ("P@5", "higher", "share", _TREC,
     "Share of gold among the first 5 retrieved; empty ranks count as wrong."),
    ("AUPRC", "higher", "share", _TREC,
     "Mean precision at the ranks of the gold turns; a turn that was not retrieved adds 0."),
    ("session recall@5", "higher", "share", _TREC,
     "Share of the gold sessions among the first 5, in the order of their first retrieved turn."),
    ("session any@1", "higher", "share", _TREC,
     "Whether the session of the first retrieved turn is gold."),
    ("session any@5", "higher", "share", _TREC,
     "Whether any gold session is among the first 5."),
    ("session all@5", "higher", "share", _TREC,
     "Whether all gold sessions are among the first 5."),
    *(
        (f"share in {budget} tokens", "higher", "share", _MEMKIT,
         f"Share of the gold turns in a context block of {budget:,} tokens.")
        for budget in BUDGETS
    ),
    ("share in budget", "higher", "share", _MEMKIT,
     "Share of the gold turns in the prompt, within the token budget (context recall)."),
    ("EM", "higher", "share", _SQUAD,
     "Whether the reply equals an answer, normalised as SQuAD does."),
    ("F1", "higher", "share", _SQUAD,
     "Harmonic mean of word precision and recall, for the best fitting answer."),
    ("contains", "higher", "share", _MEMKIT,
     "Whether the reply contains the words of an answer in a row."),
    ("judged right", "higher", "share", _MEMKIT,
     "Share of replies that the judge model calls right; read it with the audit of the judge."),
    ("unreadable verdicts", "lower", "share", _MEMKIT,
     "Share of replies that the judge model calls neither right nor wrong."),
    ("ROUGE-L", "higher", "share", "Lin, ACL workshop 2004",
     "F1 of the longest common subsequence of words."),
    ("citation coverage", "higher", "share", _GROUNDED,
     "Share of the reply's claims that the context supports, by words, numbers and names."),
    ("unsupported claims", "lower", "share", _GROUNDED,
     "Share of the reply's claims that the context does not support (UCR): 1 − citation coverage."),
    ("attribution", "higher", "share", _CONTEXT_FORMULA,
     "Share of the reply's claims that a gold turn supports best."),
    ("context precision", "higher", "share", _CONTEXT,
     "Share of the turns in the prompt that are gold."),
    ("evidence F1", "higher", "share", _CONTEXT,
     "Harmonic mean of context precision and the share in budget."),
    ("AURC", "lower", "area", _RISK,
     "Mean risk when the most confident 1, 2 … n questions are answered."),
    ("AUROC", "higher", "area", "Hanley and McNeil, Radiology 1982",
     "Probability that an answerable question is more confident than an unanswerable one (chance "
     "is .5)."),
)  # fmt: skip
_EPISODIC: tuple[_Row, ...] = (
    ("event F1", "higher", "share", _EMARS,
     "F1 of the events in as many retrieved turns as there are events (R-precision)."),
    ("procedure F1", "higher", "share", _EMARS,
     "F1 of the pairs of a step and the next step in the prompt, which is in order of time."),
    ("reply procedure F1", "higher", "share", _EMARS,
     "F1 of the pairs of a step and the next step, in the order of first mention in the reply."),
    ("anchoring error", "lower", "windows", _EMARS,
     "Distance of each gold date to the nearest date in the reply, in windows, at most 1 (TAE)."),
    ("replay support", "higher", "share", _EMARS,
     "Share of replies with all claims supported by replayed gold turns (RSF)."),
    ("replay@10", "higher", "share", _EMARS,
     "Share of the gold turns among the first 10 replayed (ASR@k)."),
    ("step order", "higher", "share", _EMARS,
     "Share of pairs of gold steps in the right order in the prompt; a missing step is wrong."),
    ("reply step order", "higher", "share", _EMARS,
     "Share of pairs of gold steps that the reply mentions in the right order; missing is wrong."),
    ("abstention", "higher", "share", _EMARS,
     "Share of the unanswerable questions that were refused."),
    ("false refusal", "lower", "share", _MEMKIT,
     "Share of the answerable questions that were refused."),
    ("system abstention", "higher", "share", _EMARS,
     "Share of the unanswerable questions that the memory refused by a rule, without a model."),
    ("system false refusal", "lower", "share", _MEMKIT,
     "Share of the answerable questions that the memory refused by a rule, without a model."),
    ("freshness hit", "higher", "share", _EMARS,
     "Whether a current turn is among the first 10 and above every stale turn."),
    ("stale shown as current", "lower", "share", _MEMKIT,
     "Whether a stale turn is above every current one in a call for 10 turns, or a stale statement "
     "among 10 or in the context block of a system that returns statements."),
    ("newest above older", "higher", "share", _MEMKIT,
     "Whether evidence of the newest session is above all older evidence in a call for 10 turns; "
     "evidence in one session is not scored."),
    ("out-of-date use", "lower", "share", _EMARS,
     "Whether a stale turn ranks above every current turn."),
    ("out-of-date reply", "lower", "share", _EMARS,
     "Whether the reply states an outdated answer and no current one."),
    ("conflict handled", "higher", "share", _EMARS,
     "Whether the reply names both sides of a conflict that nothing decides."),
    ("conflict shown", "higher", "share", _EMARS,
     "Whether a turn of each side of a conflict is among the first 10."),
    ("spurious replay", "lower", "share", _EMARS,
     "Share of replayed turns that are not gold; if unanswerable, whether anything was replayed."),
    ("preference retention", "higher", "share", _SAFETY,
     "Whether the reply follows the current preference and no withdrawn one."),
    ("slope per turn", "higher", "score per turn", _EMARS,
     "Least-squares change of the score with each turn of distance (Slope@T)."),
    ("half-life", "higher", "turns", _EMARS,
     "Distance at which the score has fallen to half, by the best fitting exponential."),
)  # fmt: skip
_OVER_TIME: tuple[_Row, ...] = (
    ("min accuracy", "higher", "share", _GAP,
     "Lowest accuracy on a task after later writes (min-ACC)."),
    ("WC accuracy", "higher", "share", _GAP,
     "Mean of the current task's accuracy and min-ACC of all earlier tasks."),
    ("windowed drop", "lower", "share", _GAP,
     "Largest fall of accuracy within a window of steps."),
    ("windowed rise", "higher", "share", _GAP,
     "Largest rise of accuracy within a window of steps."),
    ("forgetting", "lower", "share", "Chaudhry et al., ECCV 2018",
     "Best accuracy of a task − its last accuracy."),
)  # fmt: skip
_COST: tuple[_Row, ...] = (
    ("search ms", "lower", "ms", _MEMKIT,
     "Median time from question to ranking, with the embedding of the question."),
    ("write ms per turn", "lower", "ms", _MEMKIT,
     "Time to store the turns so far, with maintenance, per turn; embeddings come from a cache."),
    ("answer ms", "lower", "ms", _MEMKIT,
     "Median time from prompt to the end of the reply."),
    ("prompt tokens", "lower", "tokens", _MEMKIT,
     "Tokens of the whole prompt."),
    ("memory tokens", "lower", "tokens", _MEMKIT,
     "Tokens of the prompt that come from the memory."),
    ("footprint", "lower", "bytes", _MEMKIT,
     "Bytes on disk of a memory in a file, such as memkit; bytes of RAM of the baselines, which "
     "are in RAM: compare systems of one kind."),
    ("prefix reuse", "higher", "share", _MEMKIT,
     "Share of the prompt tokens that the prefix cache had."),
)  # fmt: skip


def _metrics(layer: Layer, rows: tuple[_Row, ...]) -> dict[str, Metric]:
    return {
        name: Metric(
            name=name, layer=layer, better=better, unit=unit, definition=definition, source=source
        )
        for name, better, unit, source, definition in rows
    }


METRICS: Mapping[str, Metric] = (
    _metrics("parametric", _PARAMETRIC)
    | _metrics("contextual", _CONTEXTUAL)
    | _metrics("external", _EXTERNAL)
    | _metrics("episodic", _EPISODIC)
    | _metrics("over time", _OVER_TIME)
    | _metrics("cost", _COST)
)
