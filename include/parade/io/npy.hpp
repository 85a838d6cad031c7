// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/core/config.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/io/file.hpp>
#include <parade/io/text.hpp>
#include <parade/kernels/huge_pages.hpp>

#if PARADE_HAS_ZLIB
#include <zlib.h>
#endif

namespace parade {
namespace detail {

/// Bytes in memory, with the interface of ByteReader.
class MemoryReader {
 public:
  MemoryReader(std::span<const std::uint8_t> bytes, std::filesystem::path name, std::uint64_t offset = 0)
      : bytes_(bytes), name_(std::move(name)), start_(offset) {}

  std::optional<std::uint64_t> size() const { return start_ + bytes_.size(); }
  std::uint64_t offset() const { return start_ + at_; }
  const std::filesystem::path& file() const { return name_; }
  std::size_t read(std::span<std::uint8_t> to) {
    const std::size_t count = std::min(to.size(), bytes_.size() - at_);
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at_), count, to.begin());
    at_ += count;
    return count;
  }
  [[noreturn]] void fail(std::uint64_t byte, const std::string& found, const std::string& expected) const {
    fail_at(name_, byte, found, expected);
  }

 private:
  std::span<const std::uint8_t> bytes_;
  std::filesystem::path name_;
  std::uint64_t start_;
  std::size_t at_ = 0;
};

template <std::size_t Bytes>
std::uint64_t little_endian(const std::uint8_t* bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = Bytes; i-- > 0;) number = number << 8 | bytes[i];
  return number;
}

/// How NumPy writes the type of values, without the order of the bytes: "f4", "u1".
template <class Scalar>
std::string npy_type() {
  static_assert(std::is_arithmetic_v<Scalar> && !std::is_same_v<Scalar, bool> && sizeof(Scalar) <= 8,
                "parade: NPY files hold float, double and integers of 8 to 64 bits");
  const char kind = std::is_floating_point_v<Scalar> ? 'f' : std::is_signed_v<Scalar> ? 'i' : 'u';
  return {kind, static_cast<char>('0' + sizeof(Scalar))};
}

/// What an NPY header says.
struct NpyHeader {
  std::string type;  // "f4"
  bool big_endian = false;
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
  std::uint64_t count = 1;  // of values
  std::size_t item = 1;     // bytes of a value
  std::uint64_t begin = 0;  // byte of the first value

  std::string shape_text() const {
    std::string out = "(";
    for (std::size_t i = 0; i < shape.size(); ++i) out += (i > 0 ? ", " : "") + std::to_string(shape[i]);
    return out + (shape.size() == 1 ? ",)" : ")");
  }
};

/// The dictionary in an NPY header: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
template <class Source>
class NpyDictionary {
 public:
  NpyDictionary(std::string_view text, std::uint64_t offset, const Source& source) : text_(text), offset_(offset), source_(source) {}

  NpyHeader parse() {
    bool has_type = false, has_order = false, has_shape = false;
    expect('{');
    while (!take('}')) {
      const std::size_t key_at = at_;
      const std::string key = string("a key");
      expect(':');
      skip();
      if (key == "descr" && !has_type) {
        has_type = true;
        type();
      } else if (key == "fortran_order" && !has_order) {
        has_order = true;
        order();
      } else if (key == "shape" && !has_shape) {
        has_shape = true;
        shape();
      } else {
        fail(key_at, in_quotes(key), "each of 'descr', 'fortran_order' and 'shape' once");
      }
      if (take('}')) break;
      expect(',');
    }
    skip();
    if (at_ < text_.size()) fail(at_, found(), "the end of the header");
    if (!has_type || !has_order || !has_shape)
      fail(at_, "the end of the header", detail::text("'", !has_type ? "descr" : !has_order ? "fortran_order" : "shape", "'"));
    return header_;
  }

 private:
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
  }
  bool take(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail(at_, found(), in_quotes({&c, 1}));
  }
  std::string found() const { return at_ < text_.size() ? in_quotes(text_.substr(at_, 1)) : "the end of the header"; }
  [[noreturn]] void fail(std::size_t at, const std::string& what, const std::string& expected) const {
    source_.fail(offset_ + at, what, expected);
  }

  std::string string(const char* what) {
    skip();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') fail(at_, found(), detail::text(what, " in quotes"));
    const std::size_t begin = at_ + 1, end = text_.find(quote, begin);
    if (end == std::string_view::npos) fail(at_, "a quote that does not end", "a closing quote");
    at_ = end + 1;
    return std::string{text_.substr(begin, end - begin)};
  }

  void type() {
    const std::size_t at = at_;
    if (at_ < text_.size() && text_[at_] == '[') fail(at, "a type with fields", "a type of numbers");
    const std::string type = string("a type");
    const std::string_view known[] = {"b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"};
    const std::string_view rest = std::string_view{type}.substr(std::min<std::size_t>(1, type.size()));
    const bool one_byte = rest.ends_with('1');
    if (type.empty() || std::find(std::begin(known), std::end(known), rest) == std::end(known) ||
        !(type[0] == '<' || type[0] == '>' || (type[0] == '|' && one_byte)))
      fail(at, detail::text("type ", in_quotes(type)), "'|b1', '|u1', '|i1', or '<' or '>' with u2, i2, u4, i4, u8, i8, f4 or f8");
    header_.type = rest;
    header_.big_endian = type[0] == '>';
    header_.item = static_cast<std::size_t>(rest[1] - '0');
  }

  void order() {
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (!text_.substr(at_).starts_with(word)) continue;
      at_ += word.size();
      header_.fortran_order = value;
      return;
    }
    fail(at_, found(), "True or False");
  }

  void shape() {
    expect('(');
    while (!take(')')) {
      std::uint64_t size = 0;
      const std::size_t begin = at_;
      while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9' && at_ - begin < 19)
        size = 10 * size + static_cast<std::uint64_t>(text_[at_++] - '0');
      if (at_ == begin) fail(at_, found(), "the size of a dimension");
      if (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') fail(begin, "a size of 20 digits or more", "one below 2^63");
      if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // Python 2
      header_.shape.push_back(size);
      if (take(')')) break;
      expect(',');
    }
  }

  std::string_view text_;
  std::uint64_t offset_;
  const Source& source_;
  std::size_t at_ = 0;
  NpyHeader header_;
};

