// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/io/file.hpp>
#include <parade/kernels/huge_pages.hpp>

namespace parade {

/// An array of bytes with 1 to 3 dimensions, the last one running fastest: 60000 images of 28 rows and 28 columns have shape {60000, 28, 28}.
struct IdxArray {
  std::vector<Index> shape;
  std::vector<std::uint8_t> values;
};

namespace detail {

/// The 4 bytes of a header that come next, of which `what` says the meaning.
inline std::array<std::uint8_t, 4> read_idx_field(ByteReader& in, const std::string& what) {
  std::array<std::uint8_t, 4> field{};
  if (in.read(field) < field.size()) in.fail(in.offset(), "the end of the file", what);
  return field;
}

inline const char* idx_type_name(std::uint8_t type) {
  constexpr std::array names{"unsigned byte", "signed byte", "unknown", "16-bit integer", "32-bit integer", "float", "double"};
  return type >= 0x08 && type <= 0x0E ? names[type - 0x08u] : "unknown";
}

inline std::string idx_shape_text(const std::vector<Index>& shape) {
  std::string product;
  for (const Index size : shape) product += text(product.empty() ? "" : " x ", size);
  return product;
}

/// The bytes of an IDX file: the header first, then values, as many as are asked for at a time.
class IdxStream {
 public:
  explicit IdxStream(const std::filesystem::path& file) : in_(file) {
    const auto hex = [](unsigned byte) { return std::string{"0x"} + "0123456789ABCDEF"[byte >> 4] + "0123456789ABCDEF"[byte & 15]; };

    const auto [zero0, zero1, type, rank] = read_idx_field(in_, "an IDX header of 8 bytes or more");
    if (zero0 != 0 || zero1 != 0) in_.fail(0, hex(zero0) + ' ' + hex(zero1), "0x00 0x00, the start of an IDX file");
    if (type != 0x08) in_.fail(2, text("type ", hex(type), " (", idx_type_name(type), ")"), "type 0x08 (unsigned byte)");
    if (rank < 1 || rank > 3) in_.fail(3, text("rank ", int{rank}), "rank 1, 2 or 3");

    std::uint64_t without_zeros = 1;  // a dimension of 0 does not excuse the others: without images, too, the pixels are counted
    for (int i = 0; i < rank; ++i) {
      const auto byte = in_.offset();
      const auto field = read_idx_field(in_, text("the size of dimension ", i + 1, " of ", int{rank}));
      const std::uint64_t size =
          (std::uint64_t{field[0]} << 24) | (std::uint64_t{field[1]} << 16) | (std::uint64_t{field[2]} << 8) | field[3];
      shape_.push_back(static_cast<Index>(size));
      const auto factor = std::max<std::uint64_t>(size, 1);
      if (without_zeros > static_cast<std::uint64_t>(std::numeric_limits<Index>::max()) / factor)
        in_.fail(byte, "the dimensions " + idx_shape_text(shape_), "a product below 2^63, zeros aside");
      without_zeros *= factor;
      total_ *= size;
    }
    start_ = in_.offset();
    if (in_.size() && *in_.size() - start_ != total_) fail(text(*in_.size() - start_));
  }

  const std::vector<Index>& shape() const { return shape_; }
  std::uint64_t total() const { return total_; }  // of values
  bool is_packed() const { return !in_.size(); }

  /// The next values, all of which must be there; the last one of the array must be the last in the file.
  void read(std::span<std::uint8_t> values) {
    const auto got = in_.read(values);
    if (got < values.size()) fail(text(done_ + got));
    done_ += got;
    if (done_ < total_) return;
    std::array<std::uint8_t, 1> more{};  // reading on also makes zlib compare the checksum
    if (in_.read(more) > 0) fail(text("more than ", total_));
  }

 private:
  [[noreturn]] void fail(const std::string& found) const {
    in_.fail(start_, found + " bytes of data", text(total_, " (", idx_shape_text(shape_), ")"));
  }

  ByteReader in_;
  std::vector<Index> shape_;
  std::uint64_t total_ = 1, start_ = 0, done_ = 0;
};

}  // namespace detail

/// Reads an IDX file of unsigned bytes, the format of MNIST (Y. LeCun, C. Cortes, C. Burges: "The MNIST database of handwritten digits"), plain
/// or packed by gzip:
///
///   bytes 0-1   0 0
///   byte 2      type of the values; here always 08, unsigned byte
///   byte 3      rank, the number of dimensions; here 1, 2 or 3
///   from 4 on   the size of each dimension, 4 bytes each, the highest first
///   then        the values
///
/// No memory is taken on the word of a header: a plain file must have the size that its header tells, and of a packed file memory grows with
/// what really comes out of it.
///
/// Throws FileError, naming file, byte (in a gzip file that does not unpack: the packed byte; else the unpacked one), what was found and what
/// was expected: no such file, a directory, another magic number, type or rank, a size that overflows, too few or too many bytes, gzip data
/// that is cut off or corrupt or followed by something else, gzip data in a program without zlib (see PARADE_HAS_ZLIB).
inline IdxArray read_idx(const std::filesystem::path& file) {
  detail::IdxStream in{file};
  IdxArray array{in.shape(), {}};
  auto& values = array.values;
  if (!in.is_packed()) {
    values.reserve(in.total());
    kernels::use_huge_pages(values.data(), values.capacity());
  }
  do {
    const auto done = values.size();
    values.resize(done + std::min(static_cast<std::size_t>(in.total()) - done, std::max<std::size_t>(done, 1 << 20)));
    in.read(std::span{values}.subspan(done));
  } while (values.size() < in.total());
  return array;
}

/// Writes an IDX file, packed by gzip where the name ends in ".gz" (with zlib only). It is written under another name in the same folder first
/// and then renamed, so that nobody ever sees half of it.
///
/// Throws DataError for a rank other than 1, 2 or 3, a dimension outside [0, 2^32), a shape whose product is not the number of values;
/// FileError when the file cannot be written, which leaves what was there before.
inline void write_idx(const std::filesystem::path& file, const IdxArray& array) {
  const auto& [shape, values] = array;
  if (shape.empty() || shape.size() > 3) throw DataError(detail::text("shape must have 1, 2 or 3 dimensions; got ", shape.size()));
  std::vector<std::uint8_t> bytes{0, 0, 0x08, static_cast<std::uint8_t>(shape.size())};
  double total = 1;  // exact up to 2^53 values, and no overflow beyond
  for (const Index size : shape) {
    if (size < 0 || size > 0xFFFFFFFF) throw DataError(detail::text("each dimension must be in [0, 2^32); got ", size));
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(size >> shift));
    total *= static_cast<double>(size);
  }
  if (total != static_cast<double>(values.size()))
    throw DataError(detail::text("values must be as many as the shape tells, ", detail::idx_shape_text(shape), "; got ", values.size()));
  bytes.insert(bytes.end(), values.begin(), values.end());

  detail::write_file(file, bytes);
}

}  // namespace parade
