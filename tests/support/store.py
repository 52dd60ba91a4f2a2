"""The public catalogue and model store on loopback, in the shape of their protocols, for the genuine SDK.

The SDK asks its own addresses, through a proxy as a company has it: the store takes the CONNECT and speaks TLS with a
certificate of its own authority. `environment` is all that leads there, and nothing of the product knows of it.
"""

import base64
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import trustme

from tests.support.scripted import Script, make

CATALOGUE = "api.catalog.azureml.ms"
BLOBS = "store.blob.core.windows.net"
VOCABULARIES = "openaipublic.blob.core.windows.net"
PIECE = 65536
HOSTS = (CATALOGUE, "*.api.azureml.ms", "*.blob.core.windows.net")


TOKENS = [bytes([number]) for number in range(256)] + [b"th", b"the", b" f"]
VOCABULARY = b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(TOKENS))
"""A small vocabulary in tiktoken's format: every byte, and three merges."""


@dataclass
class Offered:
    """A model of the catalogue; `folder` holds its files, which lie in `v1/` of its container as the real ones do."""

    id: str
    alias: str
    folder: Path
    licence: str = "MIT"
    size: int | None = None

    @property
    def container(self) -> str:
        """The name of the container of its files."""
        return "azureml-" + self.id.replace(":", "-").lower()

    @property
    def asset(self) -> str:
        """The address by which the registry knows it."""
        name, version = self.id.rsplit(":", 1)
        return f"azureml://registries/azureml/models/{name}/versions/{version}"

    def files(self) -> dict[str, Path]:
        """The blobs, by their names."""
        found = (path for path in sorted(self.folder.rglob("*")) if path.is_file())
        return {
            f"v1/{path.relative_to(self.folder).as_posix()}": path
            for path in found
            if path.name != "inference_model.json"
        }


