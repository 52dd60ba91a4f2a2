"""The line `CONFIDENCE: low` that the small model may end with, kept out of what is shown while it streams."""

import re

LABELS = (
    "confidence konfidenz konfidens zuversicht vertrouwen tillid tillit încredere confiance confianza fiducia".split()
)
LOW = "low niedrig gering laag lav låg lavt lågt scăzută scăzut faible baja bajo bassa basso".split()
OTHER = (
    "medium moderate high mittel hoch gemiddeld hoog middel mellem høj middels høy medel hög medie mare ridicată "
    "moyenne élevée haute media alta alto"
).split()

_LABEL = "|".join(LABELS)
_LEVEL = "|".join(dict.fromkeys(LOW + OTHER))
_LINE = re.compile(rf"(?:^|\n|(?<=[.!?\])]))[\s*_`(\[]*(?:{_LABEL})[\s*_`]*[:=][\s*_`]*({_LEVEL})[\s*_`.!)\]]*$", re.I)
_GROWING = re.compile(rf"(?:{_LABEL})[\s*_`]*(?:[:=][\s*_`]*(?:\w+[\s*_`.!)\]]*)?)?$", re.I)
WINDOW = 64
"""Characters at the end of the stream in which such a line may be growing."""


class ConfidenceFilter:
    """Passes a stream on, holding back only what may become the confidence line."""

    def __init__(self) -> None:
        self._held = ""
        self.level: str | None = None
        """After `close`: "low", another word of the model, or None where it said nothing."""

    def feed(self, text: str) -> str:
        """Take a piece of the stream and return what may be shown now."""
        self._held += text
        cut = self._start_of_line()
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown

    def close(self) -> str:
        """Return the rest that may be shown, without the confidence line."""
        rest, self._held = self._held, ""
        if line := _LINE.search(rest):
            word = line.group(1).casefold()
            self.level = "low" if word in LOW else word
            return rest[: line.start()]
        return rest

    def _start_of_line(self) -> int:
        """Where the line may begin, with one character of what stands before it; the end if nowhere."""
        text = self._held
        start = max(0, len(text) - WINDOW)
        for match in re.finditer(r"(?<!\w)\w", text[start:]):
            tail = text[start + match.start() :]
            if _GROWING.match(tail) or any(label.startswith(tail.casefold()) for label in LABELS):
                return max(0, len(text[: start + match.start()].rstrip(" \t\r\n*_`([")) - 1)
        return max(0, len(text.rstrip(" \t\r\n*_`([")) - 1)
