// SPDX-License-Identifier: MIT
// Tier 2 of the promise for the parts that golden_test.cpp and models_test.cpp leave out: short trainings of linear models that have each loss,
// regularizer, constraint, optimizer and schedule of the library once; of SortedL1 its steps alone. The steps are those of the engine; Trainers of all these would take too
// long to compile. (Layers: see models/sequential_bits_test.cpp.) Where a change of the mathematics moves the bits on purpose,
// `test_golden "[parts_table]"` prints the new table.
#include <cmath>
#include <cstdint>
#include <functional>
#include <iostream>
#include <map>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/constraints/affine_equalities.hpp>
#include <parade/constraints/affine_equality.hpp>
#include <parade/constraints/augmented_lagrangian.hpp>
#include <parade/constraints/box.hpp>
#include <parade/constraints/box_penalty.hpp>
#include <parade/constraints/l1_ball.hpp>
#include <parade/constraints/l2_ball.hpp>
#include <parade/constraints/monotone.hpp>
#include <parade/constraints/no_constraint.hpp>
#include <parade/constraints/non_negative.hpp>
#include <parade/constraints/penalty.hpp>
#include <parade/constraints/scheduled_penalty.hpp>
#include <parade/constraints/simplex.hpp>
#include <parade/constraints/unit_norm_rows.hpp>
#include <parade/core/hash.hpp>
#include <parade/engine/serial_gradient.hpp>
#include <parade/engine/update.hpp>
#include <parade/kernels/simd.hpp>
#include <parade/losses/absolute_error.hpp>
#include <parade/losses/epsilon_insensitive.hpp>
#include <parade/losses/focal_logistic.hpp>
#include <parade/losses/focal_softmax.hpp>
#include <parade/losses/gamma.hpp>
#include <parade/losses/huber.hpp>
#include <parade/losses/modified_huber.hpp>
#include <parade/losses/multiclass_hinge.hpp>
#include <parade/losses/multilabel_logistic.hpp>
#include <parade/losses/poisson.hpp>
#include <parade/losses/quantile.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_epsilon_insensitive.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/losses/squared_hinge.hpp>
#include <parade/losses/tweedie.hpp>
#include <parade/models/linear.hpp>
#include <parade/optimizers/adadelta.hpp>
#include <parade/optimizers/adagrad.hpp>
#include <parade/optimizers/adam.hpp>
#include <parade/optimizers/adamax.hpp>
#include <parade/optimizers/adamw.hpp>
#include <parade/optimizers/amsgrad.hpp>
#include <parade/optimizers/clip_norm.hpp>
#include <parade/optimizers/clip_value.hpp>
#include <parade/optimizers/ema.hpp>
#include <parade/optimizers/ftrl_proximal.hpp>
#include <parade/optimizers/lamb.hpp>
#include <parade/optimizers/lars.hpp>
#include <parade/optimizers/lazy_adam.hpp>
#include <parade/optimizers/lion.hpp>
#include <parade/optimizers/nadam.hpp>
#include <parade/optimizers/polyak_average.hpp>
#include <parade/optimizers/radam.hpp>
#include <parade/optimizers/rate_factors.hpp>
#include <parade/optimizers/rmsprop.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/elastic_net.hpp>
#include <parade/regularizers/group_lasso.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/regularizers/only.hpp>
#include <parade/regularizers/per_parameter.hpp>
#include <parade/regularizers/sorted_l1.hpp>
#include <parade/schedules/chain.hpp>
#include <parade/schedules/constant.hpp>
#include <parade/schedules/cosine.hpp>
#include <parade/schedules/cosine_restarts.hpp>
#include <parade/schedules/exponential_decay.hpp>
#include <parade/schedules/exponential_warmup.hpp>
#include <parade/schedules/inverse_scaling.hpp>
#include <parade/schedules/linear_scaling.hpp>
#include <parade/schedules/multi_step_decay.hpp>
#include <parade/schedules/one_cycle.hpp>
#include <parade/schedules/per_epoch.hpp>
#include <parade/schedules/polynomial_decay.hpp>
#include <parade/schedules/warmup.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace {

