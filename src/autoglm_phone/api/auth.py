"""Authentication: every path needs a key unless it is on the open list.

Sits in front of routing, so no route can forget it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from autoglm_phone.api.errors import error_response
from autoglm_phone.errors import AuthenticationError

OPEN_PATHS = frozenset({"/health"})


class KeyChecker:
    """Holds digests of the keys. Compares with all of them, in constant time."""

    def __init__(self, keys: Sequence[str]):
        self._digests = [hashlib.sha256(k.encode()).digest() for k in keys]

    @property
    def required(self) -> bool:
        return bool(self._digests)

    def salt(self, header: str) -> str | None:
        """A name for the key's own prefix cache, or None if the header holds no valid key."""
        scheme, _, key = header.partition(" ")
        digest = hashlib.sha256(key.strip().encode("latin-1", errors="replace")).digest()
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(known, digest)
        return digest.hex()[:32] if found and scheme.lower() == "bearer" else None


class AuthMiddleware:
    """Puts the key's cache salt into scope["state"]["cache_salt"]."""

    def __init__(self, app: ASGIApp, checker: KeyChecker):
        self._app = app
        self._checker = checker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["cache_salt"] = ""
        if self._checker.required and not (scope["type"] == "http" and scope["path"] in OPEN_PATHS):
            headers = [v.decode("latin-1") for k, v in scope["headers"] if k == b"authorization"]
            salt = self._checker.salt(headers[0]) if len(headers) == 1 else None
            if salt is None:
                error = AuthenticationError("no valid API key; send 'Authorization: Bearer <key>'")
                await error_response(error)(scope, receive, send)
                return
            state["cache_salt"] = salt
        await self._app(scope, receive, send)
