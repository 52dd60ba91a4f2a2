"""`python -m tests.support.browser_model FOLDER [WEIGHTS]`: make a model for the page /browser, SmolLM2-135M-Instruct.

FOLDER, such as public/models/smollm2-135m, gets the layout of transformers.js. The weights are those of
tests/support/real_model.py, with two graphs: onnx/model_q4.onnx, which has its codes of 4 bits as they are, for WebGPU;
and onnx/model_quantized.onnx for WebAssembly, where products of 8-bit integers are five times as fast. There the inputs
of the last product of each layer have outliers, for which 8 bits are too few: these weights are floats. With them the
divergence from the model as it is falls from 0.13 to 0.03 (Kullback-Leibler, mean of 30 tokens).

`make_scripted` makes a model whose every word is known, and `make_check` the graph of public/browser/check.
"""

import json
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import onnx
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from app.settings import ROOT
from tests.support import real_model, scripted
from tests.support.real_model import Codes, Floats, Graph, Weights
from tests.support.scripted import Script

CONTEXT = 8192


class Bytes(Graph):
    """A decoder whose products have weights of 8 bits; each row of a matrix has a scale."""

    def product(self, x: str, weight: tuple[Codes, Floats, Floats], output: str) -> str:
        """Add the product with a transposed matrix of 4-bit codes, as 8-bit integers, or floats for a last product."""
        packed, scales, offsets = weight
        codes = np.stack([packed & 15, packed >> 4], axis=-1).reshape(*scales.shape, real_model.BLOCK)
        floats = ((codes - 8.0) * scales[..., None] + offsets[..., None]).reshape(len(scales), -1)
        if output.endswith(".down"):
            self.op("Cast", [self.const(f"{output}.half", floats.T, np.float16)], f"{output}.w", to=TensorProto.FLOAT)
            return self.op("MatMul", [x, f"{output}.w"], output)
        values, factors = in_bytes(floats)
        self.const(f"{output}.codes", values.T, np.int8)
        return self.of_bytes(x, f"{output}.codes", self.const(f"{output}.scales", factors, np.float32), output)

    def table(self, weights: Weights) -> str:
        """Add the look-up of the embeddings."""
        values, factors = in_bytes(gguf.dequantize(*weights.typed("token_embd")))
        table, scales = self.const("table", values, np.int8), self.const("table.scales", factors, np.float32)
        self.op("Gather", [table, "input_ids"], "x.codes")
        self.op("Cast", ["x.codes"], "x.numbers", to=TensorProto.FLOAT)
        self.op("Gather", [scales, "input_ids"], "x.scales")
        self.op("Unsqueeze", ["x.scales", self.ints(-1)], "x.scales3")
        return self.op("Mul", ["x.numbers", "x.scales3"], "x")

    def logits(self, x: str) -> str:
        """Add the product with the embeddings."""
        self.op("Transpose", ["table"], "table.turned", perm=[1, 0])
        return self.of_bytes(x, "table.turned", "table.scales", "logits")

    def of_bytes(self, x: str, codes: str, scales: str, output: str) -> str:
        """Add a product of integers; the input gets its scale and zero as it comes."""
        if f"{x}.codes8" not in self.known:
            self.known.add(f"{x}.codes8")
            self.op("DynamicQuantizeLinear", [x], f"{x}.codes8", f"{x}.scale", f"{x}.zero")
        self.op("MatMulInteger", [f"{x}.codes8", codes, f"{x}.zero"], f"{output}.integers")
        self.op("Cast", [f"{output}.integers"], f"{output}.numbers", to=TensorProto.FLOAT)
        self.op("Mul", [f"{x}.scale", scales], f"{output}.factors")
        return self.op("Mul", [f"{output}.numbers", f"{output}.factors"], output)


def in_bytes(floats: Floats) -> tuple[Any, Floats]:
    """Return rows of floats as integers from -127 to 127, and the scale of each row."""
    scales = np.maximum(np.abs(floats).max(axis=1), 1e-9) / 127
    return np.round(floats / scales[:, None]).astype(np.int8), scales.astype(np.float32)


