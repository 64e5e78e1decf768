"""How a memory and what comes out of it look in a notebook and in a terminal.

Each thing is described once (`views`) and drawn twice: as HTML (`html`) and with Rich (`terminal`).
Nothing is loaded before something is shown.
"""

from typing import TYPE_CHECKING, Self, SupportsIndex, TypeVar, overload

if TYPE_CHECKING:
    from rich.console import RenderableType

_Item = TypeVar("_Item")


class Shown:
    """Something that Jupyter shows as HTML and Rich in a terminal; remembered text is escaped."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from memkit.display.html import page
        from memkit.display.views import view

        return page(view(self))

    def __rich__(self) -> "RenderableType":
        from memkit.display.terminal import lines
        from memkit.display.views import view

        return lines(view(self))


class ShownList(Shown, list[_Item]):
    """A list, and so are its slices, that is shown as a table."""

    @overload
    def __getitem__(self, at: SupportsIndex) -> _Item: ...

    @overload
    def __getitem__(self, at: slice) -> Self: ...

    def __getitem__(self, at: SupportsIndex | slice) -> "_Item | Self":
        if isinstance(at, slice):
            return type(self)(super().__getitem__(at))
        return super().__getitem__(at)
