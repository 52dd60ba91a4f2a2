"""Documents by the names that people give them."""

import pytest

from app.answering.router import find_document, folded
from app.retrieval.segment import Entry

FILES = {
    "plan.pdf": "Fire safety plan",
    "rent/Übergabeprotokoll.docx": "Protokoll der Wohnungsübergabe",
    "rules.md": "House rules for tenants 2024",
    "reports/report-2023.pdf": "Annual report 2023",
    "reports/report-2024.pdf": "Annual report 2024",
    "guide.md": "Guide",
}
DOCUMENTS = {file: Entry(0, file, title, "en", 1, 1, 1, 1, file, (), private=False) for file, title in FILES.items()}


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("plan.pdf", "plan.pdf"),
        ("PLAN", "plan.pdf"),
        ("the fire safety plan", "plan.pdf"),
        ("the document plan", "plan.pdf"),
        ("fire saftey plan", "plan.pdf"),
        ("Ubergabeprotokoll", "rent/Übergabeprotokoll.docx"),
        ("rent/Übergabeprotokoll.docx", "rent/Übergabeprotokoll.docx"),
        ("house rules", "rules.md"),
        ("hous rules", "rules.md"),
        ("report 2024", "reports/report-2024.pdf"),
        ("report-2023.pdf", "reports/report-2023.pdf"),
        ("report", None),
        ("report 2025", None),
        ("the contract", None),
        ("plan for the garden", None),
        ("tenants", None),
    ],
)
def test_a_document_is_found_by_its_name_if_it_is_clearly_meant(name: str, file: str | None) -> None:
    assert find_document(folded(name), DOCUMENTS, "en") == file
