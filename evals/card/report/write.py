"""Writing the three files of a card."""

import os
from collections.abc import Mapping
from pathlib import Path

from evals.card.records import Card
from evals.card.report.page import page
from evals.card.report.stored import dumps
from evals.card.report.text import markdown

_FORMS = {"card.json": dumps, "card.md": markdown, "card.html": page}


def write(card: Card, folder: Path) -> Mapping[str, Path]:
    """Write card.json, card.md and card.html; return where they are, by name.

    A file is replaced only when the new one is complete, so an interruption leaves the old one.

    Raises:
        InvalidInput: the card holds something that cannot be written; says what.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / name for name in _FORMS}
    for name, form in _FORMS.items():
        unfinished = folder / f"{name}.part"
        unfinished.write_text(form(card), encoding="utf-8")
        os.replace(unfinished, paths[name])
    return paths
