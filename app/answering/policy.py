"""Which decisions take effect: the dial, and the ration of the soft score, remembered for each corpus."""

import hashlib
import logging
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from app.answering.escalation import THRESHOLD, decide
from app.answering.turn import Attempt, Decision, Turn
from app.answering.verification import CheckedAnswer
from app.files import load_json, write_json
from app.retrieval.corpus import corpus_id
from app.settings import Dial, Settings
from app.translation import _, figure

log = logging.getLogger(__name__)

FIRST_THRESHOLD: Mapping[Dial, float] = {"often": 0.8 * THRESHOLD}
"""The threshold of a corpus with too few turns, where it differs from THRESHOLD."""

ESCALATED_SHARE: Mapping[Dial, float] = {"when needed": 0.2, "often": 0.5}
"""Share of recent turns that the soft score may escalate: a fixed limit flags 1 % in one corpus, 87 % in another."""

MAX_SCORES = 50
"""Number of recent turns of a corpus whose scores the threshold is computed from."""

MIN_SCORES = 20
"""Number of scores from which the threshold is computed; with fewer, FIRST_THRESHOLD applies."""

POLISHED = 600
"""Characters from which the large model polishes a draft in the mode "refine"."""

MIN_THRESHOLD = 0.5 * THRESHOLD
"""No lower score is escalated: where all drafts are good, the worst fifth of them is good, too."""


class Policy:
    """The dial and the ration of one corpus; the methods read or write a small file, so they block.

    One that does not learn leaves the ration as it is, so that the next draft meets the same limit.
    """

    def __init__(self, settings: Settings, *, learns: bool = True) -> None:
        self._settings, self._learns = settings, learns
        self._lock = threading.Lock()

    @cached_property
    def _path(self) -> Path:
        return self._settings.state_dir / "corpora" / corpus_id(self._settings.corpus) / "scores.json"

    def dial(self, turn: Turn) -> Dial:
        """Return the dial of the turn, else of the settings; "never" in the mode "small"."""
        return "never" if turn.mode == "small" else turn.dial or self._settings.escalate

    def judge(self, turn: Turn, checked: CheckedAnswer, draft: Attempt) -> Decision:
        """Decide on a checked draft, with mode, dial and ration; the soft score is remembered.

        What stopped a draft while it was written is the decision: the rest of its text was never seen.
        """
        dial = self.dial(turn)
        if draft.failure is not None:
            return with_dial(Decision("error", str(draft.failure)), dial)
        if draft.stopped is not None:
            return with_dial(draft.stopped, dial)
        threshold = self.threshold(turn.question, dial)
        decision = decide(turn.question, draft, checked, self._settings.short_chars, threshold)
        if checked.evidence and self._learns:  # a draft without is not scored by what it says
            self.remember(turn.question, decision)
        if decision.code in ("cut_off", "short") and turn.sampling.ends(draft):
            decision = replace(decision, code=None, why=_("The answer ends where whoever asked wanted it to."))
        decision = with_dial(decision, dial)
        if turn.mode == "refine" and decision.code is None and len(draft.text) >= POLISHED:
            why = _(
                "The draft has {number} characters; from {least} characters the large model polishes it.",
                number=figure(len(draft.text)),
                least=POLISHED,
            )
            return replace(decision, code="routed", why=why)
        return decision

    def threshold(self, question: str, dial: Dial) -> float:
        """Return the soft score from which a draft is escalated; a threshold of the settings replaces the ration.

        The question's own earlier score does not count, so that a repeated question meets the same limit.
        """
        start, share = FIRST_THRESHOLD.get(dial, THRESHOLD), ESCALATED_SHARE.get(dial)
        if (calibrated := self._settings.threshold) is not None:
            return calibrated * start / THRESHOLD
        if share is None:
            return start
        own = _key(question)
        scores = sorted([score for key, score in self._scores().items() if key != own][-MAX_SCORES:])
        if len(scores) < MIN_SCORES:
            return start
        return max(MIN_THRESHOLD, scores[int((1 - share) * len(scores))])

    def remember(self, question: str, decision: Decision) -> None:
        """Store the soft score of a draft that stands or is unsupported, under a hash of the question."""
        if decision.code not in (None, "unsupported"):
            return
        with self._lock:
            scores = self._scores()
            if scores.get(_key(question)) == decision.score:
                return
            scores.pop(_key(question), None)
            scores[_key(question)] = decision.score
            try:
                write_json(self._path, {"scores": dict([*scores.items()][-MAX_SCORES - 1 :])})
            except OSError as error:
                log.warning("scores of the corpus cannot be stored: %s", error)

    def _scores(self) -> dict[str, float]:
        known = (load_json(self._path) or {}).get("scores")
        if not isinstance(known, dict):
            return {}
        return {str(key): float(score) for key, score in known.items() if isinstance(score, int | float)}


def with_dial(decision: Decision, dial: Dial) -> Decision:
    """Apply the dial: "never" escalates no draft, "always" every draft."""
    if dial == "never" and decision.code is not None:
        return replace(
            decision, code=None, why=f"{_('Not escalated, because the dial is set to never.')} {decision.why}"
        )
    if dial == "always" and decision.code is None:
        return replace(decision, code="routed", why=_("The dial is set to always."))
    return decision


def _key(question: str) -> str:
    return hashlib.sha256(" ".join(question.split()).encode("utf-8", "surrogatepass")).hexdigest()[:16]
