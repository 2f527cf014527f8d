#!/usr/bin/env bash
# Makes the project's own virtual environment (.venv) with what the given extras need. Runs again only when
# pyproject.toml or the extras changed. Usage: scripts/setup.sh [extra,extra…]
# PYTHON chooses the interpreter, TORCH_VERSION the PyTorch release, TORCH_INDEX_URL the index that PyTorch comes from.
# Without TORCH_INDEX_URL, a Linux machine that shows no NVIDIA GPU gets PyTorch's own CPU-only wheels, unless pip has
# been told of an index or folder of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
extras=${1:-speech}
torch=${TORCH_VERSION:-2.13.0}

find_python() {
  for candidate in "${PYTHON:-}" python3.12 python3.11 python3; do
    if [ -n "$candidate" ] && command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "setup: Python 3.11 or 3.12 is needed and was not found; install it or set PYTHON" >&2
  exit 2
}

debian() { # install Debian packages where that is possible; say what is missing where it is not
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
  else
    echo "setup: please install these Debian packages: $*" >&2
    return 1
  fi
}

world_packages() { # what the world needs from Debian: it draws with real fonts and speaks with a second synthesizer
  if ! ls /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc /usr/share/fonts/opentype/inter/Inter-Regular.otf \
    /usr/lib/*/libflite.so.1 >/dev/null 2>&1; then
    debian fonts-noto-cjk fonts-noto-core fonts-wqy-zenhei fonts-wqy-microhei fonts-droid-fallback \
      fonts-roboto-unhinted fonts-open-sans fonts-lato fonts-inter fonts-liberation2 fonts-cantarell fonts-dejavu \
      fonts-material-design-icons-iconfont fonts-font-awesome libflite1 libgl1 libegl1 libfontconfig1 ||
      echo "setup: without them the world can't be drawn and its tests fail" >&2
  fi
}

cpu_only() { # PyPI's wheels for Linux bring gigabytes of CUDA libraries, which such a machine can't use
  local told # without -q, which silences this too; to its end, for `grep -q` on a pipe leaves and pip fails for it
  told=$(.venv/bin/python -m pip config list) || return 1
  [ "$(uname -sm)" = "Linux x86_64" ] && [ ! -e /dev/nvidiactl ] && ! command -v nvidia-smi >/dev/null &&
    ! grep -qE 'index|find-links' <<<"$told"
}

install_torch() {
  if [ -n "${TORCH_INDEX_URL:-}" ]; then
    "${pip[@]}" install --index-url "$TORCH_INDEX_URL" "torch==$torch"
  elif cpu_only && "${pip[@]}" install --index-url https://download.pytorch.org/whl/cpu "torch==$torch"; then
    echo "setup: no NVIDIA GPU found, so PyTorch is the CPU-only one; TORCH_INDEX_URL chooses another index"
  else
    "${pip[@]}" install "torch==$torch"
  fi
}

python=$(find_python)
# Looked at each time: what could not be installed once is said again, before the tests that need it fail.
case ",$extras," in *,train,*) world_packages ;; esac
stamp=$({ cat pyproject.toml scripts/setup.sh; echo "$extras $torch $("$python" -V)"; } | sha256sum | cut -c1-64)
mark=.venv/.stamp-${extras//,/-} # one for each set of extras: installing another set takes nothing away
if [ "$(cat "$mark" 2>/dev/null)" = "$stamp" ]; then exit 0; fi

echo "setup: making .venv with $("$python" -V), torch $torch, extras [$extras] (a few minutes the first time)"
if [ ! -x .venv/bin/python ]; then
  if ! "$python" -m venv .venv 2>/dev/null; then
    rm -rf .venv
    debian python3-venv
    "$python" -m venv .venv
  fi
fi
pip=(.venv/bin/python -m pip --disable-pip-version-check -q)
install_torch
"${pip[@]}" install -e ".[$extras]"
echo "$stamp" > "$mark"
