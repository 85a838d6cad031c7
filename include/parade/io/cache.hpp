// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/hash.hpp>
#include <parade/core/types.hpp>
#include <parade/io/file.hpp>
#include <parade/io/text.hpp>

// A binary file of samples in blocks, from which training reads block by block: the format, and how a block is written and read. What users call
// stands in data/cache.hpp and data/cached.hpp.
//
//   bytes                       what, little-endian
//   128                         header: detail::CacheHeader
//   …                           block 0, 1, …: `rows_per_block` rows each, the last one what is left
//   16 · blocks                 index: of each block the number of entries, and its hash
//   …                           schema: three lists of texts (feature names, class names, notes), each a number of 64 bits, then of each text its
//                               length (32 bits) and its bytes
//
//   a block: targets (k · rows, 64 bits), weights (rows, 64 bits), queries (rows, 64 bits), values if double, labels (rows, 32 bits), label sets (rows, one bit for each of the
//            k labels, from the lowest bit on, in words of 32 bits), for sparse rows the number of
//            entries of each row (32 bits) and indices (entries, 32 bits), values if float, values if 8-bit, zeros up to a multiple of 8 bytes; of
//            these what the header says that there is. Its hash is fast_hash of the fast_hashes of these parts, in this order.
//
// A file with queries is of version 3, one without them but with label sets of version 2, all others of version 1: what could be written before is written
// as before. With label sets k is their number of labels, and there are no targets.
namespace parade {

/// The text that a cache carries beside its numbers; any of it may be missing.
struct CacheSchema {
  std::vector<std::string> features;  // a name for each of the d features
  std::vector<std::string> classes;   // of label 0, 1, …
  std::vector<std::string> notes;     // whatever whoever wrote the file wants to be known, such as where it comes from

  bool operator==(const CacheSchema&) const = default;
};

/// What a cache holds.
struct CacheInfo {
  bool is_sparse = false;
  std::string_view scalar;   // of the values: "float", "double", "uint8"
  Index samples = 0;         // n
  Index num_features = 0;    // d
  Index nonzeros = 0;        // entries of sparse rows
  Index rows_per_block = 1;  // of each block but the last
  Index blocks = 0;
  bool all_ones = false;  // sparse rows without values: all are 1
  bool has_labels = false, has_weights = false, has_label_sets = false, has_queries = false;
  Index num_targets = 0;         // k
  Index num_labels = 0;          // of label sets: labels are in [0, num_labels)
  double scale = 1, offset = 0;  // of dense values, as of DenseData
  std::uint64_t bytes = 0;       // of the file
  CacheSchema schema;
};

namespace detail {

enum class CacheScalar : std::uint32_t { float32 = 1, float64 = 2, uint8 = 3 };

template <class T>
inline constexpr CacheScalar cache_scalar = std::is_same_v<T, float>    ? CacheScalar::float32
                                            : std::is_same_v<T, double> ? CacheScalar::float64
                                                                        : CacheScalar::uint8;

inline std::string_view name_of(CacheScalar scalar) {
  return scalar == CacheScalar::float32 ? "float" : scalar == CacheScalar::float64 ? "double" : "uint8";
}
inline std::uint64_t size_of(CacheScalar scalar) { return scalar == CacheScalar::float32 ? 4 : scalar == CacheScalar::float64 ? 8 : 1; }

inline constexpr std::array<char, 8> cache_magic{'\x89', 'P', 'A', 'R',
                                                 'A',    'D', 'E', '\n'};  // no text, and damaged by whoever takes it for one

struct CacheHeader {
  enum Flags : std::uint32_t { values = 1, labels = 2, weights = 4, label_sets = 8, queries = 16 };

