# SPDX-License-Identifier: Apache-2.0
#
# Helpers for the CMakeLists.txt of a layer.
#
#   hadal_tablegen(TARGET FILE X.td OUTPUTS out.h.inc "-gen-op-decls" out.cpp.inc "-gen-op-defs" ...)
#       runs mlir-tblgen; each output lands in the folder's mirror in the build tree, so that sources include it as
#       "dialects/Hadal/out.h.inc". An option string may hold several words ("-gen-dialect-decls -dialect=hadal").
#   hadal_flatbuffers(TARGET FILE x.fbs)
#       runs flatc; sources include "<folder>/x_generated.h".
#   hadal_add_library(TARGET a.cpp b.cpp [MLIR] [HOT] [LINK lib...] [TABLEGEN target...])
#       a static library. MLIR: compiler side (LLVM and MLIR headers, precompiled; no exceptions; linked to the shared
#       MLIR). Without MLIR: runtime side (exceptions, no LLVM in sight). HOT: a compiler library whose own speed
#       matters (-O2 instead of -O1). TABLEGEN: hadal_tablegen and hadal_flatbuffers targets of its own that must run
#       first; those of the libraries it LINKs come with them.
#   hadal_add_tool(TARGET main.cpp [MLIR] [LINK lib...])
#       an executable in <build>/bin.
#   hadal_add_unit_test(TARGET a.cpp [MLIR] [EXCEPTIONS] [LINK lib...])
#       a GoogleTest binary that check-hadal runs; TARGET ends in Tests. EXCEPTIONS: a test of both sides, with MLIR and
#       with the runtime's headers that throw.
#
#   hadal_add_folders()
#       adds every child folder that has a CMakeLists.txt; a new folder is found at the next build.
#
# In a build of the runtime alone (HADAL_RUNTIME_ONLY, the preset `thread`) libraries and tests with MLIR are left out.
#
# Sources include each other by the path from the top ("dialects/Hadal/Hadal.h").

set(HADAL_COMPILER_FLAGS -O1 -fno-semantic-interposition)
set(HADAL_HOT_FLAGS -O2)
set(HADAL_RUNTIME_FLAGS -O2)
if(HADAL_SANITIZE)
  set(HADAL_HOT_FLAGS -O1)
  set(HADAL_RUNTIME_FLAGS -O1)
endif()

# --- MLIR: one usage requirement and one precompiled header for all compiler libraries --------------------------------

if(NOT HADAL_RUNTIME_ONLY)
  add_library(hadal_mlir_options INTERFACE)
  target_include_directories(hadal_mlir_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
  target_include_directories(hadal_mlir_options SYSTEM INTERFACE ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
  # NDEBUG always: Debian's LLVM is built without assertions, and its debug hooks do not exist in the libraries.
  target_compile_definitions(hadal_mlir_options INTERFACE NDEBUG)
  target_compile_options(hadal_mlir_options INTERFACE ${HADAL_LLVM_DEFINITIONS} ${HADAL_COMPILER_FLAGS})
  target_link_libraries(hadal_mlir_options INTERFACE MLIR LLVM)

  # ccache takes a precompiled header for the same one only if it carries no time stamp.
  add_library(hadal_mlir_pch OBJECT ${PROJECT_SOURCE_DIR}/cmake/MlirHeaders.cpp)
  target_link_libraries(hadal_mlir_pch PRIVATE hadal_mlir_options)
  target_compile_options(hadal_mlir_pch PRIVATE -fno-exceptions "SHELL:-Xclang -fno-pch-timestamp")
  target_precompile_headers(hadal_mlir_pch PRIVATE ${PROJECT_SOURCE_DIR}/cmake/MlirHeaders.h)
endif()

# _hadal_configure(TARGET MLIR EXCEPTIONS HOT): flags, includes and precompiled header of one target.
function(_hadal_configure target mlir exceptions hot)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
  if(mlir)
    target_link_libraries(${target} PRIVATE hadal_mlir_options)
    if(NOT exceptions)
      target_compile_options(${target} PRIVATE -fno-exceptions "SHELL:-Xclang -fno-pch-timestamp")
      target_precompile_headers(${target} REUSE_FROM hadal_mlir_pch)
    endif()
    if(hot)
      target_compile_options(${target} PRIVATE ${HADAL_HOT_FLAGS})
    endif()
  else()
    target_compile_options(${target} PRIVATE ${HADAL_RUNTIME_FLAGS})
    if(NOT HADAL_SANITIZE)
      target_compile_definitions(${target} PRIVATE NDEBUG)
    endif()
  endif()
  get_target_property(type ${target} TYPE)
  if(HADAL_SANITIZE AND NOT HADAL_RUNTIME_ONLY AND type STREQUAL "EXECUTABLE")
    target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/SanitizerLeaks.cpp)
    if(mlir)
      target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/SanitizerDefaults.cpp)
    endif()
  endif()
