"""Faults, each tried many times over: what was lost, and what a user would have seen.

The suite tries each a few times; `python -m benchmarks.faults` as often as the table in docs/performance-log.md says.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from mmchat.memory import collect
from mmchat.memory.recovery import recover
from mmchat.memory.store import MemoryStore
from tests.crash.crash_bench import Program, flaws_of, missing_of, open_store, snapshot
from tests.crash.damage_bench import damage_at_random, fill

ROUNDS_PER_FOLDER = 10


@dataclass(slots=True)
class FaultRow:
    """A line of the table."""

    fault: str
    times: int = 0
    turns: int = 0
    """How many stored turns were looked for, all times together."""
    lost: list[str] = field(default_factory=list)
    """Turns that had been stored and were not there, or not as they were."""
    flaws: list[str] = field(default_factory=list)
    """What was not sound."""
    details: dict[str, int] = field(default_factory=dict)

    def note(self, what: str, count: int = 1) -> None:
        """Count something worth telling."""
        self.details[what] = self.details.get(what, 0) + count


def kills(folder: Path, count: int, seed: int = 0) -> FaultRow:
    """Two programs write in every way at once; each is killed (SIGKILL) at a random moment, then all is looked at."""
    row, chance = FaultRow("killed under load"), random.Random(seed)
    for round_number in range(-(-count // 2)):
        where = folder / f"kills{round_number // ROUNDS_PER_FOLDER}"
        programs = [Program(where, f"{round_number}-{number}") for number in range(2)]
        for program in chance.sample(programs, 2):
            program.wait_for_lines(program.lines + chance.randint(1, 80))
            time.sleep(chance.uniform(0, 0.05))
            told = program.kill()
            row.times += 1
            row.flaws += told.errors
        with closing(open_store(where)) as store:
            for program in programs:
                told = program.told
                row.lost += missing_of(store, told)
                row.turns += len(told.users) + len(told.finished) + sum(told.imported.values())
                row.note("replies cut in the middle", len(told.open_replies))
            row.flaws += flaws_of(store)
            if round_number % ROUNDS_PER_FOLDER == ROUNDS_PER_FOLDER - 1:
                row.flaws += _flaws_after_tidying(store, row)
    return row


def _flaws_after_tidying(store: MemoryStore, row: FaultRow) -> list[str]:
    """Remove leftovers as if they were old; nothing that is used may go with them."""
    for path in store.blobs.folder.rglob("*"):
        os.utime(path, (0, 0))
    litter = collect.find_litter(store)
    row.note("leftover files removed by gc", len(litter.files))
    collect.remove_litter(store, litter)
    return [*flaws_of(store), *(["leftovers stayed"] if collect.find_litter(store).files else [])]


def power_cuts(folder: Path, count: int, seed: int = 0) -> FaultRow:
    """A writing program is frozen at random moments and its files copied, the unsynced end of the log torn."""
    row, chance = FaultRow("power cut"), random.Random(seed)
    program = Program(folder / "writing", "writer", "--turns-only")
    for number in range(count):
        target = folder / f"cut{number}"
        program.wait_for_lines(program.lines + chance.randint(1, 12))
        time.sleep(chance.uniform(0, 0.02))
        with program.frozen():
            time.sleep(0.01)  # for the reader to take what is in the pipe
            told = program.told.counted
            torn = snapshot(folder / "writing", target, chance, with_shm=number % 2 == 0)
        with closing(open_store(target)) as store:
            found = store.file.rows(
                "SELECT CAST(text AS INTEGER) AS number FROM turns WHERE session_id = ? ORDER BY position",
                (program.told.session,),
            )
            numbers = [each["number"] for each in found]
            if numbers != list(range(1, len(numbers) + 1)):
                row.flaws.append(f"no prefix: {numbers[-5:]}")
            if not torn:
                row.lost += [f"message {each}" for each in range(len(numbers) + 1, told + 1)]
                row.turns += told
            row.flaws += flaws_of(store)
        row.times += 1
        row.note("logs torn" if torn else "logs whole")
        shutil.rmtree(target)
    program.kill()
    return row


def together(folder: Path, processes: int, seconds: float) -> FaultRow:
    """Several programs write in every way at once, imports among it."""
    row = FaultRow(f"{processes} programs writing at once", times=1)
    programs = [Program(folder, f"writer{number}") for number in range(processes)]
    for program in programs:
        program.wait_for_lines(1)
    time.sleep(seconds)
    for program in programs:
        row.flaws += program.kill().errors
    with closing(open_store(folder)) as store:
        for program in programs:
            row.lost += missing_of(store, program.told)
            row.turns += len(program.told.users) + len(program.told.finished) + sum(program.told.imported.values())
        row.flaws += flaws_of(store)
    return row


def damage(folder: Path, count: int, seed: int = 0, *, sessions: int = 6, turns: int = 40) -> FaultRow:
    """Pages overwritten, bits turned, the header gone, the file cut short; then `recover`."""
    row = FaultRow("damaged file")
    texts = fill(folder / "whole", sessions=sessions, turns=turns)
    for number in range(seed, seed + count):
        where = folder / f"damaged{number}"
        shutil.copytree(folder / "whole", where)
        path = where / "mmchat.db"
        what = damage_at_random(path, random.Random(number))
        before = path.read_bytes()
        recovered = recover(path, where / "blobs")
        if recovered.kept is not None and recovered.kept.read_bytes() != before:
            row.flaws.append(f"{number} {what}: the damaged file was written to")
        with closing(MemoryStore(path, where / "blobs")) as store:
            row.flaws += [f"{number} {what}: {flaw}" for flaw in flaws_of(store)]
            found = {each["id"]: each["text"] for each in store.file.rows("SELECT id, text FROM turns")}
        whole = sum(found.get(each) == text for each, text in texts.items())
        row.note("turns whole", whole)
        row.note("turns in part or changed", sum(each in found and found[each] != texts[each] for each in texts))
        row.note("turns lost", sum(each not in found for each in texts))
        row.note("found by shape alone", recovered.rebuilt.stray_turns)
        row.note("no damage noticed", not recovered.problems)
        row.times += 1
        row.turns += len(texts)
        shutil.rmtree(where)
    return row
