"""Modules of 0.4.0 that moved, importable under their old names until 1.0."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "memkit.bm25": "memkit.retrieval.bm25",
    "memkit.compact": "memkit.background.summary",
    "memkit.dates": "memkit.text.dates",
    "memkit.keep": "memkit.background.maintenance",
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
    "memkit.thoughts.bands": "memkit.thoughts.near_duplicates",
    "memkit.thoughts.concluded": "memkit.retrieval.thoughts",
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


class _AliasLoader(Loader):
    """Import the module under its new name and register it under the old one too."""

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = import_module(MOVED[module.__name__])


class _MovedFinder(MetaPathFinder):
    """Find the modules in `MOVED`, after every other finder has failed."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the interface's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return a spec for a module that moved, None for any other."""
        return ModuleSpec(name, _AliasLoader()) if name in MOVED else None


def install() -> None:
    """Make the old names importable."""
    sys.meta_path.append(_MovedFinder())
