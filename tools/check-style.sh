#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tools/check-style.sh [FILE...]: clang-format and clang-tidy over the C++ sources (all tracked ones by default), and the
# limit of 1,000 lines a file. Needs a built preset `release`, for its compile commands and generated headers.
set -uo pipefail
cd "$(dirname "$0")/.."

if [ $# -gt 0 ]; then
  files=("$@")
else
  mapfile -t files < <(git ls-files '*.cpp' '*.h')
fi
sources=()
for file in "${files[@]}"; do
  [[ $file == *.cpp ]] && grep -qF "/$file\"" build/release/compile_commands.json && sources+=("$file")
done

status=0
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 16 clang-format-22 --dry-run -Werror || status=1
for file in "${files[@]}"; do
  lines=$(wc -l <"$file")
  if [ "$lines" -gt 1000 ]; then
    echo "$file: $lines lines; allowed: 1000" >&2
    status=1
  fi
done
if [ ${#sources[@]} -gt 0 ]; then
  printf '%s\n' "${sources[@]}" | xargs -P "$(nproc)" -n 1 clang-tidy-22 --quiet -p build/release \
    --extra-arg=-isystem"$PWD/build/release" || status=1
fi
[ $status = 0 ] && echo "${#files[@]} files formatted, ${#sources[@]} sources tidy"
exit $status
