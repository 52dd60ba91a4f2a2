"""Keeps a model's reasoning out of its answer, piece by piece, whatever markers it is written in.

Four shapes occur: `<think>…</think>`; the channels of gpt-oss, `<|channel|>analysis<|message|>…` and
`<|channel|>final<|message|>…`; the same with its special tokens dropped, `analysis…assistantfinal…`; and a lone
`assistantfinal` at the start of the text when the server has already split off the reasoning.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple


class Delta(NamedTuple):
    """A piece of the answer, or of the reasoning before it."""

    text: str
    reasoning: bool = False


_State = Literal["start", "think", "stripped", "header", "thought", "final", "answer", "text"]

_STOPS = ("<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|channel|>")
_OPENERS = ("<think>", "<|channel|>", "<|start|>", "analysis")
_FINAL = "assistantfinal"

_RUNS: dict[_State, tuple[bool, tuple[str, ...], _State]] = {
    "think": (True, ("</think>",), "answer"),
    "stripped": (True, (_FINAL,), "answer"),
    "thought": (True, _STOPS, "header"),
    "final": (False, _STOPS, "header"),
    "text": (False, (), "text"),
}
"""Of the states that give text out: whether it is reasoning, the marks that end it, and the state behind them."""

# "analysisThe user asks": the word runs on into a sentence. "analysis of" and "analysis:" are ordinary text.
_STRIPPED = re.compile(r"analysis(?=[^ .,:;!?)'’-])")


class ReasoningFilter:
    """Splits the content of one answer; the result does not depend on how the content was cut into pieces."""

    def __init__(self) -> None:
        self._state: _State = "start"
        self._buffer = ""
        self._shown = ""
        self._reasoned = False

    def reasoned(self) -> None:
        """The server sent reasoning of its own, apart from the content."""
        if self._state == "start":
            self._reasoned = True

    def feed(self, text: str) -> Iterator[Delta]:
        """What is certain now that `text` has come; what may yet be a marker is held back."""
        self._buffer += text
        while True:
            before = (self._state, len(self._buffer))
            match self._state:
                case "start":
                    self._start()
                case "header":
                    self._header()
                case "answer":
                    self._answer()
                case _:
                    if (delta := self._run()).text:
                        yield delta
            if (self._state, len(self._buffer)) == before:
                return

    def finish(self, *, cut: bool) -> Iterator[Delta]:
        """What was held back, at the end of the content; `cut` when the answer was ended by its longest length.

        What looked like reasoning without special tokens and never came to an answer was an answer that begins with
        the word "analysis", and is given out as text; unless it was cut off, for then it never came so far.
        """
        text, self._buffer = self._buffer, ""
        if self._state == "stripped" and not cut:
            yield Delta(self._shown + text)
        elif text:
            yield Delta(text, self._state in ("think", "stripped", "header", "thought"))

    def _start(self) -> None:
        text = self._buffer.lstrip()
        if self._reasoned:
            self._state = "answer"
        elif text.startswith("<think>"):
            self._buffer, self._state = text.removeprefix("<think>"), "think"
        elif text.startswith(("<|channel|>", "<|start|>")):
            self._buffer, self._state = text, "header"
        elif _STRIPPED.match(text):
            # Kept whole, the blanks before it too, in case it turns out to be the answer itself.
            self._shown = self._buffer[: len(self._buffer) - len(text)] + "analysis"
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

    def _run(self) -> Delta:
        """The text up to the first mark, or up to what may become one."""
        reasoning, marks, then = _RUNS[self._state]
        found = [(at, at + len(mark)) for mark in marks if (at := self._buffer.find(mark)) >= 0]
        held = max((_overlap(self._buffer, mark) for mark in marks), default=0)
        end, behind = min(found, default=(len(self._buffer) - held,) * 2)
        text, self._buffer = self._buffer[:end], self._buffer[behind:]
        if self._state == "stripped":
            self._shown += text
        if found:
            self._state = then
        return Delta(text, reasoning)


def _overlap(text: str, mark: str) -> int:
    """The length of the longest end of `text` that is a beginning of `mark`."""
    return next((size for size in range(min(len(text), len(mark) - 1), 0, -1) if text.endswith(mark[:size])), 0)
