"""`mmchat memory`: what is remembered of the user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from mmchat.cli.output import StatusLine, confirm, narrate, print_json, print_table, print_text, warn
from mmchat.errors import UsageError

if TYPE_CHECKING:
    from mmchat.chat.known import KnownFacts
    from mmchat.domain import Fact

app = typer.Typer(
    help="List, search, add, edit, forget, learn.",
    no_args_is_help=True,
    epilog="\b\nExamples:\n"
    "  mmchat memory list\n"
    '  mmchat memory add "I\'m allergic to peanuts"\n'
    '  mmchat memory edit 3k9z0w1a "I\'m allergic to all nuts"\n'
    "  mmchat memory forget peanuts\n"
    "  mmchat memory learn              look through conversations of before, and ask\n"
    "\n\nFACT is an id, as 'list' shows it, or a unique beginning of one.",
)

FactId = Annotated[str, typer.Argument(metavar="FACT", help="Id, as 'mmchat memory list' shows it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list")
def list_facts(as_json: Json = False) -> None:
    """List what is remembered, the last said first."""
    with _facts() as facts:
        _show(facts.all(), as_json=as_json, nothing="Nothing is remembered yet. Say something of yourself in a talk.")


@app.command()
def search(
    words: Annotated[list[str], typer.Argument(metavar="WORDS", help="All of them must stand in it.")],
    as_json: Json = False,
) -> None:
    """Find facts by their words."""
    with _facts() as facts:
        _show(facts.all(" ".join(words)), as_json=as_json, nothing="Nothing that is remembered holds these words.")


@app.command()
def add(
    text: Annotated[list[str], typer.Argument(metavar="TEXT", help="What is to be remembered, in your own words.")],
    as_json: Json = False,
) -> None:
    """Remember something; /remember in a talk does the same."""
    from mmchat.cli.memory_rows import fact_object

    with _facts() as facts:
        fact = facts.remember(" ".join(text))
        if as_json:
            print_json(fact_object(fact))
        else:
            narrate(f"Remembered: {fact.text}")


@app.command()
def edit(
    fact: FactId,
    text: Annotated[list[str], typer.Argument(metavar="TEXT", help="The words that take its place.")],
    as_json: Json = False,
) -> None:
    """Put other words in the place of a fact's."""
    from mmchat.cli.memory_rows import fact_object

    with _facts() as facts:
        edited = facts.edit(fact, " ".join(text))
        if as_json:
            print_json(fact_object(edited))
        else:
            narrate(f"Now remembered: {edited.text}")


@app.command()
def forget(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="FACT|WORDS", help="An id, or words that one fact holds.")
    ] = None,
    is_all: Annotated[bool, typer.Option("--all", help="Everything.")] = False,
    is_sure: Yes = False,
    as_json: Json = False,
) -> None:
    """Delete facts for good. Their messages stay, but do not bring them back."""
    from mmchat.cli.memory_rows import fact_object

    if bool(words) == is_all:
        raise UsageError("Say what to forget.", hint="Name a fact by its id or its words, or use --all.")
    with _facts() as facts:
        meant = facts.all() if is_all else _meant(facts, " ".join(words or []))
        if not meant:
            narrate("Nothing is remembered, so nothing was forgotten.")
        else:
            named = f"all {len(meant)} facts" if is_all else "; ".join(f"'{fact.text}'" for fact in meant)
            if not is_sure and not confirm(f"Forget {named}? This cannot be undone."):
                narrate("Nothing was forgotten.")
                raise typer.Exit(1)
            facts.forget(meant)
            narrate(f"Forgot {named}.")
        if as_json:
            print_json([fact_object(fact) for fact in meant])


@app.command()
def learn(is_sure: Yes = False, as_json: Json = False) -> None:
    """Look for facts in old messages, and ask which to keep.

    Nothing is kept without your word: each fact is shown with the day on which you said it. With --json, what was
    found is printed and kept only with --yes.
    """
    from mmchat.cli.memory_rows import fact_object, fact_words

    with _facts() as facts:
        status = StatusLine()
        found = facts.unlearnt(lambda count: status.show(f"Reading your messages: {count:,} …"))
        status.clear()
        if as_json:
            print_json([fact_object(fact) for fact in found])
            kept = facts.keep(found) if is_sure else 0
        elif is_sure:
            kept = facts.keep(found)
        else:
            kept = 0
            for number, fact in enumerate(found, start=1):
                print_text(f"{number}/{len(found)}  {fact_words(fact)}")
                kept += facts.keep((fact,)) if confirm("Keep this?") else 0
        if not found:
            narrate("Nothing new was found in your messages.")
        elif is_sure or not as_json:
            narrate(f"Kept {kept} of {len(found)}.")


def _meant(facts: KnownFacts, words: str) -> tuple[Fact, ...]:
    """The one fact that an id or some words name."""
    holding = facts.all(words)
    if len(holding) == 1:
        return holding
    if holding:
        for fact in holding[:10]:
            warn(f"{fact.id}  {fact.text}")
        raise UsageError(f"{len(holding)} facts hold '{words}'.", hint="Give more words, or the id.")
    return (facts.get(words),)


def _show(found: tuple[Fact, ...], *, as_json: bool, nothing: str) -> None:
    from mmchat.cli.memory_rows import fact_object, fact_row

    if as_json:
        print_json([fact_object(fact) for fact in found])
    elif found:
        print_table(["ID", "LAST SAID", "HOW", "FACT"], [fact_row(fact) for fact in found])
    else:
        narrate(nothing)


@contextmanager
def _facts() -> Iterator[KnownFacts]:
    from mmchat.wiring import open_facts, open_store

    with closing(open_store()) as store:
        yield open_facts(store)
