"""Numbers in words for people."""

import pytest

from app.humanize import ago, count, gigabytes, size, time_left


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "just now"), (59, "just now"), (61, "1 minute ago"), (7300, "2 hours ago"), (9e5, "10 days ago")],
)
def test_an_age_is_given_in_one_unit(seconds: float, text: str) -> None:
    assert ago(seconds) == text


def test_one_thing_is_no_plural_and_large_numbers_are_grouped() -> None:
    assert [count(number, "file") for number in (0, 1, 2, 1234)] == ["0 files", "1 file", "2 files", "1,234 files"]


def test_gigabytes_have_a_decimal_unless_it_is_zero() -> None:
    assert [gigabytes(size) for size in (0, 800, 4_000, 12_260)] == ["0 GB", "0.8 GB", "4 GB", "12.3 GB"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *((-1, "0 kB"), (0, "0 kB"), (1, "0.1 kB"), (40, "0.1 kB")),
        *((440, "0.4 kB"), (99_960, "100 kB"), (250_000, "250 kB"), (999_900, "1 MB")),
        *((5_000_000, "5 MB"), (9_310_000, "9.3 MB"), (128_400_000, "128 MB"), (2_790_000_000, "2.8 GB")),
        (1.5e12, "1,500 GB"),
    ],
)
def test_a_size_is_given_in_the_unit_that_suits_it(number: float, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5990, "100 min"), (7300, "2 h")]
)
def test_the_remaining_time_is_given_in_seconds_minutes_or_hours(seconds: float, text: str) -> None:
    assert time_left(seconds) == f"about {text} left"
