// SPDX-License-Identifier: Apache-2.0
//
// A temporary folder for one test, and expectations on error messages.

#ifndef HADAL_TEST_UNIT_RUNTIME_TESTFOLDER_H
#define HADAL_TEST_UNIT_RUNTIME_TESTFOLDER_H

#include "runtime/support/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace hadal::rt {

class TestFolder {
public:
  TestFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "hadal-test-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
  }
  ~TestFolder() { std::filesystem::remove_all(folder); }
  std::string operator/(const std::string &name) const { return (folder / name).string(); }
  std::string path() const { return folder.string(); }
  std::string write(const std::string &name, const std::string &content) const {
    std::ofstream(*this / name, std::ios::binary) << content;
    return *this / name;
  }

private:
  std::filesystem::path folder;
};

/// Runs fn and returns the message of the InputError it throws; fails when it throws none.
template <typename Fn> std::string refusal(Fn fn) {
  try {
    fn();
  } catch (const InputError &error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return {};
}

} // namespace hadal::rt

#endif
