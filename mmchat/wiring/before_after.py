"""Did it help? Base and result scored on the same held-out rows, and on general talk, by the evaluation's own code."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple

from mmchat.domain import LoadState
from mmchat.engines.device import has_gpu
from mmchat.engines.process_group import SoleProcess
from mmchat.errors import DataError
from mmchat.evals import layout
from mmchat.evals.results import Comparison, Progress, Run, RunSettings, Score
from mmchat.evals.runner import evaluate
from mmchat.evals.shipped import shipped_paths
from mmchat.rows.reader import read_rows
from mmchat.rows.values import (
    CaptionRow,
    DialogueRow,
    LabelRow,
    PreferenceRow,
    Row,
    RowMessage,
    SpeechRow,
)
from mmchat.train.base import TaskName

if TYPE_CHECKING:
    from mmchat.evals.runs import RunStore
    from mmchat.wiring.eval_models import EvalModels

HELD_OUT_NAME = "held-out.jsonl"
METRICS: dict[TaskName, tuple[tuple[str, ...], ...]] = {
    "dialogue": (("perplexity",), ("chrf++", "bleu")),
    "preference": (("perplexity",), ("chrf++", "bleu")),
    "caption": (("r@1", "r@5", "r@10"),),
    "picture": (("perplexity",), ("chrf++", "bleu")),  # of dialogue; captions have `CAPTION_METRICS`
    "label": (("accuracy", "macro-f1"),),
    "speech": (("wer", "cer"),),
}
"""What each evaluation scores: those that only read are apart from those that write, which take longer."""
CAPTION_METRICS = ("cider", "bleu-4")
"""Of captions that a language model writes: the base is told in words what the result sees."""
CAPTIONS_NAME = "held-out-captions.jsonl"
GENERAL_METRIC = "perplexity"
_FORGETFUL: tuple[TaskName, ...] = ("dialogue", "preference", "picture")
GENERAL_NAME = "general.jsonl"
GENERAL_ROWS = 32
"""Of the shipped dialogues without pictures, spread over the file; from 30 conversations on there is a verdict."""
GENERAL_MESSAGES = 4
"""Of each: long histories take long to read, and forgetting shows in the first replies too."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many rows of a file are taken, so that comparing takes minutes where training does."""

    read: int
    written: int
    """Conversations that both models write replies in: the slow part."""