using namespace parade;

constexpr Index d = 13, n = 97;

/// Any loss, so that one engine is compiled for all of them.
template <class S, class Target_>
struct AnyLoss {
  using Target = Target_;
  using Z = ConstMatrixRef<S>;
  using Y = TargetsRef<Target, S>;
  std::function<void(const Z&, const Y&, VectorRef<S>, MatrixRef<S>)> call;

  void value_and_gradient(const Z& scores, const Y& targets, VectorRef<S> values, MatrixRef<S> dscores) const {
    call(scores, targets, values, dscores);
  }
};

/// Σ w_i ∇J(θ) over samples into the vector, by one engine.
template <class S>
struct Problem {
  Linear<S> model;
  std::function<BatchSum(const Vector<S>&, std::span<const Index>, Vector<S>&)> sum;
};

/// Weights of 0, ¼, ½, …, 2; labels in [0, k), for k = 1 in {0, 1}; targets in [¼, 1¼), or 0 and 1 for several labels.
template <class S, class L>
Problem<S> problem(const L& loss, Index k) {
  const Linear<S> model(d, k);
  auto data = DenseData<S>(training::random_matrix<S>(d, n, 1)).with_weights(training::sample_weights(n));
  if constexpr (std::is_same_v<typename L::Target, Label>) {
    Vector<Label> labels(n);
    for (Index j = 0; j < n; ++j) labels[j] = static_cast<Label>(j * j % 11 % std::max<Index>(k, 2));
    data = data.with_labels(labels);
  } else {
    const Matrix<double> random = training::random_matrix<double>(k, n, 4);
    Matrix<double> targets(k, n);
    for (Index i = 0; i < targets.size(); ++i)
      targets.data()[i] = std::is_same_v<L, MultilabelLogistic> ? (random.data()[i] > 0 ? 1 : 0) : std::fma(0.5, random.data()[i], 0.75);
    data = data.with_targets(targets);
  }
  using Any = AnyLoss<S, typename L::Target>;
  const SerialGradient<Linear<S>, Any> engine(model,
                                              {[loss](const typename Any::Z& z, const typename Any::Y& y, VectorRef<S> values,
                                                      MatrixRef<S> dscores) { loss.value_and_gradient(z, y, values, dscores); }},
                                              7);
  return {model, [engine, data](const Vector<S>& theta, std::span<const Index> samples, Vector<S>& grad) {
            return engine.sum(theta, data, samples, grad);
          }};
}

/// The gradient of a step, for ParallelUpdate.
template <class S>
struct Source {
  Vector<S> grad;
  void sum_range(Range range, S* out) const {
    for (Index i = range.begin; i < range.end; ++i) out[i - range.begin] = grad[i];
  }
  static constexpr bool sum_range_computes() { return false; }
  static void begin_update() {}
  static void updated(Range, const S*) {}
  static void end_update(bool) {}
};

/// The hash of θ, and of what the optimizer keeps, after three epochs of four steps on 24 samples, and one on what is left.
template <class S, class R, class C, class O, class H>
std::uint64_t train(const Problem<S>& problem, const R& regularizer, const C& constraint, const O& optimizer, const H& schedule) {
  Team team(2);
  const ParameterList& parameters = problem.model.parameters();
  ParallelUpdate<S, R, C, O> update(parameters, regularizer, constraint, optimizer, team);
  TrainingState<S> state(parameters.size(), optimizer.num_states()), next = state;
  state.theta = training::random_vector<S>(parameters.size(), 9) / 4;
  const auto samples = training::first_samples(n);
  Source<S> source;
  std::int64_t step = 0;
  for (int epoch = 0; epoch < 3; ++epoch) {
    for (std::size_t first = 0; first < samples.size(); first += 24) {
      const auto batch = std::span<const Index>(samples).subspan(first, std::min<std::size_t>(24, samples.size() - first));
      const BatchSum sum = problem.sum(state.theta, batch, source.grad);
      const double rate = schedule.rate(optimizer.rate, TrainingTime{step, 5, 15});
      bool finite = false;
      team.run([&] { finite = update(source, sum.weight, state, next, {rate, ++step}); });
      REQUIRE(finite);
      std::swap(state, next);
    }
    update.end_epoch(state.theta);
  }
  const Index size = parameters.size(), states = optimizer.num_states();
  Vector<S> all(size * (1 + states));
  all.head(size) = state.theta;
  for (Index i = 0; i < states; ++i) all.segment(size * (1 + i), size) = state.states().col(i).head(size);
  return theta_hash(all);
}

