// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/data/dense_data.hpp>

#include "support/catch.hpp"

namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::Message;
using parade::DataError;
using parade::DenseBatch;
using parade::DenseData;
using parade::Index;
using parade::Label;
using parade::Matrix;
using parade::Vector;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

/// Values that differ from each other within a column and from column to column; 8-bit ones run through all of 0 … 255.
template <class T>
Matrix<T> numbered(Index d, Index n) {
  Matrix<T> x(d, n);
  for (Index i = 0; i < x.size(); ++i)
    x.data()[i] =
        std::is_same_v<T, std::uint8_t> ? static_cast<T>(i * 37 + i / 256) : static_cast<T>(std::sin(static_cast<double>(i)) * 100);
  return x;
}

/// What the class says that a batch gets.
template <class Scalar, class T>
Scalar converted(T value, double scale, double offset) {
  if (offset == 0) return static_cast<Scalar>(value) * static_cast<Scalar>(scale);
  return std::fma(static_cast<Scalar>(value), static_cast<Scalar>(scale), static_cast<Scalar>(offset));
}

DenseData<float> small() { return DenseData{numbered<float>(2, 3)}; }

}  // namespace

TEMPLATE_TEST_CASE("gather brings each value of each sample, converted and scaled to the last bit", "", (std::pair<float, float>),
                   (std::pair<float, double>), (std::pair<double, float>), (std::pair<double, double>), (std::pair<std::uint8_t, float>),
                   (std::pair<std::uint8_t, double>)) {
  using T = typename TestType::first_type;
  using Scalar = typename TestType::second_type;
  const double standard = std::is_same_v<T, std::uint8_t> ? 1.0 / 255 : 1;
  for (const Index d : {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 97, 784})
    for (const auto& [scale, offset] : {std::pair{standard, 0.0}, {0.3, 0.0}, {-2.7, 0.1}, {1.0, -0.5}}) {
      const Index n = 11;
      const Matrix<T> x = numbered<T>(d, n);
      const auto plain = DenseData<T>{x};
      const auto data = scale == standard && offset == 0 ? plain : plain.with_scale(scale, offset);
      REQUIRE(data.size() == n);
      REQUIRE(data.num_features() == d);
      DenseBatch<Scalar> batch;
      data.reserve(batch, 9);
      for (const std::vector<Index>& samples : {std::vector<Index>{4}, {10, 0, 10, 3, 9, 1, 2, 7, 5}, {}, {6, 5}}) {
        CAPTURE(d, scale, offset, samples);
        batch.x.setConstant(Scalar{-1234});
        data.gather(samples, batch);
        REQUIRE(batch.size == static_cast<Index>(samples.size()));
        for (Index s = 0; s < batch.capacity(); ++s)
          for (Index j = 0; j < d; ++j) {
            const bool filled = s < batch.size;
            const auto expected = filled ? converted<Scalar>(x(j, samples[static_cast<std::size_t>(s)]), scale, offset) : Scalar{-1234};
            if (batch.x(j, s) != expected) FAIL("row " << j << " of column " << s << " is " << batch.x(j, s) << ", not " << expected);
          }
      }
    }
}

TEMPLATE_TEST_CASE("8-bit values come as 0 ... 1 unless told otherwise, both ends exactly", "", float, double) {
  Matrix<std::uint8_t> x(256, 1);
  for (Index i = 0; i < 256; ++i) x(i, 0) = static_cast<std::uint8_t>(i);
  const DenseData<std::uint8_t> data{x};
  DenseBatch<TestType> batch;
  data.reserve(batch, 1);
  data.gather(std::vector<Index>{0}, batch);
  CHECK(batch.x(0, 0) == 0);
  CHECK(batch.x(255, 0) == 1);
  for (Index i = 1; i < 256; ++i) CHECK(batch.x(i, 0) > batch.x(i - 1, 0));
}

TEMPLATE_TEST_CASE("real values come as they are: signed zeros and subnormals, too", "", float, double) {
  const std::vector<TestType> values{TestType{-0.0}, std::numeric_limits<TestType>::denorm_min(), std::numeric_limits<TestType>::max()};
  const DenseData<TestType> data{values, 3};
  DenseBatch<TestType> batch;
  data.reserve(batch, 1);
  data.gather(std::vector<Index>{0}, batch);
  CHECK(std::signbit(batch.x(0, 0)));
  CHECK(batch.x(1, 0) == values[1]);
  CHECK(batch.x(2, 0) == values[2]);
}

