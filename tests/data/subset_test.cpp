// SPDX-License-Identifier: MIT
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <new>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include <parade/data/dense_data.hpp>
#include <parade/data/sampler.hpp>
#include <parade/data/subset.hpp>

#include "support/catch.hpp"

namespace {

using parade::DenseBatch;
using parade::DenseData;
using parade::Index;
using parade::Label;
using parade::Matrix;
using parade::split;
using parade::Subset;
using parade::Vector;

std::atomic<long> allocations{0};

/// n samples of d = 3 values; the first value and the label of sample i are i.
DenseData<double> counted(Index n) {
  Matrix<double> x = Matrix<double>::Constant(3, n, 0.5);
  Vector<Label> labels(n);
  for (Index i = 0; i < n; ++i) {
    x(0, i) = static_cast<double>(i);
    labels[i] = static_cast<Label>(i);
  }
  return DenseData{std::move(x)}.with_labels(std::move(labels));
}

std::vector<Index> first_indices(Index n) {
  std::vector<Index> indices(static_cast<std::size_t>(n));
  std::iota(indices.begin(), indices.end(), Index{0});
  return indices;
}

std::vector<Index> listed(std::span<const Index> samples) { return {samples.begin(), samples.end()}; }

/// A data set with no more than the concept asks for: no labels to look at, no weights.
struct Counter {
  Index size() const { return 100; }
  Index num_features() const { return 1; }
  bool has_labels() const { return false; }
  Index num_targets() const { return 0; }
  void reserve(DenseBatch<float>& batch, Index capacity) const { batch.reserve(capacity, 1, false, 0, false); }
  void gather(std::span<const Index> samples, DenseBatch<float>& batch) const {
    batch.size = static_cast<Index>(samples.size());
    for (std::size_t s = 0; s < samples.size(); ++s) batch.x(0, static_cast<Index>(s)) = static_cast<float>(samples[s]);
  }
};

template <class D>
concept HasLabel = requires(const D data) {
  data.label(Index{});
};
template <class D>
concept SaysWeights = requires(const D data) {
  data.has_weights();
};

static_assert(parade::Dataset<Subset<DenseData<float>>, DenseBatch<float>> &&
              parade::Dataset<Subset<DenseData<float>>, DenseBatch<double>>);
static_assert(parade::Dataset<Subset<Subset<DenseData<std::uint8_t>>>, DenseBatch<float>>);
static_assert(HasLabel<Subset<DenseData<float>>> && SaysWeights<Subset<DenseData<float>>>);
static_assert(parade::Dataset<Subset<Counter>, DenseBatch<float>> && !parade::Dataset<Subset<Counter>, DenseBatch<double>>);
static_assert(!HasLabel<Subset<Counter>> && !SaysWeights<Subset<Counter>>);

}  // namespace

