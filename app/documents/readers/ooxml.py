"""Office files as zip archives of XML parts (ECMA-376, part 2), and numbers as they show them; it sets no limits."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from io import BytesIO
from xml.etree.ElementTree import Element, fromstring
from zipfile import ZipFile

from app.errors import UnreadableFile
from app.translation import mark

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")

_TOKEN = re.compile(
    r'\[\$(?P<currency>[^\[\]-]*)[^\[\]]*\]|\[[^\[\]]*\]|[_*].|"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|(?P<sign>[ %€$£¥₹])'
    r"|(?P<digits>[#0?][#0?,]*)(?:\.(?P<decimals>[#0?]*))?|(?P<other>[E/])"
)

PROTECTED = mark("it is protected with a password; save it without one")


class Package:
    """The archive of a file whose name ends in `suffix`; raises UnreadableFile for a password and for old formats."""

    def __init__(self, data: bytes, suffix: str):
        if data.startswith(_OLE):
            if _ENCRYPTED in data:
                raise UnreadableFile(PROTECTED)
            raise UnreadableFile(
                "it is in an old format of Office under a new name; open it there and save it as {suffix}",
                suffix=suffix,
            )
        self._archive = ZipFile(BytesIO(data))
        self._names = {_key(name): name for name in self._archive.namelist()}
        self._related: dict[str, dict[str, str]] = {}

    def __contains__(self, name: str) -> bool:
        return _key(name) in self._names

    def main(self) -> str:
        """Return the name of the part that refers to all others."""
        return self.related("")["officeDocument"]

    def related(self, name: str) -> dict[str, str]:
        """Return the names of the parts that another refers to, by the ids of the references and by their kinds."""
        if name in self._related:
            return self._related[name]
        folder, file = posixpath.split(name)
        relations = posixpath.join(folder, "_rels", f"{file}.rels")
        targets = self._related[name] = {}
        for item in self.tree(relations) if relations in self else ():
            if item.get("TargetMode") != "External":
                path = item.get("Target", "").replace("\\", "/")
                target = posixpath.normpath(posixpath.join("/", folder, path)).lstrip("/")
                targets[item.get("Id", "")] = targets[item.get("Type", "").rpartition("/")[2]] = target
        return targets

    def linked(self, name: str, kind: str) -> Element:
        """Parse the part that another one refers to as its "styles", for instance; without one, return no element."""
        target = self.related(name).get(kind, "")
        return self.tree(target) if target in self else Element("none")

    def part(self, name: str) -> bytes:
        """Return the bytes of a part."""
        return self._archive.read(self._names[_key(name)])

    def tree(self, name: str) -> Element:
        """Parse a part; names lose their namespaces, but "r:id" stays different from "id"; one of .xlsb is no XML."""
        if name.endswith(".bin"):
            return Element("none")
        root = fromstring(self.part(name))  # noqa: S314 - it loads nothing, and expat stops entities that grow
        for element in root.iter():
            element.tag = _local(element.tag)
            if attributes := element.items():
                element.attrib = {_local(key): value for key, value in attributes}
            if element.tag == "AlternateContent":
                del element[1:]  # one content twice, for newer and older programs
        return root


def value(parent: Element, path: str) -> str:
    """Return the value of a setting, or nothing."""
    setting = parent.find(path)
    return "" if setting is None else setting.get("val", "")


def shown(number: float, code: str) -> str:
    """Show a number as its format does, with a decimal point, no separators of thousands, and a minus before it."""
    before, decimals, after, factor = _parsed(code)
    number *= factor
    plain = decimals is None or abs(number) >= 1e15
    return before + (f"{number:.15g}" if plain else f"{number:.{decimals}f}") + after


@lru_cache(maxsize=256)
def _parsed(code: str) -> tuple[str, int | None, str, int]:
    """Parse a format to the text before a number, its decimals, the text after it, and its factor."""
    tokens = list(_TOKEN.finditer(code.split(";")[0]))
    number = next((index for index, token in enumerate(tokens) if token["digits"]), None)
    if number is None or any(token["other"] for token in tokens):  # powers of ten and fractions are shown plainly
        return "", None, "", 1
    fraction = tokens[number]["decimals"] or ""
    decimals = len(fraction) if set(fraction) <= {"0"} else None
    texts = [token["currency"] or token["quoted"] or token["escaped"] or token["sign"] or "" for token in tokens]
    percent = any(token["sign"] == "%" for token in tokens)
    return "".join(texts[:number]).lstrip(), decimals, "".join(texts[number:]).rstrip(), 100 if percent else 1


def inherited(styles: Mapping[str, Element], identity: str) -> Iterator[tuple[str, Element]]:
    """Yield a style of Word and those that it is based on, with their ids, the nearest first."""
    for _ in styles:
        if (style := styles.get(identity)) is None:
            return
        yield identity, style
        identity = value(style, "basedOn")


def _key(name: str) -> str:
    """Return the name of a part as it is compared: regardless of case; some programs write backslashes."""
    return name.replace("\\", "/").lstrip("/").lower()


@lru_cache(maxsize=4096)
def _local(name: str) -> str:
    space, _, local = name.rpartition("}")
    return "r:id" if local == "id" and space.endswith("relationships") else local
