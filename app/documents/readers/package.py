"""Office files: a zip of XML parts, opened with limits on what it may grow to; it knows no format."""

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import NamedTuple
from xml.etree.ElementTree import Element, XMLParser
from zipfile import ZipFile

from app.documents.readers.elements import MAX_ELEMENTS, Builder
from app.errors import UnreadableFile

MAX_UNPACKED = 300_000_000
MAX_RATIO = 200
"""How many times its size a file may unpack to, above a tenth of what any may."""

MAX_PARTS = 20_000

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_CHUNK = 1 << 16


class Relation(NamedTuple):
    """What one part says of another: the last word of the kind of relation, and the other's name."""

    kind: str
    target: str


@contextmanager
def opened(data: bytes, suffix: str) -> Iterator["Package"]:
    """The parts of a file whose name ends in `suffix`; whatever goes wrong inside is raised as UnreadableFile."""
    if data.startswith(_OLE):
        if _ENCRYPTED in data:
            raise UnreadableFile("it is protected with a password; save it without one")
        raise UnreadableFile(
            f"it is in an old format of Office under a new name; open it there and save it as {suffix}"
        )
    try:
        with ZipFile(BytesIO(data)) as archive:
            _check(archive, len(data))
            yield Package(archive)
    except UnreadableFile:
        raise
    except Exception as error:  # damaged files raise anything, from zlib.error to RecursionError
        raise UnreadableFile(
            f"it cannot be read ({type(error).__name__}); it may be damaged, save it as {suffix} again"
        ) from None


class Package:
    """The parts of one file. Names are without namespaces, but "r:id" stays apart from "id"."""

    def __init__(self, archive: ZipFile):
        self._archive = archive
        self._names = set(archive.namelist())
        self._left = MAX_ELEMENTS

    def main(self) -> str:
        """The name of the part that all others hang on."""
        return self.one("", "officeDocument") or "it has none"

    def one(self, name: str, kind: str) -> str | None:
        """The part that another one names for a purpose, such as "styles"."""
        return next((found.target for found in self.related(name).values() if found.kind == kind), None)

    def related(self, name: str) -> dict[str, Relation]:
        """The parts that a part names, by the ids it has for them."""
        folder, file = posixpath.split(name)
        relations = f"{folder}/_rels/{file}.rels".lstrip("/")
        if relations not in self._names:
            return {}
        return {
            item.get("Id", ""): Relation(
                item.get("Type", "").rpartition("/")[2],
                posixpath.normpath(posixpath.join("/", folder, item.get("Target", ""))).lstrip("/"),
            )
            for item in self.tree(relations)
            if item.get("TargetMode") != "External"
        }

    def tree(self, name: str) -> Element:
        """The root of a part."""
        (root,) = self.stream(name)
        return root

    def stream(self, name: str, *wanted: str) -> Iterator[Element]:
        """The elements of some names, one after the other and emptied behind the caller; the root if none is named."""
        builder = Builder(wanted, self._left)
        parser = XMLParser(target=builder)  # noqa: S314 - see Builder.doctype
        with self._archive.open(name) as file:  # which yields no more than the directory says
            while chunk := file.read(_CHUNK):
                parser.feed(chunk)
                ready, builder.ready = builder.ready, []
                for element in ready:
                    yield element
                    element.clear()
        root = parser.close()
        self._left = builder.left
        if not wanted:
            yield root


def _check(archive: ZipFile, size: int) -> None:
    """Raises UnreadableFile if the parts are more than the file should hold."""
    parts = archive.infolist()
    unpacked = sum(part.file_size for part in parts)
    if len(parts) > MAX_PARTS or unpacked > MAX_UNPACKED or unpacked > max(MAX_RATIO * size, MAX_UNPACKED // 10):
        raise UnreadableFile(
            f"it unpacks to {unpacked / 1_000_000:.0f} MB in {len(parts)} parts, too much for its size; "
            "save it again, or split it into several files"
        )
