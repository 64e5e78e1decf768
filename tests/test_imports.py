"""What importing promises, and how the code keeps its shape."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import memkit

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "memkit": {"memkit"},
    "memkit_sqlite": {"memkit_sqlite", "memkit"},
    "evals": {"evals", "memkit_sqlite", "memkit"},
}
FILES = sorted(path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in FILES}

WATCHED = """
import os, sys

seen = []
def watch(event, args):
    if event.startswith("socket.") or event in ("os.mkdir", "subprocess.Popen"):
        seen.append((event, args))
    elif event == "open" and args[1] is not None and set(str(args[1])) & set("wax+"):
        seen.append((event, args))

def no(*args, **kwargs):
    seen.append(("environment", args))
    return None

sys.path_importer_cache  # the import system itself has read what it reads
os._Environ.get = no
os._Environ.__getitem__ = no
os._Environ.__contains__ = no
sys.dont_write_bytecode = True
sys.addaudithook(watch)
import memkit
heavy = {"torch", "transformers", "sentence_transformers", "faiss", "sqlite_utils", "numpy"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert not seen, seen
"""


def test_importing_memkit_loads_nothing_heavy_and_touches_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_opening_a_memory_loads_no_model(tmp_path: Path) -> None:
    code = (
        "import sys, memkit; memkit.open(':memory:').close();"
        "assert not {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_the_public_names_are_sorted_few_and_all_there() -> None:
    assert sorted(memkit.__all__) == memkit.__all__
    assert len(memkit.__all__) <= 12
    assert dir(memkit) == memkit.__all__
    assert set(memkit._HOME) == set(memkit.__all__)
    assert all(getattr(memkit, name).__name__ == name for name in memkit.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'forget_everything'"):
        memkit.forget_everything  # noqa: B018


def imported(tree: ast.AST) -> set[str]:
    """Top-level names a file imports, wherever in it the import stands."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_downwards(package: str) -> None:
    ours = {"memkit", "memkit_sqlite", "evals", "examples", "tests"}
    for path, tree in TREES.items():
        if path.is_relative_to(ROOT / package):
            assert imported(tree) & ours <= MAY_IMPORT[package], path


def broad_handlers(tree: ast.AST) -> Iterator[int]:
    """Lines that catch, or suppress, more than a narrow class of errors."""
    broad = {"Exception", "BaseException"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = (
                {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)}
                if node.type
                else broad
            )
            again = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if caught & broad and not again:
                yield node.lineno
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "suppress":
            yield from (arg.lineno for arg in node.args if getattr(arg, "id", "") in broad)


def test_nothing_but_the_worker_and_what_it_calls_catches_every_error() -> None:
    library = {
        path: tree for path, tree in TREES.items() if not path.is_relative_to(ROOT / "evals")
    }
    found = {
        str(path.relative_to(ROOT)) for path, tree in library.items() for _ in broad_handlers(tree)
    }
    assert found == {"memkit/background/worker.py"}
    assert len(list(broad_handlers(TREES[ROOT / "memkit/background/worker.py"]))) == 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_500_lines_and_no_function_than_40(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert code_lines(node) <= 40, f"{path.name}: {node.name}"


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How long a function is, its docstring left out."""
    first = function.body[0]
    told = ast.get_docstring(function, clean=False) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if told else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring
