#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs what Hadal is built and tested with, from Debian 12 alone. Safe to run again: it installs what is missing and
# nothing else. Needs root or sudo only when something is missing.
set -euo pipefail

packages=(
  # build system
  cmake ninja-build ccache git
  # compiler, linker and the libraries Hadal is made of
  clang-22 lld-22 liblld-22-dev llvm-22-dev llvm-22-tools libmlir-22-dev mlir-22-tools zlib1g-dev libzstd-dev
  # small libraries of the front end and the runtime
  libflatbuffers-dev flatbuffers-compiler nlohmann-json3-dev libcli11-dev libasio-dev
  # tests, sanitizer build, code style
  libgtest-dev libgmock-dev python3 python3-numpy python3-psutil libclang-rt-22-dev clang-tidy-22 clang-format-22
  # ranks as processes; only tests need it
  openmpi-bin
  # text of the quick start
  bible-kjv
)

fail() {
  echo "error: $*" >&2
  exit 1
}

os_release=${OS_RELEASE:-/etc/os-release} # another file: for the test of the refusal
[ -r "$os_release" ] || fail "this system has no $os_release; Hadal is set up on Debian 12 (bookworm)"
# shellcheck source=/dev/null
. "$os_release"
if [ "${ID:-}" != debian ] || [ "${VERSION_ID:-}" != 12 ]; then
  fail "found ${PRETTY_NAME:-an unknown system}; this script knows Debian 12 (bookworm) only. Elsewhere install" \
    "by hand what these packages hold: ${packages[*]}"
fi
[ "$(dpkg --print-architecture)" = amd64 ] || fail "found $(dpkg --print-architecture); Hadal runs on amd64"

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} = 0 ]; then
  echo "set-up: all ${#packages[@]} packages are installed"
  exit 0
fi

echo "set-up: installing ${#missing[@]} of ${#packages[@]} packages: ${missing[*]}"
as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || fail "installing packages needs root; run this as root or install sudo"
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q ||
  fail "apt-get update failed; the package lists of Debian 12 cannot be read (see above)"
"${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" ||
  fail "installation failed (see above). LLVM 22 comes from Debian's security suite: /etc/apt must list" \
    "'deb http://deb.debian.org/debian-security bookworm-security main'"
echo "set-up: done"
