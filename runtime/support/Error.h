// SPDX-License-Identifier: Apache-2.0
//
// The two ways a run ends badly. InputError: a file or a flag was refused (exit code 2). RunError:
// the run itself failed (exit code 1). Messages read `FILE: PLACE: what was found; what is
// allowed`.

#ifndef HADAL_RUNTIME_SUPPORT_ERROR_H
#define HADAL_RUNTIME_SUPPORT_ERROR_H

#include <stdexcept>
#include <string>

namespace hadal::rt {

/// A file or a flag that is refused: tools end with exit code 2.
class InputError : public std::runtime_error {
public:
  explicit InputError(const std::string &message) : std::runtime_error(message) {}
  InputError(const std::string &file, const std::string &message)
      : std::runtime_error(file + ": " + message) {}
};

/// A run that failed on its way: tools end with exit code 1.
class RunError : public std::runtime_error {
public:
  explicit RunError(const std::string &message) : std::runtime_error(message) {}
};

} // namespace hadal::rt

#endif
