"""Files of arrays: what was written is read, and what is damaged is named as such."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import DamagedIndex
from app.retrieval import arrays

KINDS = (np.bool_, np.uint8, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64)
EXAMPLE = {"numbers": np.arange(1000, dtype=np.int64), "none": np.zeros(0, np.int32), "bytes": np.arange(7, dtype="u1")}

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    """The bytes of an undamaged file."""
    arrays.write(tmp_path / "whole", EXAMPLE)
    return (tmp_path / "whole").read_bytes()


def header(whole: bytes) -> int:
    """Where the header ends."""
    return whole.index(b"]}") + 2


def read(folder: Path, data: bytes) -> dict[str, np.ndarray]:
    path = folder / "damaged"
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return arrays.read(path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0, 1, 3, 1000])
def test_what_was_written_is_read(kind: type[np.generic], size: int, tmp_path: Path) -> None:
    array = np.arange(size).astype(kind)
    arrays.write(tmp_path / "file", {"before": np.ones(3, np.uint8), "array": array, "after": np.ones(1)})
    found = arrays.read(tmp_path / "file")
    assert list(found) == ["before", "array", "after"]
    assert found["array"].dtype == array.dtype
    assert found["array"].tolist() == array.tolist()
    assert found["after"].tolist() == [1.0]


def test_no_arrays_at_all_can_be_written(tmp_path: Path) -> None:
    arrays.write(tmp_path / "file", {})
    assert arrays.read(tmp_path / "file") == {}


def test_an_array_with_gaps_is_written_without_them(tmp_path: Path) -> None:
    arrays.write(tmp_path / "file", {"even": np.arange(10)[::2]})
    assert arrays.read(tmp_path / "file")["even"].tolist() == [0, 2, 4, 6, 8]


def test_what_is_read_cannot_be_changed(tmp_path: Path) -> None:
    arrays.write(tmp_path / "file", EXAMPLE)
    for array in arrays.read(tmp_path / "file").values():
        assert not array.flags.writeable


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    arrays.write(tmp_path / "file", EXAMPLE)
    with pytest.raises(FileExistsError):
        arrays.write(tmp_path / "file", {})
    assert arrays.read(tmp_path / "file")["numbers"].tolist() == list(range(1000))


def test_arrays_outlive_the_name_of_their_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    arrays.write(path, EXAMPLE)
    found = arrays.read(path)
    try:
        path.unlink()
    except PermissionError:
        pytest.skip("this system keeps a mapped file")
    arrays.write(path, {"other": np.zeros(5)})
    assert found["numbers"].sum() == sum(range(1000))
    assert list(arrays.read(path)) == ["other"]


def test_a_missing_file_is_not_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        arrays.read(tmp_path / "none")


FOREIGN = [
    b"",
    b"\0" * 4096,
    b"%PDF-1.7\n" * 100,
    b"escalator arrays 1\n",
    b"escalator arrays 1\n" + b"\xff" * 100,
    b"escalator arrays 2\n" + b"\0" * 100,
    b"escalator arrays 1\n" + (100_000).to_bytes(8, "little") + b"[" * 100_000,
]


@pytest.mark.parametrize("data", FOREIGN)
def test_a_foreign_file_is_named_as_damaged(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(DamagedIndex, match=r"damaged is damaged\. Delete its folder; the index is then made anew\.$"):
        read(tmp_path, data)


@in_one_folder
@given(st.data())
def test_a_file_that_was_cut_off_is_named_as_damaged(tmp_path: Path, whole: bytes, data: st.DataObject) -> None:
    last = data.draw(st.integers(0, len(whole) - 64))
    with pytest.raises(DamagedIndex):
        read(tmp_path, whole[:last])


@in_one_folder
@given(st.data())
def test_a_header_with_one_wrong_byte_is_named_as_damaged(tmp_path: Path, whole: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, header(whole) - 1))
    wrong = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[at]))
    with pytest.raises(DamagedIndex):
        read(tmp_path, whole[:at] + bytes([wrong]) + whole[at + 1 :])


@in_one_folder
@given(st.binary(max_size=300))
def test_any_bytes_behind_the_mark_are_read_or_named_as_damaged(tmp_path: Path, rest: bytes) -> None:
    with pytest.raises(DamagedIndex):
        read(tmp_path, b"escalator arrays 1\n" + rest)
