"""Tool use. The system message is what the chat template renders for a request's `tools`:

    # Tools
    {"type": "function", "function": {"name": …, "description": …, "parameters": {JSON schema}}}
    To call a tool, write its name, a new line and its arguments as JSON.

The answer is `<tool_call>name\\n{"arg": "value"}</tool_call>`, or plain text when no tool fits. A tool's result is given
in a user turn that starts with "Tool result: " (`sample.Turn` has no tool role), and the answer tells it in a sentence.
"""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

import json
import random
from typing import Any

from autoglm_phone.errors import ConfigError
from autoglm_phone.train.world.fillings import split_of
from autoglm_phone.train.world.lexicon_phone import APPS
from autoglm_phone.train.world.lexicon_tools import (
    CURRENCIES,
    LANGUAGES,
    ROOMS,
    SKY,
    STATUS,
    TEXTS,
    TOOLS,
    Argument,
    Tool,
)
from autoglm_phone.train.world.lexicon_topics import SEEN
from autoglm_phone.train.world.registry import Draft, category
from autoglm_phone.train.world.sample import Lang, Sample, Split, Turn
from autoglm_phone.train.world.scoring import Score, scorer
from autoglm_phone.train.world.text import invented
from autoglm_phone.train.world.text.deal import deal
from autoglm_phone.train.world.text.grammar import full_width, say_one
from autoglm_phone.train.world.text.more_asks import TOOLS as MORE_TOOLS
from autoglm_phone.train.world.text.reply import reply

_CLOSING = "To call a tool, write its name, a new line and its arguments as JSON."


def tools_block(definitions: list[dict[str, Any]]) -> str:
    """The system text of these tool definitions (OpenAI's shape), as the chat template writes it."""
    lines = [json.dumps(definition, ensure_ascii=False) for definition in definitions]
    return "\n".join(["# Tools", *lines, _CLOSING])


def call_text(name: str, arguments: dict[str, Any]) -> str:
    return f"<tool_call>{name}\n{json.dumps(arguments, ensure_ascii=False)}</tool_call>"


# Arguments drawn freely or from a closed list; a call of these alone is dealt out to the splits as a whole.
_DRAWN = frozenset(
    {
        "minutes",
        "percent",
        "clock",
        "symbol",
        "code",
        "currency",
        "currency2",
        "language",
        "room",
        "app",
        "text",
        "city",
    }
)


def _value(rng: random.Random, argument: Argument, lang: Lang, split: Split) -> str | int:
    def from_pool(name: str, items: tuple[str, ...]) -> str:
        return deal(rng, f"tools.{name}.{lang}", items, split)

    pool = argument.pool
    if pool == "minutes":
        return rng.randint(1, 90)
    if pool == "percent":
        return rng.randint(1, 100)
    if pool == "clock":
        return f"{rng.randint(0, 23):02d}:{rng.randrange(0, 60, 5):02d}"
    if pool in ("symbol", "code"):
        letters = "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(rng.randint(2, 4)))
        return letters if pool == "symbol" else f"{letters}{rng.randint(100, 99999)}"
    if pool.startswith("currency"):
        return rng.choice(CURRENCIES[lang])
    if pool == "name":
        return invented.name(rng, lang, split)
    if pool == "place":
        return invented.place(rng, lang, split)
    if pool == "word":
        return invented.item(rng, lang, split)
    if pool == "event":
        return invented.title(rng, lang, split)
    if pool in ("song", "topic"):
        known = SEEN["work" if pool == "song" else "concept"][lang]
        return from_pool(pool, known) if rng.random() < 0.4 else invented.phrase(rng, lang, split)
    if pool in ("app", "city", "text") and (split != "train" or rng.random() < 0.5):
        # A text is a known message to or about someone; apps and cities have made-up names.
        return invented.message(rng, lang, split) if pool == "text" else invented.phrase(rng, lang, split, 1)
    closed = {"language": LANGUAGES, "room": ROOMS, "app": APPS, "text": TEXTS}
    return rng.choice(SEEN["place"][lang] if pool == "city" else closed[pool][lang])


_AFFIXES = (
    "my_{}",
    "do_{}",
    "app_{}",
    "{}_v2",
    "{}_2",
    "{}_tool",
    "phone_{}",
    "{}_api",
    "run_{}",
    "x_{}",
    "the_{}",
    "{}_now",
)


def _spelling(rng: random.Random, names: tuple[str, ...], nonsense: bool = True) -> str:
    """One of the names; often changed, so that it has to be read in the definition: camel case, an affix, made up."""
    name, draw = rng.choice(names), rng.random()
    if draw < 0.5:
        return name
    if draw < 0.62:
        first, *rest = name.split("_")
        return first + "".join(part.capitalize() for part in rest)
    if draw < 0.8:
        return rng.choice(_AFFIXES).format(name)
    made = invented.made_up(rng, "en").lower()
    return made if nonsense and draw < 0.9 else f"{made}_{name}"


def _define(rng: random.Random, tool: Tool, lang: Lang) -> tuple[dict[str, Any], list[str]]:
    """An OpenAI definition with one spelling of each name, and the argument names."""
    # A made-up name says nothing: only a single argument may have one.
    names = [_spelling(rng, argument.names, len(tool.arguments) == 1) for argument in tool.arguments]
    if len(set(names)) < len(names):
        names = [argument.names[0] for argument in tool.arguments]
    properties = {name: {"type": argument.type} for name, argument in zip(names, tool.arguments, strict=True)}
    function: dict[str, Any] = {
        "name": _spelling(rng, tool.names),
        "description": tool.about["zh" if lang == "zh" and rng.random() < 0.7 else "en"],
        "parameters": {"type": "object", "properties": properties},
    }
    if rng.random() < 0.7:
        function["parameters"]["required"] = names
    return {"type": "function", "function": function}, names


