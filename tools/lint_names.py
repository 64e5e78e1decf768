"""Lint what ruff cannot: placeholder names per 1,000 lines, and the length of files and functions.

A placeholder name says nothing of its object: `for one in found`. Run by `make lint`.
"""

import ast
import io
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PLACEHOLDERS = frozenset(
    {
        "asked",
        "drawn",
        "found",
        "given",
        "gone",
        "held",
        "kept",
        "known",
        "made",
        "mine",
        "one",
        "other",
        "others",
        "ours",
        "own",
        "rest",
        "said",
        "shown",
        "taken",
        "theirs",
        "thing",
        "things",
        "told",
        "wanted",
        "what",
    }
)
MOST_PER_1000_LINES = 10
MOST_LINES_A_FILE = 600
MOST_LINES_A_FUNCTION = 60  # without its docstring


def count_placeholders(source: str) -> Counter[str]:
    """Count the placeholder names in Python source; strings and comments do not count."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return Counter(
        token.string
        for token in tokens
        if token.type == tokenize.NAME and token.string in PLACEHOLDERS
    )


def long_functions(source: str) -> Iterator[tuple[str, int]]:
    """Yield the name and the length in lines of every function that is too long."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node, clean=False) else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if lines > MOST_LINES_A_FUNCTION:
                yield node.name, lines


def check(folder: Path) -> Iterator[str]:
    """Yield one sentence per fault in the Python files of a folder."""
    names: Counter[str] = Counter()
    lines = 0
    for path in sorted(folder.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        length = len(source.splitlines())
        lines += length
        names += count_placeholders(source)
        if length > MOST_LINES_A_FILE:
            yield f"{path}: {length} lines, at most {MOST_LINES_A_FILE}"
        for name, long in long_functions(source):
            yield f"{path}: {name} has {long} lines, at most {MOST_LINES_A_FUNCTION}"
    rate = 1000 * names.total() / max(lines, 1)
    print(f"{folder}: {lines} lines, {rate:.1f} placeholder names per 1,000")
    if rate > MOST_PER_1000_LINES:
        common = ", ".join(f"{name} {count}" for name, count in names.most_common(8))
        yield f"{folder}: {rate:.1f} placeholder names per 1,000 lines ({common})"


if __name__ == "__main__":
    faults = [fault for folder in sys.argv[1:] for fault in check(Path(folder))]
    sys.exit("\n".join(faults) or 0)
