"""Who speaks: espeak's voice variants, flite's voices and a change of vocal tract, dealt out to the splits.

A variant belongs to one split, so validation and test hear voices that training never did. Two training clips in three
have a speaker of their own: a random timbre (`variants`) with a random accent (`accents`), so that a model learns
speech and not a list of voices.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from autoglm_phone.media import espeak
from autoglm_phone.media.espeak import ESPEAK_RATE, EspeakVoice
from autoglm_phone.media.speech import language_runs
from autoglm_phone.train.world.audio import accents, augment, flite, reshape, variants
from autoglm_phone.train.world.audio.augment import resample
from autoglm_phone.train.world.sample import SAMPLE_RATE, Lang, Split

# "en" is the British voice (espeak finds a voice by its file; the alias "en-gb" only after a slow search).
ACCENTS: dict[Split, tuple[str, ...]] = {
    "train": ("en-us", "en-us", "en-us", "en", "en", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbcwmd"),
    "val": ("en-us", "en"),
    "test": ("en-us", "en-us", "en", "en", "en-029", "en-us-nyc", "en-gb-x-gbclan"),
}
_TRAIN_VARIANTS = """
    m1 m2 m3 m4 m5 m7 f1 f2 f3 f5 klatt klatt2 klatt3 klatt5 klatt6 croak whisper Annie Andrea anika linda steph steph2
    Alicia aunty grandma john david paul ed edward quincy adam robert Reed Gene Mike Michael max zac travis ian caleb
    benjamin antonio pablo pedro Mario Marco norbert sandro rob marcelo Hugo Diogo Denis Jacky Alex iven iven2 iven4
    kaukovalta RicishayMax RicishayMax3 Nguyen michel announcer mike2
"""
_TEST_VARIANTS = "m8 belinda klatt4 edward2 grandpa victor boris miguel shelby gustave Gene2 Andy iven3 Storm"
VARIANTS: dict[Split, tuple[str, ...]] = {
    "train": ("", *_TRAIN_VARIANTS.split()),  # "": the language's own voice
    "val": ("m6", "f4", "Lee", "steph3", "Henrique"),
    "test": tuple(_TEST_VARIANTS.split()),
}
FLITE: dict[Split, tuple[str, ...]] = {"train": ("kal16", "kal", "rms", "slt"), "val": (), "test": ("awb",)}
NEW = 0.65  # share of training clips with a speaker of their own
FLITE_SHARE = 0.5  # of the other English ones
# Share of training clips whose formants, melody or tempo change after synthesis: flite has few voices, each recorded.
RESHAPED = {"espeak": 0.2, "flite": 0.7}
BABBLERS = 10  # distinct stretches of background speech, each 0.2 s to make once per process


@dataclass(frozen=True)
class Speaker:
    """A voice and the factor `tract` by which its pitch and formants are scaled (0.86 long … 1.18 short tract).

    definitions: for a speaker made for one clip, the voice file of each language; empty where the voice has a name.
    """

    voice: EspeakVoice | flite.FliteVoice
    tract: float
    seed: int
    definitions: tuple[tuple[Lang, str], ...] = ()

    @property
    def engine(self) -> str:
        return "espeak" if isinstance(self.voice, EspeakVoice) else "flite"

    @property
    def id(self) -> str:
        return f"{self.engine}:{self.voice.name}:{self.tract:.2f}"


def draw(rng: random.Random, split: Split, lang: Lang, english_only: bool = True) -> Speaker:
    """A speaker of this split and language; flite's voices know English alone."""
    tract = 1.0 if rng.random() < 0.35 else rng.uniform(0.88, 1.16)
    seed = rng.getrandbits(30)
    if split == "train" and rng.random() < NEW:
        return _new(rng, lang, tract, seed)
    if lang == "en" and rng.random() < (FLITE_SHARE if split == "train" else 0.3) and english_only and FLITE[split]:
        # The statistical voices are slow to compute, but the nearest to recorded people.
        names = FLITE[split]
        name = rng.choice([n for n in names if n in flite.DIPHONE] or names)
        if rng.random() < (0.65 if split == "train" else 0.25) and any(n in flite.STATISTICAL for n in names):
            name = rng.choice([n for n in names if n in flite.STATISTICAL])
        voice = flite.FliteVoice(name, stretch=rng.uniform(0.95, 1.35) * tract, pitch=rng.uniform(85, 210) / tract)
        if flite.available():
            return Speaker(voice, tract, seed)
    variant = rng.choice(VARIANTS[split])
    base = "cmn" if lang == "zh" else rng.choice(ACCENTS[split])
    name = f"{base}+{variant}" if variant else base
    return Speaker(_manner(rng, name, lang, tract), tract, seed)