/// Σ θ_i = 1, over all parameters.
struct SumIsOne {
  static Index count() { return 1; }
  template <class T>
  static void values(const Eigen::MatrixBase<T>& theta, VectorRef<double> out) {
    double sum = -1;
    for (Index i = 0; i < theta.size(); ++i) sum += static_cast<double>(theta[i]);
    out[0] = sum;
  }
  template <class T>
  static void add_gradient(const Eigen::MatrixBase<T>&, const ConstVectorRef<double>& weights, VectorRef<typename T::Scalar> grad) {
    for (Index i = 0; i < grad.size(); ++i) grad[i] += static_cast<typename T::Scalar>(weights[0]);
  }
};

/// The proximal steps of SortedL1, for one step size and for many, and its values.
std::uint64_t sorted_l1() {
  constexpr Index size = 97;
  const SortedL1 slope{.lambda = benjamini_hochberg_sequence(size, 0.2, 0.3)}, oscar{.lambda = oscar_sequence(size, 0.05, 0.004)};
  const Matrix<double> from = training::random_matrix<double>(size, 1, 7);
  const Matrix<double> steps = 2 * training::random_matrix<double>(size, 1, 8).cwiseAbs();
  Matrix<double> all(size, 6);
  Index column = 0;
  for (const SortedL1& norm : {slope, oscar}) {
    all.col(column).setConstant(norm.parameter_value(from));
    for (const Matrix<double>& of : {steps, Matrix<double>(Matrix<double>::Constant(size, 1, 0.75))}) {
      Matrix<double> theta = from;
      norm.parameter_prox(theta, of);
      all.col(++column) = theta;
    }
    ++column;
  }
  return theta_hash(Vector<double>(all.reshaped()));
}

using Trainings = std::map<std::string, std::function<std::uint64_t()>>;

