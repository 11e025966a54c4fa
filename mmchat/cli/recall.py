"""`mmchat recall`: find what was said, shown or heard before."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmchat.cli.output import narrate, print_json
from mmchat.errors import UsageError

if TYPE_CHECKING:
    from mmchat.domain import Recalled
    from mmchat.memory.store import MemoryStore

EPILOG = (
    "\b\nExamples:\n"
    '  mmchat recall "where did we book the hotel?"\n'
    '  mmchat recall "red bike" --pictures\n'
    "  mmchat recall --image bike.jpg\n"
    '  mmchat recall "成都" -k 3 --json\n'
)


def recall(
    query: Annotated[list[str] | None, typer.Argument(metavar="QUERY", help="In your words.")] = None,
    image: Annotated[Path | None, typer.Option("--image", metavar="FILE", help="Find turns by a picture.")] = None,
    pictures: Annotated[bool, typer.Option("--pictures", help="Find pictures alone.")] = False,
    k: Annotated[int, typer.Option("-k", metavar="N", min=1, help="How many at most.")] = 10,
    session: Annotated[str | None, typer.Option("--session", "-s", metavar="ID", help="Only there.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list, best first.")] = False,
) -> None:
    """Find the turns that bear on a question or look like a picture."""
    from mmchat import paths
    from mmchat.cli.session_rows import print_recalled, recalled_object
    from mmchat.native_noise import native_noise_to
    from mmchat.wiring import open_store

    text = " ".join(query or []).strip()
    if bool(text) == (image is not None):
        raise UsageError("Give a question or --image FILE, one of the two.", hint='Try: mmchat recall "hotel"')
    if pictures and image is not None:
        raise UsageError("--image finds pictures already; leave --pictures out.")
    with closing(open_store()) as store:
        with native_noise_to(paths.log_dir() / "native.log", is_stdout_too=True):
            found = (
                _by_image(store, image, k, session)
                if image
                else _by_words(store, text, k, session, are_pictures=pictures)
            )
        if as_json:
            print_json([recalled_object(each) for each in found])
            return
        if found and not found[0].is_sure:
            narrate("Nothing surely bears on it. What comes nearest:")
        for each in found:
            print_recalled(each)
        if not found:
            narrate("No picture is like it." if image or pictures else "Nothing bears on it.")


def _by_words(
    store: MemoryStore, text: str, k: int, session: str | None, *, are_pictures: bool
) -> tuple[Recalled, ...]:
    from mmchat.cli.session_rows import chosen
    from mmchat.wiring import open_recall

    session_id = chosen(store, session).id if session is not None else None
    recall = open_recall(store)
    if are_pictures:
        return recall.find_pictures(text, k=k, session_id=session_id)
    return recall.find(text, k=k, session_id=session_id, reach="nearest")


def _by_image(store: MemoryStore, path: Path, k: int, session: str | None) -> tuple[Recalled, ...]:
    from mmchat.cli.session_rows import chosen
    from mmchat.engines.image_io import open_image
    from mmchat.wiring import open_hub, open_recall

    image = open_image(path)
    hub = open_hub(kinds=("vision", "embed"))
    with closing(hub):
        reader = hub.image_reader()
        vector = reader.embed_images([image])[0]
        session_id = chosen(store, session).id if session is not None else None
        return open_recall(store, hub).find_by_image(vector, reader.name, k=k, session_id=session_id)
