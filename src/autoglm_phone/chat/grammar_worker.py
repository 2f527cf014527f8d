"""The child process in which a grammar is compiled for the first time, and its owner in the server.

A hostile schema can take any amount of time and memory to compile, inside a native library that nothing can
interrupt. So it happens here first: under an address-space limit, and killed when it takes too long. Messages are
lines of JSON over the child's standard input and output. The child stays for the next grammar; it is started again
after a kill.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from autoglm_phone.chat.tokenizer import Tokenizer
from autoglm_phone.errors import GrammarError

MEMORY_BYTES = 1 << 30
_MASKS = 3  # next-token masks computed on trial: the lexer is built lazily


def limits() -> Any:
    """llguidance's own limits, the same in the child and in the server; they also bound each step of decoding."""
    from llguidance import LLParserLimits

    return LLParserLimits(
        max_items_in_row=1000,
        initial_lexer_fuel=500_000,
        step_lexer_fuel=100_000,
        step_max_items=50_000,
        max_lexer_states=50_000,
        max_grammar_size=100_000,
        verbose_errors=False,
    )


class _Vocabulary:
    """What llguidance wants to know of a tokenizer."""

    bos_token_id = None

    def __init__(
        self, tokens: Sequence[bytes], special: Sequence[int], eos: Sequence[int], encode: Callable[[str], list]
    ):
        self.tokens = list(tokens)
        self.special_token_ids = list(special)
        self.eos_token_id = eos[0]
        self._encode = encode

    def __call__(self, text: Any) -> list[int]:
        return self._encode(text.decode("utf-8", errors="replace") if isinstance(text, bytes) else text)


def build_tokenizer(
    tokens: Sequence[bytes], special: Sequence[int], eos: Sequence[int], encode: Callable[[str], list]
) -> Any:
    """llguidance's tokenizer. Special tokens have no bytes of their own, so that no text in a grammar can match one."""
    from llguidance import LLTokenizer, TokenizerWrapper

    marked = list(tokens)
    for i in special:
        marked[i] = b"\xff" + f"[{i}]".encode()
    vocabulary = _Vocabulary(marked, special, eos, encode)
    return LLTokenizer(TokenizerWrapper(vocabulary), n_vocab=len(marked), eos_token=list(eos))


class GrammarWorker:
    """Owns the child. `check` raises unless the grammar compiles there in time."""

    def __init__(self, tokenizer: Tokenizer, eos_ids: frozenset[int], *, seconds: float = 5.0):
        self._tokenizer = tokenizer
        self._eos_ids = sorted(eos_ids)
        self._seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def check(self, source: str) -> None:
        """Compiles `source` in the child.

        Raises:
            GrammarError: invalid, unsupported, too slow or too large.
        """
        with self._lock:
            child = self._running()
            answer = self._ask(child, {"grammar": source}, self._seconds)
        if answer is None:
            raise GrammarError(
                f"the schema or grammar is too complex: it did not compile within {self._seconds:g} s and "
                f"{MEMORY_BYTES >> 20} MiB; simplify it",
                param="response_format",
            )
        if not answer.get("ok"):
            raise GrammarError(
                "the schema or grammar is invalid or uses a part that is not supported; simplify it",
                param="response_format",
            )

    def close(self) -> None:
        with self._lock:
            self._kill()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._child = subprocess.Popen(
            [sys.executable, "-m", "autoglm_phone.chat.grammar_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        hello = {
            "tokens": [t.decode("latin-1") for t in self._tokenizer.source_vocab],
            "special": sorted(self._tokenizer.specials.values()),
            "eos": self._eos_ids,
        }
        if self._ask(self._child, hello, 30.0) is None:
            raise GrammarError("grammars can't be compiled now; try again later", param="response_format")
        return self._child

    def _ask(self, child: subprocess.Popen[bytes], message: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        """The child's answer; None if it died or took too long (it is killed then)."""
        deadline = time.monotonic() + seconds
        try:
            if child.stdin is None or child.stdout is None:
                raise OSError("no pipes")
            child.stdin.write(json.dumps(message).encode() + b"\n")
            child.stdin.flush()
            line = b""
            while not line.endswith(b"\n"):
                ready, _, _ = select.select([child.stdout], [], [], max(0.0, deadline - time.monotonic()))
                chunk = os.read(child.stdout.fileno(), 4096) if ready else b""
                if not chunk:
                    raise OSError("no answer")
                line += chunk
            answer = json.loads(line)
            return answer if isinstance(answer, dict) else None
        except (OSError, ValueError):
            self._kill()
            return None

    def _kill(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                child.communicate(timeout=5)


def main() -> None:
    """The child's loop."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from llguidance import LLMatcher

    hello = json.loads(sys.stdin.buffer.readline())
    tokens = [t.encode("latin-1") for t in hello["tokens"]]
    byte_ids = {t[0]: i for i, t in enumerate(tokens) if len(t) == 1}

    def encode(text: str) -> list[int]:  # one token a byte: good enough to try a grammar
        return [byte_ids[b] for b in text.encode() if b in byte_ids]

    tokenizer = build_tokenizer(tokens, hello["special"], hello["eos"], encode)
    out = sys.stdout.buffer
    out.write(b'{"ok": true}\n')
    out.flush()
    for line in sys.stdin.buffer:
        matcher = LLMatcher(tokenizer, json.loads(line)["grammar"], log_level=0, limits=limits())
        for _ in range(_MASKS):
            if matcher.is_error() or matcher.is_stopped():
                break
            mask = matcher.compute_logit_bias()
            allowed = mask.find(200)
            if allowed < 0 or not matcher.consume_token(allowed):
                break
        out.write(json.dumps({"ok": not matcher.is_error()}).encode() + b"\n")
        out.flush()


if __name__ == "__main__":
    main()
