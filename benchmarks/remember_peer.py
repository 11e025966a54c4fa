"""Search by a word with `llm logs -q` in a store that holds the same texts, for `benchmarks/remember.py`.

The texts lie in the table `responses`, which `llm` 0.36 searches as well as its newer ones.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from benchmarks.peers.environment import peer_environment, peer_variables, peer_versions

LISTED = 20
_MAKE = "import sys, sqlite_utils; from llm.migrations import migrate; migrate(sqlite_utils.Database(sys.argv[1]))"
_SERVE = """
import json, sys, time, sqlite_utils
from llm.logs import LogStore, merged_log_rows
store = LogStore(sqlite_utils.Database(sys.argv[1]))
for line in sys.stdin:
    started = time.perf_counter()
    rows = merged_log_rows(store, count=int(sys.argv[2]), query=json.loads(line))
    print(json.dumps([time.perf_counter() - started, len(rows)]), flush=True)
"""
_INSERT = (
    "INSERT INTO responses (id, model, prompt, system, options_json, response, conversation_id, duration_ms,"
    " datetime_utc, input_tokens, output_tokens) VALUES (?, 'smollm2', ?, '', '{}', ?, ?, 1200, ?, 812, 57)"
)


class LlmLogs:
    """`llm` in an environment of its own, with a log of the same exchanges as a store of mmchat."""

    def __init__(self, home: Path) -> None:
        """`home` is that of the store; the log is made beside it where it is not there.

        Raises:
            PeerMissing: it could not be installed.
        """
        self._python = peer_environment("llm", ["llm"])
        self.version = peer_versions(self._python, "llm")["llm"]
        self._folder = home / "llm"
        self._log = self._folder / "logs.db"
        if not self._log.is_file():
            self._make(home / "data" / "mmchat.db")
        self._variables = peer_variables(LLM_USER_PATH=str(self._folder))
        self._process: subprocess.Popen[str] | None = None

    def run(self, word: str) -> None:
        """The whole command; it must succeed."""
        command = [self._python, "-m", "llm", "logs", "-q", word, "-n", str(LISTED)]
        subprocess.run(command, env=self._variables, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)

    def query(self, word: str) -> tuple[float, int]:
        """Its function for that alone, in a process that stays: seconds, and how many rows."""
        if self._process is None:
            self._process = subprocess.Popen(
                [self._python, "-c", _SERVE, str(self._log), str(LISTED)],
                env=self._variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(word) + "\n")
        self._process.stdin.flush()
        seconds, count = json.loads(self._process.stdout.readline())
        return float(seconds), int(count)

    def close(self) -> None:
        """End the process that stays."""
        if self._process is not None:
            self._process.communicate()

    def _make(self, store: Path) -> None:
        self._folder.mkdir(exist_ok=True)
        half_made = self._log.with_suffix(".part")
        half_made.unlink(missing_ok=True)
        subprocess.run([self._python, "-c", _MAKE, str(half_made)], env=peer_variables(), check=True)
        with closing(sqlite3.connect(store)) as source, closing(sqlite3.connect(half_made)) as log, log:
            conversations = source.execute("SELECT id, title FROM sessions ORDER BY number")
            log.executemany("INSERT INTO conversations (id, name, model) VALUES (?, ?, 'smollm2')", conversations)
            log.executemany(
                _INSERT,
                source.execute(
                    "SELECT a.id, q.text, a.text, a.session_id, a.created_at FROM turns a"
                    " JOIN turns q ON q.id = a.parent_id WHERE a.role = 'assistant' ORDER BY a.number"
                ),
            )
        os.replace(half_made, self._log)