def make(folder: Path, downloads: Path) -> Path:
    """Write SmolLM2 into a folder, and return it; `downloads` keeps the weights."""
    weights = Weights(real_model.fetch(downloads))
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    for name, graph in (("model_q4", Graph()), ("model_quantized", Bytes())):
        onnx.save(real_model.decoder(weights, CONTEXT, graph), folder / "onnx" / f"{name}.onnx")
    real_model.tokenizer(weights).save(str(folder / "tokenizer.json"))
    settings = real_model.settings(weights, CONTEXT)
    numbers = settings["genai_config.json"]["model"]
    ids = {name: numbers[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    decoder = numbers["decoder"]
    sizes = {name: decoder[name] for name in ("hidden_size", "num_attention_heads", "num_key_value_heads")}
    config = {
        "model_type": "llama",
        "vocab_size": numbers["vocab_size"],
        "max_position_embeddings": CONTEXT,
        "num_hidden_layers": decoder["num_hidden_layers"],
    }
    write(folder, "config.json", config | sizes | ids)
    write(folder, "generation_config.json", ids)
    write(folder, "tokenizer_config.json", settings["tokenizer_config.json"])
    return folder


def make_scripted(folder: Path, script: Script) -> Path:
    """Write a model whose every word is known into a folder, and return it; its last product is a matrix'."""
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    model, tokenizer, end = scripted.built(script)
    size = tokenizer.get_vocab_size()
    for value in model.graph.input:  # of the dimensions transformers.js knows this one by its name; others begin at 0
        value.type.tensor_type.shape.dim[0].dim_param = "batch_size"
    rename(model, {f"past_{part}_0": f"past_key_values.0.{part}" for part in ("key", "value")})
    rename(model, {f"present_{part}_0": f"present.0.{part}" for part in ("key", "value")})
    rename(model, {"logits": "hidden"}, outputs=False)
    model.graph.node.append(onnx.helper.make_node("MatMul", ["hidden", "weight"], ["logits"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.eye(size, dtype=np.float32), "weight"))
    onnx.save(model, folder / "onnx" / "model.onnx")
    tokenizer.save(str(folder / "tokenizer.json"))
    ids = {"bos_token_id": 0, "eos_token_id": end, "pad_token_id": 0}
    sizes = dict.fromkeys(("hidden_size", "num_attention_heads", "num_key_value_heads", "num_hidden_layers"), 1)
    write(folder, "config.json", {"model_type": "llama", "vocab_size": size, **sizes, **ids})
    write(folder, "generation_config.json", ids)
    write(folder, "tokenizer_config.json", scripted.tokenizer_config(script, tokenizer, end))
    return folder


def rename(model: onnx.ModelProto, names: dict[str, str], *, outputs: bool = True) -> None:
    """Give values of a graph other names."""
    for node in model.graph.node:
        for field in (node.input, node.output):
            field[:] = [names.get(name, name) for name in field]
    for value in [*model.graph.input, *(model.graph.output if outputs else ())]:
        value.name = names.get(value.name, value.name)


CHECK = """
<ir_version: 9, opset_import: ["": 17]>
check (float[1,1,8,8] x) => (float[1,10] y)
{
    found = Conv <pads = [1, 1, 1, 1]> (x, filters)
    bent = Relu (found)
    pooled = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (bent)
    flat = Flatten (pooled)
    scores = Gemm (flat, weights, bias)
    y = Softmax (scores)
}
"""


def make_check(folder: Path) -> None:
    """Write a small net, of the kind that reads digits, an input, and its result by onnx's own evaluator."""
    rng = np.random.default_rng(0)
    shapes = {"filters": (4, 1, 3, 3), "weights": (64, 10), "bias": (10,)}
    model = onnx.parser.parse_model(CHECK)
    arrays = {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in arrays.items())
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "onnx" / "model.onnx")
    x = rng.normal(0, 1, (1, 1, 8, 8)).astype(np.float32).round(3)
    [y] = ReferenceEvaluator(model).run(None, {"x": x})
    flat = {"x": [round(float(each), 3) for each in x.ravel()], "y": [round(float(each), 7) for each in y.ravel()]}
    write(folder, "known.json", {"shape": [*x.shape], **flat})
    write(folder, "config.json", {"model_type": "resnet"})


def write(folder: Path, name: str, content: Any) -> None:
    """Write a JSON file."""
    (folder / name).write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "check":
        make_check(ROOT / "public" / "browser" / "check")
    else:
        print(make(Path(sys.argv[1]), Path(sys.argv[-1])))
