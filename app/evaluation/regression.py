"""The regression test of answers: questions of one's own are asked as in the chat, and each answer is judged.

What is expected comes from a set of questions with facts, and from the thumbs that people gave in the chat.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from textwrap import shorten
from typing import Any, Literal

from app.answering.alignment import names, numbers, words
from app.answering.lexicon import bare
from app.answering.pipeline import Assistant
from app.answering.turn import Mode, Turn
from app.answering.verification import ALL_NOUNS
from app.documents.language import detect
from app.evaluation.datasets import Question, Row, folded
from app.evaluation.recording import asked, is_abstention, measured, score
from app.evaluation.results import MeasuredAnswer, MeasuredAttempt
from app.export import filled
from app.retrieval.analysis import query_words
from app.translation import count, quoted

Status = Literal["passed", "failed", "error", "skipped"]

ALIKE = 0.5
"""Share of the content words of a liked answer without a number or name that another one must have."""

FIGURES = {
    "facts": "expected facts found",
    "right": "answers as expected",
    "abstained": "declined where the documents lack the answer",
    "citations": "sentences whose source supports them",
    "wrong_kept": "wrong drafts that were kept",
    "right_escalated": "right drafts that were escalated",
    "repeated": "disliked answers that came again",
}
"""The shares that are measured. The last three should be low."""

LOW = ("wrong_kept", "right_escalated", "repeated")

QUOTED = 60
"""Characters of a question in the table."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """A question with what is expected of its answer.

    `wording` is a liked answer whose words should come again, "" if facts say what to expect. `unwanted` are disliked
    answers, none of which may come again unchanged.
    """

    question: Question
    source: Literal["questions", "thumbs"] = "questions"
    scope: tuple[str, ...] | None = None
    wording: str = ""
    unwanted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer, what is wrong with it, and whether the small model's draft was `right`, where that is known."""

    expectation: Expectation
    answer: MeasuredAnswer
    problems: tuple[str, ...]
    status: Status
    right_draft: bool | None
    repeated: bool


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit for a figure: the least value, for those that should be low the most; `value` is None if not measured."""

    figure: str
    limit: float
    value: float | None

    @property
    def kept(self) -> bool:
        """Whether it is kept; what was not measured breaks no limit."""
        if self.value is None:
            return True
        return self.value <= self.limit if self.figure in LOW else self.value >= self.limit

    def __str__(self) -> str:
        side = "at most" if self.figure in LOW else "at least"
        return f"{FIGURES[self.figure]}: {self.value or 0.0:.1%}; wanted {side} {self.limit:.1%}"


def from_thumbs(opinions: Iterable[Mapping[str, Any]], corpus: Path) -> tuple[list[Expectation], int]:
    """Turn thumbs into expectations, one for each question, and count those that cannot be asked again.

    Of a liked answer the numbers and names are expected that the question lacks, of one without any at least half of
    its content words, of one that declines that the next declines too. The last thumb up counts. Not asked again are
    follow-up questions, whose conversation is missing, and those whose answers no model wrote from files of the corpus.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[Mapping[str, Any]]] = {}
    left_out = 0
    for each in opinions:
        question, text = str(each.get("question") or "").strip(), str(each.get("text") or "").strip()
        files = {str(span).rpartition("#")[0] for span in each.get("evidence") or ()}
        alone = not each.get("unaided") and not each.get("follows") and each.get("role") in ("small", "large")
        if question and text and alone and any((corpus / file).is_file() for file in files):
            groups.setdefault((folded(question), tuple(each.get("scope") or ())), []).append(each)
        else:
            left_out += 1
    return [_expected(f"thumb-{number}", own) for number, own in enumerate(groups.values(), 1)], left_out


def _expected(name: str, thumbs: Sequence[Mapping[str, Any]]) -> Expectation:
    first, unwanted = thumbs[0], tuple(dict.fromkeys(each["text"] for each in thumbs if not each["value"]))
    question, scope = Question(name, first["question"].strip()), tuple(first.get("scope") or ()) or None
    liked = next((each["text"] for each in reversed(thumbs) if each["value"]), None)
    if liked is None:
        return Expectation(question, "thumbs", scope, "", unwanted)
    if is_abstention(liked):
        return Expectation(replace(question, answerable=False), "thumbs", scope, "", unwanted)
    facts = tuple(_facts(question.text, bare(liked)))
    question = replace(question, facts=facts, answerable=True)
    return Expectation(question, "thumbs", scope, "" if facts else liked, unwanted)


