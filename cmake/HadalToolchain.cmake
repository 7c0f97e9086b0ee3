# SPDX-License-Identifier: Apache-2.0
#
# Language level, flags, linker and sanitizers: everything that holds for each translation unit of the project.

set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")

if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 22)
  message(FATAL_ERROR "Hadal is built with clang++-22 (found ${CMAKE_CXX_COMPILER_ID} "
    "${CMAKE_CXX_COMPILER_VERSION}); run tools/setup.sh and use the preset 'release' or 'sanitize'")
endif()

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# The optimisation level is set per library (HADAL_COMPILER_FLAGS, HADAL_RUNTIME_FLAGS in Hadal.cmake), so the build
# type itself carries none; NDEBUG is set there too.
set(CMAKE_CXX_FLAGS_RELEASE "")
set(CMAKE_C_FLAGS_RELEASE "")

# -fPIC for executables too (CMake would say -fPIE): a precompiled header serves only one of the two.
add_compile_options(-fPIC)

# No fused multiply-add that the source does not ask for: the numeric contract (docs/rationale) counts on it.
add_compile_options(-Wall -Wextra -Wno-unused-parameter -ffp-contract=off -fvisibility-inlines-hidden)
add_link_options(-fuse-ld=lld -Wl,--gc-sections)

set(HADAL_SANITIZE OFF CACHE STRING
  "ON: AddressSanitizer and UndefinedBehaviorSanitizer; thread: ThreadSanitizer, of the runtime alone")
set(HADAL_RUNTIME_ONLY OFF)
if(HADAL_SANITIZE STREQUAL "thread")
  # LLVM's shared libraries are not instrumented, and the compiler is one thread: the runtime is what this is for.
  set(HADAL_RUNTIME_ONLY ON)
  set(HADAL_COMPILER "${PROJECT_SOURCE_DIR}/build/release/bin/hadal-compile" CACHE FILEPATH
    "hadal-compile of a build without ThreadSanitizer: makes the bundles that the tests run")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer -gline-tables-only)
  add_link_options(-fsanitize=thread)
elseif(HADAL_SANITIZE)
  # LLVM's shared libraries are not instrumented and carry type information of another build: no vptr check.
  set(sanitize -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all)
  add_compile_options(${sanitize} -fno-omit-frame-pointer -gline-tables-only)
  add_link_options(${sanitize})
endif()