/// Reads the header and checks that as many bytes follow as it tells, where that can be known.
template <class Source>
NpyHeader read_npy_header(Source& in) {
  const auto field = [&in](std::span<std::uint8_t> to, const char* what) {
    if (in.read(to) < to.size()) in.fail(in.offset(), "the end of the file", what);
  };
  const std::uint64_t start = in.offset();
  std::array<std::uint8_t, 8> magic{};
  field(magic, "an NPY header");
  if (std::memcmp(magic.data(), "\x93NUMPY", 6) != 0)
    in.fail(start, in_quotes({reinterpret_cast<const char*>(magic.data()), 6}), "'\\x93NUMPY', the start of an NPY file");
  if (magic[6] < 1 || magic[6] > 3 || magic[7] != 0)
    in.fail(start + 6, text("version ", int{magic[6]}, '.', int{magic[7]}), "version 1.0, 2.0 or 3.0");

  std::array<std::uint8_t, 4> length{};
  field(std::span{length}.first(magic[6] == 1 ? 2 : 4), "the length of the header");
  const std::uint64_t size = little_endian<4>(length.data());
  constexpr std::uint64_t most = 1 << 20;
  if (size > most) in.fail(start + 8, text("a header of ", size, " bytes"), text("at most ", most));
  std::string dictionary(size, '\0');
  const std::uint64_t begin = in.offset();
  field({reinterpret_cast<std::uint8_t*>(dictionary.data()), dictionary.size()}, "the rest of the header");
  NpyHeader header = NpyDictionary<Source>{dictionary, begin, in}.parse();

  if (header.shape.empty() || header.shape.size() > 32)
    in.fail(begin, text(header.shape.size(), " dimensions"), "1 or more, and at most 32");
  if (header.fortran_order && header.shape.size() > 2)
    in.fail(begin, text("the shape ", header.shape_text(), " in Fortran order"), "C order, or 1 or 2 dimensions");
  // As in NumPy, a dimension of 0 does not excuse the others: without samples, too, the features are counted.
  const auto limit = static_cast<std::uint64_t>(std::numeric_limits<Index>::max()) / header.item;
  std::uint64_t without_zeros = 1;
  for (const std::uint64_t dimension : header.shape) {
    const auto factor = std::max<std::uint64_t>(dimension, 1);
    if (without_zeros > limit / factor) in.fail(begin, text("the shape ", header.shape_text()), "less than 2^63 bytes, zeros aside");
    without_zeros *= factor;
    header.count *= dimension;
  }
  const std::uint64_t bytes = header.count * header.item;
  if (in.size() && *in.size() - in.offset() != bytes)
    in.fail(in.offset(), text(*in.size() - in.offset(), " bytes of data"),
            text(bytes, " (", header.shape_text(), " of '", header.type, "')"));
  header.begin = in.offset();
  return header;
}

/// From `from` to Scalar; false if it does not fit.
template <class Scalar, class From>
bool convert_npy(From from, Scalar& to) {
  if constexpr (std::is_integral_v<Scalar> && std::is_integral_v<From>) {
    to = static_cast<Scalar>(from);
    return std::in_range<Scalar>(from);
  } else {
    to = static_cast<Scalar>(from);
    return true;
  }
}

/// Reads the next `count` values, `first` of which came before, of type From and puts value k of the array at to(k).
template <class From, class Scalar, class Source, class To>
void read_npy_values(Source& in, const NpyHeader& header, std::uint64_t first, std::uint64_t count, const To& to) {
  using Bits = std::conditional_t<
      sizeof(From) == 1, std::uint8_t,
      std::conditional_t<sizeof(From) == 2, std::uint16_t, std::conditional_t<sizeof(From) == 4, std::uint32_t, std::uint64_t>>>;
  std::vector<std::uint8_t> bytes(std::min<std::uint64_t>(count, 8192) * sizeof(From));
  for (std::uint64_t done = first; done < first + count;) {
    const auto values = static_cast<std::size_t>(std::min<std::uint64_t>(first + count - done, 8192));
    const std::span piece = std::span{bytes}.first(values * sizeof(From));
    if (const auto got = in.read(piece); got < piece.size())
      in.fail(header.begin, text(done * sizeof(From) + got, " bytes of data"),
              text(header.count * sizeof(From), " (", header.shape_text(), " of '", header.type, "')"));
    for (std::size_t i = 0; i < values; ++i, ++done) {
      Bits bits = 0;
      std::memcpy(&bits, piece.data() + i * sizeof(From), sizeof(From));
      if (header.big_endian != (std::endian::native == std::endian::big)) {
        Bits turned = 0;
        for (std::size_t b = 0; b < sizeof(From); ++b)
          turned = static_cast<Bits>((std::uint64_t{turned} << 8) | ((std::uint64_t{bits} >> (8 * b)) & 255));
        bits = turned;
      }
      const From value = std::bit_cast<From>(bits);
      if (!convert_npy(value, to(done)))
        in.fail(header.begin + done * sizeof(From), text(+value),
                text("a number in [", +std::numeric_limits<Scalar>::min(), ", ", +std::numeric_limits<Scalar>::max(), "]"));
    }
  }
}

