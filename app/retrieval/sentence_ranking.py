"""How much each sentence of the passages that were found tells about a question; it knows no language.

What a question asks for often stands beside its words in another form, and its little words ("how many … did") tell
more in a sentence than in a passage. So both are compared by runs of four characters, blanks included: stems, endings,
parts of compounds and little words count alike, each as much as it is rare among the sentences.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from app.documents.language import MARKS
from app.retrieval.analysis import normal

SHARPNESS = 6.0
"""How fast the chance falls with the score; fitted together with the shares below by conditional logit and rounded."""

LOCAL = 0.5
"""The share of what is rare in its own passage: the topic stands in every sentence, the answer in one."""

BESIDE = 0.5
"""The share of what only the sentence before or behind tells."""

SEARCHED = 0.5
"""How much more a run of a word weighs that was searched for: in few sentences a little word may be rare by chance."""

ADDED = 0.5
"""The weight of a word that the search added to those of the question, beside 1 for a little word of its own."""

_DENSE = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
"""Scripts in which a character is a syllable or a word; two of them tell as much as four letters."""

_RUN = re.compile(f"(?=([{_DENSE}]{{2}}|[^{_DENSE}]{{4}}))")
_BETWEEN = re.compile(rf"[^\w{MARKS}]+")

Runs = dict[str, float]


def chances(
    question: str, weights: Mapping[str, float], passages: Sequence[tuple[float, Sequence[str]]]
) -> list[list[float]]:
    """For each sentence its chance to hold the answer, relative to that of the best one of all.

    A passage is its score as a share of the best one's, and its sentences in their order. `weights` are those of the
    search for its terms.
    """
    asked = _asked(question, weights)
    held = [[_held(asked, sentence) for sentence in sentences] for _, sentences in passages]
    spread = Counter(run for found in held for runs in found for run in runs)
    number = sum(map(len, held))
    rarity = {run: asked[run] * math.log(1 + number / count) for run, count in spread.items()}
    whole = sum(rarity.values()) or 1.0
    scores = [
        [share + score / whole for score in _scores(found, rarity)]
        for (share, _), found in zip(passages, held, strict=True)
    ]
    best = max((max(found) for found in scores if found), default=0.0)
    return [[math.exp(SHARPNESS * (score - best)) for score in found] for found in scores]


def words(text: str) -> str:
    """The words of a text as they are compared, with one blank around each."""
    return f" {_BETWEEN.sub(' ', normal(text)).strip()} "


def _asked(question: str, weights: Mapping[str, float]) -> Runs:
    own = set(_RUN.findall(words(question)))
    asked = dict.fromkeys(own, 1.0)
    heaviest = max(weights.values(), default=0.0)
    for term, weight in weights.items():
        for run in _RUN.findall(f" {term}"):
            searched = (1 + SEARCHED * weight / heaviest) if run in own else ADDED * weight / heaviest
            asked[run] = max(searched, asked.get(run, 0.0))
    return asked


def _held(asked: Runs, sentence: str) -> set[str]:
    text = words(sentence)
    return {run for run in asked if run in text}


def _scores(held: Sequence[set[str]], rarity: Runs) -> list[float]:
    """What each sentence of one passage holds of the question, by rarity."""
    spread = Counter(run for runs in held for run in runs)
    local = {run: rarity[run] * math.log(1 + len(held) / count) for run, count in spread.items()}
    scores = []
    for at, runs in enumerate(held):
        score = sum(rarity[run] + LOCAL * local[run] for run in runs)
        for beside in (*held[max(0, at - 1) : at], *held[at + 1 : at + 2]):
            score += BESIDE * sum(rarity[run] for run in beside - runs)
        scores.append(score)
    return scores
