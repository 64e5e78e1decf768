"""A run's records made into a card."""

from collections.abc import Iterator, Mapping, Sequence

from evals.card import aggregate as layers
from evals.card import answering, curves
from evals.card import funnel as diagnose
from evals.card.audit import audits, disclosure, judge, leakage
from evals.card.config import Config, told
from evals.card.records import Audit, Card, Figure, NotRun
from evals.card.run import Done, code
from evals.data import registry as data
from evals.metrics.catalogue import METRICS
from evals.stats import testing

# One score of each kind: a family (data set and regime) of many metrics leaves ten conversations no
# p-value that survives its correction. How that was chosen is in evals/LOG.md.
TESTED = (
    "turn recall@10", "share in budget", "freshness hit", "step order", "contains", "abstention",
)  # fmt: skip
FROM_REPLIES = (
    "EM", "F1", "contains", "ROUGE-L", "citation coverage", "unsupported claims", "attribution",
    "replay support", "conflict handled", "preference retention", "anchoring error", "abstention",
    "false refusal", "out-of-date reply", "reply step order", "reply procedure F1", "LN accuracy",
    "answer ms", "prompt tokens", "prefix reuse",
)  # fmt: skip
FROM_JUDGE = ("judged right", "unreadable verdicts")
FROM_LIKELIHOODS = ("recognition", "wording recognition", "exposure")
FROM_COMPLETIONS = ("half-cue recall",)
FROM_STEPS = ("slope per turn", "half-life")


def build(config: Config, done: Done, stamp: Mapping[str, object]) -> Card:
    """Return the card of all that was done."""
    sets = {spec.name: read for spec, read in zip(config.data, done.data, strict=True)}
    described = [
        data.describe(read, spec) for spec, read in zip(config.data, done.data, strict=True)
    ]
    found = layers.figures(done.records, config.seed)
    train = leakage.texts(config.train)
    made = [*audits.audits(done.records, sets, train=train), *_guard(config)]
    checked = [one for one in made if one.checked]
    unchecked = [
        NotRun(what=one.name, data=one.data, why=one.note or "there is nothing to check")
        for one in made
        if not one.checked
    ]
    settings = told(config) | {
        "prompt_sha256": answering.PROMPT_SHA256,
        "judge_prompt_sha256": judge.PROMPT_SHA256,
        "code_sha256": code(),
    }
    return Card(
        name=config.name,
        config=settings,
        stamp=stamp,
        disclosure=disclosure.disclose(settings, stamp, described, checked),
        data=described,
        figures=found,
        not_run=[*done.not_run, *unchecked, *_not_run(config, found)],
        curves=curves.curves(done.records, config.seed),
        funnels=diagnose.funnels(done.records),
        compared=testing.compared(done.records, TESTED, ours=config.ours, seed=config.seed),
        audits=checked,
        records=done.records,
    )


def _guard(config: Config) -> list[Audit]:
    """Return the audit of the judge: replies known to be wrong that it lets through."""
    if config.judge is None:
        return []
    name = f"{config.judge.kind} {config.judge.name}".strip()
    return [judge.audit(judge.guarded(answering.load(config.judge)), name)]


def _not_run(config: Config, figures: Sequence[Figure]) -> Iterator[NotRun]:
    """Yield what a card could have and this one has not, by data set, with the reason."""
    for spec in config.data:
        have = {one.metric for one in figures if one.data == spec.name}
        missing: dict[str, list[str]] = {}
        for metric in METRICS:
            if metric not in have:
                missing.setdefault(_why(config, metric), []).append(metric)
        for why, metrics in missing.items():
            yield NotRun(what=", ".join(metrics), data=spec.name, why=why)


def _why(config: Config, metric: str) -> str:
    """Return why a metric has no figure: the first reason that applies."""
    model, judge, regimes = config.model, config.judge, set(config.regimes)
    of_replies = metric in (*FROM_REPLIES, *FROM_LIKELIHOODS, *FROM_COMPLETIONS, *FROM_JUDGE)
    of_steps = metric in FROM_STEPS or METRICS[metric].layer == "over time"
    reasons = (
        (model is None and of_replies, "no model was given"),
        (judge is None and metric in FROM_JUDGE, "no judge was given"),
        (
            model is not None and model.kind == "openai" and metric in FROM_LIKELIHOODS,
            "a model behind an endpoint does not tell likelihoods",
        ),
        (
            model is not None and not model.recall and metric in FROM_COMPLETIONS,
            "the config switches it off",
        ),
        (of_steps and "online" not in regimes, "the online regime was not run"),
        (
            not of_replies and not {"replay", "online"} & regimes,
            "neither replay nor online was run",
        ),
    )
    found = (why for applies, why in reasons if applies)
    return next(found, "no question of this data set shows it, or no system tells")
