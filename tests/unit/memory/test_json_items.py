"""Items of a large JSON list, however the file is cut into pieces."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmchat.errors import DataError
from mmchat.memory import json_items
from mmchat.memory.json_items import JsonItems

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ITEMS = st.dictionaries(st.text(), VALUES, max_size=4) | st.lists(VALUES, max_size=3) | st.text()


class Dripping(io.BytesIO):
    """Gives a few bytes at a time, as a slow or packed file does."""

    def __init__(self, data: bytes, step: int) -> None:
        super().__init__(data)
        self._step = step

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._step)


@given(st.lists(ITEMS), st.integers(1, 40), st.sampled_from([None, 1]), st.booleans())
def test_every_item_comes_out_however_the_file_is_cut(
    items: list[object], step: int, indent: int | None, is_ascii: bool
) -> None:
    data = json.dumps(items, indent=indent, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    assert list(JsonItems(Dripping(data, step), "x.json")) == items


def test_a_list_within_an_object_and_objects_without_a_list() -> None:
    def items(*values: object) -> list[object]:
        data = b"\xef\xbb\xbf \n" + "\n".join(map(json.dumps, values)).encode()
        return list(JsonItems(io.BytesIO(data), "x.json"))

    assert items({"conversations": [1, 2]}) == [1, 2]
    assert items({"mapping": {}}, {"mapping": {"a": 1}}) == [{"mapping": {}}, {"mapping": {"a": 1}}]


@pytest.mark.parametrize("step", [3, 1 << 20])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: data[:-1], "breaks off in item 3"),
        (lambda data: data[: len(data) // 2], "breaks off in item 2"),
        (lambda data: data.replace(b", [", b" [", 1), "'[' is out of place"),
        (lambda data: data.replace(b'"b"', b'"b" b', 1), "is not JSON any more at item"),
        (lambda data: data.replace(b'"c"', b'"\xff"', 1), "is not UTF-8"),
        (lambda data: b"hello", "is not JSON"),
        (lambda data: b"", "is not JSON"),
    ],
)
def test_what_is_broken_is_said_after_what_is_good(step: int, spoil: Callable[[bytes], bytes], words: str) -> None:
    data = spoil(json.dumps([["a" * 50], ["b" * 50, "b", "b" * 50], ["c"]]).encode())
    with pytest.raises(DataError) as error:
        list(JsonItems(Dripping(data, step), "x.json"))
    assert words in error.value.message


def test_nothing_huge_is_swallowed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_items, "ITEM_LIMIT_CHARACTERS", 1000)
    with pytest.raises(DataError, match="holds an item of more than"):
        list(JsonItems(Dripping(b'["' + b"x" * 5000 + b'"]', 100), "x.json"))
