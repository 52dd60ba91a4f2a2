"""Office files made in a test: the parts that it names, and the relations between them."""

import posixpath
import zipfile
from collections.abc import Mapping
from io import BytesIO

_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
SPACES = f'xmlns:r="{_RELATIONS}" xmlns:w="w" xmlns:a="a" xmlns:p="p" xmlns:c="c" xmlns:dgm="d" xmlns:mc="m"'


def packed(main: str, parts: Mapping[str, str]) -> bytes:
    """Return an archive in which the part `main` refers to all parts beside and below it.

    The kind and the id of a relation are the stem of the other part: "comments" for "word/comments.xml".
    """
    folder, name = posixpath.split(main)
    beside = [part for part in parts if part != main and part.startswith(f"{folder}/") and "_rels" not in part]
    relations = {"_rels/.rels": related({"officeDocument": main})}
    relations[f"{folder}/_rels/{name}.rels"] = related({posixpath.basename(p).split(".")[0]: f"/{p}" for p in beside})
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for part, text in {**relations, **parts}.items():
            archive.writestr(part, text)
    return out.getvalue()


def related(targets: Mapping[str, str]) -> str:
    """Return a part of relations, whose kinds are their ids without digits at the end."""
    items = [
        f'<Relationship Id="{identity}" Type="{_RELATIONS}/{identity.rstrip("0123456789")}" Target="{target}"/>'
        for identity, target in targets.items()
    ]
    return f'<Relationships xmlns="{_PACKAGE}">{"".join(items)}</Relationships>'


def document(body: str, **parts: str) -> bytes:
    """Return a document of Word with further parts, named as files in its folder without their endings."""
    main = f"<w:document {SPACES}><w:body>{body}</w:body></w:document>"
    others = {f"word/{name}.xml": f"<w:{name} {SPACES}>{text}</w:{name}>" for name, text in parts.items()}
    return packed("word/document.xml", {"word/document.xml": main, **others})


def paragraph(text: str, settings: str = "") -> str:
    return f"<w:p><w:pPr>{settings}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"
