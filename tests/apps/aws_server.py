"""Moto behind a port, for processes that ask AWS: `moto[server]` needs a web framework for the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber

REGION = "us-east-1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service = ""
    #: Moto's tables are not made for several threads.
    lock = threading.Lock()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        sent = HTTPHeaders()
        for name, text in self.headers.items():
            if name.lower() != "host":
                sent[name] = text
        url = f"https://{self.service}.{REGION}.amazonaws.com{self.path}"
        with self.lock:
            answered: Any = BotocoreStubber().process_request(AWSPreparedRequest("POST", url, sent, body, False))
        status, headers, text = answered
        content = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            if name.lower() not in ("connection", "content-length") or name == "Content-Length":
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Write no access log."""


@contextmanager
def serving(service: str) -> Iterator[str]:
    """The address of a service, empty at the start."""
    handler = type("Handler", (_Handler,), {"service": service})
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
