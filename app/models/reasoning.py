"""Keeps a model's reasoning out of its answer, piece by piece, whatever markers it is written in.

Four shapes occur: `<think>…</think>`; the channels of gpt-oss, `<|channel|>analysis<|message|>…` and
`<|channel|>final<|message|>…`; the same with its special tokens dropped, `analysis…assistantfinal…`; and a lone
`assistantfinal` at the start of the text when the server has already split off the reasoning.
"""

import re
from collections.abc import Iterator
from typing import Literal

Piece = tuple[str, bool]
"""Some text, and whether it is reasoning."""

_State = Literal["start", "think", "stripped", "header", "thought", "final", "answer", "text"]

_STOPS = ("<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|channel|>")
_OPENERS = ("<think>", "<|channel|>", "<|start|>", "analysis")
_FINAL = "assistantfinal"

# "analysisThe user asks": the word runs on into a sentence. "analysis of" and "analysis:" are ordinary text.
_STRIPPED = re.compile(r"analysis(?=[^ .,:;!?)'’-])")


class ReasoningFilter:
    """Splits the content of one answer; the result does not depend on how the content was cut into pieces."""

    def __init__(self) -> None:
        self._state: _State = "start"
        self._buffer = ""
        self._shown: list[str] = []
        self._reasoned = False

    def reasoned(self) -> None:
        """The server sent reasoning of its own, apart from the content."""
        if self._state == "start":
            self._reasoned = True

    def feed(self, text: str) -> Iterator[Piece]:
        """What is certain now that `text` has come; what may yet be a marker is held back."""
        self._buffer += text
        while True:
            before = (self._state, len(self._buffer))
            for piece in self._step():
                if piece[0]:
                    yield piece
            if (self._state, len(self._buffer)) == before:
                return

    def finish(self, *, cut: bool) -> Iterator[Piece]:
        """What was held back, at the end of the content; `cut` when the answer was ended by its longest length.

        What looked like reasoning without special tokens and never came to an answer was an answer that begins with
        the word "analysis", and is given out as text; unless it was cut off, for then it never came so far.
        """
        text, self._buffer = self._buffer, ""
        if self._state == "stripped" and not cut:
            yield "".join([*self._shown, text]), False
        elif text:
            yield text, self._state in ("think", "stripped", "header", "thought")

    def _step(self) -> Iterator[Piece]:
        match self._state:
            case "start":
                self._start()
            case "think":
                yield from self._until(("</think>",), "answer", reasoning=True)
            case "stripped":
                for piece in self._until((_FINAL,), "answer", reasoning=True):
                    self._shown.append(piece[0])
                    yield piece
            case "header":
                self._header()
            case "thought":
                yield from self._until(_STOPS, "header", reasoning=True)
            case "final":
                yield from self._until(_STOPS, "header", reasoning=False)
            case "answer":
                self._answer()
            case "text":
                text, self._buffer = self._buffer, ""
                yield text, False

    def _start(self) -> None:
        if self._reasoned:
            self._state = "answer"
            return
        text = self._buffer.lstrip()
        if text.startswith("<think>"):
            self._buffer, self._state = text.removeprefix("<think>"), "think"
        elif text.startswith(("<|channel|>", "<|start|>")):
            self._buffer, self._state = text, "header"
        elif _STRIPPED.match(text):
            # Kept whole, the blanks before it too, in case it turns out to be the answer itself.
            self._shown = [self._buffer[: len(self._buffer) - len(text)] + "analysis"]
            self._buffer, self._state = text.removeprefix("analysis"), "stripped"
        elif not any(opener.startswith(text) for opener in _OPENERS):
            self._state = "text"

    def _header(self) -> None:
        """`<|start|>assistant<|channel|>final<|message|>` and its parts: only the channel's name matters."""
        header, mark, rest = self._buffer.partition("<|message|>")
        if mark:
            self._buffer, self._state = rest, "final" if "final" in header else "thought"

    def _answer(self) -> None:
        """Behind the reasoning: blanks and a left-over `assistantfinal` go."""
        text = self._buffer.lstrip()
        if text.startswith(_FINAL):
            self._buffer = text.removeprefix(_FINAL)
        elif not _FINAL.startswith(text):
            self._buffer, self._state = text, "text"

    def _until(self, marks: tuple[str, ...], then: _State, *, reasoning: bool) -> Iterator[Piece]:
        found = [(at, mark) for mark in marks if (at := self._buffer.find(mark)) >= 0]
        if found:
            at, mark = min(found)
            text, self._buffer, self._state = self._buffer[:at], self._buffer[at + len(mark) :], then
        else:
            held = max(_overlap(self._buffer, mark) for mark in marks)
            text = self._buffer[: len(self._buffer) - held]
            self._buffer = self._buffer[len(text) :]
        yield text, reasoning


def _overlap(text: str, mark: str) -> int:
    """The length of the longest end of `text` that is a beginning of `mark`."""
    return next((size for size in range(min(len(text), len(mark) - 1), 0, -1) if text.endswith(mark[:size])), 0)
