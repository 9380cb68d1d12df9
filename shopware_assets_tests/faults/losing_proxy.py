"""An HTTP proxy in front of S3 that passes every request on, and loses the first reply to every Delta commit.

The commit was made. deltalake may answer that by making it again in the next version: that reply comes through. The
proxy is a process of its own: deltalake looks into the log without letting this one's other threads run.
"""

import http.client
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class LosingProxy:
    """Where it listens and, when it has stopped, the paths of the commits whose replies it lost."""

    endpoint: str
    lost: list[str] = field(default_factory=list)


@contextmanager
def losing_proxy(upstream: str) -> Iterator[LosingProxy]:
    """The proxy, on a free port of the loopback interface, while the block runs."""
    command = [sys.executable, "-m", __name__, upstream.removeprefix("http://")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    proxy = LosingProxy(f"http://127.0.0.1:{process.stdout.readline().strip()}")
    try:
        yield proxy
    finally:
        said, _ = process.communicate()  # closes its stdin, which ends it
        proxy.lost += said.splitlines()


def _serve(host: str) -> None:
    """Prints its port, then the path of each lost reply; until stdin ends.

    By turns the connection ends instead of the reply, and the reply says 500.
    """
    lost: set[bytes] = set()

    def loses(method: str, path: str, body: bytes) -> bool:
        """Whether this is a commit whose reply was not lost before."""
        if method != "PUT" or "/_delta_log/" not in path or not path.endswith(".json"):
            return False
        found = re.search(rb'"shopware.write_id":"(\w+)"', body)
        commit = found[1] if found else path.encode()
        is_new = commit not in lost
        lost.add(commit)
        return is_new

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

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
            status, headers = reply.status, dict(reply.getheaders())
            if status < 300 and loses(self.command, self.path, body):
                print(self.path, flush=True)
                if len(lost) % 2:
                    self.close_connection = True
                    return
                status, headers, content = 500, {}, b""
            if self.command != "HEAD":
                headers = {n: v for n, v in headers.items() if n.lower() not in ("transfer-encoding", "content-length")}
                headers["Content-Length"] = str(len(content))
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            with suppress(BrokenPipeError, ConnectionResetError):  # the client has given up
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = pass_on

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _serve(sys.argv[1])
