// SPDX-License-Identifier: MIT
// Parts that are chosen at run time. Each is one type for the trainer, whatever is chosen: losses times optimizers times schedules would take minutes to
// compile. What is chosen is asked for once a call, not once a sample, in functions that are compiled once, in parts.cpp.
#pragma once

#include <cmath>
#include <cstddef>
#include <string>
#include <type_traits>
#include <variant>

#include <parade/concepts/loss.hpp>
#include <parade/concepts/optimizer.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/losses/absolute_error.hpp>
#include <parade/losses/epsilon_insensitive.hpp>
#include <parade/losses/hinge.hpp>
#include <parade/losses/huber.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/modified_huber.hpp>
#include <parade/losses/one_vs_rest.hpp>
#include <parade/losses/poisson.hpp>
#include <parade/losses/quantile.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_epsilon_insensitive.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/losses/squared_hinge.hpp>
#include <parade/optimizers/adagrad.hpp>
#include <parade/optimizers/adam.hpp>
#include <parade/optimizers/ftrl_proximal.hpp>
#include <parade/optimizers/lazy_adam.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/schedules/constant.hpp>
#include <parade/schedules/cosine.hpp>
#include <parade/schedules/inverse_scaling.hpp>
#include <parade/schedules/polynomial_decay.hpp>

#include "options.hpp"

/// One of several losses on the same kind of targets.
template <class Target_, class... Losses>
struct AnyLoss {
  static_assert((parade::SampleBySample<Losses> && ...) && (std::is_same_v<typename Losses::Target, Target_> && ...));
  using SampleBySampleOf = AnyLoss;
  using Target = Target_;

  std::variant<Losses...> loss;

  void check() const;
  std::string check_outputs(parade::Index k) const;
  std::string check_target(std::conditional_t<std::is_same_v<Target, parade::Label>, parade::Label, double> y, parade::Index k) const;
  void value_and_gradient(const parade::ConstMatrixRef<float>& scores, const parade::TargetsRef<Target, float>& targets,
                          parade::VectorRef<float> values, parade::MatrixRef<float> dscores) const;
};

using parade::Hinge, parade::Logistic, parade::ModifiedHuber, parade::OneVsRest, parade::SoftmaxCrossEntropy, parade::SquaredHinge;
using LabelLoss = AnyLoss<parade::Label, Logistic, Hinge, SquaredHinge, ModifiedHuber, OneVsRest<Logistic>, OneVsRest<Hinge>,
                          OneVsRest<SquaredHinge>, OneVsRest<ModifiedHuber>, SoftmaxCrossEntropy>;
using RealLoss = AnyLoss<parade::Real, parade::SquaredError, parade::Huber, parade::AbsoluteError, parade::Quantile, parade::Poisson,
                         parade::EpsilonInsensitive, parade::SquaredEpsilonInsensitive>;
static_assert(parade::Loss<LabelLoss, float> && parade::Loss<RealLoss, float>);

struct AnyOptimizer {
  std::variant<parade::Sgd, parade::Adagrad, parade::FtrlProximal, parade::LazyAdam, parade::Adam> rule;
  double rate = 0;  // the rule's own

  void check() const;
  parade::Index num_states() const;
  void step(parade::VectorRef<float> theta, const parade::ConstVectorRef<float>& grad, const parade::StateRef<float>& state,
            const parade::StepInfo& at) const;
  void step_sizes(const parade::StateRef<float>& state, const parade::StepInfo& at, parade::VectorRef<float> sizes) const;

  using ZeroGradientOf = AnyOptimizer;
  parade::ZeroGradient zero_gradient() const;
  parade::LinearStep linear_step(const parade::StepInfo& at) const;
  double effective_rate(const parade::StepInfo& at) const;
};

/// λ₂/2 ‖θ‖² in the gradient, λ₁‖θ‖₁ by the soft threshold; biases are left alone.
struct L1AndL2 {
  parade::L2 l2;
  parade::L1 l1;

  void check() const {
    l2.check();
    l1.check();
  }
  using ShrinkageOf = L1AndL2;
  parade::Shrinkage shrinkage() const { return {.l2 = l2.lambda, .l1 = l1.lambda}; }
  double value(const parade::ConstVectorRef<float>& theta) const { return l2.value(theta) + l1.value(theta); }
  void add_gradient(const parade::ConstVectorRef<float>& theta, parade::VectorRef<float> grad) const { l2.add_gradient(theta, grad); }
  void prox(parade::VectorRef<float> theta, const parade::ConstVectorRef<float>& steps) const {
    if (l1.lambda > 0) l1.prox(theta, steps);
  }
};

/// α = base / (1 + decay t)
struct InverseTime {
  double decay = 0;
  double rate(double base, const parade::TrainingTime& at) const { return base / std::fma(decay, static_cast<double>(at.step), 1.0); }
};

struct AnySchedule {
  std::variant<parade::Constant, InverseTime, parade::InverseScaling, parade::PolynomialDecay, parade::Cosine> schedule;

  void check(const parade::TrainingTime& start) const;
  double rate(double base, const parade::TrainingTime& at) const;
};

/// A loss by its name. Of k > 2 classes, those for two classes are taken one against the rest.
LabelLoss label_loss(const Options& o, std::size_t k);
RealLoss real_loss(const Options& o);
AnyOptimizer optimizer(const Options& o, double l2);
/// `inverse` is that of stochastic gradient descent for a strongly convex objective (Bottou 2012), a little steeper, since batches are less noisy.
AnySchedule schedule(const Options& o, double rate, double l2);
