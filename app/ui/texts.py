"""What the program itself says on the screen: safe as an answer is, since it may name files and words of documents."""

from app.answering.events import Retrieved
from app.answering.sanitizer import addresses, label, safe
from app.humanize import count
from app.settings import is_loopback


def said(text: object) -> str:
    """A sentence of ours; the addresses of this machine in it stay links."""
    return safe(str(text), {address for address in addresses([str(text)]) if is_loopback(address)})


def found(event: Retrieved) -> str:
    """What a search has come to, in a line."""
    files = count(len({item.file for item in event.evidence}), "document")
    near = f" that answers, nearest {label(event.found.hits[0].passage.file)}," if event.found.hits else ""
    what = f"{count(len(event.evidence), 'passage')} in {files}" if event.evidence else f"nothing{near}"
    unread = f" · {count(len(event.problems), 'file')} not read" if event.problems else ""
    unread += f" · {event.reading}" if event.reading else ""
    return f"Found {what} in {event.found.took_ms:.0f} ms{unread}"
