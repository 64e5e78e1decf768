"""What is shipped: packages, versions, the container, the workflows and the bill of materials."""

import re
import subprocess
import sys
import sysconfig
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from command_line import Run, assert_error, run  # noqa: F401 - a fixture

import memkit

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONTAINERFILE = (ROOT / "Containerfile").read_text()
sys.path.insert(0, str(ROOT / "tools"))  # as for a script of that folder

import check_pythons as pythons  # noqa: E402
import check_sbom  # noqa: E402


def workflow(name: str) -> dict[Any, Any]:
    yaml = pytest.importorskip("yaml", reason="pip install -c constraints.txt --group docs")
    read: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
    return read


def steps(job: dict[str, Any]) -> str:
    return "\n".join(step.get("run", step.get("uses")) for step in job["steps"])


# ---- versions


def test_the_version_is_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"{name} 9.9")
    assert memkit.__version__ == "memkit-llm 9.9"
    literal = re.compile(rf'["\']{re.escape(PROJECT["version"])}["\']')
    sources = [*(ROOT / "memkit").rglob("*.py"), *(ROOT / "stores").rglob("*.py")]
    assert [path for path in sources if literal.search(path.read_text())] == []


def test_the_supported_pythons_are_those_that_are_tested() -> None:
    versions = pythons.supported_versions()
    assert versions[0] == PROJECT["requires-python"].removeprefix(">=")
    assert workflow("ci.yml")["jobs"]["pythons"]["strategy"]["matrix"]["python"] == versions


def test_this_python_is_found_and_a_broken_one_is_not(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    assert pythons.read_version(str(broken)) is None
    assert pythons.read_version(str(tmp_path / "none")) is None
    assert pythons.read_version(sys.executable) == "{}.{}".format(*sys.version_info)


def test_a_package_that_cannot_be_installed_fails_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pythons, "find_pythons", lambda: {"3.11": Path(sys.executable)})
    (tmp_path / "memkit_llm-1-py3-none-any.whl").write_bytes(b"no wheel")
    assert pythons.main([str(tmp_path / "memkit_llm-1-py3-none-any.whl")]) == 1
    printed = capsys.readouterr().out
    assert "returned non-zero exit status" in printed
    assert "Python 3.12 was not found, so it was not tested" in printed


# ---- memkit --version


def test_version_with_verbose_names_what_memkit_runs_on(run: Run) -> None:  # noqa: F811
    versions = run("--version", "--verbose", "--json").json
    assert versions["python"].startswith("CPython 3.")
    assert re.fullmatch(r"all-MiniLM-L6-v2 \(revision \w{12}, 384-d\)", versions["encoder"])
    assert re.match(r"\d", versions["packages"]["onnxruntime"])
    assert re.match(r"\d", versions["packages"]["faiss-cpu"])
    assert re.match(r"3\.", versions["sqlite"])
    text = run("--version", "--verbose").out
    assert f"  onnxruntime: {versions['packages']['onnxruntime']}\n" in text


