// SPDX-License-Identifier: MIT
#include <cmath>
#include <span>
#include <vector>

#include <parade/engine/batch_sum.hpp>
#include <parade/engine/reduce.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace reduce_test {

namespace {

using parade::Index, parade::Matrix, parade::Range, parade::Vector;

/// The definition: tree(lo, hi) = tree(lo, mid) + tree(mid, hi), mid = lo + the largest power of two below hi − lo.
template <class T>
T tree(const std::vector<T>& values, std::size_t lo, std::size_t hi) {
  if (hi - lo == 1) return values[lo];
  std::size_t half = 1;
  while (2 * half < hi - lo) half *= 2;
  return tree(values, lo, lo + half) + tree(values, lo + half, hi);
}

/// Numbers of many sizes and both signs that nearly cancel, so that each order of the sum gives other last bits.
template <class S>
Matrix<S> cancelling(Index length, Index count) {
  const Matrix<S> size = training::random_matrix<S>(length, count, 1), sign = training::random_matrix<S>(length, count, 2);
  return (S{20} * size.array()).exp() * (sign.array() > 0).select(Matrix<S>::Ones(length, count), -Matrix<S>::Ones(length, count)).array();
}

template <class S>
std::vector<const S*> columns(const Matrix<S>& parts) {
  std::vector<const S*> pointers;
  for (Index s = 0; s < parts.cols(); ++s) pointers.push_back(parts.col(s).data());
  return pointers;
}

template <class S>
S tree_of_row(const Matrix<S>& parts, Index i) {
  std::vector<S> row;
  for (Index s = 0; s < parts.cols(); ++s) row.push_back(parts(i, s));
  return tree(row, 0, row.size());
}

}  // namespace

TEMPLATE_TEST_CASE("vectors of any number are summed over the canonical tree, bit for bit", "", float, double) {
  using S = TestType;
  for (Index count = 1; count <= 70; ++count) {
    const Index length = 37;
    const Matrix<S> parts = cancelling<S>(length, count);
    Vector<S> sum = Vector<S>::Constant(length, 1);
    parade::detail::tree_sum<S>(columns(parts), Range{0, length}, sum.data());
    CAPTURE(count);
    int other_order = 0;
    for (Index i = 0; i < length; ++i) {
      REQUIRE(sum[i] == tree_of_row(parts, i));
      S plain = 0;
      for (Index s = 0; s < count; ++s) plain += parts(i, s);
      other_order += plain != sum[i] ? 1 : 0;
    }
    // From left to right is another order from 4 vectors on: with the same bits this test would prove nothing.
    if (count >= 8) CHECK(other_order > 0);
    if (count <= 3) CHECK(other_order == 0);
  }
}

TEMPLATE_TEST_CASE("vectors of any length, and any range of them, are summed over the canonical tree", "", float, double) {
  using S = TestType;
  for (const Index length : {1, 2, 15, 16, 17, 255, 256, 257, 511, 512, 513, 1031})
    for (const Index count : {1, 2, 3, 7, 33}) {
      const Matrix<S> parts = cancelling<S>(length, count);
      for (const Range range : {Range{0, length}, Range{length / 3, length}, Range{length / 2, length / 2}, Range{length - 1, length}}) {
        CAPTURE(length, count, range.begin, range.end);
        constexpr S untouched = 123;
        Vector<S> sum = Vector<S>::Constant(range.size() + 2, untouched);
        parade::detail::tree_sum<S>(columns(parts), range, sum.data() + 1);
        bool same = sum[0] == untouched && sum[range.size() + 1] == untouched;
        for (Index i = 0; i < range.size(); ++i) same &= sum[1 + i] == tree_of_row(parts, range.begin + i);
        CHECK(same);
      }
    }
}

TEST_CASE("values are summed over the same tree as vectors") {
  const Matrix<double> parts = cancelling<double>(1, 70);
  for (std::size_t count = 1; count <= 70; ++count) {
    std::vector<double> values(parts.data(), parts.data() + count);
    CHECK(parade::detail::tree_sum(std::span<const double>(values)) == tree(values, 0, count));
  }
  CHECK(parade::detail::tree_sum(std::span<const double>()) == 0);

  std::vector<parade::BatchSum> sums;
  std::vector<double> losses;
  for (Index i = 0; i < 11; ++i) {
    sums.push_back({parts(0, i), static_cast<double>(i), 2 * i});
    losses.push_back(parts(0, i));
  }
  const auto total = parade::detail::tree_sum(std::span<const parade::BatchSum>(sums));
  CHECK(total.loss == tree(losses, 0, losses.size()));
  CHECK(total.weight == 55);
  CHECK(total.samples == 110);
}

TEST_CASE("a range of shards is a union of nodes of the tree: what two processes reduce combines to the same bits") {
  const Matrix<float> parts = cancelling<float>(50, 24);
  Vector<float> whole(50), left(50), right(50), both(50);
  const auto all = columns(parts);
  parade::detail::tree_sum<float>(all, Range{0, 50}, whole.data());
  parade::detail::tree_sum<float>(std::span(all).first(16), Range{0, 50}, left.data());
  parade::detail::tree_sum<float>(std::span(all).subspan(16), Range{0, 50}, right.data());
  both = left + right;
  CHECK(both == whole);
}

}  // namespace reduce_test
