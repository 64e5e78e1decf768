"""Move a memory to another embedder, unless its questions are then answered worse."""

from collections.abc import Callable, Mapping

from memkit.embedders import MiniLM, StaticEmbedder
from memkit.errors import StepRefused
from memkit.govern import probes
from memkit.govern.policy import Policy, Score, Scores, to_counts
from memkit.govern.probes import Probe, Suite
from memkit.protocols import Backend, Embedder, WriteBatch
from memkit.records import Scope
from memkit.retrieval.projection import QuestionVectors

_MOST_USERS = 8  # who are probed, those who said something last


_Suites = Mapping[Scope, Suite]
_Questions = Mapping[Scope, Mapping[Probe, QuestionVectors]]


def reembed_gated(
    store: Backend,
    embedder: Embedder,
    progress: Callable[[int, int], None],
    *,
    policy: Policy,
    current: Embedder | None = None,
) -> int:
    """Embed all chunks again and switch over if the policy admits it; return how many. Resumable.

    Without the memory's `current` embedder the new one is measured by the policy's least values
    alone, and not by what the memory answered before.

    Cost: beside the embedding, two searches per probe of at most eight users.

    Raises:
        StepRefused: the memory answers too few of its probes with the new vectors. It keeps the old
            ones, and the new ones are deleted.
    """
    scopes = [Scope(user_id=user.id) for user in store.users()[:_MOST_USERS] if user.id]
    suites = {scope: probes.read_suite(store, scope, policy.probes) for scope in scopes}
    before = _measure(store, suites, _embed(suites, current)) if current else {}
    after: Scores = {}
    questions = _embed(suites, embedder)  # before others have to wait

    def check() -> None:
        nonlocal after
        after = _measure(store, suites, questions)
        if breaches := list(policy.find_breaches(before, after)):
            raise StepRefused(breaches)

    try:
        return store.reembed(embedder, progress, check)
    except StepRefused:
        store.drop_embedder(embedder.fingerprint)
        source = f"{embedder.fingerprint}, policy {policy.version}"
        batch = WriteBatch(scores=to_counts(before, after), refused=True, source=source)
        store.write(scopes[0], batch)
        raise


def _measure(store: Backend, suites: _Suites, questions: _Questions) -> Scores:
    """Return the least score of the users by name."""
    scores: dict[str, Score] = {}
    for scope, suite in suites.items():
        answers = probes.ask(store, scope, questions[scope])
        kept = {probe: questions[scope][probe] for probe in suite["kept"]}
        nearest = probes.ask_nearest(store, scope, kept)
        measured = probes.score(suite, answers)
        measured |= probes.score({"nearest": suite["kept"]}, nearest)
        for name, score in measured.items():
            scores[name] = min(score, scores.get(name, score), key=lambda item: item.value)
    return scores


def _embed(suites: _Suites, embedder: Embedder) -> _Questions:
    return {
        scope: probes.embed_probes(embedder, probes.distinct(suite))
        for scope, suite in suites.items()
    }


def bundled_embedder(store: Backend) -> Embedder | None:
    """Return the embedder of a memory if it is one that memkit ships."""
    candidates: list[Embedder] = [MiniLM(), StaticEmbedder()]
    return next((item for item in candidates if item.fingerprint == store.fingerprint), None)
