"""Numbers of workbooks, shown as their formats say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.readers.xlsx import BUILT_IN, shown


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        (0.30000000000000004, "General", "0.3"),
        (0.30000000000000004, "", "0.3"),
        (1234567, "#,##0", "1234567"),
        (19.9, "0.00", "19.90"),
        (19.9, "0.##", "19.9"),
        (19.9, "#,##0.00\\ [$€-407]", "19.90 €"),
        (19.9, "[$$-409]#,##0.00", "$19.90"),
        (7, "\\£0", "£7"),
        (-5, '#,##0" €";[RED]-#,##0" €"', "-5 €"),
        (-5.25, "0.00_);(0.00)", "-5.25"),
        (1234.5, '_-* #,##0.00\\ "€"_-;\\-* #,##0.00\\ "€"_-', "1234.50 €"),
        (0.125, "0.0%", "12.5%"),
        (0.25, BUILT_IN[9], "25%"),
        (25, '0"%"', "25%"),
        (12.5, '"No. "0.0" kg"', "No. 12.5 kg"),
        (0.5, "# ?/?", "0.5"),
        (12345.678, "0.00E+00", "12345.678"),
        (1e21, "0", "1e+21"),
        (2024, "@", "2024"),
    ],
)
def test_a_number_is_shown_as_its_format_says(value: float, code: str, text: str) -> None:
    assert shown(value, code) == text


@given(st.floats(allow_nan=False, allow_infinity=False), st.text('0#?.,;%dmyhsE+-[]$€"\\_* /@', max_size=12))
def test_any_number_is_shown_in_any_format(number: float, code: str) -> None:
    assert isinstance(shown(number, code), str)
