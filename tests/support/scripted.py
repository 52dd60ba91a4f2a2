"""Models whose every word is known, for the genuine runtime: a graph without weights that recites a script.

The key/value cache keeps the token history. Each spelling of a keyword is one token, so that finding it is a
comparison; the keyword that stands last before the answer chooses the answer. The graph counts the tokens since the
last `<|assistant|>` and gives all probability to that token of the chosen answer.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

CONTROL = ("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
CHANNELS = ("<|start|>", "<|channel|>", "<|message|>", "<|return|>")
THINKING = ("<think>", "</think>")  # visible text, yet one token each
PAD, USER, ASSISTANT, END = "<|endoftext|>", "<|user|>", "<|assistant|>", "<|end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

# B batch, S new tokens, T all tokens so far, K spellings of keywords; past and present are the history.
GRAPH = """
<ir_version: 9, opset_import: ["": 18]>
scripted (int64[B,S] input_ids, int64[B,T] attention_mask, float[B,1,P,1] past_key_0, float[B,1,P,1] past_value_0)
    => (float[B,S,V] logits, float[B,1,T,1] present_key_0, float[B,1,T,1] present_value_0)
{
    tokens = Cast <to = 1> (input_ids)
    current = Unsqueeze (tokens, axes13)
    present_key_0 = Concat <axis = 2> (past_key_0, current)
    present_value_0 = Concat <axis = 2> (past_value_0, current)
    history = Squeeze (present_key_0, axes13)
    shape = Shape (history)
    total = Gather (shape, one)
    position = Range (zero, total, one)

    is_assistant = Equal (history, assistant)
    assistant_at = Where (is_assistant, position, minus)
    answer_at = ReduceMax <keepdims = 1> (assistant_at, axis1)

    new_shape = Shape (input_ids)
    new = Gather (new_shape, one)
    first = Sub (total, new)
    query = Range (first, total, one)
    since = Sub (query, answer_at)
    not_before = Max (since, zero)
    step = Min (not_before, last)

    is_scope = Equal (history, scope)
    scope_at_all = Where (is_scope, position, minus)
    scope_at = ReduceMax <keepdims = 1> (scope_at_all, axis1)
    behind_scope = Greater (position, scope_at)
    in_prompt = Less (position, answer_at)
    in_scope = And (behind_scope, in_prompt)
    scoped = Where (in_scope, position, minus)
    scoped3 = Unsqueeze (scoped, axis2)
    history3 = Unsqueeze (history, axis2)
    is_keyword = Equal (history3, keywords)
    keyword_at = Where (is_keyword, scoped3, minus)
    keyword_last = ReduceMax <keepdims = 0> (keyword_at, axis1)
    nought = Mul (answer_at, zero)
    default_last = Add (nought, minus)
    candidates = Concat <axis = 1> (default_last, keyword_last)
    choice = ArgMax <axis = 1, keepdims = 1> (candidates)
    number = Gather (answers, choice)
    offset = Mul (number, length)
    index = Add (offset, step)
    target = Gather (scripts, index)
    plain = OneHot <axis = -1> (target, depth, off_on)

    any_token = ReduceMax <keepdims = 0> (tokens)
    nothing = Mul (any_token, float_zero)
    begin = Add (matrix, nothing)
    worked = Loop (rounds, go_on, begin) <body = work
        (int64 round, bool going, float[256,256] x) => (bool going_on, float[256,256] y)
        {
            going_on = Identity (going)
            y = MatMul (x, matrix)
        }>
    most = ReduceMax <keepdims = 0> (worked)
    no_more = Mul (most, float_zero)
    logits = Add (plain, no_more)
}
"""
WEIGHT_MB = 4  # of one matrix; a real model has many of middling size too


@dataclass(frozen=True, slots=True)
class Script:
    """A model to be made: what it says, and when it says something else.

    `when` maps a keyword to the answer given when it stands last in the prompt; no keyword may be part of another.
    With `scope` "turn" only the last message counts. `work` slows every token: 100 is about 10 ms on a small machine.
    `reasoning` are the markers that its catalogue entry declares, `size_mb` the size that it claims, if any; the graph
    really has `weight_mb` of weights.
    """

    alias: str
    say: str
    when: Mapping[str, str] = field(default_factory=dict)
    id: str = ""
    scope: str = "prompt"
    work: int = 0
    context: int = 8192
    reasoning: tuple[str, str] | None = None
    size_mb: int | None = 1
    weight_mb: int = 0

    @property
    def full_id(self) -> str:
        """The id under which it is served."""
        return self.id or f"{self.alias}-instruct-generic-cpu:1"


def make(cache: Path, *scripts: Script) -> Path:
    """Write the models into a model cache, which is made if need be; returns the cache."""
    cache.mkdir(parents=True, exist_ok=True)
    for script in scripts:
        _write(cache, script)
    return cache


def built(script: Script) -> tuple[Any, Any, int]:
    """Build the graph of a model, its tokenizer, and the token that ends an answer."""
    import onnx
    from tokenizers import AddedToken

    texts = [script.say, *script.when.values()]
    tokenizer = _tokenizer(texts)
    end = tokenizer.token_to_id("<|return|>" if any("<|return|>" in text for text in texts) else END)
    lines = [tokenizer.encode(text).ids for text in texts]  # before the keywords become tokens of their own
    lines = [line if line[-1:] == [end] else [*line, end] for line in lines]
    numbers: dict[int, int] = {}
    for number, keyword in enumerate(script.when, start=1):
        for form in {keyword, keyword.lower(), keyword.upper(), keyword.capitalize(), keyword.title()}:
            tokenizer.add_tokens([AddedToken(form, special=False, normalized=False)])
            if numbers.setdefault(tokenizer.token_to_id(form), number) != number:
                raise ValueError(f"two answers share the keyword {form!r}")
    model = onnx.parser.parse_model(_graph(script.weight_mb // WEIGHT_MB))
    model.graph.initializer.extend(_constants(script, tokenizer, lines, numbers, end))
    model.graph.output[0].type.tensor_type.shape.dim[2].dim_value = tokenizer.get_vocab_size()
    return model, tokenizer, end


def special_tokens(tokenizer: Any, end: int) -> dict[str, str]:
    """Return the names of the tokens that are no text."""
    return {"bos_token": PAD, "eos_token": tokenizer.id_to_token(end), "pad_token": PAD, "unk_token": PAD}


def tokenizer_config(script: Script, tokenizer: Any, end: int) -> dict[str, Any]:
    """Return how prompts become tokens."""
    tokens = {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": False, "model_max_length": script.context}
    return {**tokens, **special_tokens(tokenizer, end), "chat_template": CHAT_TEMPLATE}


def _write(cache: Path, script: Script) -> None:
    import onnx

    model, tokenizer, end = built(script)
    folder = cache / "Microsoft" / script.full_id.replace(":", "-")
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    tokenizer.save(str(folder / "tokenizer.json"))
    _dump(folder / "special_tokens_map.json", special_tokens(tokenizer, end))
    _dump(folder / "tokenizer_config.json", tokenizer_config(script, tokenizer, end))
    _dump(folder / "inference_model.json", {"Name": script.full_id})
    _dump(folder / "genai_config.json", _genai_config(script, tokenizer, end))
    catalogue = cache / "foundry.modelinfo.json"
    others = json.loads(catalogue.read_text(encoding="utf-8"))["models"] if catalogue.exists() else []
    models = [entry for entry in others if entry["id"] != script.full_id] + [_entry(script)]
    _dump(catalogue, {"version": 1, "savedAtUnix": 1_760_000_000, "models": models})


def _graph(matrices: int) -> str:
    """The graph, in which so many matrices of nothing are looked into at every step."""
    steps = ["sum0 = Add (plain, no_more)"]
    for n in range(matrices):
        steps += [f"row{n} = Gather (weight{n}, choice)", f"top{n} = ReduceMax <keepdims = 0> (row{n})"]
        steps += [f"sum{n + 1} = Add (sum{n}, top{n})"]
    steps += [f"logits = Identity (sum{matrices})"]
    return GRAPH.replace("logits = Add (plain, no_more)", "\n".join(steps)) if matrices else GRAPH


def _tokenizer(texts: list[str]) -> Any:
    """Byte-level BPE over the answers; any other text falls back to single bytes."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        min_frequency=2,
        special_tokens=[*CONTROL, *CHANNELS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in THINKING])
    return tokenizer


