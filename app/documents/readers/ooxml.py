"""Office files as zip archives of XML parts (ECMA-376), numbers as they show them, and the texts of drawings."""

import posixpath
import re
from collections.abc import Container, Iterator, Mapping
from datetime import date, timedelta
from functools import lru_cache
from io import BytesIO
from itertools import groupby
from xml.etree.ElementTree import Element, fromstring
from zipfile import ZipFile

from app.documents.readers.tables import Cells, Row
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


def nested(parent: Element, tag: str, around: Container[str]) -> Iterator[Element]:
    """Yield the elements of a name in order, such as rows, with those in elements `around` them, such as groups."""
    for child in parent:
        if child.tag == tag:
            yield child
        elif child.tag in around:
            yield from nested(child, tag, around)


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


_REFERENCES = {"chart": "r:id", "relIds": "dm"}
"""The elements that refer to a chart and to a diagram, and the attribute that does."""

_CATEGORIES = ("cat", "xVal", "strDim")
_VALUES = ("val", "yVal", "bubbleSize", "numDim")

_NO_CODE = re.compile(r'"[^"]*"|\[[^\[\]]*\]|\\.')
_DATE = re.compile(r"(?<![a-z])[ymd]*[yd][ymd]*(?![a-z])", re.IGNORECASE)
_DAY_ZERO = date(1899, 12, 30)
_DAYS_TO_1904 = 1462
_LAST_DAY = 2_958_465

Points = dict[int, str]
"""The categories or the values of a series, by their index."""


def embed(parts: Package, name: str, content: Element) -> None:
    """Put the charts and diagrams that the content of a part refers to into the elements that do."""
    references = [element for tag in _REFERENCES for element in content.iter(tag)]
    related = parts.related(name) if references else {}
    for reference in references:
        target = related.get(reference.get(_REFERENCES[reference.tag], ""), "")
        if target in parts:
            reference.append(parts.tree(target))


def captions(parts: Package, sheet: str) -> Iterator[tuple[tuple[int, int], str]]:
    """Yield what charts, text boxes and diagrams on a sheet say beside its cells, each with the cell it begins at."""
    drawn = parts.linked(sheet, "drawing")
    embed(parts, parts.related(sheet).get("drawing", ""), drawn)
    for anchor in drawn:
        texts = [_text(part) for tag in ("title", "txBody") for part in anchor.iter(tag)]
        texts += [text for root in anchor.iter("dataModel") for _, text in diagram(root)]
        if text := "; ".join(filter(None, texts)):
            column, row = (int(anchor.findtext(f"from/{axis}", "0")) + 1 for axis in ("col", "row"))
            yield (column, row), f"[{text}]"


def chart(root: Element) -> Iterator[Row]:
    """Yield a row for each category, below the titles of the chart and the names of the series.

    Series with other categories follow below an empty row.
    """
    titles = [text for title in root.iter("title") if (text := _text(title))]
    late = value(root, "date1904") in ("1", "true")
    data = {each.get("id"): each for each in root.iter("data")}  # of the kinds of chart since Office 2016
    series = [(each, data.get(value(each, "dataId"), each)) for tag in ("ser", "series") for each in root.iter(tag)]
    number = 0
    for categories, group in groupby(series, key=lambda pair: _points(pair[1], _CATEGORIES, late)):
        columns: list[tuple[str, Points]] = []
        for place, (each, source) in enumerate(group, 1):
            heading = " ".join(_text(part) for part in each.iterfind("tx")) or f"Series {place}"
            columns += [(heading, points) for kind in _VALUES if (points := _points(source, (kind,), late))]
        rows: list[Cells] = [dict(enumerate(["; ".join(titles) or "Chart", *(name for name, _ in columns)], 1))]
        for index in sorted(set(categories).union(*(points for _, points in columns))):
            values = {column: points[index] for column, (_, points) in enumerate(columns, 2) if index in points}
            rows.append({1: categories.get(index, str(index + 1)), **values})
        yield from enumerate(rows, number + 1)
        number += len(rows) + 1


def _points(series: Element, kinds: tuple[str, ...], late: bool) -> Points:
    """Return the points of a series; of categories on several levels, the outer ones before the inner."""
    source = next((part for part in series if part.tag in kinds), None)
    if source is None:
        return {}
    code = source.findtext(".//formatCode") or ""
    numeric = source.tag == "numDim" or any(source.find(kind) is not None for kind in ("numRef", "numLit"))
    inner, *outer = [
        {
            int(point.get("idx", "0")): _shown(text, point.get("formatCode", code), late) if numeric else text
            for point in level.iter("pt")
            if (text := point.findtext("v") or point.text or "")
        }
        for level in list(source.iter("lvl")) or [source]
    ]
    for level in outer:
        above = ""
        for index in sorted(inner):
            above = level.get(index, above)
            inner[index] = f"{above} {inner[index]}".lstrip()
    return inner


def _shown(text: str, code: str, late: bool) -> str:
    try:
        number = float(text)
    except ValueError:
        return text
    if 0 < number <= _LAST_DAY - _DAYS_TO_1904 and _DATE.search(_NO_CODE.sub("", code)):
        return str(_DAY_ZERO + timedelta(number + _DAYS_TO_1904 * late))
    return shown(number, code)


def diagram(root: Element) -> list[tuple[int, str]]:
    """Return the texts of a diagram, each after the one that it is below, with their depths from 0."""
    texts = {
        point.get("modelId", ""): _text(point) for point in root.iterfind("ptLst/pt") if point.get("type") != "pres"
    }
    links = [link for link in root.iterfind("cxnLst/cxn") if link.get("type", "parOf") == "parOf"]
    below: dict[str, list[str]] = {}
    for link in sorted(links, key=lambda link: int(link.get("srcOrd", "0"))):
        below.setdefault(link.get("srcId", ""), []).append(link.get("destId", ""))

    def lines(point: str, depth: int) -> Iterator[tuple[int, str]]:
        if text := texts.pop(point, ""):
            yield depth, text
        for inner in below.pop(point, ()):
            yield from lines(inner, depth + bool(text))

    inner = {point for points in below.values() for point in points}
    return [line for point in sorted(texts, key=lambda point: point in inner) for line in lines(point, 0)]


def _text(parent: Element) -> str:
    """Return the paragraphs within an element, or the values it takes from a sheet, in one line."""
    paragraphs = ["".join([text.text or "" for text in paragraph.iter("t")]) for paragraph in parent.iter("p")]
    return " ".join(" ".join([*paragraphs, *(cell.text or "" for cell in parent.iter("v"))]).split())
