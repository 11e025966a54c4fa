"""A role: probes asked early and late in a conversation, its text pinned before everything or only said once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import cycle, islice
from pathlib import Path
from threading import Event
from typing import cast

from mmchat.config.role_shelf import find_persona
from mmchat.domain import Message, ModelKind, TextDelta
from mmchat.errors import ConfigError, EvalError, UsageError
from mmchat.evals.base import ConsistencyOutcome, Models, Outcome, Sample, TaskName, TaskOptions
from mmchat.evals.tasks.common import Problems, sample_seed, shortened
from mmchat.evals.tasks.dialogue import reply_room
from mmchat.role_values import Persona
from mmchat.rows.values import Exchange, PersonaRow, Probe, RowFile, RowKind, RowMessage, RowPart
from mmchat.script import language_of

WINDOW_TOKENS = 1024
"""Of a prompt unless the user says otherwise: with mmchat's own filler it overflows before turn 60."""
FILLER = "persona-filler.json"


@dataclass(frozen=True, slots=True)
class PersonaSample:
    """A probe at one turn of a conversation, which is told with the role's text pinned or not."""

    id: str
    group: str
    language: str
    persona: Persona
    probe: Probe
    turn: int
    is_pinned: bool
    history: tuple[RowMessage, ...]
    """Up to the probe, without the role's text and examples where those are pinned."""


class PersonaTask:
    """Replies to probes. Keeps `evals.base.Task`.

    Probes at one turn follow the same words, so they are asked one after the other: the model keeps what it has read
    of them, which takes far longer than to reply.
    """

    name: TaskName = "persona"
    row_kinds: tuple[RowKind, ...] = ("persona",)

    def model_kind_for(self, rows: RowFile) -> ModelKind:
        return "lm"

    def samples(self, rows: RowFile, options: TaskOptions) -> tuple[PersonaSample, ...]:
        problems = Problems(rows.path)
        samples: list[PersonaSample] = []
        for row in cast(Sequence[PersonaRow], rows.rows):
            try:
                persona = _persona(row, options)
            except (UsageError, ConfigError) as error:
                problems.add(row.place.line, "role", f"{error.message} {error.hint}".strip())
                continue
            samples += _samples(row, persona)
        problems.check()
        return tuple(samples)

    def warnings(self, rows: RowFile, options: TaskOptions) -> tuple[str, ...]:
        return ()

    def batches(
        self, samples: Sequence[Sample], model: str, models: Models, options: TaskOptions
    ) -> list[tuple[Sample, ...]]:
        models.language_model(model)
        alike: dict[object, list[Sample]] = {}
        for sample in cast(Sequence[PersonaSample], samples):
            alike.setdefault((sample.group.rpartition("#")[0], sample.turn, sample.is_pinned), []).append(sample)
        return [tuple(each) for each in alike.values()]

    def run(
        self, batch: Sequence[Sample], model: str, models: Models, options: TaskOptions, cancel: Event
    ) -> Iterator[Outcome]:
        for sample in cast(Sequence[PersonaSample], batch):
            outcome = _ask(sample, model, models, options, cancel)
            if outcome is None:
                return
            yield outcome


