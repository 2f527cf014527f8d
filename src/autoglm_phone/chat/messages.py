"""OpenAI messages to what a chat template takes: texts guarded, media counted in order, thoughts split off.

The only place that knows the message format; the HTTP layer and `LLM.chat` both go through `normalise`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from autoglm_phone.chat.tokenizer import Guard
from autoglm_phone.errors import InvalidRequestError, NotBuiltError

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
MAX_MESSAGES = 1024
# Names of what the decoder reads, as clients and MIME types write them.
SOUND_FORMATS = frozenset({"wav", "wave", "x-wav", "mp3", "mpeg", "mpga", "flac", "x-flac", "ogg", "oga", "opus"})

# A reply as phone agents send it back in the history. The closing tags may be missing (they are the model's EOS).
_THOUGHT = re.compile(r"\A\s*<think>(.*?)</think>\s*(?:<answer>)?(.*?)(?:</answer>)?\s*\Z", re.DOTALL)
_ANSWER = re.compile(r"\A\s*<answer>(.*?)(?:</answer>)?\s*\Z", re.DOTALL)


@dataclass(frozen=True)
class MediaSource:
    """A picture or clip as the client gave it: a data URL, bare Base64, an http(s) URL, or an object in memory."""

    kind: Literal["image", "audio"]
    source: Any
    param: str  # where in the request it stands, for error messages


@dataclass(frozen=True)
class Conversation:
    """messages: what the template sees. Each media part in them is {"type": kind, "index": i}: the i-th of `media`."""

    messages: list[dict[str, Any]]
    media: list[MediaSource] = field(default_factory=list)

    def with_copies(self, copies: Sequence[int]) -> list[dict[str, Any]]:
        """The messages with media part i repeated copies[i] times (a long recording becomes several clips)."""
        out = []
        for message in self.messages:
            if isinstance(message["content"], list):
                parts: list[dict[str, Any]] = []
                for part in message["content"]:
                    parts.extend([part] * (copies[part["index"]] if "index" in part else 1))
                message = {**message, "content": parts}
            out.append(message)
        return out


def normalise(
    messages: Any,
    guard: Guard,
    *,
    images: Sequence[Any] = (),
    audios: Sequence[Any] = (),
    separate_reasoning: bool = True,
) -> Conversation:
    """Checks the messages and brings them into one shape.

    Args:
        guard: protects every text of the client's.
        images, audios: the request's top-level media; they go in front of the last user message.
        separate_reasoning: the template writes `reasoning_content` itself; otherwise thoughts of the history are
            put back into the content with their tags.

    Raises:
        InvalidRequestError: unknown role or part, wrong types, no message, media without a user message.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise InvalidRequestError("'messages' must be a list with at least one message", param="messages")
    if len(messages) > MAX_MESSAGES:
        raise InvalidRequestError(f"at most {MAX_MESSAGES} messages are allowed", param="messages")
    reader = _Reader(guard, separate_reasoning)
    last_user = max(
        (i for i, m in enumerate(messages) if isinstance(m, Mapping) and m.get("role") == "user"), default=-1
    )
    extra = [("image", x, f"images[{i}]") for i, x in enumerate(images)]
    extra += [("audio", x, f"audios[{i}]") for i, x in enumerate(audios)]
    if extra and last_user < 0:
        raise InvalidRequestError(
            "top-level images and audios belong to the last user message, and there is none", param="messages"
        )
    out = [reader.message(m, f"messages[{i}]", extra if i == last_user else []) for i, m in enumerate(messages)]
    return Conversation(out, reader.media)


