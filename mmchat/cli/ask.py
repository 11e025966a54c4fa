"""`mmchat ask`: one question, one answer."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmchat.cli.output import narrate, print_json, print_text, warn
from mmchat.errors import UsageError

if TYPE_CHECKING:
    from mmchat.chat.desk import Desk
    from mmchat.cli.replies import TurnOutcome
    from mmchat.domain import Turn

EPILOG = (
    "\b\nExamples:\n"
    '  mmchat ask "Name three primary colours."\n'
    '  mmchat ask "What is this?" -a dog.jpg\n'
    '  git diff | mmchat ask "Write a commit message."\n'
    '  curl -s https://…/photo.jpg | mmchat ask -a - "What is this?"\n'
    '  mmchat ask -c "And in Chinese?" --json\n'
    "\n\nThe reply goes to stdout, everything else to stderr. Ctrl+C stops the reply and keeps what came."
)


def ask(
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="The question. Piped text is put before it.")
    ] = None,
    attachment: Annotated[
        list[str] | None, typer.Option("--attachment", "-a", metavar="FILE", help="A picture or sound; - reads stdin.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="Language model; see 'mmchat models list'.")
    ] = None,
    should_continue: Annotated[bool, typer.Option("--continue", "-c", help="Go on with the last one.")] = False,
    session: Annotated[
        str | None, typer.Option("--session", "-s", metavar="ID", help="Go on with this conversation.")
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", metavar="TEXT", help="What the model is told to be.")
    ] = None,
    persona: Annotated[
        str | None, typer.Option("--persona", metavar="ROLE", help="Who it is to be; see 'mmchat roles list'.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", metavar="N", min=1, help="The longest reply.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", metavar="T", min=0.0, help="0 is the likeliest reply every time.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="The same seed and prompt give the same reply.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the text.")] = False,
    no_log: Annotated[bool, typer.Option("--no-log", "-n", help="Store nothing, recall nothing.")] = False,
    no_recall: Annotated[
        bool, typer.Option("--no-recall", help="Bring nothing back from other conversations; for scripts.")
    ] = False,
    speak: Annotated[bool, typer.Option("--speak", help="Speak the answer aloud, too; Ctrl+C stops it.")] = False,
) -> None:
    """Ask one question and print the answer."""
    from mmchat import paths
    from mmchat.chat.role_actions import speaks_prepared
    from mmchat.cli.attached import attached_files
    from mmchat.cli.replies import open_conversation
    from mmchat.cli.speech import speak_to_the_end, warn_of_silence
    from mmchat.native_noise import native_noise_to
    from mmchat.wiring import WiringOptions, open_desk

    if no_log and (should_continue or session is not None):
        raise UsageError("--no-log stores nothing, so it cannot go on with a conversation.", hint="Leave one out.")
    if persona is not None and (should_continue or session is not None):
        raise UsageError("A conversation keeps its role.", hint="Leave out --persona, or -c and -s.")
    if persona is not None and system is not None:
        raise UsageError("--persona and --system exclude each other.", hint="A role brings its own system text.")
    with ExitStack() as cleanup:
        files = cleanup.enter_context(attached_files(attachment or []))
        typed = " ".join(prompt or [])
        text = read_prompt(typed, is_stdin_taken="-" in (attachment or []))
        if not text and not files:
            raise UsageError("There is nothing to ask.", hint='Try: mmchat ask "Name three primary colours."')
        options = WiringOptions(
            model=model,
            should_log=not no_log,
            should_recall=not no_recall,
            should_learn=text == typed.strip(),  # what was piped in was not said of oneself
            system=system,
            persona=persona,
            max_tokens=max_tokens,
            temperature=temperature,
            seed=seed,
        )
        cleanup.enter_context(native_noise_to(paths.log_dir() / "native.log", is_stdout_too=True))
        desk = cleanup.enter_context(closing(open_desk(options)))
        if speak:
            desk.speaker.turn_on()
        conversation = open_conversation(desk, should_continue=should_continue, session_id=session)
        if not speaks_prepared(conversation.persona):  # a role that only quotes needs no model
            desk.warm(("lm",))  # it loads while the question is stored: a tenth of the time to the first word
        outcome = answer(desk, conversation, text, files, as_json=as_json)
        if not outcome.was_interrupted:
            speak_to_the_end(desk)
            warn_of_silence(desk)
    if outcome.was_interrupted:
        raise typer.Exit(130)


def answer(desk: Desk, conversation: Any, text: str, files: tuple[Path, ...], *, as_json: bool) -> TurnOutcome:
    """Run the turn and print its reply."""
    from mmchat.chat.session import UserInput
    from mmchat.cli.replies import read_turn, sources_line

    pieces: list[str] = []
    late: list[str] = []

    def on_text(piece: str) -> None:
        pieces.append(piece)
        desk.speaker.feed(piece)
        if not as_json:
            print_text(piece, end="")

    desk.speaker.begin()
    outcome = read_turn(
        lambda cancel: conversation.reply(UserInput(text, files), cancel),
        load_states=desk.load_states,
        on_text=on_text,
        # What is said of a reply while it streams waits for the end of its line.
        say=lambda line: late.append(line) if pieces else narrate(line),
    )
    if outcome.was_interrupted:
        desk.speaker.hush()
    desk.speaker.finish()
    if as_json:
        if outcome.reply is not None:
            print_json(reply_row(outcome.reply, outcome))
    elif outcome.text:
        print_text("")
    if not as_json and (sources := sources_line(outcome.reply)):
        warn(sources)
    for fact in outcome.learnt:
        narrate(f"remembered: {fact.text} · mmchat memory forget {fact.id[-8:]} takes it back")
    if outcome.person is not None and outcome.reply is not None:
        narrate(f"{outcome.person.text} · mmchat sessions handover {outcome.reply.session_id}")
    if sys.stderr.isatty():
        for line in late:
            narrate(line)
    else:  # nothing was narrated, but a script must learn that its message or the reply was cut
        for notice in outcome.notices:
            warn(notice)
    return outcome


def read_prompt(typed: str, *, is_stdin_taken: bool) -> str:
    """The typed words, after what was piped in."""
    piped = "" if is_stdin_taken or sys.stdin is None or sys.stdin.isatty() else sys.stdin.read()
    return "\n\n".join(part.strip() for part in (piped, typed) if part.strip())


def reply_row(reply: Turn, outcome: TurnOutcome) -> dict[str, Any]:
    """The object that `--json` prints."""
    from mmchat.cli.memory_rows import fact_object, told_object
    from mmchat.cli.session_rows import cited_objects, partner_object, understood_object

    usage, window = reply.usage, reply.window or outcome.window
    return {
        "session": reply.session_id,
        "turn": reply.id,
        "reply": reply.text,
        "status": reply.status,
        "model": reply.model,
        "engine": reply.engine,
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "cached_tokens": usage.cached_tokens,
            "reply_tokens": usage.reply_tokens,
            "first_token_s": round(usage.first_token_s, 4),
            "tokens_per_s": round(usage.tokens_per_s, 2),
        }
        if usage
        else None,
        "heard": [
            {
                "file": each.name,
                "text": each.heard.text,
                "language": each.heard.language,
                "duration_s": round(each.heard.duration_s, 3),
            }
            for each in outcome.attachments
            if each.heard is not None
        ],
        "seen": [
            {
                "file": each.name,
                "tags": [{"label": tag.label, "score": round(tag.score, 4)} for tag in each.seen.tags],
                "text": each.seen.text,
                "caption": each.seen.caption,
            }
            for each in outcome.attachments
            if each.seen is not None
        ],
        "recalled": [
            {"session": each.session, "turn": each.turn, "text": each.text, "score": round(each.score, 4)}
            | partner_object(each)
            for each in outcome.recalled
            if not each.fact and each.passage is None
        ],
        "cited": cited_objects(reply),
        "facts": [told_object(each) for each in outcome.recalled if each.fact],
        "learnt": [fact_object(fact) for fact in outcome.learnt],
        "prepared": reply.prepared,
        "understood": understood_object(outcome.understood) if outcome.understood is not None else None,
        "person": {"reason": outcome.person.reason, "text": outcome.person.text} if outcome.person else None,
        "window": {
            "turns_in": window.turns_in,
            "turns_out": window.turns_out,
            "tokens": window.tokens,
            "budget": window.budget,
            "room": window.room,
            "parts": {part.kind: part.tokens for part in window.parts},
            "pinned": len(window.pins),
        }
        if window
        else None,
        "masked": list(outcome.masked),
        "notice": " ".join(outcome.notices) or reply.notice,
    }
