"""memkit: a long-term memory for any Hugging Face model. Local, no server, no key.

>>> import memkit
>>> memory = memkit.open("ann.db")  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memkit.chat import Chat
    from memkit.errors import MemkitError
    from memkit.keep import Settings
    from memkit.memory import Memory, open, reembed
    from memkit.prune import Forgetting
    from memkit.records import Context, Hit, Summary, Thought, Turn

_HOME = {
    "Chat": "chat",
    "Context": "records",
    "Forgetting": "prune",
    "Hit": "records",
    "MemkitError": "errors",
    "Memory": "memory",
    "Settings": "keep",
    "Summary": "records",
    "Thought": "records",
    "Turn": "records",
    "open": "memory",
    "reembed": "memory",
}

__all__ = [
    "Chat",
    "Context",
    "Forgetting",
    "Hit",
    "MemkitError",
    "Memory",
    "Settings",
    "Summary",
    "Thought",
    "Turn",
    "open",
    "reembed",
]


def __getattr__(name: str) -> object:
    """Load a public name at first use, so that `import memkit` is quick."""
    if name not in _HOME:
        raise AttributeError(f"module 'memkit' has no attribute {name!r}")
    value: object = getattr(import_module(f"memkit.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
