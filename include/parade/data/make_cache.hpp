// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <utility>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/data/cache.hpp>
#include <parade/data/sparse_rows.hpp>
#include <parade/io/libsvm.hpp>
#include <parade/io/text.hpp>

namespace parade {
namespace detail {

template <class Scalar>
LibsvmReport make_cache(const std::filesystem::path& text_file, const std::filesystem::path& file, LibsvmOptions options,
                        CacheOptions cache, std::size_t piece_bytes) {
  check_libsvm_options(options);
  const TextSource source{text_file};
  LibsvmRules rules{options.index_base, options.targets, std::nullopt};
  bool all_ones = true;
  for (bool again = true; again;) {  // once, or twice where a line does not fit what the others say
    all_ones = true;
    LibsvmReport ignored;
    const LibsvmFacts facts =
        parse_rounds<Scalar>(source, options, rules, piece_bytes, ignored, [&](auto& pieces, Index count, double, int) {
          for (Index p = 0; p < count; ++p) all_ones = all_ones && pieces[static_cast<std::size_t>(p)].values.empty();
        });
    again = complete_rules(rules, facts, options);
    options.num_features = libsvm_features(options, facts, *rules.index_base);
  }
  if (rules.targets == LibsvmTargets::label_sets || rules.queries == true)
    throw DataError(text(source.name(), ": a cache holds no label sets and no queries"));

  cache.all_ones = all_ones;
  cache.num_features = std::max(cache.num_features, options.num_features);
  LibsvmReport report;
  CacheWriter<SparseRows<Scalar>> writer{file, std::move(cache)};
  parse_rounds<Scalar>(source, options, rules, piece_bytes, report, [&](auto& pieces, Index count, double, int threads) {
    LibsvmRows<Scalar> rows{*rules.index_base};
    rows.add(pieces, count, 1, threads);
    report.nonzeros += rows.entries();
    writer.add(rows.finish(options.num_features, *rules.index_base, rules.targets, options.not_finite));
  });
  report.rows = writer.size();
  report.index_base = *rules.index_base;
  report.targets = rules.targets;
  writer.finish();
  return report;
}

}  // namespace detail

/// Writes the rows of a LIBSVM file as a cache, in two passes over the text: the first finds out how many features there are, what the labels are, and
/// whether all values are 1. The memory it takes does not grow with the text (some tens of megabytes, more for each thread), unless that is packed by gzip: then
/// it is unpacked in memory.
///
///   parade::make_cache<float>("train.txt", "train.cache");      // then: parade::CachedRows<float> rows{"train.cache"};
///
/// Throws as read_libsvm and CacheWriter; DataError for label sets and queries. What was there under the name of the cache is then left as it was.
template <class Scalar>
LibsvmReport make_cache(const std::filesystem::path& text_file, const std::filesystem::path& file, const LibsvmOptions& options = {},
                        const CacheOptions& cache = {}) {
  return detail::make_cache<Scalar>(text_file, file, options, cache, detail::libsvm_piece);
}

}  // namespace parade
