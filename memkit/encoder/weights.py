"""Read weights from a safetensors file as NumPy arrays, without copying them."""

import json
from pathlib import Path

import numpy as np

from memkit.errors import ModelError
from memkit.protocols import Vectors

_TYPES = {"F32": "<f4", "F16": "<f2"}  # others, such as a table of positions, are left out


def read(file: Path) -> dict[str, Vectors]:
    """Return the arrays of a file by name, memory-mapped and read-only.

    The format is eight bytes with the length of a JSON header, the header, and the data:
    https://huggingface.co/docs/safetensors#format

    Raises:
        ModelError: the file is missing or damaged.
    """
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            if length > file.stat().st_size:
                raise ValueError("its header is longer than the file")
            header = json.loads(opened.read(length))
        # a mapping for each array, so that one that is no longer used leaves memory
        return {
            name: np.memmap(
                file,
                dtype=_TYPES[entry["dtype"]],
                mode="r",
                offset=8 + length + entry["data_offsets"][0],
                shape=tuple(entry["shape"]),
            )
            for name, entry in header.items()
            if entry.get("dtype") in _TYPES
        }
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{file} holds no weights that can be read: {error}") from error
