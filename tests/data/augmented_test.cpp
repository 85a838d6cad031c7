// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

#include <parade/core/hash.hpp>
#include <parade/data/augmented.hpp>
#include <parade/data/dense_data.hpp>
#include <parade/data/subset.hpp>
#include <parade/data/synthetic_digits.hpp>

#include "support/catch.hpp"
#include "support/numbers.hpp"

namespace {

using namespace parade;
using Catch::Matchers::Message;
using numbers::random_matrix, numbers::same_bits;

static_assert(Dataset<Augmented<DenseData<std::uint8_t>>, DenseBatch<float>> && Dataset<Augmented<DenseData<float>>, DenseBatch<double>>);
static_assert(Dataset<Subset<Augmented<DenseData<float>>>, DenseBatch<float>> &&
              Dataset<Augmented<Subset<DenseData<float>>>, DenseBatch<float>>);
static_assert(SampleBySample<Augmented<DenseData<float>>>);

const AugmentOptions everything{
    .shift = 2, .rotate = 15, .scale = 0.1, .flip_horizontal = true, .flip_vertical = true, .elastic = 34, .noise = 0.05, .seed = 3};

/// The samples of a data set (d,m), gathered `at_a_time`.
template <class S, class D>
Matrix<S> gathered(const D& data, const std::vector<Index>& samples, std::size_t at_a_time = 1000) {
  Matrix<S> x(data.num_features(), static_cast<Index>(samples.size()));
  DenseBatch<S> batch;
  data.reserve(batch, static_cast<Index>(samples.size()));
  for (std::size_t first = 0; first < samples.size(); first += at_a_time) {
    const auto some = std::span{samples}.subspan(first, std::min(at_a_time, samples.size() - first));
    data.gather(some, batch);
    x.middleCols(static_cast<Index>(first), batch.size) = batch.x.leftCols(batch.size);
  }
  return x;
}

std::vector<Index> first_indices(Index n) {
  std::vector<Index> indices(static_cast<std::size_t>(n));
  std::iota(indices.begin(), indices.end(), Index{0});
  return indices;
}

/// One image of c channels.
DenseData<double> image(const Matrix<double>& rows, Index channels = 1) {
  Matrix<double> x(rows.size(), 1);
  for (Index r = 0; r < rows.rows(); ++r)
    for (Index c = 0; c < rows.cols(); ++c) x(r * rows.cols() + c, 0) = rows(r, c);
  Matrix<double> all(x.rows() * channels, 1);
  for (Index k = 0; k < channels; ++k) all.middleRows(k * x.rows(), x.rows()) = x * static_cast<double>(k + 1);
  return DenseData<double>{all};
}

/// Both flips, in the four combinations that images get.
Matrix<double> flipped(const Matrix<double>& rows, bool down, bool across) {
  Matrix<double> out = rows;
  for (Index r = 0; r < rows.rows(); ++r)
    for (Index c = 0; c < rows.cols(); ++c) out(r, c) = rows(down ? rows.rows() - 1 - r : r, across ? rows.cols() - 1 - c : c);
  return out;
}

}  // namespace

TEST_CASE("what a sample becomes depends on seed, epoch and sample, not on its batch") {
  const auto digits = synthetic_digits(40, 1);
  const Augmented data{digits, 1, 28, 28, everything};
  const auto all = gathered<float>(data, first_indices(40));
  CHECK(same_bits(gathered<float>(data, first_indices(40), 1), all));
  CHECK(same_bits(gathered<float>(data, first_indices(40), 7), all));
  auto backwards = first_indices(40);
  std::reverse(backwards.begin(), backwards.end());
  CHECK(same_bits(gathered<float>(data, backwards, 3), all.rowwise().reverse()));
  CHECK(same_bits(gathered<float>(Subset{data, {7, 7, 3}}, {0, 1, 2}), gathered<float>(data, {7, 7, 3})));

  data.begin_epoch(1);
  const auto next = gathered<float>(data, first_indices(40));
  for (Index j = 0; j < 40; ++j) CHECK_FALSE(same_bits(next.col(j), all.col(j)));
  const auto copy = data;
  CHECK(copy.epoch() == 1);
  Subset{data, {1}}.begin_epoch(5);  // of a copy
  CHECK(data.epoch() == 1);
  data.begin_epoch(0);
  CHECK(same_bits(gathered<float>(data, first_indices(40)), all));
  CHECK(same_bits(gathered<float>(copy, first_indices(40)), next));

  auto other = everything;
  other.seed = 4;
  CHECK_FALSE(same_bits(gathered<float>(Augmented{digits, 1, 28, 28, other}, {0}), all.leftCols(1)));
  CHECK(data.label(3) == digits.label(3));
}

