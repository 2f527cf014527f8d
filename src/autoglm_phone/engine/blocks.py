"""The page pool: which KV pages are free, owned or shared. No tensors: a page is a number.

A page holds the keys and values of `page_size` tokens in the layers of ONE segment. All segments draw on the one pool,
so a request that uses fewer segments leaves their pages to others.

Invariants (`check` raises if one is broken):
- a page is free exactly when nobody references it;
- a free page may still hold cached content; it is handed out again only after pages without content, oldest first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from autoglm_phone.errors import EngineError


class OutOfPagesError(EngineError):
    """More pages were asked for than are free. The scheduler asks `can_allocate` first, so this is a bug if seen."""


class PagePool:
    """Reference-counted pages with least-recently-freed reuse.

    Args:
        num_pages: size of the pool.
        page_size: tokens a page.
        on_evict: called with a page whose cached content is about to be overwritten.
    """

    def __init__(self, num_pages: int, page_size: int, on_evict: Callable[[int], None] | None = None):
        self.num_pages = num_pages
        self.page_size = page_size
        self.on_evict = on_evict
        self._references = [0] * num_pages
        self._blank: OrderedDict[int, None] = OrderedDict((page, None) for page in range(num_pages))
        self._cached: OrderedDict[int, None] = OrderedDict()  # free pages with content, least recently freed first
        self._has_content = [False] * num_pages

    @property
    def num_free(self) -> int:
        return len(self._blank) + len(self._cached)

    @property
    def usage(self) -> float:
        """Fraction of the pages that some sequence owns."""
        return 1.0 - self.num_free / self.num_pages

    def can_allocate(self, count: int) -> bool:
        return count <= self.num_free

    def allocate(self, count: int, after: int | None = None) -> list[int]:
        """Take pages with one reference each.

        Args:
            count: how many.
            after: the page that the first one should follow if that place is free (neighbours can be read as one run).
        """
        if not self.can_allocate(count):
            raise OutOfPagesError(f"{count} KV pages asked for, {self.num_free} free")
        pages = []
        for _ in range(count):
            after = self._take(None if after is None else after + 1)
            pages.append(after)
        return pages

    def share(self, pages: Iterable[int]) -> None:
        """Add a reference to each page; free ones with cached content come back to life."""
        for page in pages:
            if self._references[page] == 0:
                del (self._cached if self._has_content[page] else self._blank)[page]
            self._references[page] += 1

    def free(self, pages: Iterable[int]) -> None:
        """Drop a reference to each page; the last one frees it.

        Pass a sequence's pages from its end: of a chain of cached pages the tail should go first.
        """
        for page in pages:
            if self._references[page] <= 0:
                raise EngineError(f"KV page {page} freed more often than taken")
            self._references[page] -= 1
            if self._references[page] == 0:
                (self._cached if self._has_content[page] else self._blank)[page] = None

    def references(self, page: int) -> int:
        return self._references[page]

    def mark_cached(self, page: int) -> None:
        """The page's content can be found through the prefix cache. Call it while the page is owned."""
        self._has_content[page] = True

    def check(self) -> None:
        """Raises EngineError if an invariant is broken."""
        free = set(self._blank) | set(self._cached)
        if len(free) != self.num_free:
            raise EngineError("a KV page is both blank and cached")
        for page, count in enumerate(self._references):
            if (count == 0) != (page in free) or count < 0:
                raise EngineError(f"KV page {page} has {count} references but free={page in free}")
        if any(self._has_content[page] for page in self._blank) or not all(self._has_content[p] for p in self._cached):
            raise EngineError("a free KV page lies in the wrong list")

    def _take(self, wanted: int | None) -> int:
        if wanted is not None and wanted in self._blank:
            del self._blank[wanted]
            page = wanted
        elif self._blank:
            page, _ = self._blank.popitem(last=False)
        else:
            page, _ = self._cached.popitem(last=False)
            self._has_content[page] = False
            if self.on_evict is not None:
                self.on_evict(page)
        self._references[page] = 1
        return page
