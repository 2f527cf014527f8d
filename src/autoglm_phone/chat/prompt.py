"""A conversation to the engine's prompt: media processed, template rendered, tokens and media positions checked."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autoglm_phone.chat.messages import Conversation, MediaSource, normalise, protect_tree
from autoglm_phone.chat.template import ChatTemplate
from autoglm_phone.chat.tokenizer import Tokenizer
from autoglm_phone.engine.request import MediaItem
from autoglm_phone.errors import AutoGLMError, ContextLengthError, InvalidRequestError, MediaError
from autoglm_phone.media.load import MediaLoader
from autoglm_phone.models.processed import Kind, Processed, Processor, place_media

Opening = Literal["reasoning", "answer", "undecided"]
ALLOWED_TEMPLATE_KWARGS = frozenset({"enable_thinking", "add_generation_prompt", "clear_thinking"})


@dataclass(frozen=True)
class Prompt:
    """ids: the tokens. opening: what the model writes first, read off the prompt's last turn."""

    ids: tuple[int, ...]
    media: tuple[MediaItem, ...] = ()
    opening: Opening = "answer"


class PromptBuilder:
    """Makes prompts for one model. Safe to call from several threads.

    Args:
        max_model_len: tokens of prompt and output together.
        media_tokens: the token of each kind (ModelFacts.media_token_ids).
        processor: None for a model without towers.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        loader: MediaLoader,
        processor: Processor | None,
        max_model_len: int,
        media_tokens: Mapping[Kind, int | None],
    ):
        self.tokenizer = tokenizer
        self.template = template
        self.loader = loader
        self.max_model_len = max_model_len
        self._processor = processor
        # Decoding is the one step that takes much memory for little input: two at a time, whatever the load.
        self._decoding = threading.BoundedSemaphore(2)
        self._media_tokens = media_tokens
        found = (*media_tokens.values(), *map(tokenizer.special_id, ("<|image|>", "<|audio|>", "<|video|>")))
        self._placeholder_ids = {i for i in found if i is not None}

    def chat(
        self,
        messages: Any,
        *,
        images: Sequence[Any] = (),
        audios: Sequence[Any] = (),
        tools: Sequence[Mapping[str, Any]] = (),
        enable_thinking: bool | None = None,
        add_generation_prompt: bool = True,
        template_kwargs: Mapping[str, Any] | None = None,
    ) -> Prompt:
        """The prompt of a conversation.

        Raises:
            InvalidRequestError, MediaError, ContextLengthError: see there.
        """
        guard = self.tokenizer.guard()
        conversation = normalise(
            messages, guard, images=images, audios=audios, separate_reasoning=self.template.knows_reasoning
        )
        self._check_sizes(conversation)
        made = [self._process(source) for source in conversation.media]
        variables: dict[str, Any] = {"add_generation_prompt": add_generation_prompt}
        variables |= check_template_kwargs(template_kwargs)
        if enable_thinking is not None:
            variables["enable_thinking"] = enable_thinking
        if tools:
            if not self.template.knows_tools:
                raise InvalidRequestError("this model's chat template knows no tools; leave 'tools' out", param="tools")
            variables["tools"] = protect_tree(list(tools), guard)
        text = self.template.render(conversation.with_copies([len(m) for m in made]), **variables)
        ids = self.tokenizer.encode_prompt(text, guard)
        return self._place(ids, made)

    def recording(self, samples: Any, question: str) -> Prompt:
        """A question about one clip (float32 [T] at 16 kHz), to be answered without a thought."""
        parts = [{"type": "audio", "audio": samples}, {"type": "text", "text": question}]
        return self.chat([{"role": "user", "content": parts}], enable_thinking=False)

    def plain(self, prompt: str | Sequence[int]) -> Prompt:
        """The prompt of a bare completion: text in which special tokens are recognized, or token ids.

        Raises:
            InvalidRequestError: empty, ids outside the vocabulary, or media placeholders without media.
        """
        if isinstance(prompt, str):
            self.tokenizer.check_length(prompt, self.max_model_len)
            ids = self.tokenizer.encode_prompt(prompt)
        else:
            if len(prompt) > self.max_model_len:
                raise self._too_long(len(prompt), "prompt")
            ids = list(prompt)
        if not ids:
            raise InvalidRequestError("the prompt is empty", param="prompt")
        if any(not 0 <= i < self.tokenizer.vocab_size for i in ids):
            raise InvalidRequestError(
                f"token ids must lie between 0 and {self.tokenizer.vocab_size - 1}", param="prompt"
            )
        if self._placeholder_ids.intersection(ids):
            raise InvalidRequestError(
                "the prompt holds a media placeholder but no media; use /v1/chat/completions for pictures and sound",
                param="prompt",
            )
        self._check_fits(len(ids), "prompt")
        return Prompt(tuple(ids), opening=self._opening(ids))

    def _check_sizes(self, conversation: Conversation) -> None:
        self.loader.check_counts([m.kind for m in conversation.media])
        total = 0
        for message in conversation.messages:
            content = message["content"]
            total += len(content) if isinstance(content, str) else sum(len(p.get("text", "")) for p in content)
        # Guards lengthen the text at most fivefold; the exact check follows after tokenization.
        if total > 5 * self.max_model_len * self.tokenizer.longest_token:
            raise ContextLengthError(
                f"the messages hold far more text than the context of {self.max_model_len} tokens; shorten them",
                param="messages",
            )

    def _process(self, source: MediaSource) -> list[Processed]:
        if self._processor is None:
            raise InvalidRequestError("this model reads neither pictures nor sound", param=source.param)
        if self._media_tokens.get(source.kind) is None:
            raise InvalidRequestError(f"this model takes no {source.kind} input", param=source.param)
        data = self.loader.bring(source.source, source.param)  # may wait for the network: not inside the gate
        with self._decoding:
            try:
                if source.kind == "image":
                    return [self._processor.image(self.loader.image(data, source.param))]
                return self._processor.audio(self.loader.audio(data, source.param))
            except AutoGLMError as exc:
                if exc.param is None:
                    exc.param = source.param
                raise
            except ValueError as exc:
                raise MediaError(f"the model can't read this {source.kind}", param=source.param) from exc

    def _place(self, ids: list[int], made: list[list[Processed]]) -> Prompt:
        """Widens each placeholder to its medium's tokens and notes where it lies."""
        placed, media = place_media(ids, [item for group in made for item in group], self._media_tokens)
        self._check_fits(len(placed), "messages")
        return Prompt(placed, media, self._opening(placed))

    def _check_fits(self, length: int, param: str) -> None:
        if length >= self.max_model_len:
            raise self._too_long(length, param)

    def _too_long(self, length: int, param: str) -> ContextLengthError:
        return ContextLengthError(
            f"the prompt has {length} tokens and this model's context is {self.max_model_len} tokens, at least "
            "one of them for the answer; shorten the messages or send smaller pictures",
            param=param,
        )

    def _opening(self, ids: Sequence[int]) -> Opening:
        special = self.tokenizer.special_id
        assistant, think, close, answer = map(special, ("<|assistant|>", "<think>", "</think>", "<answer>"))
        if think is None:
            return "undecided"
        for token in reversed(ids):
            if token == think:
                return "reasoning"
            if token in (close, answer):
                return "answer"
            if token == assistant:
                break
        return "undecided"


def check_template_kwargs(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The template variables a client may set, by name; all are switches.

    Raises:
        InvalidRequestError: any other name (a template or tokenizer option must never come from a request).
    """
    out: dict[str, Any] = {}
    for name, value in (given or {}).items():
        if name not in ALLOWED_TEMPLATE_KWARGS:
            allowed = ", ".join(sorted(ALLOWED_TEMPLATE_KWARGS))
            raise InvalidRequestError(
                f"chat_template_kwargs may hold {allowed}; {str(name)[:40]!r} is not allowed",
                param="chat_template_kwargs",
            )
        if not isinstance(value, bool):
            raise InvalidRequestError(
                f"chat_template_kwargs.{name} must be true or false", param="chat_template_kwargs"
            )
        out[name] = value
    return out
