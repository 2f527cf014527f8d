"""Voices made for one clip: repeatable to the bit, apart from the held-out ones; validation and test untouched."""

from __future__ import annotations

import hashlib
import os
import random
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")

from autoglm_phone.errors import ConfigError
from autoglm_phone.media import espeak, espeak_child
from autoglm_phone.media.espeak import EspeakVoice
from autoglm_phone.train.world.audio import accents, reshape, variants, voices
from autoglm_phone.train.world.audio import words as w
from autoglm_phone.train.world.audio.spoken import spoken
from autoglm_phone.train.world.sample import SAMPLE_RATE

SENTENCE = (
    "The thin boy with a brother sat on a hot bath mat near the pure square, and nursing a goose in a house goat's "
    "coat. Why should you put this city bus up? Father bought four north cars there, hurry, vision, measure; washing "
    "my dress today, make a choice. Wet vet, yellow hill. Bad love is rising. Roses wanted happy letters about commas. "
    "Poor tourist, jar, palm, butter. These sofas are better; hello, green fleece."
)
DATA = Path(espeak._paths()[1])
HELD_OUT = voices.VARIANTS["val"] + voices.VARIANTS["test"]


def said(base: accents.Base, *replaced: str) -> str:
    lines = base.lines()
    at = 1 + any(line.startswith("phonemes") for line in lines)
    lines[at:at] = [f"replace {rule}" for rule in replaced]
    return "\n".join(lines) + "\n"


def timbre(text: str) -> set[tuple[str, ...]]:
    """The lines of a variant's text that change its sound, without spacing and comments."""
    lines = (tuple(line.split("//")[0].split()) for line in text.splitlines() if not line.startswith("#"))
    return {line for line in lines if line and line[0] not in ("language", "name", "gender")}


def shipped(variant: str) -> str:
    text = (DATA / "voices" / "!v" / variant).read_text(errors="replace")
    return "\n".join(line for line in text.splitlines() if not line.startswith(("language", "name"))) + "\n"


@pytest.mark.parametrize("accent", sorted(accents.ENGLISH))
@pytest.mark.parametrize("variant", ["f2", "klatt3", "m7"])
def test_a_definition_sounds_as_the_shipped_voice_it_repeats(accent: str, variant: str) -> None:
    text = "The quick brown fox, near the water."
    named = espeak.speak([(text, EspeakVoice(f"{accent}+{variant}"))])
    definition = said(accents.ENGLISH[accent]) + shipped(variant)
    assert np.array_equal(named, espeak.speak([(text, EspeakVoice("x", definition=definition))]))


def test_new_voices_are_the_same_in_any_order_and_in_a_fresh_process() -> None:
    code = (
        "import hashlib, random\n"
        "from autoglm_phone.train.world.audio import voices\n"
        "def clip(i):\n"
        "    rng = random.Random(i)\n"
        "    speaker = voices._new(rng, 'zh' if i % 2 else 'en', 1.0, i)\n"
        "    return hashlib.sha256(voices.say('打开蓝牙。please come back', speaker).tobytes()).hexdigest()\n"
    )
    scope: dict = {}
    exec(code, scope)
    here = [scope["clip"](i) for i in range(8)]
    assert here == [scope["clip"](i) for i in reversed(range(8))][::-1]
    assert len(set(here)) == 8
    tail = "for i in range(8): print(clip(i))"
    out = subprocess.run([sys.executable, "-c", code + tail], capture_output=True, text=True, check=True).stdout
    assert out.split() == here


def test_the_share_of_new_speakers() -> None:
    rng = random.Random(1)
    drawn = [voices.draw(rng, "train", "en") for _ in range(600)]
    new = [speaker for speaker in drawn if speaker.definitions]
    assert 0.58 < len(new) / len(drawn) < 0.72
    assert len({speaker.id for speaker in new}) == len(new)


def test_validation_and_test_know_nothing_of_new_voices(monkeypatch: pytest.MonkeyPatch) -> None:
    def clips() -> list[str]:
        out = []
        for split in ("val", "test"):
            for i in range(6):
                rng = random.Random(i)
                speaker = voices.draw(rng, split, "en" if i % 2 else "zh")
                assert not speaker.definitions
                out.append(hashlib.sha256(voices.record(rng, "please open it", speaker, split).tobytes()).hexdigest())
        return out

    usual = clips()
    monkeypatch.setattr(voices, "NEW", 1.0)
    monkeypatch.setattr(voices, "RESHAPED", {"espeak": 1.0, "flite": 1.0})
    monkeypatch.setattr(voices, "FLITE_SHARE", 1.0)
    assert clips() == usual


