"""Write `memkit/encoder/*.onnx`: the graphs of the bundled encoder, without its weights.

    pip install onnx
    python tools/encoder_graph.py

The graph starts behind the look-up of the embeddings, which needs no arithmetic worth a graph and
would copy their 47 MB. It uses the fused operators of ONNX Runtime (domain com.microsoft): what its
optimiser would make of an exported graph, without the time that this takes at every start.
`bert_int8.onnx` is the same with linear layers in int8.
"""

from pathlib import Path

from onnx import TensorProto, ValueInfoProto, helper

LAYERS, WIDTH, INNER, HEADS = 6, 384, 1536, 12
EPSILON = 1e-12  # of BERT's layer norms
FUSED = "com.microsoft"
FOLDER = Path(__file__).parent.parent / "memkit" / "encoder"
FILES = {"bert.onnx": False, "bert_int8.onnx": True}  # whether its linear layers are in int8


class GraphBuilder:
    """Collects the nodes of a graph and the weights that it needs."""

    def __init__(self, *, int8: bool) -> None:
        self.int8 = int8
        self.nodes: list[object] = []
        self.initializers: list[TensorProto] = []

    def weight(self, name: str, *shape: int, kind: int = TensorProto.FLOAT) -> str:
        """Declare a weight whose values the session gets when it is made."""
        tensor = TensorProto(name=name, data_type=kind, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights")  # required, and never opened
        self.initializers.append(tensor)
        return name

    def constant(self, name: str, values: list[int]) -> str:
        """Add a vector of whole numbers."""
        tensor = helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
        self.initializers.append(tensor)
        return name

    def add(self, operator: str, output: str, *inputs: str, **attributes: object) -> str:
        """Add a node and return the name of its output."""
        domain = str(attributes.pop("domain", ""))
        self.nodes.append(helper.make_node(operator, inputs, [output], domain=domain, **attributes))
        return output

    def linear(self, output: str, x: str, name: str, outputs: int, inputs: int) -> str:
        """Add a linear layer; `x` has a row per token."""
        if not self.int8:
            weight = self.weight(f"{name}.weight", outputs, inputs)
            bias = self.weight(f"{name}.bias", outputs)
            return self.add("Gemm", output, x, weight, bias, transB=1)
        weight = self.weight(f"{name}.weight", inputs, outputs, kind=TensorProto.INT8)
        scale = self.weight(f"{name}.scale", outputs)
        bias = self.weight(f"{name}.bias", outputs)
        return self.add("DynamicQuantizeMatMul", output, x, weight, scale, "", bias, domain=FUSED)

    def add_and_normalise(self, output: str, x: str, residual: str, name: str) -> str:
        """Add a residual connection, then its layer norm."""
        # not the fused SkipLayerNormalization, which takes four times as long on the CPU
        return self.normalise(output, self.add("Add", f"{output}.sum", x, residual), name)

    def normalise(self, output: str, x: str, name: str) -> str:
        """Add a layer norm."""
        parameters = (self.weight(f"{name}.{part}", WIDTH) for part in ("weight", "bias"))
        return self.add("LayerNormalization", output, x, *parameters, epsilon=EPSILON)

    def layer(self, x: str, number: int) -> str:
        """Add a transformer layer; `x` and the result have a row per token.

        Only attention sees the texts side by side with their padding. All else is computed for
        real tokens alone.
        """
        name, short = f"encoder.layer.{number}", f"layer{number}"
        heads = []
        for part in ("query", "key", "value"):
            rows = self.linear(
                f"{short}.{part}.rows", x, f"{name}.attention.self.{part}", WIDTH, WIDTH
            )
            heads.append(self.add("Gather", f"{short}.{part}", rows, "numbers", axis=0))
        attended = self.add(
            "MultiHeadAttention", f"{short}.attended", *heads, "", "mask",
            domain=FUSED, num_heads=HEADS,
        )  # fmt: skip
        padded = self.add("Reshape", f"{short}.attended.padded", attended, "flat")
        rows = self.add("Gather", f"{short}.attended.rows", padded, "places", axis=0)
        output = f"{name}.attention.output"
        y = self.linear(f"{short}.projected", rows, f"{output}.dense", WIDTH, WIDTH)
        y = self.add_and_normalise(f"{short}.attention", y, x, f"{output}.LayerNorm")
        z = self.linear(f"{short}.inner", y, f"{name}.intermediate.dense", INNER, WIDTH)
        z = self.add("Gelu", f"{short}.gelu", z, domain=FUSED)
        z = self.linear(f"{short}.outer", z, f"{name}.output.dense", WIDTH, INNER)
        return self.add_and_normalise(f"{short}.output", z, y, f"{name}.output.LayerNorm")


def _tensor(name: str, kind: int, *shape: str | int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def build(*, int8: bool) -> bytes:
    """Return a graph: sums of embeddings in, hidden states out.

    Inputs: `embedded` with a row for each real token of all texts; `places`, where each of these is
    among the n * tokens places of the padded texts; `numbers`, which row is at each place, any row
    at padding; `mask`, 1 at tokens and 0 at padding.
    """
    graph = GraphBuilder(int8=int8)
    graph.constant("flat", [-1, WIDTH])
    x = graph.normalise("normalised", "embedded", "embeddings.LayerNorm")
    for number in range(LAYERS):
        x = graph.layer(x, number)
    graph.add("Gather", "hidden", x, "numbers", axis=0)
    tokens = ("n", "tokens")
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "bert",
            [
                _tensor("embedded", TensorProto.FLOAT, "rows", WIDTH),
                _tensor("places", TensorProto.INT64, "rows"),
                _tensor("numbers", TensorProto.INT64, *tokens),
                _tensor("mask", TensorProto.INT32, *tokens),
            ],
            [_tensor("hidden", TensorProto.FLOAT, *tokens, WIDTH)],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(FUSED, 1)],
        ir_version=8,
        producer_name="memkit",
    )
    return bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    for name, int8 in FILES.items():
        (FOLDER / name).write_bytes(build(int8=int8))
        print(f"{(FOLDER / name).stat().st_size / 1000:.1f} kB written to {FOLDER / name}")
