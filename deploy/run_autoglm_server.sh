#!/usr/bin/env bash
# Starts the server under the name that phone agents expect. Works from any folder.
#
#   deploy/run_autoglm_server.sh                          the bundled mini model on port 8000
#   MODEL=/models/AutoGLM-Phone-9B deploy/run_autoglm_server.sh --max-model-len 25480
#   PORT=9000 deploy/run_autoglm_server.sh --api-key secret
#
#   deploy/run_autoglm_server.sh --exit-policy lossless --tower-memory 20000000 --response-cache-mb 64
#   ENABLE_DYNAMIC_GRAPH=False deploy/run_autoglm_server.sh          the static model, for comparison
#
# Everything on the command line goes to `autoglm-phone serve`.
set -euo pipefail

root="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd)"

# The project's own virtual environment, if there is one; else whatever is on PATH.
if [[ -x "$root/.venv/bin/autoglm-phone" ]]; then
  command=("$root/.venv/bin/autoglm-phone")
elif command -v autoglm-phone >/dev/null 2>&1; then
  command=(autoglm-phone)
else
  echo "autoglm-phone is not installed: follow the README's first command, or activate its environment" >&2
  exit 2
fi

exec "${command[@]}" serve \
  --model "${MODEL:-mini}" \
  --served-model-name "${SERVED_MODEL_NAME:-autoglm-phone-9b}" \
  --host "${HOST:-0.0.0.0}" \
  --port "${PORT:-8000}" \
  "$@"
