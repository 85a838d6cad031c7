// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <istream>
#include <limits>
#include <new>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include <parade/core/config.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>

#if PARADE_HAS_ZLIB
#include <zlib.h>
#endif

namespace parade {

/// An array of bytes with 1 to 3 dimensions, the last one running fastest: 60000 images of 28 rows and 28 columns have shape {60000, 28, 28}.
struct IdxArray {
  std::vector<Index> shape;
  std::vector<std::uint8_t> values;
};

namespace detail {

[[noreturn]] inline void fail_at(const std::filesystem::path& file, std::uint64_t byte, const std::string& found,
                                 const std::string& expected) {
  throw FileError(text(file.string(), ": byte ", byte, ": found ", found, ", expected ", expected));
}

#if PARADE_HAS_ZLIB

/// Unpacks what gzip packed (RFC 1952): one member or several, each with its checksum, and nothing behind them.
class Gunzip {
 public:
  Gunzip(const std::filesystem::path& file, std::istream& packed) : file_(file), packed_(packed) {
    if (inflateInit2(&stream_, 15 + 16) != Z_OK) throw std::bad_alloc{};  // the largest window, and gzip's header
  }
  Gunzip(const Gunzip&) = delete;
  Gunzip& operator=(const Gunzip&) = delete;
  ~Gunzip() { inflateEnd(&stream_); }

  /// Fewer bytes than asked for only at the end.
  std::size_t read(std::span<std::uint8_t> to) {
    std::size_t done = 0;
    while (done < to.size()) {
      if (stream_.avail_in == 0) refill();
      if (stream_.avail_in == 0 && member_complete_) break;
      if (stream_.avail_in == 0) fail("the end of the file");
      if (member_complete_) inflateReset(&stream_);
      const auto room = static_cast<uInt>(std::min<std::size_t>(to.size() - done, std::numeric_limits<uInt>::max()));
      stream_.next_out = to.data() + done;
      stream_.avail_out = room;
      const int status = inflate(&stream_, Z_NO_FLUSH);
      if (status != Z_OK && status != Z_STREAM_END)
        fail(text("bytes that do not unpack (", stream_.msg ? stream_.msg : "no reason given", ")"));
      member_complete_ = status == Z_STREAM_END;
      done += room - stream_.avail_out;
    }
    return done;
  }

 private:
  void refill() {
    packed_.read(reinterpret_cast<char*>(buffer_.data()), static_cast<std::streamsize>(buffer_.size()));
    stream_.next_in = buffer_.data();
    stream_.avail_in = static_cast<uInt>(packed_.gcount());
    taken_ += stream_.avail_in;
  }
  [[noreturn]] void fail(const std::string& found) const {
    fail_at(file_, taken_ - stream_.avail_in, found, "a whole gzip file and nothing behind it");
  }

  std::filesystem::path file_;
  std::istream& packed_;
  z_stream stream_{};
  std::array<Bytef, 1 << 16> buffer_;
  std::uint64_t taken_ = 0;  // from the file so far
  bool member_complete_ = false;
};

#else

class Gunzip {
 public:
  Gunzip(const std::filesystem::path& file, std::istream&) {
    throw FileError(
        text(file.string(), ": is packed by gzip; unpack it with gunzip, or compile with -DPARADE_WITH_ZLIB and link with -lz"));
  }
  std::size_t read(std::span<std::uint8_t>) { return 0; }
};

#endif

/// The bytes of a file from the first to the last, unpacked if they are packed by gzip: its first two bytes tell, not its name.
class ByteReader {
 public:
  explicit ByteReader(const std::filesystem::path& file) : file_(file) {
    std::error_code ignored;
    if (std::filesystem::exists(file, ignored) && !std::filesystem::is_regular_file(file, ignored))
      throw FileError(text(file.string(), ": is ", std::filesystem::is_directory(file, ignored) ? "a directory" : "a device or pipe",
                           ", expected a file"));
    in_.open(file, std::ios::binary);
    if (!in_) throw FileError(text(file.string(), ": cannot be opened: ", std::generic_category().message(errno)));

    std::array<char, 2> first{};
    in_.read(first.data(), first.size());
    in_.clear();
    in_.seekg(0, std::ios::end);
    size_ = static_cast<std::uint64_t>(in_.tellg());
    in_.seekg(0);
    if (first == std::array{'\x1F', '\x8B'}) gunzip_.emplace(file, in_);
  }

  /// The number of bytes, where the file is not packed.
  std::optional<std::uint64_t> size() const { return gunzip_ ? std::nullopt : std::optional{size_}; }
  std::uint64_t offset() const { return offset_; }  // bytes read so far, after unpacking

