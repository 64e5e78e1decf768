"""The names of 0.4.0 that changed, importable under their old names until 1.0.

Two tables hold all of them, so that the modules themselves carry no old names. A module that moved
is served by an alias module; a module that stayed serves its old names by `old_names`.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# module in 0.4.0 -> module now
MODULES = {
    "memkit.bm25": "memkit.retrieval.bm25",
    "memkit.compact": "memkit.background.summary",
    "memkit.dates": "memkit.text.dates",
    "memkit.integrations.packing": "memkit.integrations.metadata",
    "memkit.integrations.recalling": "memkit.integrations.memory_step",
    "memkit.integrations.runnable": "memkit.integrations.langchain",
    "memkit.keep": "memkit.background.maintenance",
    "memkit.models.last": "memkit.models.generation",
    "memkit.models.pick": "memkit.models.resolve",
    "memkit.models.prefix": "memkit.models.kv_cache",
    "memkit.models.unseen": "memkit.models.fallback_template",
    "memkit.prune": "memkit.background.pruning",
    "memkit.rank": "memkit.retrieval.fusion",
    "memkit.read": "memkit.retrieval.recall",
    "memkit.show": "memkit.display",
    "memkit.show.html": "memkit.display.html",
    "memkit.show.terminal": "memkit.display.terminal",
    "memkit.show.text": "memkit.text.sanitise",
    "memkit.show.views": "memkit.display.views",
    "memkit.thoughts.asides": "memkit.thoughts.rules.clauses",
    "memkit.thoughts.bands": "memkit.thoughts.lsh",
    "memkit.thoughts.concluded": "memkit.retrieval.fusion",
    "memkit.thoughts.english": "memkit.thoughts.rules.grammar",
    "memkit.thoughts.frames": "memkit.thoughts.rules.relations",
    "memkit.thoughts.ground": "memkit.thoughts.grounding",
    "memkit.thoughts.hash": "memkit.thoughts.lsh",
    "memkit.thoughts.lexicon": "memkit.thoughts.rules.grammar",
    "memkit.thoughts.lines": "memkit.thoughts.model_thinker",
    "memkit.thoughts.model": "memkit.thoughts.model_thinker",
    "memkit.thoughts.organise": "memkit.thoughts.merging",
    "memkit.thoughts.owned": "memkit.thoughts.rules.relations",
    "memkit.thoughts.patterns": "memkit.thoughts.rules.relations",
    "memkit.thoughts.post": "memkit.background.reflection",
    "memkit.thoughts.sentences": "memkit.thoughts.rules.clauses",
    "memkit.thoughts.stems": "memkit.text.words",
    "memkit.thoughts.subjects": "memkit.thoughts.rules.clauses",
    "memkit.thoughts.times": "memkit.text.relative_dates",
    "memkit.thoughts.worth": "memkit.thoughts.rules.thinker",
    "memkit.windows": "memkit.retrieval.windows",
    "memkit.words": "memkit.text.words",
    "memkit.worker": "memkit.background.worker",
    "memkit.write": "memkit.ingest",
}

# function, class or constant in 0.4.0 -> its name now; the rest of a module kept its names
NAMES = {
    "memkit.attention.Attended": "memkit.attention.AttentionOutput",
    "memkit.attention.Inside": "memkit.attention.InnerAttention",
    "memkit.attention.Selected": "memkit.attention.ChunkSelection",
    "memkit.attention.inside": "memkit.attention.attend_inside",
    "memkit.attention.select": "memkit.attention.select_chunks",
    "memkit.compact.Update": "memkit.background.summary.SummaryUpdate",
    "memkit.compact.update": "memkit.background.summary.summarise_next_turns",
    "memkit.embedders.pick": "memkit.embedders.resolve_embedder",
    "memkit.importers.Imported": "memkit.importers.ImportCounts",
    "memkit.importers.Placed": "memkit.importers.LocatedTurn",
    "memkit.importers.Source": "memkit.importers.TurnSource",
    "memkit.importers.choose": "memkit.importers.select_conversation",
    "memkit.importers.remember": "memkit.importers.import_turns",
    "memkit.integrations.messages.text_of": "memkit.integrations.messages.content_text",
    "memkit.integrations.messages.words_of": "memkit.integrations.messages.spoken_text",
    "memkit.integrations.packing.pack": "memkit.integrations.metadata.serialise",
    "memkit.integrations.packing.unpack": "memkit.integrations.metadata.deserialise",
    "memkit.integrations.recalling.Recalling": "memkit.integrations.memory_step.MemoryStep",
    "memkit.integrations.recalling.new_of": "memkit.integrations.memory_step.unanswered_messages",
    "memkit.integrations.recalling.scope_of": "memkit.integrations.memory_step.scope_from_config",
    "memkit.models.function.Answers": "memkit.models.function.ReplyFunction",
    "memkit.models.last.Last": "memkit.models.generation.LastUsage",
    "memkit.models.pick.pick": "memkit.models.resolve.resolve_model",
    "memkit.models.prefix.Prefix": "memkit.models.kv_cache.PrefixCache",
    "memkit.models.running.Made": "memkit.models.running.Result",
    "memkit.models.running.Run": "memkit.models.running.GenerationThread",
    "memkit.models.running.attempt": "memkit.models.running.call_model",
    "memkit.models.running.cut": "memkit.models.running.cut_at_stop",
    "memkit.models.running.until_stop": "memkit.models.running.stream_until_stop",
    "memkit.models.template.PLAIN_STOP": "memkit.models.template.PLAIN_STOPS",
    "memkit.models.unseen.MARKS": "memkit.models.fallback_template.ROLE_MARKERS",
    "memkit.models.unseen.count": "memkit.models.fallback_template.estimate_prompt_tokens",
    "memkit.models.unseen.estimate": "memkit.models.fallback_template.estimate_tokens",
    "memkit.models.unseen.neutralise": "memkit.models.fallback_template.escape_role_markers",
    "memkit.plots.groups.projected": "memkit.plots.groups.project",
    "memkit.plots.picture.ROW": "memkit.plots.picture.ROW_INCHES",
    "memkit.plots.picture.ROWS": "memkit.plots.picture.MAX_ROWS",
    "memkit.plots.picture.bare": "memkit.plots.picture.hide_frame",
    "memkit.plots.picture.dated": "memkit.plots.picture.set_date_axis",
    "memkit.plots.picture.explain_below": "memkit.plots.picture.add_legend_below",
    "memkit.plots.picture.label": "memkit.plots.picture.to_label",
    "memkit.plots.picture.name_rows": "memkit.plots.picture.label_rows",
    "memkit.plots.picture.number": "memkit.plots.picture.to_axis_number",
    "memkit.plots.picture.verbatim": "memkit.plots.picture.disable_math",
    "memkit.prompt.Known": "memkit.prompt.Derived",
    "memkit.prompt.alternate": "memkit.prompt.alternate_roles",
    "memkit.prompt.block": "memkit.prompt.format_memory_block",
    "memkit.prompt.defuse": "memkit.prompt.escape_role_markers",
    "memkit.prompt.fit": "memkit.prompt.select_within_budget",
    "memkit.prompt.line_of": "memkit.prompt.format_hit",
    "memkit.prompt.line_of_summary": "memkit.prompt.format_summary",
    "memkit.prompt.line_of_thought": "memkit.prompt.format_thought",
    "memkit.prompt.strip": "memkit.prompt.strip_memory_block",
    "memkit.protocols.Changes": "memkit.protocols.WriteBatch",
    "memkit.protocols.Match": "memkit.protocols.RetrievedChunk",
    "memkit.protocols.Reading": "memkit.protocols.Snapshot",
    "memkit.protocols.Recalled": "memkit.protocols.RecalledThought",
    "memkit.protocols.Thinking": "memkit.protocols.ReflectionResult",
    "memkit.protocols.Waiting": "memkit.protocols.QueuedTurn",
    "memkit.prune.choose": "memkit.background.pruning.select_prunable",
    "memkit.prune.weights": "memkit.background.pruning.retention_weights",
    "memkit.rank.attention": "memkit.retrieval.fusion.attention_scores",
    "memkit.rank.length": "memkit.retrieval.fusion.length_scores",
    "memkit.rank.nearness": "memkit.retrieval.fusion.time_scores",
    "memkit.rank.relevance": "memkit.retrieval.fusion.estimate_relevance",
    "memkit.rank.said_by_others": "memkit.retrieval.fusion.is_said_by_another",
    "memkit.rank.weighted": "memkit.retrieval.fusion.weigh_signals",
    "memkit.records.writable": "memkit.records.check_utf8",
    "memkit.show.Shown": "memkit.records.Displayable",
    "memkit.show.ShownList": "memkit.records.DisplayableList",
    "memkit.show.html.framed": "memkit.display.html.embed_document",
    "memkit.show.html.page": "memkit.display.html.render_html",
    "memkit.show.terminal.lines": "memkit.display.terminal.render_rich",
    "memkit.thoughts.bands.bands": "memkit.thoughts.lsh.minhash_bands",
    "memkit.thoughts.organise.closed": "memkit.thoughts.merging.close",
    "memkit.thoughts.organise.denies": "memkit.thoughts.merging.is_negated",
    "memkit.thoughts.organise.interrupted": "memkit.thoughts.merging.find_interrupted",
    "memkit.thoughts.organise.merged": "memkit.thoughts.merging.merge",
    "memkit.thoughts.organise.ordered": "memkit.thoughts.merging.in_order",
    "memkit.thoughts.organise.plain": "memkit.thoughts.merging.normalise",
    "memkit.thoughts.organise.repeats": "memkit.thoughts.merging.is_same_claim",
    "memkit.thoughts.organise.same": "memkit.thoughts.merging.says_the_same",
    "memkit.thoughts.organise.twin": "memkit.thoughts.merging.find_duplicate",
    "memkit.thoughts.organise.value": "memkit.thoughts.merging.value_of",
    "memkit.write.changes": "memkit.ingest.build_write_batch",
    "memkit.write.read": "memkit.ingest.to_turns",
}


def old_names(module: str) -> Callable[[str], object]:
    """Return the `__getattr__` that serves the old names of a module.

    Args:
        module: the module's name in 0.4.0.
    """

    def find(name: str) -> object:
        if (new_name := NAMES.get(f"{module}.{name}")) is not None:
            new_module, _, new_name = new_name.rpartition(".")
            value: object = getattr(import_module(new_module), new_name)
            return value
        if module in MODULES:
            return getattr(import_module(MODULES[module]), name)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return find


class _AliasLoader(Loader):
    """Fill a module of 0.4.0 with nothing but a look-up in the module it became."""

    def exec_module(self, module: ModuleType) -> None:
        import_module(MODULES[module.__name__])
        module.__getattr__ = old_names(module.__name__)  # type: ignore[method-assign]


class _MovedFinder(MetaPathFinder):
    """Find the modules in `MODULES`, before any other finder looks.

    A checkout of 0.4.0 leaves folders such as `memkit/show/__pycache__` behind, which Python would
    take for a namespace package of the old name.
    """

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the interface's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return a spec for a module that moved, None for any other."""
        # is_package: `memkit.show` had modules of its own, such as `memkit.show.html`
        return ModuleSpec(name, _AliasLoader(), is_package=True) if name in MODULES else None


def install() -> None:
    """Make the old module names importable."""
    sys.meta_path.insert(0, _MovedFinder())
