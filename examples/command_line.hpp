// SPDX-License-Identifier: MIT
// What the command lines of the larger examples have in common.
#pragma once

#include <cerrno>
#include <charconv>
#include <concepts>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>

#include <parade/core/error.hpp>

/// Takes whole numbers in [low, high], real ones in [low, high). (CLI11's own ranges let NaN pass, and its conversion reads 010 as 8.)
template <class Number>
CLI::Validator in(Number low, Number high) {
  constexpr bool whole = std::integral<Number>;
  const auto check = [=](std::string& text) {
    Number x{};
    std::ostringstream rule;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), x);
    if (error != std::errc{} || end != text.data() + text.size() || !(low <= x && (whole ? x <= high : x < high)))
      rule << "must be a " << (whole ? "whole " : "") << "number in [" << low << ", " << high << (whole ? "]" : ")") << "; got '" << text
           << "'";
    else if (whole)
      text = std::to_string(x);
    return rule.str();
  };
  return {check, ""};
}

/// A file that the command line names, and the option that does.
struct NamedFile {
  std::string option, file;
};

/// Throws for a file to be written that is one to be read, or is to be written twice: whatever was in it would be lost.
inline void check_apart(const std::vector<NamedFile>& read, const std::vector<NamedFile>& written) {
  const auto is_same = [](const std::string& a, const std::string& b) {
    std::error_code ignored;
    return std::filesystem::equivalent(a, b, ignored) ||
           std::filesystem::weakly_canonical(std::filesystem::absolute(a, ignored), ignored) ==
               std::filesystem::weakly_canonical(std::filesystem::absolute(b, ignored), ignored);
  };
  std::vector<NamedFile> others = read;
  for (const NamedFile& output : written) {
    for (const NamedFile& other : others)
      if (is_same(other.file, output.file))
        throw parade::OptionError(output.option + " must name another file than " + other.option + "; both are '" + output.file + "'");
    others.push_back(output);
  }
}

/// Writes a file as a whole or not at all: under another name, then moved. Without content it only finds out whether it can. `option` is
/// what named the file.
inline void write(const std::string& option, const std::string& file, const std::optional<std::string>& content) {
  std::error_code error, ignored;
  if (file.empty() || file == "-" || (std::filesystem::exists(file, error) && !std::filesystem::is_regular_file(file, error)))
    throw std::runtime_error(option + " must name a plain file; got '" + file + "'");
  const std::string draft = file + "." + std::to_string(std::random_device{}()) + ".part";
  errno = 0;
  std::ofstream out(draft);
  out << content.value_or("");
  out.close();
  error.assign(out ? 0 : errno, std::generic_category());
  if (out && content) std::filesystem::rename(draft, file, error);
  std::filesystem::remove(draft, ignored);
  if (!out || error) throw std::runtime_error(option + ": cannot write '" + file + "': " + error.message());
}
