"""The benchmark of the page sees an answer in an empty chat and below earlier turns."""

import pytest

from benchmarks import page


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.long
def test_the_page_shows_an_answer_in_an_empty_chat_and_below_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "TOKENS", 100)
    monkeypatch.setattr(page, "EARLIER", 2)

    result = page.bench_page(1, print)

    assert [row["turns"] for row in result["rows"]] == [0, 2]
    for row in result["rows"]:
        assert row["first_row_s"] > 0
        assert 0 < row["stream_s"] <= row["shown_s"] <= row["finished_s"]
    assert "times" in next(page.lines(result))
