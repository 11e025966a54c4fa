"""`mmchat models`: what there is, what is here, and bringing it here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmchat import paths
from mmchat.cli.output import confirm, narrate, print_json, print_table, print_text, warn
from mmchat.errors import ModelNotFound, UsageError

if TYPE_CHECKING:
    from mmchat.config.model_entries import ModelEntry
    from mmchat.config.models_file import ModelsFile
    from mmchat.weights.store import WeightsStore

app = typer.Typer(
    help="The models: list, fetch, check and remove them.",
    no_args_is_help=True,
    epilog="\b\nExamples:\n"
    "  mmchat models pull                 the default stack, about 400 MB\n"
    "  mmchat models pull whisper-small   another one\n"
    "  mmchat models recommend            what suits this machine\n",
)

Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
KINDS = ("lm", "asr", "vision", "embed", "head")


def _open() -> tuple[ModelsFile, WeightsStore]:
    from mmchat.config.models_file import load_models_file
    from mmchat.weights.store import WeightsStore

    return load_models_file(), WeightsStore(paths.weights_dir())


def _resolve(models: ModelsFile, name: str) -> tuple[ModelEntry, str]:
    from mmchat.engines.device import has_gpu

    return models.resolve(name, has_gpu=has_gpu())


@app.command("list")
def list_models(
    kind: Annotated[str | None, typer.Option("--kind", "-k", help=f"Only {', '.join(KINDS)}.")] = None,
    is_installed: Annotated[bool, typer.Option("--installed", "-i", help="Only those on this machine.")] = False,
    as_json: Json = False,
) -> None:
    """List all models. What they are for, how big, under which licence, and whether they are here."""
    from mmchat.cli.model_rows import list_row, model_object

    if kind is not None and kind not in KINDS:
        raise UsageError(f"'{kind}' is not a kind of model.", hint=f"One of: {', '.join(KINDS)}.")
    models, store = _open()
    entries = [each for each in models.values() if kind in (None, each.kind)]
    entries = [each for each in entries if not is_installed or (each.needs_weights and store.is_installed(each))]
    if as_json:
        broken = [{"name": name, "problems": list(lines)} for name, lines in models.broken.items()]
        print_json([*(model_object(each, models, store) for each in entries), *broken])
        return
    rows = [list_row(each, models, store) for each in entries]
    rows += [(name, "", "broken", "", "", "", "mmchat models check") for name in models.broken]
    print_table(("NAME", "KIND", "HERE", ">SIZE", "LICENCE", "NOTES", "ABOUT"), rows)


@app.command()
def info(name: Annotated[str, typer.Argument(metavar="NAME")], as_json: Json = False) -> None:
    """Show all that is known of a model, and where it lies."""
    from mmchat.cli.model_rows import info_lines, model_object

    models, store = _open()
    entry, engine = _resolve(models, name)
    if as_json:
        print_json(model_object(entry, models, store, engine=engine, in_full=True))
    else:
        print_table(("", ""), info_lines(entry, models, store, engine))


@app.command()
def pull(
    names: Names = None,
    at_once: Annotated[int, typer.Option("--at-once", min=1, max=8, help="How many at a time.")] = 3,
) -> None:
    """Fetch models; without names, the default stack. An interrupted pull goes on where it stopped.

    NAME@ENGINE fetches the same weights and prepares them for that engine.
    """
    from mmchat.cli.pull_view import pull_view
    from mmchat.weights.store import PullCancelled

    models, store = _open()
    wanted = [_resolve(models, name) for name in names or models.default_stack()]
    for entry, engine in wanted:
        if not entry.needs_weights:
            warn(f"{entry.name} has no weights to fetch: its engine is {engine}.")
    with pull_view() as show:
        try:
            store.pull_many(wanted, show, at_once=at_once)
        except KeyboardInterrupt:
            kept = [path.stem for path in store.kept_downloads()]
            message = f"Stopped. Kept: {', '.join(kept)}." if kept else "Stopped. No file was complete yet."
            raise PullCancelled(message, hint="The same command goes on from there.") from None
    here = ", ".join(dict.fromkeys(entry.name for entry, _ in wanted if entry.needs_weights))
    if here:
        narrate(f"Ready in {store.root}: {here}")


@app.command()
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME", show_default=False)],
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete models from this machine. Files used where they lie, outside mmchat's folder, stay."""
    from mmchat.cli.model_removal import Removal
    from mmchat.weights.progress import format_bytes

    models, store = _open()
    removals = [Removal(models.resolve(name)[0], store) for name in names]
    for removal in removals:
        removal.check()
    size = sum(removal.size_bytes for removal in removals)
    if not any(removal.is_anything for removal in removals):
        raise ModelNotFound(f"Nothing of {', '.join(names)} is on this machine.", hint="mmchat models list --installed")
    if not is_sure and not confirm(f"Delete {', '.join(names)} ({format_bytes(size)})?"):
        narrate("Nothing was deleted.")
        return
    freed = sum(removal.run() for removal in removals)
    narrate(f"Freed {format_bytes(freed)}.")


