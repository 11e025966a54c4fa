"""Likelihood: how probable a model finds the assistant's true messages, or plain texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import cast

from mmchat.domain import Likelihood, Message, ModelKind
from mmchat.engines.base import ScoringLanguageModel
from mmchat.errors import DataError, UsageError
from mmchat.evals.base import LikelihoodOutcome, Models, Outcome, Sample, TaskName, TaskOptions
from mmchat.evals.tasks.common import Languages, Problems, chunks, language_doubts, only_mark, shortened
from mmchat.evals.tasks.dialogue import dialogue_samples
from mmchat.rows.values import RowFile, RowKind, RowMessage, TextRow

SPARE_TOKENS = 8
"""Beside a reply's own tokens: its end mark, and what the border of prompt and reply may cost."""


@dataclass(frozen=True, slots=True)
class LikelihoodSample:
    """A text, and what was said before it; nothing before a plain text."""

    id: str
    group: str
    language: str
    question: str
    history: tuple[RowMessage, ...]
    persona: str
    text: str


class LikelihoodTask:
    """True replies after their true histories, and plain texts. Keeps `evals.base.Task`."""

    name: TaskName = "likelihood"
    row_kinds: tuple[RowKind, ...] = ("dialogue", "text")

    def model_kind_for(self, rows: RowFile) -> ModelKind:
        return "lm"

    def samples(self, rows: RowFile, options: TaskOptions) -> tuple[LikelihoodSample, ...]:
        if rows.kind == "text":
            return _text_samples(rows, options)
        return tuple(
            LikelihoodSample(
                each.id, each.group, each.language, each.question, each.history, each.persona, each.reference
            )
            for each in dialogue_samples(rows, options)
        )

    def warnings(self, rows: RowFile, options: TaskOptions) -> tuple[str, ...]:
        if rows.kind == "dialogue":
            return ()  # the dialogue task says it
        return language_doubts([row.text for row in cast(Sequence[TextRow], rows.rows)], options.language)

    def batches(
        self, samples: Sequence[Sample], model: str, models: Models, options: TaskOptions
    ) -> list[tuple[Sample, ...]]:
        language_model = _scoring(model, models)
        texts = cast(Sequence[LikelihoodSample], samples)

        def tokens(sample: LikelihoodSample) -> int:
            prompt = _prompt(sample, model, models, language_model)
            return language_model.count_tokens(prompt) + _reply_tokens(sample, language_model)

        lengths = {sample.id: tokens(sample) for sample in texts}
        ordered = sorted(texts, key=lambda sample: (-lengths[sample.id], sample.id))
        return _by_conversation(ordered, options.batch_size or language_model.preferred_batch)

    def run(
        self, batch: Sequence[Sample], model: str, models: Models, options: TaskOptions, cancel: Event
    ) -> Iterator[Outcome]:
        language_model = _scoring(model, models)
        texts = cast(Sequence[LikelihoodSample], batch)
        prompts = [_prompt(sample, model, models, language_model) for sample in texts]
        found = language_model.likelihoods(prompts, [sample.text for sample in texts], cancel)
        for sample, each in zip(texts, found, strict=False):  # a cancelled batch holds fewer
            yield _outcome(sample, each)


def _by_conversation(ordered: Sequence[LikelihoodSample], size: int) -> list[tuple[Sample, ...]]:
    """Batches of whole conversations where they fit: an engine reads what their messages share once.

    Args:
        ordered: the longest first.
        size: samples of a batch, at most.
    """
    conversations: dict[str, list[LikelihoodSample]] = {}
    for sample in ordered:
        conversations.setdefault(sample.group, []).append(sample)
    batches: list[list[Sample]] = []
    for own in conversations.values():
        for piece in chunks(len(own), size):
            part = own[piece]
            if not batches or len(batches[-1]) + len(part) > size:
                batches.append([])
            batches[-1] += part
    return [tuple(batch) for batch in batches]


def _outcome(sample: LikelihoodSample, found: Likelihood) -> LikelihoodOutcome:
    return LikelihoodOutcome(
        id=sample.id,
        group=sample.group,
        language=sample.language,
        question=sample.question,
        text=sample.text,
        nats=found.nats,
        tokens=found.tokens,
        bytes=len(sample.text.encode()),
    )


def _text_samples(rows: RowFile, options: TaskOptions) -> tuple[LikelihoodSample, ...]:
    problems = Problems(rows.path)
    texts = cast(Sequence[TextRow], rows.rows)
    languages = Languages(options, problems, ([row.text] for row in texts))
    samples = []
    for row in texts:
        if not row.text.strip():
            problems.add(row.place.line, "text", "is empty; fill it, or leave the row out")
        elif mark := only_mark(row.text):
            problems.add(row.place.line, "text", mark)
        language = languages.of([row.text], row.language, row.place.line)
        place = str(row.place)
        samples.append(LikelihoodSample(place, place, language, shortened(row.text), (), "", row.text))
    problems.check()
    return tuple(samples)


def _scoring(model: str, models: Models) -> ScoringLanguageModel:
    language_model = models.language_model(model)
    if not isinstance(language_model, ScoringLanguageModel):
        raise UsageError(
            f"'{model}' runs on {language_model.engine}, which cannot say how likely it finds a text.",
            hint=f"Perplexity needs transformers: -m {model.partition('@')[0]}@transformers, or leave the metric out.",
        )
    return language_model


def _prompt(
    sample: LikelihoodSample, model: str, models: Models, language_model: ScoringLanguageModel
) -> tuple[Message, ...]:
    if not sample.history:
        return ()
    room = _reply_tokens(sample, language_model)
    if room >= language_model.context_tokens:
        raise DataError(
            f"{sample.id}: this message has about {room} tokens; '{model}' reads at most "
            f"{language_model.context_tokens}.",
            hint="Shorten it, leave its row out, or choose a model with a longer context.",
        )
    return models.messages(model, sample.history, sample.persona, room=room)


def _reply_tokens(sample: LikelihoodSample, language_model: ScoringLanguageModel) -> int:
    """At least as many tokens as the text has: the template's own are counted with it."""
    return language_model.count_tokens((Message("user", sample.text),)) + SPARE_TOKENS