  std::array<char, 8> magic = cache_magic;
  std::uint32_t version = 1;
  std::uint32_t endianness = 0x01020304;
  std::uint64_t samples = 0;
  std::uint64_t features = 0;
  std::uint64_t nonzeros = 0;  // 0 for dense data
  std::uint64_t rows_per_block = 1;
  std::uint64_t blocks = 0;
  std::uint32_t kind = 0;  // 1 sparse, 2 dense
  CacheScalar scalar{};
  std::uint32_t flags = 0;
  std::uint32_t targets = 0;  // k; with label sets the number of labels
  double scale = 1, offset = 0;
  std::uint64_t index_begin = 0;  // byte
  std::uint64_t schema_bytes = 0;
  std::uint64_t index_hash = 0, schema_hash = 0;
  std::uint64_t header_hash = 0;  // of what stands before

  bool is_sparse() const { return kind == 1; }
  bool has(Flags what) const { return (flags & what) != 0; }
  /// That files with such parts are of.
  std::uint32_t version_of_parts() const { return has(queries) ? 3 : has(label_sets) ? 2 : 1; }
  std::uint64_t hash() const { return fast_hash(std::as_bytes(std::span(this, 1)).first(sizeof(CacheHeader) - sizeof header_hash)); }

  std::uint64_t values_of(std::uint64_t rows, std::uint64_t entries) const {
    return !has(values) ? 0 : is_sparse() ? entries : rows * features;
  }
  /// 64-bit numbers of each row, and words of its label set.
  std::uint64_t row_targets() const { return has(label_sets) ? 0 : targets; }
  std::uint64_t row_words() const { return has(label_sets) ? (std::uint64_t{targets} + 31) / 32 : 0; }
  /// Of each row, whatever entries it has.
  std::uint64_t row_bytes() const {
    return 8 * row_targets() + 4 * row_words() + (has(weights) ? 8 : 0) + (has(queries) ? 8 : 0) + (has(labels) ? 4 : 0) +
           (is_sparse() ? 4 : features * size_of(scalar));
  }
  std::uint64_t entry_bytes() const { return is_sparse() ? 4 + (has(values) ? size_of(scalar) : 0) : 0; }
  std::uint64_t block_bytes(std::uint64_t rows, std::uint64_t entries) const {
    return (rows * row_bytes() + entries * entry_bytes() + 7) / 8 * 8;
  }
};
static_assert(sizeof(CacheHeader) == 128 && std::is_trivially_copyable_v<CacheHeader>);

struct CacheIndexEntry {
  std::uint64_t entries = 0, hash = 0;
};

/// Where the parts of a block stand in memory; null where there is no such part.
template <class Byte, class T>
using SameConst = std::conditional_t<std::is_const_v<Byte>, const T, T>;
template <class Byte>
struct CacheBlockParts {
  SameConst<Byte, double>* targets = nullptr;         // (k, rows)
  SameConst<Byte, double>* weights = nullptr;         // (rows)
  SameConst<Byte, Label>* labels = nullptr;           // (rows)
  SameConst<Byte, std::uint32_t>* lengths = nullptr;  // (rows): entries of each row
  SameConst<Byte, std::int32_t>* indices = nullptr;   // (entries)
  Byte* values = nullptr;                             // (entries) or (d, rows)
  SameConst<Byte, std::uint32_t>* sets = nullptr;     // (words, rows): label sets
  SameConst<Byte, std::int64_t>* queries = nullptr;   // (rows)
};

/// The words of a label set.
inline void put_label(std::uint32_t* words, Label label) { words[label / 32] |= std::uint32_t{1} << (label % 32); }

/// visit(label) for the labels of a set of `count` words, rising.
template <class Visit>
void for_each_label(const std::uint32_t* words, Index count, const Visit& visit) {
  for (Index w = 0; w < count; ++w)
    for (std::uint32_t left = words[w]; left != 0; left &= left - 1) visit(static_cast<Label>(32 * w + std::countr_zero(left)));
}

/// part(pointer, bytes) for each part of a block, in the order of the file.
template <class Byte, class Part>
void for_each_cache_part(const CacheHeader& header, const CacheBlockParts<Byte>& at, std::uint64_t rows, std::uint64_t entries,
                         const Part& part) {
  const std::uint64_t values = header.values_of(rows, entries) * size_of(header.scalar);
  const auto give = [&](auto* pointer, std::uint64_t bytes) {
    if (bytes > 0) part(reinterpret_cast<Byte*>(pointer), static_cast<std::size_t>(bytes));
  };
  give(at.targets, 8 * rows * header.row_targets());
  if (header.has(CacheHeader::weights)) give(at.weights, 8 * rows);
  if (header.has(CacheHeader::queries)) give(at.queries, 8 * rows);
  if (header.scalar == CacheScalar::float64) give(at.values, values);
  if (header.has(CacheHeader::labels)) give(at.labels, 4 * rows);
  give(at.sets, 4 * rows * header.row_words());
  if (header.is_sparse()) {
    give(at.lengths, 4 * rows);
    give(at.indices, 4 * entries);
  }
  if (header.scalar != CacheScalar::float64) give(at.values, values);
}

/// Writes a cache under another name in the same folder first; `finish` renames it. Without `finish` nothing is left of it.
class CacheOutput {
 public:
  explicit CacheOutput(const std::filesystem::path& file) : file_(file_to_replace(file)), partial_(file_) {
    if constexpr (std::endian::native != std::endian::little) fail("the machine is not little-endian");
    partial_ += text(".", std::random_device{}(), ".part");
    out_.open(partial_, std::ios::binary);
    if (!out_) fail(std::generic_category().message(errno));
    const CacheHeader nothing{};
    write(&nothing, sizeof nothing);
  }
  CacheOutput(const CacheOutput&) = delete;
  CacheOutput& operator=(const CacheOutput&) = delete;
  ~CacheOutput() {
    if (!is_finished_) remove();
  }

