"""Mails of Outlook: real files, and the streams of mails within mails."""

from pathlib import Path

import pytest

from app.documents.passages import Place
from app.documents.readers import mail, read
from app.errors import UnreadableFile

FILES = Path(__file__).with_name("files")


def streams(subject: str, body: str) -> mail.Streams:
    texts = {"0037001F": subject, "1000001F": body, "0C1A001F": "Kari"}
    return {(f"__substg1.0_{name}",): text.encode("utf-16-le") for name, text in texts.items()}


def within(folder: str, inner: mail.Streams) -> mail.Streams:
    return {(*folder.split("/"), *path): data for path, data in inner.items()}


def test_a_mail_is_read_with_its_headers_its_text_and_the_names_of_its_files() -> None:
    found = read(FILES / "tutanota.msg", 10_000_000)
    (page,) = found.pages
    assert page.place == Place("heading", "Re: test internal", 1)
    assert found.title == "Re: test internal"
    assert page.text.startswith(
        'Subject: Re: test internal\nFrom: "bedfortest at TEST"\nTo: "Arne Möhle"\n'
        "Date: Tue, 06 Oct 2020 09:57:51 +0000\n\nasdfasdf\n"
    )
    assert page.text.endswith("\n\nAttachments: serveimage.jpg")


def test_a_mail_in_html_alone_is_read() -> None:
    (page,) = read(FILES / "plain.msg", 10_000_000).pages
    assert page.text == (
        "Subject: This is the subject\nFrom: peterpan@neverland.com\nTo: crocodile@neverland.com\n\nThis is a message"
    )


def test_attached_mails_and_texts_are_read_in_place() -> None:
    whole = streams("Fwd", "See below.") | within(
        "__attach_version1.0_#00000000/__substg1.0_3701000D", streams("Delay", "Only on 22 July.")
    )
    table = {
        ("__substg1.0_3707001E",): "Gebühren.csv".encode("cp1252"),
        ("__substg1.0_37010102",): b"Name;Fee\nAnna;4\n",
    }
    whole |= within("__attach_version1.0_#00000001", table)
    page = mail._page(mail.message_of(whole), 1)
    assert page.text == (
        "Subject: Fwd\nFrom: Kari\n\nSee below.\n\nSubject: Delay\nFrom: Kari\n\nOnly on 22 July.\n\n"
        "| Name | Fee |\n| Anna | 4 |\n\nAttachments: Delay, Gebühren.csv"
    )


@pytest.mark.parametrize("data", [b"", b"Subject: a\n\nb"])
def test_what_is_no_mail_of_outlook_is_named(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match=r"save it as \.eml"):
        mail.read_outlook(data)