/// Calls read_npy_values for the type in the file.
template <class Scalar, class Source, class To>
void read_npy_values(Source& in, const NpyHeader& header, std::uint64_t first, std::uint64_t count, const To& to) {
  if constexpr (!std::is_floating_point_v<Scalar>)
    if (header.type[0] == 'f') in.fail(in.offset(), text("values of type '", header.type, "'"), "whole numbers");
  const std::string_view type = header.type;
  if constexpr (std::is_floating_point_v<Scalar>) {
    if (type == "f4") return read_npy_values<float, Scalar>(in, header, first, count, to);
    if (type == "f8") return read_npy_values<double, Scalar>(in, header, first, count, to);
  }
  if (type == "u1" || type == "b1") return read_npy_values<std::uint8_t, Scalar>(in, header, first, count, to);
  if (type == "i1") return read_npy_values<std::int8_t, Scalar>(in, header, first, count, to);
  if (type == "u2") return read_npy_values<std::uint16_t, Scalar>(in, header, first, count, to);
  if (type == "i2") return read_npy_values<std::int16_t, Scalar>(in, header, first, count, to);
  if (type == "u4") return read_npy_values<std::uint32_t, Scalar>(in, header, first, count, to);
  if (type == "i4") return read_npy_values<std::int32_t, Scalar>(in, header, first, count, to);
  if (type == "u8") return read_npy_values<std::uint64_t, Scalar>(in, header, first, count, to);
  return read_npy_values<std::int64_t, Scalar>(in, header, first, count, to);
}

/// d of an array with shape (n, ...).
inline Index npy_row_size(const NpyHeader& header) {
  Index d = 1;
  for (std::size_t i = 1; i < header.shape.size(); ++i) d *= static_cast<Index>(header.shape[i]);
  return d;
}

/// X (d,n) of an array with shape (n, ...).
template <class Scalar, class Source>
Matrix<Scalar> read_npy_matrix(Source& in, const NpyHeader& header) {
  const Index n = static_cast<Index>(header.shape[0]), d = npy_row_size(header);
  Matrix<Scalar> x(d, n);
  kernels::use_huge_pages(x);
  const bool plain = header.type == npy_type<Scalar>() && header.big_endian == (std::endian::native == std::endian::big);
  if (plain && !header.fortran_order) {  // the file holds the memory of x
    const std::uint64_t start = in.offset(), bytes = header.count * sizeof(Scalar);
    const auto got = bytes == 0 ? 0 : in.read({reinterpret_cast<std::uint8_t*>(x.data()), static_cast<std::size_t>(bytes)});
    if (got < bytes) in.fail(start, text(got, " bytes of data"), text(bytes));
  } else if (!header.fortran_order) {
    read_npy_values<Scalar>(in, header, 0, header.count, [&x](std::uint64_t k) -> Scalar& { return x.data()[k]; });
  } else {
    read_npy_values<Scalar>(in, header, 0, header.count,
                            [&x, n](std::uint64_t k) -> Scalar& { return x(static_cast<Index>(k) / n, static_cast<Index>(k) % n); });
  }
  return x;
}

template <class Scalar, class Source>
Matrix<Scalar> read_npy(Source& in) {
  const NpyHeader header = read_npy_header(in);
  if (in.size()) return read_npy_matrix<Scalar>(in, header);
  // Packed: how many bytes there are shows only when they have come, so that memory grows with them.
  const std::uint64_t start = in.offset(), total = header.count * header.item;
  const std::string expected = text(total, " (", header.shape_text(), " of '", header.type, "')");
  std::vector<std::uint8_t> bytes;
  while (bytes.size() < total) {
    const auto done = bytes.size();
    const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(total - done, std::max<std::size_t>(done, 1 << 20)));
    bytes.resize(done + piece);
    const auto got = in.read(std::span{bytes}.subspan(done));
    if (got < piece) in.fail(start, text(done + got, " bytes of data"), expected);
  }
  std::array<std::uint8_t, 1> more{};
  if (in.read(more) > 0) in.fail(start, text("more than ", total, " bytes of data"), expected);
  MemoryReader memory{bytes, in.file(), start};
  return read_npy_matrix<Scalar>(memory, header);
}

template <class Source>
void check_one_value(Index rows, Index row_size, const Source& in) {
  if (row_size != 1) in.fail(0, text("an array of ", rows, " rows of ", row_size, " values"), "one value a row");
}

/// The rows of an array one after the other, a few at a time, plain or packed: of the file no more is in memory. Source is ByteReader or NpzStream.
template <class Scalar, class Source>
class NpyRows {
 public:
  /// Throws FileError for Fortran order, in which the values of a row lie all over the file.
  template <class From>
  explicit NpyRows(const From& from) : in_(from), header_(read_npy_header(in_)), row_size_(npy_row_size(header_)) {
    if (header_.fortran_order && size() > 1 && row_size_ > 1)
      in_.fail(0, "an array in Fortran order", "C order, that of numpy.ascontiguousarray: rows are read one after the other");
  }

