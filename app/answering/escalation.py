"""The decision whether to escalate a draft: a pure function of the question, the evidence and the draft.

It knows no model, no clock and no memory. It cannot detect an answer that is wrong but worded like the passages, nor
errors of arithmetic.
"""

import functools
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import log1p
from textwrap import shorten

from app.answering.alignment import words
from app.answering.features import STOP, Support, breaks_off, echoes, loops, repeats, support, weakest_part
from app.answering.lexicon import abstains, asks_for, bare, doubt, only_abstains, own_words
from app.answering.router import names_language
from app.answering.turn import Attempt, Code, Decision
from app.answering.verification import CheckedAnswer, CheckedSentence, other_language
from app.documents.language import shown_name
from app.documents.passages import sentences
from app.retrieval.analysis import normalize, query_words
from app.retrieval.packing import Evidence
from app.retrieval.sentence_ranking import comparable, rank_sentences
from app.translation import _, figure, listed, percent, plural, quoted

THRESHOLD = 0.5
"""The soft score from which a draft counts as unsupported, unless a corpus has its own threshold."""

PER_CLAIM = 0.03
"""Factor for unsupported names and numbers, by the logarithm of one plus their number."""

HARD = {"empty": 1.0, "cut_off": 0.99, "repeated": 0.98, "language": 0.94, "unsure": 0.92}
"""Scores of the hard reasons, in the order of their measured precision where that is known."""

DOUBTFUL = 0.3
"""The least soft score of a refusal, and of a draft with a number or name that the source of its sentence lacks. Alone
it escalates only by the ration of a corpus: in docs/escalation-evaluation.md a third of such drafts are good."""

UNCERTAIN = 0.4
"""Weight of the model's own doubt, 1 minus the certainty of its draft. Not measured, so that alone it escalates only by
the ration of a corpus."""

LIMIT = 0.9
"""The highest soft score, and the score of an answer for which nothing was found."""

FEW_WORDS, BRIEF_WORDS = 3, 12
"""Words of an answer, and of a sentence, behind which a model may go on with the prompt and yet have answered. Of the
drafts of two tiny models (SmolLM2-135M, Gemma 3 270M) that went on so, 3 of 9 such were right, and 1 of 8 others."""

LONGEST_QUOTE = 80
"""Characters of a draft that a reason quotes at most."""

NAMED = 3
"""Names and numbers that a reason lists at most."""

CHANCE, SHARE = 0.5, 0.5
"""The least chance to answer, beside the best sentence's, of the source of a draft that goes in circles later, and the
least share of its words there, for the beginning to count as the answer."""

TOLD, TOLD_SHARE = 4, 0.7
"""New words that the beginning has from that source, and their share, if it has no number. With these limits 7 of 22
right drafts of SmolLM2-135M that went in circles are kept, and 2 of 76 wrong ones (both nearly right)."""


def decide(
    question: str, draft: Attempt, checked: CheckedAnswer | None, short_chars: int = 150, threshold: float = THRESHOLD
) -> Decision:
    """Decide on a draft that was `checked` against its evidence; `checked` is None if the evidence is unknown.

    Empty evidence means that nothing was found. Beside the text of a draft, its finish and certainty count, whether it
    is echoed, and the model's own word for its confidence ("low" counts, "high" does not). `short_chars` applies to
    questions for a list, an explanation or a how-to, a fifth of it to those for a reason: the answer to a factoid is
    short. `threshold` limits the soft score alone.
    """
    text, evidence = bare(draft.text), checked.evidence if checked is not None else None
    if not text:
        return _hard("empty", _("The draft was empty."))
    if evidence is not None and not evidence:
        return _without_evidence(draft.text)
    if draft.finish == "length":
        return _hard("cut_off", _("The draft was cut off at its longest allowed length."))
    if repeats(text):
        return _hard("repeated", _("The draft repeats itself."))
    if draft.confidence == "low":
        return _hard("unsure", _("The small model called its confidence low."))
    refuses = abstains(draft.text)
    if not refuses and (phrase := doubt(draft.text, " ".join(item.text for item in evidence or ()))):
        return _hard("unsure", _("The small model wrote {words}.", words=quoted(phrase)))
    checked = checked or CheckedAnswer(draft.text, ())
    measured = support(question, evidence, draft.text, foreign=checked.foreign)
    score = soft_score(measured, checked, draft.certainty)
    if refuses:
        reason, none = _("The draft does not answer, although passages were found."), _("The draft does not answer.")
        return Decision("abstained", reason if evidence else none, max(DOUBTFUL, score))
    if len(text) < (least := asks_for(question) * short_chars):
        why = _(
            "The draft has {number} characters; fewer than {least} are short for this question.",
            number=figure(len(text)),
            least=figure(least),
        )
        return Decision("short", why, max(THRESHOLD, score))
    if draft.echoed and not _answers_briefly(text):
        return _hard("repeated", _("The draft goes on with the words of the prompt."))
    languages = [code for code, __ in Counter(item.language for item in evidence or ()).most_common()]
    if echoes(question, text, languages):
        return _hard("empty", _("The draft only repeats words of the question."))
    if breaks_off(draft.text):
        return Decision("cut_off", _("The draft ends in the middle of a sentence."), score)
    if differing := _changes_language(question, evidence or (), draft.text, languages):
        return _hard("language", differing)
    if found := _objection(question, checked):
        return Decision("unsupported", found, score)
    if score >= threshold:
        return Decision("unsupported", _why(measured, checked, draft.certainty), score, by_score=True)
    return Decision(None, _("The draft is good enough; the large model is not asked."), score, by_score=True)


