#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tools/test.sh [PRESET]: set-up, configuration, build and all tests of a preset (release, sanitize, or thread). The last
# line is "N passed, N failed" over all runners; the exit code is 0 only when something ran and nothing failed.
#
# thread has no compiler of its own: HADAL_COMPILER is the hadal-compile for its tests; that of release, built first, without it.
set -uo pipefail
cd "$(dirname "$0")/.."
. tools/phases.sh

preset=${1:-release}
report=build/$preset/test/report.json

# A phase before the tests that fails counts as the one failure.
step() {
  "$@" && return
  echo "error: failed: $*" >&2
  phase_times
  echo "0 passed, 1 failed"
  exit 1
}

case $preset in
  release | sanitize | thread) ;;
  *)
    echo "error: PRESET: found '$preset'; allowed: release, sanitize, thread" >&2
    exit 2
    ;;
esac

phase set-up
step tools/setup.sh
phase configure
settings=(-Wno-dev --log-level=WARNING)
if [ "$preset" = thread ]; then
  [ -n "${HADAL_COMPILER:-}" ] || step cmake --preset release "${settings[@]}"
  settings+=("-DHADAL_COMPILER=${HADAL_COMPILER:-$PWD/build/release/bin/hadal-compile}")
fi
step cmake --preset "$preset" "${settings[@]}"
phase build
if [ "$preset" = thread ] && [ -z "${HADAL_COMPILER:-}" ]; then
  step cmake --build --preset release --target hadal-compile
fi
step cmake --build --preset "$preset" --target all build-tests
phase tests
rm -f "$report"
cmake --build --preset "$preset" --target check-hadal
status=$?
phase_times
python3 tools/count-tests.py "$report" && [ $status = 0 ]