  Index size() const { return static_cast<Index>(header_.shape[0]); }  // n
  Index row_size() const { return row_size_; }                         // d
  const std::filesystem::path& file() const { return in_.file(); }

  /// The next `count` rows (d,count). The last one of the array must be the last in the file.
  Matrix<Scalar> next(Index count) {
    Matrix<Scalar> x(row_size_, count);
    const auto first = static_cast<std::uint64_t>(done_ * row_size_);
    read_npy_values<Scalar>(in_, header_, first, static_cast<std::uint64_t>(x.size()),
                            [&x, first](std::uint64_t k) -> Scalar& { return x.data()[k - first]; });
    done_ += count;
    if (done_ < size()) return x;
    std::array<std::uint8_t, 1> more{};  // reading on also makes zlib compare the checksum
    if (in_.read(more) > 0)
      in_.fail(header_.begin, text("more than ", header_.count * header_.item, " bytes of data"),
               text(header_.count * header_.item, " (", header_.shape_text(), " of '", header_.type, "')"));
    return x;
  }

  /// The same for one value a row.
  Vector<Scalar> next_vector(Index count) { return next(count).reshaped(); }
  void check_is_vector() const { check_one_value(size(), row_size_, in_); }

 private:
  Source in_;
  NpyHeader header_;
  Index row_size_;
  Index done_ = 0;
};

/// The column that an array of one dimension is.
template <class Scalar, class Source>
Vector<Scalar> as_vector(const Matrix<Scalar>& x, const Source& in) {
  check_one_value(x.cols(), x.rows(), in);
  return x.transpose();
}

/// An array as it lies in memory, and its header.
struct NpyView {
  std::string header;  // with magic, version and length
  std::span<const std::uint8_t> bytes;

  template <class Scalar>
  NpyView(const Matrix<Scalar>& x)
      : NpyView(npy_type<Scalar>(), text('(', x.cols(), ", ", x.rows(), ')'), x.data(), x.size() * Index{sizeof(Scalar)}) {}
  template <class Scalar>
  NpyView(const Vector<Scalar>& x) : NpyView(npy_type<Scalar>(), text('(', x.size(), ",)"), x.data(), x.size() * Index{sizeof(Scalar)}) {}

 private:
  NpyView(const std::string& type, const std::string& shape, const void* data, Index size)
      : bytes(static_cast<const std::uint8_t*>(data), static_cast<std::size_t>(size)) {
    const char order = type[1] == '1' ? '|' : std::endian::native == std::endian::big ? '>' : '<';
    std::string dictionary = text("{'descr': '", order, type, "', 'fortran_order': False, 'shape': ", shape, ", }");
    dictionary.append(63 - (10 + dictionary.size()) % 64, ' ') += '\n';  // the data begins at a multiple of 64
    header = {'\x93',
              'N',
              'U',
              'M',
              'P',
              'Y',
              '\x01',
              '\x00',
              static_cast<char>(dictionary.size() & 255),
              static_cast<char>(dictionary.size() >> 8)};
    header += dictionary;
  }
};

/// CRC-32 of zip files, gone on from `crc`.
inline std::uint32_t crc_32(std::uint32_t crc, std::span<const std::uint8_t> bytes) {
#if PARADE_HAS_ZLIB
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min<std::size_t>(bytes.size(), 1 << 30));
    crc = static_cast<std::uint32_t>(::crc32(crc, piece.data(), static_cast<uInt>(piece.size())));
    bytes = bytes.subspan(piece.size());
  }
  return crc;
#else
  static constexpr auto table = [] {
    std::array<std::uint32_t, 256> entries{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t entry = i;
      for (int bit = 0; bit < 8; ++bit) entry = entry & 1 ? 0xEDB88320u ^ (entry >> 1) : entry >> 1;
      entries[i] = entry;
    }
    return entries;
  }();
  crc = ~crc;
  for (const std::uint8_t byte : bytes) crc = table[(crc ^ byte) & 255] ^ (crc >> 8);
  return ~crc;
#endif
}

/// An array in an NPZ file.
struct NpzMember {
  std::string name;  // without ".npy"
  std::uint64_t method, crc, packed, size, header;
};
struct NpzPlace {
  const TextSource& source;
  const NpzMember& member;
};

/// The bytes of an array in an NPZ file from the first to the last, unpacked, with the interface of ByteReader. Behind the last one it checks that there are
/// no more, and the CRC-32 of all.
class NpzStream {
 public:
  explicit NpzStream(const NpzPlace& place)
      : source_(place.source), member_(place.member), file_(source_.name() + ", array " + member_.name) {
    std::array<std::uint8_t, 30> header{};
    fetch(member_.header, header, "the header of an array");
    if (little_endian<4>(header.data()) != 0x04034B50) fail_at(source_.name(), member_.header, "no header of a file", "one");
    begin_ = next_ = member_.header + 30 + little_endian<2>(&header[26]) + little_endian<2>(&header[28]);
    if (begin_ > source_.size() || member_.packed > source_.size() - begin_)
      fail_at(source_.name(), begin_, "the end of the file", "the whole array");
    if (is_packed()) begin_unpacking();
  }
  NpzStream(const NpzStream&) = delete;
  NpzStream& operator=(const NpzStream&) = delete;
#if PARADE_HAS_ZLIB
  ~NpzStream() {
    if (is_packed()) inflateEnd(&stream_);
  }
#endif

