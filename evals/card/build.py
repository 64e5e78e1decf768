"""Make a card of the records of a run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from evals.card import aggregate, answering, curves
from evals.card.audit import audits, differences, disclosure, judge, leakage
from evals.card.config import Config, ModelSpec, describe
from evals.card.records import Card, Figure, NotRun, Record
from evals.card.run import Results, code
from evals.data import registry as data
from evals.metrics.catalogue import METRICS
from evals.metrics.retrieval import BUDGETS

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
FROM_BUDGETS = tuple(f"share in {budget} tokens" for budget in BUDGETS)


def build(config: Config, results: Results, stamp: Mapping[str, object]) -> Card:
    """Return the card of all results of a run."""
    pairs = list(zip(config.data, results.data, strict=True))
    described = [data.describe(data_set, spec) for spec, data_set in pairs]
    sets = {spec.name: data_set for spec, data_set in pairs}
    figures = aggregate.figures(results.records, config.seed)
    all_audits = [*audits.audits(results.records, sets, train=leakage.texts(config.train))]
    if config.judge is not None:  # does it accept wrong replies?
        name = f"{config.judge.kind} {config.judge.name}".strip()
        all_audits.append(judge.run_guard(answering.load(config.judge), name))
    checked = [audit for audit in all_audits if audit.checked]
    unchecked = [
        NotRun(what=audit.name, data=audit.data, why=audit.note or "there is nothing to check")
        for audit in all_audits
        if not audit.checked
    ]
    settings = describe(config) | {
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
        figures=figures,
        not_run=[*results.not_run, *unchecked, *_not_run(config, figures)],
        curves=curves.curves(results.records, config.seed),
        funnels=aggregate.funnels(results.records),
        compared=differences.compare_systems(
            _comparable(results.records), config.tested, system=config.ours, seed=config.seed
        ),
        audits=checked,
        records=results.records,
    )


def _comparable(records: Sequence[Record]) -> list[Record]:
    """Return records in which only answerable questions have search scores."""
    return [
        record
        if record.answerable or not record.places
        else replace(record, scores={k: v for k, v in record.scores.items() if "abstention" in k})
        for record in records
    ]


def _not_run(config: Config, figures: Sequence[Figure]) -> Iterator[NotRun]:
    """Yield the metrics of the catalogue without a figure, by data set, with the reason."""
    for spec in config.data:
        present = {figure.metric for figure in figures if figure.data == spec.name}
        missing: dict[str, list[str]] = {}
        for metric in METRICS:
            if metric not in present:
                missing.setdefault(_why(config, metric), []).append(metric)
        for why, metrics in missing.items():
            yield NotRun(what=", ".join(metrics), data=spec.name, why=why)


def _why(config: Config, metric: str) -> str:
    model, regimes = config.model or ModelSpec(kind="smollm2"), set(config.regimes)
    of_replies = metric in (*FROM_REPLIES, *FROM_LIKELIHOODS, *FROM_COMPLETIONS, *FROM_JUDGE)
    of_steps = metric in FROM_STEPS or METRICS[metric].layer == "over time"
    endpoint = model.kind == "openai"
    reasons = {
        "no model was given": of_replies and config.model is None,
        "no judge was given": metric in FROM_JUDGE and config.judge is None,
        "a model behind an endpoint returns no likelihoods": metric in FROM_LIKELIHOODS
        and endpoint,
        "the config switches it off": metric in FROM_COMPLETIONS and not model.recall,
        "the online regime was not run": of_steps and "online" not in regimes,
        "neither replay nor online was run": not (of_replies or {"replay", "online"} & regimes),
        "the config names no budgets": metric in FROM_BUDGETS and not config.budgets,
    }
    why = (reason for reason, applies in reasons.items() if applies)
    return next(why, "no question of this data set has it, or no system reports it")