  const std::filesystem::path& file() const { return file_; }
  std::uint64_t blocks() const { return index_.size(); }

  /// One block more. `header` says which parts there are.
  void write_block(const CacheHeader& header, const CacheBlockParts<const std::byte>& parts, std::uint64_t rows, std::uint64_t entries) {
    std::vector<std::uint64_t> hashes;
    for_each_cache_part(header, parts, rows, entries, [&](const std::byte* data, std::size_t size) {
      hashes.push_back(fast_hash({data, size}));
      write(data, size);
    });
    const std::uint64_t zero = 0;
    write(&zero, static_cast<std::size_t>(-written_ & 7));
    index_.push_back({entries, fast_hash(std::as_bytes(std::span(hashes)))});
    nonzeros_ += entries;
    if (!out_) fail(std::generic_category().message(errno));
  }

  void finish(CacheHeader header, const CacheSchema& schema) {
    header.version = header.version_of_parts();
    header.blocks = index_.size();
    header.nonzeros = nonzeros_;
    if (header.is_sparse() && nonzeros_ == 0) header.flags &= ~std::uint32_t{CacheHeader::values};  // as in SparseRows
    header.index_begin = written_;
    write(index_.data(), index_.size() * sizeof(CacheIndexEntry));
    header.index_hash = fast_hash(std::as_bytes(std::span(index_)));
    std::string bytes;
    const auto put = [&](const auto& number) { bytes.append(reinterpret_cast<const char*>(&number), sizeof number); };
    for (const auto* list : {&schema.features, &schema.classes, &schema.notes}) {
      put(std::uint64_t{list->size()});
      for (const std::string& one : *list) {
        put(static_cast<std::uint32_t>(one.size()));
        bytes += one;
      }
    }
    write(bytes.data(), bytes.size());
    header.schema_bytes = bytes.size();
    header.schema_hash = fast_hash(std::as_bytes(std::span(bytes)));
    header.header_hash = header.hash();
    out_.seekp(0);
    write(&header, sizeof header);
    out_.close();
    if (!out_) fail(std::generic_category().message(errno));
    std::error_code error;
    std::filesystem::rename(partial_, file_, error);
    if (error) fail(error.message());
    is_finished_ = true;
  }

 private:
  void write(const void* data, std::size_t size) {
    out_.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
    written_ += size;
  }
  void remove() {
    out_.close();
    std::error_code ignored;
    std::filesystem::remove(partial_, ignored);
  }
  [[noreturn]] void fail(const std::string& why) {
    remove();
    throw FileError(text(file_.string(), ": cannot be written: ", why));
  }

