"""The network door: shut by default, opens for listed public hosts only, however the request tries."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from autoglm_phone.errors import AutoGLMError, MediaError, PermissionDeniedError
from autoglm_phone.media import fetch as door
from autoglm_phone.media.fetch import FetchPolicy, check_url, fetch, is_public

POLICY = FetchPolicy(("example.com", ".cdn.test"), max_bytes=1000, timeout=2.0)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:1::1",
        "ff02::1",
        "192.0.2.1",
    ],
)
def test_private_addresses(address: str) -> None:
    assert not is_public(address)


def test_public_addresses() -> None:
    assert is_public("93.184.216.34")
    assert is_public("2606:2800:220:1:248:1893:25c8:1946")


def test_off_by_default() -> None:
    with pytest.raises(PermissionDeniedError, match="does not fetch"):
        fetch("http://example.com/x.png", FetchPolicy())


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.com/x",
        "http://example.com.evil.com/x",
        "http://evil.com#example.com",
        "http://example.com@evil.com/x",
        "http://user:pw@example.com/x",
        "http://evil.com\\@example.com/x",
        "http://example.com:22/x",
        "http://example.com:8000/x",
        "ftp://example.com/x",
        "file:///etc/passwd",
        "http:///x",
        "http://[::1]/x",
        "http://127.0.0.1/x",
        "http://notcdn.test/x",
        "http://example.com/\r\nHost: evil",
        "http://exa mple.com/",
        "http://example.com:99999/",
        "http://ex\u0430mple.com/",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises((PermissionDeniedError, MediaError)):
        check_url(url, POLICY)


def test_listed_hosts_pass() -> None:
    for url in ("https://example.com/a.png?x=1", "http://a.cdn.test/", "HTTP://EXAMPLE.COM:80/"):
        check_url(url, POLICY)


def test_a_listed_host_with_a_private_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", (a, 80)) for a in ("93.184.216.34", "169.254.169.254")]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with pytest.raises(PermissionDeniedError, match="public"):
        fetch("http://example.com/x", POLICY)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/ok":
            self._send(200, b"x" * 500)
        elif self.path == "/big":
            self._send(200, b"x" * 2000)
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"x" * 100)
            except OSError:
                pass
        elif self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(100):
                    self.wfile.write(b"x")
                    threading.Event().wait(0.2)
            except OSError:
                pass
        elif self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path[4:])
            self.end_headers()
        else:
            self._send(404, b"")

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int]]]:
    """A local server that stands for a public one; yields the addresses that were connected to."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    connected: list[tuple[str, int]] = []
    connect = socket.create_connection

    def redirect(address: tuple[str, int], timeout: float | None = None, **_: Any) -> socket.socket:
        connected.append(address)
        return connect(("127.0.0.1", server.server_port), timeout=timeout)

    monkeypatch.setattr(door, "public_address", lambda host, port, param=None: "93.184.216.34")
    monkeypatch.setattr(door.socket, "create_connection", redirect)
    yield connected
    server.shutdown()


def test_fetches_from_the_pinned_address(site: list[tuple[str, int]]) -> None:
    assert fetch("http://example.com/ok", POLICY) == b"x" * 500
    assert site == [("93.184.216.34", 80)]


def test_redirects_are_checked(site: list[tuple[str, int]]) -> None:
    assert fetch("http://example.com/to//ok", POLICY) == b"x" * 500
    for target in ("http://evil.com/", "http://127.0.0.1/", "file:///etc/passwd"):
        with pytest.raises(AutoGLMError):
            fetch(f"http://example.com/to/{target}", POLICY)
    with pytest.raises(MediaError, match="redirects"):
        fetch("http://example.com/to//to//to//to//ok", POLICY)


@pytest.mark.parametrize(
    ("path", "match"), [("big", "more than"), ("endless", "more than"), ("slow", "too long"), ("no", "404")]
)
def test_answers_that_are_refused(site: list[tuple[str, int]], path: str, match: str) -> None:
    with pytest.raises(MediaError, match=match):
        fetch(f"http://example.com/{path}", POLICY)
