// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <utility>

#include <parade/core/shard_plan.hpp>
#include <parade/engine/checks.hpp>
#include <parade/engine/environment.hpp>
#include <parade/engine/shard_worker.hpp>

namespace parade {

/// The gradient of a batch by one thread and the definition: every shard in turn into a vector of its own, and the canonical tree by recursion.
/// It is the oracle that the parallel engine is compared with, bit for bit. It allocates as it goes, and is not meant to be fast.
///
///   grad (P) = Σ_i w_i ∇J(θ; x_i, y_i),   returns Σ w_i J_i, W and b
template <class M, class L, class Batch = DenseBatch<typename M::Scalar>>
  requires Model<M> && Loss<L, typename M::Scalar>
class SerialGradient {
 public:
  using Scalar = typename M::Scalar;

  explicit SerialGradient(M model, L loss, Index shard_size = 0)
      : model_(std::move(model)), loss_(std::move(loss)), shard_size_(shard_size) {}

  /// `at`: the step that a model with forward_training draws its random numbers by. Throws DataError where θ, the data or the samples do not fit.
  template <Dataset<Batch> D>
  BatchSum sum(const Vector<Scalar>& theta, const D& data, std::span<const Index> samples, Vector<Scalar>& grad,
               const TrainingStep& at = {}) const {
    detail::check_theta(model_.parameters().size(), theta.size());
    detail::check_shapes(model_, loss_, data);
    detail::check_samples(samples, data.size());
    const detail::EigenGuard eigen;
    const detail::FloatingPointGuard floating_point;
    const ShardPlan plan(static_cast<Index>(samples.size()), shard_size_);
    detail::Preparation<M> preparation;
    preparation.reserve(model_, theta.size());
    preparation(model_, theta, [](Index pieces, auto&& work) {
      for (Index piece = 0; piece < pieces; ++piece) work(piece, 0);
    });
    const auto& prepared = preparation.get();
    if (plan.shards() == 0) {
      grad = Vector<Scalar>::Zero(theta.size());
      return {};
    }
    auto [total, gradient] = tree(plan, 0, plan.shards(), prepared, data, samples, at);
    grad = std::move(gradient);
    return total;
  }

 private:
  template <class D>
  std::pair<BatchSum, Vector<Scalar>> tree(const ShardPlan& plan, Index lo, Index hi, const PreparedOf<M>& prepared, const D& data,
                                           std::span<const Index> samples, const TrainingStep& at) const {
    if (hi - lo == 1) {
      const Range range = plan[lo];
      detail::ShardWorker<M, L, Batch> worker;
      worker.reserve(model_, data, range.size());
      Vector<Scalar> grad(model_.parameters().size());
      const BatchSum sum =
          worker.gradient(model_, loss_, prepared, data,
                          samples.subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size())), at, grad);
      return {sum, std::move(grad)};
    }
    Index half = 1;
    while (2 * half < hi - lo) half *= 2;
    auto [left_sum, left] = tree(plan, lo, lo + half, prepared, data, samples, at);
    const auto [right_sum, right] = tree(plan, lo + half, hi, prepared, data, samples, at);
    left += right;
    return {left_sum + right_sum, std::move(left)};
  }

  M model_;
  L loss_;
  Index shard_size_;
};

}  // namespace parade