def test_version_says_which_extras_are_not_installed(
    run: Run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needs = ["mcp>=2; extra == 'mcp'", "rich>=13; extra == 'all'", "mcp>=2; extra == 'all'"]
    monkeypatch.setattr("memkit.cli.version.requires", lambda _: [*needs, "numpy>=1"])
    extras = {"Provides-Extra": ["mcp", "all"]}
    monkeypatch.setattr("memkit.cli.version.metadata", lambda _: _Headers(extras))
    monkeypatch.setattr("memkit.cli.version._version", {"mcp": "2.3"}.get)
    assert run("--version", "--verbose", "--json").json["extras"] == {"mcp": "mcp 2.3", "all": None}
    assert "  all: not installed\n" in run("--version", "--verbose").out


class _Headers(dict[str, list[str]]):
    get_all = dict.get


def test_version_has_no_path_and_no_name_of_the_user(run: Run) -> None:  # noqa: F811
    printed = run("--version", "--verbose").out + run("--version", "--verbose", "--json").out
    assert "/" not in printed
    assert str(Path.home().name) not in re.findall(r"\w+", printed)


def test_verbose_without_version_is_an_error(run: Run) -> None:  # noqa: F811
    assert_error(run("--verbose"), "go with --version")


# ---- the container


def test_every_file_that_the_container_copies_is_in_its_context() -> None:
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    assert patterns[0] == "*"
    let_in = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert {"pyproject.toml", "memkit", "stores"} <= set(names)
    assert [name for name in names if not (ROOT / name).exists()] == []
    assert [name for name in names if not any(fnmatch(name, rule) for rule in let_in)] == []


def test_the_container_has_all_that_building_the_wheel_reads() -> None:
    copied = " ".join(re.findall(r"^COPY (?!--from)(.+)$", CONTAINERFILE, re.MULTILINE)).split()
    assert {PROJECT["readme"], *PROJECT["license-files"]} <= set(copied)


def test_the_container_runs_memkit_as_a_user_with_a_volume_for_the_memory() -> None:
    last_stage = CONTAINERFILE.split("\nFROM ")[-1]
    instructions = dict(re.findall(r"^([A-Z]+) (.+)$", last_stage, re.MULTILINE))
    assert instructions["USER"] not in ("root", "0")
    assert instructions["VOLUME"] == instructions["WORKDIR"] == "/memory"
    assert instructions["ENTRYPOINT"] == '["memkit"]'
    assert "/healthz" in last_stage.split("HEALTHCHECK")[1]


def test_hadolint_finds_nothing_in_the_containerfile() -> None:
    program = Path(sysconfig.get_path("scripts")) / "hadolint"
    if not program.exists():
        pytest.skip("pip install -c constraints.txt --group outside")
    done = subprocess.run(
        [program, ROOT / "Containerfile"], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


# ---- the workflows


def test_ci_runs_what_a_change_must_pass() -> None:
    jobs = workflow("ci.yml")["jobs"]
    assert ".ci/run" in steps(jobs["run"])
    assert "tools/check_pythons.py" in steps(jobs["pythons"])


def test_only_publishing_may_ask_for_a_token() -> None:
    release = workflow("release.yml")
    assert release["permissions"] == {"contents": "read"}
    allowed = {name: job.get("permissions") for name, job in release["jobs"].items()}
    assert allowed == {"build": None, "publish": {"id-token": "write"}}
    assert "pypa/gh-action-pypi-publish@" in steps(release["jobs"]["publish"])


def test_workflows_call_targets_and_files_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for name in ("ci.yml", "release.yml"):
        commands = "\n".join(steps(job) for job in workflow(name)["jobs"].values())
        for words in re.findall(r"^make (.+)$", commands, re.MULTILINE):
            for target in words.split():
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
        for path in re.findall(r"(?<![\w/])(?:tools/|\.ci/)[\w.]+", commands):
            assert (ROOT / path).exists(), path


# ---- the bill of materials


def bill(*components: str, root_needs: tuple[str, ...], version: str = "1.0") -> dict[str, Any]:
    root = {"bom-ref": "root", "name": "memkit-llm", "version": version}
    return {
        "metadata": {"component": root},
        "components": [{"bom-ref": name, "name": name} for name in components],
        "dependencies": [
            {"ref": "root", "dependsOn": list(root_needs)},
            {"ref": "NumPy", "dependsOn": ["blas"]},
        ],
    }


SMALL = {"name": "memkit-llm", "version": "1.0", "dependencies": ["numpy>=1.26", "faiss_cpu>=1.9"]}


def test_a_bill_of_what_memkit_needs_is_right() -> None:
    sbom = bill("NumPy", "faiss-cpu", "blas", root_needs=("NumPy", "faiss-cpu"))
    assert check_sbom.find_faults(sbom, SMALL) == []


@pytest.mark.parametrize(
    ("sbom", "fault"),
    [
        (bill("NumPy", "blas", root_needs=("NumPy",)), "it lacks faiss-cpu"),
        (
            bill("NumPy", "faiss-cpu", "blas", "pytest", root_needs=("NumPy", "faiss-cpu")),
            "it lists what memkit does not need: pytest",
        ),
        (
            bill("NumPy", "faiss-cpu", root_needs=("NumPy", "faiss-cpu"), version="0.9"),
            "it is of memkit-llm 0.9",
        ),
    ],
)
def test_a_bill_that_is_wrong_says_how(sbom: dict[str, Any], fault: str) -> None:
    assert check_sbom.find_faults(sbom, SMALL) == [fault]
