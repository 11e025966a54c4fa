"""How fast speech becomes text and how much of it is wrong; what the way around the engine costs.

    python benchmarks/speech.py --data ../shared/data/speech/ljspeech.jsonl -m whisper-tiny.en -m whisper-base
    python benchmarks/speech.py --data ../shared/data/speech/an4.jsonl -m whisper-base -e bare -e by-language --words

`bare` is the faster-whisper library called directly, with the settings that mmchat gives it; `by-language` is what
the app does where no speech model was chosen: the language expected from the row before, English left to the model
that is named for it. `mmchat eval` gives error rates with intervals. Rows are `{"audio": path, "text": "…"}`, one a
line. Weights come from the weights folder (`mmchat models pull`). Prints one JSON object for each model and engine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
from numpy.typing import NDArray

from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec, ListenOptions
from mmchat.engines.audio_io import SAMPLE_RATE_HZ, decode_audio
from mmchat.engines.hear import hear
from mmchat.engines.registry import load_engine
from mmchat.evals.metrics.speech import normalizer_for
from mmchat.paths import weights_dir
from mmchat.rows.reader import read_rows
from mmchat.rows.values import SpeechRow
from mmchat.script import language_of
from mmchat.weights.store import WeightsStore
from mmchat.wiring.speech_models import by_language

ENGINES = ("faster-whisper", "openai-whisper")
Recognise = Callable[[NDArray[np.float32]], tuple[str, str]]
"""Sound → text and language."""


def spec_of(name: str, engine: str, dtype: str) -> EngineSpec:
    """Where the weights of a model are for an engine."""
    path = WeightsStore(weights_dir()).prepared(load_models_file()[name], engine)
    return EngineSpec(name=name, engine=engine, path=path, dtype=dtype)


def bare(name: str, language: str | None) -> Recognise:
    """The library, as mmchat sets it, and nothing around it."""
    from faster_whisper import WhisperModel

    from mmchat.engines import speech_gates as gates
    from mmchat.engines.asr_faster_whisper import BEAM_SIZE
    from mmchat.engines.device import usable_threads

    spec = spec_of(name, "faster-whisper", "auto")
    model = WhisperModel(
        str(spec.path), device="cpu", compute_type="int8", cpu_threads=usable_threads(), local_files_only=True
    )

    def recognise(pcm: NDArray[np.float32]) -> tuple[str, str]:
        segments, info = model.transcribe(
            pcm,
            language=language,
            beam_size=BEAM_SIZE,
            temperature=list(gates.TEMPERATURES),
            initial_prompt=gates.prompt_for(language or "", "") or None,
            condition_on_previous_text=False,
            vad_filter=True,
        )
        return "".join(segment.text for segment in segments), info.language

    return recognise


def shipped(engine: Any, language: str | None, *, with_words: bool, is_session: bool) -> Recognise:
    """An engine of mmchat's; in a session, what was heard before is expected again."""
    expected = ""

    def recognise(pcm: NDArray[np.float32]) -> tuple[str, str]:
        nonlocal expected
        options = ListenOptions(expected=expected, with_words=with_words)
        given = None if is_session else language
        heard = hear(engine, pcm, language=given, cancel=None, options=options)
        if is_session:
            expected = heard.language
        return heard.text, heard.language

    return recognise


def opened(name: str, engine_name: str, language: str | None, *, dtype: str, with_words: bool) -> Recognise:
    """What turns a sound into text."""
    if engine_name == "bare":
        return bare(name, language)
    main = load_engine("asr", spec_of(name, "faster-whisper" if engine_name == "by-language" else engine_name, dtype))
    if engine_name == "by-language":
        english = getattr(load_models_file()[name], "english", "")
        load = partial(load_engine, "asr", spec_of(english, "faster-whisper", dtype))
        main = by_language(main, english, lambda: True, load)
    return shipped(main, language, with_words=with_words, is_session=engine_name == "by-language")


def measure(
    name: str, engine_name: str, rows: Sequence[SpeechRow], *, should_detect: bool, dtype: str, with_words: bool
) -> dict[str, Any]:
    """Speed of one model on one engine, and the words it heard."""
    language = rows[0].language or language_of([row.text for row in rows])
    started_s = time.perf_counter()
    recognise = opened(name, engine_name, None if should_detect else language, dtype=dtype, with_words=with_words)
    load_s = time.perf_counter() - started_s
    taken_s, cpu_s, sound_s, texts, languages = [], [], 0.0, [], set()
    for row in rows:
        pcm = decode_audio(row.audio_path)
        wall, cpu = time.perf_counter(), time.process_time()
        text, heard_language = recognise(pcm)
        taken_s.append(time.perf_counter() - wall)
        cpu_s.append(time.process_time() - cpu)
        sound_s += pcm.size / SAMPLE_RATE_HZ
        texts.append(text)
        languages.add(heard_language)
    clean = normalizer_for(language).apply
    texts = [clean(text) for text in texts]
    references = [clean(row.text) for row in rows]
    is_chinese = language == "zh"
    rate = jiwer.cer if is_chinese else jiwer.wer
    spaced = (lambda text: text.replace(" ", "")) if is_chinese else (lambda text: text)
    return {
        "model": name,
        "engine": engine_name,
        "dtype": dtype,
        "rows": len(rows),
        "load_s": round(load_s, 2),
        "median_s": round(statistics.median(taken_s), 2),
        "median_cpu_s": round(statistics.median(cpu_s), 2),
        "real_time_factor": round(sum(taken_s) / sound_s, 3),
        "cpu_per_sound": round(sum(cpu_s) / sound_s, 3),
        "cer" if is_chinese else "wer": round(100 * rate([*map(spaced, references)], [*map(spaced, texts)]), 1),
        "languages": sorted(languages),
        "texts": texts,
    }


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="JSON Lines of audio and text")
    parser.add_argument("-m", "--model", action="append", required=True)
    parser.add_argument("-e", "--engine", action="append", choices=(*ENGINES, "bare", "by-language"))
    parser.add_argument("--dtype", default="auto", help="float32 makes faster-whisper compute as openai-whisper does")
    parser.add_argument("--limit", type=int, default=0, help="only the first rows")
    parser.add_argument("--detect", action="store_true", help="let the model find the language")
    parser.add_argument("--words", action="store_true", help="ask for words with their probabilities, as the app does")
    options = parser.parse_args()
    found = [row for row in read_rows(options.data).rows if isinstance(row, SpeechRow)]
    rows = found[: options.limit or None]
    for name in options.model:
        texts: dict[str, list[str]] = {}
        for engine_name in options.engine or ENGINES:
            row = measure(
                name,
                engine_name,
                rows,
                should_detect=options.detect,
                dtype=options.dtype,
                with_words=options.words,
            )
            texts[engine_name] = row.pop("texts")
            print(json.dumps(row, ensure_ascii=False), flush=True)
        if len(texts) == 2:
            first, second = texts.values()
            differing = [(one, other) for one, other in zip(first, second, strict=True) if one != other]
            print(json.dumps({"model": name, "same_words": len(rows) - len(differing), "rows": len(rows)}))
            for one, other in differing:
                print(json.dumps({"one": one, "other": other}, ensure_ascii=False))


if __name__ == "__main__":
    main()
