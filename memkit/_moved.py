"""The names of 0.4.0 that changed, importable under their old names until 1.0.

`_moved.toml` holds all of them, so that the modules themselves carry no old names; `import memkit`
does not read it. A module that moved is served by an alias module; one that stayed gets a
`__getattr__` when it is imported.
"""

import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
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


class _AliasLoader(Loader):
    """Fill a module of 0.4.0 with nothing but a look-up in the module it became."""

    def exec_module(self, module: ModuleType) -> None:
        import_module(tables()["modules"][module.__name__])
        module.__dict__["__getattr__"] = old_names(module.__name__)


class _RenamingLoader(SourceFileLoader):
    """Load a module that did not move, and make its old names importable from it."""

    def exec_module(self, module: ModuleType) -> None:
        # not `__getattr__ = …` in the module, with which mypy would accept any name
        module.__dict__["__getattr__"] = old_names(module.__name__)
        super().exec_module(module)


class _MovedFinder(MetaPathFinder):
    """Find the modules that moved or have old names, before any other finder looks.

    A checkout of 0.4.0 leaves folders such as `memkit/show/__pycache__` behind, which Python would
    take for a namespace package of the old name.
    """

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002 - the interface's
    ) -> ModuleSpec | None:
        if not name.startswith("memkit."):
            return None
        if name in tables()["modules"]:
            # is_package: `memkit.show` had modules of its own, such as `memkit.show.html`
            return ModuleSpec(name, _AliasLoader(), is_package=True)
        if not any(old_name.rpartition(".")[0] == name for old_name in tables()["names"]):
            return None
        spec = PathFinder.find_spec(name, path)
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _RenamingLoader(name, spec.loader.path)
        return spec


def install() -> None:
    """Make the old module names importable."""
    sys.meta_path.insert(0, _MovedFinder())
