// SPDX-License-Identifier: MIT
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <sys/wait.h>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

inline std::string read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  REQUIRE(in.good());
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write(const std::filesystem::path& file, const std::string& content) {
  std::ofstream out(file, std::ios::binary);
  out << content;
  REQUIRE(out.good());
}

struct Folder : TemporaryFolder {
  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path)) names.insert(entry.path().filename().string());
    return names;
  }
};

struct Run {
  int status;  // exit status; −1 where the program was killed by a signal
  std::string out, err;
};

/// Runs a program in a shell, in `folder`, with output files outside of it. `before` comes before the program: variables, limits.
inline Run run_program(const std::string& program, const Folder& folder, const std::string& arguments, const std::string& before = "") {
  const Folder output;
  const std::string out = (output.path / "out").string(), err = (output.path / "err").string();
  const std::string command = "cd '" + folder.path.string() + "' && unset MNIST_DIR && { " + before + " '" + program + "' " + arguments +
                              " ; } >'" + out + "' 2>'" + err + "' </dev/null";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read(out), read(err)};
}
