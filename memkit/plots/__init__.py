"""Pictures of a memory with matplotlib; each function returns a figure that a notebook shows.

Colours and fonts follow matplotlib's settings: `plt.style.use("dark_background")` makes every
picture dark. Needs the extra `notebooks`.

>>> from memkit import plots  # doctest: +SKIP
>>> plots.attention(memory, "Where does Ann live?", user_id="ann")  # doctest: +SKIP
"""

from memkit.errors import MissingExtra

try:
    import matplotlib  # noqa: F401 - every module below needs it
except ModuleNotFoundError as error:
    raise MissingExtra(
        "memkit.plots needs matplotlib, which is not installed: pip install 'memkit-llm[notebooks]'"
    ) from error

from memkit.plots.attention import attention
from memkit.plots.forgetting import forgetting
from memkit.plots.groups import groups
from memkit.plots.relevance import relevance
from memkit.plots.validity import validity

__all__ = ["attention", "forgetting", "groups", "relevance", "validity"]
