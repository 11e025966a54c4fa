"""What was seen is found again by bytes and stamp, and nothing depends on it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mmchat.domain import Seen, Tag
from mmchat.memory.seen_cache import SeenCache

SEEN = Seen((Tag("狗", 0.9), Tag("ball", 0.4)), text="OPEN", caption="A dog.", model="eyes", part="frame 2 of 9")


def test_what_was_seen_is_found_again_by_another_program(tmp_path: Path) -> None:
    first = SeenCache(tmp_path / "cache" / "seen.db", "eyes")
    first.keep("aa", SEEN)
    first.close()
    second = SeenCache(tmp_path / "cache" / "seen.db", "eyes")
    assert second.find("aa") == SEEN
    assert second.find("bb") is None
    second.close()


def test_another_model_or_option_finds_nothing(tmp_path: Path) -> None:
    cache, other = SeenCache(tmp_path / "seen.db", "eyes"), SeenCache(tmp_path / "seen.db", "other eyes")
    cache.keep("aa", SEEN)
    assert other.find("aa") is None
    cache.close()
    other.close()


def test_the_oldest_are_forgotten(tmp_path: Path) -> None:
    cache = SeenCache(tmp_path / "seen.db", "eyes", max_rows=3)
    for digest in "abcde":
        cache.keep(digest, SEEN)
    assert [digest for digest in "abcde" if cache.find(digest)] == ["c", "d", "e"]
    cache.close()


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    cache = SeenCache(tmp_path / "seen.db", "eyes")
    cache.keep("aa", SEEN)
    assert stat.S_IMODE((tmp_path / "seen.db").stat().st_mode) == 0o600
    cache.close()


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "seen.db").write_bytes(b"no database at all" * 100)
    cache = SeenCache(tmp_path / "seen.db", "eyes")
    assert cache.find("aa") is None
    cache.keep("aa", SEEN)
    assert cache.find("aa") == SEEN
    cache.close()


def test_where_it_cannot_be_made_pictures_are_looked_at_again(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = SeenCache(tmp_path / "file" / "seen.db", "eyes")
    cache.keep("aa", SEEN)
    assert cache.find("aa") is None
    cache.close()
