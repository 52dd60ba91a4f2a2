"""Which decisions are acted on: the dial, and the ration of the soft score, remembered for each corpus."""

import hashlib
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from app import state
from app.answering.escalation import THRESHOLD, Decision, decide
from app.answering.turn import Attempt, Turn
from app.errors import ModelError
from app.retrieval.packing import Evidence
from app.settings import Dial, Settings

log = logging.getLogger(__name__)

START: Mapping[Dial, float] = {"often": 0.8 * THRESHOLD}
"""The threshold of a corpus without enough turns, where it is not THRESHOLD."""

SHARE: Mapping[Dial, float] = {"when needed": 0.2, "often": 0.5}
"""Share of recent turns that the soft score may send on: a fixed limit flags 1 % in one corpus and 87 % in another."""

REMEMBERED = 50
ENOUGH = 20
"""Turns of the corpus that the limit is taken from, and how many there must be; before, THRESHOLD holds."""

POLISHED = 600
"""Characters from which the mode "refine" has a draft polished by the large model."""

LEAST = 0.5 * THRESHOLD
"""No lower score is sent on: where all drafts are good, the worst fifth of them is good, too."""


class Policy:
    """The dial and the ration of one corpus; the methods read or write a small file, so they block."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        name = hashlib.sha256(str(settings.corpus).encode()).hexdigest()[:16]
        self._path = settings.state_dir / "corpora" / name / "scores.json"
        self._lock = threading.Lock()

    def dial(self, turn: Turn) -> Dial:
        """The turn's dial, else the settings' one; in the mode "small" it stands at never."""
        return "never" if turn.mode == "small" else turn.dial or self._settings.escalate

    def judge(self, turn: Turn, evidence: Sequence[Evidence], draft: Attempt, failure: ModelError | None) -> Decision:
        """The decision on a draft as mode, dial and ration have it; the soft score is remembered."""
        dial = self.dial(turn)
        if failure is not None:
            return acted_on(Decision("error", str(failure)), dial)
        decision = decide(
            turn.question,
            evidence,
            draft.text,
            draft.finish,
            confidence=draft.confidence,
            short_chars=self._settings.short_chars,
            threshold=self.threshold(turn.question, dial),
        )
        self.remember(turn.question, decision)
        decision = acted_on(decision, dial)
        if turn.mode == "refine" and decision.code is None and len(draft.text) >= POLISHED:
            why = f"The draft has {len(draft.text)} characters; from {POLISHED} on the large model polishes it."
            return replace(decision, code="routed", why=why)
        return decision

    def threshold(self, question: str, dial: Dial) -> float:
        """The soft score from which a draft is sent on.

        The question's own earlier score does not count, so that it meets the same limit when it is asked again.
        """
        start, share = START.get(dial, THRESHOLD), SHARE.get(dial)
        if share is None:
            return start
        own = _key(question)
        scores = sorted([score for key, score in self._scores().items() if key != own][-REMEMBERED:])
        if len(scores) < ENOUGH:
            return start
        return max(LEAST, scores[int((1 - share) * len(scores))])

    def remember(self, question: str, decision: Decision) -> None:
        """Keep the score of a draft without a hard reason against it; of the question only a hash is kept."""
        if decision.code not in (None, "unsupported"):
            return
        with self._lock:
            scores = self._scores()
            if scores.get(_key(question)) == decision.score:
                return
            scores.pop(_key(question), None)
            scores[_key(question)] = decision.score
            try:
                state.write(self._path, {"scores": dict([*scores.items()][-REMEMBERED - 1 :])})
            except OSError as error:
                log.warning("scores of the corpus cannot be kept: %s", error)

    def _scores(self) -> dict[str, float]:
        known = (state.read(self._path) or {}).get("scores")
        if not isinstance(known, dict):
            return {}
        return {str(key): float(score) for key, score in known.items() if isinstance(score, int | float)}


def acted_on(decision: Decision, dial: Dial) -> Decision:
    """The decision as the dial has it: never none, always any."""
    if dial == "never" and decision.code is not None:
        return replace(decision, code=None, why=f"Not escalated, for the dial stands at never. {decision.why}")
    if dial == "always" and decision.code is None:
        return replace(decision, code="routed", why="The dial stands at always.")
    return decision


def _key(question: str) -> str:
    return hashlib.sha256(" ".join(question.split()).encode("utf-8", "surrogatepass")).hexdigest()[:16]
