"""Numbers of workbooks, shown as their formats say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.readers.numbers import BUILT_IN, shown


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        ("0.30000000000000004", "General", "0.3"),
        ("0.30000000000000004", "", "0.3"),
        ("1234567", "#,##0", "1234567"),
        ("19.9", "0.00", "19.90"),
        ("19.9", "#,##0.00\\ [$€-407]", "19.90 €"),
        ("19.9", "[$$-409]#,##0.00", "$19.90"),
        ("-5", '#,##0" €";[RED]-#,##0" €"', "-5 €"),
        ("0.125", "0.0%", "12.5%"),
        ("0.5", "# ?/?", "0.5"),
        ("1e21", "0", "1e+21"),
        ("1", '"TRUE";"TRUE";"FALSE"', "TRUE"),
        ("0", '"TRUE";"TRUE";"FALSE"', "FALSE"),
        ("45719", BUILT_IN[14], "2025-03-03"),
        ("45719", 'dddd", "d\\. mmmm yyyy', "2025-03-03"),
        ("45719.5", "[$-F800]dddd, mmmm dd, yyyy", "2025-03-03 12:00"),
        ("45719.75", BUILT_IN[22], "2025-03-03 18:00"),
        ("45719", "m/d/yy h:mm", "2025-03-03 00:00"),
        ("45719", "mmm-yy", "2025-03-03"),
        ("0.395833333333333", "h:mm AM/PM", "09:30"),
        ("1.5", "[h]:mm:ss", "36:00:00"),
        ("1", "yyyy-mm-dd", "1900-01-01"),
        ("59", "yyyy-mm-dd", "1900-02-28"),
        ("61", "yyyy-mm-dd", "1900-03-01"),
        ("-3", "yyyy-mm-dd", "-3"),
        ("1e300", "yyyy-mm-dd", "1e+300"),
    ],
)
def test_a_number_is_shown_as_its_format_says(value: str, code: str, text: str) -> None:
    assert shown(value, code, since_1904=False) == text


def test_a_date_of_an_old_mac() -> None:
    assert shown("44257", "yyyy-mm-dd", since_1904=True) == "2025-03-03"


@given(st.floats(allow_nan=False, allow_infinity=False), st.text('0#?.,;%dmyhsE+-[]$€"\\_* /@', max_size=12))
def test_any_number_is_shown_in_any_format(number: float, code: str) -> None:
    assert isinstance(shown(repr(number), code, since_1904=False), str)