  std::filesystem::path file_, partial_;
  std::ofstream out_;
  std::uint64_t written_ = 0, nonzeros_ = 0;
  std::vector<CacheIndexEntry> index_;
  bool is_finished_ = false;
};

}  // namespace detail

/// A cache that is open for reading, block by block, from any number of threads: nothing is mapped, so that a file that is cut off or changed while it is
/// read is a FileError, naming file and block, and never a signal. Of the file it holds the index in memory, 16 bytes a block, as it was when it
/// was opened: a block that was changed since then has another hash.
///
///   const parade::CacheFile cache{"train.cache"};
///   cache.info().samples;                          // n
///
/// Throws FileError, naming file, byte, what was found and what was expected, for what is no cache or damaged. No memory is taken on the word of
/// the file: all sizes are checked against its own first.
class CacheFile {
 public:
  explicit CacheFile(const std::filesystem::path& file) : source_(file) {
    if constexpr (std::endian::native != std::endian::little) fail(12, "a machine that is not little-endian", "one that is");
    if (source_.size() < sizeof header_)
      fail(source_.size(), "the end of the file", detail::text("the ", sizeof header_, " bytes of a header"));
    read(0, &header_, sizeof header_);
    check_header();
    index_.resize(static_cast<std::size_t>(header_.blocks));
    read(header_.index_begin, index_.data(), index_.size() * sizeof(detail::CacheIndexEntry));
    check_index();
    read_schema();
  }

  const std::string& name() const { return source_.name(); }
  const CacheInfo& info() const { return info_; }

  /// Of one block.
  Index rows(Index block) const { return std::min(info_.rows_per_block, info_.samples - block * info_.rows_per_block); }
  Index entries(Index block) const { return static_cast<Index>(index_[static_cast<std::size_t>(block)].entries); }

  const detail::CacheHeader& header() const { return header_; }

  /// Reads one block to where `to` says, which has room for all parts that there are, and checks it: its hash, and what sparse rows must be.
  void read_block(Index block, const detail::CacheBlockParts<std::byte>& to) const {
    const auto rows = static_cast<std::uint64_t>(this->rows(block)), entries = index_[static_cast<std::size_t>(block)].entries;
    std::uint64_t at = begins_[static_cast<std::size_t>(block)];
    std::array<std::uint64_t, 8> hashes{};
    std::size_t parts = 0;
    detail::for_each_cache_part(header_, to, rows, entries, [&](std::byte* data, std::size_t size) {
      read_of_block(block, at, data, size);
      hashes[parts++] = fast_hash({data, size});
      at += size;
    });
    std::uint64_t zero = 0;
    read_of_block(block, at, &zero, static_cast<std::size_t>(-at & 7));
    if (fast_hash(std::as_bytes(std::span(hashes).first(parts))) != index_[static_cast<std::size_t>(block)].hash || zero != 0)
      fail_in(block, "damage or a change: its hash is another", "what was written");
    if (header_.is_sparse()) check_rows(block, to.lengths, to.indices, rows, entries);
    for (std::uint64_t i = 0; header_.has(detail::CacheHeader::weights) && i < rows; ++i)
      if (!(std::isfinite(to.weights[i]) && to.weights[i] >= 0))
        fail_in(block, detail::text("the weight ", to.weights[i], " in row ", i), "one that is finite and at least 0");
    const std::uint64_t words = header_.row_words();
    for (std::uint64_t i = 0; header_.targets % 32 != 0 && words > 0 && i < rows; ++i)
      if (to.sets[(i + 1) * words - 1] >> (header_.targets % 32) != 0)
        fail_in(block, detail::text("a label in row ", i), detail::text("those in [0, ", header_.targets, ")"));
  }

