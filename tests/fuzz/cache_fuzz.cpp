// SPDX-License-Identifier: MIT
// Any bytes as a cache, with the hashes put right or not: FileError or data that holds together, the same window by window. See fuzz.hpp.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <parade/core/hash.hpp>
#include <parade/data/cache.hpp>
#include <parade/data/cached.hpp>
#include <parade/io/cache.hpp>

#include "fuzz.hpp"

namespace {

using parade::Index;

/// Gives the file the hashes that its header, index, schema and blocks should have, as far as these are there: else the fuzzer would have to guess them.
void put_hashes_right(std::vector<std::uint8_t>& bytes) {
  using parade::detail::CacheHeader, parade::detail::CacheIndexEntry, parade::fast_hash;
  CacheHeader header;
  if (bytes.size() < sizeof header) return;
  std::memcpy(&header, bytes.data(), sizeof header);
  const auto part = [&](std::uint64_t begin, std::uint64_t size) {
    return begin <= bytes.size() && size <= bytes.size() - begin ? std::as_bytes(std::span(bytes)).subspan(begin, size)
                                                                 : std::span<const std::byte>{};
  };
  const std::uint64_t blocks = std::min<std::uint64_t>(header.blocks, bytes.size() / 16);
  if (header.scalar == parade::detail::CacheScalar::float32 && header.is_sparse() && header.features < 1 << 20 && header.targets < 16) {
    std::uint64_t at = sizeof header;
    for (std::uint64_t b = 0; b < blocks; ++b) {
      const std::uint64_t entry = header.index_begin + 16 * b;
      CacheIndexEntry of;
      if (part(entry, 16).empty()) break;
      std::memcpy(&of, bytes.data() + entry, 16);
      const std::uint64_t rows = std::min(header.rows_per_block, header.samples - b * header.rows_per_block);
      if (of.entries > bytes.size() || rows > bytes.size()) break;
      std::vector<std::uint64_t> hashes;
      std::uint64_t from = at;
      const bool values = header.has(CacheHeader::values);
      for (const std::uint64_t size : {8 * rows * header.row_targets(), header.has(CacheHeader::weights) ? 8 * rows : 0,
                                       header.has(CacheHeader::queries) ? 8 * rows : 0, header.has(CacheHeader::labels) ? 4 * rows : 0,
                                       4 * rows * header.row_words(), 4 * rows, 4 * of.entries, values ? 4 * of.entries : 0}) {
        if (size > 0) hashes.push_back(fast_hash(part(from, size)));
        from += size;
      }
      of.hash = fast_hash(std::as_bytes(std::span(hashes)));
      std::memcpy(bytes.data() + entry, &of, 16);
      at += header.block_bytes(rows, of.entries);
    }
  }
  header.index_hash = fast_hash(part(header.index_begin, 16 * blocks));
  header.schema_hash = fast_hash(part(header.index_begin + 16 * blocks, header.schema_bytes));
  header.header_hash = header.hash();
  std::memcpy(bytes.data(), &header, sizeof header);
}

template <class D, class C>
void check(const std::filesystem::path& file, Index batch) {
  try {
    const D data = parade::read_cache<D>(file, 1);
    const C cached{file, {.window_blocks = 1 + batch % 3}};
    fuzz::require(cached.size() == data.size() && cached.num_features() == data.num_features(), "the sizes differ");
    if (data.size() == 0) return;
    const auto stream = cached.open({.batch_size = batch, .seed = 1, .shuffle = batch % 2 == 0});
    std::vector<bool> seen(static_cast<std::size_t>(data.size()));
    for (bool more = true; more;) {
      const auto& window = stream->next();
      for (const Index s : window.samples()) {
        const Index i = window.number(s);
        fuzz::require(i >= 0 && i < data.size() && !seen[static_cast<std::size_t>(i)], "a sample comes twice, or is none");
        seen[static_cast<std::size_t>(i)] = true;
        if constexpr (parade::SparseData<typename C::Window>) {
          const auto row = data[i];
          const auto begin = window.offsets()[s], end = window.offsets()[s + 1];
          fuzz::require(static_cast<std::size_t>(end - begin) == row.indices.size() &&
                            std::equal(row.indices.begin(), row.indices.end(), window.indices().data() + begin),
                        "rows differ");
          if (data.has_labels()) fuzz::require(window.labels()[s] == data.labels()[i], "labels differ");
          if (data.has_queries()) fuzz::require(window.queries()[s] == data.queries()[i], "queries differ");
          if (data.has_label_sets()) {
            const auto set = data.label_set(i);
            for (Index c = 0; c < window.num_targets(); ++c)
              fuzz::require(window.targets()(c, s) == (std::binary_search(set.begin(), set.end(), static_cast<parade::Label>(c)) ? 1 : 0),
                            "label sets differ");
          }
        }
      }
      more = !window.ends_epoch();
    }
    fuzz::require(std::find(seen.begin(), seen.end(), false) == seen.end(), "a sample does not come");
    parade::write_cache(file, data, {.rows_per_block = batch});
    fuzz::require(parade::read_cache<D>(file, 1).size() == data.size(), "what was written is not what is read");
  } catch (const parade::FileError&) {
  } catch (const parade::DataError&) {    // values that no data set takes
  } catch (const parade::OptionError&) {  // blocks larger than the memory for windows
  }
}

}  // namespace

/// The first byte chooses what the rest is read as.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  static const std::filesystem::path file = fuzz::scratch_file();
  std::vector<std::uint8_t> bytes(data + 1, data + size);
  if (data[0] & 1) put_hashes_right(bytes);
  fuzz::write(file, bytes.data(), bytes.size());
  const Index batch = 1 + data[0] / 16;
  if ((data[0] & 14) == 2)
    check<parade::DenseData<std::uint8_t>, parade::CachedDense<std::uint8_t>>(file, batch);
  else if ((data[0] & 14) == 4)
    check<parade::SparseRows<double>, parade::CachedRows<double>>(file, batch);
  else
    check<parade::SparseRows<float>, parade::CachedRows<float>>(file, batch);
  return 0;
}
