// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include <parade/layers/conv2d.hpp>
#include <parade/layers/dense.hpp>
#include <parade/layers/dropout.hpp>
#include <parade/layers/elementwise.hpp>
#include <parade/layers/flatten.hpp>
#include <parade/layers/normalization.hpp>
#include <parade/layers/pooling.hpp>
#include <parade/layers/softmax.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/sequential.hpp>
#include <parade/testing/gradient_check.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace {

using namespace parade;
using training::random_matrix, training::random_vector;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// A network with one θ, run by hand.
template <class M>
struct Run {
  using S = typename M::Scalar;
  const M& model;
  Vector<S> theta;
  typename M::Prepared prepared;
  typename M::Workspace workspace;

  Run(const M& network, Vector<S> at) : model(network), theta(std::move(at)) {
    model.reserve(prepared);
    for (Index piece = 0; piece < model.num_preparations(); ++piece) model.prepare(theta, piece, prepared);
  }
  explicit Run(const M& network) : Run(network, random_vector<S>(network.parameters().size(), 21)) {}

  Matrix<S> scores(const Matrix<S>& x) { return model.forward(prepared, x, workspace); }
  Matrix<S> training_scores(const Matrix<S>& x, const TrainingContext& at) {
    if constexpr (TrainsDifferently<M>)
      return model.forward_training(prepared, x, workspace, at);
    else
      return model.forward(prepared, x, workspace);
  }
  Vector<S> gradient(const Matrix<S>& x, const Matrix<S>& dscores) {
    Vector<S> grad = Vector<S>::Constant(theta.size(), std::numeric_limits<S>::quiet_NaN());
    model.gradient(prepared, x, dscores, workspace, grad);
    return grad;
  }
};

/// Scores and gradient of every sample are what they are alone, bit for bit, in shards of 1, 2, 7 and 32.
template <class M>
void check_samples_alone(const M& model) {
  using S = typename M::Scalar;
  CAPTURE(sizeof(S));
  Run<M> run(model), alone(model), other(model);
  for (const Index m : {32, 1, 7, 2}) {
    const Matrix<S> x = random_matrix<S>(model.num_inputs(), m, 8), dz = random_matrix<S>(model.num_outputs(), m, 9);
    const auto samples = training::first_samples(m);
    const TrainingContext at{3, 4, samples, {}};
    const Matrix<S> z = run.training_scores(x, at);
    const Vector<S> grad = run.gradient(x, dz);
    REQUIRE(z.allFinite());
    REQUIRE(grad.allFinite());
    // The chain of a weight's gradient goes on from sample to sample.
    Vector<S> chain = Vector<S>::Zero(grad.size());
    for (Index j = 0; j < m; ++j) {
      const Matrix<S> own = x.col(j);
      const TrainingContext of_sample{3, 4, std::span(samples).subspan(static_cast<std::size_t>(j), 1), {}};
      REQUIRE(alone.training_scores(own, of_sample) == z.col(j));
      model.add_gradient(alone.prepared, own, Matrix<S>(dz.col(j)), alone.workspace, chain);
    }
    CHECK(chain == grad);
    CHECK(other.training_scores(x, at) == z);
    CHECK(other.gradient(x, dz) == grad);
  }
}

template <class Make>
void check_network(const Make& make) {
  check_samples_alone(make(float{}));
  const auto model = make(double{});
  check_samples_alone(model);
  const Index k = model.num_outputs();
  const DenseData<double> data =
      DenseData<double>(random_matrix<double>(model.num_inputs(), 5, 6)).with_targets(random_matrix<double>(k, 5, 7));
  CHECK(testing::check_gradient(model, SquaredError{}, random_vector<double>(model.parameters().size(), 22), data,
                                {.elements_per_block = 40}));
}

}  // namespace

TEST_CASE("a sample's scores and gradient do not depend on its neighbours, and agree with differences: dense networks") {
  check_network([](auto s) { return make_sequential<decltype(s)>(Dense{9, 7}, Relu{}, Dense{7, 6}, LeakyRelu{0.1}, Dense{6, 3}, Tanh{}); });
  check_network([](auto s) { return make_sequential<decltype(s)>(Dense{9, 7}, Gelu{}, Dense{7, 6}, Silu{}, Dense{6, 3}, Sigmoid{}); });
  check_network([](auto s) {
    return make_sequential<decltype(s)>(Shape{9}, Tanh{}, Dense{9, 7}, Softplus{}, LayerNorm{}, Dense{7, 4}, Softmax{});
  });
}

