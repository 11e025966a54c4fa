"""A small OpenAI-compatible server on this machine: it streams, counts tokens, caches and can be told to misbehave."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event
from typing import Any

from mmchat.domain import GenerateOptions, GenerationDone, Message
from mmchat.engines.scripted import ScriptedLanguageModel

CONTEXT_TOKENS = 600
THOUGHTS = {
    "thinks aloud": [("content", piece) for piece in ("<th", "ink>", "They greet", " me.</", "think>\n", "\n")],
    "thinks": [("reasoning_content", "They greet"), ("reasoning_content", " me.")],
    "thinks, in vLLM's words": [("reasoning", "They greet"), ("reasoning", " me.")],
}
"""Modes in which something is thought first, as servers pass it on."""


class FakeServer(ThreadingHTTPServer):
    """Answers with a scripted model; `mode` says how it misbehaves."""

    daemon_threads = True

    def __init__(self, mode: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mode = mode
        self.model = ScriptedLanguageModel(context_tokens=CONTEXT_TOKENS)
        self.picture_tokens = 0
        """What a picture counts for."""
        self.bodies: list[dict[str, Any]] = []
        self.hung_up = Event()
        self.release = Event()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""


@contextmanager
def running(mode: str = "") -> Iterator[FakeServer]:
    server = FakeServer(mode)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: FakeServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass

    def do_GET(self) -> None:
        if self.server.mode == "unauthorised":
            return self._json(401, {"error": {"message": "bad key"}})
        return self._json(200, {"data": [{"id": "scripted", "max_model_len": CONTEXT_TOKENS}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        messages = [Message(each["role"], _text(each["content"])) for each in body["messages"]]
        if self.path.endswith("/input_tokens"):
            if self.server.mode == "no-counting":
                return self._json(404, {})
            pictures = sum(_pictures(each["content"]) for each in body["messages"]) * self.server.picture_tokens
            return self._json(200, {"input_tokens": self.server.model.count_tokens(messages) + pictures})
        if not self.path.endswith("/chat/completions"):
            return self._json(404, {})
        self.server.bodies.append(body)
        return self._complete(body, messages)

    def _complete(self, body: dict[str, Any], messages: Sequence[Message]) -> None:
        mode = self.server.mode
        if mode.isdecimal():
            return self._json(int(mode), {"error": {"message": f"told to say {mode}"}})
        if self.server.model.count_tokens(messages) >= CONTEXT_TOKENS:
            return self._json(400, {"error": {"message": "This model's maximum context length is 600 tokens."}})
        if mode == "silent":
            self.server.release.wait(30)
            return None
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        if mode == "malformed":
            self._event("{not json")
            return None
        self._stream(body, messages)
        return None

    def _stream(self, body: dict[str, Any], messages: Sequence[Message]) -> None:
        options = GenerateOptions(max_new_tokens=body["max_tokens"])
        self.wfile.write(b": keep-alive\n\n")
        self._event(json.dumps({"choices": [{"delta": {"role": "assistant", "content": None}}]}))
        for key, piece in THOUGHTS.get(self.server.mode, ()):
            self._event(json.dumps({"choices": [{"delta": {key: piece}}]}))
        for event in self.server.model.stream(messages, options, Event()):
            if isinstance(event, GenerationDone):
                reason = "length" if event.finish_reason == "length" else "stop"
                self._event(json.dumps({"choices": [{"delta": {}, "finish_reason": reason}]}))
                details = {"cached_tokens": event.cached_tokens}
                usage = {
                    "prompt_tokens": event.prompt_tokens,
                    "completion_tokens": event.reply_tokens,
                    "prompt_tokens_details": details,
                }
                self._event(json.dumps({"choices": [], "usage": usage}))
                self._event("[DONE]")
            else:
                self._event(json.dumps({"choices": [{"delta": {"content": event.text}}]}, ensure_ascii=False))
                if self.server.mode == "breaks":
                    return
                if self.server.mode == "endless":
                    self._wait_for_hang_up()
                    return

    def _wait_for_hang_up(self) -> None:
        self.connection.settimeout(30)
        if self.connection.recv(1) == b"":
            self.server.hung_up.set()

    def _event(self, data: str) -> None:
        self.wfile.write(f"data: {data}\n\n".encode())
        self.wfile.flush()

    def _json(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _pictures(content: str | list[dict[str, Any]]) -> int:
    return 0 if isinstance(content, str) else sum(part["type"] == "image_url" for part in content)


def _text(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
