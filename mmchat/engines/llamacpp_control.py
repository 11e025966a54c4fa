"""Questions to a llama.cpp server in this process that its Python binding does not offer: tokens, properties.

The server's own listener answers them. It listens on a socket file in a private folder, or, where the
system has no such sockets, on a loopback port behind a secret drawn anew each time.
"""

from __future__ import annotations

import http.client
import json
import secrets
import shutil
import socket
import tempfile
import weakref
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from mmchat.errors import EngineUnavailable, UsageError

_TIMEOUT_S = 30.0


class ControlChannel:
    """A line to one server. Made before it (the server is told `host` and `secret`), opened after it."""

    def __init__(self) -> None:
        self.secret = secrets.token_urlsafe(32)
        self._folder: Path | None = None
        self.host = "127.0.0.1"
        if hasattr(socket, "AF_UNIX"):
            self._folder = Path(tempfile.mkdtemp(prefix="mmchat-"))  # mode 0700
            self.host = str(self._folder / "s.sock")
            self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._connection: http.client.HTTPConnection | None = None
        self._lock = Lock()

    def open(self, listening_address: str) -> None:
        """Connect to where the server says it listens."""
        if self._folder is not None:
            self._connection = _SocketFileConnection(self.host)
        else:
            address = urlsplit(listening_address)
            self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_TIMEOUT_S)

    def get(self, path: str) -> dict[str, Any]:
        """A GET request's JSON answer."""
        answer: dict[str, Any] = self._ask("GET", path, None)
        return answer

    def wait_for_queue(self) -> None:
        """Return once the server takes tasks: one that is stopped before that stops never.

        `/lora-adapters` goes through the queue of tasks and costs nothing.

        Raises:
            EngineUnavailable: it does not answer.
        """
        self._ask("GET", "/lora-adapters", None)

    def post(self, path: str, body: object) -> dict[str, Any]:
        """A POST request's JSON answer.

        Raises:
            UsageError: the server refuses the request.
            EngineUnavailable: it does not answer.
        """
        answer: dict[str, Any] = self._ask("POST", path, json.dumps(body).encode())
        return answer

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        headers = {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json"}
        with self._lock:
            connection = self._connection
            if connection is None:
                raise EngineUnavailable("llama.cpp is not running.")
            try:
                status, answer = self._exchange(connection, method, path, body, headers)
            except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
                raise EngineUnavailable(f"llama.cpp does not answer: {error}.", hint="Load the model again.") from error
        if status != 200 or not isinstance(answer, dict | list):
            detail = answer.get("error", {}).get("message", status) if isinstance(answer, dict) else status
            raise UsageError(f"llama.cpp refuses the messages: {detail}")
        return answer

    @staticmethod
    def _exchange(
        connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, Any]:
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
        except (ConnectionError, http.client.BadStatusLine):
            # The server drops an idle connection after a few seconds; the next request opens a new one.
            connection.close()
            connection.request(method, path, body, headers)
            response = connection.getresponse()
        return response.status, json.loads(response.read())

    def close(self) -> None:
        """Hang up and remove the socket file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._folder is not None:
                self._remove()


class _SocketFileConnection(http.client.HTTPConnection):
    """HTTP over a socket file."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
