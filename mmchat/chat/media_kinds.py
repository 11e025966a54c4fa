"""Which files are pictures and which are sounds, by name and by their first bytes."""

from __future__ import annotations

import os
from pathlib import Path

from mmchat.domain import AttachmentKind

IMAGE_SUFFIXES = frozenset({"png", "jpg", "jpeg", "gif", "webp", "bmp", "tif", "tiff", "heic", "heif", "avif"})
AUDIO_SUFFIXES = frozenset(
    {
        "wav",
        "mp3",
        "flac",
        "m4a",
        "m4b",
        "mp4",
        "aac",
        "ogg",
        "oga",
        "opus",
        "webm",
        "weba",
        "aif",
        "aiff",
        "wma",
        "amr",
    }
)

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"ID3", "mp3"),
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
    (b"\x1aE\xdf\xa3", "webm"),
    (b"#!AMR", "amr"),
)
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})


def kind_of(path: Path | str) -> AttachmentKind | None:
    """Which sense a file is for, by its extension; None for neither."""
    stem, _, suffix = os.fspath(path).lower().rpartition(".")
    if not stem or stem.endswith(("/", os.sep)):  # ".png" is a hidden file without an extension
        return None
    if suffix in IMAGE_SUFFIXES:
        return "image"
    return "audio" if suffix in AUDIO_SUFFIXES else None


def media_suffix(head: bytes) -> str | None:
    """The extension that fits a file's first bytes (16 are enough), for data that came without a name."""
    for magic, suffix in _MAGIC:
        if head.startswith(magic):
            return suffix
    if head[:4] == b"RIFF":
        return {b"WEBP": "webp", b"WAVE": "wav"}.get(head[8:12])
    if head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"}:
        return "aiff"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return "avif" if brand in {b"avif", b"avis"} else "heic" if brand in _HEIF_BRANDS else "m4a"
    is_mpeg_frame = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    if is_mpeg_frame:
        return "aac" if head[1] & 0xF6 == 0xF0 else "mp3"
    return None
