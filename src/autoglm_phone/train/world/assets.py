"""Finds the fonts that the renderers draw with. None is committed: they come from Debian packages.

Looked up under $AUTOGLM_ASSETS (a copy of the tree of /usr/share/fonts) when that is set, else under /usr/share/fonts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from autoglm_phone.errors import ConfigError

PACKAGES = (
    "fonts-noto-cjk fonts-noto-core fonts-wqy-zenhei fonts-wqy-microhei fonts-droid-fallback fonts-roboto-unhinted "
    "fonts-open-sans fonts-lato fonts-inter fonts-liberation2 fonts-cantarell fonts-dejavu "
    "fonts-material-design-icons-iconfont fonts-font-awesome"
)


@dataclass(frozen=True)
class Face:
    """One font file (and its index in a collection)."""

    path: str
    index: int = 0


@dataclass(frozen=True)
class Family:
    """Regular and bold cuts that belong together. cjk, latin: which characters it holds."""

    id: str
    regular: Face
    bold: Face
    cjk: bool

    @property
    def latin(self) -> bool:
        # Droid's fallback font has no Latin letters and no digits.
        return self.id != "droid"


# id, regular file, bold file (the regular again where no bold exists), index in the collection (2 = simplified
# Chinese in Noto's), Chinese?, kept for unseen test samples?
_FAMILIES = (
    ("noto-cjk", "NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc", 2, True, False),
    ("zenhei", "wqy-zenhei.ttc", "wqy-zenhei.ttc", 0, True, False),
    ("droid", "DroidSansFallbackFull.ttf", "DroidSansFallbackFull.ttf", 0, True, False),
    ("microhei", "wqy-microhei.ttc", "wqy-microhei.ttc", 0, True, True),
    ("noto-serif-cjk", "NotoSerifCJK-Regular.ttc", "NotoSerifCJK-Bold.ttc", 2, True, False),
    ("roboto", "Roboto-Regular.ttf", "Roboto-Medium.ttf", 0, False, False),
    ("open-sans", "OpenSans-Regular.ttf", "OpenSans-Semibold.ttf", 0, False, False),
    ("inter", "Inter-Regular.otf", "Inter-SemiBold.otf", 0, False, False),
    ("liberation", "LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf", 0, False, False),
    ("noto-sans", "NotoSans-Regular.ttf", "NotoSans-Bold.ttf", 0, False, False),
    ("dejavu", "DejaVuSansCondensed.ttf", "DejaVuSansCondensed-Bold.ttf", 0, False, False),
    ("lato", "Lato-Regular.ttf", "Lato-Bold.ttf", 0, False, True),
    ("cantarell", "Cantarell-Regular.otf", "Cantarell-Bold.otf", 0, False, True),
)
# Serif Chinese is a reader's font, not a phone's: text pictures and charts only.
_NOT_ON_SCREENS = frozenset({"noto-serif-cjk"})


def font_root() -> Path:
    """Folder under which font files are searched."""
    return Path(os.environ.get("AUTOGLM_ASSETS") or "/usr/share/fonts")


@lru_cache(maxsize=4)
def _files(root: Path) -> dict[str, str]:
    return {p.name: str(p) for p in sorted(root.rglob("*")) if p.suffix in {".ttf", ".otf", ".ttc"}}


def find_font(name: str) -> str:
    """Path of a font file by its name; ConfigError says what to install where it is missing."""
    path = _files(font_root()).get(name)
    if path is None:
        raise ConfigError(
            f"font {name!r} was not found under {font_root()}; install the Debian packages: apt-get install {PACKAGES} "
            "or point AUTOGLM_ASSETS at a copy of /usr/share/fonts"
        )
    return path


@lru_cache(maxsize=64)
def families(cjk: bool, unseen: bool, screens_only: bool = False) -> tuple[Family, ...]:
    """Font families for Chinese or Latin text; the `unseen` ones are drawn in unseen test samples only."""
    return tuple(
        Family(name, Face(find_font(regular), index), Face(find_font(bold), index), is_cjk)
        for name, regular, bold, index, is_cjk, held_out in _FAMILIES
        if is_cjk == cjk and held_out == unseen and not (screens_only and name in _NOT_ON_SCREENS)
    )


@lru_cache(maxsize=1)
def icon_faces() -> dict[str, Face]:
    """The icon fonts: {"material": …, "awesome": …}."""
    return {
        "material": Face(find_font("MaterialIcons-Regular.ttf")),
        "awesome": Face(find_font("fontawesome-webfont.ttf")),
    }
