"""Label: which class a text, a picture or both belong to: untrained, by a linear head, or by a finetuned one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, cast

import numpy as np

from mmchat.domain import ModelKind
from mmchat.errors import DataError, UsageError
from mmchat.evals.base import LabelOutcome, Models, Outcome, Sample, TaskName, TaskOptions
from mmchat.evals.probe import LinearProbe
from mmchat.evals.tasks.common import Languages, Problems, chunks, shortened
from mmchat.rows.values import LabelRow, RowFile, RowKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmchat.engines.base import Classifier

TEXT_SCALE = 20.0
"""Cosines of text and label are multiplied by it before the softmax: the scale that all-MiniLM-L6-v2 and its
kin were trained with (sentence-transformers' MultipleNegativesRankingLoss)."""
RUNNERS_UP = 4
TEXTS_AT_ONCE = 128
IMAGES_AT_ONCE = 16
TIE = 1e-6
"""Probabilities this near are equal."""
_MIN_PROBABILITY = 1e-12
_SHOWN_LABELS = 10


@dataclass(frozen=True, slots=True)
class LabelSample:
    """What is to be classified, and among what."""

    id: str
    group: str
    language: str
    label: str
    text: str
    image_path: Path | None
    classes: tuple[str, ...]
    """All labels of the file, sorted; what an untrained model chooses among."""


class LabelTask:
    """Chosen classes. Keeps `evals.base.Task`.

    Untrained, a text goes by its cosine with the labels' names, a picture by the vision model's `tag`, and a
    row with both by the product of the two distributions; ties count against the model. With training rows a
    linear head decides, over the classes of those rows.
    """

    name: TaskName = "label"
    row_kinds: tuple[RowKind, ...] = ("label",)

    def __init__(self) -> None:
        self._probes: dict[tuple[str, str], LinearProbe] = {}
        self._label_vectors: dict[tuple[str, tuple[str, ...]], NDArray[np.float32]] = {}

    def model_kind_for(self, rows: RowFile) -> ModelKind:
        """An embedder for texts; a vision model where there are pictures (their texts go to the default embedder)."""
        return "vision" if any(row.image_path is not None for row in _labels(rows)) else "embed"

    def samples(self, rows: RowFile, options: TaskOptions) -> tuple[LabelSample, ...]:
        problems = Problems(rows.path)
        labelled = _labels(rows)
        languages = Languages(options, problems, ([row.text or row.label] for row in labelled))
        # Of all rows: a limit must not make the choice easier.
        everything = (*labelled, *cast(Sequence[LabelRow], rows.rest))
        classes = tuple(sorted({row.label for row in everything if row.label.strip()}))
        samples = []
        for row in labelled:
            line = row.place.line
            if not row.label.strip():
                problems.add(line, "label", "is empty; name the class")
            if not row.text.strip() and row.image_path is None:
                problems.add(line, "row", "has neither text nor picture to classify; give one")
            language = languages.of([row.text or row.label], row.language, line)
            place = str(row.place)
            samples.append(LabelSample(place, place, language, row.label, row.text, row.image_path, classes))
        problems.check()
        if len(classes) < 2 and options.train is None:
            raise DataError(
                f"{rows.path.name} holds one class only: {classes[0]}; there is nothing to choose.",
                hint="Give rows of at least two classes, or training rows with --train.",
            )
        if options.train is not None:
            _check_alike(labelled, options.train)
        return tuple(samples)

    def warnings(self, rows: RowFile, options: TaskOptions) -> tuple[str, ...]:
        if options.train is None:
            return ()
        trained = {(row.text, row.image_path) for row in _labels(options.train)}
        again = sum((row.text, row.image_path) in trained for row in _labels(rows))
        seen = f"{again} of {len(rows.rows)} rows are training rows too; scores over them say nothing of new rows."
        return (*([seen] if again else []), *self._unseen(rows, options.train))

    def _unseen(self, rows: RowFile, train: RowFile) -> tuple[str, ...]:
        known = {row.label for row in _labels(train)}
        unseen = Counter(row.label for row in _labels(rows) if row.label not in known)
        if not unseen:
            return ()
        names = ", ".join(sorted(unseen)[:_SHOWN_LABELS]) + (", …" if len(unseen) > _SHOWN_LABELS else "")
        rows_are = "row has a label that was" if unseen.total() == 1 else "rows have labels that were"
        return (f"{unseen.total()} {rows_are} never seen in training and cannot be chosen: {names}.",)

    def batches(
        self, samples: Sequence[Sample], model: str, models: Models, options: TaskOptions
    ) -> list[tuple[Sample, ...]]:
        labelled = cast(Sequence[LabelSample], samples)
        ordered = sorted(labelled, key=lambda sample: (-len(sample.text), sample.id))
        has_pictures = any(sample.image_path is not None for sample in labelled)
        size = options.batch_size or (IMAGES_AT_ONCE if has_pictures else TEXTS_AT_ONCE)
        return [tuple(ordered[piece]) for piece in chunks(len(ordered), size)]

    def run(
        self, batch: Sequence[Sample], model: str, models: Models, options: TaskOptions, cancel: Event
    ) -> Iterator[Outcome]:
        samples = cast(Sequence[LabelSample], batch)
        if models.kind(model) == "head":
            classifier = models.classifier(model)
            for sample, row in zip(samples, _classified(samples, classifier), strict=True):
                yield _outcome(sample, classifier.labels, row)
            return
        if options.train is not None:
            probe = self._probe(options.train, model, models, cancel)
            if probe is None:
                return
            features = _features(samples, model, models, cancel)
            if features is not None:
                for sample, row in zip(samples, probe.probabilities(features), strict=True):
                    yield _outcome(sample, probe.classes, row)
            return
        texts = self._text_probabilities(samples, model, models)
        for index, sample in enumerate(samples):
            if cancel.is_set():
                return
            row = texts[index]
            if sample.image_path is not None:
                row = row * _image_probabilities(sample, model, models)
            yield _outcome(sample, sample.classes, row / row.sum())

    # --- untrained ------------------------------------------------------------------------------

    def _text_probabilities(self, samples: Sequence[LabelSample], model: str, models: Models) -> NDArray[np.float64]:
        """(N, K): the softmax over scaled cosines; all alike for a sample without text."""
        classes = samples[0].classes
        probabilities = np.full((len(samples), len(classes)), 1 / len(classes))
        with_text = [index for index, sample in enumerate(samples) if sample.text.strip()]
        if with_text:
            embedder = models.embedder(_embedder_name(model, models))
            key = (embedder.name, classes)
            if key not in self._label_vectors:
                self._label_vectors[key] = embedder.embed(readable_names(classes))
            vectors = embedder.embed([samples[index].text for index in with_text])
            probabilities[with_text] = _softmax(TEXT_SCALE * (vectors @ self._label_vectors[key].T))
        return probabilities

    # --- trained --------------------------------------------------------------------------------

    def _probe(self, train: RowFile, model: str, models: Models, cancel: Event) -> LinearProbe | None:
        """The head for a model, fitted once; None when cancelled."""
        key = (model, train.sha256)
        if key not in self._probes:
            rows = _labels(train)
            features = _features(rows, model, models, cancel)
            if features is None:
                return None
            self._probes[key] = LinearProbe(features, [row.label for row in rows])
        return self._probes[key]


def readable_names(labels: Sequence[str]) -> list[str]:
    """Labels as words: `card_arrival`, `cardArrival` and `card-arrival` become "card arrival".

    Where two would read the same, all stay as they are.
    """
    spaced = (re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label).replace("_", " ").replace("-", " ") for label in labels)
    names = [" ".join(name.split()) or label for name, label in zip(spaced, labels, strict=True)]
    return names if len(set(names)) == len(labels) else list(labels)


