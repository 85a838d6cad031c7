// SPDX-License-Identifier: MIT
#include "parts.hpp"

using parade::Index;
using parade::Label;

template <class T, class... Losses>
void AnyLoss<T, Losses...>::check() const {
  std::visit(
      [](const auto& one) {
        if constexpr (requires { one.check(); }) one.check();
      },
      loss);
}

template <class T, class... Losses>
std::string AnyLoss<T, Losses...>::check_outputs(Index k) const {
  return std::visit(
      [k]<class L>(const L& one) -> std::string {
        if constexpr (parade::ChecksOutputs<L>) return one.check_outputs(k);
        return "";
      },
      loss);
}

template <class T, class... Losses>
std::string AnyLoss<T, Losses...>::check_target(std::conditional_t<std::is_same_v<T, Label>, Label, double> y, Index k) const {
  return std::visit(
      [&](const auto& one) -> std::string {
        if constexpr (requires { one.check_target(y, k); }) return one.check_target(y, k);
        return "";
      },
      loss);
}

template <class T, class... Losses>
void AnyLoss<T, Losses...>::value_and_gradient(const parade::ConstMatrixRef<float>& scores, const parade::TargetsRef<T, float>& targets,
                                               parade::VectorRef<float> values, parade::MatrixRef<float> dscores) const {
  std::visit([&](const auto& one) { one.value_and_gradient(scores, targets, values, dscores); }, loss);
}

template struct AnyLoss<Label, Logistic, Hinge, SquaredHinge, ModifiedHuber, OneVsRest<Logistic>, OneVsRest<Hinge>, OneVsRest<SquaredHinge>,
                        OneVsRest<ModifiedHuber>, SoftmaxCrossEntropy>;
template struct AnyLoss<parade::Real, parade::SquaredError, parade::Huber, parade::AbsoluteError, parade::Quantile, parade::Poisson,
                        parade::EpsilonInsensitive, parade::SquaredEpsilonInsensitive>;

void AnyOptimizer::check() const {
  std::visit([](const auto& one) { one.check(); }, rule);
}
Index AnyOptimizer::num_states() const {
  return std::visit([](const auto& one) { return one.num_states(); }, rule);
}
void AnyOptimizer::step(parade::VectorRef<float> theta, const parade::ConstVectorRef<float>& grad, const parade::StateRef<float>& state,
                        const parade::StepInfo& at) const {
  std::visit([&](const auto& one) { one.template step<float>(theta, grad, state, at); }, rule);
}
void AnyOptimizer::step_sizes(const parade::StateRef<float>& state, const parade::StepInfo& at, parade::VectorRef<float> sizes) const {
  std::visit([&](const auto& one) { one.template step_sizes<float>(state, at, sizes); }, rule);
}
parade::ZeroGradient AnyOptimizer::zero_gradient() const {
  return std::visit(
      []<class O>(const O& one) {
        if constexpr (parade::SaysZeroGradient<O>) return one.zero_gradient();
        return parade::ZeroGradient::moves;
      },
      rule);
}
parade::LinearStep AnyOptimizer::linear_step(const parade::StepInfo& at) const {
  return std::visit(
      [&]<class O>(const O& one) {
        if constexpr (parade::HasLinearStep<O>) return one.linear_step(at);
        return parade::LinearStep{};
      },
      rule);
}
double AnyOptimizer::effective_rate(const parade::StepInfo& at) const {
  return std::visit(
      [&]<class O>(const O& one) {
        if constexpr (parade::HasEffectiveRate<O>) return static_cast<double>(one.effective_rate(at));
        return at.rate;
      },
      rule);
}

void AnySchedule::check(const parade::TrainingTime& start) const {
  std::visit(
      [&](const auto& one) {
        if constexpr (requires { one.check(start); }) one.check(start);
      },
      schedule);
}
double AnySchedule::rate(double base, const parade::TrainingTime& at) const {
  return std::visit([&](const auto& one) { return static_cast<double>(one.rate(base, at)); }, schedule);
}

LabelLoss label_loss(const Options& o, std::size_t k) {
  if (o.loss == "softmax") return {SoftmaxCrossEntropy{}};
  if (o.loss == "hinge") return k > 2 ? LabelLoss{OneVsRest{Hinge{}}} : LabelLoss{Hinge{}};
  if (o.loss == "squared-hinge") return k > 2 ? LabelLoss{OneVsRest{SquaredHinge{}}} : LabelLoss{SquaredHinge{}};
  if (o.loss == "modified-huber") return k > 2 ? LabelLoss{OneVsRest{ModifiedHuber{}}} : LabelLoss{ModifiedHuber{}};
  return k > 2 ? LabelLoss{OneVsRest{Logistic{}}} : LabelLoss{Logistic{}};
}

RealLoss real_loss(const Options& o) {
  if (o.loss == "huber") return {parade::Huber{.delta = o.delta.value_or(1)}};
  if (o.loss == "absolute") return {parade::AbsoluteError{}};
  if (o.loss == "quantile") return {parade::Quantile{.quantile = o.quantile.value_or(0.5)}};
  if (o.loss == "poisson") return {parade::Poisson{}};
  if (o.loss == "epsilon-insensitive") return {parade::EpsilonInsensitive{.epsilon = o.epsilon.value_or(0.1)}};
  if (o.loss == "squared-epsilon-insensitive") return {parade::SquaredEpsilonInsensitive{.epsilon = o.epsilon.value_or(0.1)}};
  return {parade::SquaredError{}};
}

AnyOptimizer optimizer(const Options& o, double l2) {
  const double rate = o.rate.value_or(o.optimizer.ends_with("adam") ? 0.001 : 0.1);
  if (o.optimizer == "adagrad") return {parade::Adagrad{.rate = rate}, rate};
  if (o.optimizer == "ftrl") return {parade::FtrlProximal{.rate = rate, .l1 = o.l1, .l2 = l2}, rate};
  if (o.optimizer == "lazy_adam") return {parade::LazyAdam{.rate = rate}, rate};
  if (o.optimizer == "adam") return {parade::Adam{.rate = rate}, rate};
  return {parade::Sgd{.rate = rate, .momentum = o.momentum.value_or(0)}, rate};
}

AnySchedule schedule(const Options& o, double rate, double l2) {
  if (o.schedule == "inverse") return {InverseTime{1.4 * rate * l2}};
  if (o.schedule == "inverse-scaling") return {parade::InverseScaling{.power = o.power.value_or(0.5)}};
  if (o.schedule == "linear") return {parade::PolynomialDecay{}};
  if (o.schedule == "cosine") return {parade::Cosine{}};
  return {parade::Constant{}};
}
