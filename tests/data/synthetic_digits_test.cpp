// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstdint>
#include <set>

#include <parade/data/synthetic_digits.hpp>

#include "support/catch.hpp"

namespace {

using parade::Index;
using parade::Label;
using parade::synthetic_digits;

/// FNV-1a (Fowler, Noll, Vo) over all labels and pixels.
std::uint64_t hash_of(const parade::DenseData<std::uint8_t>& data) {
  std::uint64_t hash = 14695981039346656037u;
  const auto add = [&](std::uint64_t value) { hash = (hash ^ value) * 1099511628211u; };
  for (Index i = 0; i < data.size(); ++i) {
    add(static_cast<std::uint64_t>(data.label(i)));
    for (const auto pixel : data.values().col(i)) add(pixel);
  }
  return hash;
}

}  // namespace

TEST_CASE("synthetic digits have the same bits on every machine and with every compiler") {
  CHECK(hash_of(synthetic_digits(500, 1)) == 0x0759CF8CAA836C6Cu);
  CHECK(hash_of(synthetic_digits(500, 2)) == 0xEFD035263961DCF6u);
}

TEST_CASE("a synthetic digit depends on the seed and on its own number alone") {
  const auto all = synthetic_digits(60, 8), part = synthetic_digits(20, 8, 15), other = synthetic_digits(60, 9);
  CHECK(part.values() == all.values().middleCols(15, 20));
  CHECK(part.labels() == all.labels().segment(15, 20));
  CHECK(other.values() != all.values());
}

TEST_CASE("synthetic digits are 28 x 28 pictures with ink on them and room around it, scaled to 0 ... 1 when gathered") {
  const auto data = synthetic_digits(1000, 3);
  CHECK(data.size() == 1000);
  CHECK(data.num_features() == 28 * 28);
  CHECK(data.scale() == 1.0 / 255);
  for (Index i = 0; i < data.size(); ++i) {
    const auto inked = (data.values().col(i).array() > 100).count();
    if (inked < 10 || inked > 400) FAIL("image " << i << " has " << inked << " bright pixels");
  }
}

TEST_CASE("each of the ten digits is as frequent as the others") {
  const auto data = synthetic_digits(5000, 4);
  double chi_square = 0;
  for (Label digit = 0; digit < 10; ++digit) {
    const auto count = static_cast<double>((data.labels().array() == digit).count());
    chi_square += (count - 500) * (count - 500) / 500;
  }
  CHECK(data.labels().minCoeff() == 0);
  CHECK(data.labels().maxCoeff() == 9);
  CHECK(chi_square < 9 + 6 * std::sqrt(18.0));  // mean 9, variance 18
}

// Guards against labels that do not fit the pictures and against digits that are too easy. Trained models are in tests/convergence.
TEST_CASE("the nearest mean image names most synthetic digits, but by far not all") {
  const auto [train, test] = parade::synthetic_mnist(2000, 500, 5);
  parade::Matrix<float> mean = parade::Matrix<float>::Zero(28 * 28, 10);
  parade::Vector<float> count = parade::Vector<float>::Zero(10);
  for (Index i = 0; i < train.size(); ++i) {
    mean.col(train.label(i)) += train.values().col(i).cast<float>();
    ++count[train.label(i)];
  }
  mean.array().rowwise() /= count.transpose().array();
  Index right = 0;
  for (Index i = 0; i < test.size(); ++i) {
    Index nearest = 0;
    (mean.colwise() - test.values().col(i).cast<float>()).colwise().squaredNorm().minCoeff(&nearest);
    right += nearest == test.label(i);
  }
  CAPTURE(right);
  CHECK(right > 300);
  CHECK(right < 450);
}

TEST_CASE("the two parts of the synthetic data set share no image") {
  const auto [train, test] = parade::synthetic_mnist(300, 100, 6);
  CHECK(train.size() == 300);
  CHECK(test.size() == 100);
  CHECK(hash_of(test) == hash_of(synthetic_digits(100, 6, 300)));
  std::set<std::uint64_t> images;
  for (const auto* part : {&train, &test})
    for (Index i = 0; i < part->size(); ++i) {
      std::uint64_t hash = 0;
      for (const auto pixel : part->values().col(i)) hash = (hash ^ pixel) * 1099511628211u;
      images.insert(hash);
    }
  CHECK(images.size() == 400);
}

TEST_CASE("numbers of synthetic digits that cannot be are refused") {
  CHECK(synthetic_digits(0, 1).size() == 0);
  CHECK_THROWS_MATCHES(synthetic_digits(-1, 1), parade::OptionError, Catch::Matchers::Message("samples must be in [0, 2^32]; got -1"));
  CHECK_THROWS_MATCHES(synthetic_digits(2, 1, -3), parade::OptionError,
                       Catch::Matchers::Message("first must be in [0, 2^32 - samples]; got -3 (samples = 2)"));
  CHECK_THROWS_MATCHES(synthetic_digits(2, 1, (Index{1} << 32) - 1), parade::OptionError,
                       Catch::Matchers::Message("first must be in [0, 2^32 - samples]; got 4294967295 (samples = 2)"));
}
