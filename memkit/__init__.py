"""memkit: a long-term memory for any Hugging Face model. Local, no server, no key.

>>> import memkit
>>> memory = memkit.open("ann.db")  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING

from memkit import _moved

if TYPE_CHECKING:
    from memkit.background.maintenance import Settings
    from memkit.chat import Chat
    from memkit.entry import open
    from memkit.errors import MemkitError
    from memkit.memory import Memory
    from memkit.policy import Forgetting
    from memkit.records import Context, Hit, Summary, Thought, Turn
    from memkit.reembedding import reembed

_HOME = {
    "Chat": "chat",
    "Context": "records",
    "Forgetting": "policy",
    "Hit": "records",
    "MemkitError": "errors",
    "Memory": "memory",
    "Settings": "background.maintenance",
    "Summary": "records",
    "Thought": "records",
    "Turn": "records",
    "open": "entry",
    "reembed": "reembedding",
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


_moved.install()


def __getattr__(name: str) -> object:
    """Load a public name at first use, so that `import memkit` is quick."""
    if name == "__version__":
        return import_module("importlib.metadata").version("memkit-llm")
    if name not in _HOME:
        raise AttributeError(f"module 'memkit' has no attribute {name!r}")
    value: object = getattr(import_module(f"memkit.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
