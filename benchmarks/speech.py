"""How fast speech becomes text, and whether both engines say the same.

    python benchmarks/speech.py --data ../shared/data/speech/ljspeech.jsonl -m whisper-tiny.en -m whisper-base

Error rates are `mmchat eval`'s business. Rows are `{"audio": path, "text": "…"}`, one a line. Weights come
from the weights folder (`mmchat models pull`). Prints one JSON object for each model and engine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec, Heard
from mmchat.engines.audio_io import decode_audio
from mmchat.engines.registry import load_engine
from mmchat.evals.metrics.speech import normalizer_for
from mmchat.paths import weights_dir
from mmchat.rows.reader import read_rows
from mmchat.rows.values import SpeechRow
from mmchat.script import language_of
from mmchat.weights.store import WeightsStore

ENGINES = ("faster-whisper", "openai-whisper")


def recognise(engine: Any, rows: Sequence[SpeechRow], language: str | None) -> Iterator[tuple[str, float, float, str]]:
    """Text, seconds taken, seconds of sound and language of each row."""
    for row in rows:
        pcm = decode_audio(row.audio_path)
        started_s = time.perf_counter()
        heard = [event for event in engine.transcribe(pcm, language=language) if isinstance(event, Heard)][-1]
        yield heard.text, time.perf_counter() - started_s, heard.duration_s, heard.language


def measure(
    name: str, engine_name: str, rows: Sequence[SpeechRow], *, should_detect: bool, dtype: str
) -> dict[str, Any]:
    """Speed of one model on one engine, and the words it heard."""
    entry = load_models_file()[name]
    path = WeightsStore(weights_dir()).prepared(entry, engine_name)
    started_s = time.perf_counter()
    engine = load_engine("asr", EngineSpec(name=name, engine=engine_name, path=path, dtype=dtype))
    load_s = time.perf_counter() - started_s
    language = rows[0].language or language_of([row.text for row in rows])
    outcomes = list(recognise(engine, rows, None if should_detect else language))
    engine.close()
    clean = normalizer_for(language).apply
    taken_s = [seconds for _, seconds, _, _ in outcomes]
    return {
        "model": name,
        "engine": engine_name,
        "dtype": dtype,
        "rows": len(rows),
        "load_s": round(load_s, 2),
        "median_s": round(statistics.median(taken_s), 2),
        "real_time_factor": round(sum(taken_s) / sum(seconds for _, _, seconds, _ in outcomes), 3),
        "languages": sorted({detected for *_, detected in outcomes}),
        "texts": [clean(text) for text, *_ in outcomes],
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
    options = parser.parse_args()
    found = [row for row in read_rows(options.data).rows if isinstance(row, SpeechRow)]
    rows = found[: options.limit or None]
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
