"""`mmchat finetune`: from a file of rows to a better model in the chat, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = (
    "\b\nExamples:\n"
    "  mmchat finetune talks.jsonl --dry-run           check the rows, see what would be trained\n"
    "  mmchat finetune talks.jsonl --name mine         then: mmchat talk -m mine\n"
    "  mmchat finetune talks.jsonl --method dora --epochs 2 --lr 1e-4\n"
    "  mmchat finetune --resume mine                   go on with an interrupted one\n"
    "\n\nThe kind of row chooses the task: dialogues and preferences train a language model, captions and labels "
    "a picture or text model, speech a recogniser. Results go to stdout, progress to stderr."
)


def finetune(  # its parameters are the command line; they are read from the context, as one
    context: typer.Context,
    data: Annotated[
        list[str] | None,
        typer.Argument(metavar="DATA...", show_default=False, help="Rows, files or folders; a NAME with --resume."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="MODEL", help="The base; by default, the one you talk to.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the result; by default made of base and file.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="M", help="lora, dora, rslora, full, …: --list-methods explains them.")
    ] = None,
    epochs: Annotated[float | None, typer.Option(metavar="N", min=0.01, help="Times through the rows; 3.")] = None,
    max_steps: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many steps.")] = None,
    batch_size: Annotated[int | None, typer.Option(metavar="N", min=1, help="Rows for each step; 16.")] = None,
    micro_batch: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Rows at once; by memory. Changes no result but KTO's."),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--lr", metavar="X", min=1e-9, help="Learning rate; each method has its own.")
    ] = None,
    rank: Annotated[int | None, typer.Option(metavar="N", min=1, help="Of a low-rank adapter; 16.")] = None,
    alpha: Annotated[int | None, typer.Option(metavar="N", min=1, help="Scale of a low-rank adapter; 32.")] = None,
    last_layers: Annotated[int | None, typer.Option(metavar="N", min=1, help="For --method last-layers; 4.")] = None,
    max_length: Annotated[
        int | None, typer.Option(metavar="N", min=8, help="Tokens of a row; longer ones lose whole old turns; 1024.")
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rows to watch and compare on, instead of a share of DATA.")
    ] = None,
    validation_share: Annotated[
        float | None, typer.Option(metavar="X", min=0.0, max=0.9, help="Of the conversations kept apart; 0.1.")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Validations without gain before it stops; 3. 0: never.")
    ] = None,
    evaluate_every: Annotated[int | None, typer.Option(metavar="N", min=1, help="Steps between validations.")] = None,
    replay_share: Annotated[
        float | None,
        typer.Option("--replay", metavar="X", min=0.0, max=0.9, help="Share of general talk mixed in; 0."),
    ] = None,
    fusion: Annotated[
        str | None, typer.Option(metavar="F", help="Text and picture of label rows: concat or attention.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", min=0, help="For all that is drawn by chance.")] = None,
    dtype: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Numbers: float32, bfloat16, float16; auto.")
    ] = None,
    log_to: Annotated[
        str | None, typer.Option(metavar="WHERE", help="Curves: tensorboard, trackio, wandb or none.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(metavar="L", help="Of all rows, such as en or zh; else found row by row.")
    ] = None,
    should_skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad rows out, and name each.")] = False,
    is_unevaluated: Annotated[bool, typer.Option("--no-eval", help="Do not compare the result with its base.")] = False,
    eval_data: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Rows to compare on; repeatable.")
    ] = None,
    is_forced: Annotated[bool, typer.Option("--force", help="Replace a finetune of the same name.")] = False,
    is_dry: Annotated[bool, typer.Option("--dry-run", help="Check and show everything; train nothing.")] = False,
    should_resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted finetune.")] = False,
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a long training.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    is_list: Annotated[bool, typer.Option("--list-methods", help="Say what each method trains, and when.")] = False,
) -> None:
    """Train a model on your rows. Checks them, trains, compares the result with its base."""
    from mmchat.cli import finetune_options

    choice = finetune_options.read(context.params)
    if choice.is_list:
        from mmchat.cli import finetune_methods

        finetune_methods.list_methods(as_json=choice.as_json)
    else:
        from mmchat.cli import finetune_run

        finetune_run.perform(choice)