def _classified(samples: Sequence[LabelSample], classifier: Classifier) -> NDArray[np.float64]:
    """(N, K) as a trained head says.

    Raises:
        UsageError: it needs texts or pictures that the rows lack.
    """
    from mmchat.engines.image_io import open_image

    texts = [sample.text for sample in samples if sample.text.strip()] if classifier.needs_text else []
    paths = [sample.image_path for sample in samples if sample.image_path] if classifier.needs_image else []
    opened = {path: open_image(path) for path in dict.fromkeys(paths)}  # one may be asked about several times
    images = [opened[path] for path in paths]
    for is_needed, found, what in ((classifier.needs_text, texts, "text"), (classifier.needs_image, images, "picture")):
        if is_needed and len(found) < len(samples):
            raise UsageError(
                f"'{classifier.name}' was trained on rows with a {what}, and some of these have none.",
                hint=f"Give every row a {what}, or leave out -m {classifier.name}.",
            )
    return np.asarray(classifier.classify(texts, images), dtype=np.float64)


def _image_probabilities(sample: LabelSample, model: str, models: Models) -> NDArray[np.float64]:
    """(K,) as the vision model ranks the labels."""
    from mmchat.engines.image_io import open_image

    assert sample.image_path is not None
    names = readable_names(sample.classes)
    tags = models.image_reader(model).tag(open_image(sample.image_path), labels=names)
    scores = {tag.label: tag.score for tag in tags}
    return np.maximum([scores[name] for name in names], _MIN_PROBABILITY)