def early_reason(draft: str, *, refusals: bool = True) -> Decision | None:
    """Return a reason to stop an answer already while it streams, if there is one: it repeats itself or declines.

    Where a refusal may be kept, `refusals` is false, as it must be complete.
    """
    if loops(draft):
        return _hard("repeated", _("The draft repeats itself."))
    if refusals and _declines(draft[:1_000]):
        return Decision("abstained", _("The draft begins by saying that it cannot answer."), DOUBTFUL)
    return None


def leading_answer(question: str, checked: CheckedAnswer) -> str:
    """Return the beginning of a draft that answers the question before the draft goes in circles, "" if there is none.

    Its first statement rests on one of the sentences most likely to answer, and tells something from there: a number
    beside its word, or several words, that the question lacks. What follows belongs to it as long as it is supported.
    Of a list, an explanation or a how-to, the beginning is never the answer.
    """
    end, known = 0, set[str]()
    for sentence in () if checked.foreign or asks_for(question) == 1 else checked.sentences:
        plain, verdict = comparable(sentence.bare), sentence.verdict
        if plain in known:
            break
        known.add(plain)
        if verdict.states:
            if not verdict.sources or verdict.missing or verdict.wrong or verdict.sources[0].share < SHARE:
                break
            if not end and not _answers(question, sentence, checked.evidence):
                return ""
            end = sentence.end
        elif end and not sentence.bare.rstrip().endswith(":"):
            break
    return checked.text[:end]


def _answers(question: str, sentence: CheckedSentence, evidence: Sequence[Evidence]) -> bool:
    """Whether a statement has a fact that the question lacks from one of the sentences most likely to answer."""
    source = sentence.verdict.sources[0]
    ranked = rank_sentences(question, {}, [(1.0, item.text) for item in evidence])
    chances = (
        chance
        for item, spans in zip(evidence, ranked, strict=True)
        for start, end, chance in spans
        if item is source.stretch.item
        and item.start + start < source.stretch.end
        and source.stretch.start < item.start + end
    )
    if max(chances, default=0.0) < CHANCE:
        return False
    asked, said, there = (comparable(text).split() for text in (question, sentence.bare, source.stretch.text))
    pairs = set(pairwise(there))
    if any(pair in pairs and any(word[0].isdigit() and word not in asked for word in pair) for pair in pairwise(said)):
        return True
    telling = query_words(sentence.bare, [source.stretch.item.language])
    content = {normalize(word.surface) for word in telling if word.content}
    return source.share >= TOLD_SHARE and len((content & {*there}) - {*asked}) >= TOLD


@functools.lru_cache(maxsize=64)  # once a draft is longer, every look sees the same beginning
def _declines(begun: str) -> bool:
    return len(sentences(own_words(begun))) > 1 and abstains(begun)


def _answers_briefly(text: str) -> bool:
    """Whether a text is a short answer by itself, a word or two or a whole sentence, whatever its model wrote then."""
    length = len(text.split())
    return length <= FEW_WORDS or (length <= BRIEF_WORDS and STOP.search(text) is not None)


