"""How numbers are said."""

import pytest

from app.humanize import ago, count, gigabytes


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "just now"), (59, "just now"), (61, "1 minute ago"), (7300, "2 hours ago"), (9e5, "10 days ago")],
)
def test_age_is_told_in_one_unit(seconds: float, said: str) -> None:
    assert ago(seconds) == said


def test_one_thing_is_no_plural_and_large_numbers_are_grouped() -> None:
    assert [count(number, "file") for number in (0, 1, 2, 1234)] == ["0 files", "1 file", "2 files", "1,234 files"]


def test_sizes_have_a_decimal_where_it_says_something() -> None:
    assert [gigabytes(size) for size in (0, 800, 4_000, 12_260)] == ["0 GB", "0.8 GB", "4 GB", "12.3 GB"]
