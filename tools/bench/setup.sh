#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The other side of the comparisons: PyTorch and transformers, in an environment of their own under build/bench-venv.
# Nothing of Hadal needs them. PyPI's torch carries CUDA's libraries too (about 7 GB on disk, never used here);
# TORCH_INDEX=URL takes torch from another index, such as one of wheels for the CPU alone.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=build/bench-venv
packages=(transformers==5.23.0 safetensors numpy)
torch=torch==2.9.1

fail() {
  echo "error: $*" >&2
  exit 1
}

if [ ! -x $venv/bin/pip ]; then
  /usr/bin/python3 -m venv $venv || fail "a virtual environment cannot be made; on Debian: apt-get install python3-venv"
fi
$venv/bin/pip install -q --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} $torch
$venv/bin/pip install -q --no-cache-dir "${packages[@]}"
$venv/bin/python -c 'import torch, transformers
print("bench: torch", torch.__version__, "and transformers", transformers.__version__)'
