# SPDX-License-Identifier: Apache-2.0
#
# The GoogleTest binaries in <build>/test/unit/bin; each of their tests counts as one test.

import os

import lit.formats

config.name = "hadal-unit"
config.test_format = lit.formats.GoogleTest("bin", "Tests")
config.test_source_root = os.path.join(config.hadal_build_dir, "test", "unit")
config.test_exec_root = config.test_source_root
config.environment["PATH"] = os.pathsep.join(
    [os.path.join(config.hadal_build_dir, "bin"), config.llvm_tools_dir, os.environ["PATH"]]
)

lit_config.load_config(config, os.path.join(config.hadal_source_dir, "test", "lit.common.py"))