@app.command()
def export(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    form: Annotated[str, typer.Option("--to", metavar="FORM", help="safetensors, gguf or adapter.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File or folder; absent: in this one.")] = None,
    quant: Annotated[str, typer.Option(help="q8_0, f16 or bf16, for finetuned models.", show_default=False)] = "",
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Replace what is there, without asking.")] = False,
) -> None:
    """Write a model as safetensors, as GGUF, or its adapter.

    For other programs: merged safetensors, a GGUF file for llama.cpp, or the adapter alone.
    """
    from mmchat.cli.pull_view import pull_view
    from mmchat.weights.exporting import FORMS, QUANTS, Export, export_model, require_replaceable

    if form not in FORMS:
        raise UsageError(f"'{form}' is no form to export to.", hint=f"One of: {', '.join(FORMS)}.")
    if quant and quant not in QUANTS:
        raise UsageError(f"'{quant}' is no format of numbers.", hint=f"One of: {', '.join(QUANTS)}.")
    models, store = _open()
    wanted = Export(models.resolve(name)[0], form, quant)
    target = wanted.target(output)
    require_replaceable(target)
    if target.exists() and not is_sure and not confirm(f"Replace {target}?"):
        narrate("Nothing was written.")
        return
    with pull_view() as show:
        export_model(store, wanted, target, show)
    print_text(str(target))


@app.command()
def check(names: Names = None, as_json: Json = False) -> None:
    """Check models.toml, and every file against its checksum."""
    from mmchat.cli.model_rows import check_report

    models, store = _open()
    entries = [_resolve(models, name)[0] for name in names] if names else list(models.values())
    report = check_report(entries, models, store, is_named=bool(names))
    if as_json:
        print_json(report.as_object())
    else:
        for line in report.lines():
            print_text(line)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


@app.command()
def path(name: Annotated[str | None, typer.Argument(metavar="NAME")] = None, as_json: Json = False) -> None:
    """Print where a model's files lie. Without a name, where all models lie.

    NAME@ENGINE prints the folder that engine loads.
    """
    models, store = _open()
    if name is None:
        folder = store.root
    else:
        entry, engine = _resolve(models, name)
        folder = store.prepared(entry, engine) if "@" in name and "@" not in entry.name else store.path(entry)
    print_json({"path": str(folder)}) if as_json else print_text(str(folder))


@app.command()
def recommend(as_json: Json = False) -> None:
    """Say which models suit this machine. Looks at the GPU, the memory and the disk."""
    from mmchat.cli.model_rows import advice_object, advice_rows, machine_line
    from mmchat.weights.recommend import advise, probe_machine

    models, store = _open()
    machine = probe_machine(store.root)
    here = [entry.name for entry in models.values() if entry.needs_weights and store.is_installed(entry)]
    advice = advise(models.values(), machine, here)
    missing = [each.entry.name for each in advice if each.is_best and each.entry.name not in here]
    command = f"mmchat models pull {' '.join(missing)}" if missing else ""
    if as_json:
        print_json({**advice_object(machine, advice), "command": command})
        return
    narrate(machine_line(machine))
    print_table(("NAME", "KIND", "FITS", ">NEEDS", "LICENCE", "NOTES"), advice_rows(advice, here))
    if command:
        print_text(f"\n{command}")
