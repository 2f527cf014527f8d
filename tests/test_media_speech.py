"""Text to speech, and the process that speaks: it may crash, hang or be forked, and says the same thing again."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")

from autoglm_phone.errors import ConfigError, EngineError, InvalidRequestError
from autoglm_phone.media import espeak, speech


@pytest.mark.parametrize("voice", sorted(speech.VOICES))
def test_synthesize_makes_a_wave_file(voice: str) -> None:
    import soundfile

    samples, rate = soundfile.read(io.BytesIO(speech.synthesize("你好，Hello there.", voice=voice)), dtype="int16")
    assert rate == 22_050
    assert samples.ndim == 1
    assert 1 < len(samples) / rate < 5
    assert 2000 < np.abs(samples).max() < 32_767


def test_speed_and_language() -> None:
    slow, quick = (len(speech.synthesize("How are you today?", speed=s)) for s in (0.6, 1.8))
    assert slow > 1.8 * quick
    assert speech.language_runs("把The driver lost the phone翻译成中文") == [
        ("把", "zh"),
        ("The driver lost the phone", "en"),
        ("翻译成中文", "zh"),
    ]
    assert speech.language_runs("打开WiFi") == [("打开WiFi", "zh")]


@pytest.mark.parametrize(
    ("arguments", "param"),
    [
        ({"text": "  "}, "input"),
        ({"text": "x" * 4097}, "input"),
        ({"text": "a", "voice": "nobody"}, "voice"),
        ({"text": "a", "speed": 9.0}, "speed"),
        ({"text": "a", "speed": float("nan")}, "speed"),
        ({"text": "a", "lang": "xx"}, "language"),
    ],
)
def test_bad_requests_are_refused(arguments: dict, param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        speech.synthesize(**arguments)
    assert caught.value.param == param


def test_a_missing_loader_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ConfigError, match="pip install"):
        speech.synthesize("hello")


def test_threads_get_the_same_audio_as_one() -> None:
    alone = speech.synthesize("one two three", voice="nova")
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(speech.synthesize("one two three", voice="nova")))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [alone] * 6


LONG = "Hello my friend. " * 240


def _kill_soon(number: signal.Signals) -> threading.Thread:
    """Sends a signal to the speaking process in the middle of the next utterance."""

    def later() -> None:
        time.sleep(0.1)
        assert espeak.child.pid is not None
        os.kill(espeak.child.pid, number)

    thread = threading.Thread(target=later)
    thread.start()
    return thread


def test_a_crash_in_the_middle_is_tried_again() -> None:
    whole = speech.synthesize(LONG, speed=0.5)
    first = espeak.child.pid
    thread = _kill_soon(signal.SIGSEGV)
    assert speech.synthesize(LONG, speed=0.5) == whole
    thread.join()
    assert espeak.child.pid != first


def test_a_text_that_always_crashes_is_refused_and_the_next_is_spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    before = speech.synthesize("one two three")

    def crash(*_: object) -> tuple[bytes, bytes]:
        raise espeak._DiedError

    with monkeypatch.context() as patch:
        patch.setattr(espeak.child, "_exchange", crash)
        with pytest.raises(EngineError, match="crashed") as caught:
            speech.synthesize("one two three")
    assert caught.value.code == "speech_failed"
    assert speech.synthesize("one two three") == before


def test_a_hanging_child_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = speech.synthesize("one two three")
    hung = espeak.child.pid
    assert hung is not None
    os.kill(hung, signal.SIGSTOP)
    with pytest.raises(EngineError, match="too long"):
        espeak.child.ask({"text": "x", "name": "en"}, timeout=0.2)
    with pytest.raises(ProcessLookupError):
        os.kill(hung, 0)
    assert speech.synthesize("one two three") == before


def test_a_child_is_renewed_after_its_share_and_ends_on_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "RECYCLE", 3)
    espeak.child.close()
    assert espeak.child.pid is None
    heard, pids = set(), []
    for _ in range(7):
        heard.add(speech.synthesize("one two three"))
        pids.append(espeak.child.pid)
    assert len(heard) == 1
    assert len(set(pids)) == 3
    espeak.child.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pids[-1], 0)  # type: ignore[arg-type]


def test_a_forked_process_speaks_through_a_child_of_its_own() -> None:
    before = speech.synthesize("one two three")
    pid = espeak.child.pid
    reader, writer = os.pipe()
    fork = os.fork()
    if fork == 0:
        good = speech.synthesize("one two three") == before and espeak.child.pid != pid
        os.write(writer, b"y" if good else b"n")
        espeak.child.close()
        os._exit(0)
    os.waitpid(fork, 0)
    assert os.read(reader, 1) == b"y"
    assert espeak.child.pid == pid
    assert speech.synthesize("one two three") == before


def test_the_child_ends_with_its_parent() -> None:
    code = (
        "import os; from autoglm_phone.media import espeak, speech; speech.synthesize('hi')\n"
        "print(espeak.child.pid, flush=True); os._exit(1)"
    )
    pid = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]:  # a zombie of a container without init
            return
        time.sleep(0.1)
    pytest.fail("the speaking process outlived its parent")