def _manner(rng: random.Random, name: str, lang: Lang, tract: float, volume: int = 60) -> EspeakVoice:
    """How this speaker talks: rate, pitch, pauses."""
    slowest, quickest = (130, 235) if lang == "zh" else (115, 200)
    return EspeakVoice(
        name,
        # A short tract also plays the clip quicker: slow the speech by as much.
        rate=round(rng.triangular(slowest, quickest, 165) / tract),
        pitch=rng.randint(20, 80),
        pitch_range=rng.randint(30, 75),
        volume=volume,
        word_gap=rng.choice((0, 0, 0, 0, 1, 2, 4)) if lang == "en" else 0,
    )


def _new(rng: random.Random, lang: Lang, tract: float, seed: int) -> Speaker:
    """A speaker of the training split that speaks this clip alone: one timbre, an accent in each language."""
    variant = variants.draw(rng)
    languages: tuple[Lang, ...] = ("zh", "en")  # a question about a translation mixes them
    definitions = tuple((code, accents.draw(rng, code) + variant) for code in languages)
    name = f"new-{zlib.crc32(repr(definitions).encode()):08x}"
    # Quieter than the shipped variants: some klatt sources are loud. The recording sets its own level anyway.
    return Speaker(_manner(rng, name, lang, tract, volume=45), tract, seed, definitions)


def _trim(samples: np.ndarray, rate: float) -> np.ndarray:
    """Cut silence at both ends down to nothing (espeak appends about 0.3 s)."""
    loud = np.flatnonzero(np.abs(samples) > 0.004)
    if len(loud) == 0:
        return samples
    margin = int(0.03 * rate)
    return samples[max(0, loud[0] - margin) : loud[-1] + margin]


def _segments(spoken: str, voice: EspeakVoice, speaker: Speaker) -> list[tuple[str, EspeakVoice]]:
    """Chinese and Latin runs, each with the speaker's variant on its own language."""
    if speaker.definitions:
        made = dict(speaker.definitions)
        return [(run, replace(voice, definition=made[lang])) for run, lang in language_runs(spoken)]
    base, plus, variant = voice.name.partition("+")
    names = {"zh": f"cmn{plus}{variant}", "en": (base if base != "cmn" else "en-us") + plus + variant}
    return [(run, replace(voice, name=names[lang])) for run, lang in language_runs(spoken)]


def say(spoken: str, speaker: Speaker, response: augment.Response = ()) -> np.ndarray:
    """The voice as a microphone of this response hears it: float32 [T] at 16 kHz.

    `spoken` is written out as it is pronounced.
    """
    rate: float
    if isinstance(speaker.voice, EspeakVoice):
        raw, rate = espeak.speak(_segments(spoken, speaker.voice, speaker), speaker.seed), ESPEAK_RATE
    else:
        raw, rate = flite.speak(spoken, speaker.voice, speaker.seed)
    samples = _trim(raw.astype(np.float32) / 32768, rate)
    return resample(samples, rate * speaker.tract, response)


@lru_cache(maxsize=BABBLERS * 2)
def _babble(split: Split, number: int) -> np.ndarray:
    """6 s of three voices talking at once, unit variance: the same in every process."""
    rng = random.Random(f"babble/{split}/{number}")
    from autoglm_phone.train.world.audio.words import EN_WORDS, ZH_WORDS

    out = np.zeros(6 * SAMPLE_RATE, np.float32)
    for k in range(3):
        lang: Lang = "zh" if (number + k) % 2 else "en"
        words = rng.choices(ZH_WORDS if lang == "zh" else EN_WORDS, k=30)
        voice = say(("" if lang == "zh" else " ").join(words), draw(rng, split, lang))
        out += np.resize(voice / (voice.std() + 1e-9), len(out))
    return out / (out.std() + 1e-9)


def record(rng: random.Random, spoken: str, speaker: Speaker, split: Split) -> np.ndarray:
    """`say`, then what room and neighbours add."""
    clean = say(spoken, speaker, augment.microphone(rng))
    if split == "train" and rng.random() < RESHAPED[speaker.engine]:
        clean = reshape.draw(rng).apply(clean)
    babble = _babble(split, rng.randrange(BABBLERS)) if rng.random() < 0.15 else None
    return augment.apply(clean, rng, babble)
