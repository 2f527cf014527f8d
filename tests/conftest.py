"""Shared by the tests: a tiny tokenizer with the special tokens in their order, and servers on real sockets."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers

from autoglm_phone.chat.tokenizer import Tokenizer

SPECIALS = (
    "<|endoftext|> <|pad|> [gMASK] <sop> <|system|> <|user|> <|assistant|> <|observation|> <|begin_of_image|> <|image|> "
    "<|end_of_image|> <|begin_of_audio|> <|audio|> <|end_of_audio|> <think> </think> <answer> </answer> <tool_call> "
    "</tool_call>"
).split()
TEXTS = ["你是谁? 我是手机助手。", "the quick brown fox jumps over the lazy dog", 'do(action="Tap", element=[500,500])'] * 8


def make_tokenizer_json(vocab_size: int = 512) -> str:
    """A byte-level BPE tokenizer trained on a few lines."""
    tokenizer = FastTokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIALS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    spec = json.loads(tokenizer.to_str())
    return json.dumps(spec, ensure_ascii=False)


@pytest.fixture(scope="session")
def tokenizer_json() -> str:
    return make_tokenizer_json()


@pytest.fixture(scope="session")
def tokenizer(tokenizer_json: str) -> Tokenizer:
    return Tokenizer(tokenizer_json)
