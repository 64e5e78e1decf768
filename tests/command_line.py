"""Run commands of the command line: inside the test process, or at a terminal of their own."""

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from memkit.cli import main
from memkit.testing import HashEmbedder


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in a folder of its own, with an embedder that needs no model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    monkeypatch.setattr("memkit.embedders.MiniLM", HashEmbedder)
    # no server of the machine that runs the tests
    monkeypatch.setattr("memkit.models.available._get_json", lambda *_: None)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setattr(
        "memkit.embedders.SentenceTransformerEmbedder", lambda name: HashEmbedder(name=name)
    )

    def run(*arguments: str, stdin: str | bytes = "") -> Result:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        printed = capsys.readouterr()
        return Result(int(end.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def oslo(run: Run) -> Run:
    """The same, with something to remember already there."""
    run("add", "I moved to Oslo in May.", "--user", "ann", "--at", "2024-05-01T12:00:00Z")
    run("add", "My dog is called Rex.", "--user", "ann", "--at", "2024-06-01T12:00:00Z")
    return run


def assert_error(result: Result, message: str) -> None:
    """An error is one line of stderr, and nothing on stdout."""
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("memkit: ")
    assert result.err.count("\n") == 1
    assert message in result.err


# `memkit` with an embedder that needs no model
_PROGRAM = """
import memkit.embedders
from memkit.testing import HashEmbedder
memkit.embedders.MiniLM = HashEmbedder
{setup}
from memkit.cli import main
main()
"""


def at_terminal(
    arguments: Sequence[str], typed: Mapping[str, str], *, folder: Path, setup: str = ""
) -> tuple[int, str]:
    """Run a command as a process at a terminal; return its exit code and all that it printed.

    `typed` has, for each text to wait for, the line that is typed when it has been printed.
    """
    terminal, its_end = pty.openpty()
    command = [sys.executable, "-c", _PROGRAM.format(setup=setup), *arguments]
    process = subprocess.Popen(command, cwd=folder, stdin=its_end, stdout=its_end, stderr=its_end)
    os.close(its_end)
    printed, start = "", 0
    for prompt, line in typed.items():
        while prompt not in printed[start:]:
            piece = _read(terminal)
            assert piece, f"never printed {prompt!r}: {printed}"
            printed += piece
        start = printed.index(prompt, start) + len(prompt)
        os.write(terminal, f"{line}\n".encode())
    while piece := _read(terminal):
        printed += piece
    os.close(terminal)
    return process.wait(timeout=60), printed.replace("\r\n", "\n")


def _read(terminal: int) -> str:
    try:
        return os.read(terminal, 10_000).decode(errors="replace")
    except OSError:  # the process has ended
        return ""
