"""Finds pages whose keys and values were computed before. No tensors.

A full page of a sequence has a digest: SHA-256 over the digest before it, its token ids, and the content hashes of the
media that lie in it; the first one is seeded with the request's salt, so API keys can't probe each other's prompts.
A digest names a page per segment (keys are exact whatever the depth of the request that wrote them).
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence as Seq
from dataclasses import dataclass

from autoglm_phone.engine.blocks import PagePool
from autoglm_phone.engine.request import MediaItem


def root_digest(salt: str, namespace: str = "") -> bytes:
    """The digest before the first page."""
    return hashlib.sha256(f"{len(namespace)}:{namespace}:{salt}".encode()).digest()


def page_digest(parent: bytes, token_ids: Seq[int], start: int, media: Seq[MediaItem]) -> bytes:
    """Digest of the page with these tokens, the first of which stands at `start` in its sequence.

    A medium counts for every page that its tokens touch, with its place relative to the page.
    """
    digest = hashlib.sha256(parent)
    digest.update(array("q", token_ids).tobytes())
    end = start + len(token_ids)
    for item in media:
        if item.position < end and item.position + item.length > start:
            digest.update(f"|{item.kind}:{item.position - start}:{item.length}:{item.content_hash}".encode())
    return digest.digest()


@dataclass
class PrefixHit:
    """Pages found: one list a segment, none longer than the one before it."""

    pages: list[list[int]]


class PrefixCache:
    """Digest and segment → page. Pages stay findable while free until the pool hands them out again."""

    def __init__(self, pool: PagePool):
        self.pool = pool
        pool.on_evict = self._forget
        self._page_of: dict[tuple[bytes, int], int] = {}
        self._key_of: dict[int, tuple[bytes, int]] = {}

    def __len__(self) -> int:
        return len(self._page_of)

    def find(self, digests: Seq[bytes], num_segments: int, uneven: bool = False) -> PrefixHit:
        """The longest run of pages from the start that the first `num_segments` segments have. Takes no references.

        Args:
            uneven: each segment's run may end before that of the segment above it. Shallow pages are worth having for
                a sequence that may never go deeper; if it does, the boundary states of the difference are missing, and
                it has to begin again where the deeper run ends.
        """
        pages: list[list[int]] = []
        limit = len(digests)
        for segment in range(num_segments):
            table: list[int] = []
            for digest in digests[:limit]:
                page = self._page_of.get((digest, segment))
                if page is None:
                    break
                table.append(page)
            pages.append(table)
            limit = len(table)
        return PrefixHit(pages if uneven else [table[:limit] for table in pages])

    def insert(self, digest: bytes, segment: int, page: int) -> None:
        """Make an owned, fully written page findable. The first page written for a digest stays the one found."""
        key = (digest, segment)
        if key in self._page_of or page in self._key_of:
            return
        self._page_of[key] = page
        self._key_of[page] = key
        self.pool.mark_cached(page)

    def _forget(self, page: int) -> None:
        key = self._key_of.pop(page, None)
        if key is not None:
            del self._page_of[key]

    def check(self) -> None:
        """Raises ValueError if the two maps differ."""
        if {page: key for key, page in self._page_of.items()} != self._key_of:
            raise ValueError("prefix cache maps disagree")