  /// That of the directory: what is packed may turn out to be something else.
  std::optional<std::uint64_t> size() const { return member_.size; }
  std::uint64_t offset() const { return done_; }
  const std::filesystem::path& file() const { return file_; }

  std::size_t read(std::span<std::uint8_t> to) {
    to = to.first(static_cast<std::size_t>(std::min<std::uint64_t>(to.size(), member_.size - done_)));
    if (is_packed()) {
      unpack(to);
    } else {
      source_.read(begin_ + done_, {reinterpret_cast<char*>(to.data()), to.size()});
    }
    crc_ = crc_32(crc_, to);
    done_ += to.size();
    if (done_ < member_.size) return to.size();
    if (is_packed()) end_unpacking();
    if (crc_ != member_.crc) fail_at(source_.name(), begin_, text("damage in ", in_quotes(member_.name)), "its CRC-32");
    return to.size();
  }

  [[noreturn]] void fail(std::uint64_t byte, const std::string& found, const std::string& expected) const {
    fail_at(file_, byte, found, expected);
  }

 private:
  bool is_packed() const { return member_.method == 8; }

  void fetch(std::uint64_t begin, std::span<std::uint8_t> to, const char* what) const {
    if (begin > source_.size() || to.size() > source_.size() - begin) fail_at(source_.name(), begin, "the end of the file", what);
    source_.read(begin, {reinterpret_cast<char*>(to.data()), to.size()});
  }

#if PARADE_HAS_ZLIB
  void begin_unpacking() {
    buffer_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(member_.packed, 1 << 16)));
    if (inflateInit2(&stream_, -15) != Z_OK) throw std::bad_alloc{};
  }
  void unpack(std::span<std::uint8_t> to) {
    while (!to.empty()) {
      const auto room = static_cast<uInt>(std::min<std::size_t>(to.size(), std::numeric_limits<uInt>::max()));
      stream_.next_out = to.data();
      stream_.avail_out = room;
      const int status = step();
      to = to.subspan(room - stream_.avail_out);
      if (status != Z_OK && !(status == Z_STREAM_END && to.empty())) fail_unpacking();
      ended_ = status == Z_STREAM_END;
    }
  }
  void end_unpacking() {
    std::uint8_t more = 0;
    while (!ended_) {
      stream_.next_out = &more;
      stream_.avail_out = 1;
      const int status = step();
      if ((status != Z_OK && status != Z_STREAM_END) || stream_.avail_out == 0) fail_unpacking();
      ended_ = status == Z_STREAM_END;
    }
    if (stream_.avail_in > 0 || next_ < begin_ + member_.packed) fail_unpacking();
  }
  int step() {
    if (stream_.avail_in == 0) {
      const std::uint64_t left = begin_ + member_.packed - next_;
      const std::span piece = std::span{buffer_}.first(static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer_.size())));
      source_.read(next_, {reinterpret_cast<char*>(piece.data()), piece.size()});
      next_ += piece.size();
      stream_.next_in = piece.data();
      stream_.avail_in = static_cast<uInt>(piece.size());
    }
    return inflate(&stream_, Z_NO_FLUSH);
  }
  [[noreturn]] void fail_unpacking() const {
    fail_at(source_.name(), begin_, text(in_quotes(member_.name), " does not unpack to ", member_.size, " bytes"),
            "a whole deflated stream");
  }

  z_stream stream_{};
  bool ended_ = false;  // the deflated stream
#else
  void begin_unpacking() const {
    fail_at(source_.name(), begin_, "a deflated array", "a stored one, or a program compiled with -DPARADE_WITH_ZLIB and linked with -lz");
  }
  void unpack(std::span<std::uint8_t>) const {}
  void end_unpacking() const {}
#endif

  const TextSource& source_;
  NpzMember member_;
  std::filesystem::path file_;
  std::uint64_t begin_ = 0, next_ = 0;  // of its bytes; of those that were not read yet
  std::uint64_t done_ = 0;              // of what is unpacked
  std::uint32_t crc_ = 0;
  std::vector<std::uint8_t> buffer_;
};

}  // namespace detail

/// Reads an array of NumPy (format versions 1 to 3), plain or packed by gzip, as X (d,n): its first dimension is samples, the others together
/// are features. An array of one dimension is one feature. Rows in C order (NumPy's default) have the memory of X and are read straight into
/// it; Fortran order and the other byte order are turned.
///
///   numpy.save("x.npy", x)   # x.shape == (60000, 784)     const auto x = parade::read_npy<float>("x.npy");   // (784, 60000)
///
/// Types: bool, signed and unsigned integers of 8 to 64 bits, float32, float64. As float or double, numbers are rounded to the nearest; as
/// integers, whole numbers only are read, and each must fit.
///
/// No memory is taken on the word of a header: a plain file must have the size that its header tells, and of a packed file memory grows with
/// what really comes out of it. Throws FileError, naming file, byte, what was found and what was expected.
template <class Scalar>
Matrix<Scalar> read_npy(const std::filesystem::path& file) {
  detail::ByteReader in{file};
  return detail::read_npy<Scalar>(in);
}

/// The same for one value a sample: labels, weights.
template <class Scalar>
Vector<Scalar> read_npy_vector(const std::filesystem::path& file) {
  detail::ByteReader in{file};
  return detail::as_vector(detail::read_npy<Scalar>(in), in);
}

