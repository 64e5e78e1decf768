"""The core path, end to end, of an installed memkit: run by `tools/check_pythons.py`.

It imports nothing but memkit and the standard library, and it must not find a checkout.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

import memkit


def main() -> None:
    """Remember, recall, think and forget in a new file, in Python and on the command line."""
    installed = Path(sysconfig.get_path("purelib"))
    assert Path(memkit.__file__).is_relative_to(installed), f"not installed: {memkit.__file__}"
    with memkit.open("ann.db") as memory:
        memory.remember(["I moved to Oslo in May.", "My dog is called Rex."], user_id="ann")
        memory.think(user_id="ann")
        assert memory.recall("Where does Ann live?", user_id="ann")[0].text == (
            "I moved to Oslo in May."
        )
        assert memory.context("What is the dog's name?", user_id="ann").hits
        assert memory.thoughts(user_id="ann")
        assert memory.summary(user_id="ann")
    assert "Rex" in run("recall", "What is the dog's name?", "-k", "1")
    assert "I am called Ann." not in run("recall", "What is the dog's name?")
    run("add", "I am called Ann.")
    run("forget", "--everything", "--yes")
    with memkit.open("ann.db") as memory:
        assert list(memory.turns(user_id="ann")) == []
        assert memory.doctor() == []


def run(command: str, *arguments: str) -> str:
    """Run the installed command on Ann's memory; return what it prints."""
    program = Path(sysconfig.get_path("scripts")) / "memkit"
    words = [program, command, *arguments, "--store", "ann.db", "--user", "ann"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
    print(f"ok: Python {sys.version.split()[0]}")
