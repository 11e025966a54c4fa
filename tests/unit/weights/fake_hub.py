"""A hub of one repository on this machine, speaking as much of the protocol as huggingface_hub asks for."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FakeHub:
    """What it serves, and what it was asked."""

    repo: str
    commit: str
    files: dict[str, bytes]
    url: str = ""
    is_gated: bool = False
    announced_sha256: dict[str, str] = field(default_factory=dict)
    """Wrong checksums to publish."""
    asked: list[str] = field(default_factory=list)

    def tree(self) -> list[dict[str, object]]:
        items: list[dict[str, object]] = []
        for path, data in self.files.items():
            oid = hashlib.sha1(data).hexdigest()
            item: dict[str, object] = {"type": "file", "path": path, "size": len(data), "oid": oid}
            if path.endswith((".safetensors", ".gguf")):
                digest = self.announced_sha256.get(path, hashlib.sha256(data).hexdigest())
                item["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 134}
            items.append(item)
        return items


@contextmanager
def serve(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve it until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            return

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            hub.asked.append(f"{self.command} {self.path}")
            path = self.path.partition("?")[0]
            if not path.startswith((f"/api/models/{hub.repo}", f"/{hub.repo}/resolve/")):
                self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            elif hub.is_gated:
                self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
            elif path.startswith(f"/api/models/{hub.repo}/tree/"):
                self._send(200, json.dumps(hub.tree()).encode(), {})
            elif path.startswith("/api/models/"):
                revision = path.rpartition("/revision/")[2] if "/revision/" in path else hub.commit
                if revision not in (hub.commit, "main"):
                    self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                else:
                    self._send(200, json.dumps({"id": hub.repo, "sha": hub.commit}).encode(), {})
            else:
                self._send_file(path.partition(f"/resolve/{hub.commit}/")[2])

        def _send_file(self, name: str) -> None:
            data = hub.files.get(name)
            if data is None:
                self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            etag = f'"{hashlib.sha1(data).hexdigest()}"'
            self._send(200, data, {"ETag": etag, "X-Repo-Commit": hub.commit, "Accept-Ranges": "bytes"})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
