"""The report of a comparison: its charts show the figures, all texts of others stay texts, and it loads nothing."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from app.evaluation import report_page
from app.evaluation.report import page
from app.evaluation.results import (
    CitedSentence,
    ComparisonResult,
    MeasuredModel,
)
from app.evaluation.rubric import Ratings, samples, weighted_kappa
from tests.support.comparisons import LARGE, PAIR, PORT, RUN, SMALL, answer


class Reader(HTMLParser):
    """The tags of a page with their attributes, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, kind: str | None = None) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag and kind in (None, attrs.get("class"))]


def numbers(shapes: list[dict[str, str | None]], name: str) -> list[float]:
    return [float(str(shape[name]).rstrip("%")) for shape in shapes]


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    html = page(RUN).html()
    read = Reader(html)

    assert "default-src 'none'; style-src 'unsafe-inline'" in html
    assert not {tag for tag, _ in read.tags} & {
        "script",
        "img",
        "link",
        "iframe",
        "object",
        "a",
        "form",
        "use",
        "image",
    }
    assert not {name for _, attrs in read.tags for name in attrs} & {"src", "href", "srcset", "onclick", "style"}
    assert not re.findall(r"https?:|url\(|@import", html)


EVIL = "</svg><script>x</script><img src=x onerror=x> \"' & $body ${x} [a](http://x) ![b](http://y) | `c\n# d\u202e\x00"


def hostile(run: ComparisonResult) -> ComparisonResult:
    """The run with a hostile text in the place of every text that comes from others."""
    evil = tuple(replace(it, models=(EVIL,), kind="model") for it in run.contenders)
    answers = [
        replace(it, text=EVIL, model=EVIL, why=EVIL, error=EVIL if it.contender == "large" else "")
        for it in run.answers
    ]
    question, models = replace(PORT, text=EVIL, facts=((EVIL, "a"),)), (MeasuredModel(EVIL, EVIL, error=EVIL),)
    run = replace(run, contenders=evil, answers=tuple(answers), questions=(question,), models=models)
    return replace(run, machine=EVIL, corpus=EVIL, prices_of=EVIL, problems=(EVIL,), began=EVIL)


def rated(run: ComparisonResult, *raters: str) -> list[Ratings]:
    """Ratings of all answers: 4, 5 and 3 by the first rater, and a judge, and one less each by the next."""
    levels = [{"coherence": 4 - n, "factuality": 5 - n, "brevity": 3 - n} for n in range(len(raters))]
    return [
        Ratings(rater, {it.id: levels[n] for it in samples(run)}, judge=not n, remarks=(f"{rater} stopped.",))
        for n, rater in enumerate(raters)
    ]


def test_ratings_are_shown_with_who_rated_and_how_far_raters_agree() -> None:
    answers = [answer("large", 1, model=PAIR[1]), answer("small", 0, "Port 80."), answer("auto", 1, "Port 5273.")]
    run = replace(RUN, answers=tuple(answers))
    judge, ann = rated(run, "qwen2.5-14b", "Ann")
    ann = replace(ann, values={it.id: judge.values[it.id] | {"brevity": 1 + n} for n, it in enumerate(samples(run))})

    text, html = page(run, (), [judge, ann]).markdown(), page(run, (), [judge, ann]).html()

    means = re.findall(r"\| (\w+) \((.+) · (.+)\) \| 1 \| (\S+) \| (\S+) \| (\S+) \|", text)
    assert [(name, rater, kind) for name, rater, kind, *_ in means] == [
        (name, rater, kind)
        for name in ("Small", "Large", "Auto")
        for rater, kind in (("qwen2.5-14b", "Judge model"), ("Ann", "Person"))
    ]
    assert means[0][3:] == ("4.00", "5.00", "3.00")
    kappa = weighted_kappa([3, 3, 3], [1, 2, 3])
    assert f"| qwen2.5-14b and Ann (3 answers) | – | – | {kappa:.2f} |" in text
    assert "qwen2.5-14b stopped." in text
    assert "- ✗ **Small** 1.10 s · qwen2.5-14b: Coherence 4, Factuality 5, Brevity 3 · Ann: Coherence 4" in text
    assert "<small>qwen2.5-14b: Coherence 4, Factuality 5, Brevity 3</small>" in html
    assert "Ratings" not in page(run).markdown()


def test_what_models_and_documents_say_stays_text_on_the_page() -> None:
    plain, read = Reader(page(RUN, ["A"]).html()), Reader(page(hostile(RUN), [EVIL], rated(hostile(RUN), EVIL)).html())

    assert {tag for tag, _ in read.tags} <= {tag for tag, _ in plain.tags}
    assert {name for _, attrs in read.tags for name in attrs} <= {name for _, attrs in plain.tags for name in attrs}
    assert "<script>x</script><img src=x onerror=x>" in read.text
    assert "$body ${x}" in read.text
    assert not {"\u202e", "\x00"} & set(read.text)