/// Half of them in float, half in double: each part has its bits in both in the tests of its family.
Trainings trainings() {
  const NoRegularizer none;
  const L2 ridge{.lambda = 1e-2};
  const NoConstraint free;
  Matrix<double> two(2, d);  // the sum, and a slope
  for (Index j = 0; j < d; ++j) two.col(j) << 1, static_cast<double>(j - 6);
  const auto in_float = [](const auto& loss, Index k) { return problem<float>(loss, k); };
  const auto in_double = [](const auto& loss, Index k) { return problem<double>(loss, k); };
  return {
      {"AbsoluteError, ElasticNet, NonNegative, AdamW, OneCycle",
       [=] {
         return train(in_float(AbsoluteError{}, 2), ElasticNet{.lambda = 0.02}, NonNegative{}, AdamW{.rate = 0.02, .weight_decay = 0.1},
                      OneCycle{});
       }},
      {"Huber, GroupLasso, none, Adagrad, PolynomialDecay",
       [=] {
         return train(in_double(Huber{.delta = 0.5}, 2), GroupLasso{.lambda = 0.02, .groups = Groups::columns}, free, Adagrad{.rate = 0.05},
                      PolynomialDecay{.power = 0.9, .final_rate = 0.01});
       }},
      {"Quantile, L2, Simplex, AmsGrad, InverseScaling",
       [=] {
         return train(in_float(Quantile{.quantile = 0.8}, 2), ridge, Simplex{.groups = Groups::rows}, AmsGrad{.rate = 0.02},
                      InverseScaling{});
       }},
      {"EpsilonInsensitive, none, L1Ball, Adamax, MultiStepDecay",
       [=] {
         return train(in_double(EpsilonInsensitive{}, 2), none, L1Ball{.radius = 0.9}, Adamax{.rate = 0.02},
                      MultiStepDecay{.milestones = {5, 9}, .factor = 0.3});
       }},
      {"SquaredEpsilonInsensitive, none, L2Ball, NAdam, ExponentialDecay",
       [=] {
         return train(in_float(SquaredEpsilonInsensitive{}, 2), none, L2Ball{.radius = 0.4, .groups = Groups::columns}, NAdam{.rate = 0.02},
                      ExponentialDecay{.steps = 5, .factor = 0.5});
       }},
      {"Poisson, L2, none, RAdam, ExponentialWarmup",
       [=] { return train(in_double(Poisson{}, 2), ridge, free, RAdam{.rate = 0.02, .beta2 = 0.9}, exponential_warmup(6, Cosine{})); }},
      {"Gamma, none, AffineEquality, LazyAdam, CosineRestarts",
       [=] {
         return train(in_float(Gamma{}, 2), none, AffineEquality{.value = 0.5, .groups = Groups::rows}, LazyAdam{.rate = 0.02},
                      CosineRestarts{.steps = 4, .growth = 2, .final_rate = 0.01});
       }},
      {"Tweedie, none, AffineEqualities, Adadelta, chain",
       [=] {
         return train(in_double(Tweedie{.power = 1.3}, 2), none,
                      AffineEqualities{two, Vector<double>(Vector<double>::Constant(2, 0.5)), Groups::rows}, Adadelta{},
                      chain(ExponentialDecay{}, 7, OneCycle{}));
       }},
      {"MultilabelLogistic, L2, Monotone, RmsProp, per epoch",
       [=] {
         return train(in_float(MultilabelLogistic{}, 3), ridge, Monotone{.groups = Groups::rows},
                      RmsProp{.rate = 0.02, .momentum = 0.9, .centered = true}, per_epoch(ExponentialDecay{.steps = 2, .factor = 0.5}));
       }},
      {"SquaredHinge, PerParameter, none, Lion, warmup",
       [=] {
         return train(in_double(SquaredHinge{}, 1), PerParameter{Only{L1{.lambda = 1e-2}, "weight"}, Only{L2{.lambda = 1e-2}, "bias"}},
                      free, Lion{.rate = 0.01, .weight_decay = 0.1}, warmup(6, 0.1, Cosine{}));
       }},
      {"ModifiedHuber, none, none, FtrlProximal, constant",
       [=] { return train(in_float(ModifiedHuber{}, 1), none, free, FtrlProximal{.rate = 0.3, .l1 = 0.02, .l2 = 0.1}, Constant{}); }},
      {"FocalLogistic, none, MaxNormRows, Lars, constant",
       [=] {
         return train(in_double(FocalLogistic{.gamma = 1.5}, 1), none, MaxNormRows{.radius = 0.4},
                      Lars{.rate = linear_scaling(1, 48, 24), .trust = 0.1}, Constant{});
       }},
      {"smoothed softmax, none, UnitNormRows, Lamb, constant",
       [=] {
         return train(in_float(SoftmaxCrossEntropy{.label_smoothing = 0.2}, 3), none, UnitNormRows{}, Lamb{.rate = 0.02}, Constant{});
       }},
      {"MulticlassHinge, none, Penalty, ClipNorm, constant",
       [=] {
         return train(in_double(MulticlassHinge{}, 3), none, Penalty{Box{.lower = -0.1, .upper = 0.1}, 0.5},
                      ClipNorm{Adam{.rate = 0.02}, 0.3}, Constant{});
       }},
      {"FocalSoftmax, none, ScheduledPenalty, ClipValue, constant",
       [=] {
         return train(in_float(FocalSoftmax{.gamma = 1.5}, 3), none,
                      ScheduledPenalty{BoxPenalty{.beta = 1, .lower = 0}, Warmup<>{.steps = 9, .start_factor = 0}},
                      ClipValue{Sgd{.rate = 0.1, .momentum = 0.9}, 0.05}, Constant{});
       }},
      {"squared error, none, AugmentedLagrangian, RateFactors, constant",
       [=] {
         return train(in_double(SquaredError{}, 1), none, AugmentedLagrangian{SumIsOne{}, {}, {.beta = 0.1, .growth = 2}},
                      RateFactors{Sgd{.rate = 0.1}, {{"bias", 0.5}}}, Constant{});
       }},
      {"squared error, L2, none, averages, constant",
       [=] {
         return train(in_float(SquaredError{}, 2), ridge, free, PolyakAverage{Ema{Sgd{.rate = 0.1}, 0.9}, 2, 3}, Constant{});
       }},
      {"SortedL1", sorted_l1},
  };
}

