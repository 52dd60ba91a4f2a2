"""Models that run in a browser: which there are, and the files of transformers.js that run them.

A model is a folder below public/models, in the layout of transformers.js: config.json, and the graphs in onnx/.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.settings import ROOT

PRECISIONS = {
    "model": "fp32",
    "model_fp16": "fp16",
    "model_int8": "int8",
    "model_uint8": "uint8",
    "model_quantized": "q8",
    "model_q4": "q4",
    "model_q4f16": "q4f16",
}
"""The precisions of transformers.js, by the names of their graphs."""


@dataclass(frozen=True, slots=True)
class Package:
    """An archive of npm, and of the files in its folder dist the size and SHA-256 of those that are needed."""

    name: str
    version: str
    size: int
    sha256: str
    files: dict[str, tuple[int, str]]

    @property
    def path(self) -> str:
        """Where a registry has it."""
        return f"{self.name}/-/{self.archive}"

    @property
    def kept(self) -> int:
        """The bytes of the files."""
        return sum(size for size, _ in self.files.values())

    @property
    def archive(self) -> str:
        """The name of the archive."""
        return f"{self.name.rpartition('/')[2]}-{self.version}.tgz"


# ONNX Runtime Web in the version on which this transformers.js depends: another one has other names of functions.
PACKAGES = (
    Package(
        "@huggingface/transformers",
        "4.3.1",
        2_268_123,
        "0325441d6bd7bc7697fccb32ee6e5febc7f89691e42402d071adc678237b8015",
        {"transformers.min.js": (586_230, "8d6716d9086f57c30a4bf367dba61b887593573c770c454465e8019b2703e743")},
    ),
    Package(
        "onnxruntime-web",
        "1.31.0-dev.20260914-8d85527a0",
        33_185_781,
        "0de27582f3e3189dec4a2082513a0af1ea79ae7fd3039bbfe634a526e173cbe0",
        {
            "ort-wasm-simd-threaded.asyncify.mjs": (
                53_057,
                "0966b6105cd936744498aa60df7a22cbd47af3374dbc64a9ab561c08a71e3611",
            ),
            "ort-wasm-simd-threaded.asyncify.wasm": (
                26_861_777,
                "49871f5a4409519797e127440868a6d1923339d9185907f301a5b2a1d90af082",
            ),
        },
    ),
)


@dataclass(frozen=True, slots=True)
class BrowserModel:
    """A model; its `version` is another one when a file of it is another one. `size` is that of all files, in bytes."""

    name: str
    version: str
    precisions: tuple[str, ...]
    size: int


def public() -> Path:
    """Return the folder from which the chat serves files."""
    return Path(os.environ.get("CHAINLIT_APP_ROOT", ROOT)) / "public"


def runtime() -> Path:
    """Return the folder for the files of transformers.js and ONNX Runtime Web, whose name is their version."""
    return public() / "browser" / "runtime" / PACKAGES[0].version


def missing() -> list[str]:
    """Return the names of the files that the runtime lacks."""
    wanted = {name: size for package in PACKAGES for name, (size, _) in package.files.items()}
    there = {path.name: path.stat().st_size for path in runtime().glob("*")}
    return [name for name, size in wanted.items() if there.get(name) != size]


def browser_models() -> Iterator[BrowserModel]:
    """Find the models, also below a folder of their publisher."""
    folder = public() / "models"
    for config in sorted([*folder.glob("*/config.json"), *folder.glob("*/*/config.json")]):
        files = [*config.parent.glob("*.json"), *config.parent.glob("onnx/*")]
        graphs = {path.stem for path in files if path.suffix == ".onnx"}
        if precisions := tuple(name for stem, name in PRECISIONS.items() if stem in graphs):
            states = [(path.name, path.stat()) for path in sorted(files)]
            known = [(name, state.st_size, state.st_mtime_ns) for name, state in states]
            version = hashlib.blake2s(repr(known).encode(), digest_size=6).hexdigest()
            name = config.parent.relative_to(folder).as_posix()
            yield BrowserModel(name, version, precisions, sum(size for _, size, _ in known))


def model_file(path: str) -> tuple[Path, str]:
    """Return the folder of a model and a path in it, for a path with its name and version; "" for another version."""
    begins = {f"{model.name}/{model.version}/": model.name for model in browser_models()}
    begin = next(filter(path.startswith, begins), "")
    return public() / "models" / begins.get(begin, ""), path.removeprefix(begin) if begin else ""