/// Writes X (d,n) as an array of shape (n, d), or a vector (n) as one of shape (n,); packed by gzip where the name ends in ".gz" (with zlib only).
/// It is written under another name in the same folder first and then renamed, so that nobody ever sees half of it.
///
/// Throws FileError when the file cannot be written, which leaves what was there before.
template <class Scalar, int Columns>
void write_npy(const std::filesystem::path& file, const Eigen::Matrix<Scalar, Eigen::Dynamic, Columns>& x) {
  const detail::NpyView view{x};
  detail::write_file_pieces(file, [&](const auto& write) {
    write(view.header.data(), view.header.size());
    write(view.bytes.data(), view.bytes.size());
  });
}

/// The arrays of an NPZ file: a zip file of NPY files, stored (numpy.savez) or deflated (numpy.savez_compressed; with zlib only).
///
///   const parade::NpzFile file{"data.npz"};                    // numpy.savez("data.npz", x=x, y=y)
///   const auto x = file.read<float>("x");                      // (d,n)
///   const auto y = file.read_vector<parade::Label>("y");       // (n)
///
/// Sizes are checked against the file before memory is taken, and each array by its CRC-32. Throws FileError, naming file, byte (in the zip
/// file, or behind the array's name in the array), what was found and what was expected: encryption, other methods of packing, damage; DataError, if there is no such array.
class NpzFile {
 public:
  explicit NpzFile(const std::filesystem::path& file) : NpzFile(std::make_unique<const detail::TextSource>(file)) {}

