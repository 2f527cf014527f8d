"""The spoken world: repeatable to the bit, said in the words that are written down, voices apart by split."""

from __future__ import annotations

import hashlib
import random
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")

from autoglm_phone.errors import ConfigError
from autoglm_phone.media import espeak
from autoglm_phone.train.world import registry, scoring
from autoglm_phone.train.world.audio import augment, composed, flite, lexicon_zh, sentences, voices
from autoglm_phone.train.world.audio import words as w
from autoglm_phone.train.world.audio.spoken import bare, canonical, chinese_number, english_number, spoken
from autoglm_phone.train.world.audio.vocabulary import known
from autoglm_phone.train.world.sample import Sample

AUDIO = ("asr", "spoken_task", "speech_screen", "speech_chart")


def available(name: str) -> None:
    if not registry.is_available(name):
        pytest.skip(f"{name} needs packages that are not installed")


def digest(sample: Sample) -> str:
    parts = [repr((sample.turns, sample.truth, [c.text for c in sample.clips]))]
    parts += [hashlib.sha256(c.samples.tobytes()).hexdigest() for c in sample.clips]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def test_espeak_has_no_memory_of_what_it_said() -> None:
    voice = espeak.EspeakVoice("cmn+f5", rate=180)
    first = espeak.speak([("打开蓝牙。", voice)])
    espeak.speak([("Something else, in a whisper.", espeak.EspeakVoice("en-us+whisper"))])
    again = espeak.speak([("打开蓝牙。", voice)])
    assert len(first) > 8000
    assert np.array_equal(first, again)


def test_samples_are_the_same_in_any_order() -> None:
    first = [digest(registry.generate("asr", "train", i)) for i in range(12)]
    again = [digest(registry.generate("asr", "train", i)) for i in reversed(range(12))]
    assert first == again[::-1]


def test_samples_are_the_same_in_a_fresh_process() -> None:
    code = (
        "import hashlib; from autoglm_phone.train.world import registry\n"
        "for i in (3, 7, 9):\n"
        "    print(hashlib.sha256(registry.generate('asr', 'test', i).clips[-1].samples.tobytes()).hexdigest())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    here = [registry.generate("asr", "test", i).clips[-1].samples.tobytes() for i in (3, 7, 9)]
    assert out == [hashlib.sha256(data).hexdigest() for data in here]


def test_every_voice_exists() -> None:
    """espeak falls back to the plain voice for an unknown variant: each one must change the sound."""
    plain = espeak.speak([("打开蓝牙", espeak.EspeakVoice("cmn"))])
    for variant in sorted({v for names in voices.VARIANTS.values() for v in names if v}):
        samples = espeak.speak([("打开蓝牙", espeak.EspeakVoice(f"cmn+{variant}"))])
        assert 0.4 < len(samples) / espeak.ESPEAK_RATE < 4, variant
        assert np.abs(samples).max() > 300, variant
        assert not np.array_equal(samples, plain), variant
    for accent in {a for names in voices.ACCENTS.values() for a in names}:
        assert len(espeak.speak([("hello there", espeak.EspeakVoice(accent))])) > 8000


def test_splits_have_voices_of_their_own() -> None:
    train, val, test = (set(voices.VARIANTS[split]) for split in ("train", "val", "test"))
    assert not train & test
    assert not train & val
    assert not val & test
    assert not set(voices.FLITE["train"]) & set(voices.FLITE["test"])
    heard = {split: set() for split in ("train", "test")}
    for split, names in heard.items():
        rng = random.Random(5)
        for _ in range(400):
            speaker = voices.draw(rng, split, "zh")
            names.add(speaker.voice.name)
    assert not heard["train"] & heard["test"]


def test_unknown_voice_is_refused() -> None:
    with pytest.raises(ConfigError, match="no voice"):
        espeak.speak([("x", espeak.EspeakVoice("xx-nowhere"))])


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("妈麻马骂", ["m'A55", "m'A35", "m'A214", "m'A51"]),
        ("银行", ["ji35nX'A35N"]),
        ("睡觉", ["s.wei51tS;j'Au51"]),
        ("快乐", ["kh'uai51", "l'@51"]),
    ],
)
def test_chinese_characters_are_really_spoken(text: str, sound: list[str]) -> None:
    heard = espeak.phonemes(text, "cmn").replace("_|", "").split()
    assert heard == sound


def test_no_two_entries_of_a_chinese_pool_sound_alike() -> None:
    for pool in (w.SURNAMES_ZH, w.GIVEN_ZH, w.CITIES_ZH, w.GOODS_ZH, w.PLACES_ZH, w.SETTINGS_ZH, w.APPS_ZH):
        heard: dict[str, str] = {}
        for entry in pool:
            sound = espeak.phonemes(spoken(entry, "zh"), "cmn")
            assert heard.setdefault(sound, entry) == entry