TEST_CASE("labels, targets and weights travel with their sample, and take no room where there are none") {
  const Index n = 7;
  Vector<Label> labels(n);
  Vector<double> weights(n);
  Matrix<double> targets(2, n);
  for (Index i = 0; i < n; ++i) {
    labels[i] = static_cast<Label>(3 * i - 5);
    weights[i] = static_cast<double>(i) / 3;
    targets.col(i) << static_cast<double>(i) / 7, -static_cast<double>(i);
  }
  const auto data = DenseData{numbered<float>(3, n)}.with_labels(labels).with_targets(targets).with_weights(weights);
  CHECK(data.has_labels());
  CHECK(data.has_weights());
  CHECK(data.num_targets() == 2);
  CHECK(data.labels() == labels);
  CHECK(data.weights() == weights);
  CHECK(data.targets() == targets);
  CHECK(data.label(4) == 7);

  DenseBatch<float> batch;
  data.reserve(batch, 5);
  const std::vector<Index> samples{6, 2, 2, 0};
  data.gather(samples, batch);
  for (Index s = 0; s < batch.size; ++s) {
    const Index i = samples[static_cast<std::size_t>(s)];
    CHECK(batch.labels[s] == labels[i]);
    CHECK(batch.weights[s] == weights[i]);
    CHECK(batch.targets(0, s) == static_cast<float>(targets(0, i)));
    CHECK(batch.targets(1, s) == static_cast<float>(targets(1, i)));
  }

  const DenseData plain{numbered<float>(3, n)};
  CHECK_FALSE(plain.has_labels());
  CHECK_FALSE(plain.has_weights());
  CHECK(plain.num_targets() == 0);
  plain.reserve(batch, 5);
  plain.gather(samples, batch);
  CHECK(batch.labels.size() == 0);
  CHECK(batch.weights.size() == 0);
  CHECK(batch.targets.size() == 0);
}

TEST_CASE("features are never copied: not when they are handed over, not from the user's memory, not from copy to copy") {
  Matrix<float> x = numbered<float>(4, 6);
  const float* memory = x.data();
  const DenseData data{std::move(x)};
  CHECK(data.values().data() == memory);

  std::vector<double> y(12, 1.5);
  const double* vector_memory = y.data();
  const DenseData from_vector{std::move(y), 3};
  CHECK(from_vector.values().data() == vector_memory);
  CHECK(from_vector.size() == 4);

  const std::vector<std::uint8_t> users{1, 2, 3, 4, 5, 6};
  const auto view = DenseData<std::uint8_t>::view(users.data(), 2, 3);
  CHECK(view.values().data() == users.data());
  CHECK(view.values()(1, 2) == 6);

  const auto copy = data.with_labels(Vector<Label>::Zero(6));
  CHECK(copy.values().data() == memory);
  CHECK_FALSE(data.has_labels());  // the old one stays as it was
}

TEST_CASE("what a copy keeps lives as long as the copy") {
  auto data = std::make_unique<DenseData<float>>(DenseData{Matrix<float>::Constant(3, 2, 5.0f).eval()}.with_labels(Vector<Label>::Ones(2)));
  const auto copy = *data;
  data.reset();
  CHECK(copy.values() == Matrix<float>::Constant(3, 2, 5.0f));
  CHECK(copy.labels() == Vector<Label>::Ones(2));
}

TEST_CASE("a data set may hold no samples") {
  const auto data =
      DenseData{Matrix<float>(5, 0)}.with_labels(Vector<Label>(0)).with_weights(Vector<double>(0)).with_targets(Matrix<double>(1, 0));
  CHECK(data.size() == 0);
  CHECK(data.num_features() == 5);
  DenseBatch<float> batch;
  data.reserve(batch, 0);
  data.gather({}, batch);
  CHECK(batch.size == 0);
  CHECK(DenseData<float>::view(nullptr, 5, 0).size() == 0);
  CHECK(DenseData<float>(std::vector<float>{}, 5).size() == 0);
}

