"""Displays a memory and its records in a notebook and in a terminal.

Each object is described once (`views`) and rendered twice: as HTML (`html`) and with Rich
(`terminal`). `memkit.records.Displayable` loads this package at the first display.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType


def to_html(item: object) -> str:
    """Return the HTML that Jupyter displays for a memory or a record."""
    from memkit.display.html import render_html
    from memkit.display.views import view

    return render_html(view(item))


def to_rich(item: object) -> "RenderableType":
    """Return the renderable that a Rich console prints for a memory or a record."""
    from memkit.display.terminal import render_rich
    from memkit.display.views import view

    return render_rich(view(item))
