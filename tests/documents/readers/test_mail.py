"""E-mail as mutt and swaks wrote it, and what is found in the wild: alphabets, parts within parts, no headers."""

from base64 import b64encode
from pathlib import Path

import pytest

from app.documents.passages import Place
from app.documents.readers import mail, read
from app.errors import UnreadableFile

FILES = Path(__file__).with_name("files")
HEAD = b"From: a@b.example\nSubject: s\n"
MIXED = HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n--b\n"


def text(source: bytes) -> str:
    (page,) = mail.read(source)
    return page.text


def test_a_message_is_read_with_its_headers_its_plain_text_and_the_names_of_its_files() -> None:
    (page,) = read(FILES / "crane.eml", 10_000_000).pages
    assert page.text.split("\nDate: ")[0] == (
        "Subject: Prüfung des großen Krans im Südhafen\nFrom: Anna Käi <anna.kai@hafen.example>\n"
        "To: Jörg Müller <joerg@werft.example>\nCc: Hafenamt <amt@hafen.example>"
    )
    assert page.text.partition("\n\n")[2] == (
        "Lieber Herr Müller,\n\n"
        "der große Kran im Südhafen wird am Montag geprüft. Bitte halten Sie die Zufahrt frei.\n\n"
        "Am 2. März schrieb Jörg Müller:\n> Wann wird der Kran geprüft?\n> Die Fähre kommt um neun.\n\n"
        "| a | b |\n| 1 | 2 |\n\nAttachments: Prüfplan 2025.pdf, tariff.csv"
    )
    assert page.place == Place("heading", "Prüfung des großen Krans im Südhafen", 1)
    assert read(FILES / "crane.eml", 10_000_000).title == page.place.label


def test_a_message_in_html_alone_is_read_as_a_page_of_the_web() -> None:
    (page,) = read(FILES / "ferry.eml", 10_000_000).pages
    assert page.place.label == "New tariff of the ferry – May"
    assert "\n\nA return ticket costs 14 € from May on.\n\n| Ticket | Price |\n| Single | 8 € |" in page.text
    assert page.text.endswith("\n\nAttachments: map.png")


def test_a_mailbox_has_a_page_for_each_message_also_where_a_line_begins_as_a_message_does() -> None:
    pages = read(FILES / "sent.mbox", 10_000_000).pages
    assert [(page.place.label, page.place.number) for page in pages] == [
        ("Prüfung des großen Krans im Südhafen", 1),
        ("Reading room", 2),
    ]
    assert pages[1].text.endswith("closed on Friday.\n\nFrom Monday on it opens at nine.")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Subject: Größe\nFrom: Käthe\n\nSüß".encode(), "Subject: Größe\nFrom: Käthe\n\nSüß"),
        (HEAD + b"Content-Type: text/plain; charset=unknown\n\nS\xc3\xbc\xc3\x9f", "Süß"),
        (HEAD + b"Content-Type: text/plain; charset=utf-8\n\nS\xfc", "S\ufffd"),
        (HEAD + b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n!!U8O8w58=", "Süß"),
        (b"From: =?bad?Q?a?=\nSubject: =?utf-8?B?!!!?= b\n\nc", "From: =?bad?Q?a?=\n\nc"),
        (HEAD + b"Content-Type: application/pdf; name=a.pdf\n\nc", "Attachments: a.pdf"),
        (HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n--b--", "one\n\ntwo"),
        (
            HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n"
            b"Subject: Inner\nDate: today\n\nread\n--b--",
            "Subject: Inner\nDate: today\n\nread\n\nAttachments: Inner",
        ),
        (
            MIXED
            + b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
            + b64encode(b"Subject: Inner\n\nread")
            + b"\n--b--",
            "From: a@b.example\n\nSubject: Inner\n\nread\n\nAttachments: Inner",
        ),
        (
            MIXED
            + b"Content-Type: application/octet-stream; name=old.eml\nContent-Transfer-Encoding: base64\n\n"
            + b64encode(b"Subject: Inner\n\nread")
            + b"\n--b--",
            "Subject: Inner\n\nread\n\nAttachments: old.eml",
        ),
        (
            MIXED
            + b"Content-Type: message/rfc822\n\n"
            + MIXED.replace(b"=b\n\n--b", b"=c\n\n--c")
            + b"Content-Type: message/rfc822\n\nSubject: Innermost\n\nread\n--c--\n--b--",
            "Subject: Innermost\n\nread\n\nAttachments: s, Innermost",
        ),
        (
            MIXED + b"Content-Type: text/csv; name=fees.csv; charset=utf-8\n\nName;Fee\nM\xc3\xbcller;4\n--b--",
            "| Name | Fee |\n| Müller | 4 |\n\nAttachments: fees.csv",
        ),
        (
            MIXED
            + b"Content-Type: application/octet-stream; name=plan.md\nContent-Disposition: attachment\n\n# A\n--b--",
            "# A\n\nAttachments: plan.md",
        ),
        (
            MIXED + b"Content-Type: text/html; name=a.html\nContent-Disposition: attachment\n\n<p>One<p>Two\n--b--",
            "One\n\nTwo\n\nAttachments: a.html",
        ),
        (MIXED + b"Content-Type: text/plain; name=a.bin\n\nP\0\0K\n--b--", "From: a@b.example\n\nAttachments: a.bin"),
        (
            HEAD + b"Content-Type: multipart/alternative; boundary=b\n\n--b\n\nCome.\n--b\nContent-Type: text/html\n\n"
            b"<p>Come!\n--b\nContent-Type: text/calendar\n\nBEGIN:VEVENT\nSUMMARY:Tea\nLOCATION:Hall\nEND:VEVENT",
            "Come.\n\nTea\n\nPlace: Hall",
        ),
        (
            HEAD + b"Content-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>Hi</p>\n--b\n"
            b"Content-Type: image/png; name=logo.png\nContent-Disposition: inline\n\nx\n--b--",
            "Hi",
        ),
    ],
)
def test_what_is_found_in_the_wild_is_read(source: bytes, expected: str) -> None:
    assert text(source).endswith(expected)


@pytest.mark.parametrize("data", [b"text", b"\0\1\2", b"\n\nFrom: a"])
def test_what_is_no_message_is_named(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match="; "):
        mail.read(data)
    with pytest.raises(UnreadableFile, match="; "):
        mail.read_mailbox(data)


def test_parts_within_parts_end_somewhere() -> None:
    parts = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(500))
    assert text(HEAD + parts + b"\nbottom").startswith("Subject: s")
