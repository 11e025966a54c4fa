"""The probes that come with mmchat are true of the roles that come with it."""

from __future__ import annotations

from collections import Counter
from typing import cast

import pytest

from mmchat.config.role_shelf import SHIPPED_DIR, find_persona, role_paths
from mmchat.evals.key_facts import says_any
from mmchat.evals.plan import make_plan
from mmchat.evals.results import RunSettings
from mmchat.evals.shipped import PROBE_NAMES, shipped_paths
from mmchat.rows.reader import read_rows
from mmchat.rows.values import PersonaRow
from mmchat.script import language_of
from mmchat.wiring import open_eval_models

ROWS = [cast(PersonaRow, row) for path in shipped_paths(PROBE_NAMES) for row in read_rows(path).rows]


def test_every_shipped_role_has_probes_of_every_kind_in_both_languages() -> None:
    shipped = [name for name, path in role_paths().items() if path.parent == SHIPPED_DIR]
    assert sorted(row.role for row in ROWS) == sorted(
        f"{name}:{language}" for name in shipped for language in ("en", "zh")
    )
    for row in ROWS:
        kinds = Counter(probe.kind for probe in row.probes)
        assert kinds["fact"] >= 3
        assert min(kinds[kind] for kind in ("contradiction", "language", "instructions")) >= 2
        assert row.turns == (2, 20, 60)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.role)
def test_what_a_probe_wants_to_hear_is_what_the_role_is_told(row: PersonaRow) -> None:
    """A role whose text changes must not be measured by what it once said."""
    persona = find_persona(row.role)
    text = persona.text
    told = "\n".join([text.title, text.system, text.greeting, *(each.reply for each in text.examples)])
    for probe in row.probes:
        if probe.kind == "fact" and (row.role, probe.ask) not in PARAPHRASED:
            for aliases in probe.keys:
                assert says_any(told, aliases), f"{row.role}: {probe.ask}: {aliases}"
        assert not says_any(told, probe.never), f"{row.role}: {probe.ask}: {probe.never}"
        if probe.kind != "language":
            assert language_of([probe.ask]) == persona.language


PARAPHRASED = {
    ("interviewer:en", "Who asks the questions here, you or me?"),
    ("interviewer:zh", "这里谁来提问，你还是我？"),
}
"""The role is told this in words that a reply turns round: you ask, I ask."""


@pytest.mark.parametrize(
    ("metrics", "tasks"),
    [
        (("consistency",), {"persona"}),
        (("chrf++",), {"dialogue"}),
        (("chrf++", "pinning"), {"dialogue", "persona"}),
        ((), {"dialogue", "likelihood"}),
    ],
)
def test_metrics_choose_the_shipped_rows(metrics: tuple[str, ...], tasks: set[str]) -> None:
    settings = RunSettings(data=(), models=(), metrics=metrics)
    plan = make_plan(settings, open_eval_models(settings))
    assert {work.task.name for work in plan.works} == tasks
