#!/bin/sh
# NumPy 2.4.6 (PyPI, Linux wheel): `np.unique` of whole numbers uses a hash table since 2.3, and on a
# million different ones it takes tens of times as long as with `return_index=True`, which still sorts.
# `np.union1d` and `np.setdiff1d` call it, so the slow path is easy to meet; `np.sort` and a comparison
# of neighbours is the way round. Prints the CPU seconds (best of 5); fails if the ratio falls below 5.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import time

import numpy as np


def seconds(call):
    times = []
    for _ in range(5):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


numbers = np.random.default_rng(0).permutation(10**6)
plain = seconds(lambda: np.unique(numbers))
indexed = seconds(lambda: np.unique(numbers, return_index=True))
ordered = np.arange(10**6)
plain_ordered = seconds(lambda: np.unique(ordered))
indexed_ordered = seconds(lambda: np.unique(ordered, return_index=True))
print(f"NumPy {np.__version__}: shuffled {plain:.3f} s, with return_index {indexed:.3f} s;", end=" ")
print(f"in order {plain_ordered:.3f} s, with return_index {indexed_ordered:.3f} s")
assert plain_ordered > 5 * indexed_ordered
PYTHON
