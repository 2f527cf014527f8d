#!/usr/bin/env bash
# Sets up what is needed, then lint, types and tests. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")"
scripts/setup.sh speech,train,bench,dev
.venv/bin/ruff check .
.venv/bin/ruff format --check -q .
.venv/bin/mypy
exec .venv/bin/python -m pytest "$@"
