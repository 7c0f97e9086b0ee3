#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Compiler launcher of the presets: ccache, told that precompiled headers may be cached; the compiler alone where there
# is no ccache.
export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
command -v ccache >/dev/null 2>&1 && exec ccache "$@"
exec "$@"