TEST_CASE("augmented images have the same bits on every machine") {
  const Augmented data{synthetic_digits(20, 1), 1, 28, 28, everything};
  data.begin_epoch(2);
  const auto hash = [&](const auto& x) { return hash_bytes(std::as_bytes(std::span{x.data(), static_cast<std::size_t>(x.size())})); };
  CHECK(hash(gathered<float>(data, first_indices(20))) == 0x4d132d9e61337e52u);
  CHECK(hash(gathered<double>(data, first_indices(20))) == 0xd329361d45ca411eu);
}

TEST_CASE("nothing set changes nothing") {
  const auto digits = synthetic_digits(5, 1);
  CHECK(same_bits(gathered<float>(Augmented{digits, 1, 28, 28, {}}, first_indices(5)), gathered<float>(digits, first_indices(5))));
}

TEST_CASE("flips are flips to the last bit, each in half of the epochs, of all channels alike") {
  const Matrix<double> rows = random_matrix<double>(3, 4, 1);
  const Augmented data{image(rows, 2), 2, 3, 4, {.flip_horizontal = true, .flip_vertical = true}};
  std::vector<int> seen(4);
  for (Index epoch = 0; epoch < 400; ++epoch) {
    data.begin_epoch(epoch);
    const auto x = gathered<double>(data, {0});
    int found = -1;
    for (int which = 0; which < 4; ++which)
      if (x == gathered<double>(image(flipped(rows, which & 1, which & 2), 2), {0})) found = which;
    REQUIRE(found >= 0);
    ++seen[static_cast<std::size_t>(found)];
  }
  for (const int count : seen) CHECK(std::abs(count - 100) < 40);  // 4.6 deviations
  const Augmented across{image(rows), 1, 3, 4, {.flip_horizontal = true}};
  for (Index epoch = 0; epoch < 20; ++epoch) {
    across.begin_epoch(epoch);
    const auto x = gathered<double>(across, {0});
    CHECK((x == gathered<double>(image(rows), {0}) || x == gathered<double>(image(flipped(rows, false, true)), {0})));
  }
}

TEST_CASE("a picture that is a plane shows where pixels are read") {
  // image(r, c) = r, and then c: interpolation is exact on it, so that the place that a pixel was read at stands in the result.
  const Index size = 21;
  Matrix<double> down(size, size), right(size, size);
  for (Index r = 0; r < size; ++r)
    for (Index c = 0; c < size; ++c) down(r, c) = static_cast<double>(r), right(r, c) = static_cast<double>(c);
  const auto places = [&](const AugmentOptions& options, Index epoch) {
    const Augmented a{image(down), 1, size, size, options}, b{image(right), 1, size, size, options};
    a.begin_epoch(epoch), b.begin_epoch(epoch);
    return std::pair{gathered<double>(a, {0}), gathered<double>(b, {0})};
  };
  const Index middle = 10 * size + 10, aside = 10 * size + 13, below = 13 * size + 10;
  double largest_turn = 0, largest_shift = 0, largest_factor = 1, least_factor = 1;
  for (Index epoch = 0; epoch < 60; ++epoch) {
    CAPTURE(epoch);
    {
      const auto [y, x] = places({.shift = 3}, epoch);
      const double dy = 10 - y(middle, 0), dx = 10 - x(middle, 0);
      CHECK((std::abs(dy) <= 3 && std::abs(dx) <= 3));
      CHECK(std::abs(x(aside, 0) - (13 - dx)) < 1e-12);
      CHECK(std::abs(y(below, 0) - (13 - dy)) < 1e-12);
      largest_shift = std::max({largest_shift, std::abs(dy), std::abs(dx)});
    }
    {
      const auto [y, x] = places({.rotate = 30}, epoch);
      const double turn = std::atan2(y(aside, 0) - 10, x(aside, 0) - 10) * 180 / std::acos(-1.0);
      CHECK(std::abs(turn) <= 30 + 1e-9);
      CHECK(std::abs(std::hypot(y(aside, 0) - 10, x(aside, 0) - 10) - 3) < 1e-12);
      CHECK(std::abs(y(middle, 0) - 10) < 1e-12);
      CHECK(std::abs((y(below, 0) - 10) - (x(aside, 0) - 10)) < 1e-12);  // a turn, no mirror
      CHECK(std::abs((x(below, 0) - 10) + (y(aside, 0) - 10)) < 1e-12);
      largest_turn = std::max(largest_turn, std::abs(turn));
    }
    {
      const auto [y, x] = places({.scale = 0.25}, epoch);
      const double factor = 3 / (x(aside, 0) - 10);
      CHECK((factor >= 0.75 - 1e-12 && factor <= 1.25 + 1e-12));
      CHECK(std::abs(y(below, 0) - x(aside, 0)) < 1e-12);
      largest_factor = std::max(largest_factor, factor);
      least_factor = std::min(least_factor, factor);
    }
  }
  CHECK((largest_shift > 2.5 && largest_turn > 25 && largest_factor > 1.2 && least_factor < 0.8));

  // The elastic field is smooth, small and of mean about 0: σ·α as in the paper gives some pixels.
  const auto [y, x] = places({.elastic = 20}, 1);
  double squares = 0, steps = 0;
  for (Index r = 5; r < 16; ++r)
    for (Index c = 5; c < 16; ++c) {
      const double off = y(r * size + c, 0) - static_cast<double>(r), next = y(r * size + c + 1, 0) - static_cast<double>(r);
      squares += off * off / 121;
      steps += (next - off) * (next - off) / 121;
    }
  CHECK((squares > 0.01 && squares < 4));
  CHECK(steps < squares / 4);
}

