"""How people ask what is in a picture: what a caption is the answer to."""

from __future__ import annotations

import hashlib

QUESTIONS: dict[str, tuple[str, ...]] = {
    "en": (
        "Describe the picture in one short sentence.",
        "What is in this picture?",
        "What is this?",
        "Describe the picture.",
        "What do you see?",
        "What is going on here?",
        "What does the photo show?",
        "Tell me about this photo.",
        "What can you see in the picture?",
    ),
    "zh": (
        "请用一句话描述这张照片。",
        "这张照片里有什么？",
        "这是什么？",
        "请描述这张照片。",
        "你看到了什么？",
        "照片里在发生什么？",
        "图片里是什么？",
    ),
}


def picture_questions(language: str) -> tuple[str, ...]:
    """In a language, ISO 639-1, the one that asks for a caption first; in English where none are known in it."""
    return QUESTIONS.get(language, QUESTIONS["en"])


def question_for(place: str, language: str) -> str:
    """One of them for a row, always the same one for the same place."""
    questions = picture_questions(language)
    digest = hashlib.sha256(place.encode()).digest()
    return questions[int.from_bytes(digest[:4], "big") % len(questions)]


def as_sentence(caption: str) -> str:
    """A caption as somebody would say it: with a capital and a full stop, no space before its marks."""
    words = " ".join(caption.split())
    for mark in ",.!?;:":
        words = words.replace(f" {mark}", mark)
    if not words:
        return ""
    end = "。" if "\u4e00" <= words[-1] <= "\u9fff" else "."
    return words[0].upper() + words[1:] + ("" if words[-1] in ".!?。！？…" else end)