def test_what_models_and_documents_say_stays_text_in_markdown() -> None:
    tokens = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .parse(page(hostile(RUN), [EVIL], rated(hostile(RUN), EVIL, "b")).markdown())
    )
    kinds = {child.type for token in tokens for child in (token, *(token.children or ()))}

    assert kinds <= {
        *("heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline", "text", "text_special"),
        *("bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close", "strong_open", "strong_close"),
        *("table_open", "table_close", "thead_open", "thead_close", "tbody_open", "tbody_close", "tr_open", "tr_close"),
        *(
            "th_open",
            "th_close",
            "td_open",
            "td_close",
            "blockquote_open",
            "blockquote_close",
            "hardbreak",
            "softbreak",
        ),
    }
    tables = {len(list(row)) for row in rows(tokens)}
    assert tables <= {2, 3, 4, 5}  # no cell was broken in two


def rows(tokens: list[object]) -> Iterator[list[object]]:
    cells: list[object] = []
    for token in tokens:
        kind = getattr(token, "type", "")
        if kind == "tr_open":
            cells = []
        elif kind in ("td_open", "th_open"):
            cells.append(token)
        elif kind == "tr_close":
            yield cells


def test_the_bars_are_the_times_of_the_stages_and_add_up_to_the_whole() -> None:
    html = page(RUN).html()
    bars = [Reader(html).all("rect", f"part{part}") for part in range(6)]
    widths = [numbers([bar for bar in drawn if "x" in bar], "width") for drawn in bars]  # others are of the key

    shares = [100 * part / 1100 for part in (100, 50, 50, 300, 500, 100)]
    assert [drawn[0] for drawn in widths] == pytest.approx(shares, abs=0.01)
    assert all(len(drawn) == 3 for drawn in widths)


def test_an_interval_is_drawn_from_end_to_end_on_the_scale_of_its_axis() -> None:
    svg = Reader(report_page.Intervals("Speed", "", [("a", (40, 50, 62.5)), ("b", (80, 80, 80))], str).svg())

    assert numbers(svg.all("circle", "median"), "cx") == [62.5, 100]
    whole = svg.all("line", "interval")[0]
    assert (whole["x1"], whole["x2"]) == ("50.00%", "78.12%")


def test_a_chart_of_nothing_is_empty() -> None:
    for chart in (
        report_page.Bars("Time", "", [], str),
        report_page.Intervals("Speed", "", [], str),
        report_page.Plane("Quality", "", [], ("x", "y"), (str, str)),
    ):
        assert not Reader(chart.svg()).all("text", "name")


def test_quality_is_drawn_against_the_price_with_every_way_to_answer() -> None:
    read = Reader(page(RUN).html())
    drawn = [(kind, shape) for kind in ("alone", "hybrid", "bound") for shape in read.all("svg", kind)]
    places = {
        kind: [(float(str(it["x"])[:-1]), float(str(it["y"]))) for of, it in drawn if of == kind] for kind, _ in drawn
    }

    assert {kind: len(found) for kind, found in places.items()} == {"alone": 2, "hybrid": 1, "bound": 2}
    (large, small), (auto,) = sorted(places["alone"], key=lambda it: -it[0]), places["hybrid"]
    assert large[0] - report_page.LEFT == pytest.approx(4 * (small[0] - report_page.LEFT), abs=0.05)
    assert auto[0] - report_page.LEFT == pytest.approx(2 * (small[0] - report_page.LEFT), abs=0.05)
    assert large[1] < auto[1] < small[1]  # a better one is higher
    assert "Oracle" in read.text
    assert "Random" in read.text


def test_contenders_without_documents_are_named_so_beside_those_with_them() -> None:
    bare = replace(LARGE, id="large-bare", retrieval=False)

    assert "| Large, without documents (gpt-oss-20b) |" in page(replace(RUN, contenders=(LARGE, bare))).markdown()
    assert "- Asked without documents." in page(replace(RUN, contenders=(bare,))).markdown()
    assert "without documents" not in page(RUN).markdown()


def test_without_prices_quality_is_drawn_against_time() -> None:
    unpriced = [replace(it, means={"total_ms": it.means["total_ms"]}) for it in RUN.contenders]
    read = Reader(page(replace(RUN, contenders=tuple(unpriced), prices_of="")).html())

    assert "Quality and time" in read.text
    assert "Price" not in read.text
    assert len(read.all("svg", "alone")) == 2


def test_nothing_was_paid_is_said_only_where_no_other_machine_was_asked() -> None:
    away = replace(RUN.answers[0].attempts[0], elsewhere=True, error="Gone.")
    here, sent = page(RUN).markdown(), page(replace(RUN, answers=(answer("large", 1, attempts=(away,)),))).markdown()

    assert "those of a cloud on 2026-11-01. Here nothing was paid." in here
    assert "Prices are those of a cloud on 2026-11-01; other machines were asked too." in sent
    assert "nothing was paid" not in sent


