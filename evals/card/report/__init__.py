"""A card as JSON, as Markdown, as a page without requests, and as a summary for a terminal."""

from evals.card.report.files import dumps, load, markdown, page, without_run, write
from evals.card.report.terminal import show, summary

__all__ = ["dumps", "load", "markdown", "page", "show", "summary", "without_run", "write"]