TEST_CASE("a sample's scores and gradient do not depend on its neighbours, and agree with differences: convolutional networks") {
  check_network([](auto s) {
    return make_sequential<decltype(s)>(Shape{2, 9, 8}, Conv2d{2, 5, 3, {.padding = 1}}, Relu{}, MaxPool2d{2},
                                        Conv2d{5, 3, {2, 3}, {.stride = 2}}, Tanh{}, Flatten{}, Dense{6, 2});
  });
  check_network([](auto s) {
    return make_sequential<decltype(s)>(Shape{1, 8, 11}, Conv2d{1, 9, 3}, MaxPool2d{3, {.stride = 2}}, Silu{}, Conv2d{9, 2, 1},
                                        AvgPool2d{2, {.stride = 1}}, Dropout{0.3}, Flatten{}, LayerNorm{}, Dense{6, 2});
  });
}

TEST_CASE("a sample's scores and gradient do not depend on how many are computed at a time") {
  // Its first layers are computed for 6 samples at a time in float, 3 in double.
  const auto make = [](auto s) {
    return make_sequential<decltype(s)>(Shape{1, 28, 28}, Conv2d{1, 6, 5, {.padding = 2}}, Relu{}, MaxPool2d{2}, Dropout{0.2},
                                        Conv2d{6, 3, 5}, Tanh{}, MaxPool2d{2}, Sigmoid{}, Flatten{}, Dense{75, 4}, Relu{}, Dense{4, 3});
  };
  check_samples_alone(make(float{}));
  check_samples_alone(make(double{}));
}

TEST_CASE("ReLU in front of a maximum changes places with it and nothing else changes") {
  // LeakyRelu with slope 0 is ReLU, and stays where it is.
  const auto network = make_sequential<double>(Shape{2, 7, 6}, Conv2d{2, 3, 2}, Relu{}, MaxPool2d{2}, Flatten{}, Dense{18, 2});
  const auto plain = make_sequential<double>(Shape{2, 7, 6}, Conv2d{2, 3, 2}, LeakyRelu{0}, MaxPool2d{2}, Flatten{}, Dense{18, 2});
  Run<std::remove_const_t<decltype(network)>> run(network);
  Run<std::remove_const_t<decltype(plain)>> expected(plain);
  const Matrix<double> x = random_matrix<double>(84, 9, 8), dz = random_matrix<double>(2, 9, 9);
  CHECK(run.scores(x) == expected.scores(x));
  CHECK(run.gradient(x, dz) == expected.gradient(x, dz));
}

TEST_CASE("a network with batch normalization agrees with differences") {
  const auto check = [](const auto& model) {
    const DenseData<double> data = DenseData<double>(random_matrix<double>(model.num_inputs(), 6, 6))
                                       .with_targets(random_matrix<double>(model.num_outputs(), 6, 7))
                                       .with_weights(Vector<double>{{1, 2, 0.5, 1, 0, 3}});
    const Vector<double> theta = random_vector<double>(model.parameters().size(), 22).array() + 1.25;
    CHECK(testing::check_gradient(model, SquaredError{}, theta, data, {.max_left_out = 0.3}));
  };
  check(make_sequential<double>(Shape{4}, BatchNorm{}, Dense{4, 3}, Tanh{}, BatchNorm{}, Dense{3, 2}));
  check(make_sequential<double>(Shape{1, 6, 6}, Conv2d{1, 3, 3}, Tanh{}, BatchNorm{}, AvgPool2d{2}, Flatten{}, Dense{12, 2}));
}

TEST_CASE("NaN goes through every nonlinearity, and no large number makes one") {
  const auto check = [](auto layer) {
    const auto network = make_sequential<float>(Shape{5}, layer, Dense{5, 5});
    Vector<float> theta(30);
    theta.setZero();
    slice<float>(VectorRef<float>(theta), network.parameters()["layer1.weight"]).setIdentity();
    Run<std::remove_const_t<decltype(network)>> run(network, theta);
    const Matrix<float> z = run.scores(Matrix<float>{{-1e30f}, {1e30f}, {0.f}, {-90.f}, {90.f}});
    CHECK(z.allFinite());
    const Matrix<float> bad = run.scores(Matrix<float>{{0.f}, {0.f}, {static_cast<float>(not_a_number)}, {0.f}, {0.f}});
    CHECK(std::isnan(bad(2)));
    run.gradient(Matrix<float>{{-1e30f}, {1e30f}, {0.f}, {-90.f}, {90.f}}, Matrix<float>::Ones(5, 1));
  };
  check(Relu{});
  check(LeakyRelu{});
  check(Tanh{});
  check(Sigmoid{});
  check(Gelu{});
  check(Silu{});
  check(Softplus{});
  check(Softmax{});
}