def _ask(
    sample: PersonaSample, model: str, models: Models, options: TaskOptions, cancel: Event
) -> ConsistencyOutcome | None:
    """One reply; None where it was cancelled."""
    text, probe = sample.persona.text, sample.probe
    shown = [Exchange(each.user, each.reply) for each in text.examples] if sample.is_pinned else []
    prompt = models.messages(
        model,
        (*sample.history, _said("user", probe.ask)),
        text.system if sample.is_pinned else "",
        room=reply_room(model, models),
        examples=[Message(each.role, each.text) for each in _messages(shown)],
        window_tokens=options.window_tokens or WINDOW_TOKENS,
    )
    drawn = replace(models.options(model), seed=sample_seed(options.seed, sample.id))
    pieces: list[str] = []
    started = time.perf_counter()
    for event in models.language_model(model).stream(prompt, drawn, cancel):
        if isinstance(event, TextDelta):
            pieces.append(event.text)
        else:
            done = event
    if done.finish_reason == "cancelled":
        return None
    return ConsistencyOutcome(
        id=sample.id,
        group=sample.group,
        language=sample.language,
        question=shortened(probe.ask),
        reply="".join(pieces),
        role=sample.persona.key,
        kind=probe.kind,
        turn=sample.turn,
        is_pinned=sample.is_pinned,
        keys=probe.keys,
        never=probe.never,
        reply_in=probe.reply_in or (language_of([probe.ask]) if probe.kind == "language" else ""),
        hidden=text.system if probe.kind == "instructions" else "",
        finish_reason=done.finish_reason,
        prompt_tokens=done.prompt_tokens,
        reply_tokens=done.reply_tokens,
        elapsed_s=time.perf_counter() - started,
    )


def _persona(row: PersonaRow, options: TaskOptions) -> Persona:
    """The role of a row, in its own language unless it is asked for in another."""
    is_path = row.role.endswith(".toml")
    persona = find_persona(str((row.place.path.parent / Path(row.role)).absolute()) if is_path else row.role)
    has_language = not is_path and row.role.rpartition(":")[2] in persona.role.languages and ":" in row.role
    return persona if has_language else replace(persona, language=options.language or persona.role.languages[0])


def _samples(row: PersonaRow, persona: Persona) -> list[PersonaSample]:
    """Every probe at every turn, pinned and not."""
    said_once = (Exchange(persona.text.system, persona.text.greeting or _UNDERSTOOD.get(persona.language, "OK.")),)
    shown = tuple(Exchange(each.user, each.reply) for each in persona.text.examples)
    samples = []
    for turn in row.turns:
        for is_pinned in (True, False):
            for number, probe in enumerate(row.probes):
                before = _before(row, persona, probe, turn)
                if is_pinned:
                    greeting = [_said("assistant", persona.text.greeting)] if persona.text.greeting else []
                    history = (*greeting, *_messages(before))
                else:
                    history = _messages((*said_once, *shown, *before))
                group = f"{row.place}#{number}"
                samples.append(
                    PersonaSample(
                        id=f"{group}@{turn}{'' if is_pinned else 'u'}",
                        group=group,
                        language=persona.language,
                        persona=persona,
                        probe=probe,
                        turn=turn,
                        is_pinned=is_pinned,
                        history=history,
                    )
                )
    return samples


_UNDERSTOOD = {"en": "Understood.", "zh": "明白了。"}
"""What a role without a greeting replies where its text is said as a message."""


def _before(row: PersonaRow, persona: Persona, probe: Probe, turn: int) -> tuple[Exchange, ...]:
    """What is said before a probe: filler, so that it is the user's message number `turn`."""
    filler = row.filler or filler_of(persona.language)
    return (*islice(cycle(filler), max(0, turn - 1 - len(probe.before))), *probe.before)


def _messages(exchanges: Sequence[Exchange]) -> tuple[RowMessage, ...]:
    return tuple(
        message for each in exchanges for message in (_said("user", each.user), _said("assistant", each.reply))
    )


def _said(role: str, text: str) -> RowMessage:
    return RowMessage("user" if role == "user" else "assistant", (RowPart("text", text),))


@cache
def filler_of(language: str) -> tuple[Exchange, ...]:
    """Neutral exchanges of the project's own, for the turns before a probe; English where there are none.

    Raises:
        EvalError: the installation is incomplete.
    """
    path = files("mmchat.evals") / "data" / FILLER
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EvalError(f"mmchat's own filler is missing: {path}.", hint="Install mmchat again.") from error
    return tuple(Exchange(user, reply) for user, reply in stored.get(language) or stored["en"])