 private:
  [[noreturn]] void fail(std::uint64_t byte, const std::string& found, const std::string& expected) const {
    detail::fail_at(source_.name(), byte, found, expected);
  }
  [[noreturn]] void fail_in(Index block, const std::string& found, const std::string& expected) const {
    throw FileError(detail::text(source_.name(), ": block ", block, " (byte ", begins_[static_cast<std::size_t>(block)], "): found ", found,
                                 ", expected ", expected));
  }

  void read(std::uint64_t begin, void* to, std::size_t size) const { source_.read(begin, {static_cast<char*>(to), size}); }
  void read_of_block(Index block, std::uint64_t begin, void* to, std::size_t size) const {
    try {
      read(begin, to, size);
    } catch (const FileError& error) {
      throw FileError(detail::text(error.what(), ", in block ", block));
    }
  }

  void check_header() {
    using detail::text;
    const std::uint64_t size = source_.size();
    const auto& h = header_;
    if (h.magic != detail::cache_magic) fail(0, "other bytes", "those that a cache of parade begins with");
    if (h.version < 1 || h.version > 3) fail(8, text("version ", h.version), "version 1, 2 or 3");
    if (h.endianness != 0x01020304) fail(12, "another order of bytes", "little-endian numbers");
    if (h.header_hash != h.hash()) fail(0, "a damaged header", "its hash");
    if (h.kind != 1 && h.kind != 2) fail(56, text("kind ", h.kind), "1 (sparse) or 2 (dense)");
    const auto scalar = static_cast<std::uint32_t>(h.scalar);
    if (scalar < 1 || scalar > (h.is_sparse() ? 2 : 3))
      fail(60, text("scalar type ", scalar), "1 (float), 2 (double) or, if dense, 3 (8-bit)");
    if (h.flags > 31 || h.version != h.version_of_parts() || (h.version > 1 && !h.is_sparse()) ||
        (!h.is_sparse() && !h.has(detail::CacheHeader::values)))
      fail(64, text("flags ", h.flags), text("flags of version ", h.version));
    if (h.targets > 1 << 24) fail(68, text(h.targets, " targets a row"), "at most 2^24");
    if (h.features > (std::uint64_t{1} << (h.is_sparse() ? 31 : 40)) || (!h.is_sparse() && h.features == 0))
      fail(24, text(h.features, " features"), h.is_sparse() ? "at most 2^31" : "1 to 2^40");
    if (!std::isfinite(h.scale) || h.scale == 0 || !std::isfinite(h.offset))
      fail(72, text("scale ", h.scale, " and offset ", h.offset), "finite numbers, and no scale of 0");
    if (h.samples > size / h.row_bytes())
      fail(16, text(h.samples, " rows of at least ", h.row_bytes(), " bytes"), text("what ", size, " bytes can hold"));
    if (h.rows_per_block < 1 || h.rows_per_block > std::uint64_t{1} << 40) fail(40, text(h.rows_per_block, " rows a block"), "1 to 2^40");
    if (h.blocks != (h.samples + h.rows_per_block - 1) / h.rows_per_block)
      fail(48, text(h.blocks, " blocks"), text("those of ", h.samples, " rows, ", h.rows_per_block, " a block"));
    if (h.nonzeros > (h.is_sparse() ? size / 4 : 0)) fail(32, text(h.nonzeros, " entries"), text("what ", size, " bytes can hold"));
    if (h.index_begin > size || h.schema_bytes > size || h.blocks > size / 16 || h.index_begin + 16 * h.blocks + h.schema_bytes != size)
      fail(size, text("a file of ", size, " bytes"), "as many as its header says");
  }

