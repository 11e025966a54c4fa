"""One streaming request to an OpenAI-compatible server, in a thread, that can be hung up at any moment."""

from __future__ import annotations

import json
import queue
import socket
from collections.abc import Mapping
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Any

import httpx

from mmchat.errors import ConfigError, EngineUnavailable, MmchatError, ModelNotFound, UsageError

CONNECT_TIMEOUT_S = 5.0
_POLL_S = 0.02
_TOO_LONG_WORDS = ("context length", "context size", "context_length", "maximum context", "too many tokens")


class Server:
    """Where a server is and how it is spoken to."""

    def __init__(self, base_url: str, model: str, api_key: str | None, key_variable: str, timeout_s: float) -> None:
        self.base_url = base_url.rstrip("/")
        self.root_url = self.base_url.removesuffix("/v1")
        self.model = model
        self.timeout_s = timeout_s
        self.key_variable = key_variable
        self.headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        # Reading the certificates takes 45 ms, a client with those already read 0.2 ms, and a reply needs two.
        self._certificates = httpx.create_ssl_context()

    def client(self) -> httpx.Client:
        """A client for one exchange."""
        return httpx.Client(
            headers=self.headers,
            verify=self._certificates,
            timeout=httpx.Timeout(self.timeout_s, connect=CONNECT_TIMEOUT_S),
            follow_redirects=True,
        )

    def ask(self, method: str, url: str, body: object = None) -> httpx.Response:
        """One plain exchange, whatever its status.

        Raises:
            EngineUnavailable: no answer.
        """
        try:
            with self.client() as client:
                return client.request(method, url, json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self.unreachable(error) from error

    def unreachable(self, error: Exception) -> MmchatError:
        """The error for a request that got no answer."""
        if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol)):
            return ConfigError(f"'{self.base_url}' is not an address of a server.", hint="Set base_url in models.toml.")
        if isinstance(error, httpx.ConnectTimeout):
            what = f"The server at {self.base_url} did not answer within {CONNECT_TIMEOUT_S:g} s."
        elif isinstance(error, httpx.ConnectError):
            what = f"No server answers at {self.base_url}."
        elif isinstance(error, httpx.TimeoutException):
            what = f"The server at {self.base_url} sent nothing for {self.timeout_s:g} s."
        else:
            what = f"The connection to {self.base_url} broke off."
        return EngineUnavailable(what, hint="Start the server, or change base_url in models.toml.")

    def refusal(self, status: int, body: bytes) -> MmchatError:
        """The error for an answer that is not a success."""
        detail = _detail(body)
        if status in (401, 403):
            hint = (
                f"Put the right key into {self.key_variable}."
                if self.key_variable
                else "Set api_key_env in models.toml."
            )
            return EngineUnavailable(f"The server at {self.base_url} refuses the API key ({status}).", hint=hint)
        if status == 404:
            return ModelNotFound(
                f"The server at {self.base_url} does not know '{self.model}' (404). {detail}".strip(),
                hint="Set api_model in models.toml to a model it serves.",
            )
        if status == 429:
            return EngineUnavailable(
                f"The server at {self.base_url} is too busy (429). {detail}".strip(), hint="Wait a little."
            )
        if status in (400, 413, 422) and any(words in detail.lower() for words in _TOO_LONG_WORDS):
            return UsageError(
                f"The prompt is too long: {detail}", hint="Send less at once, or start a new conversation."
            )
        if 400 <= status < 500:
            return UsageError(f"The server at {self.base_url} refuses the request ({status}): {detail}")
        return EngineUnavailable(
            f"The server at {self.base_url} failed ({status}). {detail}".strip(), hint="See its log."
        )


class EventStream:
    """The server-sent events of one chat completion."""

    def __init__(self, server: Server, body: Mapping[str, Any]) -> None:
        self._server = server
        self._body = dict(body)
        self._events: queue.SimpleQueue[dict[str, Any] | MmchatError | None] = queue.SimpleQueue()
        self._is_over = Event()
        self._socket_lock = Lock()
        self._socket: socket.socket | None = None
        self._thread = Thread(target=self._run, name="openai", daemon=True)
        self._thread.start()

    def next(self, cancel: Event) -> dict[str, Any] | None:
        """The next event; None at the end and as soon as `cancel` is set.

        Raises:
            MmchatError: the server failed or refused.
        """
        while not cancel.is_set():
            try:
                event = self._events.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if isinstance(event, MmchatError):
                raise event
            return event
        return None

    def end(self) -> None:
        """Hang up, so that the server stops working on it, and wait for the thread."""
        self._is_over.set()
        with self._socket_lock, suppress(OSError):  # the other side may have hung up first
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=CONNECT_TIMEOUT_S)

    def _run(self) -> None:
        try:
            self._read()
        except MmchatError as error:
            self._events.put(error)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._events.put(self._server.unreachable(error))
        finally:
            self._events.put(None)

    def _read(self) -> None:
        url = f"{self._server.base_url}/chat/completions"
        with (
            self._server.client() as client,
            client.stream("POST", url, json=self._body, extensions={"trace": self._trace}) as response,
        ):
            if response.status_code != 200:
                raise self._server.refusal(response.status_code, response.read())
            for line in response.iter_lines():
                if self._is_over.is_set():
                    return
                name, _, value = line.partition(":")
                if name != "data":
                    continue  # comments that keep the line open, event names, blank lines
                if value.strip() == "[DONE]":
                    return
                self._events.put(self._parse(value))
        self._events.put(EngineUnavailable(f"The stream from {self._server.base_url} broke off.", hint="Try again."))

    def _parse(self, value: str) -> dict[str, Any]:
        try:
            event = json.loads(value)
        except json.JSONDecodeError as error:
            raise self._malformed() from error
        if not isinstance(event, dict):
            raise self._malformed()
        if event.get("error"):
            raise self._server.refusal(int(_code(event["error"])), json.dumps(event).encode())
        return event

    def _malformed(self) -> EngineUnavailable:
        return EngineUnavailable(
            f"The server at {self._server.base_url} sent something that is not a chat completion.",
            hint="Check base_url in models.toml; it usually ends in /v1.",
        )

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by httpx: keeps the socket, so that `end` can hang up before the first byte came."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            with self._socket_lock:
                self._socket = info["return_value"].get_extra_info("socket")


def _detail(body: bytes) -> str:
    text = body.decode("utf-8", errors="replace")
    try:
        error = json.loads(text)
    except json.JSONDecodeError:
        return " ".join(text.split())[:200]
    if isinstance(error, dict):
        error = error.get("error", error)
    if isinstance(error, dict):
        error = error.get("message", error)
    return str(error)[:500]


def _code(error: object) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 500
