"""What the program itself says on the screen: safe as an answer is, since it may name files and words of documents."""

from app.answering.markdown import addresses, safe
from app.settings import is_loopback


def said(text: object) -> str:
    """A sentence of ours; the addresses of this machine in it stay links."""
    return safe(str(text), {address for address in addresses([str(text)]) if is_loopback(address)})