@pytest.mark.parametrize(
    ("lang", "text", "said"),
    [
        ("zh", "3点20分", "三点二十分"),
        ("zh", "2点5分", "两点五分"),
        ("zh", "12月2日", "十二月二日"),
        ("zh", "2026年11月3日", "二零二六年十一月三日"),
        ("zh", "105元", "一百零五元"),
        ("zh", "12.5公里", "十二点五公里"),
        ("zh", "拨打13800138000", "拨打一三八零零一三八零零零"),
        ("zh", "3010", "三千零一十"),
        ("en", "at 3:20 PM", "at three twenty p m"),
        ("en", "at 7:00", "at seven o'clock"),
        ("en", "at 8:05 AM", "at eight oh five a m"),
        ("en", "March 3", "March third"),
        ("en", "October 28", "October twenty eighth"),
        ("en", "in 2026", "in twenty twenty six"),
        ("en", "12.5 dollars", "twelve point five dollars"),
        ("en", "call 1380013800", "call one three eight zero zero one three eight zero zero"),
        ("en", "1200 steps", "one thousand two hundred steps"),
    ],
)
def test_numbers_are_spelled_out(lang, text: str, said: str) -> None:
    assert spoken(text, lang) == said


@pytest.mark.parametrize(
    ("lang", "text", "written"),
    [
        ("zh", "算一下12×3=?", "算一下12乘以3等于多少"),
        ("zh", "会议15:30开始", "会议15点30分开始"),
        ("zh", "打了15%的折", "打了百分之15的折"),
        ("zh", "点击“蓝牙”", "点击蓝牙"),
        ("zh", "一共¥12.5", "一共12.5元"),
        ("zh", "我叔叔三天前买了两把椅子", "我叔叔3天前买了2把椅子"),
        ("zh", "星期三下午三点，一起十分开心", "星期三下午3点，一起十分开心"),
        ("en", "Three days ago I ate two apples", "3 days ago I ate 2 apples"),
        ("en", "What is 12+30?", "What is 12 plus 30?"),
        ("en", "12 - 5 = ?", "12 minus 5 equals what"),
        ("en", "Tap 'Settings'", "Tap Settings"),
        ("en", "It costs $1,200", "It costs 1200 dollars"),
        ("en", "It's Tue, 25°C", "It's Tuesday, 25 degrees Celsius"),
    ],
)
def test_one_written_form(lang, text: str, written: str) -> None:
    assert canonical(text, lang) == written


def test_bare_keeps_what_is_heard() -> None:
    assert bare("Set it to 3:20 p.m., don't wait.", "en") == "set it to 3:20 pm don't wait"
    assert bare("打开微信，给3号房12.5元。", "zh") == "打开微信给3号房12.5元"


def test_numbers_in_words() -> None:
    assert english_number(90_017) == "ninety thousand seventeen"
    assert chinese_number(20_305) == "二万零三百零五"
    assert chinese_number(110) == "一百一十"


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_sentences_are_many_and_belong_to_one_split(lang) -> None:
    made = {
        split: {sentences.sentence(random.Random(i), lang, split, False) for i in range(600)}
        for split in ("train", "test")
    }
    assert len(made["train"]) > 510
    assert not made["train"] & made["test"]
    for text in made["train"]:
        said = spoken(canonical(text, lang), lang)
        assert not any(c.isdigit() for c in said), said


@pytest.mark.parametrize("name", AUDIO)
@pytest.mark.parametrize("split", ["train", "test"])
def test_references_score_and_clips_are_sound(name: str, split) -> None:
    available(name)
    for index in range(12 if name in ("asr", "spoken_task") else 4):
        sample = registry.generate(name, split, index)
        score = scoring.score(sample, sample.answer.text, sample.answer.reasoning)
        assert score.correct, (sample.id, sample.answer, sample.truth, score)
        for turns in (sample.turns, *sample.alternatives):
            text = "".join(turn.text for turn in turns)
            assert text.count("<audio>") == len(sample.clips)
            assert text.count("<image>") == len(sample.pictures)
        for clip in sample.clips:
            assert clip.samples.dtype == np.float32
            assert np.isfinite(clip.samples).all()
            seconds = len(clip.samples) / 16_000
            assert 0.5 < seconds < 28
            assert 0.05 < np.abs(clip.samples).max() <= 1
            assert clip.text == clip.text.strip().lower()
            # CTC needs a state (25 a second) per character and one between equal neighbours.
            repeats = sum(a == b for a, b in zip(clip.text, clip.text[1:], strict=False))
            assert seconds * 25 > len(clip.text) + repeats