TEST_CASE("a data set without features is refused") {
  CHECK_THROWS_MATCHES(DenseData{Matrix<float>(0, 3)}, DataError, Message("num_features must be at least 1; got 0"));
  CHECK_THROWS_MATCHES(DenseData(std::vector<float>(4), 0), DataError, Message("num_features must be at least 1; got 0"));
  CHECK_THROWS_MATCHES(DenseData<float>::view(nullptr, -2, 3), DataError, Message("num_features must be at least 1; got -2"));
}

TEST_CASE("memory that cannot hold the samples is refused") {
  const float value = 1;
  CHECK_THROWS_MATCHES(DenseData<float>::view(&value, 1, -1), DataError, Message("the number of samples must be at least 0; got -1"));
  CHECK_THROWS_MATCHES(DenseData<float>::view(nullptr, 1, 2), DataError, Message("values must point to 2 samples; got a null pointer"));
  CHECK_THROWS_MATCHES(DenseData(std::vector<float>(7), 2), DataError,
                       Message("the number of values must be a multiple of num_features; got 7 (num_features = 2)"));
}

TEMPLATE_TEST_CASE("a feature that is not finite is refused, wherever it is", "", float, double) {
  for (const Index d : {1, 7, 16, 33})
    for (const double bad : {not_a_number, infinity, -infinity})
      for (Index j = 0; j < d; ++j) {
        Matrix<TestType> x = numbered<TestType>(d, 3);
        x(j, 2) = static_cast<TestType>(bad);
        CHECK_THROWS_WITH(DenseData{x}, ContainsSubstring("features must be finite; got ") &&
                                            ContainsSubstring(parade::detail::text(" in row ", j, " of sample 2")));
        CHECK_THROWS_AS(DenseData<TestType>::view(x.data(), d, 3), DataError);
      }
  Matrix<TestType> largest = Matrix<TestType>::Constant(40, 2, std::numeric_limits<TestType>::max());
  CHECK_NOTHROW(DenseData{largest});
}

TEST_CASE("labels, targets and weights of another number than the samples are refused") {
  CHECK_THROWS_MATCHES(small().with_labels(Vector<Label>::Zero(4)), DataError,
                       Message("labels must have one entry for each of the n samples; got 4 (n = 3)"));
  CHECK_THROWS_MATCHES(small().with_targets(Matrix<double>::Zero(3, 2)), DataError,
                       Message("targets must have one entry for each of the n samples; got 2 (n = 3)"));
  CHECK_THROWS_MATCHES(small().with_weights(Vector<double>::Ones(0)), DataError,
                       Message("weights must have one entry for each of the n samples; got 0 (n = 3)"));
}

TEST_CASE("targets must be there and finite") {
  CHECK_THROWS_MATCHES(small().with_targets(Matrix<double>(0, 3)), DataError, Message("targets must have at least 1 row; got 0"));
  Matrix<double> targets = Matrix<double>::Ones(2, 3);
  targets(1, 2) = infinity;
  CHECK_THROWS_MATCHES(small().with_targets(targets), DataError, Message("targets must be finite; got inf in row 1 of sample 2"));
}

TEST_CASE("weights must be finite, not negative, and not all 0") {
  const auto with = [](double a, double b, double c) { return small().with_weights(Vector<double>{{a, b, c}}); };
  CHECK_THROWS_MATCHES(with(1, not_a_number, 1), DataError, Message("weights must be finite and at least 0; got nan for sample 1"));
  CHECK_THROWS_MATCHES(with(1, 1, infinity), DataError, Message("weights must be finite and at least 0; got inf for sample 2"));
  CHECK_THROWS_MATCHES(with(-0.5, 1, 1), DataError, Message("weights must be finite and at least 0; got -0.5 for sample 0"));
  CHECK_THROWS_MATCHES(with(0, 0, 0), DataError, Message("weights must not all be 0; got 0 for each of 3 samples"));
  CHECK_NOTHROW(with(0, 1e-300, 0));
}

TEST_CASE("scale must be finite and not 0, offset finite") {
  CHECK_THROWS_MATCHES(small().with_scale(0), DataError, Message("scale must be finite and not 0; got 0"));
  CHECK_THROWS_MATCHES(small().with_scale(not_a_number), DataError, Message("scale must be finite and not 0; got nan"));
  CHECK_THROWS_MATCHES(small().with_scale(1, infinity), DataError, Message("offset must be finite; got inf"));
  const auto data = small().with_scale(2, 3);
  CHECK(data.scale() == 2);
  CHECK(data.offset() == 3);
}
