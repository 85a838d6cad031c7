// SPDX-License-Identifier: MIT
#include <parade/concepts/dataset.hpp>

#ifdef PARADE_TEST_GOOD
#define IF_GOOD(text) text
#else
#define IF_GOOD(text)
#endif

// Sample i is (i, i²), made when it is asked for; by all workers at the same time.
struct Mine {
  parade::Index size() const { return 100; }
  parade::Index num_features() const { return 1; }
  bool has_labels() const { return false; }
  parade::Index num_targets() const { return 1; }
  void reserve(parade::DenseBatch<float>& batch, parade::Index capacity) const { batch.reserve(capacity, 1, false, 1, false); }
  void gather(std::span<const parade::Index> samples, parade::DenseBatch<float>& batch) IF_GOOD(const) {
    batch.size = 0;
    for (const auto i : samples) {
      batch.x(0, batch.size) = static_cast<float>(i);
      batch.targets(0, batch.size++) = static_cast<float>(i * i);
    }
  }
};
static_assert(parade::Dataset<Mine, parade::DenseBatch<float>>);
