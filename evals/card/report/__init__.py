"""A card as JSON, as Markdown, as a page without requests, and as a summary for a terminal."""

from evals.card.report.page import markdown, page
from evals.card.report.storage import dumps, load, without_run, write
from evals.card.report.terminal import show

__all__ = ["dumps", "load", "markdown", "page", "show", "without_run", "write"]