def _facts(question: str, text: str) -> Iterator[tuple[str, ...]]:
    """Yield the numbers and names of a liked answer that the question lacks; nouns of German are no names."""
    for plain, spelling in numbers(text).items():
        if plain not in numbers(question):
            yield tuple(dict.fromkeys((spelling, plain)))
    if detect(text) not in ALL_NOUNS:
        asked = set(words(question))
        yield from ((name,) for name in dict.fromkeys(it.text for it in names(text) if not it.occurs_in(asked)))


def merged(questions: Iterable[Question], thumbs: Iterable[Expectation]) -> list[Expectation]:
    """Put questions of a set before those of thumbs; where both have one, the set says what is expected of it."""
    found = {folded(question.text): Expectation(question) for question in questions}
    rest = []
    for it in thumbs:
        own = found.get(folded(it.question.text))
        if own is None or it.scope:
            rest.append(it)
        else:
            found[folded(it.question.text)] = replace(own, unwanted=it.unwanted)
    return [*found.values(), *rest]


async def ask_all(
    assistant: Assistant,
    expected: Sequence[Expectation],
    mode: Mode,
    keep: Callable[[Outcome], None],
    watch: Callable[[Sequence[Expectation]], Iterable[Expectation]] = iter,
) -> None:
    """Ask every question as the chat does, each in a conversation of its own, and judge the answers."""
    for it in watch(expected):
        answer, declined, failure = await asked(assistant, Turn(it.question.text, mode=mode, scope=it.scope))
        how: dict[str, Any] = {"declined": declined, "failure": failure, "streamed": False}
        record = await asyncio.to_thread(measured, answer, it.question, {}, **how)
        keep(await asyncio.to_thread(judged, it, record))


def judged(expectation: Expectation, answer: MeasuredAnswer) -> Outcome:
    """Say what is wrong with an answer, by what is expected."""
    question, text = expectation.question, answer.text
    repeated = any(folded(bare(text)) == folded(bare(each)) for each in expectation.unwanted)
    problems = ["It is the answer that was given a thumb down, unchanged."] if repeated else []
    if question.answerable is False and not answer.abstained:
        problems.append("The documents do not hold the answer, and it does not say so.")
    elif question.answerable and answer.abstained:
        problems.append("It declines to answer.")
    elif missing := [each[0] for at, each in enumerate(question.facts) if at not in answer.facts_found]:
        problems.append(f"It does not state {', '.join(map(quoted, missing))}.")
    elif expectation.wording and _shared(expectation.wording, text) < ALIKE:
        problems.append("It has less than half of the words of the answer that was given a thumb up.")
    expects = question.answerable is not None or expectation.wording or expectation.unwanted
    status: Status = "error" if answer.error else "failed" if problems else "passed" if expects else "skipped"
    problems = [answer.error] if answer.error else problems
    return Outcome(expectation, answer, tuple(problems), status, _right_draft(expectation, answer), repeated)


def _draft(answer: MeasuredAnswer) -> MeasuredAttempt | None:
    return next((it for it in answer.attempts if it.role == "small" and it.finish != "error"), None)


def _right_draft(expectation: Expectation, answer: MeasuredAnswer) -> bool | None:
    if (draft := _draft(answer)) is None or not draft.text.strip():
        return None
    value = score(expectation.question, draft.text, abstained=is_abstention(draft.text))
    return None if value is None else value == 1


def _shared(liked: str, text: str) -> float:
    language = [detect(liked)]
    found = (query_words(bare(each), language) for each in (liked, text))
    own, other = ({it.surface.casefold() for it in each if it.content} for each in found)
    return len(own & other) / len(own) if own else 1.0