def test_no_random_variant_is_a_held_out_one() -> None:
    held = [timbre(shipped(name)) for name in HELD_OUT]
    rng = random.Random(2)
    for _ in range(1500):
        lines = timbre(variants.draw(rng))
        assert all(not other <= lines for other in held)
        # Nor does it share the settings of a held-out voice's first three formants.
        vowels = {line for line in lines if line[0] == "formant" and line[1] in "123"}
        assert all(vowels != {line for line in other if line[0] == "formant" and line[1] in "123"} for other in held)
        assert ("klatt", "4") not in lines


def test_no_random_accent_is_a_held_out_one() -> None:
    assert set(accents.ENGLISH) == set(voices.ACCENTS["train"])
    held = set(voices.ACCENTS["test"]) - set(voices.ACCENTS["train"])
    tables = {
        line.split()[1]
        for file in (DATA / "lang" / "gmw").glob("en*")
        if file.name.lower() in held
        for line in file.read_text(errors="replace").splitlines()
        if line.startswith("phonemes")
    }
    assert tables == {"en-wi", "en-n", "en-us-nyc"}
    rng = random.Random(3)
    drawn = [accents.draw(rng, "en") for _ in range(1500)]
    assert len(set(drawn)) > 900
    for text in drawn:
        assert not tables & set(re.findall(r"^phonemes (\S+)$", text, re.MULTILINE))
        assert re.match(r"language (\S+)", text)[1] not in held  # type: ignore[index]
        assert not ("replace 0 T t" in text and "replace 0 D d" in text)


def test_each_shift_is_heard() -> None:
    """A misspelled phoneme would be ignored, or drop the sound: each rule changes words in some base and keeps them."""
    plain = {name: espeak.phonemes(SENTENCE, "x", said(base)) for name, base in accents.ENGLISH.items()}
    for rule in (rule for group in accents.VOWELS + accents.CONSONANTS for rule in group):
        changed = False
        for name in ("en-us", "en"):
            heard = espeak.phonemes(SENTENCE, "x", said(accents.ENGLISH[name], rule))
            changed |= heard != plain[name]
            if "NULL" not in rule:
                assert len(heard) > len(plain[name]) - 40, rule
        assert changed, rule


def test_mandarin_keeps_its_contrasts() -> None:
    for shift in (shift for group in accents._MANDARIN_SHIFTS for shift in group):
        definition = said(accents.MANDARIN, shift)
        assert espeak.phonemes("热水小王", "x", definition) != espeak.phonemes("热水小王", "cmn")
        for pool in (w.SURNAMES_ZH, w.CITIES_ZH):
            sounds = {espeak.phonemes(spoken(entry, "zh"), "x", definition) for entry in pool}
            assert len(sounds) == len(pool), shift


@pytest.mark.parametrize("kind", sorted(variants.KINDS))
def test_each_kind_of_voice_is_heard_and_not_clipped(kind: str) -> None:
    rng = random.Random(4)
    for _ in range(6):
        definition = said(accents.ENGLISH["en-us"]) + "\n".join(variants.lines(rng, kind)) + "\n"
        samples = espeak.speak([("Open the door, father.", EspeakVoice("x", volume=45, definition=definition))])
        level = np.abs(samples.astype(np.int32))
        assert level.max() > 1500, definition
        assert (level >= 32_760).sum() < 4, definition
        assert 0.8 < len(samples) / espeak.ESPEAK_RATE < 4, definition


def test_a_mixed_text_is_spoken_by_one_timbre() -> None:
    speaker = voices._new(random.Random(5), "zh", 1.0, 1)
    assert isinstance(speaker.voice, EspeakVoice)
    parts = voices._segments("把The driver lost the phone翻译成中文", speaker.voice, speaker)
    assert [voice.definition.startswith("language cmn") for _, voice in parts] == [True, False, True]
    tails = {voice.definition[voice.definition.rindex("\npitch") :] for _, voice in parts}
    assert len(tails) == 1


def test_a_definition_needs_a_language() -> None:
    with pytest.raises(ConfigError, match="first line has to be `language CODE`"):
        EspeakVoice("odd", definition="formant 1 100 100 100\n")


