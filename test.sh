#!/usr/bin/env bash
# Sets up what is needed, then lint, types and tests. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")"
scripts/setup.sh speech,train,bench,dev
.venv/bin/ruff check .
.venv/bin/ruff format --check -q .
.venv/bin/mypy
# Two processes, each with one thread: many tests wait for a server of their own.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec .venv/bin/python -m pytest -n "${TEST_PROCESSES:-2}" --dist loadfile "$@"
