"""Separates a model's reasoning from its answer in a stream, whatever markers enclose it.

Six shapes occur: `<think>…</think>` and its kin, in any case and with attributes; such a block without its opening
tag, with which the prompt may end; the channel of Gemma 4, `<|channel>thought…<channel|>`; the channels of gpt-oss,
`<|channel|>analysis<|message|>…` and `<|channel|>final<|message|>…`; these channels with the special tokens dropped,
`analysis…assistantfinal…`; and a lone `assistantfinal`, or the first line `thought`, at the start of the text if the
server has already taken out the reasoning. A token that ends the answer, such as `<|end|>`, is dropped with all that
follows it.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple


class Delta(NamedTuple):
    """A piece of the answer, or of the reasoning before it, which came in so many events, mostly a token each."""

    text: str
    reasoning: bool = False
    events: int = 1


class Retraction(Delta):
    """Reasoning that was yielded as text: what closes it has come, and nothing had opened it."""


_NAMES = ("think", "thinking", "thought", "reasoning")
_OPENER = re.compile(rf"<(?:{'|'.join(_NAMES)})(?:\s[^<>]{{0,100}})?>|\[think\]|◁think▷|<\|channel>\w*\n", re.I)
_OPENER_BEGUN = re.compile(rf"(?:<(?:{'|'.join(_NAMES)})\s[^<>]{{0,100}}|<\|channel>\w{{0,20}})\Z", re.I)
_CLOSERS = (*(f"</{name}>" for name in _NAMES), "[/think]", "◁/think▷", "<channel|>")
_CLOSER = re.compile("|".join(map(re.escape, _CLOSERS)), re.I)
_OVER = (
    *("<|end|>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|endoftext|>", "<|end_of_text|>", "<|return|>"),
    *("<end_of_turn>", "<turn|>", "<eos>", "</s>", "<｜end▁of▁sentence｜>"),
)
_OVER_AT = re.compile(rf"(?:{'|'.join(map(re.escape, _OVER))})\s*(?:\Z|<)", re.I)
"""The end of an answer: such a token with nothing after it, or with another one."""

_CHANNELS = ("<|channel|>", "<|start|>")
_OPENERS = (*_CHANNELS, *(f"<{name}>" for name in _NAMES), "[think]", "◁think▷", "<|channel>", "analysis", "thought\n")
_STOPS = (*_CHANNELS, "<|end|>", "<|return|>", "<|call|>")
_STOP = re.compile("|".join(map(re.escape, _STOPS)))

_FINAL = "assistantfinal"
_LEFT_OVER = re.compile(rf"\s*(?:{_FINAL}\s*)*")
LONGEST_MARK = max(map(len, (_FINAL, *_CLOSERS, *_OVER)))

LONGEST_BLANK = 200
"""Blanks at the beginning after which no reasoning is expected: a model that writes nothing else is stopped."""

# "analysisThe user asks": the word runs on into a sentence. "analysis of" and "analysis:" are ordinary text.
_STRIPPED = re.compile(r"\s*analysis(?=[^ .,:;!?)'’-])")


class ReasoningFilter:
    """Splits the content of one answer; the result does not depend on how the content is cut into pieces."""

    content = ""
    answer = ""
    """The text so far, without what may become a marker."""
    _ended = False
    _reasoned = False
    _shown = 0, 0
    """Characters of reasoning and of text that were yielded."""

    @property
    def only_reasoned(self) -> bool:
        """Whether there was reasoning, and no text."""
        return bool(self._reasoned or self._shown[0]) and not self.answer.strip()

    def feed(self, text: str, thought: str = "") -> Iterator[Delta]:
        """Yield what is certain after `text`, and hold back what may become a marker.

        `thought` is reasoning that the server has sent apart from the content.
        """
        if thought:
            self._reasoned = self._reasoned or not any(self._shown)
            yield Delta(thought, reasoning=True)
        self.content += text
        thought, answer = self._split()
        recanted = bool(thought and self._shown[1] and not self._shown[0])
        if recanted:
            self._shown = 0, 0
        kind = Retraction if recanted else Delta
        pieces = kind(thought[self._shown[0] :], reasoning=True), Delta(answer[self._shown[1] :])
        self._shown, self.answer = (len(thought), len(answer)), answer
        yield from (piece for piece in pieces if piece.text)

    def finish(self, *, cut: bool) -> Iterator[Delta]:
        """Yield what was held back, at the end of the content; `cut` if the answer reached its longest length.

        Text that looked like reasoning without special tokens, and was followed by no answer, was an answer that begins
        with the word "analysis"; unless it was cut off, because then the answer may have been still to come.
        """
        self._ended = True
        if not (cut or self._reasoned) and _STRIPPED.match(self.content) and _FINAL not in self.content:
            self.answer = self.content
            yield Delta(self.content)
        else:
            yield from self.feed("")

    def _split(self) -> tuple[str, str]:
        """Split the content into reasoning and text."""
        start = self.content.lstrip()
        if self._reasoned:
            return "", self._after_reasoning(start)
        if opener := _OPENER.match(start):
            return self._split_at(_CLOSER, _CLOSERS, start[opener.end() :])
        if _STRIPPED.match(start):
            return self._split_at(re.compile(_FINAL), (_FINAL,), start.removeprefix("analysis"))
        if start.startswith(_CHANNELS):
            return self._split_channels(start)
        lone = _CLOSER.search(self.content)
        if lone and "`" not in (before := self.content[: lone.start()]) and not _OPENER.search(before):
            return before, self._after_reasoning(self.content[lone.end() :])
        if start.startswith("thought\n"):
            return "", self._after_reasoning(start.removeprefix("thought"))
        undecided = (
            not self._ended
            and len(self.content) < LONGEST_BLANK
            and (any(opener.startswith(start.lower()) for opener in _OPENERS) or _OPENER_BEGUN.match(start))
        )
        return "", "" if undecided else self._answer(self.content)

    def _split_at(self, end: re.Pattern[str], marks: tuple[str, ...], text: str) -> tuple[str, str]:
        if found := end.search(text):
            return text[: found.start()], self._after_reasoning(text[found.end() :])
        return self._certain(text, *marks), ""

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
        return "" if _FINAL.startswith(text) and not self._ended else self._answer(text)

    def _answer(self, text: str) -> str:
        """Leave out what ends an answer, and what may become a mark within it."""
        over = _OVER_AT.search(text)
        return text[: over.start()] if over else self._certain(text, *_OVER, *_CLOSERS)

    def _certain(self, text: str, *marks: str) -> str:
        """Leave out the longest end of a text that is a beginning of a mark, until the content has ended."""
        begin = {mark[0] for mark in marks}
        places = range(max(0, len(text) - LONGEST_MARK), len(text))
        ends = (text[at:] for at in places if text[at].lower() in begin)
        held = next((end for end in ends if any(mark.startswith(end.lower()) for mark in marks)), "")
        return text if self._ended else text.removesuffix(held)
