#!/usr/bin/env bash
# Sets up what is needed and serves the bundled mini model on http://localhost:8000. Arguments go to `autoglm-phone serve`.
set -euo pipefail
cd "$(dirname "$0")"
scripts/setup.sh "${EXTRAS:-speech}"
exec .venv/bin/autoglm-phone serve "$@"
