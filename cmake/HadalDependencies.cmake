# SPDX-License-Identifier: Apache-2.0
#
# What the build takes from the system; tools/setup.sh installs it.

# The C++ headers of LLVM and MLIR, linked as shared libraries only: a second, static copy of MLIR in one process breaks
# type identity. Targets: LLVM, MLIR, lldELF (a static archive that itself links the shared LLVM).
set(MLIR_LINK_MLIR_DYLIB ON)
list(PREPEND CMAKE_PREFIX_PATH /usr/lib/llvm-22)
find_package(MLIR 22.1 REQUIRED CONFIG)
find_package(LLD 22.1 REQUIRED CONFIG)
separate_arguments(HADAL_LLVM_DEFINITIONS UNIX_COMMAND "${LLVM_DEFINITIONS}")

find_package(Threads REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(GTest 1.12 REQUIRED)
find_package(FlatBuffers 2.0 REQUIRED CONFIG NAMES FlatBuffers flatbuffers)
find_program(HADAL_FLATC flatc REQUIRED)
find_program(HADAL_MLIR_TBLGEN mlir-tblgen HINTS ${LLVM_TOOLS_BINARY_DIR} REQUIRED)

# Asio is a folder of headers without a package file. Nothing of it is linked.
find_path(HADAL_ASIO_INCLUDE asio.hpp REQUIRED)
add_library(asio INTERFACE)
target_include_directories(asio SYSTEM INTERFACE ${HADAL_ASIO_INCLUDE})
target_compile_definitions(asio INTERFACE ASIO_STANDALONE ASIO_NO_DEPRECATED)
target_link_libraries(asio INTERFACE Threads::Threads)
