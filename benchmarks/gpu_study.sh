#!/usr/bin/env bash
# The experiments that want GPUs, side by side: what recipes cost at size (`recipes.py`), whether a teacher helps
# (`teacher.py`), the recipe at 9B on a card of 10 GB (`compress_9b.py`), dynamic depth at the 9B shape
# (`segment_replay.py`), and the tests that need a GPU.
#
#     benchmarks/gpu_study.sh OUT QUEUE…
#     benchmarks/gpu_study.sh runs/study 0:teacher,with,asked-pupils 1:tests,replay,int8-w8a8,pruned,shared,without,card,int8-qat
#     benchmarks/gpu_study.sh runs/study 0,1:teacher,with,asked-pupils 2:int8-w8a8,pruned,shared 3:replay,without,card,int8-qat
#
# A queue is GPUS:PART,PART,…; its parts run one after another on these GPUs, queues side by side, and answers are asked in
# the background. Parts: tests, replay, card, teacher, with, without, asked-teacher, asked-pupils, or a recipe's name.
# `replay` and `card` are timed: nothing else should run on their GPU.
#
# Everything goes on where it stopped when it is called again. About 25 minutes on four H200s with 64 cores; memory: 50 GB
# for each training. Nothing is compiled: in runs of minutes compiling costs more than it gives. Logs and times lie in
# OUT/log; a line of OUT/log/times is a part that ended, with its exit status.
set -u
cd "$(dirname "$0")/.."
out=${1:?the folder for results, then queues: see the head of this file}
shift
mkdir -p "$out/log"
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} PYTORCH_ALLOC_CONF=expandable_segments:True
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
count=${COUNT:-60}       # answers a category
steps=${STEPS:-320}      # of healing, and of the pupils
minutes=${MINUTES:-8}    # of the teacher
workers=${WORKERS:-8}    # that make data for a training
folder=${RECIPES:-recipes}
samples=${SAMPLES:-}     # of calibration, instead of the recipes' numbers
began=$(date +%s)

part() { # NAME COMMAND…: its output to a log, its end to `times`
  local name=$1
  shift
  "$@" >>"$out/log/$name.log" 2>&1
  echo "$(($(date +%s) - began)) s: $name $?" >>"$out/log/times"
}

ended() { # NAME…: wait for these parts
  local name
  for name; do
    until grep -qs " $name [0-9]*$" "$out/log/times"; do sleep 2; done
  done
}

study() { # STAGE OPTION…: of the teacher
  local common="--no-lessons --no-compile --decay-from 0.3" gpus
  gpus=$(tr ',' '\n' <<<"$CUDA_VISIBLE_DEVICES" | wc -l)
  [ "$1" = teacher ] || gpus=1
  "$python" benchmarks/teacher.py --gpus "$gpus" --out "$out/teacher" --prepared "$out/prepared" --workers "$workers" \
    --minutes "$minutes" --steps "$steps" --count "$count" --draw-workers 4 --device cuda \
    "--teacher-options=$common --warmup-steps 40 --muon-lr 0.01 --adam-lr 0.00133" \
    "--pupil-options=$common --warmup-steps 40 --muon-lr 0.006 --adam-lr 0.0008" --stage "$@"
}

recipe() { # NAME: compress, then ask beside what comes next
  local name=$1 trained="batches=0.6,workers=$workers,steps="
  local run=("$python" benchmarks/recipes.py --out "$out/recipes" --folder "$folder" --recipes "$name" --count "$count"
    --draw-workers 4 --device cuda)
  case $name in
    int8-qat) run+=(--trained "$trained$((steps / 2))") ;;
    pruned | shared) run+=(--trained "$trained$steps") ;;
    *) [ -n "$samples" ] && run+=(--samples "$samples") ;;
  esac
  part "$name" "${run[@]}" --stage compress
  part "$name-asked" "${run[@]}" --stage ask &
}

queue() { # GPUS PART…
  export CUDA_VISIBLE_DEVICES=$1
  shift
  local name
  for name; do
    case $name in
      tests) part tests "$python" -m pytest -q -p no:cacheprovider tests/test_compress_kernels.py \
        tests/test_cuda_graphs.py tests/test_quantized_cuda.py tests/test_towers_cuda.py ;;
      replay) part replay "$python" benchmarks/segment_replay.py --exit-vocab 16384 --seconds 3 --out "$out/replay" ;;
      card) part card "$python" benchmarks/compress_9b.py --device cuda --card 10 --work "$out/9b" ;;
      teacher)
        part teacher study teacher
        part asked-teacher study ask --asked teacher &
        ;;
      with | without) part "$name" study pupils --pupil "$name" ;;
      asked-teacher) part asked-teacher study ask --asked teacher ;;
      asked-pupils)
        ended with without
        part asked-pupils study ask --asked pupils
        ;;
      *) recipe "$name" ;;
    esac
  done
  wait
}

names=()
for one; do
  IFS=, read -ra parts <<<"${one#*:}"
  queue "${one%%:*}" "${parts[@]}" &
  for name in "${parts[@]}"; do [ -f "$folder/$name.yaml" ] && names+=("$name"); done
done
wait
recipes=$(IFS=,; echo "${names[*]}")
[ -n "$recipes" ] && part recipes-table "$python" benchmarks/recipes.py --out "$out/recipes" --count "$count" \
  --stage table --device cuda --recipes "$recipes"
[ -e "$out/teacher/pupils.jsonl" ] && part table study table
cat "$out/log/times"
echo "wrote results and logs below $out"
