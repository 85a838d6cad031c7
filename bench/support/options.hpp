// SPDX-License-Identifier: MIT
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

// Checks for the options of CLI11: each answers what is wrong, or nothing.
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

}  // namespace bench