TEST_CASE("what lies outside of an image is the fill, also for images that are all outside") {
  const Augmented far{image(Matrix<double>::Ones(3, 3)), 1, 3, 3, {.shift = 1e300, .fill = -2}};
  bool any = false;
  for (Index epoch = 0; epoch < 5; ++epoch) {
    far.begin_epoch(epoch);
    any |= (gathered<double>(far, {0}).array() == -2).all();
  }
  CHECK(any);
  Matrix<double> one = Matrix<double>::Ones(1, 1);
  const Augmented tiny{image(one), 1, 1, 1, {.rotate = 180, .scale = 0.5, .flip_horizontal = true, .elastic = 0}};
  CHECK(gathered<double>(tiny, {0})(0, 0) == 1);
}

TEST_CASE("noise is normal, and each value has its own") {
  const Augmented data{DenseData<double>{Matrix<double>::Zero(10000, 1)}, 1, 100, 100, {.noise = 2}};
  const auto x = gathered<double>(data, {0});
  double mean = 0, squares = 0, large = 0;
  for (Index i = 0; i < x.size(); ++i)
    mean += x(i, 0) / 10000, squares += x(i, 0) * x(i, 0) / 10000, large += std::abs(x(i, 0)) > 4 ? 1 : 0;
  CHECK(std::abs(mean) < 0.08);                      // 4 deviations of a mean
  CHECK(std::abs(squares - 4) < 0.23);               // 4 deviations
  CHECK(std::abs(large / 10000 - 0.0455) < 0.0084);  // beyond 2σ, 4 deviations
}

TEST_CASE("settings of an augmentation that break a rule are refused") {
  const auto data = image(Matrix<double>::Ones(3, 4));
  CHECK_THROWS_MATCHES((Augmented{data, 1, 4, 4, {}}), DataError,
                       Message("the data must have channels x height x width = 1 x 4 x 4 = 16 features; got 12"));
  CHECK_THROWS_MATCHES((Augmented{data, 0, 3, 4, {}}), OptionError, Message("Augmented.channels must be in [1, 2^26]; got 0"));
  CHECK_THROWS_MATCHES((Augmented{data, 1, 3, 4, {.rotate = 181}}), OptionError,
                       Message("AugmentOptions.rotate must be in [0, 180]; got 181"));
  CHECK_THROWS_MATCHES((Augmented{data, 1, 3, 4, {.scale = 1}}), OptionError, Message("AugmentOptions.scale must be in [0, 1); got 1"));
  CHECK_THROWS_MATCHES((Augmented{data, 1, 3, 4, {.shift = -1}}), OptionError,
                       Message("AugmentOptions.shift must be finite and at least 0; got -1"));
  CHECK_THROWS_MATCHES((Augmented{data, 1, 3, 4, {.noise = std::numeric_limits<double>::quiet_NaN()}}), OptionError,
                       Message("AugmentOptions.noise must be finite and at least 0; got nan"));
  CHECK_THROWS_MATCHES((Augmented{data, 1, 3, 4, {.elastic = 1, .elastic_width = 0}}), OptionError,
                       Message("AugmentOptions.elastic_width must be in (0, 1000]; got 0"));
}
