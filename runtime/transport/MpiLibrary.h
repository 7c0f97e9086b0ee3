// SPDX-License-Identifier: Apache-2.0
//
// Open MPI, opened at run time, so that one binary runs with and without it. Declared here is the
// part of its binary interface that is used (the same in its versions 3 to 5); handles are pointers
// to objects of the library.

#ifndef HADAL_RUNTIME_TRANSPORT_MPILIBRARY_H
#define HADAL_RUNTIME_TRANSPORT_MPILIBRARY_H

#include <cstddef>
#include <string>
#include <vector>

namespace hadal::rt {

struct MpiLibrary {
  using Handle = void *;
  struct Status {
    int source, tag, error, cancelled;
    std::size_t bytes;
  };
  static constexpr int kThreadMultiple = 3, kErrorTruncate = 15;

  int (*initThread)(int *argc, char ***argv, int required, int *provided) = nullptr;
  int (*finalize)() = nullptr;
  int (*rank)(Handle comm, int *rank) = nullptr;
  int (*size)(Handle comm, int *size) = nullptr;
  int (*setErrorHandler)(Handle comm, Handle handler) = nullptr;
  int (*send)(const void *data, int count, Handle type, int peer, int tag, Handle comm,
              Handle *request) = nullptr;
  int (*receive)(void *data, int count, Handle type, int peer, int tag, Handle comm,
                 Handle *request) = nullptr;
  int (*test)(Handle *request, int *done, Status *status) = nullptr;
  int (*cancel)(Handle *request) = nullptr;
  int (*count)(const Status *status, Handle type, int *count) = nullptr;
  int (*errorText)(int code, char *text, int *length) = nullptr;
  int (*version)(char *text, int *length) = nullptr;

  Handle world = nullptr, byte = nullptr, errorsReturn = nullptr;

  /// What an error code means.
  std::string describe(int code) const;

  /// Opens the first of `names` that there is. Throws InputError that says what was tried and what
  /// to do.
  static MpiLibrary open(const std::vector<std::string> &names);
  /// What HADAL_MPI_LIBRARY names, else the usual names.
  static std::vector<std::string> usualNames();
};

} // namespace hadal::rt

#endif