  /// A file in memory, which must stay as it is; `name` stands in errors.
  NpzFile(std::string_view bytes, const std::string& name) : NpzFile(std::make_unique<const detail::TextSource>(bytes, name)) {}

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const Member& member : members_) names.push_back(member.name);
    return names;
  }

  /// Where an array is, for make_cache, which reads some rows at a time.
  detail::NpzPlace place(std::string_view name) const {
    const auto member = std::find_if(members_.begin(), members_.end(), [name](const Member& m) { return m.name == name; });
    if (member != members_.end()) return {*source_, *member};
    std::string has;
    for (const Member& other : members_) has += (has.empty() ? "" : ", ") + other.name;
    throw DataError(detail::text(source_->name(), " has no array '", name, "'; it has ", has));
  }

  template <class Scalar>
  Matrix<Scalar> read(std::string_view name) const {
    return open(name, [](auto& in) { return detail::read_npy<Scalar>(in); });
  }

  template <class Scalar>
  Vector<Scalar> read_vector(std::string_view name) const {
    return open(name, [](auto& in) { return detail::as_vector(detail::read_npy<Scalar>(in), in); });
  }

 private:
  using Member = detail::NpzMember;
  using Bytes = std::vector<std::uint8_t>;

  explicit NpzFile(std::unique_ptr<const detail::TextSource> source) : source_(std::move(source)) { read_directory(); }

  [[noreturn]] void fail(std::uint64_t byte, const std::string& found, const std::string& expected) const {
    detail::fail_at(source_->name(), byte, found, expected);
  }

  Bytes bytes(std::uint64_t begin, std::uint64_t size, const char* what) const {
    if (begin > source_->size() || size > source_->size() - begin) fail(begin, "the end of the file", what);
    Bytes to(static_cast<std::size_t>(size));
    source_->read(begin, {reinterpret_cast<char*>(to.data()), to.size()});
    return to;
  }

  /// What the end of a zip file tells of its directory.
  struct Directory {
    std::uint64_t disk, first_disk, count_here, count, size, begin;
  };

  void read_directory() {
    using detail::little_endian;
    constexpr std::uint64_t end_size = 22, most_comment = 65535, locator_size = 20;
    const std::uint64_t size = source_->size();
    const std::uint64_t most = end_size + most_comment + locator_size, from = size > most ? size - most : 0;
    const Bytes tail = bytes(from, size - from, "a zip file");
    std::size_t at = tail.size() < end_size ? 0 : tail.size() - end_size + 1;  // behind the record that ends the directory, and back
    const auto ends_here = [&](std::size_t i) {
      return little_endian<4>(&tail[i]) == 0x06054B50 && i + end_size + little_endian<2>(&tail[i + 20]) == tail.size();
    };
    while (at > 0 && !ends_here(at - 1)) --at;
    if (at == 0) fail(size, "no directory at the end of the file", "a whole zip file");
    const std::uint8_t* const end = &tail[--at];
    std::uint64_t end_at = from + at;
    Directory directory{little_endian<2>(end + 4),  little_endian<2>(end + 6),  little_endian<2>(end + 8),
                        little_endian<2>(end + 10), little_endian<4>(end + 12), little_endian<4>(end + 16)};
    if (at >= 20 && little_endian<4>(end - 20) == 0x07064B50) end_at = read_zip64_end(end - 20, end_at - 20, directory);
    if (directory.disk != 0 || directory.first_disk != 0 || directory.count_here != directory.count)
      fail(end_at, "one of several disks", "a zip file in one piece");
    if (directory.begin > end_at || directory.size != end_at - directory.begin)
      fail(end_at, detail::text("a directory of ", directory.size, " bytes from byte ", directory.begin, " on"), "one that ends here");
    read_entries(directory);
  }

  /// What stands before `locator`, which is at this byte, in a zip file of many entries or of 4 GiB and more: it tells what the other record has no room for. Returns
  /// at which byte it begins.
  std::uint64_t read_zip64_end(const std::uint8_t* locator, std::uint64_t locator_at, Directory& directory) const {
    using detail::little_endian;
    const std::uint64_t at = little_endian<8>(locator + 8);
    if (little_endian<4>(locator + 4) != 0 || little_endian<4>(locator + 16) > 1)
      fail(locator_at, "one of several disks", "a zip file in one piece");
    const Bytes record = bytes(at, 56, "the end of a zip64 directory");
    if (little_endian<4>(record.data()) != 0x06064B50) fail(at, "no end of a zip64 directory", "one");
    const std::uint64_t size = little_endian<8>(&record[4]);
    if (at > locator_at || locator_at - at < 56 || size != locator_at - at - 12)
      fail(at, detail::text("the end of a zip64 directory of ", size, " bytes and 12"), detail::text("one that ends at byte ", locator_at));
    const auto take = [&](std::uint64_t& number, std::uint64_t too_large, std::uint64_t value) {
      if (number != too_large && number != value)
        fail(at, detail::text(value, " at the end of a zip64 directory"), detail::text("the ", number, " that stands behind it"));
      number = value;
    };
    take(directory.disk, 0xFFFF, little_endian<4>(&record[16]));
    take(directory.first_disk, 0xFFFF, little_endian<4>(&record[20]));
    take(directory.count_here, 0xFFFF, little_endian<8>(&record[24]));
    take(directory.count, 0xFFFF, little_endian<8>(&record[32]));
    take(directory.size, 0xFFFFFFFF, little_endian<8>(&record[40]));
    take(directory.begin, 0xFFFFFFFF, little_endian<8>(&record[48]));
    return at;
  }

  void read_entries(const Directory& of) {
    using detail::little_endian;
    const std::uint64_t directory = of.begin;
    const Bytes entries = bytes(directory, of.size, "the directory");
    std::size_t entry = 0;
    for (std::uint64_t i = 0; i < of.count; ++i) {
      const std::uint64_t here = directory + entry;
      if (entries.size() - entry < 46 || little_endian<4>(&entries[entry]) != 0x02014B50) fail(here, "no entry of a directory", "one more");
      const std::uint8_t* const field = &entries[entry];
      const auto name_size = static_cast<std::size_t>(little_endian<2>(field + 28));
      const auto whole = 46 + name_size + static_cast<std::size_t>(little_endian<2>(field + 30) + little_endian<2>(field + 32));
      if (entries.size() - entry < whole) fail(here, "an entry beyond the end of the directory", "a whole one");
      Member member{{reinterpret_cast<const char*>(field) + 46, name_size},
                    little_endian<2>(field + 10),
                    little_endian<4>(field + 16),
                    little_endian<4>(field + 20),
                    little_endian<4>(field + 24),
                    little_endian<4>(field + 42)};
      entry += whole;
      if (!member.name.ends_with(".npy")) continue;
      member.name.resize(member.name.size() - 4);
      read_zip64_field({field + 46 + name_size, static_cast<std::size_t>(little_endian<2>(field + 30))}, here, member);
      const std::string shown = detail::in_quotes(member.name);
      if (little_endian<2>(field + 8) & 1) fail(here + 8, detail::text(shown, " encrypted"), "an array that is not");
      if (member.method != 0 && member.method != 8)
        fail(here + 10, detail::text("method ", member.method, " for ", shown), "method 0 (stored) or 8 (deflated)");
      if (member.packed > directory || member.header > directory - member.packed)
        fail(here + 42, detail::text(member.packed, " bytes for ", shown, " from byte ", member.header, " on"),
             "a place before the directory");
      // A byte of a deflated stream never becomes more than 1032 (J. Gailly, M. Adler, the manual of zlib).
      if (member.method == 0 ? member.packed != member.size : member.size > 1032 * (member.packed + 8))
        fail(here + 24, detail::text(member.size, " bytes for ", shown),
             detail::text("what ", member.packed, " bytes in the file can hold"));
      for (const Member& other : members_)
        if (other.name == member.name) fail(here, detail::text(shown, " again"), "each name once");
      members_.push_back(std::move(member));
    }
    if (entry != entries.size()) fail(directory + entry, detail::text(entries.size() - entry, " bytes more"), "the end of the directory");
  }

  /// The sizes and the place that an entry has no room for, of 4 GiB and more each, stand in the field of type 1 among those behind its name; each only if it is asked for.
  void read_zip64_field(std::span<const std::uint8_t> fields, std::uint64_t here, Member& member) const {
    using detail::little_endian;
    const auto is_missing = [](std::uint64_t number) { return number == 0xFFFFFFFF; };
    if (!is_missing(member.size) && !is_missing(member.packed) && !is_missing(member.header)) return;
    while (fields.size() >= 4) {
      const std::uint64_t type = little_endian<2>(fields.data());
      const auto size = static_cast<std::size_t>(little_endian<2>(&fields[2]));
      fields = fields.subspan(4);
      if (size > fields.size()) break;
      if (type != 1) {
        fields = fields.subspan(size);
        continue;
      }
      fields = fields.first(size);
      for (std::uint64_t* number : {&member.size, &member.packed, &member.header}) {
        if (!is_missing(*number)) continue;
        if (fields.size() < 8)
          fail(here, "a zip64 field that is too short for " + detail::in_quotes(member.name), "all that its entry asks for");
        *number = little_endian<8>(fields.data());
        fields = fields.subspan(8);
      }
      return;
    }
    fail(here, "no zip64 field for " + detail::in_quotes(member.name), "one that has what its entry asks for");
  }

  /// Calls read(in) with the whole array in memory, which grows with what really comes out of the file.
  template <class Read>
  auto open(std::string_view name, const Read& read) const {
    detail::NpzStream array{place(name)};
    Bytes content;
    do {
      const std::size_t done = content.size();
      content.resize(std::min<std::size_t>(static_cast<std::size_t>(*array.size()), std::max<std::size_t>(2 * done, 1 << 20)));
      array.read(std::span{content}.subspan(done));
    } while (content.size() < *array.size());
    detail::MemoryReader in{content, array.file()};
    return read(in);
  }

  std::unique_ptr<const detail::TextSource> source_;
  std::vector<Member> members_;
};

