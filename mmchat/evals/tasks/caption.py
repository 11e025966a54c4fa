"""Caption: a sentence for each picture, beside those that people wrote.

A vision model says what it sees in its own words (`engines.see`). A language model is shown the picture as in a
conversation, or told about it in words, and asked for a sentence.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import cast

from mmchat.domain import FinishReason, Message, ModelKind
from mmchat.errors import MediaError
from mmchat.evals.base import Models, Outcome, ReplyOutcome, Sample, TaskName, TaskOptions
from mmchat.evals.tasks.common import Languages, Problems, chunks, language_doubts, of_row, only_mark, sample_seed
from mmchat.evals.tasks.dialogue import reply_room
from mmchat.rows.picture_questions import picture_questions
from mmchat.rows.values import CaptionRow, RowFile, RowKind, RowMessage, RowPart


@dataclass(frozen=True, slots=True)
class PictureSample:
    """A picture and what people say of it."""

    id: str
    group: str
    language: str
    image_path: Path
    captions: tuple[str, ...]

    @property
    def asked(self) -> tuple[RowMessage, ...]:
        """What a language model is asked."""
        question = picture_questions(self.language)[0]
        return (RowMessage("user", (RowPart("image", path=self.image_path), RowPart("text", question))),)


class CaptionTask:
    """Sentences about pictures. Keeps `evals.base.Task`."""

    name: TaskName = "caption"
    row_kinds: tuple[RowKind, ...] = ("caption",)

    def model_kind_for(self, rows: RowFile) -> ModelKind:
        return "vision"  # a language model is asked too, when it is named

    def samples(self, rows: RowFile, options: TaskOptions) -> tuple[PictureSample, ...]:
        problems = Problems(rows.path)
        pictures = cast(Sequence[CaptionRow], rows.rows)
        languages = Languages(options, problems, (row.captions for row in pictures))
        samples = []
        for row in pictures:
            line = row.place.line
            if not row.captions or not all(caption.strip() for caption in row.captions):
                problems.add(line, "captions", "needs at least one caption, and none may be empty; fill it")
            elif mark := next(filter(None, map(only_mark, row.captions)), ""):
                problems.add(line, "captions", mark)
            language = languages.of(row.captions, row.language, line)
            samples.append(PictureSample(str(row.place), str(row.place), language, row.image_path, row.captions))
        problems.check()
        return tuple(samples)

    def warnings(self, rows: RowFile, options: TaskOptions) -> tuple[str, ...]:
        pictures = cast(Sequence[CaptionRow], rows.rows)
        return language_doubts([caption for row in pictures for caption in row.captions], options.language)

    def batches(
        self, samples: Sequence[Sample], model: str, models: Models, options: TaskOptions
    ) -> list[tuple[Sample, ...]]:
        if models.kind(model) == "vision":
            models.image_reader(model)
            return [(sample,) for sample in samples]
        size = options.batch_size or models.language_model(model).preferred_batch
        return [tuple(samples[piece]) for piece in chunks(len(samples), size)]

    def run(
        self, batch: Sequence[Sample], model: str, models: Models, options: TaskOptions, cancel: Event
    ) -> Iterator[Outcome]:
        pictures = cast(Sequence[PictureSample], batch)
        if models.kind(model) == "vision":
            return self._seen(pictures, model, models, cancel)
        return self._written(pictures, model, models, options, cancel)

    def _seen(
        self, pictures: Sequence[PictureSample], model: str, models: Models, cancel: Event
    ) -> Iterator[ReplyOutcome]:
        from mmchat.engines.image_io import open_image
        from mmchat.engines.see import see

        reader = models.image_reader(model)
        for sample in pictures:
            if cancel.is_set():
                return
            try:
                image = open_image(sample.image_path)
            except MediaError as error:
                raise of_row(sample.id, "image", error) from error
            seen = see(reader, image)
            yield _outcome(sample, seen.caption, elapsed_s=seen.elapsed_s)

    def _written(
        self, pictures: Sequence[PictureSample], model: str, models: Models, options: TaskOptions, cancel: Event
    ) -> Iterator[ReplyOutcome]:
        language_model = models.language_model(model)
        prompts = [_prompt(sample, model, models) for sample in pictures]
        seeds = [sample_seed(options.seed, sample.id) for sample in pictures]
        started = time.perf_counter()
        replies = language_model.reply_batch(prompts, models.options(model), cancel, seeds=seeds)
        elapsed_s = (time.perf_counter() - started) / max(1, len(replies))
        for sample, reply in zip(pictures, replies, strict=False):  # a cancelled batch may hold fewer
            if reply.finish_reason != "cancelled":
                yield _outcome(
                    sample,
                    reply.text,
                    reason=reply.finish_reason,
                    tokens=(reply.prompt_tokens, reply.reply_tokens),
                    elapsed_s=elapsed_s,
                )


def _prompt(sample: PictureSample, model: str, models: Models) -> tuple[Message, ...]:
    try:
        return models.messages(model, sample.asked, "", room=reply_room(model, models))
    except MediaError as error:
        raise of_row(sample.id, "image", error) from error


def _outcome(
    sample: PictureSample,
    reply: str,
    *,
    reason: FinishReason = "stop",
    tokens: tuple[int, int] = (0, 0),
    elapsed_s: float = 0.0,
) -> ReplyOutcome:
    return ReplyOutcome(
        id=sample.id,
        group=sample.group,
        language=sample.language,
        question=sample.image_path.name,
        references=sample.captions,
        reply=reply,
        finish_reason=reason,
        prompt_tokens=tokens[0],
        reply_tokens=tokens[1],
        elapsed_s=elapsed_s,
    )
