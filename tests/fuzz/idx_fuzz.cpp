// SPDX-License-Identifier: MIT
// Any bytes as an IDX file, plain and packed: FileError or an array, the same of both. See fuzz.hpp.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>

#include <parade/io/idx.hpp>

#include "fuzz.hpp"

namespace {

/// Nothing, if it is refused.
std::optional<parade::IdxArray> read(const std::filesystem::path& file) {
  try {
    return parade::read_idx(file);
  } catch (const parade::FileError&) {
    return {};
  }
}

bool same(const parade::IdxArray& a, const parade::IdxArray& b) { return a.shape == b.shape && a.values == b.values; }

}  // namespace

/// The bytes as they are and packed.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::filesystem::path file = fuzz::scratch_file();
  fuzz::write(file, data, size);
  const auto array = read(file);
  fuzz::write_packed(file, data, size);
  const auto packed = read(file);
  if (size < 2 || data[0] != 0x1F || data[1] != 0x8B)  // else packed before, and unpacked once only
    fuzz::require(array ? packed && same(*array, *packed) : !packed, "what is packed is not what is plain");
  if (!array) return 0;
  parade::write_idx(file, *array);
  const auto back = read(file);
  fuzz::require(back && same(*back, *array), "what was written is not what is read");
  return 0;
}
