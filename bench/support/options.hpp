// SPDX-License-Identifier: MIT
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include <CLI/CLI.hpp>

// Options of the programs, and checks for CLI11: each answers what is wrong, or nothing.
namespace bench {

inline std::string positive(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return end != text.c_str() && *end == '\0' && value > 0 ? "" : "must be a number above 0; got " + text;
}

/// So that it is found before the measuring and not after.
inline std::string can_be_written(const std::string& file) {
  const auto folder = std::filesystem::absolute(file).parent_path();
  return std::filesystem::is_directory(folder) ? "" : "must lie in a folder that is there; got " + file;
}

/// The options that all programs have that train on MNIST.
template <class Options>
void add_common(CLI::App& app, Options& options) {
  app.add_option("--samples", options.samples, "train on the first so many samples only")->check(positive);
  app.add_option("--data", options.data,
                 "folder with the files of MNIST (default: mnist in the folder that PARADE_DATA names, else synthetic digits)");
  app.add_option("--seed", options.seed, "of the starting theta and of the order of the samples")->capture_default_str();
  app.add_option("--json", options.json, "write all results to this file")->check(can_be_written);
}

}  // namespace bench
