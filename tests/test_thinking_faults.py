"""What thoughts survive: kills while they are made, and other processes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_faults import child, together
from thinkers import everything, known, lives, opened, says

from memkit import Turn
from memkit.memory import Memory

CITIES = ("Oslo", "Rome", "Bonn")

# forks a fresh process for each line it reads, which is quicker than starting Python each time
THINKS = """
sys.path.insert(0, "tests")
from thinkers import Reader, opened, says, tell

with opened() as warm:
    tell(warm, says("Ann likes tea."))  # imports what thinking needs, once for all forks

class Slow(Reader):
    def think(self, turns, before=()):
        time.sleep(0.002)
        return super().think(turns)

def work(path):
    memory = opened(path, Slow(), background=True)
    print("thinks", flush=True)
    time.sleep(60)

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        work(sys.argv[1])
    print(pid, flush=True)
    print("ended by", os.WTERMSIG(os.waitpid(pid, 0)[1]), flush=True)
"""


def said(n: int) -> Turn:
    if n % 3:
        return says(f"Ann has seen number{n % 50}.", n, id=f"t{n}")
    return lives(CITIES[n // 6 % 3], n, id=f"t{n}")


def filled(path: Path, turns: int) -> Path:
    """Make a memory of turns in sessions of three, summarised and not thought about."""
    with opened(path, thoughts=False) as memory:
        for first in range(0, turns, 3):
            batch = [said(n) for n in range(first, first + 3)]
            memory.remember(batch, user_id="ann", session_id=f"s{first}")
        memory.flush()
    return path


def concluded(memory: Memory) -> list[tuple[object, ...]]:
    return sorted(
        (thought.text, thought.turn_ids, str(thought.valid_to)) for thought in everything(memory)
    )


def kill_while_thinking(worker: "subprocess.Popen[str]", after: float) -> None:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("go\n")
    worker.stdin.flush()
    pid = int(worker.stdout.readline())
    assert worker.stdout.readline() == "thinks\n"
    time.sleep(after)
    os.kill(pid, signal.SIGKILL)
    assert worker.stdout.readline() == f"ended by {signal.SIGKILL:d}\n"


@pytest.mark.slow
def test_twenty_kills_while_thinking_lose_double_and_orphan_nothing(tmp_path: Path) -> None:
    with opened(filled(tmp_path / "calm.db", 300)) as memory:
        memory.flush()
        expected = concluded(memory)
    path = filled(tmp_path / "ann.db", 300)

    left = []
    worker = child(THINKS, path)
    for moment in random.Random(20).choices([0.05, 0.2, 0.5, 1.0], k=20):
        kill_while_thinking(worker, moment)
        with opened(path) as memory:
            left.append(memory.stats()["waiting_turns"])
            assert memory.doctor() == []
    worker.communicate(timeout=30)

    assert left == sorted(left, reverse=True)
    assert len(set(left)) > 5  # most kills came while it worked
    with opened(path) as memory:
        memory.flush()
        assert concluded(memory) == expected
        assert memory.stats()["waiting_turns"] == 0
        assert memory.doctor() == []


SHARES = """
sys.path.insert(0, "tests")
from test_queue import Invents
from thinkers import opened

memory = opened(sys.argv[1], Invents())
at_once(sys.argv[1])
memory.flush()
memory.close()
print("done")
"""


@pytest.mark.slow
def test_two_processes_think_about_each_turn_once_in_effect(tmp_path: Path) -> None:
    with opened(filled(tmp_path / "calm.db", 150)) as memory:
        memory.flush()
        expected = concluded(memory)
    path = filled(tmp_path / "ann.db", 150)

    assert together(child(SHARES, path), child(SHARES, path)) == ["done\n", "done\n"]
    with opened(path) as memory:
        assert concluded(memory) == expected
        assert memory.stats()["rejected_claims"] == 150  # one of each turn
        assert memory.doctor() == []


def test_two_open_memories_see_each_others_thoughts(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    with opened(path) as one, opened(path) as other:
        for n, memory in enumerate([one, other] * 20):
            memory.remember(says(f"Ann has seen number{n}.", n), user_id="ann")
            memory.think(user_id="ann")
            for snapshot in (one, other):
                found = snapshot.recall("Ann has seen", user_id="ann", kind="thought", k=50)
                assert len(found) == n + 1
        assert known(one) == known(other)
        assert one.doctor() == other.doctor() == []


LEFT_OPEN = """
import time
import memkit
from memkit.testing import HashEmbedder
from memkit.thoughts.reader import bundled_reader

memory = memkit.open(":memory:", embedder=HashEmbedder())
memory.remember(["I live in Ghent. " * 30] * 32, user_id="ann")
while "_network" not in vars(bundled_reader()):
    time.sleep(0.01)
"""


@pytest.mark.parametrize("last", ["", "memory.close()"])
def test_a_script_that_leaves_while_its_thinker_works_exits_cleanly(last: str) -> None:
    """PyTorch in a daemon thread would end the process with an abort, its memory open or closed."""
    done = subprocess.run(
        [sys.executable, "-c", LEFT_OPEN + last], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "terminate" in done.stderr) == (0, False), done.stderr