const std::map<std::string, std::uint64_t> golden{
    {"AbsoluteError, ElasticNet, NonNegative, AdamW, OneCycle", 0x54700294728319cc},
    {"Huber, GroupLasso, none, Adagrad, PolynomialDecay", 0x2177619edd12070e},
    {"Quantile, L2, Simplex, AmsGrad, InverseScaling", 0x94c05468b1f29c25},
    {"EpsilonInsensitive, none, L1Ball, Adamax, MultiStepDecay", 0xf408bbe696ec8bc7},
    {"SquaredEpsilonInsensitive, none, L2Ball, NAdam, ExponentialDecay", 0x87bce062ca1fecee},
    {"Poisson, L2, none, RAdam, ExponentialWarmup", 0x9dfb5b8adb5a80ba},
    {"Gamma, none, AffineEquality, LazyAdam, CosineRestarts", 0xcb3fe78813b0acd7},
    {"Tweedie, none, AffineEqualities, Adadelta, chain", 0xe8654910a20d1193},
    {"MultilabelLogistic, L2, Monotone, RmsProp, per epoch", 0x127800e56ad6eb63},
    {"SquaredHinge, PerParameter, none, Lion, warmup", 0x9a170730d63ae1f9},
    {"ModifiedHuber, none, none, FtrlProximal, constant", 0xbc5cd227b32a025f},
    {"FocalLogistic, none, MaxNormRows, Lars, constant", 0xd79f60d07ef6255a},
    {"smoothed softmax, none, UnitNormRows, Lamb, constant", 0x45c53e7d4170c2be},
    {"MulticlassHinge, none, Penalty, ClipNorm, constant", 0xa32115f2d4dc3f82},
    {"FocalSoftmax, none, ScheduledPenalty, ClipValue, constant", 0xdb2b2b88aa51e38d},
    {"squared error, none, AugmentedLagrangian, RateFactors, constant", 0xc2e28fc805edaaec},
    {"squared error, L2, none, averages, constant", 0x890d7c336ae6f926},
    {"SortedL1", 0x5537a02de7bb4335},
};

}  // namespace

TEST_CASE("the bits after short trainings with every other part are the golden ones") {
  const Trainings all = trainings();
  CHECK(golden.size() == all.size());
  for (const auto& [name, hash] : golden) {
    CAPTURE(name, kernels::instruction_set());
    REQUIRE(all.contains(name));
    CHECK(hash_text(all.at(name)()) == hash_text(hash));
  }
}

TEST_CASE("print the table of the parts' golden hashes", "[.][parts_table]") {
  for (const auto& [name, hash] : trainings()) std::cout << "    {\"" << name << "\", 0x" << hash_text(hash()) << "},\n";
}
