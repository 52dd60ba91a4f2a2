"""Separates a model's reasoning from its answer in a stream, whatever markers enclose it.

Four shapes occur: `<think>…</think>`; the channels of gpt-oss, `<|channel|>analysis<|message|>…` and
`<|channel|>final<|message|>…`; these channels with the special tokens dropped, `analysis…assistantfinal…`; and a lone
`assistantfinal` at the start of the text if the server has already split off the reasoning.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple


class Delta(NamedTuple):
    """A piece of the answer, or of the reasoning before it."""

    text: str
    reasoning: bool = False


_CHANNELS = ("<|channel|>", "<|start|>")
_OPENERS = (*_CHANNELS, "<think>", "analysis")
_STOPS = (*_CHANNELS, "<|end|>", "<|return|>", "<|call|>")
_STOP = re.compile("|".join(map(re.escape, _STOPS)))

_FINAL = "assistantfinal"
_LEFT_OVER = re.compile(rf"\s*(?:{_FINAL}\s*)*")
LONGEST_MARK = len(_FINAL)

# "analysisThe user asks": the word runs on into a sentence. "analysis of" and "analysis:" are ordinary text.
_STRIPPED = re.compile(r"\s*analysis(?=[^ .,:;!?)'’-])")


class ReasoningFilter:
    """Splits the content of one answer; the result does not depend on how the content is cut into pieces."""

    _content = ""
    _ended = False
    _reasoned = False
    _shown = 0, 0
    """Characters of reasoning and of text that were yielded."""

    def feed(self, text: str, thought: str = "") -> Iterator[Delta]:
        """Yield what is certain after `text`, and hold back what may become a marker.

        `thought` is reasoning that the server has sent apart from the content.
        """
        if thought:
            self._reasoned = self._reasoned or not any(self._shown)
            yield Delta(thought, reasoning=True)
        self._content += text
        thought, answer = self._split()
        pieces = Delta(thought[self._shown[0] :], reasoning=True), Delta(answer[self._shown[1] :])
        self._shown = len(thought), len(answer)
        yield from (piece for piece in pieces if piece.text)

    def finish(self, *, cut: bool) -> Iterator[Delta]:
        """Yield what was held back, at the end of the content; `cut` if the answer reached its longest length.

        Text that looked like reasoning without special tokens, and was followed by no answer, was an answer that begins
        with the word "analysis"; unless it was cut off, because then the answer may have been still to come.
        """
        self._ended = True
        if not (cut or self._reasoned) and _STRIPPED.match(self._content) and _FINAL not in self._content:
            yield Delta(self._content)
        else:
            yield from self.feed("")

    def _split(self) -> tuple[str, str]:
        """Split the content into reasoning and text."""
        start = self._content.lstrip()
        if self._reasoned:
            return "", self._after_reasoning(start)
        if start.startswith("<think>"):
            return self._split_at("</think>", start.removeprefix("<think>"))
        if _STRIPPED.match(start):
            return self._split_at(_FINAL, start.removeprefix("analysis"))
        if start.startswith(_CHANNELS):
            return self._split_channels(start)
        undecided = not self._ended and any(opener.startswith(start) for opener in _OPENERS)
        return "", "" if undecided else self._content

    def _split_at(self, mark: str, text: str) -> tuple[str, str]:
        thought, found, answer = self._certain(text, mark).partition(mark)
        return thought, self._after_reasoning(answer) if found else ""

    def _split_channels(self, text: str) -> tuple[str, str]:
        """Split `<|start|>assistant<|channel|>final<|message|>…<|end|>` and so on; only the channel's name matters."""
        texts = {"thought": "", "final": ""}
        for part in _STOP.split(self._certain(text, *_STOPS)):
            name, _, message = part.partition("<|message|>")
            texts["final" if "final" in name else "thought"] += message
        return texts["thought"], texts["final"]

    def _after_reasoning(self, text: str) -> str:
        """Drop blanks and a left-over `assistantfinal`."""
        text = _LEFT_OVER.sub("", text, count=1)
        return "" if _FINAL.startswith(text) and not self._ended else text

    def _certain(self, text: str, *marks: str) -> str:
        """Leave out the longest end of a text that is a beginning of a mark, until the content has ended."""
        ends = (text[at:] for at in range(max(0, len(text) - LONGEST_MARK), len(text)))
        held = next((end for end in ends if any(mark.startswith(end) for mark in marks)), "")
        return text if self._ended else text.removesuffix(held)
