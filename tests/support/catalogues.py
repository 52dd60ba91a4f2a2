"""`python -m tests.support.catalogues`: add to app/translations what the code says, and drop what it no longer says."""

import ast
import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

import polib

from app import errors
from app.documents.language import SNOWBALL, UNSTEMMED, name
from app.settings import ROOT
from app.translation import ENGLISH, FOLDER, KEPT, LANGUAGES, PAGE

IN_PAGE = re.compile(r"""\bsay\(\s*(['"`])((?:\\.|(?!\1).)*)\1""")
"""A text in public/*.js, in the folders browser and organiser, and in public/elements/*.jsx: `say('Filter')`."""

ERRORS = [name for name, known in vars(errors).items() if isinstance(known, type) and issubclass(known, Exception)]
"""Whose first argument is a text."""

PLURAL_FORMS = {
    "ro": "nplurals=3; plural=(n==1 ? 0 : (n==0 || (n%100 > 0 && n%100 < 20)) ? 1 : 2);",
}
"""The rules of gettext's manual by language; the others have two forms."""


def texts() -> Iterator[tuple[str, str, str]]:
    """Yield each text of the Python code, with its plural and its place, "" where it has none."""
    yield from ((name(code), "", "") for code in SNOWBALL | UNSTEMMED)
    samples = json.loads((ROOT / "app/ui/starters.json").read_text(encoding="utf-8"))
    yield from ((sample["question"], "", "") for sample in samples)
    links = tomllib.loads((ROOT / ".chainlit" / "config.toml").read_text(encoding="utf-8"))["UI"]["header_links"]
    yield from ((link[key], "", "") for link in links for key in ("name", "display_name"))
    for path in sorted((ROOT / "app").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and path.name == "errors.py":
                if node.func.attr == "__init__" and isinstance(node.args[0], ast.Constant):
                    yield node.args[0].value, "", ""
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                words = [each.value for each in node.args if isinstance(each, ast.Constant)]
                strings = [each for each in words if isinstance(each, str)]
                if node.func.id in ("_", "mark", *ERRORS) and strings:
                    kept = node.func.id in ("mark", "UnreadableFile") and "{" in strings[0]
                    yield strings[0], "", KEPT if kept else ""
                elif node.func.id == "plural" and len(strings) == 2:
                    yield strings[0], strings[1], ""
                elif node.func.id == "count" and len(strings) == 1:
                    yield f"{{number}} {strings[0]}", f"{{number}} {strings[0]}s", ""


def texts_of_page() -> set[str]:
    """Return the texts of the page's own files."""
    paths = [
        path
        for kind in ("*.js", "browser/*.js", "organiser/*.js", "elements/*.jsx")
        for path in (ROOT / "public").glob(kind)
    ]
    found = (each for path in paths for each in IN_PAGE.finditer(path.read_text(encoding="utf-8")))
    return {re.sub(r"\\(.)", r"\1", each[2]) for each in found}


@cache
def in_the_code() -> dict[tuple[str, str], set[str]]:
    """Return the places of each text with its plural."""
    places = defaultdict[tuple[str, str], set[str]](set)
    for text, several, place in [*texts(), *((text, "", PAGE) for text in texts_of_page())]:
        places[text, several].add(place)
    return dict(places)


def update(language: str) -> polib.POFile:
    """Return the catalogue of a language with all texts of the code, in alphabetical order."""
    path = FOLDER / f"{language}.po"
    known = {each.msgid: each for each in (polib.pofile(str(path)) if path.is_file() else [])}
    result = polib.POFile(wrapwidth=120)
    result.metadata = {
        "Language": language,
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
        "Plural-Forms": PLURAL_FORMS.get(language, "nplurals=2; plural=(n != 1);"),
    }
    forms = 3 if language in PLURAL_FORMS else 2
    for (text, several), places in sorted(in_the_code().items()):
        entry = known.get(text)
        if entry is None or entry.msgid_plural != several:
            empty = dict.fromkeys(range(forms), "") if several else {}
            entry = polib.POEntry(msgid=text, msgid_plural=several, msgstr_plural=empty)
        entry.occurrences = [(place, "") for place in sorted(places) if place]
        result.append(entry)
    return result


if __name__ == "__main__":
    for language in LANGUAGES:
        if language != ENGLISH:
            made = update(language)
            made.save(str(FOLDER / f"{language}.po"), newline="\n")
            print(f"{language}: {len(made.untranslated_entries())} of {len(made)} texts are to be translated")
