"""A card as one JSON, one Markdown, one page without requests, and a summary for a terminal."""

from evals.card.report.page import page
from evals.card.report.stored import dumps, load, without_run
from evals.card.report.terminal import show
from evals.card.report.text import markdown
from evals.card.report.write import write

__all__ = ["dumps", "load", "markdown", "page", "show", "without_run", "write"]
