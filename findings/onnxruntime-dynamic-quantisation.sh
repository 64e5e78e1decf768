#!/bin/sh
# onnxruntime 1.32.0, operator DynamicQuantizeMatMul (and DynamicQuantizeLinear, which quantize_dynamic
# inserts): the scale of the activations is that of the whole call. So a row's result depends on the other
# rows of its batch, and a sentence encoder that was quantised this way gives a text one vector alone and
# another one among others. With eight rows, one of them ten times as large, the other rows change by
# several per cent. Computing one text a call is the way to have stable vectors.
# Prints the largest relative change of a row; fails if it falls below 1 %.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet onnxruntime==1.32.0 onnx==1.21.0 numpy==2.4.6
env ORT_DISABLE_TELEMETRY=1 "$folder/env/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)
weights = rng.integers(-63, 63, (64, 32)).astype(np.int8)
graph = helper.make_graph(
    [helper.make_node("DynamicQuantizeMatMul", ["x", "w", "s"], ["y"], domain="com.microsoft")],
    "linear",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 64])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 32])],
    [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.float32(0.01), "s")],
)
opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
rows = rng.standard_normal((8, 64)).astype(np.float32)
rows[0] *= 10
(together,) = session.run(None, {"x": rows})
alone = np.concatenate([session.run(None, {"x": row[None]})[0] for row in rows])
change = np.linalg.norm(together - alone, axis=1) / np.linalg.norm(alone, axis=1)
print(f"onnxruntime {ort.__version__}: a row alone and among others differs by {change.max():.3f}")
assert change.max() > 0.01, change
PYTHON
