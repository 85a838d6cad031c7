// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include <parade/concepts/regularizer.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/core/parameters.hpp>
#include <parade/data/dense_data.hpp>
#include <parade/data/sparse_rows.hpp>

#include "support/training.hpp"

// What the tests of training on sparse rows share.
namespace sparse {

using parade::Index, parade::Label, parade::Vector;

/// n rows over d features, of 0 to 12 entries in [−1, 1), more of the first features; row 5 is empty, and the last feature never occurs. Without
/// `values` all are 1. Labels are in [0, classes), by a fixed random linear map and some chance.
template <class S>
parade::SparseRows<S> random_rows(Index d, Index n, Index classes = 2, bool values = true) {
  const parade::Random random(23, parade::Purpose::user, 1);
  std::uint64_t at = 0;
  std::vector<std::int32_t> indices;
  std::vector<S> entries;
  Vector<std::int64_t> offsets(n + 1);
  Vector<Label> labels(n);
  offsets[0] = 0;
  for (Index i = 0; i < n; ++i) {
    const double most = i == 5 ? 0 : 12 * random.uniform(at++);
    std::vector<double> scores(static_cast<std::size_t>(classes), 0.0);
    for (Index f = 0; f < d - 1; ++f) {
      if (random.uniform(at++) * (1 + static_cast<double>(f)) * 6 >= most * 0.9 * (f < 4 ? 1.5 : 1.0)) continue;
      const double x = values ? random.uniform(at++, -1, 1) : 1;
      indices.push_back(static_cast<std::int32_t>(f));
      entries.push_back(static_cast<S>(x));
      for (std::size_t c = 0; c < scores.size(); ++c) scores[c] += x * std::cos(static_cast<double>(f) * (1.7 + static_cast<double>(c)));
    }
    offsets[i + 1] = static_cast<std::int64_t>(indices.size());
    std::size_t best = 0;
    for (std::size_t c = 0; c < scores.size(); ++c)
      if (scores[c] + random.uniform(at++) > scores[best]) best = c;
    labels[i] = static_cast<Label>(best);
  }
  return parade::SparseRows<S>(offsets, Vector<std::int32_t>::Map(indices.data(), static_cast<Index>(indices.size())),
                               values ? Vector<S>(Vector<S>::Map(entries.data(), static_cast<Index>(entries.size()))) : Vector<S>(), d)
      .with_labels(labels);
}

/// The same samples, dense.
template <class S>
parade::DenseData<S> dense(const parade::SparseRows<S>& rows) {
  parade::DenseData<S> data(rows.to_dense());
  if (rows.has_labels()) data = data.with_labels(rows.labels());
  if (rows.has_weights()) data = data.with_weights(rows.weights());
  if (rows.num_targets() > 0) data = data.with_targets(rows.targets());
  return data;
}

/// λ₂/2 ‖θ‖² + λ₁‖θ‖₁, as a user writes it.
struct Both {
  double l2 = 0, l1 = 0;
  bool biases = false;

  using ShrinkageOf = Both;
  parade::Shrinkage shrinkage() const { return {.l2 = l2, .l1 = l1}; }
  bool applies_to(const parade::ParameterBlock& block) const { return biases || block.role != parade::Role::bias; }
  template <class T>
  double value(const Eigen::MatrixBase<T>& theta) const {
    double sum = 0;
    for (Index i = 0; i < theta.size(); ++i) {
      const auto t = static_cast<double>(theta[i]);
      sum += l2 / 2 * t * t + l1 * std::abs(t);
    }
    return sum;
  }
  template <class T>
  void add_gradient(const Eigen::MatrixBase<T>& theta, parade::VectorRef<typename T::Scalar> grad) const {
    for (Index i = 0; i < theta.size(); ++i) grad[i] = std::fma(static_cast<typename T::Scalar>(l2), theta[i], grad[i]);
  }
  template <class T>
  void prox(parade::VectorRef<typename T::Scalar> theta, const Eigen::MatrixBase<T>& steps) const {
    using S = typename T::Scalar;
    for (Index i = 0; i < theta.size(); ++i) {
      const S left = std::fma(static_cast<S>(-l1), steps[i], std::abs(theta[i]));
      theta[i] = left <= 0 ? S{0} : std::copysign(left, theta[i]);
    }
  }
};
static_assert(parade::Regularizer<Both, float> && parade::Regularizer<Both, double>);

/// λ/2 ‖θ‖², in the gradient or in a proximal step.
struct Ridge {
  double lambda = 0;
  bool in_prox = false;
  bool biases = false;

  using ShrinkageOf = Ridge;
  parade::Shrinkage shrinkage() const { return {.l2 = lambda, .l1 = 0, .l2_in_prox = in_prox}; }
  bool applies_to(const parade::ParameterBlock& block) const { return biases || block.role != parade::Role::bias; }
  template <class T>
  double value(const Eigen::MatrixBase<T>& theta) const {
    return lambda / 2 * theta.squaredNorm();
  }
  template <class T>
  void add_gradient(const Eigen::MatrixBase<T>& theta, parade::VectorRef<typename T::Scalar> grad) const {
    if (!in_prox) grad += lambda * theta;
  }
  template <class T>
  void prox(parade::VectorRef<typename T::Scalar> theta, const Eigen::MatrixBase<T>& steps) const {
    if (in_prox) theta.array() /= 1 + lambda * steps.array();
  }
};
static_assert(parade::Regularizer<Ridge, double>);

}  // namespace sparse
