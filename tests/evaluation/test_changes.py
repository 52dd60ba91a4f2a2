"""What two runs differ in: only what is beyond noise is called a change."""

from dataclasses import replace

from app.evaluation.datasets import Question
from app.evaluation.results import ComparisonResult, Contender, Figure, MeasuredAnswer, MeasuredAttempt
from app.evaluation.summary import changes

NOTHING = "There is no difference beyond noise."
QUESTIONS = tuple(Question(f"q{n}", f"Question {n}?") for n in range(12))


def run(scores: list[float], ms: list[float], cost: float = 0.0001) -> ComparisonResult:
    """A run in which Auto answered a question for each score."""
    answers = tuple(
        MeasuredAnswer(f"q{n}", "auto", 1, True, "", total_ms=time, score=score, cost=cost)
        for n, (score, time) in enumerate(zip(scores, ms, strict=True))
    )
    means = {name: mean(values) for name, values in (("total_ms", ms), ("cost", [cost]))}
    made = Contender("auto", "auto", ("a", "b"), True, len(scores), 0.2, {}, means, {"score": mean(scores)})
    asked = QUESTIONS[: len(scores)]
    return ComparisonResult("2026-11-28T10:00:00+00:00", "4 cores", asked, 1, (), (made,), answers)


def mean(values: list[float]) -> Figure:
    middle = sum(values) / len(values)
    return Figure(middle, middle * 0.9, middle * 1.1, len(values))


FAIR, TIMES = [1, 0, 1, 0, 1, 0, 1, 0, 1, 0], [1000.0, 1100, 900, 1200, 1000, 950, 1050, 980, 1020, 1000]


def test_a_run_and_its_repetition_differ_in_nothing() -> None:
    assert changes(run(FAIR, TIMES), run(FAIR, TIMES)) == (NOTHING,)


def test_times_that_only_scatter_are_no_change() -> None:
    scattered = [ms + step for ms, step in zip(TIMES, [80, -90, 60, -70, 95, -85, 70, -60, 90, -75], strict=True)]

    assert changes(run(FAIR, TIMES), run(FAIR, scattered)) == (NOTHING,)


def test_what_is_slower_for_every_question_is_a_change() -> None:
    slower = [ms * 1.2 for ms in TIMES]

    assert changes(run(FAIR, TIMES), run(FAIR, slower)) == (
        "Auto: Time of an answer 1.22 s, before 1.02 s",
        "There is no difference beyond noise in other figures.",
    )


def test_one_answer_more_that_is_right_is_noise_and_eight_more_are_a_change() -> None:
    one, most = [1, 1, *FAIR[2:]], [1] * 9 + [0]
    poor = [1, *[0] * 9]

    assert changes(run(FAIR, TIMES), run(one, TIMES)) == (NOTHING,)
    assert changes(run(poor, TIMES), run(most, TIMES))[0] == "Auto: Score 90%, before 10%"


def test_a_small_price_counts_as_much_as_a_large_one() -> None:
    found = changes(run(FAIR, TIMES, 0.00003), run(FAIR, TIMES, 0.00006))

    assert found[0] == r"Auto: Price of 1,000 answers $0.06, before $0.03"


def test_many_answers_to_few_questions_differ_where_their_intervals_lie_apart() -> None:
    two, near, far = [1000.0, 1000], [1100.0, 1100], [1300.0, 1300]

    assert changes(often(run([1, 1], two)), often(run([1, 1], near))) == (NOTHING,)
    found = changes(often(run([1, 1], two)), often(run([1, 1], far)))
    assert found[0] == "Auto: Time of an answer 1.30 s, before 1 s"


def often(result: ComparisonResult) -> ComparisonResult:
    """The run with figures of twelve answers, as from six rounds."""
    (made,) = result.contenders
    many = {name: replace(figure, n=12) for name, figure in made.means.items()}
    return replace(result, contenders=(replace(made, means=many),))


def test_of_a_handful_of_answers_nothing_is_a_change() -> None:
    (said,) = changes(run([1, 1], [1000, 1000]), run([1, 1], [9000, 9000]))

    assert said == "The answers are too few to tell a difference from noise: ask 6 questions or more."


def test_what_makes_two_runs_hard_to_compare_is_said_first() -> None:
    before, after = run(FAIR, TIMES), run(FAIR[:8], TIMES[:8])
    other = replace(after.contenders[0], models=("a", "c"))
    after = replace(after, machine="8 cores", contenders=(other,), prices_of="2026-01-01")

    assert changes(before, after) == (
        "The machine was another one before: 4 cores",
        "The prices were others before.",
        "Of 8 questions, 8 are those of before.",
        "Auto was a, b before.",
        NOTHING,
    )


def test_runs_of_different_contenders_have_nothing_to_compare() -> None:
    small = replace(run(FAIR, TIMES).contenders[0], id="small", kind="small")

    assert changes(run(FAIR, TIMES), replace(run(FAIR, TIMES), contenders=(small,))) == (
        "The runs have no model and no mode in common.",
    )


def test_where_both_models_write_the_wait_for_the_first_token_of_either_counts() -> None:
    alone, both = (with_first_tokens(run(FAIR, TIMES), waits) for waits in ([300.0], [300.0, 300.0]))

    assert changes(alone, alone) == (NOTHING,)
    assert changes(alone, both)[0] == "Auto: First token 0.60 s, before 0.30 s"


def with_first_tokens(result: ComparisonResult, waits: list[float]) -> ComparisonResult:
    """The run with an attempt for each of these times in every answer, and their sum as a figure."""
    attempts = tuple(MeasuredAttempt("small", "a", "stop", "", first_token_ms=ms) for ms in waits)
    answers = tuple(replace(answer, attempts=attempts) for answer in result.answers)
    made = replace(result.contenders[0], figures={"first_token_ms": mean([sum(waits)] * len(answers))})
    return replace(result, answers=answers, contenders=(made,))
