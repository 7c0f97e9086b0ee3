# SPDX-License-Identifier: Apache-2.0
#
# lit tests: .mlir and .test files in folders that mirror the sources. Tools are found on PATH, ours first, then those of
# LLVM (FileCheck, not, split-file, llvm-nm).

import os
import shutil
import sys

import lit.formats

config.name = "hadal"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["unit", "oracle", "schedules", "Inputs"]
config.test_source_root = os.path.join(config.hadal_source_dir, "test")
config.test_exec_root = os.path.join(config.hadal_build_dir, "test")

bin_dir = os.path.join(config.hadal_build_dir, "bin")
path = [bin_dir, config.llvm_tools_dir, os.environ["PATH"]]
if config.hadal_compiler:  # of another build; what that has beside it comes last
    if not os.access(config.hadal_compiler, os.X_OK):
        lit_config.fatal(f"{config.hadal_compiler}: not there; build hadal-compile, or set HADAL_COMPILER")
    path.append(os.path.dirname(config.hadal_compiler))
config.environment["PATH"] = os.pathsep.join(path)
config.substitutions += [
    ("%{bin}", bin_dir),
    ("%{python}", sys.executable + " -B"),
    ("%{tools}", " ".join(config.hadal_tools)),
    ("%{source}", config.hadal_source_dir),
    ("%{test}", config.test_source_root),
    ("%{oracle}", os.path.join(config.test_source_root, "oracle")),
    ("%{examples}", os.path.join(config.hadal_source_dir, "examples")),
]

if shutil.which("mpirun"):
    config.available_features.add("mpirun")

lit_config.load_config(config, os.path.join(config.test_source_root, "lit.common.py"))
