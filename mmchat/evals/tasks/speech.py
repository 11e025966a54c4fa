"""Speech: every sound is transcribed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import cast

from mmchat.domain import ModelKind
from mmchat.errors import MediaError
from mmchat.evals.base import Models, Outcome, ReplyOutcome, Sample, TaskName, TaskOptions
from mmchat.evals.tasks.common import Languages, Problems, language_doubts, of_row, only_mark
from mmchat.rows.values import RowFile, RowKind, SpeechRow


@dataclass(frozen=True, slots=True)
class SpeechSample:
    """A sound and what is said in it."""

    id: str
    group: str
    language: str
    spoken: str | None
    """The language told to the recogniser; None lets it find out."""
    path: Path
    text: str


class SpeechTask:
    """Transcripts beside what was said. Keeps `evals.base.Task`."""

    name: TaskName = "speech"
    row_kinds: tuple[RowKind, ...] = ("speech",)

    def model_kind_for(self, rows: RowFile) -> ModelKind:
        return "asr"

    def samples(self, rows: RowFile, options: TaskOptions) -> tuple[SpeechSample, ...]:
        problems = Problems(rows.path)
        sounds = cast(Sequence[SpeechRow], rows.rows)
        languages = Languages(options, problems, ([row.text] for row in sounds))
        samples = []
        for row in sounds:
            if not row.text.strip():
                problems.add(row.place.line, "text", "is empty, so no transcript can be scored against it; fill it")
            elif mark := only_mark(row.text):
                problems.add(row.place.line, "text", mark)
            language = languages.of([row.text], row.language, row.place.line)
            # Latin letters alone do not tell English from French, and a recogniser believes what it is told.
            is_known = bool(options.language or row.language) or language == "zh"
            place = str(row.place)
            spoken = language if is_known else None
            samples.append(SpeechSample(place, place, language, spoken, row.audio_path, row.text))
        problems.check()
        return tuple(samples)

    def warnings(self, rows: RowFile, options: TaskOptions) -> tuple[str, ...]:
        return language_doubts([row.text for row in cast(Sequence[SpeechRow], rows.rows)], options.language)

    def batches(
        self, samples: Sequence[Sample], model: str, models: Models, options: TaskOptions
    ) -> list[tuple[Sample, ...]]:
        models.recognizer(model)
        # Recognisers take one sound at a time. The size of a file stands for its length.
        sounds = cast(Sequence[SpeechSample], samples)
        ordered = sorted(sounds, key=lambda sample: (-sample.path.stat().st_size, sample.id))
        return [(sample,) for sample in ordered]

    def run(
        self, batch: Sequence[Sample], model: str, models: Models, options: TaskOptions, cancel: Event
    ) -> Iterator[Outcome]:
        from mmchat.engines.audio_io import decode_audio
        from mmchat.engines.hear import hear

        recognizer = models.recognizer(model)
        for sample in cast(Sequence[SpeechSample], batch):
            try:
                sound = decode_audio(sample.path)
            except MediaError as error:
                raise of_row(sample.id, "audio", error) from error
            started = time.perf_counter()
            heard = hear(recognizer, sound, language=sample.spoken, cancel=cancel)
            elapsed_s = time.perf_counter() - started
            if cancel.is_set():
                return  # what was heard may be half
            yield ReplyOutcome(
                id=sample.id,
                group=sample.group,
                language=sample.language,
                question=sample.path.name,
                references=(sample.text,),
                reply=heard.text,
                duration_s=heard.duration_s,
                elapsed_s=elapsed_s,
            )