ON_CPU, ON_GPU = Limits(100, 30), Limits(400, 200)
EMBEDDED_ROWS = 2000
"""Of pictures and labels, which are embedded once and never written: the same on every machine, for finding a picture
among more of them is harder."""
_EMBEDDED: tuple[TaskName, ...] = ("caption", "label")


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be compared."""

    task: TaskName
    base: str
    name: str
    """Of the result, already in models.toml."""
    folder: Path
    """Of the result; the held-out rows are written there."""
    held_out: tuple[Row, ...]
    """As the trainer kept them apart; not looked at where there is `data`."""
    data: tuple[str, ...] = ()
    """Files of rows to score on instead."""
    language: str = ""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """The answer."""

    runs: tuple[Run, ...]
    """Saved evaluations, both models in each."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing was interrupted."""
        return all(run.status == "complete" for run in self.runs)

    @property
    def scores(self) -> tuple[Score, ...]:
        """Of all runs."""
        return tuple(score for run in self.runs for score in run.scores)

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Result minus base, of all runs."""
        return tuple(each for run in self.runs for each in run.comparisons)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Whether it helped, in plain words, each with the rows it is about."""
        told = [(run.data[0].name, sentence) for run in self.runs for sentence in run.sentences]
        return tuple(dict.fromkeys(f"{name}: {sentence}" for name, sentence in told))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the scores must know."""
        return tuple(dict.fromkeys(warning for run in self.runs for warning in run.warnings))

    def table(self) -> list[tuple[str, ...]]:
        """Rows of texts under a row of headings, for the model card."""
        heads = ("rows", "metric", "before", "after", "difference", "95% interval", "verdict")
        rows = []
        for each in self.comparisons:
            line = self.line(each)
            interval = f"{line.low} to {line.high}" if line.low else ""
            title = layout.info(each.metric).title
            rows.append((each.dataset, title, line.before, line.after, line.difference, interval, line.verdict))
        return [heads, *rows]

    def line(self, each: Comparison) -> Line:
        """A comparison as a table shows it."""
        decimals = layout.info(each.metric).decimals
        wanted = (each.dataset, each.task, each.language, each.metric)
        found = {
            score.model: score.score
            for score in self.scores
            if (score.dataset, score.task, score.language, score.metric) == wanted
        }
        low, high = (
            "" if value is None else layout.number(value, decimals, sign=True) for value in (each.low, each.high)
        )
        return Line(
            layout.number(found.get(each.base), decimals),
            layout.number(found.get(each.other), decimals),
            layout.number(each.difference, decimals, sign=True),
            low,
            high,
            layout.verdict_words(each),
        )


class Line(NamedTuple):
    """Texts of a table; low and high are empty where there is no interval."""

    before: str
    after: str
    difference: str
    low: str
    high: str
    verdict: str


def compare(
    question: Question,
    open_models: Callable[[RunSettings, Callable[[LoadState], None]], EvalModels],
    runs: RunStore,
    on_progress: Callable[[Progress], None],
    on_state: Callable[[LoadState], None],
    cancel: Event,
) -> BeforeAfter:
    """Score base and result on the held-out rows, and where words are trained, on general talk.

    Args:
        question: what to compare.
        open_models: opens the models of an evaluation.
        runs: where the evaluations are saved; `mmchat eval show` prints them again.
        on_progress: told after each batch.
        on_state: told how far a model's loading has come.
        cancel: ends it; what is done is scored.

    Raises:
        MmchatError: rows that cannot be scored, or a model that cannot be loaded.
    """
    done: list[Run] = []
    for settings in evaluations(question):
        if cancel.is_set():
            break
        with closing(open_models(settings, on_state)) as models:
            run = evaluate(
                settings, models=models, runs=runs, group=SoleProcess(), on_progress=on_progress, cancel=cancel
            )
        done.append(run)
    return BeforeAfter(tuple(done))


def evaluations(question: Question) -> tuple[RunSettings, ...]:
    """What will be asked. Writes the rows beside the result.

    Raises:
        DataError: they cannot be written.
    """
    if question.task == "picture":
        return _of_pictures(question)
    data = question.data or _written(question.folder / HELD_OUT_NAME, question.held_out)
    return _evaluations(question, data) if data else ()


def _of_pictures(question: Question) -> tuple[RunSettings, ...]:
    """Captions apart from dialogue, since other metrics fit them."""
    if question.data:
        captions = tuple(path for path in question.data if read_rows(Path(path)).kind == "caption")
        talks = tuple(path for path in question.data if path not in captions)
    else:
        rows = [row for row in question.held_out if isinstance(row, CaptionRow)]
        captions = _written(question.folder / CAPTIONS_NAME, rows)
        others = [row for row in question.held_out if not isinstance(row, CaptionRow)]
        talks = _written(question.folder / HELD_OUT_NAME, others)
    asked = RunSettings(
        data=captions,
        models=(question.base, question.name),
        metrics=CAPTION_METRICS,
        limit=(ON_GPU if has_gpu() else ON_CPU).read,
        language=question.language,
        seed=question.seed,
    )
    rest = _evaluations(question, talks) if talks else _general_only(question)
    return (*([asked] if captions else []), *rest)


def _general_only(question: Question) -> tuple[RunSettings, ...]:
    data = _general(question)
    models = (question.base, question.name)
    return (RunSettings(data=data, models=models, metrics=(GENERAL_METRIC,), seed=question.seed),) if data else ()


def _evaluations(question: Question, data: tuple[str, ...]) -> tuple[RunSettings, ...]:
    limits = ON_GPU if has_gpu() else ON_CPU
    reading, *writing = METRICS[question.task]
    base = RunSettings(
        data=data,
        models=(question.base, question.name),
        metrics=reading,
        limit=EMBEDDED_ROWS if question.task in _EMBEDDED else limits.read,
        language=question.language,
        seed=question.seed,
    )
    general = _general(question) if question.task in _FORGETFUL else ()
    return (
        base,
        *(replace(base, metrics=metrics, limit=limits.written) for metrics in writing),
        *([replace(base, data=general, metrics=(GENERAL_METRIC,), limit=0, language="")] if general else []),
    )


def _general(question: Question) -> tuple[str, ...]:
    """Rows of the shipped English dialogues, which nothing is trained on: what the base could do before."""
    (path,) = shipped_paths()[:1]
    rows = [
        row for row in read_rows(path).rows if isinstance(row, DialogueRow) and not any(m.files for m in row.messages)
    ]
    count = min(GENERAL_ROWS, len(rows))
    chosen = [rows[i * len(rows) // count] for i in range(count)]
    return _written(
        question.folder / GENERAL_NAME, [replace(row, messages=row.messages[:GENERAL_MESSAGES]) for row in chosen]
    )


def _written(path: Path, rows: Sequence[Row]) -> tuple[str, ...]:
    """Write rows to a file; none where there is nothing to write."""
    plain = [each for row in rows if (each := plain_row(row)) is not None]
    if not plain:
        return ()
    try:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in plain), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}.") from error
    return (str(path),)


# --- rows as JSON ---------------------------------------------------------------------------------


def plain_row(row: Row) -> dict[str, Any] | None:
    """A row as a file of rows has it, with absolute paths. A preference becomes the dialogue that was wanted.

    Returns:
        None for a row that cannot be scored: a reply that nobody liked.
    """
    plain: dict[str, Any]
    if isinstance(row, DialogueRow):
        plain = {"messages": [_message(message) for message in row.messages], "persona": row.persona}
    elif isinstance(row, PreferenceRow):
        wanted = row.chosen or (row.completion if row.is_liked else "")
        if not wanted:
            return None
        reply = {"role": "assistant", "content": wanted}
        plain = {"messages": [*(_message(message) for message in row.messages), reply]}
    elif isinstance(row, CaptionRow):
        plain = {"image": str(row.image_path), "captions": list(row.captions)}
    elif isinstance(row, LabelRow):
        image = str(row.image_path) if row.image_path is not None else ""
        plain = {"text": row.text, "image": image, "label": row.label}
    elif isinstance(row, SpeechRow):
        plain = {"audio": str(row.audio_path), "text": row.text}
    else:
        return None
    plain["lang"] = row.language
    return {key: value for key, value in plain.items() if value}


def _message(message: RowMessage) -> dict[str, Any]:
    if not message.files:
        return {"role": message.role, "content": message.text}
    parts = [
        {"type": part.kind, part.kind: part.text if part.kind == "text" else str(part.path)} for part in message.parts
    ]
    return {"role": message.role, "content": parts}
