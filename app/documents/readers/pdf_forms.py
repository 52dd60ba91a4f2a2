"""What was filled in on a PDF page: values of its form, typed text, stamps and comments, each at its place."""

from collections.abc import Callable, Iterator
from contextlib import closing
from ctypes import POINTER, byref, c_ushort, cast, create_string_buffer
from typing import TYPE_CHECKING, Any, NamedTuple

from app.documents.readers.pdf_layout import Row, Run, rows, upright

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

_UNSEEN = 2 | 32
"""Flags of annotations that are hidden or not shown (ISO 32000, 12.5.3)."""

_PASSWORD = 1 << 13
"""Flag of text fields (ISO 32000, 12.7.4.3)."""

_LINE = "_.…"
"""What is printed to be written on."""

_LABEL_GAP = 2.0
"""Points by which a label may overlap its field."""


class Entry(NamedTuple):
    """A value at its place; `label` is the file's name for it, `kind` that of the annotation (FPDF_ANNOT_…)."""

    run: Run
    label: str
    kind: int
    checked: bool


def entries(document: "PdfDocument", number: int, page: "PdfPage", characters: int) -> list[Entry]:
    """Return what was filled in, written or stamped on a page of so many characters, from top to bottom.

    Stamps become part of the page: their text is in their picture only.
    """
    from pypdfium2 import raw

    found: list[Entry] = []
    stamped = False
    for index in range(raw.FPDFPage_GetAnnotCount(page)):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        if not raw.FPDFAnnot_GetFlags(annotation) & _UNSEEN:
            found += _entry(document.formenv, annotation, page.get_rotation() // 90)
            stamped |= raw.FPDFAnnot_GetSubtype(annotation) == raw.FPDF_ANNOT_STAMP
        raw.FPDFPage_CloseAnnot(annotation)
    if stamped and raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY) == raw.FLATTEN_SUCCESS:
        with closing(document[number]) as flat, closing(flat.get_textpage()) as shown:
            drawn = rows(shown, first=characters)
        found = [_drawn(entry, drawn) if entry.kind == raw.FPDF_ANNOT_STAMP else entry for entry in found]
    return sorted((entry for entry in found if entry.run.text), key=lambda entry: -entry.run.top)


def _entry(form: Any, annotation: Any, quarters: int) -> Iterator[Entry]:
    from pypdfium2 import raw

    kind = raw.FPDFAnnot_GetSubtype(annotation)
    label, checked, value = "", False, ""
    if kind == raw.FPDF_ANNOT_WIDGET and form:
        checked = raw.FPDFAnnot_IsChecked(form, annotation) == 1
        label = _string(raw.FPDFAnnot_GetFormFieldAlternateName, form, annotation)
        value = "yes" if checked else _value(form, annotation)
    elif kind not in (raw.FPDF_ANNOT_WIDGET, raw.FPDF_ANNOT_LINK, raw.FPDF_ANNOT_POPUP):
        value = _string(raw.FPDFAnnot_GetStringValue, annotation, b"Contents")
    rect = raw.FS_RECTF()
    if raw.FPDFAnnot_GetRect(annotation, byref(rect)):
        box = upright((rect.left, rect.bottom, rect.right, rect.top), quarters)
        yield Entry(Run(value, *box), label, kind, checked)


def _drawn(stamp: Entry, drawn: list[Row]) -> Entry:
    """Return a stamp with the text that its picture shows, if any."""
    inside = [run.text for row in drawn for run in row if stamp.run.holds(run)]
    return stamp._replace(run=stamp.run._replace(text=" ".join(inside) or stamp.run.text))


def _value(form: Any, annotation: Any) -> str:
    """Return the text of a field, or the options that are chosen in it."""
    from pypdfium2 import raw

    kind = raw.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in (raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX):
        chosen = [
            _string(raw.FPDFAnnot_GetOptionLabel, form, annotation, index)
            for index in range(raw.FPDFAnnot_GetOptionCount(form, annotation))
            if raw.FPDFAnnot_IsOptionSelected(form, annotation, index)
        ]
        return ", ".join(chosen) or _string(raw.FPDFAnnot_GetFormFieldValue, form, annotation)
    if kind == raw.FPDF_FORMFIELD_TEXTFIELD and not raw.FPDFAnnot_GetFormFieldFlags(form, annotation) & _PASSWORD:
        return _string(raw.FPDFAnnot_GetFormFieldValue, form, annotation)
    return ""


def _string(get: Callable[..., int], *arguments: Any) -> str:
    """Return a text that PDFium writes as UTF-16 into memory of the size it asks for."""
    size = get(*arguments, None, 0)
    memory = create_string_buffer(size)
    get(*arguments, cast(memory, POINTER(c_ushort)), size)
    lines = memory.raw[:size].decode("utf-16-le", "ignore").rstrip("\0").replace("\r\n", "\n").replace("\r", "\n")
    return lines.strip()


def placed(laid: list[Row], filled: list[Entry]) -> list[Row]:
    """Return rows with each value after the label that is printed beside it, or in a row with values beside it."""
    from pypdfium2.raw import FPDF_ANNOT_WIDGET

    laid = [list(row) for row in laid]
    labelled: set[tuple[int, int]] = set()
    own: list[Row] = []
    for run, label, kind, checked in filled:
        beside = [
            (distance, row, index)
            for row, printed in enumerate(laid)
            for index, other in enumerate(printed)
            if kind == FPDF_ANNOT_WIDGET and other.beside(run)
            if (distance := _distance(other, run, checked)) > -_LABEL_GAP
        ]
        if not beside:
            run = run._replace(text=f"{label.rstrip(':')}: {run.text}") if label else run
            if own and own[-1][-1].beside(run):
                own[-1].append(run)
            else:
                own.append([run])
            continue
        _, row, index = min(beside)
        printed = laid[row][index]
        text = printed.text.rstrip()
        words = text.rstrip(f"{_LINE} ")
        text = words if sum(map(text[len(words) :].count, _LINE)) >= 3 else text
        mark = "" if (row, index) in labelled or text.endswith((":", "?")) else ":"
        left, right = min(printed.left, run.left), max(printed.right, run.right)
        laid[row][index] = Run(f"{text}{mark} {run.text}", left, printed.bottom, right, printed.top)
        labelled.add((row, index))
    for line in own:
        line.sort(key=lambda run: run.left)
        laid.insert(_place(laid, line[0]), line)
    return laid


def _distance(printed: Run, run: Run, checked: bool) -> float:
    """Return the points between a value and text to its left, or on any side of a checked box; negative for none."""
    right = printed.left - run.right if checked else -_LABEL_GAP
    return max(run.left - printed.right, right)


def _place(laid: list[Row], run: Run) -> int:
    """Return where a row of its own belongs: after the nearest text above it, best in its column."""
    above = [
        (row[0].middle - run.middle + max(0.0, row[0].left - run.right, run.left - row[-1].right) / 4, number)
        for number, row in enumerate(laid)
        if row[0].middle >= run.middle
    ]
    return min(above)[1] + 1 if above else 0