  /// The next bytes, fewer than asked for only at the end of the file.
  std::size_t read(std::span<std::uint8_t> to) {
    std::size_t count = 0;
    if (gunzip_) {
      count = gunzip_->read(to);
    } else {
      in_.read(reinterpret_cast<char*>(to.data()), static_cast<std::streamsize>(to.size()));
      count = static_cast<std::size_t>(in_.gcount());
    }
    if (in_.bad()) throw FileError(text(file_.string(), ": byte ", offset_ + count, ": cannot be read"));
    offset_ += count;
    return count;
  }

  [[noreturn]] void fail(std::uint64_t byte, const std::string& found, const std::string& expected) const {
    fail_at(file_, byte, found, expected);
  }

 private:
  std::filesystem::path file_;
  std::ifstream in_;
  std::optional<Gunzip> gunzip_;
  std::uint64_t size_ = 0;
  std::uint64_t offset_ = 0;
};

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
  detail::ByteReader in{file};
  const auto hex = [](unsigned byte) { return std::string{"0x"} + "0123456789ABCDEF"[byte >> 4] + "0123456789ABCDEF"[byte & 15]; };

  const auto [zero0, zero1, type, rank] = detail::read_idx_field(in, "an IDX header of 8 bytes or more");
  if (zero0 != 0 || zero1 != 0) in.fail(0, hex(zero0) + ' ' + hex(zero1), "0x00 0x00, the start of an IDX file");
  if (type != 0x08) in.fail(2, detail::text("type ", hex(type), " (", detail::idx_type_name(type), ")"), "type 0x08 (unsigned byte)");
  if (rank < 1 || rank > 3) in.fail(3, detail::text("rank ", int{rank}), "rank 1, 2 or 3");

  IdxArray array;
  std::uint64_t total = 1;
  for (int i = 0; i < rank; ++i) {
    const auto byte = in.offset();
    const auto field = detail::read_idx_field(in, detail::text("the size of dimension ", i + 1, " of ", int{rank}));
    const std::uint64_t size =
        (std::uint64_t{field[0]} << 24) | (std::uint64_t{field[1]} << 16) | (std::uint64_t{field[2]} << 8) | field[3];
    array.shape.push_back(static_cast<Index>(size));
    if (size != 0 && total > static_cast<std::uint64_t>(std::numeric_limits<Index>::max()) / size)
      in.fail(byte, "the dimensions " + detail::idx_shape_text(array.shape), "a product below 2^63");
    total *= size;
  }

  const auto start = in.offset();
  const auto expected = detail::text(total, " (", detail::idx_shape_text(array.shape), ")");
  if (in.size() && *in.size() - start != total) in.fail(start, detail::text(*in.size() - start, " bytes of data"), expected);
  auto& values = array.values;
  if (in.size()) values.reserve(total);
  while (values.size() < total) {
    const auto done = values.size(), piece = std::min(static_cast<std::size_t>(total) - done, std::max<std::size_t>(done, 1 << 20));
    values.resize(done + piece);
    const auto got = in.read(std::span{values}.subspan(done));
    if (got < piece) in.fail(start, detail::text(done + got, " bytes of data"), expected);
  }
  std::array<std::uint8_t, 1> more{};  // reading on also makes zlib compare the checksum
  if (in.read(more) > 0) in.fail(start, detail::text("more than ", total, " bytes of data"), expected);
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

  auto partial = file;
  partial += detail::text(".", std::random_device{}(), ".part");
  const auto fail = [&](const std::string& why) {
    std::error_code ignored;
    std::filesystem::remove(partial, ignored);
    throw FileError(detail::text(file.string(), ": cannot be written: ", why));
  };
  if (file.extension() == ".gz") {
#if PARADE_HAS_ZLIB
    const gzFile out = gzopen(partial.string().c_str(), "wb");
    if (!out) fail(std::generic_category().message(errno));
    const bool written = gzfwrite(bytes.data(), 1, bytes.size(), out) == bytes.size();
    if (const bool closed = gzclose(out) == Z_OK; !written || !closed) fail(std::generic_category().message(errno));
#else
    fail("a .gz file needs zlib: compile with -DPARADE_WITH_ZLIB and link with -lz");
#endif
  } else {
    std::ofstream out{partial, std::ios::binary};
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    out.close();
    if (!out) fail(std::generic_category().message(errno));
  }
  std::error_code error;
  std::filesystem::rename(partial, file, error);
  if (error) fail(error.message());
}

}  // namespace parade
