// SPDX-License-Identifier: MIT
// Any bytes as an NPY file, a packed one, and an NPZ file: FileError or arrays. See fuzz.hpp.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

#include <parade/io/npy.hpp>

#include "fuzz.hpp"

namespace {

template <class S>
void check_npy(const std::filesystem::path& file) {
  try {
    const auto x = parade::read_npy<S>(file);
    parade::write_npy(file, x);
    fuzz::require(fuzz::same_bits(parade::read_npy<S>(file), x), "what was written is not what is read");
  } catch (const parade::FileError&) {
  }
}

template <class S>
void check_npz(std::string_view bytes) {
  try {
    const parade::NpzFile npz{bytes, "npz"};
    for (const auto& name : npz.names()) {
      std::optional<parade::Matrix<S>> whole;
      try {
        whole = npz.read<S>(name);
      } catch (const parade::FileError&) {
      }
      try {
        parade::detail::NpyRows<S, parade::detail::NpzStream> rows{npz.place(name)};
        if (rows.size() == 0 || rows.row_size() == 0) continue;
        parade::Matrix<S> x(rows.row_size(), rows.size());
        for (parade::Index i = 0, count = 0; i < x.cols(); i += count) {
          count = std::min<parade::Index>(7, x.cols() - i);
          x.middleCols(i, count) = rows.next(count);
        }
        fuzz::require(whole && fuzz::same_bits(x, *whole), "some rows at a time are not what is read at once");
      } catch (const parade::FileError& refused) {  // the values of a row lie all over the file
        fuzz::require(!whole || std::string_view{refused.what()}.find("an array in Fortran order") != std::string_view::npos,
                      "some rows at a time are refused, and all at once are not");
      }
    }
  } catch (const parade::FileError&) {
  }
}

}  // namespace

/// The first byte chooses what the rest is read as.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  static const std::filesystem::path file = fuzz::scratch_file();
  const std::string_view bytes{reinterpret_cast<const char*>(data) + 1, size - 1};
  if (data[0] & 1) {
    data[0] & 2 ? check_npz<float>(bytes) : check_npz<std::int32_t>(bytes);
    return 0;
  }
  if (data[0] & 8)  // packed, so that the number of bytes is not known before
    fuzz::write_packed(file, bytes.data(), bytes.size());
  else
    fuzz::write(file, bytes.data(), bytes.size());
  data[0] & 2   ? data[0] & 4 ? check_npy<float>(file) : check_npy<double>(file)
    : data[0] & 4 ? check_npy<std::uint8_t>(file)
                : check_npy<std::int64_t>(file);
  return 0;
}
