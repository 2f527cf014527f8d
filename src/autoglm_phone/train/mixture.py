"""What the trainer draws: how often each category, and which kinds of micro-batch make one optimizer step."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

# Share of each category within its kind of batch. Harder things are drawn more often.
TEXT = {
    "identity": 1.0, "help": 1.2, "smalltalk": 1.8, "oos": 1.6, "arith": 3.2, "datetime": 2.4, "units": 1.8,
    "price": 2.4, "notify": 2.2, "summary": 2.6, "translate": 1.5, "tools": 1.2,
}  # fmt: skip
IMAGE = {
    "screen": 5.0, "screen_read": 1.2, "ocr": 1.0, "chart_value": 1.8, "chart_trend": 0.9, "chart_compare": 0.8,
    "chart_forecast": 0.7, "scene_caption": 0.8, "scene_match": 1.1, "scene_count": 1.6, "scene_locate": 0.9,
}  # fmt: skip
AUDIO = {"asr": 5.0, "spoken_task": 1.5}
JOINT = {"speech_screen": 1.0, "speech_chart": 1.0}
KINDS = {"text": TEXT, "image": IMAGE, "audio": AUDIO, "joint": JOINT}


@dataclass(frozen=True)
class BatchSizes:
    """Sizes of one micro-batch of each kind, for one GPU of 140 GB (`scaled` fits others).

    Large ones, because the kernels of a model this narrow are otherwise shorter than the time to launch them.
    """

    text_tokens: int = 65536
    images: int = 96
    rows_per_image: int = 5
    clips: int = 192
    joint: int = 64
    regions: int = 20  # labelled regions a picture
    text_buckets: tuple[int, ...] = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536)
    # Share of the workers' time that each kind gets; the trainer takes batches as they come.
    worker_share: dict[str, float] = field(
        default_factory=lambda: {"text": 0.12, "image": 0.40, "audio": 0.38, "joint": 0.10}
    )

    def scaled(self, factor: float) -> BatchSizes:
        """The same mixture in larger or smaller batches."""
        counts = {name: max(2, round(getattr(self, name) * factor)) for name in ("images", "clips", "joint")}
        return replace(self, text_tokens=max(2048, round(self.text_tokens * factor)), **counts)


def due(plan: tuple[str, ...], step: int, rank: int = 0) -> list[str]:
    """The kinds of micro-batch of this step: "kind" always, "kind/n" in every n-th step, "kind/n+k" k steps earlier.

    Each GPU counts from its own rank, so that they take turns.
    """
    kinds = []
    for entry in plan:
        kind, _, rhythm = entry.partition("/")
        every, _, shift = rhythm.partition("+")
        if (step + rank + int(shift or 0)) % int(every or 1) == 0:
            kinds.append(kind)
    return kinds