def _constants(script: Script, tokenizer: Any, lines: list[list[int]], numbers: dict[int, int], end: int) -> list[Any]:
    import numpy as np
    from onnx import numpy_helper

    longest = max(map(len, lines))
    table = [[*line, *[end] * (longest - len(line))] for line in lines]
    nowhere = -1.0
    integers = {
        "scripts": np.ravel(table),
        "answers": [0, *(numbers.values() or [0])],
        "zero": 0,
        "one": 1,
        "minus": -1,
        "last": longest - 1,
        "length": longest,
        "depth": tokenizer.get_vocab_size(),
        "rounds": script.work,
        "axis1": [1],
        "axis2": [2],
        "axes13": [1, 3],
    }
    floats: dict[str, Any] = {
        "assistant": tokenizer.token_to_id(ASSISTANT),
        "scope": tokenizer.token_to_id(USER) if script.scope == "turn" else nowhere,
        "keywords": list(numbers) or [nowhere],
        "off_on": [-60.0, 60.0],
        "float_zero": 0.0,
        **{f"weight{n}": np.zeros((1024, 1024)) for n in range(script.weight_mb // WEIGHT_MB)},
        "matrix": _matrix(),
    }
    return [
        *(numpy_helper.from_array(np.asarray(value, np.int64), name) for name, value in integers.items()),
        *(numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in floats.items()),
        numpy_helper.from_array(np.asarray(True, np.bool_), "go_on"),
    ]


@cache
def _matrix() -> Any:
    """A matrix that is orthogonal, so that however many products are taken the values stay as they are."""
    import numpy as np

    return np.linalg.qr(np.random.default_rng(0).normal(size=(256, 256)))[0]


def _genai_config(script: Script, tokenizer: Any, end: int) -> dict[str, Any]:
    pad = tokenizer.token_to_id(PAD)
    one = dict.fromkeys(("head_size", "hidden_size", "num_attention_heads", "num_key_value_heads"), 1)
    return {
        "model": {
            "type": "phi3",
            "bos_token_id": pad,
            "eos_token_id": [end],
            "pad_token_id": pad,
            "context_length": script.context,
            "vocab_size": tokenizer.get_vocab_size(),
            "decoder": {
                "session_options": {"provider_options": []},
                "filename": "model.onnx",
                **one,
                "num_hidden_layers": 1,
                "inputs": {
                    "input_ids": "input_ids",
                    "attention_mask": "attention_mask",
                    "past_key_names": "past_key_%d",
                    "past_value_names": "past_value_%d",
                },
                "outputs": {
                    "logits": "logits",
                    "present_key_names": "present_key_%d",
                    "present_value_names": "present_value_%d",
                },
            },
        },
        "search": {
            "do_sample": False,
            "max_length": script.context,
            "min_length": 0,
            "num_beams": 1,
            "past_present_share_buffer": False,
            "repetition_penalty": 1.0,
            "temperature": 1.0,
            "top_k": 1,
            "top_p": 1.0,
        },
    }


def _entry(script: Script) -> dict[str, Any]:
    """The model's entry in the saved catalogue, by which the runtime knows it without a network."""
    name, version = script.full_id.rsplit(":", 1)
    longest = script.context // 2
    entry: dict[str, Any] = {
        "id": script.full_id,
        "name": name,
        "version": int(version),
        "alias": script.alias,
        "displayName": script.alias,
        "uri": "",
        "providerType": "FoundryLocal",
        "modelType": "ONNX",
        "publisher": "local",
        "task": "chat-completion",
        "createdAt": 1_760_000_000,
        "fileSizeMb": script.size_mb and round(script.size_mb / 1.048576),  # the catalogue counts mebibytes
        "maxOutputTokens": longest,
        "runtime": {"deviceType": "CPU", "executionProvider": "CPUExecutionProvider"},
        "intProperties": {"context_length": script.context, "max_output_tokens": longest},
        "stringProperties": {"task": "chat-completion", "input_modalities": "text", "output_modalities": "text"},
    }
    if script.reasoning:
        start, end = script.reasoning
        entry |= {"supportsReasoning": True, "reasoningStart": start, "reasoningEnd": end}
        entry["intProperties"]["supports_reasoning"] = 1
        entry["stringProperties"] |= {"reasoning_start": start, "reasoning_end": end}
    return entry


def _dump(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False), encoding="utf-8")
