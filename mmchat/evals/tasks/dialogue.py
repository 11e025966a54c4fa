"""Dialogue: every message of the assistant's is asked for again, after all that was said before it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import cast

from mmchat.domain import ModelKind
from mmchat.evals.base import Models, Outcome, ReplyOutcome, Sample, TaskName, TaskOptions
from mmchat.evals.tasks.common import (
    Languages,
    Problems,
    chunks,
    is_unknown_script,
    language_doubts,
    only_mark,
    sample_seed,
    shortened,
)
from mmchat.rows.values import DialogueRow, RowFile, RowKind, RowMessage
from mmchat.script import language_of

REPLY_SHARE = 0.5
"""At most this share of a context is kept free for the reply, as in `chat.session`."""


@dataclass(frozen=True, slots=True)
class DialogueSample:
    """A message of the assistant's, and all that came before it."""

    id: str
    group: str
    language: str
    question: str
    history: tuple[RowMessage, ...]
    persona: str
    reference: str


class DialogueTask:
    """Replies to true histories. Keeps `evals.base.Task`."""

    name: TaskName = "dialogue"
    row_kinds: tuple[RowKind, ...] = ("dialogue",)

    def model_kind_for(self, rows: RowFile) -> ModelKind:
        return "lm"

    def samples(self, rows: RowFile, options: TaskOptions) -> tuple[DialogueSample, ...]:
        return dialogue_samples(rows, options)

    def warnings(self, rows: RowFile, options: TaskOptions) -> tuple[str, ...]:
        samples = dialogue_samples(rows, options)
        foreign = sum(is_unknown_script(language_of([each.reference]), each.language) for each in samples)
        doubts = language_doubts([each.reference for each in samples], options.language)
        if not foreign:
            return doubts
        return (
            *doubts,
            f"{foreign} of {len(samples)} references are Chinese, Japanese or Korean in rows of another language, "
            "whose tokeniser does not know their letters; give each language rows of its own.",
        )

    def batches(
        self, samples: Sequence[Sample], model: str, models: Models, options: TaskOptions
    ) -> list[tuple[Sample, ...]]:
        language_model = models.language_model(model)
        room = reply_room(model, models)

        def prompt_tokens(sample: DialogueSample) -> int:
            return language_model.count_tokens(models.messages(model, sample.history, sample.persona, room=room))

        # Longest first: a batch that does not fit into memory is met at once, and the time left is not underrated.
        dialogues = cast(Sequence[DialogueSample], samples)
        ordered = sorted(dialogues, key=lambda sample: (-prompt_tokens(sample), sample.id))
        size = options.batch_size or language_model.preferred_batch
        return [tuple(ordered[piece]) for piece in chunks(len(ordered), size)]

    def run(
        self, batch: Sequence[Sample], model: str, models: Models, options: TaskOptions, cancel: Event
    ) -> Iterator[Outcome]:
        dialogues = cast(Sequence[DialogueSample], batch)
        language_model = models.language_model(model)
        room = reply_room(model, models)
        prompts = [models.messages(model, sample.history, sample.persona, room=room) for sample in dialogues]
        seeds = [sample_seed(options.seed, sample.id) for sample in dialogues]
        started = time.perf_counter()
        replies = language_model.reply_batch(prompts, models.options(model), cancel, seeds=seeds)
        elapsed_s = (time.perf_counter() - started) / max(1, len(replies))
        for sample, reply in zip(dialogues, replies, strict=False):  # a cancelled batch may hold fewer
            if reply.finish_reason != "cancelled":
                yield ReplyOutcome(
                    id=sample.id,
                    group=sample.group,
                    language=sample.language,
                    question=sample.question,
                    references=(sample.reference,),
                    reply=reply.text,
                    finish_reason=reply.finish_reason,
                    prompt_tokens=reply.prompt_tokens,
                    reply_tokens=reply.reply_tokens,
                    elapsed_s=elapsed_s,
                )


def reply_room(model: str, models: Models) -> int:
    """Tokens of the context that are kept free for the reply."""
    return min(models.options(model).max_new_tokens, int(models.language_model(model).context_tokens * REPLY_SHARE))


def dialogue_samples(rows: RowFile, options: TaskOptions) -> tuple[DialogueSample, ...]:
    """One sample for each message of the assistant's that answers somebody.

    What the assistant says before the user's first word (a greeting) is history.

    Raises:
        DataError: rows without such a message, empty messages, Chinese declared as something else.
    """
    problems = Problems(rows.path)
    dialogues = cast(Sequence[DialogueRow], rows.rows)
    answers = [_answers(row, problems) for row in dialogues]
    references = [[row.messages[at].text for at in places] for row, places in zip(dialogues, answers, strict=True)]
    languages = Languages(options, problems, references)
    samples: list[DialogueSample] = []
    for row, places, texts in zip(dialogues, answers, references, strict=True):
        language = languages.of(texts, row.language, row.place.line)
        samples += [_sample(row, at, language) for at in places]
    problems.check()
    return tuple(samples)


def _answers(row: DialogueRow, problems: Problems) -> list[int]:
    """Which messages of a row are scored."""
    roles = [message.role for message in row.messages]
    first = roles.index("user") if "user" in roles else len(roles)
    answers = [at for at in range(first, len(roles)) if roles[at] == "assistant"]
    line = row.place.line
    if not answers:
        problems.add(line, "messages", "holds no message of the assistant's after one of the user's; add one")
    for at in answers:
        place, text = f"messages[{at}].content", row.messages[at].text
        if not text.strip():
            problems.add(line, place, "is empty, so no reply can be scored against it; fill it")
        elif mark := only_mark(text):
            problems.add(line, place, mark)
    return answers


def _sample(row: DialogueRow, at: int, language: str) -> DialogueSample:
    return DialogueSample(
        id=f"{row.place}#{at}",
        group=str(row.place),
        language=language,
        question=_last_question(row.messages[:at]),
        history=row.messages[:at],
        persona=row.persona,
        reference=row.messages[at].text,
    )


def _last_question(history: Sequence[RowMessage]) -> str:
    asked = next(message for message in reversed(history) if message.role == "user")
    files = [f"[{part.path.name}]" for part in asked.files if part.path is not None]
    return shortened(" ".join([*files, asked.text]))