namespace detail {

/// Numbers from `limit` on stand in the fields of zip64, so that tests need no 4 GiB for them.
inline void write_npz(const std::filesystem::path& file, std::span<const std::pair<std::string, NpyView>> arrays, std::uint64_t limit) {
  for (auto array = arrays.begin(); array != arrays.end(); ++array) {
    if (array->first.size() > 60000) throw DataError(text("the name of an array must be below 60000 bytes; got ", array->first.size()));
    for (auto other = arrays.begin(); other != array; ++other)
      if (other->first == array->first) throw DataError(text("each array must have a name of its own; got '", array->first, "' twice"));
  }

  write_file_pieces(file, [&](const auto& write) {
    const auto put = [](std::string& to, std::uint64_t number, int size) {
      for (int i = 0; i < size; ++i) to += static_cast<char>((number >> (8 * i)) & 255);
    };
    // Four bytes for a number, or for the word that it stands elsewhere.
    const auto put_below = [&](std::string& to, std::uint64_t number) { put(to, number < limit ? number : 0xFFFFFFFF, 4); };
    std::string directory;
    std::uint64_t offset = 0;
    for (const auto& [name, view] : arrays) {
      const std::string member = name + ".npy";
      const auto* const header = reinterpret_cast<const std::uint8_t*>(view.header.data());
      const std::uint32_t crc = crc_32(crc_32(0, {header, view.header.size()}), view.bytes);
      const std::uint64_t size = view.header.size() + view.bytes.size();
      const bool is_large = size >= limit, is_far = offset >= limit;
      std::string large, far;  // of zip64's field
      if (is_large) put(large, size, 8), put(large, size, 8);
      if (is_far) put(far, offset, 8);
      // Version to read, flags (names in UTF-8), method stored, time and day (1980-01-01), CRC-32, sizes, lengths of name and zip64's field.
      const auto put_common = [&](std::string& to, const std::string& field) {
        put(to, field.empty() ? 20 : 45, 2), put(to, 0x0800, 2), put(to, 0, 2), put(to, 0, 2), put(to, 0x0021, 2);
        put(to, crc, 4), put_below(to, size), put_below(to, size), put(to, member.size(), 2),
            put(to, field.empty() ? 0 : 4 + field.size(), 2);
      };
      const auto put_names = [&](std::string& to, const std::string& field) {
        to += member;
        if (!field.empty()) put(to, 1, 2), put(to, field.size(), 2);
        to += field;
      };
      std::string local;
      put(local, 0x04034B50, 4), put_common(local, large), put_names(local, large);
      write(local.data(), local.size());
      write(view.header.data(), view.header.size());
      write(view.bytes.data(), view.bytes.size());
      put(directory, 0x02014B50, 4), put(directory, is_large || is_far ? 45 : 20, 2), put_common(directory, large + far);
      put(directory, 0, 2), put(directory, 0, 2), put(directory, 0, 2), put(directory, 0, 4), put_below(directory, offset);
      put_names(directory, large + far);
      offset += local.size() + size;
    }
    const std::uint64_t directory_size = directory.size(), count = arrays.size();
    if (count >= 0xFFFF || directory_size >= limit || offset >= limit) {
      const std::uint64_t end = offset + directory_size;
      put(directory, 0x06064B50, 4), put(directory, 44, 8), put(directory, 45, 2), put(directory, 45, 2), put(directory, 0, 4),
          put(directory, 0, 4);
      put(directory, count, 8), put(directory, count, 8), put(directory, directory_size, 8), put(directory, offset, 8);
      put(directory, 0x07064B50, 4), put(directory, 0, 4), put(directory, end, 8), put(directory, 1, 4);
    }
    put(directory, 0x06054B50, 4), put(directory, 0, 4);
    for (int twice = 0; twice < 2; ++twice) put(directory, std::min<std::uint64_t>(count, 0xFFFF), 2);
    put_below(directory, directory_size), put_below(directory, offset), put(directory, 0, 2);
    write(directory.data(), directory.size());
  });
}

}  // namespace detail

/// Writes an NPZ file of stored arrays, as numpy.savez does: matrices (d,n) as shape (n, d), vectors (n) as (n,).
///
///   parade::write_npz("data.npz", {{"x", x}, {"y", y}});
///
/// Arrays and files may have 4 GiB and more (zip64). It is written under another name in the same folder first and then renamed, so that nobody ever sees half of it.
/// Throws DataError for a name twice; FileError when the file cannot be written, which leaves what was there before.
inline void write_npz(const std::filesystem::path& file, std::span<const std::pair<std::string, detail::NpyView>> arrays) {
  detail::write_npz(file, arrays, 0xFFFFFFFF);
}

inline void write_npz(const std::filesystem::path& file, std::initializer_list<std::pair<std::string, detail::NpyView>> arrays) {
  write_npz(file, std::span{arrays.begin(), arrays.size()});
}

}  // namespace parade
