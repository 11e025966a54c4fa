"""Memory: whether recall finds the turns that answer a question, in a store of each row's own."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, cast

from mmchat.domain import ModelKind
from mmchat.evals.base import Models, Outcome, RecallOutcome, Sample, TaskName, TaskOptions
from mmchat.evals.tasks.common import Languages, Problems, shortened
from mmchat.rows.values import MemoryQuestion, MemoryRow, Place, RowFile, RowKind

if TYPE_CHECKING:
    from mmchat.engines.base import TextEmbedder
    from mmchat.memory.recall import Recall


@dataclass(frozen=True, slots=True)
class MemorySample:
    """A question about a row's conversations."""

    id: str
    group: str
    language: str
    asked: MemoryQuestion
    rows: RowFile
    """The file cut down to that one row."""


class MemoryTask:
    """Turns found for questions, by words and vectors fused. Keeps `evals.base.Task`.

    The tokens of an outcome are counted by the embedder's own tokeniser: it is loaded anyway, and near enough
    to a language model's (a word piece a word or so, one for a Chinese character).
    """

    name: TaskName = "memory"
    row_kinds: tuple[RowKind, ...] = ("memory",)

    def model_kind_for(self, rows: RowFile) -> ModelKind:
        return "embed"

    def samples(self, rows: RowFile, options: TaskOptions) -> tuple[MemorySample, ...]:
        problems = Problems(rows.path)
        conversations = _conversations(rows)
        languages = Languages(options, problems, ([each.question for each in row.questions] for row in conversations))
        samples = []
        for row in conversations:
            language = languages.of([each.question for each in row.questions], row.language, row.place.line)
            own = replace(rows, rows=(row,))
            for index, question in enumerate(row.questions):
                if not question.question.strip():
                    problems.add(row.place.line, f"questions[{index}].question", "is empty; ask something")
                if question.evidence:
                    sample_id = f"{row.place}#{index}"
                    # Each question is its own group: there are too few conversations to resample them.
                    samples.append(MemorySample(sample_id, sample_id, language, question, own))
        if not samples:
            line = conversations[0].place.line
            problems.add(line, "questions", "no row has a question with the ids of the turns that answer it; add some")
        problems.check()
        return tuple(samples)

    def warnings(self, rows: RowFile, options: TaskOptions) -> tuple[str, ...]:
        questions = [question for row in _conversations(rows) for question in row.questions]
        silent = sum(not question.evidence for question in questions)
        if not silent:
            return ()
        return (
            f"{silent} of {len(questions)} questions name no turn that answers them (there may be none to find); "
            "they are not scored.",
        )

    def batches(
        self, samples: Sequence[Sample], model: str, models: Models, options: TaskOptions
    ) -> list[tuple[Sample, ...]]:
        models.embedder(model)
        stores: dict[Place, list[Sample]] = {}
        for sample in cast(Sequence[MemorySample], samples):
            stores.setdefault(sample.rows.rows[0].place, []).append(sample)
        return [tuple(each) for each in stores.values()]

    def run(
        self, batch: Sequence[Sample], model: str, models: Models, options: TaskOptions, cancel: Event
    ) -> Iterator[Outcome]:
        from mmchat.memory.import_rows import conversations_of, store_conversations
        from mmchat.memory.recall import Recall
        from mmchat.memory.store import MemoryStore

        questions = cast(Sequence[MemorySample], batch)
        embedder = models.embedder(model)
        with tempfile.TemporaryDirectory(prefix="mmchat-eval-", ignore_cleanup_errors=True) as folder:
            store = MemoryStore(Path(folder, "memory.db"), Path(folder, "blobs"))
            try:
                _, stored = store_conversations(store, conversations_of(questions[0].rows))
                named = {turn_id: name for name, turn_id in stored.items()}
                recall = Recall(store, lambda: embedder)
                recall.backfill(cancel=cancel)
                now = asked_at(_conversations(questions[0].rows)[0])
                for sample in questions:
                    if cancel.is_set():
                        return
                    yield _ask(recall, sample, now, named, embedder, options.recall_k)
            finally:
                store.close()


def asked_at(row: MemoryRow) -> datetime | None:
    """When the questions are asked: after the last turn, as in a chat. None, the present, where no turn has a time."""
    times = [datetime.fromisoformat(turn.created_at) for turn in row.turns if turn.created_at]
    return max((time if time.tzinfo else time.replace(tzinfo=UTC) for time in times), default=None)


def _ask(
    recall: Recall,
    sample: MemorySample,
    now: datetime | None,
    named: Mapping[str, str],
    embedder: TextEmbedder,
    k: int,
) -> RecallOutcome:
    asked = sample.asked
    started = time.perf_counter()
    found = recall.find(asked.question, k=k, reach="nearest", now=now)
    elapsed_ms = 1000 * (time.perf_counter() - started)
    return RecallOutcome(
        id=sample.id,
        group=sample.group,
        language=sample.language,
        question=shortened(asked.question),
        evidence=asked.evidence,
        found=tuple(named.get(each.turn, each.turn) for each in found),
        tokens=sum(embedder.count_tokens([each.text for each in found])),
        elapsed_ms=elapsed_ms,
        asked=k,
    )


def _conversations(rows: RowFile) -> Sequence[MemoryRow]:
    return cast(Sequence[MemoryRow], rows.rows)
