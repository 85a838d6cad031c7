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

/// The same, or these rates in turn.
struct Rates {
  std::vector<double> in_turn = {};
  double rate(double base, const TrainingTime& at) const {
    return in_turn.empty() ? Halving{}.rate(base, at) : in_turn[static_cast<std::size_t>(at.step) % in_turn.size()];
  }
};

/// Rows of one label or the other; the first has the last but one feature, so little of it that it does not count, the others none: θ moves by L2 and momentum alone.
template <class S>
SparseRows<S> rows_of_nothing(Index n, Index d) {
  Vector<std::int64_t> offsets = Vector<std::int64_t>::Ones(n + 1);
  offsets[0] = 0;
  Vector<Label> labels(n);
  for (Index i = 0; i < n; ++i) labels[i] = static_cast<Label>(i % 2);
  return SparseRows<S>(offsets, Vector<std::int32_t>::Constant(1, static_cast<std::int32_t>(d - 2)), Vector<S>::Constant(1, S(1e-20)), d)
      .with_labels(labels);
}

/// Trains `make(rates)`, with the momentum of AnyOptimizer and L2 with λ = 1, on rows_of_nothing in steps of one row, in float: with rates of which each is small
/// enough for λ but which together make θ grow until it leaves its range, and with a rate where only a bound of θ grows. What is not 0 in `theta` is moved by
/// L2 alone, and must be where the optimizer itself takes it; on dense data as well, if `squares` does not say that scores overflow before θ does.
template <class Make>
void check_growth(const Make& make, Index d, const Vector<float>& theta, bool squares) {
  const auto rows = rows_of_nothing<float>(1000, d);
  const Sgd sgd = AnyOptimizer{AnyOptimizer::momentum}.sgd_of_kind();
  FitOptions options{.epochs = 1, .batch_size = 1, .threads = 1, .shuffle = false, .warm_start = true};
  for (const Rates& rates : {Rates{{7.4, 0.0}}, Rates{{2.0}}}) {
    const bool grows = rates.in_turn.size() > 1;
    CAPTURE(grows);
    Vector<float> expected = theta, state = Vector<float>::Zero(theta.size());
    std::int64_t steps = 0;
    for (; steps < 1000; ++steps) {
      Vector<float> next = expected, next_state = state;
      sgd.step<float>(next, expected, StateRef<float>{next_state.data(), 1, theta.size()}, {rates.rate(1, {.step = steps}), steps + 1});
      if (!next.allFinite() || !next_state.allFinite()) break;
      expected = next, state = next_state;
    }
    CHECK((steps < 200) == grows);
    const double largest = static_cast<double>(expected.cwiseAbs().maxCoeff());
    CHECK((largest > 1e36) == grows);
    const auto check = [&](const Summary& found, const Vector<float>& of) {
      CHECK(found.steps == steps);
      CHECK(found.divergences.size() == (grows ? 1 : 0));
      REQUIRE(of.allFinite());
      double most = 0;
      for (Index i = 0; i < theta.size(); ++i)
        if (theta[i] != 0) most = std::max(most, static_cast<double>(std::abs(of[i] - expected[i])));
      CHECK(most <= 1000 * 0x1p-24 * std::max(largest, 1.0));  // a step rounds to float
    };
    if (!grows || !squares) {
      auto trainer = make(rates);
      trainer.set_theta(theta);
      const Summary found = trainer.fit(dense(rows), options);
      check(found, trainer.theta());
    }
    std::uint64_t hash = 0;
    for (const int threads : {1, 2, 5}) {
      CAPTURE(threads);
      options.threads = threads;
      auto trainer = make(rates);
      trainer.set_theta(theta);
      const Summary found = trainer.fit(rows, options);
      check(found, trainer.theta());
      if (threads == 1) hash = found.theta_hash;
      CHECK(found.theta_hash == hash);
      if (grows) continue;
      // A run in parts decides as one in one go.
      auto in_one = make(rates);
      in_one.set_theta(theta);
      FitOptions twice = options;
      twice.epochs = 2;
      CHECK(trainer.fit(rows, options).theta_hash == in_one.fit(rows, twice).theta_hash);
    }
  }
}

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