def _without_evidence(draft: str) -> Decision:
    """Decide on a draft for which nothing was found: a refusal is right, and a larger model would know no better."""
    if only_abstains(draft):
        return Decision(None, _("Nothing was found in the documents, and the draft says so."))
    return Decision(None, _("Nothing was found in the documents: this answer does not come from them."), LIMIT)


def _objection(question: str, checked: CheckedAnswer) -> str | None:
    """Say what is wrong with the statements of a draft, or None: a wrong number or name, or more than half unfounded.

    What the question says is not wrong: an answer may take it up ("No, it does not cost 290.").
    """
    asked = set(words(question))
    for sentence in checked.sentences:
        if wrong := [each for each in sentence.verdict.wrong if not asked.issuperset(words(each))]:
            marks, names = "".join(f"[{number}]" for number in sentence.numbers), listed(wrong)
            if marks:
                return plural(
                    "{names} is not in {marks}.", "{names} are not in {marks}.", len(wrong), names=names, marks=marks
                )
            return plural(
                "{names} is not in your documents.", "{names} are not in your documents.", len(wrong), names=names
            )
    count = sum(sentence.verdict.states for sentence in checked.sentences)
    unfounded = [sentence for sentence in checked.sentences if sentence.unfounded]
    if 2 * len(unfounded) <= count:
        return None
    if count == 1:
        quote = shorten(unfounded[0].bare, LONGEST_QUOTE, placeholder=" …")
        return _("{words} is not in your documents.", words=quoted(quote))
    if len(unfounded) == count:
        return _("None of its {count} statements is in your documents.", count=count)
    return _("{number} of its {count} statements are not in your documents.", number=len(unfounded), count=count)


def _changes_language(question: str, evidence: Sequence[Evidence], draft: str, languages: Sequence[str]) -> str | None:
    """Say in which other language than the question's a draft is, unless that was asked for or is quoted."""
    differing = other_language(question, draft, languages)
    if differing is None or names_language(question):
        return None
    written, asked = differing
    copied = " ".join(words(bare(draft)))
    if any(item.language == asked and copied in " ".join(words(item.text)) for item in evidence):
        return None
    written, asked = shown_name(written), shown_name(asked)
    return _("The draft is in {draft}, the question in {question}.", draft=written, question=asked)


def _hard(code: Code, why: str) -> Decision:
    return Decision(code, why, HARD[code])


def soft_score(measured: Support, checked: CheckedAnswer, certainty: float | None) -> float:
    """Return the share of the wording that is unsupported plus an addition for claims, or the largest doubt beside."""
    wording = (measured.wording or 0.0) + PER_CLAIM * log1p(measured.claims)
    doubt = 0.0 if certainty is None else UNCERTAIN * (1 - certainty)
    return min(LIMIT, max(wording, doubt, DOUBTFUL if checked.lacking else 0.0))


def _why(measured: Support, checked: CheckedAnswer, certainty: float | None) -> str:
    """Name the words that a soft score rests on."""
    reasons = []
    if measured.strange:
        reasons.append(_("Neither in the passages nor in the question: {words}.", words=_named(measured.strange)))
    lacking = [name for sentence in checked.lacking for name in sentence.verdict.missing]
    if elsewhere := [name for name in lacking if name not in measured.strange]:
        words = _named(elsewhere)
        reasons.append(_("Not in the passage that the rest of the sentence comes from: {words}.", words=words))
    wording = measured.wording or 0.0
    if certainty is not None and UNCERTAIN * (1 - certainty) > wording:
        reasons.append(_("The small model's own certainty falls to {share}.", share=percent(certainty)))
    if wording >= DOUBTFUL or not reasons:
        part, share = weakest_part(checked.evidence, checked.text)
        why = _(
            "{share} of this part of the draft is not in the passages: {part}.",
            share=percent(share),
            part=quoted(part),
        )
        reasons.insert(0, why)
    return " ".join(reasons)


def _named(words: Sequence[str]) -> str:
    """Name at most `NAMED` of some words."""
    named = [quoted(word) for word in words[:NAMED]]
    return listed([*named, _("{number} more", number=len(words) - NAMED)] if len(words) > NAMED else named)