// Every `new` of this program is counted. Not inlined: GCC would see a `free` for a `new` and warn.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size > 0 ? size : 1);
}
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (void* memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc{};
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

TEST_CASE("a subset gathers the samples that its list names") {
  const auto data = counted(20);
  const Subset<DenseData<double>> subset{data, {19, 4, 4, 0, 7}};
  CHECK(subset.size() == 5);
  CHECK(subset.num_features() == 3);
  CHECK(subset.has_labels());
  CHECK_FALSE(subset.has_weights());
  CHECK(subset.num_targets() == 0);
  CHECK(subset.label(0) == 19);
  CHECK(subset.data().values().data() == data.values().data());
  CHECK(listed(subset.samples()) == std::vector<Index>{19, 4, 4, 0, 7});

  DenseBatch<float> batch;
  subset.reserve(batch, 4);
  subset.gather(std::vector<Index>{4, 0, 2}, batch);
  REQUIRE(batch.size == 3);
  CHECK(batch.x.leftCols(3) == Matrix<float>{{7, 19, 4}, {0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}});
  CHECK(batch.labels.head(3) == Vector<Label>{{7, 19, 4}});
}

TEST_CASE("a subset of a subset, or of a user's own data set, is a data set") {
  const Subset<DenseData<double>> outer{counted(20), {19, 4, 6, 0, 7}};
  const Subset<Subset<DenseData<double>>> inner{outer, {3, 2}};
  DenseBatch<double> batch;
  inner.reserve(batch, 2);
  inner.gather(std::vector<Index>{0, 1}, batch);
  CHECK(batch.labels == Vector<Label>{{0, 6}});

  const Subset<Counter> own{Counter{}, {42, 23}};
  DenseBatch<float> own_batch;
  own.reserve(own_batch, 1);
  own.gather(std::vector<Index>{1}, own_batch);
  CHECK(own_batch.x(0, 0) == 23);
}

TEST_CASE("a subset maps any number of indices, also more than it has room for on the stack") {
  for (const Index m : {1, 1023, 1024, 1025, 3000}) {
    auto backwards = first_indices(m);
    std::reverse(backwards.begin(), backwards.end());
    const Subset<DenseData<double>> subset{counted(m), backwards};
    DenseBatch<double> batch;
    subset.reserve(batch, m);
    subset.gather(first_indices(m), batch);
    Index right = 0;
    for (Index s = 0; s < m; ++s) right += batch.labels[s] == m - 1 - s;
    CHECK(right == m);
  }
}

TEST_CASE("an index outside the data is refused") {
  CHECK_THROWS_MATCHES((Subset<DenseData<double>>{counted(5), {0, 4, 5}}), parade::DataError,
                       Catch::Matchers::Message("samples[2] must be in [0, n); got 5 (n = 5)"));
  CHECK_THROWS_MATCHES((Subset<DenseData<double>>{counted(5), {-1}}), parade::DataError,
                       Catch::Matchers::Message("samples[0] must be in [0, n); got -1 (n = 5)"));
}

TEST_CASE("a split puts each sample in one of two parts of the right size, both in the order of the data") {
  for (const Index n : {0, 1, 2, 3, 7, 10, 101, 1000})
    for (const double fraction : {0.0, 0.1, 0.25, 1.0 / 3, 0.5, 0.9, 1.0})
      for (const std::uint64_t seed : {0u, 1u, 77u}) {
        CAPTURE(n, fraction, seed);
        const auto [train, validation] = split(counted(n), fraction, seed);
        CHECK(validation.size() == std::llround(fraction * static_cast<double>(n)));
        CHECK(train.size() + validation.size() == n);
        CHECK(std::is_sorted(train.samples().begin(), train.samples().end()));
        CHECK(std::is_sorted(validation.samples().begin(), validation.samples().end()));
        std::vector<Index> all;
        std::merge(train.samples().begin(), train.samples().end(), validation.samples().begin(), validation.samples().end(),
                   std::back_inserter(all));
        CHECK(all == first_indices(n));
      }
}

TEST_CASE("the validation part has the smallest keys, so a larger fraction only adds to it") {
  const Index n = 500;
  const parade::Random random{9, parade::Purpose::split};
  auto by_key = first_indices(n);
  std::sort(by_key.begin(), by_key.end(),
            [&](Index a, Index b) { return random.bits(static_cast<std::uint64_t>(a)) < random.bits(static_cast<std::uint64_t>(b)); });
  for (const Index count : {0, 1, 50, 51, 250, 500}) {
    std::vector<Index> expected(by_key.begin(), by_key.begin() + count);
    std::sort(expected.begin(), expected.end());
    const auto parts = split(counted(n), static_cast<double>(count) / static_cast<double>(n), 9);
    CHECK(listed(parts.validation.samples()) == expected);
  }
}

TEST_CASE("a split is the same for the same seed, on every machine, and another for another") {
  const auto data = counted(20);
  CHECK(listed(split(data, 0.25, 1).validation.samples()) == std::vector<Index>{1, 2, 6, 9, 14});
  CHECK(listed(split(data, 0.25, 1).validation.samples()) != listed(split(data, 0.25, 2).validation.samples()));
}

TEST_CASE("a fraction that is none is refused") {
  const auto data = counted(4);
  CHECK_THROWS_MATCHES(split(data, -0.1, 1), parade::OptionError, Catch::Matchers::Message("fraction must be in [0, 1]; got -0.1"));
  CHECK_THROWS_MATCHES(split(data, 1.5, 1), parade::OptionError, Catch::Matchers::Message("fraction must be in [0, 1]; got 1.5"));
  CHECK_THROWS_MATCHES(split(data, std::numeric_limits<double>::quiet_NaN(), 1), parade::OptionError,
                       Catch::Matchers::Message("fraction must be in [0, 1]; got nan"));
}

TEST_CASE("shuffling and gathering take no memory once the buffers are there") {
  const auto data = counted(5000).with_weights(Vector<double>::Ones(5000)).with_targets(Matrix<double>::Ones(2, 5000));
  const auto [train, validation] = split(data, 0.1, 1);
  DenseBatch<float> batch;
  train.reserve(batch, 1024);
  parade::EpochOrder order{train.size(), 1};
  const long before = allocations;
  for (Index epoch = 0; epoch < 3; ++epoch) {
    const auto samples = order.shuffle(epoch);
    train.gather(samples.first(1024), batch);
    data.gather(samples.subspan(7, 1001), batch);
  }
  const long after = allocations;
  CHECK(after == before);
  CHECK(before > 0);
}
