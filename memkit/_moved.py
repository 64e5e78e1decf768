"""The names of 0.4.0 that changed, importable under their old names until 1.0.

`_moved.toml` holds all of them, so that the modules themselves carry no old names; `import memkit`
does not read it. A module that moved is served by an alias module; a module that stayed calls
`serve_old_names`.
"""

import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType


@cache
def tables() -> dict[str, dict[str, str]]:
    """Return the tables "modules" and "names": what it was in 0.4.0 -> what it is now."""
    import tomllib

    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def old_names(module: str) -> Callable[[str], object]:
    """Return the `__getattr__` that serves the old names of a module, named as in 0.4.0."""

    def find(name: str) -> object:
        if (new_name := tables()["names"].get(f"{module}.{name}")) is not None:
            new_module, _, new_name = new_name.rpartition(".")
            value: object = getattr(import_module(new_module), new_name)
            return value
        if module in tables()["modules"]:
            return getattr(import_module(tables()["modules"][module]), name)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return find


def serve_old_names(module: str) -> None:
    """Make the old names of a module that did not move importable from it."""
    # not `__getattr__ = …` in the module, with which mypy would accept any name
    sys.modules[module].__dict__["__getattr__"] = old_names(module)


class _AliasLoader:
    """Fill a module of 0.4.0 with nothing but a look-up in the module it became.

    This and the finder do not inherit from importlib.abc, whose import takes half as long as
    `import memkit`.
    """

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python to make the module."""

    def exec_module(self, module: ModuleType) -> None:
        import_module(tables()["modules"][module.__name__])
        module.__dict__["__getattr__"] = old_names(module.__name__)


class _MovedFinder:
    """Find the modules that moved, before any other finder looks.

    A checkout of 0.4.0 leaves folders such as `memkit/show/__pycache__` behind, which Python would
    take for a namespace package of the old name.
    """

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the interface's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return a spec for a module that moved, None for any other."""
        if not name.startswith("memkit.") or name not in tables()["modules"]:
            return None
        # is_package: `memkit.show` had modules of its own, such as `memkit.show.html`
        return ModuleSpec(name, _AliasLoader(), is_package=True)  # type: ignore[arg-type]


def install() -> None:
    """Make the old module names importable."""
    sys.meta_path.insert(0, _MovedFinder())