def _features(
    rows: Sequence[LabelSample] | Sequence[LabelRow], model: str, models: Models, cancel: Event
) -> NDArray[np.float32] | None:
    """(N, D): the unit vectors of text and picture side by side, where rows have both; None when cancelled."""
    parts = []
    if rows[0].text.strip():
        embedder = models.embedder(_embedder_name(model, models))
        found = []
        for piece in chunks(len(rows), TEXTS_AT_ONCE):
            if cancel.is_set():
                return None
            found.append(embedder.embed([row.text for row in rows[piece]]))
        parts.append(np.concatenate(found))
    if rows[0].image_path is not None:
        from mmchat.engines.image_io import open_image

        reader = models.image_reader(model)
        found = []
        for piece in chunks(len(rows), IMAGES_AT_ONCE):
            if cancel.is_set():
                return None
            paths = [row.image_path for row in rows[piece] if row.image_path is not None]
            found.append(reader.embed_images([open_image(path) for path in paths]))
        parts.append(np.concatenate(found))
    return np.concatenate(parts, axis=1)


def _check_alike(rows: Sequence[LabelRow], train: RowFile) -> None:
    """A head needs the same senses in every row.

    Raises:
        DataError: the training rows are of another kind, or some rows lack what others have.
    """
    if train.kind != "label":
        raise DataError(
            f"{train.path} holds {train.kind} rows.", hint='--train takes label rows: {"text": …, "label": …}.'
        )
    senses = [(bool(row.text.strip()), row.image_path is not None) for row in (*rows, *_labels(train))]
    odd = next((index for index, each in enumerate(senses) if each != senses[0]), None)
    if odd is not None:
        place = (*rows, *_labels(train))[odd].place
        raise DataError(
            f"{place.path}:{place.line}: has not the same parts (text, image) as {rows[0].place}.",
            hint="A trained head needs them in every row; score files with texts and with pictures apart.",
        )


def _embedder_name(model: str, models: Models) -> str:
    """The model itself, or the default embedder beside a vision model."""
    return model if models.kind(model) == "embed" else ""


def _outcome(sample: LabelSample, classes: Sequence[str], probabilities: NDArray[np.float64]) -> LabelOutcome:
    order = _order(probabilities, classes, sample.label)
    best = order[0]
    return LabelOutcome(
        id=sample.id,
        group=sample.group,
        language=sample.language,
        question=shortened(" ".join(part for part in (_file_name(sample), sample.text) if part)),
        label=sample.label,
        predicted=classes[best],
        confidence=min(1.0, float(probabilities[best])),
        runners_up=tuple((classes[at], float(probabilities[at])) for at in order[1 : 1 + RUNNERS_UP]),
    )


def _order(probabilities: NDArray[np.float64], classes: Sequence[str], label: str) -> list[int]:
    """Places in `classes` from the likeliest on; of equally likely ones the right one comes last.

    An encoder that does not know a script gives many labels one vector, and must not be right by the alphabet.
    """
    order = np.argsort(-probabilities, kind="stable")
    best = probabilities[order[0]]
    tied = [int(at) for at in order if probabilities[at] >= best - TIE]
    wrong_first = sorted(tied, key=lambda at: classes[at] == label)
    return [*wrong_first, *(int(at) for at in order[len(tied) :])]


def _file_name(sample: LabelSample) -> str:
    return f"[{sample.image_path.name}]" if sample.image_path is not None else ""


def _labels(rows: RowFile) -> Sequence[LabelRow]:
    return cast(Sequence[LabelRow], rows.rows)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = np.exp(np.asarray(logits - logits.max(axis=1, keepdims=True), dtype=np.float64))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
