"""The only network door of the server: fetches media by URL, if the operator allowed the host.

Off by default. The host must be on the operator's list; its address is resolved once, must be public, and the
connection goes to that very address (no second lookup that could answer otherwise). Every redirect is checked like
the first URL. Size and total time are capped.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from autoglm_phone.errors import MediaError, PermissionDeniedError

MAX_REDIRECTS = 3
MAX_URL = 4096
_CHUNK = 1 << 16


@dataclass(frozen=True)
class FetchPolicy:
    """allowed_domains: exact host names; `.example.com` allows sub-domains too. Empty: no URL is ever fetched."""

    allowed_domains: tuple[str, ...] = ()
    max_bytes: int = 32 * 1024 * 1024
    timeout: float = 10.0  # seconds for everything: all redirects and the whole body


def fetch(url: str, policy: FetchPolicy, *, param: str | None = None) -> bytes:
    """The body of an http(s) URL.

    Raises:
        PermissionDeniedError: URL media are off, or the host or its address is not allowed.
        MediaError: the host does not answer in time, answers with an error, or sends too much.
    """
    deadline = time.monotonic() + policy.timeout
    for _ in range(MAX_REDIRECTS + 1):
        parts = check_url(url, policy, param)
        body, location = _get(parts, policy, deadline, param)
        if location is None:
            return body
        url = urljoin(url, location)
    raise MediaError(f"the URL redirects more than {MAX_REDIRECTS} times", param=param)


def check_url(url: str, policy: FetchPolicy, param: str | None = None) -> SplitResult:
    """Parses a URL and applies the operator's list; no look-up yet."""
    if not policy.allowed_domains:
        raise PermissionDeniedError(
            "this server does not fetch media by URL; send a data URL, or start it with --allowed-media-domains",
            param=param,
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise MediaError("the URL can't be parsed", param=param) from exc
    host = (parts.hostname or "").rstrip(".")
    bad = len(url) > MAX_URL or any(c <= " " or c == "\\" or ord(c) > 126 for c in url)
    if bad or parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        raise MediaError("only plain http and https URLs without user names are fetched", param=param)
    if port not in (None, 80, 443):
        raise PermissionDeniedError("only the ports 80 and 443 are allowed for media URLs", param=param)
    if not any(host == d or (d.startswith(".") and host.endswith(d)) for d in map(str.lower, policy.allowed_domains)):
        raise PermissionDeniedError("the URL's host is not on this server's list of allowed media domains", param=param)
    return parts


def public_address(host: str, port: int, param: str | None = None) -> str:
    """The host's first address, if all of its addresses are public."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise MediaError("the URL's host can't be found", param=param) from exc
    addresses = [str(info[4][0]).split("%")[0] for info in found]
    if not addresses or not all(is_public(a) for a in addresses):
        raise PermissionDeniedError("the URL's host is not a public address", param=param)
    return addresses[0]


def is_public(address: str) -> bool:
    """Not private, loopback, link-local, multicast or reserved; IPv4 inside IPv6 (mapped, 6to4, NAT64) is unwrapped."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if ip.teredo is not None or ip in ipaddress.ip_network("64:ff9b:1::/48"):
            return False
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _get(parts: SplitResult, policy: FetchPolicy, deadline: float, param: str | None) -> tuple[bytes, str | None]:
    """One request to the pinned address: (body, None), or (b"", redirect target)."""
    host = (parts.hostname or "").rstrip(".")
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    address = public_address(host, port, param)
    connection = http.client.HTTPConnection(host, port, timeout=_left(deadline, param))
    try:
        sock = socket.create_connection((address, port), timeout=_left(deadline, param))
        connection.sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host) if secure else sock
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"User-Agent": "autoglm-phone", "Accept": "image/*, audio/*"})
        answer = connection.getresponse()
        if answer.status in (301, 302, 303, 307, 308):
            return b"", answer.headers.get("Location") or ""
        if answer.status != 200:
            raise MediaError(f"the URL answers with status {answer.status}", param=param)
        return _body(answer, connection.sock, policy, deadline, param), None
    except (OSError, http.client.HTTPException, ValueError) as exc:
        raise MediaError("the URL can't be fetched: its host does not answer properly", param=param) from exc
    finally:
        connection.close()


def _body(
    answer: http.client.HTTPResponse,
    sock: socket.socket | None,
    policy: FetchPolicy,
    deadline: float,
    param: str | None,
) -> bytes:
    too_much = MediaError(f"the URL's file has more than {policy.max_bytes // 2**20} MiB", param=param)
    if (answer.length or 0) > policy.max_bytes:
        raise too_much
    parts: list[bytes] = []
    size = 0
    while True:
        left = _left(deadline, param)
        if sock is not None and sock.fileno() >= 0:
            sock.settimeout(left)
        chunk = answer.read1(_CHUNK)  # returns what one receive brought: a slow sender can't hold us past the deadline
        if not chunk:
            return b"".join(parts)
        size += len(chunk)
        if size > policy.max_bytes:
            raise too_much
        parts.append(chunk)


def _left(deadline: float, param: str | None) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise MediaError("fetching the URL took too long", param=param)
    return left