TEST_CASE("dropout leaves out a share p, draws by step, sample and layer, and does nothing in evaluation") {
  const Index d = 1000, m = 8;
  const auto network = make_sequential<double>(Shape{d}, Dropout{0.25}, Dense{d, 1});
  Dropout layer{0.25};
  layer.connect(d);
  Dropout::Workspace<double> own;
  layer.reserve(own, m);
  const Matrix<double> x = Matrix<double>::Ones(d, m);
  Matrix<double> z(d, m), again(d, m);
  const ConstVectorRef<double> theta = Vector<double>();
  const std::vector<Index> samples{5, 3, 900, 7, 5, 1, 2, 4};
  const auto draw = [&](std::uint64_t seed, std::int64_t step, std::uint32_t index, std::span<const Index> of) {
    Matrix<double> result(d, static_cast<Index>(of.size()));
    LayerContext at;
    at.seed = seed, at.step = step, at.layer = index, at.samples = of;
    const Matrix<double> ones = Matrix<double>::Ones(d, result.cols());
    layer.forward_training<double>(theta, ones, result, own, at);
    return result;
  };
  z = draw(1, 2, 3, samples);
  const auto left_out = static_cast<double>((z.array() == 0).count());
  CHECK(((z.array() == 0) || (z.array() == 1 / 0.75)).all());
  CHECK(std::abs(left_out - 2000) < 6 * std::sqrt(8000 * 0.25 * 0.75));
  CHECK(z.col(0) == z.col(4));  // the same sample
  CHECK(z.col(0) != z.col(1));
  CHECK(draw(1, 2, 3, samples) == z);
  CHECK(draw(1, 2, 3, std::span(samples).subspan(2, 3)) == z.middleCols(2, 3));
  CHECK(draw(2, 2, 3, samples).col(0) != z.col(0));
  CHECK(draw(1, 3, 3, samples).col(0) != z.col(0));
  CHECK(draw(1, 2, 4, samples).col(0) != z.col(0));
  // The gradient goes where the units went.
  Matrix<double> dx(d, m);
  draw(1, 2, 3, samples);
  layer.input_gradient<double>(theta, x, z, x, dx, own);
  CHECK(dx == z);
  layer.forward<double>(theta, x, again, own);
  CHECK(again == x);
  layer.input_gradient<double>(theta, x, again, x, dx, own);
  CHECK(dx == x);
}

TEST_CASE("batch normalization: statistics of the shard while it is trained, the running ones in evaluation, weights count as copies") {
  const auto network = make_sequential<double>(Shape{3}, BatchNorm{{.momentum = 0.2}}, Dense{3, 2});
  using M = std::remove_const_t<decltype(network)>;
  Vector<double> theta = random_vector<double>(network.parameters().size(), 4).array() + 2;
  Run<M> run(network, theta);
  const Matrix<double> x = random_matrix<double>(3, 4, 5), dz = random_matrix<double>(2, 4, 6);
  const std::vector<Index> samples{0, 1, 2, 3, 4};

  const Matrix<double> z = run.training_scores(x, {1, 0, std::span(samples).first(4), {}});
  const Vector<double> grad = run.gradient(x, dz);
  for (Index c = 0; c < 3; ++c) {
    const double mean = x.row(c).mean(), unbiased = (x.row(c).array() - mean).square().sum() / 3;
    CHECK(grad[6 + c] == Approx(4 * 0.2 * (theta[6 + c] - mean)).epsilon(1e-14));
    CHECK(grad[9 + c] == Approx(4 * 0.2 * (theta[9 + c] - unbiased)).epsilon(1e-14));
  }
  const Matrix<double> evaluated = run.scores(x);
  Matrix<double> expected(2, 4);
  const auto weight = slice<double>(ConstVectorRef<double>(theta), network.parameters()["layer1.weight"]);
  for (Index j = 0; j < 4; ++j) {
    Vector<double> normalized(3);
    for (Index c = 0; c < 3; ++c) normalized[c] = (x(c, j) - theta[6 + c]) / std::sqrt(theta[9 + c] + 1e-5) * theta[c] + theta[3 + c];
    expected.col(j) = weight * normalized + theta.tail(2);
  }
  CHECK(evaluated.isApprox(expected, 1e-13));
  CHECK(run.gradient(x, dz).segment(6, 6) == Vector<double>::Zero(6));  // nothing was measured

  // Weights 2, 1, 1, 0, 1 are the first sample twice, and the fourth not at all.
  Matrix<double> weighted(3, 5), d_weighted(2, 5);
  weighted << x.leftCols(3), Matrix<double>::Zero(3, 1), x.col(3);
  d_weighted << 2 * dz.col(0), dz.col(1), dz.col(2), Matrix<double>::Zero(2, 1), dz.col(3);
  Matrix<double> copied(3, 5), d_copied(2, 5);
  copied << x.col(0), x;
  d_copied << dz.col(0), dz;
  const std::vector<double> weights{2, 1, 1, 0, 1};
  run.training_scores(weighted, {1, 0, samples, weights});
  const Vector<double> of_weights = run.gradient(weighted, d_weighted);
  run.training_scores(copied, {1, 0, samples, {}});
  CHECK(of_weights.isApprox(run.gradient(copied, d_copied), 1e-13));

  // A shard of one sample, and of no weight: finite.
  run.training_scores(x.leftCols(1), {1, 0, std::span(samples).first(1), {}});
  CHECK(run.gradient(x.leftCols(1), dz.leftCols(1)).allFinite());
  const std::vector<double> none{0, 0};
  run.training_scores(Matrix<double>::Zero(3, 2), {1, 0, std::span(samples).first(2), none});
  CHECK(run.gradient(Matrix<double>::Zero(3, 2), Matrix<double>::Zero(2, 2)) == Vector<double>::Zero(theta.size()));
}