def test_missing_data_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library, _ = espeak._paths()
    monkeypatch.setattr(espeak, "child", espeak.Child())
    monkeypatch.setattr(espeak, "_paths", lambda: (library, str(tmp_path / "nowhere")))
    try:
        with pytest.raises(ConfigError, match="no voice data"):
            espeak.speak([("x", EspeakVoice("new", definition=said(accents.ENGLISH["en"])))])
    finally:
        espeak.child.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc")
def test_voice_files_end_with_the_call() -> None:
    before = set(os.listdir(tempfile.gettempdir()))
    for i in range(5):
        voices.say("hello", voices._new(random.Random(i), "en", 1.0, i))
    descriptors = Path(f"/proc/{espeak.child.pid}/fd")
    assert not [link for link in descriptors.iterdir() if "memfd" in os.readlink(link)]
    left = set(os.listdir(tempfile.gettempdir())) - before
    assert not [name for name in left if "voice" in name]


def test_voice_files_without_memory_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    here = os.getcwd()
    with espeak_child._voice_file("language en\n") as path:
        assert Path(path).read_text() == "language en\n"
        folder = Path.cwd()
        assert len(path) < 60
        assert path == path.lower()
    assert not folder.exists()
    assert os.getcwd() == here


def voice_of(pitch: int = 50) -> np.ndarray:
    speaker = voices.Speaker(EspeakVoice("en-us", pitch=pitch, pitch_range=0), 1.0, 1)
    return voices.say("one more morning when we are away in warm and merry weather", speaker)


def pitch_of(samples: np.ndarray) -> float:
    """The median fundamental in Hz of the voiced 64 ms frames, by autocorrelation."""
    found = []
    for at in range(0, len(samples) - 1024, 512):
        frame = samples[at : at + 1024]
        rising = np.correlate(frame, frame, "full")[1023:]
        lag = 40 + int(np.argmax(rising[40:260]))
        if rising[lag] > 0.5 * rising[0] > 0.05:
            found.append(SAMPLE_RATE / lag)
    return float(np.median(found))


def envelope_peak(samples: np.ndarray) -> float:
    """Centre of the power below 1.2 kHz in Hz: where the first formants lie."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    low = hz < 1200
    return float((power[low] * hz[low]).sum() / power[low].sum())


def test_formants_move_and_pitch_stays() -> None:
    voice = voice_of()
    lower, higher = reshape.move_formants(voice, 0.85), reshape.move_formants(voice, 1.18)
    assert np.abs(reshape.move_formants(voice, 1.0) - voice).max() < 1e-5
    for changed in (lower, higher):
        assert changed.shape == voice.shape
        assert changed.dtype == np.float32
        assert pitch_of(changed) == pytest.approx(pitch_of(voice), rel=0.03)
    assert envelope_peak(lower) < 0.95 * envelope_peak(voice)
    assert envelope_peak(higher) > 1.03 * envelope_peak(voice)


@pytest.mark.parametrize("tempo", [0.84, 1.2])
def test_tempo_changes_and_pitch_stays(tempo: float) -> None:
    voice = voice_of()
    changed = reshape.change_tempo(voice, tempo)
    assert len(changed) == pytest.approx(len(voice) / tempo, abs=1)
    assert pitch_of(changed) == pytest.approx(pitch_of(voice), rel=0.03)
    assert changed.std() == pytest.approx(voice.std(), rel=0.15)


def test_melody_bends_the_pitch() -> None:
    voice = voice_of()
    assert pitch_of(reshape.bend(voice, (2.0, 2.0))) == pytest.approx(pitch_of(voice) * 2 ** (2 / 12), rel=0.03)
    half = len(voice) // 2
    bent = reshape.bend(voice, (-2.0, -2.0, 2.0, 2.0))
    assert pitch_of(bent[:half]) < pitch_of(voice) < pitch_of(bent[half:])


def test_reshaping_is_repeatable_and_always_does_something() -> None:
    voice = voice_of()
    for seed in range(40):
        change = reshape.draw(random.Random(seed))
        assert change == reshape.draw(random.Random(seed))
        assert replace(change, formants=1.0, tempo=1.0, melody=()) == reshape.Reshape()
        assert change != reshape.Reshape()
    changed = reshape.draw(random.Random(1)).apply(voice)
    assert np.array_equal(changed, reshape.draw(random.Random(1)).apply(voice))
    assert np.isfinite(changed).all()
    short = voice[:600]
    assert reshape.Reshape(1.1, 0.9, (1.0, 2.0)).apply(short) is short
