"""Every spelling in which a terminal hands over a file is found, and nothing else is."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from mmchat.chat.attachments import find_files, find_missing, find_paths, is_command, kind_of

SHARED_FOLDER = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=150
)


def backslashed(path: Path) -> str:
    return "".join(c if c.isalnum() or c in "/._-" else "\\" + c for c in str(path))


def double_quoted(path: Path) -> str:
    return '"' + "".join("\\" + c if c in '"\\$`' else c for c in str(path)) + '"'


SPELLINGS: dict[str, Callable[[Path], str]] = {
    "raw": str,
    "backslashes": backslashed,
    "single quotes": lambda path: "'" + str(path).replace("'", "'\\''") + "'",
    "double quotes": double_quoted,
    "shlex": lambda path: shlex.quote(str(path)),
    "address": Path.as_uri,
}


def write(folder: Path, name: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def paths_in(text: str, cwd: Path) -> list[Path]:
    return [file.path for file in find_files(text, cwd=cwd)]


# --- spellings ----------------------------------------------------------------------------------

NAMES = [
    "dog.jpg",
    "my dog.PNG",
    "it's a dog.png",
    'a "b" c.webp',
    "狗 在 跑.jpg",
    "$HOME `x`.wav",
    "(1) [a]{b};&.flac",
    "..png",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_found_in_every_spelling_and_its_span_holds_the_whole_spelling(
    tmp_path: Path, name: str, spelling: str
) -> None:
    path = write(tmp_path, name)
    written = SPELLINGS[spelling](path)
    text = f"Look at {written} and tell me"

    (file,) = find_files(text, cwd=tmp_path)

    assert file.path == path
    assert text[: file.start] + text[file.end :] == "Look at  and tell me"


@SHARED_FOLDER
@given(
    stem=st.text(st.characters(exclude_characters="/\0\n", exclude_categories=["Cs"]), min_size=1, max_size=40),
    suffix=st.sampled_from(["png", "JPG", "wav", "mp3"]),
    spelling=st.sampled_from(sorted(SPELLINGS)),
)
def test_any_name_in_any_spelling_is_found(
    tmp_path_factory: pytest.TempPathFactory, stem: str, suffix: str, spelling: str
) -> None:
    folder = tmp_path_factory.mktemp("names")
    path = write(folder, f"{stem}.{suffix}")

    (file,) = find_files(f"before {SPELLINGS[spelling](path)} after", cwd=folder)

    assert file.path == path


@SHARED_FOLDER
@given(text=st.text(max_size=200))
def test_text_without_files_is_left_alone_and_nothing_raises(tmp_path: Path, text: str) -> None:
    assume("/" not in text)
    assert find_files(text, cwd=tmp_path) == []
    find_missing(text, cwd=tmp_path)
    is_command(text)


@SHARED_FOLDER
@example(pieces=["file://", "/", "\ud800", ".png"])
@given(
    pieces=st.lists(
        st.sampled_from(
            ["/", "'", '"', "\\", " ", "\n", "~", "file://", "%", "%20", "C:\\", ".png", "a", "狗", "\0", "\ud800"]
        ),
        max_size=40,
    )
)
def test_spans_are_in_order_and_inside_whatever_is_typed(tmp_path: Path, pieces: list[str]) -> None:
    write(tmp_path, "a.png")
    text = "".join(pieces)

    files = find_files(text, cwd=tmp_path)
    unusable = find_missing(text, cwd=tmp_path)

    ends = [0]
    for file in files:
        assert ends[-1] <= file.start < file.end <= len(text)
        ends.append(file.end)
    assert all(0 <= entry.start <= entry.end <= len(text) and str(entry) for entry in unusable)


# --- several, adjacent, punctuated --------------------------------------------------------------


def test_several_files_dropped_at_once_are_all_found_in_order(tmp_path: Path) -> None:
    paths = [write(tmp_path, name) for name in ("a b.png", "c.jpg", "d e.wav", "f.mp3")]
    text = f"{paths[0]} {backslashed(paths[1])} '{paths[2]}'\n{paths[3].as_uri()}"

    assert paths_in(text, tmp_path) == paths


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("What is in dog.jpg?", "What is in ?"),
        ("See dog.jpg, please.", "See , please."),
        ("(dog.jpg)", "()"),
        ("这是dog.jpg，好看吗", "这是，好看吗"),
        ("看“dog.jpg”吧", "看吧"),
        ("`dog.jpg`", ""),
        ("photo:dog.jpg", "photo:"),
    ],
)
def test_words_and_punctuation_may_touch_a_name(tmp_path: Path, text: str, rest: str) -> None:
    write(tmp_path, "dog.jpg")
    (file,) = find_files(text, cwd=tmp_path)
    assert text[: file.start] + text[file.end :] == rest


def test_a_chinese_name_is_found_inside_a_chinese_sentence(tmp_path: Path) -> None:
    path = write(tmp_path, "小狗.jpg")
    assert paths_in("请看小狗.jpg是什么", tmp_path) == [path]


def test_the_longest_existing_name_wins(tmp_path: Path) -> None:
    write(tmp_path, "dog.jpg")
    longer = write(tmp_path, "my dog.jpg")
    assert paths_in("my dog.jpg", tmp_path) == [longer]


def test_a_name_that_goes_on_is_not_a_shorter_one(tmp_path: Path) -> None:
    write(tmp_path, "dog.jpg")
    assert paths_in("dog.jpg.bak dog.jpgs dog.jpg/x", tmp_path) == []


# --- other worlds' spellings --------------------------------------------------------------------


def test_the_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = write(tmp_path, "Pictures/my dog.jpg")
    assert paths_in("~/Pictures/my dog.jpg", Path("/")) == [path]
    assert paths_in("~/Pictures/my\\ dog.jpg what?", Path("/")) == [path]


@pytest.mark.parametrize(
    ("on_disk", "typed"),
    [
        ("Screenshot 2026-11-21 at 3.05.12\u202fPM.png", "Screenshot 2026-11-21 at 3.05.12 PM.png"),
        ("Snímek\u00a0obrazovky.png", "Snímek obrazovky.png"),
        (unicodedata.normalize("NFD", "café.png"), unicodedata.normalize("NFC", "café.png")),
        (unicodedata.normalize("NFC", "café.png"), unicodedata.normalize("NFD", "café.png")),
    ],
)
def test_spaces_and_accents_that_only_look_the_same_are_matched(tmp_path: Path, on_disk: str, typed: str) -> None:
    path = write(tmp_path, f"Dossier d\u0301/{on_disk}")
    assert paths_in(f"look: {tmp_path}/Dossier d\u0301/{typed}", tmp_path) == [path]
    assert paths_in(f"'{tmp_path}/Dossier d\u0301/{typed}'", tmp_path) == [path]


def test_two_names_that_look_the_same_are_not_guessed_between(tmp_path: Path) -> None:
    write(tmp_path, "3\u202fPM.png")
    write(tmp_path, "3\u00a0PM.png")
    assert paths_in(f"{tmp_path}/3 PM.png", tmp_path) == []


def test_windows_names_are_found_where_the_drives_are_mounted(tmp_path: Path) -> None:
    path = write(tmp_path, "c/Users/me/my dog.png")
    for text in (r"C:\Users\me\my dog.png", r'"C:\Users\me\my dog.png"', "file:///C:/Users/me/my%20dog.png"):
        (file,) = find_files(f"see {text} now", cwd=Path("/"), drives_dir=tmp_path)
        assert file.path == path


def test_names_from_the_windows_side_of_a_wsl_share_are_found(tmp_path: Path) -> None:
    path = write(tmp_path, "my dog.png")
    share = r"\\wsl.localhost\Ubuntu" + str(path).replace("/", "\\")
    assert paths_in(share, Path("/")) == [path]


def test_another_machine_s_address_is_not_opened(tmp_path: Path) -> None:
    path = write(tmp_path, "dog.png")
    assert paths_in(f"file://elsewhere{path}", Path("/")) == []
    assert paths_in(f"file://localhost{path}", Path("/")) == [path]


# --- kinds, commands, what cannot be attached ---------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.PNG", "image"), ("a.heic", "image"), ("a.m4a", "audio"), ("a.webm", "audio"), ("a.txt", None)],
)
def test_the_extension_says_which_sense(name: str, kind: str | None) -> None:
    assert kind_of(name) == kind


@pytest.mark.parametrize("text", ["/help", "/?", "/image /home/me/a.png", "/new\n", "/no-such-command x"])
def test_commands(text: str) -> None:
    assert is_command(text)


@pytest.mark.parametrize("text", ["", "help", "/home/me/a.png", "//", "/", "1/2", "see /help", "/a.png", "/home/me"])
def test_not_commands(text: str) -> None:
    assert not is_command(text)


def test_a_dropped_file_whose_folder_looks_like_a_command_is_not_one(tmp_path: Path) -> None:
    path = write(tmp_path, "my pictures/a.png")
    assert not is_command(str(path))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Describe dog.jpg please", "dog.jpg"),
        ("Describe /nowhere/my dog.jpg please", "/nowhere/my dog.jpg"),
        ("'/nowhere/my dog.jpg'", "/nowhere/my dog.jpg"),
        ("请看/nowhere/狗.jpg。", "/nowhere/狗.jpg"),
    ],
)
def test_a_missing_file_is_named(tmp_path: Path, text: str, name: str) -> None:
    (entry,) = find_missing(text, cwd=tmp_path)
    assert entry.name.endswith(name)
    assert entry.reason == "missing"
    assert name in str(entry)


def test_a_found_file_is_not_missing_but_its_neighbour_is(tmp_path: Path) -> None:
    write(tmp_path, "a.png")
    (entry,) = find_missing("a.png b.png", cwd=tmp_path)
    assert entry.name == "b.png"


def test_folders_other_files_and_web_addresses(tmp_path: Path) -> None:
    (tmp_path / "album.png").mkdir()
    document = write(tmp_path, "my notes.pdf")
    assert [entry.reason for entry in find_missing("album.png", cwd=tmp_path)] == ["folder"]
    assert [entry.reason for entry in find_missing(str(document), cwd=tmp_path)] == ["not media"]
    assert [entry.reason for entry in find_missing(backslashed(document), cwd=tmp_path)] == ["not media"]
    assert find_missing("https://example.org/a.png", cwd=tmp_path) == []
    assert find_missing(f"What does {document} say?", cwd=tmp_path) == []


def test_a_hostile_name_is_inert_in_the_sentence(tmp_path: Path) -> None:
    (entry,) = find_missing("/nowhere/\x1b[31mred\x1b]0;title\x07.png", cwd=tmp_path)
    assert "\x1b" not in str(entry)


def test_paths_of_any_kind_are_found_in_every_spelling(tmp_path: Path) -> None:
    document, folder = write(tmp_path, "my notes.pdf"), tmp_path / "All of it"
    folder.mkdir()
    for spelling in (
        "my notes.pdf",
        f"'{document}'",
        f'"{document}"',
        backslashed(document),
        document.as_uri(),
        f" {document}\n",
    ):
        assert find_paths(spelling, cwd=tmp_path) == [document], spelling
    assert find_paths(f"'{document}' {backslashed(folder)}", cwd=tmp_path) == [document, folder]


def test_what_names_no_path_or_something_beside_it_is_none(tmp_path: Path) -> None:
    write(tmp_path, "a.md")
    for text in ("", "  ", "b.md", "a.md b.md", "read a.md", "'a.md", "\0", "x" * 5000):
        assert find_paths(text, cwd=tmp_path) == [], text
