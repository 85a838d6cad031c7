// SPDX-License-Identifier: MIT
// Data larger than memory: rows are written to a cache file chunk by chunk, and trained on window by window. The bits are those of memory.
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <unistd.h>
#include <vector>

#include <parade/data/cache.hpp>
#include <parade/data/cached.hpp>
#include <parade/parade.hpp>

using namespace parade;

namespace {

/// Rows first … first + count − 1 of a set that nobody holds as a whole: 20 words of 10000, and a label that some of the words speak for.
SparseRows<float> rows_of(Index first, Index count) {
  constexpr Index words = 10000, entries = 20;
  Vector<std::int64_t> offsets(count + 1);
  Vector<std::int32_t> indices(count * entries);
  Vector<Label> labels(count);
  for (Index i = 0; i < count; ++i) {
    const Random random{1, Purpose::user, static_cast<std::uint64_t>(first + i)};
    int score = 0;
    for (Index e = 0; e < entries; ++e) {
      const auto word = static_cast<Index>(random.below(static_cast<std::uint64_t>(e), words / entries)) + e * (words / entries);
      indices[i * entries + e] = static_cast<std::int32_t>(word);
      score += word % 3 == 0 ? 2 : -1;
    }
    labels[i] = score > 0 ? 1 : 0;
    offsets[i] = i * entries;
  }
  offsets[count] = count * entries;
  return SparseRows<float>(offsets, indices, {}, words).with_labels(labels);  // no values: all are 1
}

}  // namespace

int main() {
  const auto file = std::filesystem::temp_directory_path() / ("parade_example_" + std::to_string(::getpid()) + ".cache");
  CacheWriter<SparseRows<float>> writer{file, {.rows_per_block = 1000, .all_ones = true}};
  for (Index chunk = 0; chunk < 20; ++chunk) writer.add(rows_of(2000 * chunk, 2000));
  writer.finish();

  const CachedRows<float> rows{file, {.memory = 1 << 20}};
  std::cout << rows.size() << " rows, " << std::fixed << std::setprecision(1) << static_cast<double>(rows.info().bytes) / (1 << 20)
            << " MiB on disk, trained on under 1 MiB: " << rows.info().blocks << " blocks, " << rows.windows().blocks << " a window\n";

  Trainer trainer{Linear<float>{rows.num_features()}, Logistic{}, L2{.lambda = 1e-4}, Sgd{.rate = 0.5}};
  const Summary from_file = trainer.fit(rows, {.epochs = 4, .batch_size = 32, .seed = 1});
  std::cout << "accuracy " << std::setprecision(3) << trainer.accuracy(rows) << ", theta hash " << hash_text(from_file.theta_hash) << '\n';

  const Summary in_memory = trainer.fit(rows_of(0, 40000), {.epochs = 4, .batch_size = 32, .seed = 1, .windows = rows.windows()});
  std::cout << "in memory, in the same order: theta hash " << hash_text(in_memory.theta_hash) << '\n';
  std::filesystem::remove(file);
}
