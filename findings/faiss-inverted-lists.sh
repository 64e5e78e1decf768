#!/bin/sh
# faiss-cpu 1.15.1 (PyPI), two behaviours of an inverted-list index (IndexIVFFlat):
# * `rev_swig_ptr(pointer, 0)` returns float32 whatever the pointer's type is. Ids of an empty list are
#   therefore float32, and concatenating them with those of other lists gives float64 ids.
# * With a hashed direct map, `remove_ids` accepts an IDSelectorArray and raises RuntimeError for an
#   IDSelectorBatch of the same ids; without one it accepts both.
# Prints both; fails if one changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet faiss-cpu==1.15.1 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import faiss
import numpy as np

vectors = np.random.default_rng(0).standard_normal((100, 8)).astype(np.float32)


def index():
    made = faiss.IndexIVFFlat(faiss.IndexFlatL2(8), 8, 2)
    made.train(vectors)
    made.add_with_ids(vectors[:1], np.array([7]))
    return made


holder = index()  # owns the lists
lists = holder.invlists
types = {
    lists.list_size(n): faiss.rev_swig_ptr(lists.get_ids(n), lists.list_size(n)).dtype.name
    for n in range(2)
}
print("type of the ids, by the size of the list:", types)


def remove(selector, hashed):
    made = index()
    if hashed:
        made.set_direct_map_type(faiss.DirectMap.Hashtable)
    try:
        return made.remove_ids(selector(np.array([7])))
    except RuntimeError:
        return "RuntimeError"


outcomes = [
    remove(selector, hashed)
    for hashed in (False, True)
    for selector in (faiss.IDSelectorBatch, faiss.IDSelectorArray)
]
print("removed, without and with a hashed direct map, by batch and array:", outcomes)
assert types == {0: "float32", 1: "int64"}, types
assert outcomes == [1, 1, "RuntimeError", 1], outcomes
PYTHON