endfunction()

# --- code generators --------------------------------------------------------------------------------------------------

function(hadal_tablegen target)
  cmake_parse_arguments(ARG "" "FILE" "OUTPUTS" ${ARGN})
  set(source ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_FILE})
  set(includes -I ${PROJECT_SOURCE_DIR})
  foreach(dir ${MLIR_INCLUDE_DIRS})
    list(APPEND includes -I ${dir})
  endforeach()
  set(outputs)
  while(ARG_OUTPUTS)
    list(POP_FRONT ARG_OUTPUTS name options)
    if(NOT options)
      message(FATAL_ERROR "hadal_tablegen(${target}): OUTPUTS takes pairs of a file name and mlir-tblgen's options")
    endif()
    separate_arguments(options UNIX_COMMAND "${options}")
    set(output ${CMAKE_CURRENT_BINARY_DIR}/${name})
    get_filename_component(folder ${output} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(OUTPUT ${output}
      COMMAND ${HADAL_MLIR_TBLGEN} ${options} ${includes} ${source} --write-if-changed -o ${output} -d ${output}.d
      DEPENDS ${source} DEPFILE ${output}.d
      COMMENT "Generating ${name}" VERBATIM)
    list(APPEND outputs ${output})
  endwhile()
  add_custom_target(${target} DEPENDS ${outputs})
endfunction()

function(hadal_flatbuffers target)
  cmake_parse_arguments(ARG "" "FILE" "" ${ARGN})
  get_filename_component(stem ${ARG_FILE} NAME_WE)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${stem}_generated.h)
  add_custom_command(OUTPUT ${output}
    COMMAND ${HADAL_FLATC} --cpp --scoped-enums --gen-object-api -o ${CMAKE_CURRENT_BINARY_DIR}
      ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_FILE}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_FILE}
    COMMENT "Generating ${stem}_generated.h" VERBATIM)
  add_custom_target(${target} DEPENDS ${output})
endfunction()

# --- folders, libraries, tools, tests -------------------------------------------------------------------------------

function(hadal_add_folders)
  file(GLOB children CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} "*/CMakeLists.txt")
  foreach(child ${children})
    get_filename_component(folder ${child} DIRECTORY)
    add_subdirectory(${folder})
  endforeach()
endfunction()

function(hadal_add_library target)
  cmake_parse_arguments(ARG "MLIR;HOT;EXCEPTIONS" "" "LINK;TABLEGEN" ${ARGN})
  if(ARG_MLIR AND HADAL_RUNTIME_ONLY)
    return()
  endif()
  add_library(${target} STATIC ${ARG_UNPARSED_ARGUMENTS})
  _hadal_configure(${target} "${ARG_MLIR}" "${ARG_EXCEPTIONS}" "${ARG_HOT}")
  if(ARG_LINK)
    target_link_libraries(${target} PUBLIC ${ARG_LINK})
  endif()
  if(ARG_TABLEGEN)
    add_dependencies(${target} ${ARG_TABLEGEN})
  endif()
endfunction()

function(hadal_add_tool target)
  cmake_parse_arguments(ARG "MLIR;EXCEPTIONS" "" "LINK;TABLEGEN" ${ARGN})
  add_executable(${target} ${ARG_UNPARSED_ARGUMENTS})
  _hadal_configure(${target} "${ARG_MLIR}" "${ARG_EXCEPTIONS}" "")
  target_link_libraries(${target} PRIVATE ${ARG_LINK})
  if(ARG_TABLEGEN)
    add_dependencies(${target} ${ARG_TABLEGEN})
  endif()
  set_property(GLOBAL APPEND PROPERTY HADAL_TOOLS ${target})
endfunction()

function(hadal_add_unit_test target)
  cmake_parse_arguments(ARG "MLIR;EXCEPTIONS" "" "LINK" ${ARGN})
  if(ARG_MLIR AND HADAL_RUNTIME_ONLY)
    return()
  endif()
  if(NOT target MATCHES "Tests$")
    message(FATAL_ERROR "hadal_add_unit_test(${target}): the name of a unit test ends in Tests")
  endif()
  add_executable(${target} EXCLUDE_FROM_ALL ${ARG_UNPARSED_ARGUMENTS})
  _hadal_configure(${target} "${ARG_MLIR}" "${ARG_EXCEPTIONS}" "")
  target_compile_definitions(${target} PRIVATE HADAL_TEST_DIR="${PROJECT_SOURCE_DIR}/test")
  target_link_libraries(${target} PRIVATE ${ARG_LINK} GTest::gtest GTest::gtest_main GTest::gmock)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/test/unit/bin")
  set_property(GLOBAL APPEND PROPERTY HADAL_UNIT_TESTS ${target})
endfunction()