def test_transcripts_hold_known_words_only() -> None:
    assert known("把音量调到百分之20，please open it")
    assert not known("plese")
    assert not known("龘")
    for index in range(15):
        assert known(registry.generate("asr", "test", index).clips[-1].text)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_composed_sentences_are_many_and_never_a_held_out_command(lang) -> None:
    rng = random.Random(4)
    texts = [composed.composed(rng, lang) for _ in range(1500)]
    assert len(set(texts)) > 1480
    assert all(composed.taught(text) for text in texts)
    assert not any(set(text) & sentences.UNDECIDABLE for text in texts)
    assert not any(composed.like_held_out(text, lang) for text in texts)
    held = [sentences.command(random.Random(seed), lang, "test", True) for seed in range(150)]
    assert all(composed.like_held_out(text, lang) for text in held)


def test_training_speech_holds_the_words_of_held_out_commands() -> None:
    """A word that only comes in sentences kept for the test is written as the nearest known one."""
    heard = "\n".join(sentences.sentence(random.Random(seed), "zh", "train", False) for seed in range(9000))
    for word in ("连接", "删除", "转给", "见面", "一辆", "聊天记录", "联系人", "日子", "设为", "叫", "约", "弟弟"):
        assert heard.count(word) > 1, word
    rng = random.Random(2)
    heard_en = Counter(
        word for _ in range(7000) for word in sentences.sentence(rng, "en", "train", False).lower().split()
    )
    wanted = [word for _ in range(500) for word in sentences.command(rng, "en", "test", True).lower().split()]
    words_wanted = [word.strip(".,") for word in wanted if word.strip(".,").isalpha()]
    assert sum(heard_en[word] > 1 for word in words_wanted) > 0.97 * len(words_wanted)


def test_no_two_words_of_the_lexicon_sound_alike() -> None:
    heard: dict[str, str] = {}
    counted = tuple(noun for _, nouns in lexicon_zh.COUNTED for noun in nouns if len(noun) > 1)
    for pool in (lexicon_zh.VERBS, lexicon_zh.ACTS, lexicon_zh.NOUNS, lexicon_zh.TRAITS, counted):
        for entry in pool:
            sound = espeak.phonemes(spoken(entry, "zh"), "cmn")
            assert heard.setdefault(sound, entry) == entry


def test_volumes_are_percentages() -> None:
    for seed in range(3000):
        text = sentences.command(random.Random(seed), "zh", "train", False)
        if "百分之" in text:
            assert 0 <= int(text.rpartition("百分之")[2]) <= 100
        assert "分钟" not in text or int(re.findall(r"(\d+)分钟", text)[0]) <= 120


def test_the_voice_stands_out_from_what_surrounds_it() -> None:
    rng = random.Random(1)
    voice = voices.say("one two three", voices.draw(rng, "train", "en"))
    for seed in range(30):
        out = augment.apply(voice, random.Random(seed))
        assert len(out) > len(voice)
        assert np.abs(out).max() <= 1
        assert out.std() > 1e-3


@pytest.mark.parametrize("rate", [22_050, 8_000, 16_000, 19_300.7])
def test_resampling_keeps_a_tone(rate: float) -> None:
    seconds, hz = 0.8, 1000.0
    tone = np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate).astype(np.float32)
    out = augment.resample(tone, rate)
    middle = out[len(out) // 4 : len(out) * 3 // 4]
    peak = np.argmax(np.abs(np.fft.rfft(middle * np.hanning(len(middle))))) * 16_000 / len(middle)
    assert abs(peak - hz) < 30  # lengths that FFTs like lie up to 3 % apart
    assert 0.9 < np.abs(middle).max() < 1.1


@pytest.mark.skipif(not flite.available(), reason="Debian's libflite1 is not installed")
@pytest.mark.parametrize("name", flite.DIPHONE + flite.STATISTICAL)
def test_flite_repeats_itself(name: str) -> None:
    voice = flite.FliteVoice(name, pitch=140)
    first, rate = flite.speak("set an alarm", voice, seed=4)
    flite.speak("something else", voice, seed=9)
    again, _ = flite.speak("set an alarm", voice, seed=4)
    assert rate in (8000, 16_000)
    assert 0.5 < len(first) / rate < 3
    assert np.array_equal(first, again)


def test_a_missing_flite_falls_back_to_espeak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flite, "available", lambda: False)
    for seed in range(40):
        assert isinstance(voices.draw(random.Random(seed), "train", "en").voice, espeak.EspeakVoice)
