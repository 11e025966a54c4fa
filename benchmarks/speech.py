"""Word and character error rates, speed, and whether both engines say the same.

    python benchmarks/speech.py --data ../shared/data/speech/ljspeech.jsonl -m whisper-tiny.en -m whisper-base
    python benchmarks/speech.py --data ../shared/data/speech/aishell-zh.jsonl -m whisper-base --no-prompt

Rows are `{"audio": path, "text": "…", "lang": "en"}`, one a line. Weights come from the weights folder
(`mmchat models pull`). English text is normalised with openai-whisper's normaliser; Chinese is scored in
characters, letters and digits only. Prints one JSON object for each model and engine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jiwer

from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec, Heard
from mmchat.engines import speech_gates
from mmchat.engines.audio_io import decode_audio
from mmchat.engines.registry import load_engine
from mmchat.paths import weights_dir
from mmchat.weights.store import WeightsStore

ENGINES = ("faster-whisper", "openai-whisper")
NO_SPACES = {"zh", "ja"}


@dataclass(frozen=True)
class Row:
    """One sound and what is said in it."""

    path: Path
    text: str
    language: str


def read_rows(path: Path, limit: int) -> list[Row]:
    """The rows of a JSON Lines file."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    rows = [Row(path.parent / row["audio"], row["text"], row.get("lang", "en")) for row in lines]
    return rows[:limit] if limit else rows


def normaliser(language: str) -> Callable[[str], str]:
    """What both the reference and the transcript go through before they are compared."""
    if language == "en":
        from whisper.normalizers import EnglishTextNormalizer

        english: Callable[[str], str] = EnglishTextNormalizer()
        return english
    if language in NO_SPACES:
        return lambda text: "".join(letter for letter in text.lower() if letter.isalnum())
    return lambda text: " ".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def recognise(engine: Any, rows: list[Row], language: str | None) -> Iterator[tuple[str, float, float, str]]:
    """Text, seconds taken, seconds of sound and language of each row."""
    for row in rows:
        pcm = decode_audio(row.path)
        started_s = time.perf_counter()
        heard = [event for event in engine.transcribe(pcm, language=language) if isinstance(event, Heard)][-1]
        yield heard.text, time.perf_counter() - started_s, heard.duration_s, heard.language


def measure(name: str, engine_name: str, rows: list[Row], *, should_detect: bool, dtype: str) -> dict[str, Any]:
    """Error rate and speed of one model on one engine."""
    entry = load_models_file()[name]
    path = WeightsStore(weights_dir()).prepared(entry, engine_name)
    started_s = time.perf_counter()
    engine = load_engine("asr", EngineSpec(name=name, engine=engine_name, path=path, dtype=dtype))
    load_s = time.perf_counter() - started_s
    language = rows[0].language
    outcomes = list(recognise(engine, rows, None if should_detect else language))
    engine.close()
    clean = normaliser(language)
    pairs = [(clean(row.text), clean(text)) for row, (text, *_) in zip(rows, outcomes, strict=True)]
    scorer = jiwer.cer if language in NO_SPACES else jiwer.wer
    taken_s = [seconds for _, seconds, _, _ in outcomes]
    return {
        "model": name,
        "engine": engine_name,
        "dtype": dtype,
        "rows": len(rows),
        "cer" if language in NO_SPACES else "wer": round(
            100 * scorer([reference for reference, _ in pairs], [text for _, text in pairs]), 2
        ),
        "normaliser": "whisper.normalizers.EnglishTextNormalizer" if language == "en" else "letters and digits",
        "load_s": round(load_s, 2),
        "median_s": round(statistics.median(taken_s), 2),
        "real_time_factor": round(sum(taken_s) / sum(seconds for _, _, seconds, _ in outcomes), 3),
        "languages": sorted({detected for *_, detected in outcomes}),
        "texts": [text for _, text in pairs],
    }


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="JSON Lines of audio and text")
    parser.add_argument("-m", "--model", action="append", required=True)
    parser.add_argument("-e", "--engine", action="append", choices=ENGINES)
    parser.add_argument("--dtype", default="auto", help="float32 makes faster-whisper compute as openai-whisper does")
    parser.add_argument("--limit", type=int, default=0, help="only the first rows")
    parser.add_argument("--detect", action="store_true", help="let the model find the language")
    parser.add_argument("--no-prompt", action="store_true", help="leave out the Simplified-Chinese prompt")
    options = parser.parse_args()
    if options.no_prompt:
        speech_gates.SIMPLIFIED_CHINESE_PROMPT = ""
    rows = read_rows(options.data, options.limit)
    for name in options.model:
        texts: dict[str, list[str]] = {}
        for engine_name in options.engine or ENGINES:
            row = measure(name, engine_name, rows, should_detect=options.detect, dtype=options.dtype)
            texts[engine_name] = row.pop("texts")
            print(json.dumps(row, ensure_ascii=False), flush=True)
        if len(texts) > 1:
            first, second = texts.values()
            differing = [(one, other) for one, other in zip(first, second, strict=True) if one != other]
            print(json.dumps({"model": name, "same_words": len(rows) - len(differing), "rows": len(rows)}))
            for one, other in differing:
                print(json.dumps({"one": one, "other": other}, ensure_ascii=False))


if __name__ == "__main__":
    main()