TEST_CASE("starting weights: bounds, the bits of the seed, and orthonormal rows or columns") {
  const auto weights = [](Initialization how, Index inputs, Index outputs, std::uint64_t seed) {
    const auto network = make_sequential<double>(Dense{inputs, outputs, {.initialization = how}});
    Vector<double> theta(network.parameters().size());
    network.initialize(theta, seed);
    CHECK(theta.tail(outputs) == Vector<double>::Zero(outputs));
    return Matrix<double>(Matrix<double>::Map(theta.data(), outputs, inputs));
  };
  for (const auto& [how, bound] :
       {std::pair{Initialization::he, std::sqrt(6.0 / 50)}, std::pair{Initialization::lecun, std::sqrt(3.0 / 50)},
        std::pair{Initialization::glorot, std::sqrt(6.0 / 80)}}) {
    const Matrix<double> w = weights(how, 50, 30, 1);
    CHECK(w.cwiseAbs().maxCoeff() <= bound);
    CHECK(w.cwiseAbs().maxCoeff() > 0.98 * bound);
    CHECK(w == weights(how, 50, 30, 1));
    CHECK(w != weights(how, 50, 30, 2));
  }
  CHECK(weights(Initialization::zero, 5, 3, 1).isZero(0));
  for (const auto& [rows, cols] : {std::pair{30, 50}, std::pair{50, 30}, std::pair{20, 20}, std::pair{1, 4}}) {
    const Matrix<double> w = weights(Initialization::orthogonal, cols, rows, 7);
    const Matrix<double> gram = rows <= cols ? Matrix<double>(w * w.transpose()) : Matrix<double>(w.transpose() * w);
    CHECK((gram - Matrix<double>::Identity(gram.rows(), gram.cols())).cwiseAbs().maxCoeff() < 1e-14);
    CHECK(w != weights(Initialization::orthogonal, cols, rows, 8));
  }
  // Of a convolution it counts what one weight meets.
  const auto network = make_sequential<double>(Shape{4, 5, 5}, Conv2d{4, 8, 3, {.initialization = Initialization::glorot}});
  Vector<double> theta(network.parameters().size());
  network.initialize(theta, 1);
  CHECK(theta.cwiseAbs().maxCoeff() <= std::sqrt(6.0 / (9 * 12)));
  CHECK(theta.cwiseAbs().maxCoeff() > 0.95 * std::sqrt(6.0 / (9 * 12)));
}

TEST_CASE("options of layers that break a rule are named") {
  CHECK_THROWS_AS((Dense{0, 3}), std::invalid_argument);
  CHECK_THROWS_AS((Conv2d{1, 1, 3, {.stride = 0}}), OptionError);
  CHECK_THROWS_AS((Conv2d{1, 1, 3, {.padding = 3}}), OptionError);
  CHECK_THROWS_AS((Conv2d{1, 1, {3, 0}}), std::invalid_argument);
  CHECK_THROWS_AS((MaxPool2d{0}), std::invalid_argument);
  CHECK_THROWS_AS((AvgPool2d{2, {.stride = -1}}), OptionError);
  CHECK_THROWS_AS(Dropout{1.0}, OptionError);
  CHECK_THROWS_AS(Dropout{not_a_number}, OptionError);
  CHECK_THROWS_AS((LayerNorm{{.epsilon = 0}}), OptionError);
  CHECK_THROWS_AS((BatchNorm{{.momentum = 1.5}}), OptionError);
  CHECK_THROWS_AS((Sequential{Shape{3}, LeakyRelu{-1}}), OptionError);
}
