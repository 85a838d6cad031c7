// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/optimizers/adagrad.hpp>
#include <parade/optimizers/ftrl_proximal.hpp>
#include <parade/optimizers/lazy_adam.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/sparse.hpp"
#include "support/training.hpp"

// What the tests of models that sum over features share: each compiles one Trainer only.
namespace sparse {

using namespace parade;

/// One of the optimizers that sparse rows know, chosen when the program runs.
struct AnyOptimizer {
  enum Kind { sgd, momentum, nesterov, adagrad, lazy_adam, ftrl } kind = sgd;
  double rate = 0.1;

  Sgd sgd_of_kind() const {
    return {.rate = rate, .momentum = kind == sgd ? 0 : 0.9, .dampening = kind == momentum ? 0.5 : 0, .nesterov = kind == nesterov};
  }

  template <class Call>
  auto with(const Call& call) const {
    if (kind == adagrad) return call(Adagrad{.rate = rate, .initial_accumulator = 0.1});
    if (kind == lazy_adam) return call(LazyAdam{.rate = rate});
    if (kind == ftrl) return call(FtrlProximal{.rate = rate, .l1 = 0.01, .l2 = 0.1});
    return call(sgd_of_kind());
  }

  using ZeroGradientOf = AnyOptimizer;
  ZeroGradient zero_gradient() const {
    return with([](const auto& optimizer) { return optimizer.zero_gradient(); });
  }
  LinearStep linear_step(const StepInfo& at) const { return sgd_of_kind().linear_step(at); }
  Index num_states() const {
    return with([](const auto& optimizer) { return optimizer.num_states(); });
  }
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    with([&](const auto& optimizer) { optimizer.template step<S>(theta, grad, state, at); });
  }
  template <class S>
  void step_sizes(const StateRef<S>& state, const StepInfo& at, std::type_identity_t<VectorRef<S>> sizes) const {
    with([&](const auto& optimizer) { optimizer.template step_sizes<S>(state, at, sizes); });
  }
};
static_assert(Optimizer<AnyOptimizer, float> && Optimizer<AnyOptimizer, double>);

/// α ← α/2 after 10 steps, and so on.
struct Halving {
  double rate(double base, const TrainingTime& at) const { return base / static_cast<double>(std::int64_t{1} << (at.step / 10 % 8)); }
};

/// What is not 0 of θ, losses and scores agrees to so many units of the last place of the largest.
template <class T>
void check_same(T& sparse_trainer, T& dense_trainer, const SparseRows<typename T::Scalar>& rows, const FitOptions& options, double ulps) {
  using S = typename T::Scalar;
  const auto all = dense(rows);
  const Summary a = sparse_trainer.fit(rows, options), b = dense_trainer.fit(all, options);
  REQUIRE(a.stop_reason == StopReason::completed);
  REQUIRE(b.stop_reason == StopReason::completed);
  CHECK(a.steps == b.steps);
  CHECK(a.shard_size == b.shard_size);
  const double unit = ulps * static_cast<double>(std::numeric_limits<S>::epsilon());
  REQUIRE(a.history.size() == b.history.size());
  for (std::size_t e = 0; e < a.history.size(); ++e) {
    CHECK(std::abs(a.history[e].loss - b.history[e].loss) <= unit * std::max(1.0, b.history[e].loss));
    CHECK(std::abs(a.history[e].penalty - b.history[e].penalty) <= unit * std::max(1.0, b.history[e].penalty));
    CHECK(a.history[e].rate == b.history[e].rate);
    CHECK(a.history[e].samples == b.history[e].samples);
  }
  const Vector<S>&s = sparse_trainer.theta(), &t = dense_trainer.theta();
  REQUIRE(s.size() == t.size());
  const double largest = std::max(1.0, static_cast<double>(t.cwiseAbs().maxCoeff()));
  CHECK(static_cast<double>((s - t).cwiseAbs().maxCoeff()) <= unit * largest);
  const Evaluation x = sparse_trainer.evaluate(rows), y = dense_trainer.evaluate(all);
  CHECK(std::abs(x.loss - y.loss) <= unit * std::max(1.0, y.loss));
  CHECK(x.samples == y.samples);
  CHECK(x.weight == y.weight);
  const Matrix<S> scores = dense_trainer.scores(all);
  const double most = std::max(1.0, static_cast<double>(scores.cwiseAbs().maxCoeff()));
  CHECK(static_cast<double>((sparse_trainer.scores(rows) - scores).cwiseAbs().maxCoeff()) <= 10 * unit * most);
}

template <class T>
void check_same_hash(T trainer, const SparseRows<typename T::Scalar>& rows, FitOptions options) {
  options.threads = 1;
  const std::uint64_t expected = trainer.fit(rows, options).theta_hash;
  const Evaluation evaluated = trainer.evaluate(rows);
  for (const int threads : training::thread_counts) {
    CAPTURE(threads);
    options.threads = threads;
    CHECK(trainer.fit(rows, options).theta_hash == expected);
    CHECK(trainer.evaluate(rows).loss == evaluated.loss);
  }
}

/// n rows of `entries` values in [−1, 1) over 50 features each, so that steps are shared.
template <class S>
SparseRows<S> many_rows(Index n, Index entries = 30) {
  const Random random(31, Purpose::user, 3);
  std::uint64_t at = 0;
  Vector<std::int64_t> offsets(n + 1);
  Vector<std::int32_t> indices(n * entries);
  Vector<S> values(n * entries);
  Vector<Label> labels(n);
  offsets[0] = 0;
  for (Index i = 0; i < n; ++i) {
    for (Index e = 0; e < entries; ++e) {
      indices[i * entries + e] = static_cast<std::int32_t>(50 * e + static_cast<Index>(random.below(at++, 50)));
      values[i * entries + e] = static_cast<S>(random.uniform(at++, -1, 1));
    }
    offsets[i + 1] = (i + 1) * entries;
    labels[i] = static_cast<Label>(random.below(at++, 2));
  }
  return SparseRows<S>(offsets, indices, values, 50 * entries).with_labels(labels);
}

}  // namespace sparse
