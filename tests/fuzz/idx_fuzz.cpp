// SPDX-License-Identifier: MIT
// Any bytes as an IDX file, packed by gzip if they begin like that: FileError or an array. See fuzz.hpp.
#include <cstddef>
#include <cstdint>
#include <filesystem>

#include <parade/io/idx.hpp>

#include "fuzz.hpp"

/// The bytes as they are or, with an odd number of them, packed.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::filesystem::path file = fuzz::scratch_file();
  size % 2 == 1 ? fuzz::write_packed(file, data, size) : fuzz::write(file, data, size);
  try {
    const auto array = parade::read_idx(file);
    parade::write_idx(file, array);
    const auto back = parade::read_idx(file);
    fuzz::require(back.shape == array.shape && back.values == array.values, "what was written is not what is read");
  } catch (const parade::FileError&) {
  }
  return 0;
}
