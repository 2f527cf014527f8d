"""Composed texts of pictures: people, messages, goods, prices, times; each belongs to one split (`fillings`)."""

from __future__ import annotations

import random
from collections.abc import Callable

from autoglm_phone.train.world.fillings import compose
from autoglm_phone.train.world.sample import Lang, Split
from autoglm_phone.train.world.visual import words as w


class Content:
    """Draws fillings of one language and split; `distinct` gives several that differ from each other."""

    def __init__(self, rng: random.Random, lang: Lang, split: Split):
        self.rng, self.lang, self.split = rng, lang, split

    def _make(self, pool: str, make: Callable[[random.Random], str]) -> str:
        return compose(self.rng, f"visual.{pool}.{self.lang}", make, self.split)

    def distinct(self, make: Callable[[], str], count: int) -> list[str]:
        found: dict[str, None] = {}
        for _ in range(count * 30):
            found.setdefault(make())
            if len(found) == count:
                break
        return list(found)

    def person(self) -> str:
        def make(r: random.Random) -> str:
            if self.lang == "en":
                return r.choice(w.FIRST) if r.random() < 0.3 else f"{r.choice(w.FIRST)} {r.choice(w.LAST)}"
            kind = r.random()
            if kind < 0.15:
                return r.choice(w.SURNAMES) + r.choice(w.ROLES_ZH)
            if kind < 0.25:
                return r.choice("小老阿") + r.choice(w.SURNAMES)
            return r.choice(w.SURNAMES) + "".join(r.choices(w.GIVEN, k=r.choice((1, 2, 2))))

        return self._make("person", make)

    def good(self) -> str:
        sep = " " if self.lang == "en" else ""
        return self._make("good", lambda r: r.choice(w.ADJ[self.lang]) + sep + r.choice(w.GOODS[self.lang]))

    def dish(self) -> str:
        sep = " " if self.lang == "en" else ""
        return self._make("dish", lambda r: r.choice(w.DISH_A[self.lang]) + sep + r.choice(w.DISH_B[self.lang]))

    def shop(self) -> str:
        sep = " " if self.lang == "en" else ""
        return self._make("shop", lambda r: r.choice(w.SHOP_A[self.lang]) + sep + r.choice(w.SHOP_B[self.lang]))

    def song(self) -> str:
        sep = " " if self.lang == "en" else ""
        return self._make("song", lambda r: r.choice(w.SONG_A[self.lang]) + sep + r.choice(w.SONG_B[self.lang]))

    def city(self) -> str:
        return self.rng.choice(w.CITIES[self.lang])

    def road(self) -> str:
        def make(r: random.Random) -> str:
            name, end, number = r.choice(w.ROADS[self.lang]), r.choice(w.ROAD_ENDS[self.lang]), r.randint(1, 399)
            return f"{name}{end}{number}号" if self.lang == "zh" else f"{number} {name} {end}"

        return self._make("road", make)

    def place(self) -> str:
        def make(r: random.Random) -> str:
            sep = " " if self.lang == "en" else ""
            return r.choice(w.ROADS[self.lang]) + sep + r.choice(w.PLACES[self.lang])

        return self._make("place", make)

    def topic(self) -> str:
        sep = " " if self.lang == "en" else ""
        return self._make("topic", lambda r: r.choice(w.TOPIC_A[self.lang]) + sep + r.choice(w.TOPIC_B[self.lang]))

    def app(self) -> str:
        """A well-known app (shared word) or an invented one (filling)."""
        if self.rng.random() < 0.6:
            return self.rng.choice(w.APPS[self.lang])
        sep = " " if self.lang == "en" else ""
        return self._make("app", lambda r: r.choice(w.APP_A[self.lang]) + sep + r.choice(w.APP_B[self.lang]))

    def chat(self) -> str:
        def make(r: random.Random) -> str:
            return r.choice(w.CHAT[self.lang]).format(
                time=_clock(r),
                place=r.choice(w.PLACES[self.lang]),
                good=r.choice(w.GOODS[self.lang]) if self.lang == "zh" else r.choice(w.GOODS[self.lang]).lower(),
                dish=(
                    r.choice(w.DISH_A[self.lang]) + (" " if self.lang == "en" else "") + r.choice(w.DISH_B[self.lang])
                ),
                city=r.choice(w.CITIES[self.lang]),
                n=r.randint(2, 99),
            )

        # Fixed sentences ("OK, no problem") would fall into one split only; they are few, so let them.
        return self._make("chat", make)

    def file(self) -> str:
        def make(r: random.Random) -> str:
            sep = " " if self.lang == "en" else ""
            stem = r.choice(w.TOPIC_A[self.lang]) + sep + r.choice(w.TOPIC_B[self.lang])
            return f"{stem}{sep}{r.choice(('', '', str(r.randint(1, 99))))}".strip() + r.choice(
                (".pdf", ".docx", ".xlsx", ".txt", ".zip", ".jpg", ".mp3")
            )

        return self._make("file", make)

    def clock(self) -> str:
        return compose(self.rng, "visual.clock", _clock, self.split)

    def price(self, low: float = 1, high: float = 400) -> str:
        """Price with its currency sign."""

        def make(r: random.Random) -> str:
            value = r.uniform(low, high)
            digits = f"{value:.0f}" if r.random() < 0.4 else f"{value:.1f}" if r.random() < 0.4 else f"{value:.2f}"
            return ("¥" if self.lang == "zh" else "$") + digits

        return compose(self.rng, "visual.price", make, self.split)

    def phone(self) -> str:
        def make(r: random.Random) -> str:
            if self.lang == "zh":
                return f"1{r.choice('35789')}{r.randint(0, 9)} {r.randint(0, 9999):04d} {r.randint(0, 9999):04d}"
            return f"({r.randint(201, 989)}) {r.randint(200, 999)}-{r.randint(0, 9999):04d}"

        return self._make("phone", make)

    def date(self) -> tuple[int, int]:
        """Month and day."""
        month = self.rng.randint(1, 12)
        return month, self.rng.randint(1, 28)

    def date_text(self) -> str:
        def make(r: random.Random) -> str:
            month, day = r.randint(1, 12), r.randint(1, 28)
            if self.lang == "zh":
                return f"{month}月{day}日"
            return f"{'JanFebMarAprMayJunJulAugSepOctNovDec'[3 * month - 3 : 3 * month]} {day}"

        return self._make("date", make)


def _clock(r: random.Random) -> str:
    return f"{r.randint(0, 23):02d}:{r.randint(0, 59):02d}"