@dataclass
class Store:
    """What is offered, what was asked for, and what goes wrong."""

    offered: list[Offered] = field(default_factory=list)
    refuses: int | None = None
    """The status with which every CONNECT is answered, as by a proxy that forbids the address."""
    fails: int | None = None
    """The status with which the catalogue answers."""
    pace: float = 0.0
    """Seconds that each piece of a file takes."""
    cut: Callable[[int], bool] = lambda served: False
    """Whether to break the connection, by the bytes of files that were served so far."""
    unplugged: bool = False
    """Whether every connection breaks."""
    stalled: bool = False
    """Whether files stop to arrive, while connections stay."""
    spoil: Callable[[str, bytes], bytes] = lambda name, data: data
    """What is served in place of the bytes of a file."""
    vocabulary: bytes | None = None
    """What is served as tiktoken's vocabulary; nothing is a 404."""
    asked: list[str] = field(default_factory=list)
    """The requests: method, address and range of bytes."""
    sent: int = 0
    """Bytes of files."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self.authority = trustme.CA()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(*HOSTS).configure_cert(self.tls)
        handler = type("Handler", (_Handler,), {"store": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def environment(self, folder: Path) -> dict[str, str]:
        """What makes the SDK ask here; the certificate is written into the folder."""
        self.authority.cert_pem.write_to_path(str(folder / "authority.pem"))
        return {
            "HTTPS_PROXY": f"http://127.0.0.1:{self._server.server_port}",
            "SSL_CERT_FILE": str(folder / "authority.pem"),
        }

    def close(self) -> None:
        """Be gone."""
        self._server.shutdown()
        self._server.server_close()

    def count(self, size: int) -> bool:
        """Take note of bytes that are about to be sent; False to break the connection instead."""
        with self._lock:
            whole = not (self.unplugged or self.cut(self.sent))
            self.sent += size if whole else 0
            return whole


TINY = (
    Script(alias="qwen2.5-0.5b", say="I do not know.", size_mb=None),
    Script(alias="qwen2.5-1.5b", say="The ferry leaves at 9:30 [1].", weight_mb=48, size_mb=None),
)
"""The pair for small machines."""

LARGE = (
    Script(
        alias="phi-4-mini",
        id="Phi-4-mini-instruct-generic-cpu:5",
        say="A ferry leaves at 9:30 [1].",
        weight_mb=16,
        size_mb=None,
    ),
    Script(alias="gpt-oss-20b", say="The ferry leaves at half past nine [1].", size_mb=None),
)
"""The pair for large machines, without its size."""


@contextmanager
def offering(folder: Path, *models: Script) -> Iterator[Store]:
    """A store with these models."""
    made = make(folder / "made", *models)
    shop = Store([Offered(it.full_id, it.alias, made / "Microsoft" / it.full_id.replace(":", "-")) for it in models])
    try:
        yield shop
    finally:
        shop.close()


class _Handler(BaseHTTPRequestHandler):
    store: Store
    protocol_version = "HTTP/1.1"
    host = ""

    def parse_request(self) -> bool:
        if self.store.unplugged:
            self.close_connection = True
            return False
        return super().parse_request()

    def do_CONNECT(self) -> None:
        self.store.asked.append(f"CONNECT {self.path}")
        if self.store.refuses:
            self.send_error(self.store.refuses)
            return
        self.host = self.path.split(":")[0]
        self.send_response(200)
        self.end_headers()
        try:
            self.connection = self.request = self.store.tls.wrap_socket(self.connection, server_side=True)
        except OSError:
            self.close_connection = True
            return
        self.setup()
        self.close_connection = False

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.store.asked.append(f"POST {self.host}{self.path}")
        if self.store.fails:
            self._answer(self.store.fails, b"{}", "application/json")
            return
        wanted = {one["field"].rsplit("/", 1)[-1]: one["values"] for one in asked["filters"]}
        models = [_record(one) for one in self.store.offered if "cpu" in wanted.get("device", ["cpu"])]
        self._answer(200, json.dumps({"totalCount": len(models), "value": models}).encode(), "application/json")

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = parse_qs(address.query)
        self.store.asked.append(f"{self.command} {self.host}{address.path} {self.headers.get('x-ms-range', '')}")
        if self.host == VOCABULARIES:
            known = self.store.vocabulary is not None and address.path == "/encodings/o200k_base.tiktoken"
            self._answer(200 if known else 404, self.store.vocabulary or b"", "application/octet-stream")
            return
        if self.host.endswith(".api.azureml.ms"):
            found = [one for one in self.store.offered if one.asset == query["assetId"][0]]
            body = (
                {"blobSasUri": f"https://{BLOBS}/{found[0].container}?sv=2024-05-04&sr=c&sp=rl&sig=x"} if found else {}
            )
            self._answer(200 if found else 404, json.dumps(body).encode(), "application/json")
            return
        _, container, *name = unquote(address.path).split("/", 2)
        model = next(one for one in self.store.offered if one.container == container)
        if query.get("comp") == ["list"]:
            self._answer(200, _listing(model), "application/xml")
        else:
            self._file(name[0], model.files()[name[0]])

    do_HEAD = do_GET  # noqa: N815 - the name that is looked for

    def _file(self, name: str, path: Path) -> None:
        data = self.store.spoil(name, path.read_bytes())
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("x-ms-range") or self.headers.get("Range") or "")
        first = int(asked[1]) if asked else 0
        last = min(int(asked[2]) if asked and asked[2] else len(data), len(data) - 1)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last - first + 1))
        for header, value in _BLOB.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        for start in range(first, last + 1, PIECE):
            piece = data[start : min(start + PIECE, last + 1)]
            while self.store.stalled:
                time.sleep(0.02)
            time.sleep(self.store.pace)
            if not self.store.count(len(piece)):
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(piece)

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):
            self.close_connection = True
        self.connection.close()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


_BLOB = {
    "Content-Type": "application/octet-stream",
    "Last-Modified": "Fri, 14 Nov 2025 07:37:27 GMT",
    "ETag": '"0x8DE2350A9009EF0"',
    "x-ms-request-id": "00000000-0000-0000-0000-000000000000",
    "x-ms-version": "2024-08-04",
    "x-ms-creation-time": "Fri, 14 Nov 2025 07:37:27 GMT",
    "x-ms-lease-status": "unlocked",
    "x-ms-lease-state": "available",
    "x-ms-blob-type": "BlockBlob",
    "x-ms-server-encrypted": "true",
    "Accept-Ranges": "bytes",
}


def _record(model: Offered) -> dict[str, Any]:
    name, version = model.id.rsplit(":", 1)
    size = model.size or sum(path.stat().st_size for path in model.files().values())
    return {
        "assetId": model.asset,
        "entityId": model.asset,
        "annotations": {
            "tags": {"alias": model.alias, "foundryLocal": "", "task": "chat-completion"},
            "systemCatalogData": {
                "publisher": "Microsoft",
                "license": model.licence,
                "licenseDescription": f"This model is provided under the {model.licence} licence.",
                "inferenceTasks": ["chat-completion"],
                "displayName": name,
                "maxOutputTokens": 2048,
                "textContextWindow": 8192,
                "deploymentOptions": ["Foundry Local on Devices"],
            },
        },
        "properties": {
            "id": model.id,
            "name": name,
            "version": int(version),
            "creationContext": {"createdTime": "2025-11-14T07:39:18.7283746+00:00"},
            "variantInfo": {
                "parents": [{"assetId": f"azureml://registries/azureml/models/{model.alias}/versions/1"}],
                "variantMetadata": {
                    "modelType": "ONNX",
                    "device": "cpu",
                    "executionProvider": "CPUExecutionProvider",
                    "fileSizeBytes": size,
                },
            },
        },
    }


def _listing(model: Offered) -> bytes:
    blobs = "".join(
        f"<Blob><Name>{escape(name)}</Name><Properties><Creation-Time>Fri, 14 Nov 2025 07:37:27 GMT</Creation-Time>"
        f"<Last-Modified>Fri, 14 Nov 2025 07:37:27 GMT</Last-Modified><Etag>0x8DE2350A9009EF0</Etag>"
        f"<Content-Length>{path.stat().st_size}</Content-Length><Content-Type>application/octet-stream</Content-Type>"
        "<BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier><LeaseStatus>unlocked</LeaseStatus>"
        "<LeaseState>available</LeaseState><ServerEncrypted>true</ServerEncrypted></Properties></Blob>"
        for name, path in model.files().items()
    )
    address = f"https://{BLOBS}/"
    return (
        f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="{address}" '
        f'ContainerName="{model.container}"><Blobs>{blobs}</Blobs><NextMarker /></EnumerationResults>'
    ).encode()
