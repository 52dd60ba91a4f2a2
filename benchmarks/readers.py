"""Our readers beside independent extractors, on the files of any folder: which words are lost, and which are invented.

The extractors find characters, not structure: pdftotext (poppler) for PDF, the text nodes of the XML for Office formats
and books, and the decoded text of HTML, mail and plain text, without their tags. A word of theirs that ours lack may be
one that no reader sees (a hidden slide, a page number), so the lists of words are there to be looked at.
"""

import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from email import message_from_bytes, policy
from email.message import Message
from html import unescape
from io import BytesIO
from pathlib import Path
from typing import Any
from unicodedata import normalize

from app.documents import readers
from app.documents.folder import scan
from app.errors import EscalatorError, UnreadableFile
from benchmarks.measuring import Tell

MAX_BYTES = 200_000_000
SECONDS = 60
SHOWN = 12
"""Words of a file that are listed."""

_SHEETS = (".xlsx", ".xlsm", ".xltx", ".xltm", ".ods")
_OOXML = (".docx", ".docm", ".dotx", ".dotm", ".pptx", ".pptm", ".ppsx", ".potx", *_SHEETS[:4])
_WORD = re.compile(r"[^\W_]+")
_HYPHEN = re.compile("(?<=[^\\W\\d_])[-\xad\u2010]\\s*\\n\\s*|\xad|\u200b")
_OOXML_PARTS = re.compile(
    r"word/(?:document|footnotes|endnotes|comments|header\d*|footer\d*)\.xml|ppt/(?:slides|notesSlides)/[^/]*\.xml|"
    r"xl/(?:sharedStrings|comments\d*|worksheets/[^/]*)\.xml|(?:word|ppt|xl)/(?:charts/chart|diagrams/data)[^/]*\.xml"
)
_OOXML_TEXT = re.compile(
    r"<(?:\w+:)?t(?:\s[^>]*)?>([^<]*)<|<c:v>([^<]*)<|</(?:\w+:)?(?:p|si|is|c|comment)>|<(?:\w+:)?(?:tab|br|cr)\b"
)
_UNSEEN = re.compile(r"<(script|style|head|text:tracked-changes)\b.*?</\1>|<!--.*?-->", re.DOTALL | re.IGNORECASE)
_INLINE = re.compile(r"</?(?:text:span|text:a|span|b|i|em|strong|a|font|u|sub|sup|code)\b[^>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True, slots=True)
class Compared:
    """One file: the number of its distinct words by the independent extractor, and the shares of those that differ."""

    file: str
    format: str
    words: int
    lost: float
    invented: float
    lost_words: list[str]
    invented_words: list[str]


def compare(folder: Path, tell: Tell) -> dict[str, Any]:
    """Compare all files of a folder; raises EscalatorError.

    files    by the share of lost words, largest first
    formats  the files of each format together
    failed   files that either side could not read, with the reason
    skipped  the number of files without an independent extractor
    """
    compared: list[Compared] = []
    totals: dict[str, dict[str, int]] = {}
    failed, skipped = {}, 0
    for file, _, path in scan(folder):
        suffix = Path(file).suffix.lower()
        if isinstance(path, str) and (extract := _extractor(suffix)):
            try:
                ours = words("\n".join(page.text for page in readers.read(Path(path), MAX_BYTES).pages))
                theirs = words(extract(Path(path).read_bytes()))
                if suffix in _SHEETS:  # which show numbers as they are formatted
                    ours, theirs = ({word for word in found if not word.isdecimal()} for found in (ours, theirs))
            except Exception as error:  # damaged files make parsers raise anything
                failed[file] = str(error) if isinstance(error, UnreadableFile) else f"{type(error).__name__}: {error}"
                continue
            lost, invented = sorted(theirs - ours), sorted(ours - theirs)
            shares = _share(len(lost), len(theirs)), _share(len(invented), len(ours))
            compared.append(Compared(file, suffix, len(theirs), *shares, lost[:SHOWN], invented[:SHOWN]))
            total = totals.setdefault(suffix, {"files": 0, "words": 0, "read": 0, "lost": 0, "invented": 0})
            for name, count in zip(total, (1, len(theirs), len(ours), len(lost), len(invented)), strict=True):
                total[name] += count
            if len(compared) % 100 == 0:
                tell(f"{len(compared)} files")
        else:
            skipped += 1
    if not compared:
        raise EscalatorError(f"{folder} has no file that can be compared. Give a folder of PDF, Office or text files.")
    return {
        "files": [asdict(each) for each in sorted(compared, key=lambda each: (-each.lost, each.file))],
        "formats": {suffix: _shares(total) for suffix, total in sorted(totals.items())},
        "failed": failed,
        "skipped": skipped,
    }


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Format the figures for a person."""
    for each in result["files"]:
        if each["lost"] or each["invented"]:
            yield f"{each['lost']:7.1%} lost {each['invented']:7.1%} invented  {each['file']}"
            yield f"        lost: {' '.join(each['lost_words'])} · invented: {' '.join(each['invented_words'])}"
    yield from (f"failed  {file}: {reason}" for file, reason in result["failed"].items())
    for suffix, total in result["formats"].items():
        shares = f"{total['lost']:7.2%} lost {total['invented']:7.2%} invented"
        yield f"{suffix:8} {total['files']:5} files {total['words']:9} words {shares}"
    yield f"{len(result['failed'])} failed, {result['skipped']} without an independent extractor"


def words(text: str) -> set[str]:
    """Return the distinct words of a text; those that a line breaks at a hyphen are joined."""
    return set(_WORD.findall(normalize("NFKC", _HYPHEN.sub("", text)).casefold()))


def _shares(total: dict[str, int]) -> dict[str, float]:
    lost, invented = _share(total["lost"], total["words"]), _share(total["invented"], total["read"])
    return {"files": total["files"], "words": total["words"], "lost": lost, "invented": invented}


def _share(part: int, whole: int) -> float:
    return round(part / max(1, whole), 4)


def _extractor(suffix: str) -> Callable[[bytes], str] | None:
    if suffix == ".pdf":
        return _pdf if shutil.which("pdftotext") else None
    if suffix in _OOXML:
        return _ooxml
    if suffix in (".odt", ".ods", ".odp", ".epub"):
        return _zipped
    if suffix in (".html", ".htm", ".xhtml"):
        return lambda data: _untagged(_decoded(data))
    if suffix == ".eml":
        return lambda data: "\n".join(_mail(message_from_bytes(data, policy=policy.default)))
    format_ = readers.SUFFIXES.get(suffix)
    return _decoded if suffix in (".csv", ".tsv") or (format_ is not None and format_.trusted) else None


def _pdf(data: bytes) -> str:
    command = ["pdftotext", "-enc", "UTF-8", "-", "-"]
    done = subprocess.run(command, input=data, capture_output=True, timeout=SECONDS, check=True)  # noqa: S603
    return done.stdout.decode("utf-8", "replace")


def _ooxml(data: bytes) -> str:
    with zipfile.ZipFile(BytesIO(data)) as package:
        names = [name for name in package.namelist() if _OOXML_PARTS.fullmatch(name.replace("\\", "/"))]
        texts = [package.read(name).decode("utf-8", "replace") for name in names]
    return "\n".join(
        unescape("".join(match[1] or match[2] or " " for match in _OOXML_TEXT.finditer(text))) for text in texts
    )


def _zipped(data: bytes) -> str:
    with zipfile.ZipFile(BytesIO(data)) as package:
        names = [name for name in package.namelist() if name == "content.xml" or name.endswith((".xhtml", ".html"))]
        return "\n".join(_untagged(package.read(name).decode("utf-8", "replace")) for name in names)


def _mail(part: Message) -> Iterator[str]:
    """Yield the headers, the texts and the names of files of a message and of those within it."""
    for inner in part.walk():
        yield from (str(inner.get(name, "")) for name in ("Subject", "From", "To", "Cc", "Date"))
        yield inner.get_filename() or ""
        payload = inner.get_payload(decode=True)
        if inner.get_content_maintype() == "text" and isinstance(payload, bytes):
            text = _decoded(payload)
            yield _untagged(text) if inner.get_content_subtype() == "html" else text


def _untagged(text: str) -> str:
    return unescape(_TAG.sub(" ", _INLINE.sub("", _UNSEEN.sub(" ", text))))


def _decoded(data: bytes) -> str:
    for encoding in ("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "cp1252"):
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    return data.decode("latin-1")