def figures(outcomes: Sequence[Outcome], mode: Mode) -> dict[str, float | None]:
    """Compute the shares of FIGURES, None where there is nothing to count; those of drafts where the mode escalates."""
    good = [it for it in outcomes if it.status != "error"]
    drafts = [(it.right_draft, it.answer.decision is not None) for it in good if it.right_draft is not None]
    shares: dict[str, Sequence[float]] = {
        "facts": [len(it.answer.facts_found) / it.answer.facts_expected for it in good if it.answer.facts_expected],
        "right": [it.status == "passed" for it in good if it.status != "skipped"],
        "abstained": [it.answer.abstained for it in good if it.expectation.question.answerable is False],
        "citations": [each.supported for it in good for each in it.answer.citations],
        "wrong_kept": [not escalated for right, escalated in drafts if not right and mode in ("auto", "refine")],
        "right_escalated": [escalated for right, escalated in drafts if right and mode in ("auto", "refine")],
        "repeated": [it.repeated for it in good if it.expectation.unwanted],
    }
    return {name: round(fmean(values), 4) if values else None for name, values in shares.items()}


def report(
    outcomes: Sequence[Outcome], mode: Mode, limits: Mapping[str, float | None], unasked: int = 0
) -> dict[str, Any]:
    """Gather the figures, the limits, and the cases; it `passed` if every limit is kept and every question answered."""
    values = figures(outcomes, mode)
    held = [Limit(name, limit, values[name]) for name, limit in limits.items() if limit is not None]
    failed = sum(it.status == "error" for it in outcomes)
    return {
        "passed": not failed and not unasked and all(limit.kept for limit in held),
        "mode": mode,
        "asked": len(outcomes),
        "unasked": unasked,
        "errors": failed,
        "figures": values,
        "limits": [asdict(limit) | {"kept": limit.kept} for limit in held],
        "broken": [str(limit) for limit in held if not limit.kept],
        "cases": [_case(it) for it in outcomes],
    }


def _case(outcome: Outcome) -> dict[str, Any]:
    question, answer = outcome.expectation.question, outcome.answer
    known = {"id": question.id, "question": question.text, "source": outcome.expectation.source}
    said = {"text": answer.text, "model": answer.model, "escalated": answer.escalated, "total_ms": answer.total_ms}
    return known | {"status": outcome.status, "problems": outcome.problems} | said


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Format the cases and the figures for a person."""
    for case in result["cases"]:
        seconds = "" if case["total_ms"] is None else f"{case['total_ms'] / 1000:.1f} s"
        question = shorten(case["question"], QUOTED, placeholder=" …")
        yield f"{case['status']:8} {question:{QUOTED}} {seconds:>8}  {case['model']}"
        yield from (f"         {problem}" for problem in case["problems"])
    yield ""
    limits = {limit["figure"]: limit for limit in result["limits"]}
    for name, meaning in FIGURES.items():
        value, limit = result["figures"][name], limits.get(name)
        shown = "–" if value is None else f"{value:.1%}"
        wanted = "" if limit is None else f"  {'<=' if name in LOW else '>='} {limit['limit']:.1%}"
        yield f"{meaning:46} {shown:>7}{wanted}{'' if limit is None or limit['kept'] else '  missed'}"
    if result["errors"]:
        yield f"{count(result['errors'], 'question')} got no answer."
    if result["unasked"]:
        yield f"Interrupted: {count(result['unasked'], 'question')} not asked."
    yield "Passed." if result["passed"] else "Not passed."


def junit(result: Mapping[str, Any]) -> str:
    """Write the cases as JUnit XML, one for each question and each limit."""
    limits = [Limit(it["figure"], it["limit"], it["value"]) for it in result["limits"]]
    return filled("evaluation/junit.xml", cases=result["cases"], limits=limits, names=FIGURES)


def judged_drafts(outcomes: Iterable[Outcome], name: str) -> Iterator[Row]:
    """Yield the small model's drafts as judged answers, for `eval threshold`, where it is known what is right."""
    for it in outcomes:
        if (draft := _draft(it.answer)) is not None and it.right_draft is not None:
            question = it.expectation.question
            row: Row = {"id": question.id, "qid": question.id, "set": name, "question": question.text}
            row |= {"context": [item.text for item in it.answer.evidence], "answer": draft.text}
            yield row | {"finish": draft.finish, "label": "good" if it.right_draft else "incorrect"}
