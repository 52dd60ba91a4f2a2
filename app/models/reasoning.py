"""Separates a model's reasoning from its answer in a stream, whatever markers enclose it.

Four shapes occur: `<think>…</think>`; the channels of gpt-oss, `<|channel|>analysis<|message|>…` and
`<|channel|>final<|message|>…`; these channels with the special tokens dropped, `analysis…assistantfinal…`; and a lone
`assistantfinal` at the start of the text if the server has already split off the reasoning.
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
"""For each state that yields text: whether it is reasoning, the marks that end it, and the state after them."""

# "analysisThe user asks": the word runs on into a sentence. "analysis of" and "analysis:" are ordinary text.
_STRIPPED = re.compile(r"analysis(?=[^ .,:;!?)'’-])")


class ReasoningFilter:
    """Splits the content of one answer; the result does not depend on how the content is cut into pieces."""

    _state: _State = "start"
    _buffer = ""
    _shown = ""
    _reasoned = False

    def reasoned(self) -> None:
        """Note that the server has sent reasoning apart from the content."""
        if self._state == "start":
            self._reasoned = True

    def feed(self, text: str) -> Iterator[Delta]:
        """Yield what is certain after `text`; hold back what may become a marker."""
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
        """Yield what was held back, at the end of the content; `cut` if the answer reached its longest length.

        Text that looked like reasoning without special tokens, and was followed by no answer, was an answer that begins
        with the word "analysis"; unless it was cut off, because then the answer may have been still to come.
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
        """Skip `<|start|>assistant<|channel|>final<|message|>` or a part of it; only the channel's name matters."""
        header, mark, rest = self._buffer.partition("<|message|>")
        if mark:
            self._buffer, self._state = rest, "final" if "final" in header else "thought"

    def _answer(self) -> None:
        """Drop blanks and a left-over `assistantfinal` after the reasoning."""
        text = self._buffer.lstrip()
        if text.startswith(_FINAL):
            self._buffer = text.removeprefix(_FINAL)
        elif not _FINAL.startswith(text):
            self._buffer, self._state = text, "text"

    def _run(self) -> Delta:
        """Take the text up to the first mark, or up to what may become one."""
        reasoning, marks, following = _RUNS[self._state]
        hits = [(at, at + len(mark)) for mark in marks if (at := self._buffer.find(mark)) >= 0]
        held = max((_overlap(self._buffer, mark) for mark in marks), default=0)
        end, after = min(hits, default=(len(self._buffer) - held,) * 2)
        text, self._buffer = self._buffer[:end], self._buffer[after:]
        if self._state == "stripped":
            self._shown += text
        if hits:
            self._state = following
        return Delta(text, reasoning)


def _overlap(text: str, mark: str) -> int:
    """Measure the longest end of `text` that is a beginning of `mark`."""
    return next((size for size in range(min(len(text), len(mark) - 1), 0, -1) if text.endswith(mark[:size])), 0)
