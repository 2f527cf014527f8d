"""Layouts of media: music player, song list, video feed, browser page, search page, map."""

from __future__ import annotations

from autoglm_phone.train.world.visual import steps
from autoglm_phone.train.world.visual import widgets as ui
from autoglm_phone.train.world.visual.layouts import layout
from autoglm_phone.train.world.visual.stage import Stage
from autoglm_phone.train.world.visual.theme import ACCENTS, mix


@layout("player", weight=1.3)
def player(s: Stage) -> None:
    """Music player: cover, title, artist, progress, controls."""
    c, rng, th = s.canvas, s.rng, s.theme
    base = mix(rng.choice(ACCENTS), (0, 0, 0), rng.uniform(0.4, 0.75)) if rng.random() < 0.6 else th.back
    ink = ui.WHITE if sum(base) < 400 else (20, 20, 22)
    faint = mix(ink, base, 0.35)
    c.rect((0, 0, c.width, c.height), base)
    ui.status_bar(s, base)
    s.bottom = c.height - 20
    s.app = s.t("网易云音乐", "Spotify") if rng.random() < 0.5 else s.content.app()
    ui.icon_button(s, (28, s.top + 28), rng.choice(("down", "back")), 26, ink)
    ui.icon_button(s, (c.width - 28, s.top + 28), rng.choice(("share", "more")), 24, ink)
    side = min(c.width * 0.74, (s.bottom - s.top) * 0.42)
    y = s.top + 64
    x0 = (c.width - side) / 2
    ui.photo(s, (x0, y, x0 + side, y + side), rng.choice((8.0, 16.0, side / 2)))
    y += side + 34
    song, artist = s.content.song(), s.content.person()
    s.write(28, y, song, 22, ink, True, width=c.width - 100)
    s.write(28, y + 28, artist, 15, faint)
    s.fact(("正在播放什么歌？", "这首歌叫什么？"), ("Which song is playing?", "What is this song called?"), song)
    s.fact(("歌手是谁？", "这首歌是谁唱的？"), ("Who is the artist?", "Who sings this song?"), artist)
    ui.icon_button(s, (c.width - 36, y + 8), rng.choice(("heart", "add", "download")), 26, ink)
    y += 66
    total, share = rng.randint(120, 360), rng.uniform(0.05, 0.95)
    at = int(total * share)
    c.rect((28, y - 2, c.width - 28, y + 2), mix(base, ink, 0.25), 2)
    c.rect((28, y - 2, 28 + (c.width - 56) * share, y + 2), ink, 2)
    c.circle((28 + (c.width - 56) * share, y), 6, ink)
    s.write(28, y + 18, f"{at // 60}:{at % 60:02d}", 12, faint)
    s.write(c.width - 28, y + 18, f"{total // 60}:{total % 60:02d}", 12, faint, anchor="r")
    s.fact(("这首歌总共多长？",), ("How long is the song?",), f"{total // 60}:{total % 60:02d}")
    s.fact(("现在播放到哪里了？",), ("What is the current position of the song?",), f"{at // 60}:{at % 60:02d}")
    y = min(y + 74, s.bottom - 40)
    playing = rng.random() < 0.5
    step = c.width / 5
    for i, icon in enumerate(
        (
            rng.choice(("shuffle", "repeat")),
            "previous",
            "pause" if playing else "play",
            "next",
            rng.choice(("list", "volume")),
        )
    ):
        x = step * (i + 0.5)
        if i == 2:
            c.circle((x, y), 32, ink)
        ui.icon_button(s, (x, y), icon, 36 if i in {1, 2, 3} else 24, base if i == 2 else ink)
    steps.finish(
        s,
        (s.t(f"播放{song}", f"play {song}"),),
        s.t(f"正在播放{song}。", f"{song} is playing."),
        s.t("歌曲已经在播放。", "The song is playing already."),
    ) if playing else None
    steps.common(s)