def test_every_chart_is_said_in_words_and_has_its_table() -> None:
    html = page(RUN).html()
    for chart in re.findall(r"<figure>(.*?)</section>", html, re.S):
        assert re.search(r'<svg role="img" aria-label="[^"]+: [^"]+"', chart)
        assert re.search(r"<title>[^<]+</title><desc>[^<]+</desc>", chart)
        assert "<table>" in chart
    assert html.count("<figure>") == 3
    assert "Small: 50%, $0.10; Large: 90%, $0.40; Auto: 80%, $0.20" in html


def test_figures_have_their_intervals_and_what_was_not_measured_is_a_dash() -> None:
    text = page(RUN).markdown()

    assert r"| Small (phi-4-mini) | 50% (40% to 55%) | 1.10 s | \$0.10 | – |" in text
    assert r"| Auto (phi-4-mini → gpt-oss-20b) | 80% (70% to 85%) | 2.20 s | \$0.20 | 25% |" in text
    assert r"| Score: Auto − Small | \+30% (+10% to +40%) | yes |" in text
    assert "| phi-4-mini (Phi:5) | 4.10 s | 0.50 s | 4.8 GB |" in text
    assert "| gpt-oss-20b | – | 0.80 s | – |" in text  # it was in memory already
    assert "None" not in text


@pytest.mark.parametrize(
    ("score", "sign", "word"),
    [(1, "✓", "right"), (0, "✗", "wrong"), (0.5, "◐", "partly right"), (None, "–", "not judged")],
)
def test_each_answer_has_its_verdict_as_a_sign_and_a_word(score: float | None, sign: str, word: str) -> None:
    run = replace(RUN, contenders=(SMALL,), answers=(answer("small", score),))

    assert f'aria-label="{word}">{sign}</span> Small' in page(run).html()
    assert f"- {sign} **Small** 1.10 s" in page(run).markdown()


def test_rounds_that_disagree_count_together_and_say_so() -> None:
    run = replace(RUN, answers=(answer("small", 0, "Port 80."), answer("small", 1, round=2)))
    text = page(run).markdown()

    assert "- ◐ **Small** 1.10 s · Other rounds gave other texts." in text


def test_an_answer_shows_what_is_known_of_it() -> None:
    cited = (CitedSentence("a", 1, "f", "p", True), CitedSentence("b", None, None, None, False))
    run = replace(
        RUN, answers=(answer("auto", 1, escalated=True, why="Too short.", citations=cited, facts_expected=2),)
    )
    text = page(run).markdown()

    assert "- ✓ **Auto** 1.10 s · 0 of 2 facts · 1 of 2 citations hold · Escalated: Too short." in text
    assert "A right answer states: 5273 / port 5273" in text


def test_what_failed_is_named_and_the_rest_is_shown() -> None:
    gone = answer("large", None, "", error="The connection was lost.", total_ms=None)
    dead = replace(LARGE, figures={}, means={}, quality={}, error="The connection was lost.")
    run = replace(RUN, answers=(answer("small", 1), gone), contenders=(SMALL, dead), problems=("gpt-oss-20b died.",))
    text = page(run).markdown()

    assert "- gpt-oss-20b died." in text
    assert "> The connection was lost." in text
    assert "| Small (phi-4-mini) |" in text
    assert "| Large" not in text


def test_a_run_of_which_nothing_came_is_a_page_without_figures() -> None:
    run = replace(RUN, answers=(), contenders=(), models=(), questions=(), differences=(), problems=("No model.",))

    assert "No model." in page(run).html()
    assert "<table>" not in page(run).html()


@given(st.floats(0, 1e9))
def test_an_axis_has_few_round_ticks_that_reach_the_highest_value(highest: float) -> None:
    scale = report_page.ticks(highest)

    assert 2 <= len(scale) <= 6
    assert scale[0] == 0
    assert scale[-1] >= highest * (1 - 1e-9)
    assert scale[-1] <= highest * 2 or highest < 1e-9


@pytest.mark.parametrize("up", [0.0, 0.5, 1.0])
def test_names_of_points_that_lie_together_overlap_neither_each_other_nor_the_axis(up: float) -> None:
    same = [report_page.Point(str(n), (1, 1, 1), (up, up, up), "alone") for n in range(6)]
    names = Reader(report_page.Plane("", "", same, ("x", "y"), (str, str)).svg()).all("text", "name")
    heights = sorted(numbers(names, "y"))

    assert all(after - before >= report_page.APART for before, after in pairwise(heights))
    assert heights[-1] <= report_page.PLOT + 10 + 4  # the middle of a name, at the axis
