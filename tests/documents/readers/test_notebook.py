"""Jupyter notebooks: which cell a text stands in, what is shown of outputs, old and damaged files."""

import json
from pathlib import Path

import pytest

from app.documents.passages import Place
from app.documents.readers import SUFFIXES
from app.documents.readers.markdown import read_notebook
from app.errors import UnreadableFile

FILES = Path(__file__).with_name("files")


def of(*cells: object) -> bytes:
    return json.dumps({"nbformat": 4, "cells": cells}).encode()


def code(source: str, *outputs: object) -> object:
    return {"cell_type": "code", "source": source, "outputs": outputs}


def markdown(source: str) -> object:
    return {"cell_type": "markdown", "source": source.splitlines(keepends=True)}


@pytest.mark.parametrize("name", ["nbconvert.ipynb", "nbformat3.ipynb"])
def test_a_notebook_that_jupyter_ran_is_read_by_cells_under_headings(name: str) -> None:
    first, second = read_notebook((FILES / name).read_bytes())
    assert first.place == Place("cell", "cells 1 to 2", 1)
    assert "The tides of the northern quay are measured every ten minutes." in first.text
    assert first.text.endswith("```\nheights = [1.2, 3.4, 2.2]\nmax(heights)\n```\n\nOutput:\n```\n3.4\n```")
    assert second.place == Place("cell", "cells 3 to 6", 3)
    assert "reading 19\n…\n```" in second.text
    assert "ZeroDivisionError: division by zero" in second.text
    assert "\x1b" not in second.text
    assert "<IPython.core.display" not in second.text
    assert SUFFIXES[".ipynb"].title([first, second]) == "Tide tables"


def test_a_long_cell_is_a_page_by_itself_and_empty_cells_count() -> None:
    pages = read_notebook(of(markdown("Short."), markdown(""), code("x = 1\n" * 60), code("y")))
    assert [page.place.label for page in pages] == ["cell 1", "cell 3", "cell 4"]


def test_pictures_and_long_lines_are_left_out() -> None:
    picture = {"output_type": "display_data", "data": {"image/png": "iVBOR" * 9000, "text/plain": "<Figure size 6x4>"}}
    long = {"output_type": "stream", "text": ["z" * 5000]}
    (page,) = read_notebook(of(code("plot()", picture, long)))
    assert "iVBOR" not in page.text
    assert len(page.text) < 300


@pytest.mark.parametrize("data", [b"{", b"[" * 100_000, b"9" * 9000, b"[]", b'{"cells": 7}', b'{"cells": [7, {}]}'])
def test_what_is_no_notebook_is_named(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match="; open it in Jupyter and save it again"):
        read_notebook(data)


@pytest.mark.parametrize("value", [7, None, {"a": 1}, [1, None], "\ud800\f\0"])
def test_fields_of_any_kind_are_borne(value: object) -> None:
    odd = {"cell_type": "code", "source": value, "outputs": [value, {"data": value}, {"text": value}]}
    (page,) = read_notebook(of(markdown("Text."), odd, {"cell_type": "heading", "level": value, "source": value}))
    assert page.text.startswith("Text.")
    assert not {"\f", "\0", "\ud800"} & set(page.text)