@layout("songs", wide=True, weight=1.2)
def songs(s: Stage) -> None:
    """Playlist with play buttons and a mini player."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("网易云音乐", "Spotify") if rng.random() < 0.5 else s.content.app()
    ui.title_bar(
        s,
        rng.choice((s.t("我的歌单", "My playlist"), s.t("排行榜", "Top songs"), s.t("最近播放", "Recently played"))),
        rng.choice((("search",), ("more",), ("shuffle", "search"))),
    )
    bar = 58.0
    floor = s.bottom - bar
    row = rng.choice((58.0, 64.0))
    y = s.top + 4
    for i, song in enumerate(s.content.distinct(s.content.song, 12)):
        if y + row > floor:
            s.scrolls = True
            break
        cy, artist = y + row / 2, s.content.person()
        if rng.random() < 0.8:
            s.canvas.text(26, cy, str(i + 1), 15, th.faint, anchor="m")
        s.write(50, cy - 10, song, 15, th.ink)
        s.write(50, cy + 12, artist, 12, th.faint)
        ui_x = c.width - 28
        c.icon((ui_x, cy), "more", 20, th.faint)
        s.touch(
            (0, y, c.width - 50, y + row),
            "row",
            song,
            group="list",
            wishes=(s.t(f"播放{song}", f"play {song}"), s.t(f"听{artist}的歌", f"play the song by {artist}")),
        )
        s.touch(
            (ui_x - 20, cy - 20, ui_x + 22, cy + 20),
            "button",
            names=(s.t(f"“{song}”右边的更多按钮", f"the menu button of {song}"),),
        )
        s.fact(
            (f"{song}是谁唱的？", f"{song}的歌手是谁？"),
            (f"Who sings {song}?", f"Who is the artist of {song}?"),
            artist,
        )
        s.fact((f"第{i + 1}首歌是什么？",), (f"What is song number {i + 1}?",), song)
        y += row
    c.rect((0, floor, c.width, s.bottom), th.card)
    ui.photo(s, (12, floor + 8, 54, s.bottom - 8), 6)
    now = s.content.song()
    s.write(66, floor + bar / 2, now, 14, th.ink, width=c.width - 180)
    s.fact(("底部正在播放的是哪首歌？",), ("Which song is in the bar at the bottom?",), now)
    ui.icon_button(s, (c.width - 76, floor + bar / 2), rng.choice(("play", "pause")), 28)
    ui.icon_button(s, (c.width - 30, floor + bar / 2), "next", 26)
    if s.scrolls:
        steps.missing_item(s, s.content.song(), s.t("歌单", "playlist"))
    steps.common(s)


@layout("video_feed", weight=1.2)
def video_feed(s: Stage) -> None:
    """Full-screen short video with a column of buttons."""
    c, rng = s.canvas, s.rng
    ui.photo(s, (0, 0, c.width, c.height))
    c.rect((0, c.height * 0.7, c.width, c.height), (0, 0, 0, 110))
    if rng.random() < 0.5:
        ui.status_bar(s, (20, 20, 24))
    s.app = s.t("抖音", "TikTok") if rng.random() < 0.6 else s.content.app()
    s.bottom = c.height
    if rng.random() < 0.7:
        y = s.top + 28
        for i, (zh, en) in enumerate((("关注", "Following"), ("推荐", "For You"))):
            x = c.width / 2 + (i - 0.5) * 96
            s.write(x, y, s.t(zh, en), 16, ui.WHITE, i == 1, "m")
            s.touch((x - 46, y - 18, x + 46, y + 18), "tab", s.t(zh, en))
    ui.icon_button(s, (c.width - 30, s.top + 28), "search", 26, ui.WHITE)
    name, text = s.content.person(), s.content.chat()
    y = s.bottom - 110
    s.write(16, y, "@" + name, 17, ui.WHITE, True)
    s.touch((0, y - 16, 220, y + 14), "button", "@" + name, wishes=(s.t("看作者的主页", "open the author's page"),))
    s.fact(("视频的作者是谁？",), ("Who made this video?",), name, ("@" + name,))
    shown = s.write(16, y + 28, text, 14, ui.WHITE, width=c.width - 100)
    if shown == text:
        s.fact(("视频的说明文字是什么？",), ("What does the caption say?",), text)
    x, y = c.width - 34, c.height * rng.uniform(0.4, 0.46)
    facts = {
        "heart": (("有多少个赞？",), ("How many likes are there?",)),
        "comment": (("有多少条评论？",), ("How many comments are there?",)),
        "star": (("有多少人收藏？",), ("How many people saved it?",)),
        "share": (("分享了多少次？",), ("How often was it shared?",)),
    }
    for icon in ("heart", "comment", "star", "share"):
        number = rng.choice((str(rng.randint(1, 999)), f"{rng.uniform(1, 99):.1f}{s.t('万', 'K')}"))
        ui.icon_button(s, (x, y), icon, 32, ui.WHITE)
        s.write(x, y + 27, number, 12, ui.WHITE, anchor="m")
        s.fact(*facts[icon], number)
        y += 68
    steps.swipe(
        s,
        "up",
        (
            s.t("看下一个视频", "watch the next video"),
            s.t("下一个视频", "next video please"),
            s.t("换一个视频", "skip this video"),
            s.t("划到下一条", "go on to the next clip"),
        ),
        s.t("下一个视频要向上滑。", "The next video comes with a swipe up."),
    )
    steps.swipe(
        s,
        "down",
        (
            s.t("看上一个视频", "watch the previous video"),
            s.t("回到上一个视频", "go back to the last video"),
            s.t("上一个视频", "previous video please"),
        ),
        s.t("上一个视频要向下滑。", "The previous video comes with a swipe down."),
    )
    steps.common(s)
