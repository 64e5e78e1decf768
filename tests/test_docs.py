"""The documents are true: their code runs and prints what they show, and their names exist."""

import base64
import contextlib
import doctest
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = ROOT / "README.md"
GUIDES = [README, ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md", *DOCS.rglob("*.md")]
# ```python, and after it maybe ```text with what the code prints
BLOCK = re.compile(r"^```python\n(.*?)^```(?:\n\n```text\n(.*?)^```)?", re.DOTALL | re.MULTILINE)
SHELL = re.compile(r"^```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of Python in a document, with the output that the document shows for it."""

    code: str
    output: str | None
    line: int


def read_blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(match[1], match[2], text.count("\n", 0, match.start()) + 1)
        for match in BLOCK.finditer(text)
    ]


def run_blocks(page: Path) -> None:
    """Run a page's blocks in order, in one namespace, and compare what each prints."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in read_blocks(page):
        printed = io.StringIO()
        code = compile("\n" * block.line + block.code, str(page), "exec")
        with contextlib.redirect_stdout(printed):
            exec(code, namespace)
        if block.output is not None:
            expected, got = _stripped(block.output), _stripped(printed.getvalue())
            if not doctest.OutputChecker().check_output(expected, got, doctest.ELLIPSIS):
                pytest.fail(f"{page.name}:{block.line} prints\n{got}the page shows\n{expected}")


def _stripped(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.strip().splitlines())


def pages(*, slow: bool) -> list[Any]:
    """Return the pages with Python; slow ones need the chat model."""
    code = {
        page: "".join(block.code for block in read_blocks(page))
        for page in (README, *sorted(DOCS.rglob("*.md")))
    }
    return [
        pytest.param(page, id=str(page.relative_to(ROOT)))
        for page, text in code.items()
        if text and slow == ("smollm2" in text)
    ]


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minilm: Any) -> None:
    """An empty working directory; the bundled encoder is loaded once for all pages."""
    for module in ("langchain", "langgraph", "mcp", "openai"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    monkeypatch.setattr("memkit.embedders.MiniLM", lambda: minilm)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("empty_folder")
@pytest.mark.parametrize("page", pages(slow=False))
def test_a_pages_python_prints_what_the_page_shows(page: Path) -> None:
    for module in ("agents", "agent_framework", "llama_index"):
        if page.name == "agents.md" and find_spec(module) is None:
            pytest.skip(f"{module} is not installed: make test installs it")
    run_blocks(page)


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
@pytest.mark.parametrize("page", pages(slow=True))
def test_a_pages_python_with_the_chat_model_prints_what_the_page_shows(
    page: Path, smollm2: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memkit.models.smollm2", lambda: smollm2)
    run_blocks(page)


def test_a_page_that_shows_other_output_than_it_prints_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n")
    with pytest.raises(pytest.fail.Exception, match=r"page\.md:1 prints\n2"):
        run_blocks(page)


def test_the_readme_is_short_and_its_first_example_takes_ten_lines() -> None:
    assert len(README.read_text().splitlines()) < 150
    (first, *_) = read_blocks(README)
    assert len([line for line in first.code.splitlines() if line]) <= 10


def test_the_picture_in_the_docs_is_the_one_that_a_notebook_shows() -> None:
    notebook = json.loads((ROOT / "notebooks" / "inside_the_memory.ipynb").read_text())
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    pictures = [
        output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})
    ]
    shown = (DOCS / "assets" / "attention.png").read_bytes()
    assert shown in [base64.b64decode(picture) for picture in pictures]


def test_every_file_linked_in_the_documents_exists() -> None:
    links = [
        page.parent / target
        for page in GUIDES
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target
    ]
    assert len(links) > len(GUIDES)
    assert [str(link) for link in links if not link.exists()] == []


def test_every_file_named_in_the_documents_exists() -> None:
    named = re.compile(r"`((?:memkit|stores|evals|tests|examples|docs)/[\w/.-]*[\w/])`")
    pages_with_paths = [ROOT / "ARCHITECTURE.md", *GUIDES]
    paths = {path for page in pages_with_paths for path in named.findall(page.read_text())}
    assert len(paths) > 50
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


def shell_lines() -> Iterator[list[str]]:
    """Yield the words of every shell command in the documents, without comments."""
    for page in GUIDES:
        for shell in SHELL.findall(page.read_text()):
            for line in shell.splitlines():
                if words := shlex.split(line, comments=True):
                    yield words


def test_every_make_target_in_the_documents_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = {word for words in shell_lines() if words[0] == "make" for word in words[1:]}
    assert targets >= {"setup", "demo", "test", "docs"}
    assert [
        name for name in sorted(targets) if not re.search(rf"^{name}:", makefile, re.MULTILINE)
    ] == []


def unknown_options(command: Any, words: list[str]) -> list[str]:
    """Return the subcommands and options of a command line that its program does not have."""
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return [words[0]]
        command, words = command.commands[words[0]], words[1:]
    options = {name for parameter in command.params for name in (*parameter.opts, "--help")}
    return [word for word in words if re.match(r"-[-a-z]", word) and word not in options]


def mistakes(command: Any, lines: list[list[str]]) -> list[tuple[str, list[str]]]:
    """Return the command lines that name what the program does not have, with those names."""
    wrong = [(" ".join(words), unknown_options(command, words)) for words in lines]
    return [(line, names) for line, names in wrong if names]


def test_a_command_that_does_not_exist_is_a_mistake() -> None:
    from memkit.cli import app

    lines = [["recal", "?"], ["recall", "?", "--users", "ann"], ["recall", "?", "--user", "ann"]]
    assert [names for _, names in mistakes(get_command(app), lines)] == [["recal"], ["--users"]]


def test_every_memkit_command_in_the_documents_exists_with_its_options() -> None:
    from memkit.cli import app

    lines = [words[1:] for words in shell_lines() if words[0] == "memkit"]
    assert len(lines) > 10
    assert mistakes(get_command(app), lines) == []


def test_every_evals_command_in_the_documents_exists_with_its_options() -> None:
    from evals.__main__ import app

    lines = [words[3:] for words in shell_lines() if words[1:3] == ["-m", "evals"]]
    inline = re.compile(r"`(?:\.venv/bin/)?python -m evals ([^`]+)`")
    lines += [shlex.split(line) for page in GUIDES for line in inline.findall(page.read_text())]
    assert len(lines) > 10
    assert mistakes(get_command(app), lines) == []


def test_every_command_of_the_command_line_is_in_its_guide() -> None:
    from memkit.cli import app

    guide = (DOCS / "guides" / "command-line.md").read_text()
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert [name for name in commands if f"memkit {name}" not in guide] == []


def test_the_config_and_the_conversations_in_the_cards_guide_can_be_read(tmp_path: Path) -> None:
    from evals.card.config import read
    from evals.data import jsonl

    guide = (DOCS / "guides" / "card.md").read_text()
    blocks = dict(re.findall(r"^```(toml|json)\n(.*?)^```", guide, re.DOTALL | re.MULTILINE))
    (tmp_path / "mine.toml").write_text(blocks["toml"])
    (tmp_path / "ours.jsonl").write_text(blocks["json"])
    assert read(tmp_path / "mine.toml").name == "mine"
    assert len(jsonl.read(tmp_path / "ours.jsonl").haystacks) == 1


def test_every_page_of_the_site_is_in_its_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = [str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")]
    assert [page for page in pages if not re.search(rf"[: -] {page}$", navigation, re.M)] == []


@pytest.mark.slow
def test_the_site_builds_strictly_and_loads_nothing_from_other_servers(tmp_path: Path) -> None:
    if find_spec("material") is None or find_spec("mkdocstrings") is None:
        pytest.skip("the dependency group docs is not installed")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(build, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"(?:https?:)?//[^\"]+")
    html = sorted(tmp_path.rglob("*.html"))
    assert len(html) > 20
    assert [tag for page in html for tag in loaded.findall(page.read_text())] == []


def test_the_version_is_the_newest_of_the_changelog() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version
