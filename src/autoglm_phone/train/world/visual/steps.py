"""Steps other than a tap that fit a screen: swipe, back, home, launch, wait, type, finish."""

from __future__ import annotations

from autoglm_phone.train.world.visual.stage import Special, Stage

SWIPES = {
    "up": ((500, 750), (500, 250)),
    "down": ((500, 250), (500, 750)),
    "left": ((850, 500), (150, 500)),
    "right": ((150, 500), (850, 500)),
}


def swipe(s: Stage, way: str, questions: tuple[str, ...], thought: str) -> None:
    (x0, y0), (x1, y1) = SWIPES[way]
    answer = f'do(action="Swipe", start=[{x0},{y0}], end=[{x1},{y1}])'
    s.specials.append(Special(questions, answer, thought, {"kind": "action", "action": "Swipe", "direction": way}))


def action(s: Stage, name: str, questions: tuple[str, ...], thought: str, fields: str = "", **truth: str) -> None:
    answer = f'do(action="{name}"{fields})'
    s.specials.append(Special(questions, answer, thought, {"kind": "action", "action": name, **truth}))


def finish(s: Stage, questions: tuple[str, ...], message: str, thought: str) -> None:
    """The screen shows that the task is done."""
    truth: dict[str, object] = {"kind": "action", "action": "finish", "message": message}
    s.specials.append(Special(questions, f'finish(message="{message}")', thought, truth))


def type_text(s: Stage, what: str, text: str) -> None:
    """A field is focused and the keyboard is open: type. what: the field's purpose."""
    questions = (
        (f"输入“{text}”", f"在{what}里输入“{text}”", f"输入{text}")
        if s.lang == "zh"
        else (f'type "{text}"', f'enter "{text}" in the {what}', f"type {text}")
    )
    thought = s.t("输入框已获得焦点，直接输入。", "The field is focused, so type the text.")
    action(s, "Type", questions, thought, f', text="{text}"', text=text)


def wait(s: Stage, questions: tuple[str, ...]) -> None:
    thought = s.t("页面还在加载，先等一会儿。", "The page is still loading, so wait.")
    action(s, "Wait", questions, thought, ', duration="2 seconds"')


def common(s: Stage, is_home: bool = False) -> None:
    """The steps that nearly every screen allows."""
    rng = s.rng
    if not is_home:
        action(
            s,
            "Back",
            tuple(
                s.t(
                    "返回上一页|返回|退出当前页面|回到上一个页面",
                    "go back|return to the previous page|leave this page|go back one page",
                ).split("|")
            ),
            s.t("要返回上一页，用返回键。", "Go back to the previous page."),
        )
        action(
            s,
            "Home",
            tuple(
                s.t(
                    "回到桌面|返回主屏幕|回到手机桌面|退到桌面",
                    "go to the home screen|return to the home screen|go home|leave to the home screen",
                ).split("|")
            ),
            s.t("要回到桌面，用主屏幕键。", "Go to the home screen."),
        )
    for _ in range(2):
        app = s.content.app()
        if any(app in label for label in s.labels) or app == s.app:
            continue
        thought = s.t(f"屏幕上没有{app}，直接启动它。", f"{app} is not on this screen, so launch it.")
        questions = tuple(
            s.t(f"打开{app}|启动{app}|切换到{app}", f"open {app}|launch {app}|start {app}|switch to {app}").split("|")
        )
        action(s, "Launch", questions, thought, f', app="{app}"', app=app)
        if rng.random() < 0.6:
            break
    if s.scrolls:
        swipe(
            s,
            "up",
            tuple(
                s.t(
                    "向下滚动|往下翻|看看下面的内容|向下滑动页面",
                    "scroll down|show more below|look further down|see the rest of the page",
                ).split("|")
            ),
            s.t("要看下面的内容，手指向上滑。", "To see more below, swipe up."),
        )
        swipe(
            s,
            "down",
            tuple(
                s.t(
                    "向上滚动|回到上面|往上翻|向上滑动页面",
                    "scroll up|go back up|look further up|scroll to the part above",
                ).split("|")
            ),
            s.t("要看上面的内容，手指向下滑。", "To see what is above, swipe down."),
        )


def missing_item(s: Stage, name: str, kind: str) -> None:
    """A thing of a scrolling list that is not on the screen yet: swipe on."""
    if any(name in label for label in s.labels):
        return
    thought = s.t(f"屏幕上没有“{name}”，向上滑继续找。", f'"{name}" is not visible, so swipe up to look further.')
    swipe(
        s,
        "up",
        (
            s.t(f"在{kind}里找到“{name}”", f'find "{name}" in the {kind}'),
            s.t(f"点击列表里的“{name}”", f'tap "{name}" in the list'),
        ),
        thought,
    )


LOADING = {
    "zh": ("等页面加载完", "等它加载好", "等一下加载", "继续，查看结果"),
    "en": ("wait until the page is loaded", "wait for it to load", "wait for the page", "show me the results"),
}
