"""Make docs/performance.md from the reports in benchmarks/results.

    python -m benchmarks page

What was measured is told from the reports alone; the text around them is in this module, and what was tried and did
not help is told by hand in docs/performance-log.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.figures import Bar, Cell, Ratio, Report, Table, cell_text

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results")
PAGE = ROOT / "docs" / "performance.md"
LEAD = """# What was measured

This page is made from the reports in `benchmarks/results` by `python -m benchmarks page`; do not edit it. Each part
names the command that measured it; `python -m benchmarks all --out FOLDER --data FOLDER` runs them one after the
other. Each compares within one run, the things compared taking turns, and tells medians with the least and the most:
the machine is shared and noisy, so that ratios count and seconds are hints. What was tried and did not help, and what
was measured before, stands in [performance-log.md](performance-log.md); what mmchat finds and answers rightly, in
[results.md](results.md).
"""


def page(folder: Path, order: Sequence[str]) -> str:
    """The whole text. `order`: names of reports; those without a file are left out."""
    found = [name for name in order if (folder / f"{name}.json").is_file()]
    reports = [Report.read(folder / f"{name}.json") for name in found]
    parts = [LEAD, _machine(json.loads((folder / "machine.json").read_text(encoding="utf-8")))]
    bars = [(report, bar) for report in reports for bar in report.bars]
    ratios = [(report, ratio) for report in reports for ratio in report.ratios]
    if bars:
        parts.append("## The bars\n\n" + _table(("", "bar", "measured", ""), (_bar(bar) for _, bar in bars)))
    if ratios:
        rows = (_ratio(ratio) for _, ratio in ratios)
        head = "## Beside others\n\nmmchat's figure, the other's, and the first by the second.\n\n"
        parts.append(head + _table(("", "beside", "mmchat", "other", "ratio", ""), rows))
    parts += [_part(report) for report in reports]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _machine(told: dict[str, object]) -> str:
    versions = told["versions"]
    assert isinstance(versions, dict)
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Machine: {told['cores']} cores of {_without_marks(str(told['processor']))} (a shared virtual machine), "
        f"{told['memory_gb']} GB, no GPU, {told['system']}, Python {told['python']}; {str(told['at'])[:10]}. "
        f"Libraries: {libraries}."
    )


def _without_marks(text: str) -> str:
    return text.replace("(R)", "").replace("(TM)", "")


def _bar(bar: Bar) -> list[Cell]:
    sign = "≤" if bar.is_at_most else "≥"
    figure = f"{cell_text(bar.value)} {bar.unit}"
    return [bar.what, f"{sign} {cell_text(bar.limit)} {bar.unit}", figure, "met" if bar.is_met else "**not met**"]


def _ratio(ratio: Ratio) -> list[Cell]:
    better = "more is better" if ratio.is_more_better else "less is better"
    ours, theirs = f"{cell_text(ratio.ours)} {ratio.unit}", f"{cell_text(ratio.theirs)} {ratio.unit}"
    times = cell_text(ratio.times)
    return [ratio.what, ratio.peer, ours, theirs, times if ratio.is_ahead else f"**{times}**", better]


def _part(report: Report) -> str:
    lines = [f"## {report.title}", f"`{report.command}`"]
    if report.about:
        lines.append(report.about)
    lines += [_titled(table) for table in report.tables]
    lines += report.notes
    return "\n\n".join(lines)


def _titled(table: Table) -> str:
    drawn = f"**{table.title}**\n\n" + _table(table.columns, table.rows)
    return f"{drawn}\n\n{table.note}" if table.note else drawn


def _table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(cell_text(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)
