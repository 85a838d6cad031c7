// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <parade/core/random.hpp>
#include <parade/io/file.hpp>

/// A file of gzip members (RFC 1952), one for each part, one behind the other. The name ends in ".gz".
inline void write_members(const std::filesystem::path& file, const std::vector<std::string>& parts) {
  std::string bytes;
  for (const std::string& part : parts) {
    parade::detail::write_file(file, {reinterpret_cast<const std::uint8_t*>(part.data()), part.size()});
    std::ifstream in{file, std::ios::binary};
    bytes.append(std::istreambuf_iterator<char>{in}, {});
  }
  std::ofstream{file, std::ios::binary} << bytes;
}

/// A text in parts of 0 to `most` bytes, cut anywhere, with empty ones at both ends.
inline std::vector<std::string> parts_of(std::string_view text, std::uint64_t seed, std::size_t most) {
  const parade::Random random{seed, parade::Purpose::user};
  std::vector<std::string> parts{""};
  for (std::uint64_t i = 0; !text.empty(); ++i) {
    const std::string_view part = text.substr(0, static_cast<std::size_t>(random.below(i, most + 1)));
    parts.emplace_back(part);
    text.remove_prefix(part.size());
  }
  parts.emplace_back("");
  return parts;
}
