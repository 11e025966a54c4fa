"""A report as one HTML file that needs nothing else: no scripts, no fonts, no pictures from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from mmchat import __version__
from mmchat.chat.report_values import Report, Spread
from mmchat.cli import report_words as words
from mmchat.cli.report_export import write_whole
from mmchat.cli.report_plots import intents_plot, messages_plot, mood_plot, share_bar
from mmchat.moments import local_minute
from mmchat.sanitize import plain_text


def write_page(path: Path, report: Report, made_at: str) -> None:
    """Write the page; a file of that name is replaced, whole or not at all.

    Args:
        path: in a folder that is there.
        report: with at least one message.
        made_at: ISO, UTC.

    Raises:
        MemoryStoreError: it cannot be written.
    """
    write_whole(path, page(report, made_at))


def page(report: Report, made_at: str) -> str:
    """The page's HTML. What users said is escaped, and without characters that a text must not have."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_harmless
    )
    environment.filters |= {
        "minute": local_minute,
        "kind": words.kind_words,
        "language": words.language_words,
        "mood": words.mood_words,
        "place": words.place_words,
        "reasons": words.counted_reasons,
        "near": words.nearest_words,
        "seconds": _spread(words.seconds),
        "rate": _spread("{:.0f}".format),
        "bar": lambda share: Markup(share_bar(share)),  # our own SVG, of a number
    }
    template = files("mmchat.cli").joinpath("report_page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        report=report,
        title=words.heading_words(report),
        made=local_minute(made_at),
        version=__version__,
        # Drawn by matplotlib, which escapes what it writes.
        messages_plot=Markup(messages_plot(report.periods)),
        mood_plot=Markup(mood_plot(report.periods)) if report.mood.messages else Markup(""),
        intents_plot=Markup(intents_plot(report)) if len(report.periods) > 1 and report.intents else Markup(""),
    )


def _harmless(value: object) -> object:
    return plain_text(value) if type(value) is str else value


def _spread(each: Callable[[float], str]) -> Callable[[Spread | None], str]:
    return lambda spread: words.spread_words(spread, each)
