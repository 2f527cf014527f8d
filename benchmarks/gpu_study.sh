#!/usr/bin/env bash
# The experiments that want two GPUs, side by side in lanes: what recipes cost at size (`recipes.py`), whether a teacher
# helps (`teacher.py`), the recipe at 9B on a card of 10 GB (`compress_9b.py`), and the tests that need a GPU.
#
#     benchmarks/gpu_study.sh [OUT] [LANE…]        # OUT: runs/study; lanes: tests teacher card heal int8 int4; all
#
# Everything goes on where it stopped when it is called again. About 25 minutes on two H200s with 32 cores; memory: 50 GB
# for each training, two on a GPU at a time. Nothing is compiled: in runs of minutes compiling costs more than it gives.
# Logs and times lie in OUT/log; a line of OUT/log/times is a part that ended, with its exit status.
set -u
cd "$(dirname "$0")/.."
out=${1:-runs/study}
shift || true
lanes=${*:-tests teacher card heal int8 int4}
mkdir -p "$out/log"
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} PYTORCH_ALLOC_CONF=expandable_segments:True
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
count=${COUNT:-60}     # answers a category
steps=${STEPS:-320}    # of healing
minutes=${MINUTES:-8}  # of the teacher
began=$(date +%s)

part() { # NAME COMMAND…: its output to a log, its end to `times`
  local name=$1
  shift
  "$@" >>"$out/log/$name.log" 2>&1
  echo "$(($(date +%s) - began)) s: $name $?" >>"$out/log/times"
}

recipe() { # NAME OPTION…: compress, then ask beside what else runs
  local name=$1
  shift
  local study=("$python" benchmarks/recipes.py --out "$out/recipes" --recipes "$name" --count "$count" --draw-workers 4
    --device cuda)
  part "$name" "${study[@]}" --stage compress "$@"
  part "$name-asked" "${study[@]}" --stage ask "$@" &
}

lane_tests() {
  export CUDA_VISIBLE_DEVICES=1
  part tests "$python" -m pytest -q -p no:cacheprovider tests/test_compress_kernels.py tests/test_cuda_graphs.py \
    tests/test_quantized_cuda.py tests/test_towers_cuda.py
}

lane_teacher() {
  export CUDA_VISIBLE_DEVICES=0
  local common="--no-lessons --no-compile --decay-from 0.3"
  local study=("$python" benchmarks/teacher.py --gpus 1 --out "$out/teacher" --prepared "$out/prepared" --workers 8
    --minutes "$minutes" --steps "$steps" --count "$count" --draw-workers 4 --device cuda
    "--teacher-options=$common --warmup-steps 40 --muon-lr 0.01 --adam-lr 0.00133"
    "--pupil-options=$common --warmup-steps 40 --muon-lr 0.006 --adam-lr 0.0008")
  part teacher "${study[@]}" --stage teacher
  part without "${study[@]}" --stage pupils --pupil without &
  part with "${study[@]}" --stage pupils --pupil with &
  part asked-teacher "${study[@]}" --stage ask --asked teacher &
  wait
  part asked-pupils "${study[@]}" --stage ask --asked pupils
  part table "${study[@]}" --stage table
}

lane_card() {
  export CUDA_VISIBLE_DEVICES=0
  part card "$python" benchmarks/compress_9b.py --device cuda --card 10 --work "$out/9b"
}

lane_heal() {
  export CUDA_VISIBLE_DEVICES=1
  recipe pruned --trained "steps=$steps,batches=0.6,workers=7"
  recipe shared --trained "steps=$steps,batches=0.6,workers=7"
  wait
}

lane_int8() {
  export CUDA_VISIBLE_DEVICES=1
  recipe int8-w8a8
  recipe int8-qat --trained "steps=$((steps / 2)),batches=0.6,workers=5"
  wait
}

lane_int4() {
  export CUDA_VISIBLE_DEVICES=1
  recipe int4-native --samples 512
  wait
}

for lane in $lanes; do "lane_$lane" & done
wait
part recipes-table "$python" benchmarks/recipes.py --out "$out/recipes" --count "$count" --stage table --device cuda \
  --recipes int8-w8a8,int8-qat,pruned,shared,int4-native
cat "$out/log/times"
echo "wrote $out/recipes/table.md, $out/teacher/table.md and logs in $out/log"
