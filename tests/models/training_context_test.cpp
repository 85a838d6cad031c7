// SPDX-License-Identifier: MIT
// Models that are computed in another way while they are trained: what the engine tells them, and that the bits are the same whoever computes.
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include <parade/engine/parallel_gradient.hpp>
#include <parade/engine/serial_gradient.hpp>
#include <parade/layers/conv2d.hpp>
#include <parade/layers/dense.hpp>
#include <parade/layers/dropout.hpp>
#include <parade/layers/elementwise.hpp>
#include <parade/layers/flatten.hpp>
#include <parade/layers/normalization.hpp>
#include <parade/layers/pooling.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/sequential.hpp>
#include <parade/train/evaluate.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace training_context_test {

namespace {

using namespace parade;

/// z = θ x in evaluation; in training z = θ x + (seed, step and sample of the column, coded), so that scores tell what the model was told.
struct Telltale {
  using Scalar = double;
  struct Workspace {
    Matrix<double> z;
  };
  ParameterList parameters() const { return {{"weight", 1, 1}}; }
  Index num_inputs() const { return 1; }
  Index num_outputs() const { return 1; }
  void initialize(VectorRef<double> theta, std::uint64_t) const { theta.setOnes(); }
  ConstMatrixRef<double> forward(const ConstVectorRef<double>& theta, const ConstMatrixRef<double>& x, Workspace& own) const {
    own.z = theta[0] * x;
    return own.z;
  }
  ConstMatrixRef<double> forward_training(const ConstVectorRef<double>& theta, const ConstMatrixRef<double>& x, Workspace& own,
                                          const TrainingContext& at) const {
    own.z = theta[0] * x;
    for (Index j = 0; j < x.cols(); ++j) {
      const auto s = static_cast<std::size_t>(j);
      const double weight = at.weights.empty() ? 0 : at.weights[s];
      own.z(0, j) +=
          static_cast<double>(at.seed) * 1e6 + static_cast<double>(at.step) * 1e4 + static_cast<double>(at.samples[s]) * 10 + weight;
    }
    return own.z;
  }
  void add_gradient(const ConstVectorRef<double>&, const ConstMatrixRef<double>&, const ConstMatrixRef<double>& dz, Workspace&,
                    VectorRef<double> grad) const {
    for (Index j = 0; j < dz.cols(); ++j) grad[0] += dz(0, j);
  }
};
static_assert(Model<Telltale> && TrainsDifferently<Telltale>);

struct WithSlip : Telltale {
  void forward_training(const ConstVectorRef<double>&, const ConstMatrixRef<double>&) const {}
};
static_assert(!Model<WithSlip>);  // it would never be called

/// Everything that is drawn or measured, and what stands between.
auto network() {
  return make_sequential<float>(Shape{1, 12, 12}, Conv2d{1, 3, 3, {.padding = 1}}, Relu{}, MaxPool2d{2}, Dropout{0.2}, Conv2d{3, 4, {3, 2}},
                                BatchNorm{}, Tanh{}, AvgPool2d{2}, Flatten{}, Dense{16, 9}, Dropout{0.3}, BatchNorm{}, Dense{9, 3});
}

}  // namespace

TEST_CASE("the engine tells a model that trains differently seed, step, samples and weights, and evaluates without") {
  const Index n = 70;
  const auto data =
      DenseData<double>(Matrix<double>::Ones(1, n)).with_targets(Matrix<double>::Zero(1, n)).with_weights(Vector<double>::Constant(n, 0.5));
  const Vector<double> theta = Vector<double>::Ones(1);
  std::vector<Index> samples;
  for (Index i = 0; i < n; ++i) samples.push_back((i * 37) % n);
  // d/dz of z²/2 is z: the gradient is Σ w z.
  double expected = 0;
  for (Index i = 0; i < n; ++i) expected += 0.5 * (1 + 3e6 + 4e4 + 10 * static_cast<double>(i) + 0.5);
  Vector<double> grad;
  SerialGradient<Telltale, SquaredError>({}, {}).sum(theta, data, samples, grad, {3, 4});
  CHECK(grad[0] == expected);
  for (const int threads : {1, 3}) {
    ParallelGradient<Telltale, SquaredError> engine({}, {}, {.threads = threads});
    engine.sum(theta, data, samples, grad, {3, 4});
    CHECK(grad[0] == expected);
    engine.sum(theta, data, samples, grad, {3, 5});
    CHECK(grad[0] == expected + 0.5 * 1e4 * static_cast<double>(n));
    CHECK(evaluate<DenseBatch<double>>(engine.team(), Telltale{}, SquaredError{}, theta, data).loss == 0.5);
    CHECK(compute_scores<DenseBatch<double>>(engine.team(), Telltale{}, theta, data) == Matrix<double>::Ones(1, n));
  }
}

TEST_CASE("the gradient of a network with dropout and batch normalization has the same bits on any number of threads", "[bits]") {
  const auto model = network();
  using M = std::remove_const_t<decltype(model)>;
  static_assert(Model<M> && TrainsDifferently<M> && depends_on_shard<M>);
  Vector<float> theta(model.parameters().size());
  model.initialize(theta, 5);
  const auto data = training::labelled_data<float>(144, 90, 3).with_weights(training::sample_weights(90));
  const auto samples = training::first_samples(83);
  for (const Index shard_size : {0, 7, 83}) {
    CAPTURE(shard_size);
    Vector<float> expected, grad, other_step;
    const SerialGradient<M, SoftmaxCrossEntropy> serial(model, {}, shard_size);
    const BatchSum sum = serial.sum(theta, data, samples, expected, {1, 6});
    REQUIRE(expected.allFinite());
    serial.sum(theta, data, samples, other_step, {1, 7});
    CHECK(other_step != expected);
    for (const int threads : training::thread_counts) {
      ParallelGradient<M, SoftmaxCrossEntropy> engine(model, {}, {.threads = threads, .shard_size = shard_size});
      for (int again = 0; again < 3; ++again) {
        const BatchSum parallel = engine.sum(theta, data, samples, grad, {1, 6});
        REQUIRE(grad == expected);
        REQUIRE(parallel.loss == sum.loss);
      }
    }
  }
}

TEST_CASE("the change of running statistics is summed over shards with their weights") {
  const auto model = make_sequential<double>(Shape{2}, BatchNorm{{.momentum = 0.3}}, Dense{2, 1});
  using M = std::remove_const_t<decltype(model)>;
  const Vector<double> theta = training::random_vector<double>(model.parameters().size(), 2).array() + 2;
  const auto data = training::regression_data<double>(2, 20, 1);
  Vector<double> grad;
  SerialGradient<M, SquaredError>(model, {}, 8).sum(theta, data, training::first_samples(20), grad);
  const ShardPlan plan(20, 8);
  REQUIRE(plan.shards() == 3);
  for (Index c = 0; c < 2; ++c) {
    double mean = 0, variance = 0;
    for (Index s = 0; s < plan.shards(); ++s) {
      const auto x = data.values().row(c).segment(plan[s].begin, plan[s].size());
      const auto m = static_cast<double>(plan[s].size());
      mean += 0.3 * m * (theta[4 + c] - x.mean());
      variance += 0.3 * m * (theta[6 + c] - (x.array() - x.mean()).square().sum() / (m - 1));
    }
    CHECK(grad[4 + c] == Approx(mean).epsilon(1e-13));
    CHECK(grad[6 + c] == Approx(variance).epsilon(1e-13));
  }
}

}  // namespace training_context_test
