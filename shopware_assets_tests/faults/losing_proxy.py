"""An HTTP proxy in front of S3 that passes every request on and loses some of the replies."""

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Literal
from urllib.parse import urlparse

Fate = Literal["passed", "dropped", "failed"]
"""What becomes of a reply: it is passed on; the connection ends instead of it; it says 500."""


@dataclass
class LosingProxy:
    """Where it listens, whose replies it loses (`fate` of method and path), and what it lost."""

    endpoint: str = ""
    fate: Callable[[str, str], Fate] = lambda method, path: "passed"
    lost: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def decide(self, method: str, path: str, status: int) -> Fate:
        with self._lock:
            fate = self.fate(method, path) if status < 300 else "passed"
            if fate != "passed":
                self.lost.append(path)
            return fate


@contextmanager
def losing_proxy(upstream: str) -> Iterator[LosingProxy]:
    """The proxy, on a free port of the loopback interface, while the block runs."""
    proxy, host = LosingProxy(), urlparse(upstream).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = http.client.HTTPConnection(host, timeout=30)
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():  # with the Host that was signed
                connection.putheader(name, value)
            connection.endheaders(body)
            reply = connection.getresponse()
            content = reply.read()
            connection.close()
            fate = proxy.decide(self.command, self.path, reply.status)
            if fate == "dropped":
                self.close_connection = True
                return
            self.send_response_only(500 if fate == "failed" else reply.status)
            kept = {name: value for name, value in reply.getheaders() if name.lower() != "transfer-encoding"}
            if self.command != "HEAD":
                content = b"" if fate == "failed" else content
                kept["Content-Length"] = str(len(content))
            for name, value in kept.items():
                self.send_header(name, value)
            with suppress(BrokenPipeError, ConnectionResetError):  # the client has given up
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = pass_on

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
