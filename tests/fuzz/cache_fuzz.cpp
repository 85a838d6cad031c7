// SPDX-License-Identifier: MIT
// Any bytes as a cache, with the hashes put right or not: FileError or data that holds together, the same window by window. See fuzz.hpp.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <parade/core/batch.hpp>
#include <parade/core/hash.hpp>
#include <parade/data/cache.hpp>
#include <parade/data/cached.hpp>
#include <parade/data/dense_data.hpp>
#include <parade/data/sampler.hpp>
#include <parade/data/sparse_rows.hpp>
#include <parade/io/cache.hpp>

#include "fuzz.hpp"

namespace {

using fuzz::same;
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
  std::uint64_t at = sizeof header;
  for (std::uint64_t b = 0; b < blocks; ++b) {
    const std::uint64_t entry = header.index_begin + 16 * b;
    CacheIndexEntry of;
    if (part(entry, sizeof of).empty()) break;
    std::memcpy(&of, bytes.data() + entry, sizeof of);
    const std::uint64_t rows = std::min(header.rows_per_block, header.samples - b * header.rows_per_block);
    if (of.entries > bytes.size() || rows > bytes.size()) break;
    std::vector<std::uint64_t> hashes;
    std::uint64_t from = at;
    const parade::detail::CacheBlockParts<const std::byte> nowhere;
    parade::detail::for_each_cache_part(header, nowhere, rows, of.entries, [&](const std::byte*, std::uint64_t size) {
      hashes.push_back(fast_hash(part(from, size)));
      from += size;
    });
    of.hash = fast_hash(std::as_bytes(std::span(hashes)));
    std::memcpy(bytes.data() + entry, &of, sizeof of);
    at += header.block_bytes(rows, of.entries);
  }
  header.index_hash = fast_hash(part(header.index_begin, 16 * blocks));
  header.schema_hash = fast_hash(part(header.index_begin + 16 * blocks, header.schema_bytes));
  header.header_hash = header.hash();
  std::memcpy(bytes.data(), &header, sizeof header);
}

template <class T>
bool same(const parade::DenseData<T>& a, const parade::DenseData<T>& b) {
  return fuzz::same_bits(parade::Matrix<T>{a.values()}, parade::Matrix<T>{b.values()}) && a.has_labels() == b.has_labels() &&
         a.has_weights() == b.has_weights() && a.num_targets() == b.num_targets() && a.scale() == b.scale() && a.offset() == b.offset() &&
         (!a.has_labels() || a.labels() == b.labels()) && (!a.has_weights() || fuzz::same_bits(a.weights(), b.weights())) &&
         (a.num_targets() == 0 || fuzz::same_bits(a.targets(), b.targets()));
}

/// Of sample s of the window and row i of the data.
template <class S, class W>
void check_sample(const parade::SparseRows<S>& data, Index i, const W& window, Index s) {
  const auto row = data[i];
  const auto begin = window.offsets()[s], end = window.offsets()[s + 1];
  fuzz::require(static_cast<std::size_t>(end - begin) == row.indices.size() &&
                    std::equal(row.indices.begin(), row.indices.end(), window.indices().data() + begin),
                "rows differ");
  for (std::size_t j = 0; j < row.indices.size(); ++j)
    fuzz::require(fuzz::same_bits(row.value(j), window.all_ones() ? S{1} : window.values()[begin + static_cast<Index>(j)]),
                  "values differ");
  if (data.has_labels()) fuzz::require(window.labels()[s] == data.labels()[i], "labels differ");
  if (data.has_queries()) fuzz::require(window.queries()[s] == data.queries()[i], "queries differ");
  if (data.has_weights()) fuzz::require(fuzz::same_bits(window.weights()[s], data.weights()[i]), "weights differ");
  const auto set = data.has_label_sets() ? data.label_set(i) : std::span<const parade::Label>{};
  for (Index c = 0; c < window.num_targets(); ++c) {
    const double expected = !data.has_label_sets()                                                      ? data.targets()(c, i)
                            : std::binary_search(set.begin(), set.end(), static_cast<parade::Label>(c)) ? 1
                                                                                                        : 0;
    fuzz::require(fuzz::same_bits(window.targets()(c, s), expected), "targets differ");
  }
}
template <class T, class W>
void check_sample(const parade::DenseData<T>& data, Index i, const W& window, Index s) {
  parade::DenseBatch<double> expected, found;
  data.reserve(expected, 1);
  window.reserve(found, 1);
  data.gather(std::span{&i, 1}, expected);
  window.gather(std::span{&s, 1}, found);
  fuzz::require(fuzz::same_bits(found.x, expected.x), "values differ");
  fuzz::require(fuzz::same_bits(found.labels, expected.labels), "labels differ");
  fuzz::require(fuzz::same_bits(found.targets, expected.targets), "targets differ");
  fuzz::require(fuzz::same_bits(found.weights, expected.weights), "weights differ");
}

/// Reads the windows of an epoch; those of `data`, where there is one.
template <class C, class D>
void check_windows(const C& cached, const parade::WindowPlan& plan, const std::optional<D>& data) {
  if (cached.size() == 0) return;
  const auto stream = cached.open(plan);
  std::vector<bool> seen(static_cast<std::size_t>(cached.size()));
  for (bool more = true; more;) {
    const auto& window = stream->next();
    for (const Index s : window.samples()) {
      const Index i = window.number(s);
      fuzz::require(i >= 0 && i < cached.size() && !seen[static_cast<std::size_t>(i)], "a sample comes twice, or is none");
      seen[static_cast<std::size_t>(i)] = true;
      if (data) check_sample(*data, i, window, s);
    }
    more = !window.ends_epoch();
  }
  fuzz::require(std::find(seen.begin(), seen.end(), false) == seen.end(), "a sample does not come");
}

template <class D, class C>
void check(const std::filesystem::path& file, Index batch) {
  std::optional<D> data;
  std::string error, error_of_windows;
  try {
    data.emplace(parade::read_cache<D>(file, 1, parade::NotFinite::keep));
  } catch (const parade::FileError& refused) {
    error = refused.what();
  } catch (const parade::DataError&) {  // targets and weights that no data set takes, and that a window does not look at
  }
  try {
    const C cached{file, {.window_blocks = 1 + batch % 3}};
    fuzz::require(!data || (cached.size() == data->size() && cached.num_features() == data->num_features()), "the sizes differ");
    check_windows(cached, {.batch_size = batch, .seed = 1, .shuffle = batch % 2 == 0}, data);
  } catch (const parade::FileError& refused) {
    error_of_windows = refused.what();
  } catch (const parade::OptionError&) {  // blocks larger than the memory for windows
    return;
  }
  fuzz::require(error.empty() == error_of_windows.empty(), "the windows are refused and the whole is not, or the other way round");
  fuzz::require(batch % 2 == 0 || error == error_of_windows, "errors differ");  // without shuffling both find the first one
  if (!data) return;
  parade::write_cache(file, *data, {.rows_per_block = batch});
  fuzz::require(same(parade::read_cache<D>(file, 1, parade::NotFinite::keep), *data), "what was written is not what is read");
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
  else if ((data[0] & 14) == 6)
    check<parade::DenseData<float>, parade::CachedDense<float>>(file, batch);
  else if ((data[0] & 14) == 4)
    check<parade::SparseRows<double>, parade::CachedRows<double>>(file, batch);
  else
    check<parade::SparseRows<float>, parade::CachedRows<float>>(file, batch);
  return 0;
}
