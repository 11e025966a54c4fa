"""Models that are asked in turns: in a process that `voices` runs, on a server over HTTP, or by a command."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import httpx
import psutil

from benchmarks.peers.environment import PeerMissing, peer_variables

ROOT = Path(__file__).parents[2]
VOICES = Path(__file__).with_name("voices.py")
_LOADING_S = 120.0
_KEEPS_LINES = 5

Figures = dict[str, Any]
"""`first_s`, `tokens_per_s`, `tokens`; `prompt_tokens`, `cached_tokens` where they are told."""


class Speaker(Protocol):
    """One model that holds one conversation at a time."""

    def begin(self, system: str) -> None:
        """A new conversation."""

    def say(self, text: str) -> Figures:
        """One turn, its reply to the end."""
        ...

    def peak_mb(self) -> float:
        """The most memory that its process has held."""
        ...

    def close(self) -> None:
        """End its process."""


class Voice:
    """A process that answers lines (`voices`)."""

    def __init__(self, kind: str, options: Mapping[str, object], python: Path | None = None, **more: str) -> None:
        """`python`: of a peer's environment; None: this one, with mmchat's modules. `more`: variables."""
        variables = peer_variables(**(more if python else {"PYTHONPATH": str(ROOT)} | more))
        self._said: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        self.process = subprocess.Popen(
            [str(python or sys.executable), str(VOICES), kind, json.dumps(dict(options))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=variables,
            text=True,
        )
        self.kind = kind
        self._peak_mb = 0.0
        self.address = str(self._answer()["ready"])

    def begin(self, system: str) -> None:
        self._ask({"begin": system})

    def say(self, text: str) -> Figures:
        return self._ask({"say": text})

    def peak_mb(self) -> float:
        return self._ask({}).get("peak_mb", 0.0)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _ask(self, what: Mapping[str, str]) -> Figures:
        assert self.process.stdin is not None
        print(json.dumps(what), file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Figures:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self._said.seek(0)
            last = [each.strip() for each in self._said.read().splitlines() if each.strip()][-_KEEPS_LINES:]
            raise PeerMissing(f"{self.kind} ended: {' '.join(last) or 'it said nothing'}")
        answer: Figures = json.loads(line)
        return answer


class LlamaServer:
    """The `llama-server` program with its own settings."""

    def __init__(self, program: Path, file: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [str(program), "-m", str(file), "--port", str(port), "--offline"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=peer_variables(),
        )
        deadline = time.monotonic() + _LOADING_S
        while not self._is_up():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise PeerMissing(f"llama-server: {program} did not start (exit code {self.process.returncode})")
            time.sleep(0.1)

    def _is_up(self) -> bool:
        try:
            return httpx.get(f"{self.address}/health", verify=False).status_code == 200
        except httpx.HTTPError:
            return False

    def peak_mb(self) -> float:
        """The most memory it has held; on systems that do not tell, what it holds now."""
        return peak_mb(self.process.pid)

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class OverHttp:
    """A server that is asked as OpenAI's are, each reply streamed; one client for the whole conversation."""

    def __init__(self, server: Voice | LlamaServer, tokens: int) -> None:
        self.server = server
        self.tokens = tokens
        self._client = httpx.Client(
            base_url=server.address,
            timeout=120,
            limits=httpx.Limits(max_keepalive_connections=0),  # the server hangs up while others are asked
        )
        self.messages: list[dict[str, str]] = []

    def begin(self, system: str) -> None:
        self.messages = [{"role": "system", "content": system}] if system else []

    def say(self, text: str) -> Figures:
        self.messages.append({"role": "user", "content": text})
        reply, times, timings = "", [], {}
        body = {"messages": self.messages, "stream": True, "max_tokens": self.tokens, "temperature": 0.0}
        started = time.perf_counter()
        with self._client.stream("POST", "/v1/chat/completions", json=body) as response:
            for line in response.iter_lines():
                if not line.startswith("data: {"):
                    continue
                event = json.loads(line[6:])
                timings = event.get("timings", timings)
                for choice in event["choices"]:
                    if piece := choice["delta"].get("content"):
                        times.append(time.perf_counter())
                        reply += piece
        self.messages.append({"role": "assistant", "content": reply})
        tokens = timings.get("predicted_n", len(times))
        cached = timings.get("cache_n", 0)
        return {
            "first_s": times[0] - started,
            "tokens_per_s": (tokens - 1) / (times[-1] - times[0]),
            "tokens": tokens,
            "prompt_tokens": timings.get("prompt_n", 0) + cached,
            "cached_tokens": cached,
        }

    def peak_mb(self) -> float:
        return self.server.peak_mb()

    def close(self) -> None:
        self._client.close()
        self.server.close()


def peak_mb(pid: int) -> float:
    """The most memory a running process has held; on systems that do not tell, what it holds now."""
    status = Path(f"/proc/{pid}/status")
    if status.is_file():
        line = next(each for each in status.read_text().splitlines() if each.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    return float(psutil.Process(pid).memory_info().rss) / 1e6


@dataclass(frozen=True, slots=True)
class Command:
    """What one call of a program took."""

    first_s: float
    """From its start to the first letter of the reply."""
    whole_s: float
    """To its end; 0 where it was ended after the first letter."""
    peak_mb: float


def run_command(command: Sequence[str], variables: Mapping[str, str], *, stops_early: bool = False) -> Command:
    """Run a program that writes a reply to stdout.

    Raises:
        PeerMissing: it wrote nothing.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, env=dict(variables)
        )
        assert process.stdout is not None
        letter = b" "
        while letter.isspace():
            letter = process.stdout.read(1)
        first_s = time.perf_counter() - started
        if stops_early:
            process.terminate()
        process.stdout.read()
        peak = peak_of_child(process)
        whole_s = time.perf_counter() - started
        if not letter:
            said.seek(0)
            raise PeerMissing(f"{Path(command[0]).name} said nothing: {' '.join(said.read().split()[-30:])}")
    return Command(first_s, 0.0 if stops_early else whole_s, peak)


def peak_of_child(process: subprocess.Popen[bytes]) -> float:
    """Wait for a program to end; the most memory it held, where the system tells."""
    if not hasattr(os, "wait4"):
        process.wait()
        return 0.0
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
