"""Names, colours and backgrounds of drawn scenes, and the deterministic caption made of them."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

from autoglm_phone.train.world.sample import Lang

# kind: (zh measure word, zh, en singular, en plural)
KINDS: dict[str, tuple[str, str, str, str]] = {
    "circle": ("个", "圆形", "circle", "circles"),
    "square": ("个", "正方形", "square", "squares"),
    "triangle": ("个", "三角形", "triangle", "triangles"),
    "diamond": ("个", "菱形", "diamond", "diamonds"),
    "star": ("颗", "星星", "star", "stars"),
    "heart": ("颗", "爱心", "heart", "hearts"),
    "tree": ("棵", "树", "tree", "trees"),
    "house": ("座", "房子", "house", "houses"),
    "car": ("辆", "汽车", "car", "cars"),
    "bus": ("辆", "公交车", "bus", "buses"),
    "boat": ("艘", "小船", "boat", "boats"),
    "plane": ("架", "飞机", "plane", "planes"),
    "cat": ("只", "猫", "cat", "cats"),
    "bird": ("只", "鸟", "bird", "birds"),
    "fish": ("条", "鱼", "fish", "fish"),
    "butterfly": ("只", "蝴蝶", "butterfly", "butterflies"),
    "cup": ("个", "杯子", "cup", "cups"),
    "book": ("本", "书", "book", "books"),
    "flower": ("朵", "花", "flower", "flowers"),
    "sun": ("个", "太阳", "sun", "suns"),
    "moon": ("个", "月亮", "moon", "moons"),
    "cloud": ("朵", "云", "cloud", "clouds"),
    "ball": ("个", "球", "ball", "balls"),
    "chair": ("把", "椅子", "chair", "chairs"),
    "table": ("张", "桌子", "table", "tables"),
    "umbrella": ("把", "雨伞", "umbrella", "umbrellas"),
    "balloon": ("个", "气球", "balloon", "balloons"),
    "apple": ("个", "苹果", "apple", "apples"),
    "hat": ("顶", "帽子", "hat", "hats"),
    "mushroom": ("个", "蘑菇", "mushroom", "mushrooms"),
    "key": ("把", "钥匙", "key", "keys"),
    "lamp": ("盏", "台灯", "lamp", "lamps"),
}

COLORS: dict[str, tuple[str, tuple[int, int, int]]] = {
    "red": ("红色", (220, 38, 38)),
    "orange": ("橙色", (245, 130, 20)),
    "yellow": ("黄色", (250, 210, 30)),
    "green": ("绿色", (30, 150, 60)),
    "blue": ("蓝色", (37, 90, 225)),
    "purple": ("紫色", (130, 50, 180)),
    "pink": ("粉色", (250, 130, 180)),
    "brown": ("棕色", (120, 72, 36)),
    "black": ("黑色", (28, 28, 30)),
    "gray": ("灰色", (128, 130, 134)),
    "white": ("白色", (250, 250, 250)),
}

# background: (zh phrase before "有", en phrase at the end, object colours that would vanish on it)
BACKGROUNDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "white": ("白色背景上", "on a white background", ("white",)),
    "blue": ("浅蓝色背景上", "on a light blue background", ("white",)),
    "yellow": ("浅黄色背景上", "on a light yellow background", ("white", "yellow")),
    "pink": ("浅粉色背景上", "on a light pink background", ("white", "pink")),
    "gray": ("浅灰色背景上", "on a light gray background", ("white", "gray")),
    "black": ("黑色背景上", "on a black background", ("black", "brown")),
    "field": ("绿色草地上", "on a green field", ("green",)),
    "room": ("房间里", "in a room", ("white", "brown")),
    "night": ("夜空下", "under the night sky", ("black", "blue", "purple", "brown")),
    "beach": ("沙滩上", "on the beach", ("yellow", "white")),
    "snow": ("雪地上", "on the snow", ("white",)),
}
# Degrees below which a hue is called so.
_HUES = (
    (12, "red"),
    (42, "orange"),
    (68, "yellow"),
    (168, "green"),
    (252, "blue"),
    (295, "purple"),
    (342, "pink"),
    (361, "red"),
)
_ZH_NUMBERS = ("零", "一", "两", "三", "四", "五", "六", "七", "八", "九", "十")
_EN_NUMBERS = ("no", "a", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Thing:
    """A drawn object: middle and half size in 0–1 of the picture's width and height."""

    kind: str
    color: str
    x: float
    y: float
    rx: float
    ry: float


def noun(kind: str, color: str, count: int, lang: Lang) -> str:
    """ "a red car", "two blue stars", "一辆红色的汽车". An empty colour is left out."""
    measure, zh, single, plural = KINDS[kind]
    if lang == "zh":
        return f"{_ZH_NUMBERS[count]}{measure}{COLORS[color][0] + '的' if color else ''}{zh}"
    words = f"{color} {single if count == 1 else plural}".strip()
    article = "an" if count == 1 and words[0] in "aeiou" else _EN_NUMBERS[count]
    return f"{article} {words}"


def bare(kind: str, color: str, lang: Lang, plural: bool = False) -> str:
    """ "red car", "红色的汽车"."""
    _, zh, single, many = KINDS[kind]
    if lang == "zh":
        return f"{COLORS[color][0] + '的' if color else ''}{zh}"
    return f"{color} {many if plural else single}".strip()


def color_word(color: tuple[int, ...], lang: Lang) -> str:
    """What a colour is called: that of the nearest hue, or black, gray or white where there is hardly any."""
    red, green, blue = (v / 255 for v in color[:3])
    hue, light, strength = colorsys.rgb_to_hls(red, green, blue)
    if strength * (1 - abs(2 * light - 1)) < 0.12:
        name = "black" if light < 0.2 else "white" if light > 0.9 else "gray"
    else:
        name = next(word for most, word in _HUES if 360 * hue < most)
        if name == "orange" and light < 0.35:
            name = "brown"
        elif name == "red" and light > 0.62:
            name = "pink"
    return COLORS[name][0] if lang == "zh" else name


def groups(things: list[Thing]) -> list[tuple[str, str, int]]:
    """(kind, colour, count), most numerous first, then from left to right."""
    found: dict[tuple[str, str], list[Thing]] = {}
    for thing in things:
        found.setdefault((thing.kind, thing.color), []).append(thing)
    order = sorted(found.items(), key=lambda item: (-len(item[1]), min(t.x for t in item[1])))
    return [(kind, color, len(items)) for (kind, color), items in order]


def caption(things: list[Thing], background: str, lang: Lang) -> str:
    """The one caption of a scene."""
    parts = [noun(kind, color, count, lang) for kind, color, count in groups(things)]
    zh, en, _ = BACKGROUNDS[background]
    if lang == "zh":
        listed = parts[0] if len(parts) == 1 else "、".join(parts[:-1]) + "和" + parts[-1]
        return f"{zh}有{listed}。"
    listed = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    return f"{listed[0].upper()}{listed[1:]} {en}."
