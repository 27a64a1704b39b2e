"""Moto behind a port, for processes that ask AWS: `moto[server]` needs a web framework for the same.

What a test wants of AWS beside that: `Trouble`, of some requests.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber

REGION = "us-east-1"


@dataclass(frozen=True)
class Trouble:
    """What happens to a request: an answer in AWS' place, one that comes late, or one that breaks off halfway."""

    status: int | None = None
    code: str = ""
    seconds: float = 0.0
    breaks_off: bool = False


#: From method and path to what happens; None where nothing does.
Troubles = Callable[[str, str], Trouble | None]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service = ""
    troubles: Troubles
    #: Moto's tables are not made for several threads.
    lock = threading.Lock()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        trouble = type(self).troubles(self.command, self.path)
        if trouble:
            time.sleep(trouble.seconds)
            if trouble.status is not None:
                text = f"<Error><Code>{trouble.code}</Code><Message>as the test has it</Message></Error>"
                self._send(trouble.status, {"Content-Type": "application/xml"}, text.encode())
                return
        sent = HTTPHeaders()
        for name, text in self.headers.items():
            if name.lower() != "host":
                sent[name] = text
        url = f"https://{self.service}.{REGION}.amazonaws.com{self.path}"
        with self.lock:
            request = AWSPreparedRequest(self.command, url, sent, body, False)
            answered: Any = BotocoreStubber().process_request(request)
        status, headers, answer = answered
        breaks_off = trouble is not None and trouble.breaks_off
        self._send(status, headers, answer.encode() if isinstance(answer, str) else answer, breaks_off)

    def _send(self, status: int, headers: Any, content: bytes, breaks_off: bool = False) -> None:
        try:
            self.send_response(status)
            given = {name.lower(): value for name, value in headers.items() if name.lower() != "connection"}
            if self.command != "HEAD" or "content-length" not in given:
                given["content-length"] = str(len(content))
            for name, value in given.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[: len(content) // 2] if breaks_off else content)
                self.close_connection = self.close_connection or breaks_off
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # who asked was killed

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer  # noqa: N815  the names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:
        """Write no access log."""


@contextmanager
def serving(service: str, troubles: Troubles = lambda _method, _path: None) -> Iterator[str]:
    """The address of a service, empty at the start."""
    handler = type("Handler", (_Handler,), {"service": service, "troubles": staticmethod(troubles)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    with mock_aws():
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