class _Reader:
    def __init__(self, guard: Guard, separate_reasoning: bool):
        self.guard = guard
        self.separate_reasoning = separate_reasoning
        self.media: list[MediaSource] = []

    def message(self, message: Any, param: str, extra: list[tuple[Any, Any, str]]) -> dict[str, Any]:
        if not isinstance(message, Mapping):
            raise InvalidRequestError("each message must be an object with 'role' and 'content'", param=param)
        role = message.get("role")
        if role not in ROLES:
            shown = str(role)[:40]
            raise InvalidRequestError(
                f"unknown role {shown!r}; use one of system, developer, user, assistant, tool", param=f"{param}.role"
            )
        content = message.get("content")
        if role == "user":
            return {"role": "user", "content": self._user(content, f"{param}.content", extra)}
        text = self._text_only(content, f"{param}.content", may_be_missing=role == "assistant")
        if role == "assistant":
            return self._assistant(message, text, param)
        if role in ("tool", "function"):
            return {"role": "tool", "content": self.guard.protect(text), **self._tool_id(message)}
        return {"role": "system", "content": self.guard.protect(text)}

    def _user(self, content: Any, param: str, extra: list[tuple[Any, Any, str]]) -> str | list[dict[str, Any]]:
        if isinstance(content, str) and not extra:
            return self.guard.protect(content)
        parts: list[dict[str, Any]] = [self._add(kind, source, where) for kind, source, where in extra]
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        if not isinstance(content, Sequence):
            raise InvalidRequestError("a user message's content must be a text or a list of parts", param=param)
        for i, part in enumerate(content):
            made = self._part(part, f"{param}[{i}]")
            if made["type"] == "text" and parts and parts[-1]["type"] == "text":
                parts[-1] = {"type": "text", "text": parts[-1]["text"] + "\n" + made["text"]}
            else:
                parts.append(made)
        if all(p["type"] == "text" for p in parts):
            return "".join(p["text"] for p in parts)
        return parts

    def _part(self, part: Any, param: str) -> dict[str, Any]:
        kind = part.get("type") if isinstance(part, Mapping) else None
        match kind:
            case "text" | "input_text":
                return {"type": "text", "text": self.guard.protect(_string(part.get("text"), f"{param}.text"))}
            case "image_url" | "input_image":
                value = part.get("image_url")
                return self._add("image", _url(value, f"{param}.image_url"), f"{param}.image_url")
            case "input_audio":
                audio = part.get("input_audio")
                data = audio.get("data") if isinstance(audio, Mapping) else None
                form = audio.get("format") if isinstance(audio, Mapping) else None
                if form is not None and str(form).lower().removeprefix("audio/") not in SOUND_FORMATS:
                    raise InvalidRequestError(
                        "'format' must be wav, mp3, flac or ogg, or be left out: the data says it too",
                        param=f"{param}.input_audio.format",
                    )
                return self._add("audio", _string(data, f"{param}.input_audio.data"), f"{param}.input_audio")
            case "audio_url":
                return self._add("audio", _url(part.get("audio_url"), f"{param}.audio_url"), f"{param}.audio_url")
            case "image" | "audio" if part.get(kind) is not None:  # offline use: an object in memory
                return self._add(kind, part[kind], f"{param}.{kind}")
            case "video_url" | "video" | "file":
                raise NotBuiltError(
                    f"content parts of type {kind!r} are not supported; send text, pictures or sound",
                    param=f"{param}.type",
                )
        raise InvalidRequestError(
            f"unknown content part {str(kind)[:40]!r}; use text, image_url or input_audio", param=f"{param}.type"
        )

    def _add(self, kind: Any, source: Any, param: str) -> dict[str, Any]:
        self.media.append(MediaSource(kind, source, param))
        return {"type": kind, "index": len(self.media) - 1}

    def _text_only(self, content: Any, param: str, *, may_be_missing: bool = False) -> str:
        if content is None and may_be_missing:
            return ""
        if isinstance(content, str):
            return content
        if not isinstance(content, Sequence):
            raise InvalidRequestError("content must be a text or a list of text parts", param=param)
        texts = []
        for i, part in enumerate(content):
            if not isinstance(part, Mapping) or part.get("type") not in (
                "text",
                "input_text",
                "output_text",
                "refusal",
            ):
                raise InvalidRequestError("only user messages may hold pictures or sound", param=f"{param}[{i}]")
            texts.append(_string(part.get("text", part.get("refusal")), f"{param}[{i}].text"))
        return "\n".join(texts)

    def _assistant(self, message: Mapping[str, Any], text: str, param: str) -> dict[str, Any]:
        given = message.get("reasoning_content") or message.get("reasoning")
        reasoning = _string(given, f"{param}.reasoning_content") if given else ""
        structured = bool(reasoning)
        if not reasoning:
            found = _THOUGHT.match(text)
            if found:
                reasoning, text, structured = found[1], found[2], True
            elif found := _ANSWER.match(text):
                text, structured = found[1], True
        protect = self.guard.protect
        out: dict[str, Any] = {"role": "assistant"}
        if self.separate_reasoning:
            out |= {"content": protect(text), "reasoning_content": protect(reasoning)}
        elif structured:
            out["content"] = f"<think>{protect(reasoning)}</think><answer>{protect(text)}</answer>"
        else:
            out["content"] = protect(text)
        calls = message.get("tool_calls")
        if calls:
            out["tool_calls"] = self._calls(calls, f"{param}.tool_calls")
        return out

    def _calls(self, calls: Any, param: str) -> list[dict[str, Any]]:
        out = []
        for i, call in enumerate(calls if isinstance(calls, Sequence) else [None]):
            function = call.get("function") if isinstance(call, Mapping) else None
            if not isinstance(function, Mapping):
                raise InvalidRequestError("a tool call must hold a 'function' object", param=f"{param}[{i}]")
            arguments = function.get("arguments", "{}")
            if not isinstance(arguments, str):
                arguments = json.dumps(arguments, ensure_ascii=False)
            name = _string(function.get("name"), f"{param}[{i}].function.name")
            protect = self.guard.protect
            out.append({"type": "function", "function": {"name": protect(name), "arguments": protect(arguments)}})
        return out

    def _tool_id(self, message: Mapping[str, Any]) -> dict[str, Any]:
        call_id = message.get("tool_call_id")
        return {"tool_call_id": self.guard.protect(call_id)} if isinstance(call_id, str) else {}


def _string(value: Any, param: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequestError(f"{param.rsplit('.', 1)[-1]!r} must be a text", param=param)
    return value


def _url(value: Any, param: str) -> str:
    """OpenAI nests the URL in an object; some clients send it bare."""
    return _string(value.get("url") if isinstance(value, Mapping) else value, param)


def protect_tree(value: Any, guard: Guard) -> Any:
    """A JSON value with every text guarded (tool definitions)."""
    if isinstance(value, str):
        return guard.protect(value)
    if isinstance(value, Mapping):
        return {guard.protect(str(k)): protect_tree(v, guard) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [protect_tree(v, guard) for v in value]
    return value
