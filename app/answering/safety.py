"""What may go into a prompt: documents and questions are data, and must not look like a model's own markup or ours."""

import hashlib
import re
import unicodedata

_LESS, _BAR, _MORE = "<＜﹤‹〈〈⟨❮", "|｜￨│┃∣ǀ❘", ">＞﹥›〉〉⟩❯"
_NAMES = rf"(?:think|passages|draft|tool|start_of|end_of|s\s*/?[{_MORE}])"
CONTROL = re.compile(
    rf"(?<=[{_LESS}])(?=\s*/?\s*(?:[{_BAR}]|{_NAMES}))|(?<=[{_BAR}])(?=[{_MORE}])|(?<=\[)(?=/?INST\])", re.IGNORECASE
)
"""Within template tokens (`<|user|>`, `[INST]`), tags of reasoning and our own fence, in whatever brackets."""

INVISIBLE = re.compile(
    "[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufe00-\ufe0e\U000e0000-\U000e0fff]"
    "|(?<![\u0600-\u0fff\u1780-\u17ff])[\u200c\u200d\ufe0f]"  # which join letters there, and are read
)
"""Zero-width and direction characters, variation selectors, tags: they hide words from readers, not from models."""

OURS = re.compile(
    r"^(?=\W{0,4}(?:\[\d{1,6}\]|(?:question|system|user|assistant|developer|human)\s*[:：]))", re.I | re.M
)
"""Where a line begins like the heading of a passage, or like what a prompt says in a role of its own."""


def defused(text: str) -> str:
    """The text with template tokens broken by a blank and invisible characters removed; otherwise unchanged."""
    return CONTROL.sub(" ", INVISIBLE.sub("", text))


def quoted(text: str) -> str:
    """The text of a document, defused, with a mark before each line that looks like one of the prompt itself."""
    return OURS.sub("> ", defused(text))


def one_line(text: str) -> str:
    """A name of a file or a place, defused, on one line."""
    return " ".join(defused(text).split())


def fence_token(*parts: str) -> str:
    """A token that no part contains, in whatever letters; the same for the same parts.

    So a question that is asked again gets the same answer at temperature 0.
    """
    plain = "\0".join(unicodedata.normalize("NFKC", INVISIBLE.sub("", part)).lower() for part in parts)
    token = plain
    while token in plain:
        token = hashlib.blake2s((token + plain).encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return token
