"""Text to token ids and back, without a way for text to become a control token.

Invariants: `encode` never yields a special token, whatever the text holds; `encode_prompt` turns into special tokens
only what the server's template wrote itself (user text is marked with a guard first, see `Guard`); the detokenizer
never emits half a UTF-8 character.
"""

from __future__ import annotations

import codecs
import json
import re
import secrets
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer as FastTokenizer

from autoglm_phone.errors import CheckpointError, ContextLengthError


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's map between printable characters and bytes, as byte-level BPE files store their vocabulary."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(b): b for b in keep}
    spare = (b for b in range(256) if b not in set(keep))
    table.update({chr(256 + i): b for i, b in enumerate(spare)})
    return table


_BYTES = _byte_alphabet()


class Guard:
    """Marks a client's text so that nothing in it can be read as a special token.

    A random private-use string goes behind every character that can begin a special token; `encode_prompt` takes it
    out again after it has found the special tokens. It holds across neighbouring parts as well: no part can begin one.
    """

    def __init__(self, first_chars: str):
        self.mark = "".join(chr(0xF0000 + secrets.randbelow(0xFFFD)) for _ in range(4))
        self._first = re.compile("[" + re.escape(first_chars) + "]") if first_chars else None

    def protect(self, text: str) -> str:
        return self._first.sub(lambda m: m.group() + self.mark, text) if self._first else text

    def remove(self, text: str) -> str:
        return text.replace(self.mark, "")


class Tokenizer:
    """A byte-level BPE tokenizer read from `tokenizer.json`.

    Args:
        source: the text of tokenizer.json.
        vocab_size: width of the model's logits; ids at or beyond it are refused.
    """

    def __init__(self, source: str, *, vocab_size: int | None = None):
        spec = json.loads(source)
        if (spec.get("model") or {}).get("type") != "BPE" or "ByteLevel" not in json.dumps(spec.get("decoder")):
            raise CheckpointError("tokenizer.json must hold a byte-level BPE tokenizer (model BPE, decoder ByteLevel)")
        added = spec.get("added_tokens") or []
        self.specials: dict[str, int] = {t["content"]: t["id"] for t in added}
        self._names = {i: name for name, i in self.specials.items()}
        # The plain tokenizer does not know the special tokens at all, so that text can't spell one.
        spec["added_tokens"], spec["post_processor"], spec["truncation"], spec["padding"] = [], None, None, None
        vocab = spec["model"]["vocab"]
        for name in self.specials:
            vocab.pop(name, None)
        self._plain = FastTokenizer.from_str(json.dumps(spec, ensure_ascii=False))
        self._pieces: dict[int, str] = {i: piece for piece, i in vocab.items()}
        ids = [*self._pieces, *self._names]
        self.vocab_size = vocab_size or (max(ids) + 1 if ids else 0)
        names = sorted(self.specials, key=len, reverse=True)
        self._special_pattern = re.compile("(" + "|".join(re.escape(n) for n in names) + ")") if names else None
        self._first_chars = "".join(sorted({n[0] for n in names if n}))

    @classmethod
    def load(cls, model_dir: str | Path, *, vocab_size: int | None = None) -> Tokenizer:
        """Reads `tokenizer.json` of a model folder.

        Raises:
            CheckpointError: no such file, or not a byte-level BPE tokenizer.
        """
        path = Path(model_dir) / "tokenizer.json"
        try:
            return cls(path.read_text(encoding="utf-8"), vocab_size=vocab_size)
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise CheckpointError(
                f"cannot read the tokenizer of {model_dir}: tokenizer.json is missing or broken", param="model"
            ) from exc

    @property
    def source_vocab(self) -> list[bytes]:
        """Bytes of every id in order; special tokens and holes are empty."""
        return [self.token_bytes(i) for i in range(self.vocab_size)]

    @cached_property
    def longest_token(self) -> int:
        """Bytes of the longest token: bounds how few tokens a text can become."""
        return max((len(self.token_bytes(i)) for i in self._pieces), default=1)

    @cached_property
    def newline_ids(self) -> frozenset[int]:
        """Ids whose text ends in a newline: the ends of reasoning steps."""
        return frozenset(i for i, piece in self._pieces.items() if piece.endswith("Ċ"))

    def guard(self) -> Guard:
        return Guard(self._first_chars)

    def special_id(self, name: str) -> int | None:
        return self.specials.get(name)

    def name(self, token_id: int) -> str | None:
        """The special token's text, or None for an ordinary token."""
        return self._names.get(token_id)

    def encode(self, text: str) -> list[int]:
        """Ordinary tokens of a text. Special-token spellings in it stay ordinary text."""
        if not text:
            return []
        return self._plain.encode(text, add_special_tokens=False).ids

    def encode_prompt(self, text: str, guard: Guard | None = None) -> list[int]:
        """Tokens of a rendered prompt: special tokens are recognized, guarded text is not searched for them."""
        if self._special_pattern is None:
            return self.encode(guard.remove(text) if guard else text)
        ids: list[int] = []
        for i, piece in enumerate(self._special_pattern.split(text)):
            if i % 2:
                ids.append(self.specials[piece])
            elif piece:
                ids.extend(self.encode(guard.remove(piece) if guard else piece))
        return ids

    def check_length(self, text: str, max_tokens: int) -> None:
        """Refuses a text that can't fit, before the time is spent to tokenize it.

        Raises:
            ContextLengthError: even with the longest tokens the text has more than `max_tokens` tokens.
        """
        if len(text) > max_tokens * self.longest_token:
            raise ContextLengthError(
                f"the prompt has {len(text)} characters, which can't fit into the context of {max_tokens} tokens; "
                "shorten it",
                param="messages",
            )

    def token_bytes(self, token_id: int) -> bytes:
        """Bytes of an ordinary token; empty for special tokens and ids that the vocabulary lacks."""
        piece = self._pieces.get(token_id)
        if piece is None:
            return b""
        try:
            return bytes([_BYTES[c] for c in piece])
        except KeyError:  # an entry that is not spelled in the byte alphabet
            return piece.encode()

    def token_text(self, token_id: int) -> str:
        """Text of one token (logprobs): specials by name, pieces of characters as OpenAI shows them, `bytes:\\xe4`."""
        name = self._names.get(token_id)
        if name is not None:
            return name
        raw = self.token_bytes(token_id)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{b:02x}" for b in raw)

    def decode(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        parts: list[bytes] = []
        for i in ids:
            name = self._names.get(i)
            if name is None:
                parts.append(self.token_bytes(i))
            elif not skip_special:
                parts.append(name.encode())
        return b"".join(parts).decode("utf-8", errors="replace")


class Detokenizer:
    """Token ids to text as they come. Bytes of an unfinished character wait for the next token."""

    def __init__(self, tokenizer: Tokenizer, *, skip_special: bool = True):
        self._tokenizer = tokenizer
        self._skip_special = skip_special
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        name = self._tokenizer.name(token_id)
        if name is None:
            return self._decoder.decode(self._tokenizer.token_bytes(token_id))
        return self.flush() + ("" if self._skip_special else name)

    def flush(self) -> str:
        """Drops an unfinished character, so that no broken text leaves the server."""
        self._decoder.reset()
        return ""