  void check_index() {
    using detail::text;
    if (fast_hash(std::as_bytes(std::span(index_))) != header_.index_hash) fail(header_.index_begin, "a damaged index", "its hash");
    info_.samples = static_cast<Index>(header_.samples);
    info_.rows_per_block = static_cast<Index>(header_.rows_per_block);
    std::uint64_t at = sizeof header_, nonzeros = 0;
    begins_.reserve(index_.size());
    for (std::size_t b = 0; b < index_.size(); ++b) {
      begins_.push_back(at);
      if (index_[b].entries > header_.nonzeros - nonzeros)
        fail(header_.index_begin + 16 * b, text(index_[b].entries, " entries in block ", b), text(header_.nonzeros, " in all"));
      nonzeros += index_[b].entries;
      at += header_.block_bytes(static_cast<std::uint64_t>(rows(static_cast<Index>(b))), index_[b].entries);
    }
    if (nonzeros != header_.nonzeros) fail(header_.index_begin, text(nonzeros, " entries in all blocks"), text(header_.nonzeros));
    if (at != header_.index_begin) fail(88, text("an index at byte ", header_.index_begin), text("at ", at, ", behind the blocks"));
    info_.is_sparse = header_.is_sparse();
    info_.scalar = detail::name_of(header_.scalar);
    info_.num_features = static_cast<Index>(header_.features);
    info_.nonzeros = static_cast<Index>(header_.nonzeros);
    info_.blocks = static_cast<Index>(header_.blocks);
    info_.all_ones = !header_.has(detail::CacheHeader::values);
    info_.has_labels = header_.has(detail::CacheHeader::labels);
    info_.has_weights = header_.has(detail::CacheHeader::weights);
    info_.has_label_sets = header_.has(detail::CacheHeader::label_sets);
    info_.has_queries = header_.has(detail::CacheHeader::queries);
    (info_.has_label_sets ? info_.num_labels : info_.num_targets) = static_cast<Index>(header_.targets);
    info_.scale = header_.scale;
    info_.offset = header_.offset;
    info_.bytes = source_.size();
  }

  void read_schema() {
    std::string bytes(static_cast<std::size_t>(header_.schema_bytes), '\0');
    const std::uint64_t begin = header_.index_begin + 16 * header_.blocks;
    read(begin, bytes.data(), bytes.size());
    if (fast_hash(std::as_bytes(std::span(bytes))) != header_.schema_hash) fail(begin, "a damaged schema", "its hash");
    std::size_t at = 0;
    const auto take = [&](auto number) {
      if (bytes.size() - at < sizeof number) fail(begin + at, "the end of the file", "the whole schema");
      std::memcpy(&number, bytes.data() + at, sizeof number);
      at += sizeof number;
      return number;
    };
    for (auto* list : {&info_.schema.features, &info_.schema.classes, &info_.schema.notes})
      for (auto left = take(std::uint64_t{}); left > 0; --left) {  // each takes bytes that are there
        const auto size = take(std::uint32_t{});
        if (bytes.size() - at < size) fail(begin + at, "the end of the file", "the whole schema");
        list->emplace_back(bytes, at, size);
        at += size;
      }
    if (at != bytes.size()) fail(begin + at, detail::text(bytes.size() - at, " bytes more"), "the end of the schema");
  }

  /// What the hash cannot know: whoever wrote the file may have written anything.
  void check_rows(Index block, const std::uint32_t* lengths, const std::int32_t* indices, std::uint64_t rows, std::uint64_t entries) const {
    std::uint64_t left = entries;
    const auto features = static_cast<std::int64_t>(header_.features);
    for (std::uint64_t i = 0; i < rows; ++i) {
      const std::uint32_t count = lengths[i];
      if (count > left) fail_in(block, detail::text(count, " entries in row ", i), detail::text("at most ", left));
      left -= count;
      if (count == 0) continue;
      bool rising = true;
      for (std::uint32_t j = 1; j < count; ++j) rising &= indices[j - 1] < indices[j];  // to the end, so that it runs in vectors
      if (!rising || indices[0] < 0 || indices[count - 1] >= features)
        fail_in(block, detail::text("indices that do not rise, or are not in [0, ", features, "), in row ", i), "some that do");
      indices += count;
    }
    if (left > 0) fail_in(block, detail::text(left, " entries in no row"), "none");
  }

  detail::TextSource source_;
  detail::CacheHeader header_;
  CacheInfo info_;
  std::vector<detail::CacheIndexEntry> index_;
  std::vector<std::uint64_t> begins_;  // byte of each block
};

}  // namespace parade
