"""Search the raw bytes of a memory's files for pieces of texts and vectors that were deleted."""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from memkit.errors import StoreError

PIECE = 12  # characters of a text that are searched for together
_SHORTEST = 8  # bytes of a text that is searched for as a whole, because it has no 12 characters
_MOST_PIECES = 200_000  # of very long texts, pieces at equal distances
_VECTOR_PIECE, _VECTOR_STEP = 16, 64  # bytes of a piece of a vector, and between two of them
_BLOCK = 1 << 20  # bytes searched at a time
_LONGEST = 4 * PIECE  # bytes of a piece in UTF-8
_HASH, _SHIFT = np.uint32(0x9E3779B1), np.uint32(12)  # of four bytes into a table of 2^20

# Reads files in another process, because closing a file drops the locks that SQLite holds on it for
# this process: sqlite.org/howtocorrupt.html, 2.2.
_READER = """import shutil, sys
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
"""


def text_pieces(texts: Iterable[str]) -> set[bytes]:
    """Return all pieces of 12 characters of texts, as they are and case-folded, in UTF-8."""
    variants = {variant for text in texts for variant in (text, text.casefold())}
    step = max(1, sum(map(len, variants)) // _MOST_PIECES)
    pieces: set[bytes] = set()
    for text in variants:
        if len(text) < PIECE:
            pieces |= {text.encode()} if len(text.encode()) >= _SHORTEST else set()
            continue
        starts = range(0, len(text) - PIECE + 1, step)
        pieces |= {text[start : start + PIECE].encode() for start in starts}
    return pieces


def vector_pieces(vectors: Iterable[bytes]) -> set[bytes]:
    """Return pieces of four numbers of vectors, without those with a zero.

    Zeros are in other vectors too, and at the ends of two that follow each other.
    """
    return {
        piece
        for vector in vectors
        for start in range(0, len(vector) - _VECTOR_PIECE + 1, _VECTOR_STEP)
        if np.frombuffer(piece := vector[start : start + _VECTOR_PIECE], dtype="<f4").all()
    }


def read_files(paths: Sequence[Path]) -> Iterator[bytes]:
    """Yield the content of files in blocks. Does not touch SQLite's locks on them."""
    command = [sys.executable, "-I", "-S", "-c", _READER, *map(str, paths)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while block := process.stdout.read(_BLOCK):
            yield block
    if process.returncode:
        raise StoreError(f"the files could not be searched: {', '.join(map(str, paths))}")


def find(blocks: Iterable[bytes], pieces: set[bytes]) -> set[bytes]:
    """Return the pieces that occur in a stream of bytes.

    Cost: about 1 ms per megabyte, whatever the number of pieces. Four bytes at a multiple of four
    are looked up in a table; a piece of 12 bytes has two such words in a row wherever it is.
    """
    short = {piece for piece in pieces if len(piece) < PIECE}
    heads: dict[bytes, list[bytes]] = {}
    for piece in pieces - short:
        heads.setdefault(piece[:PIECE], []).append(piece)
    table = _make_table(heads)
    present: set[bytes] = set()
    tail = b""
    for block in blocks:
        data = tail + block
        new = {piece for piece in short - present if piece in data}
        for start in _candidates(data, table):
            for piece in heads.get(data[start : start + PIECE], ()):
                if data.startswith(piece, start):
                    new.add(piece)
        if new:  # a phrase that many texts have is looked for once
            present |= new
            heads = {head: rest for head, rest in heads.items() if not present.issuperset(rest)}
            table = _make_table(heads)
        tail = data[-_LONGEST:]
    return present


def _make_table(heads: Iterable[bytes]) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Return which hashes the words of four bytes in these heads have."""
    words = {head[n : n + 4] for head in heads for n in range(PIECE - 3)}
    table = np.zeros(1 << 20, dtype=bool)
    table[_hash(np.frombuffer(b"".join(words), dtype="<u4"))] = True
    return table


def _hash(
    words: "np.ndarray[tuple[int], np.dtype[np.uint32]]",
) -> "np.ndarray[tuple[int], np.dtype[np.uint32]]":
    return (words * _HASH) >> _SHIFT


def _candidates(data: bytes, table: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Iterator[int]:
    """Yield the offsets at which a piece may begin."""
    words = np.frombuffer(data, dtype="<u4", count=len(data) // 4)
    known = table[_hash(words)]
    for word in np.flatnonzero(known[:-1] & known[1:]).tolist():
        yield from range(max(0, 4 * word - 3), 4 * word + 1)
