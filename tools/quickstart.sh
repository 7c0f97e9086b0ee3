#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# From a bare Debian 12 to a language model of one's own: set-up, build, then compile the model `nano` (6.5 million
# parameters), train it on the King James text and let it continue a prompt. Run again, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/phases.sh

bin=build/release/bin
run=build/quickstart
steps=300

phase set-up
tools/setup.sh
phase configure
cmake --preset release -Wno-dev --log-level=WARNING
phase build
cmake --build --preset release --target hadal-compile hadal-run
mkdir -p "$run"

show() {
  echo "\$ $*"
  "$@"
}

phase compile
bible -f gen1:1-rev22:21 >"$run/king-james.txt"
show "$bin/hadal-compile" examples/nano/config.json --plan examples/nano/plan.json --target cpu -o "$run/nano.hadal"
phase train
show "$bin/hadal-run" train "$run/nano.hadal" --data "$run/king-james.txt" --steps $steps --checkpoint "$run/checkpoints" \
  --resume auto --validation-every 50 --metrics "$run/metrics.jsonl"
phase generate
show "$bin/hadal-run" generate "$run/nano.hadal" --weights "$run/checkpoints/step-$(printf %09d $steps)" \
  --prompt "And God said unto Moses, " --temperature 0.7 --top-p 0.9 --seed 1 --max-tokens 300
echo
phase_times
