"""scripts/setup.sh with a Python that only writes down what it is asked: which PyTorch, what is said, and when."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CPU = "https://download.pytorch.org/whl/cpu"

# Stands for the interpreter and for .venv's: answers the version and pip's configuration, makes a venv, logs installs.
FAKE_PYTHON = f"""#!/bin/sh
case "$*" in
  -V) echo "Python 3.11.9" ;;
  "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  *" -q config list") ;; # a quiet pip says nothing
  *"config list") printf '%s' "$PIP_SAYS" ;;
  *install*) echo "$*" >> installs
    case "$*" in *"$PIP_REFUSES"*) [ -z "$PIP_REFUSES" ] || exit 1 ;; esac ;;
  *) exec {sys.executable} "$@" ;;
esac
"""


class Tree:
    """A repository with nothing but the script; `bin` shadows programs of the machine."""

    def __init__(self, folder: Path):
        self.folder, self.bin = folder, folder / "bin"
        (folder / "scripts").mkdir()
        self.bin.mkdir()
        shutil.copy(ROOT / "scripts" / "setup.sh", folder / "scripts")
        (folder / "pyproject.toml").write_text("")
        self.program("fake-python", FAKE_PYTHON)
        self.program("id", "#!/bin/sh\necho 1000\n")
        self.program("uname", "#!/bin/sh\necho Linux x86_64\n")
        self.program("ls", "#!/bin/sh\nexit 2\n")  # no fonts

    def program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def run(self, extras: str = "speech", **variables: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "TORCH_", "PYTHON"))}
        environment = {"PATH": f"{self.bin}:{clean.pop('PATH')}", "PYTHON": str(self.bin / "fake-python")}
        return subprocess.run(
            [str(self.folder / "scripts" / "setup.sh"), extras], capture_output=True, text=True, timeout=60,
            env={**clean, "PIP_SAYS": "", "PIP_REFUSES": "", **environment, **variables},
        )  # fmt: skip

    @property
    def torch(self) -> list[str]:
        """The calls that install PyTorch, from the word install on."""
        lines = (self.folder / "installs").read_text().splitlines()
        return [line[line.index("install") :] for line in lines if "torch==" in line]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


needs_no_gpu = pytest.mark.skipif(
    Path("/dev/nvidiactl").exists() or bool(shutil.which("nvidia-smi")), reason="has a GPU"
)


@needs_no_gpu
def test_a_machine_without_a_gpu_gets_cpu_wheels(tree: Tree) -> None:
    done = tree.run()
    assert done.returncode == 0, done.stderr
    assert tree.torch == [f"install --index-url {CPU} torch==2.13.0"]
    assert "CPU-only" in done.stdout


@needs_no_gpu
def test_where_that_index_can_not_be_reached_the_usual_one_serves(tree: Tree) -> None:
    assert tree.run(PIP_REFUSES=CPU).returncode == 0
    assert tree.torch[1:] == ["install torch==2.13.0"]


@pytest.mark.parametrize(
    "says",
    [
        "global.index-url='https://mirror.example/simple'",
        ":env:.extra-index-url='x'",
        "user.find-links='/w'",
        "global.index-url='x'\n"
        + "global.cert='y'\n" * 6000,  # more than a pipe holds: pip still writes when it is found
    ],
    ids=["index", "environment", "folder", "long"],
)
def test_a_mirror_is_left_alone(says: str, tree: Tree) -> None:
    assert tree.run(PIP_SAYS=says).returncode == 0
    assert tree.torch == ["install torch==2.13.0"]


def test_a_gpu_and_other_systems_get_the_usual_wheels(tree: Tree) -> None:
    tree.program("uname", "#!/bin/sh\necho Darwin arm64\n")
    assert tree.run().returncode == 0
    tree.program("uname", "#!/bin/sh\necho Linux x86_64\n")
    tree.program("nvidia-smi", "#!/bin/sh\n")
    assert tree.run(TORCH_VERSION="2.12.0").returncode == 0
    assert tree.torch == ["install torch==2.13.0", "install torch==2.12.0"]


def test_an_index_that_is_asked_for_is_taken(tree: Tree) -> None:
    assert tree.run(TORCH_INDEX_URL="https://mirror.example/cpu").returncode == 0
    assert tree.torch == ["install --index-url https://mirror.example/cpu torch==2.13.0"]


def test_missing_debian_packages_are_named_each_time(tree: Tree) -> None:
    """Also once .venv is complete and nothing else is done."""
    for _ in range(2):
        done = tree.run("speech,train")
        assert done.returncode == 0
        assert "fonts-noto-cjk" in done.stderr
        assert "world can't be drawn" in done.stderr
    assert len(tree.torch) == 1
    tree.program("ls", "#!/bin/sh\nexit 0\n")
    assert tree.run("speech,train").stderr == ""
    assert tree.run("speech").stderr == ""