def _toolbox(
    rng: random.Random, lang: Lang, wanted: Tool | None
) -> tuple[list[dict[str, Any]], dict[str, Any], list[str]]:
    """One to three definitions in random order, and the wanted one with its argument names."""
    others = [tool for tool in TOOLS if tool is not wanted]
    picked = rng.sample(others, rng.choice((0, 1, 1, 2)) if wanted else rng.choice((1, 1, 2)))
    defined = [_define(rng, tool, lang)[0] for tool in picked]
    if wanted is None:
        return defined, {}, []
    own, names = _define(rng, wanted, lang)
    defined.insert(rng.randint(0, len(defined)), own)
    return defined, own["function"], names


def _system(rng: random.Random, definitions: list[dict[str, Any]], lang: Lang) -> Turn:
    head = ""
    if rng.random() < 0.2:
        head = rng.choice(
            ("你是手机助手。", "需要时请调用工具。")
            if lang == "zh"
            else ("You are a phone assistant.", "Use the tools when needed.")
        )
        head += "\n\n"
    return Turn("system", head + tools_block(definitions))


def _call(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    tool = rng.choice(TOOLS)
    for _ in range(500):
        values = [_value(rng, argument, lang, split) for argument in tool.arguments]
        dealt = any(argument.pool not in _DRAWN for argument in tool.arguments)
        mine = dealt or split_of("tools.call", f"{tool.names[0]}{values}") == split
        if mine and len(set(map(str, values))) == len(values):
            break
    else:
        raise ConfigError(f"tools: no arguments for {tool.names[0]} in split {split!r}")
    definitions, function, names = _toolbox(rng, lang, tool)
    slots = {str(i): str(value) for i, value in enumerate(values)}
    question = say_one(rng, tool.ask[lang], split, unseen, MORE_TOOLS[tool.names[0]][lang], **slots)
    if lang == "zh":
        question = full_width(question)
    elif rng.random() < 0.2:
        question += rng.choice((" please", "."))
    arguments = dict(zip(names, values, strict=True))
    turns = [
        _system(rng, definitions, lang),
        Turn("user", question),
        Turn("assistant", call_text(function["name"], arguments)),
    ]
    if tool.result and tool.tell and rng.random() < 0.5:
        return _told(rng, lang, tool, turns, str(values[0]))
    truth = {"kind": "tool_call", "name": function["name"], "arguments": arguments}
    return Draft(lang, len(values), tuple(turns), truth)


def _told(rng: random.Random, lang: Lang, tool: Tool, turns: list[Turn], where: str) -> Draft:
    """The call has been made and its result is there."""
    results: dict[str, str | int | float] = {}
    for names in tool.result:
        key = rng.choice(names)
        kind = names[0]
        results[key] = (
            rng.randint(-10, 39) if kind == "temperature"
            else rng.choice(SKY[lang]) if kind == "condition"
            else rng.choice(STATUS[lang]) if kind == "status"
            else rng.randint(100, 9999) / 10 if kind == "price"
            else f"13{rng.randint(100000000, 999999999)}"
        )  # fmt: skip
    if tool.tell is None:
        raise ConfigError(f"tool {tool.names[0]} has results but no sentence to tell them")
    text = tool.tell[lang].format(*results.values(), where=where)
    body = json.dumps(results, ensure_ascii=False)
    observation = f"Tool result: {body}"
    must = [str(value) for value in results.values()]
    return Draft(
        lang,
        1,
        (*turns, Turn("user", observation), reply(lang, text)),
        {"kind": "contains", "must": must, "must_not": ["tool_call"]},
    )


def _none_fits(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    """Tools are there, but the question needs none: the usual answer."""
    definitions, _, _ = _toolbox(rng, lang, None)
    for _ in range(60):
        draft = category(rng.choice(("identity", "help", "smalltalk", "arith", "units"))).build(rng, split, unseen)
        if draft.lang == lang and draft.difficulty <= 1:
            return Draft(lang, draft.difficulty, (_system(rng, definitions, lang), *draft.turns), draft.truth)
    raise ConfigError("tools: no simple question of the other categories in 60 draws")


def build(rng: random.Random, split: Split, unseen: bool) -> Draft:
    lang: Lang = "zh" if rng.random() < 0.5 else "en"
    return (_call if rng.random() < 0.75 else _none_fits)(rng, split, unseen, lang)


@scorer("tool_call")
def _tool_call(sample: Sample, answer: str, reasoning: str) -> Score:
    """The right tool with the right arguments, in any JSON spelling."""
    text = answer.strip()
    if not text.startswith("<tool_call>") or not text.endswith("</tool_call>"):
        return Score(False, 0.0, {"why": "no tool call"})
    name, _, body = text.removeprefix("<tool_call>").removesuffix("</tool_call>").partition("\n")
    if name.strip() != sample.truth["name"]:
        return Score(False, 0.0, {"why": f"tool {name.strip()!r}"})
    try:
        arguments = json.loads(body)
    except ValueError:
        return Score(False, 0.3, {"why": "arguments are not JSON"})
    correct = arguments == sample.truth["arguments"]
    return Score(correct, 1.0 if correct else 0.5, {"why": "" if correct else "wrong arguments"})


BUILDERS = {"tools": build}
