// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include <parade/models/linear.hpp>
#include <parade/models/mlp.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace models_test {

namespace {

using Catch::Matchers::ContainsSubstring;
using parade::Activation, parade::ConstVectorRef, parade::Index, parade::Initialization, parade::Linear, parade::Matrix, parade::Mlp,
    parade::Vector;

template <class M, class S = typename M::Scalar>
typename M::Prepared prepared_of(const M& model, const Vector<S>& theta) {
  typename M::Prepared prepared;
  model.reserve(prepared);
  for (Index piece = 0; piece < model.num_preparations(); ++piece) model.prepare(theta, piece, prepared);
  return prepared;
}

double activated(Activation activation, double x) {
  switch (activation) {
    case Activation::relu:
      return x > 0 ? x : 0;
    case Activation::tanh:
      return std::tanh(x);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
  }
  return 0;
}

/// The formula, in double, with matrices cut from θ by name.
template <class S>
Matrix<double> plain_scores(const Mlp<S>& model, const Vector<S>& theta, const Matrix<S>& x) {
  Matrix<double> a = x.template cast<double>();
  const auto layers = model.parameters().blocks().size() / 2;
  for (std::size_t l = 0; l < layers; ++l) {
    const auto name = "layer" + std::to_string(l);
    const Matrix<double> w = parade::slice<S>(ConstVectorRef<S>(theta), model.parameters()[name + ".weight"]).template cast<double>();
    const Matrix<double> bias = parade::slice<S>(ConstVectorRef<S>(theta), model.parameters()[name + ".bias"]).template cast<double>();
    a = (w * a).colwise() + bias.col(0);
    if (l + 1 < layers) a = a.unaryExpr([&](double z) { return activated(model.activation(), z); });
  }
  return a;
}

}  // namespace

TEMPLATE_TEST_CASE("the scores of an Mlp are its formula, for any sizes", "", float, double) {
  using S = TestType;
  for (const auto activation : {Activation::relu, Activation::tanh, Activation::sigmoid})
    for (const std::vector<Index>& sizes :
         {std::vector<Index>{1, 1}, {3, 2}, {1, 1, 1}, {17, 5, 3}, {7, 33, 16, 2}, {50, 49, 48, 47, 10}}) {
      const Mlp<S> model(sizes, activation);
      Vector<S> theta = static_cast<S>(0.3) * training::random_vector<S>(model.parameters().size(), 6);
      const auto prepared = prepared_of(model, theta);
      typename Mlp<S>::Workspace workspace;  // nothing is reserved
      for (const Index m : {1, 2, 8, 31, 48, 49}) {
        CAPTURE(sizes, m, static_cast<int>(activation));
        const Matrix<S> x = training::random_matrix<S>(sizes.front(), m, 7);
        const Matrix<double> expected = plain_scores(model, theta, x);
        const Matrix<S> scores = model.forward(prepared, x, workspace);
        REQUIRE(scores.rows() == sizes.back());
        REQUIRE(scores.cols() == m);
        // Each layer adds terms of at most its width, none of them above its width in size.
        const double k = 4 * 50 * static_cast<double>(sizes.size()), eps = static_cast<double>(std::numeric_limits<S>::epsilon());
        CHECK((scores.template cast<double>() - expected).cwiseAbs().maxCoeff() <= k * eps * (1 + expected.cwiseAbs().maxCoeff()));
      }
    }
}

TEMPLATE_TEST_CASE("add_gradient adds what gradient overwrites", "", float, double) {
  using S = TestType;
  const auto check = [](const auto& model) {
    const Index size = model.parameters().size(), m = 13;
    const Vector<S> theta = training::random_vector<S>(size, 1), old = training::random_vector<S>(size, 2);
    const auto prepared = prepared_of(model, theta);
    typename std::remove_cvref_t<decltype(model)>::Workspace workspace;
    const Matrix<S> x = training::random_matrix<S>(model.num_inputs(), m, 3),
                    dscores = training::random_matrix<S>(model.num_outputs(), m, 4);
    model.forward(prepared, x, workspace);
    Vector<S> fresh = Vector<S>::Constant(size, std::numeric_limits<S>::quiet_NaN()), zero = Vector<S>::Zero(size), sum = old;
    model.gradient(prepared, x, dscores, workspace, fresh);
    model.forward(prepared, x, workspace);
    model.add_gradient(prepared, x, dscores, workspace, zero);
    model.forward(prepared, x, workspace);
    model.add_gradient(prepared, x, dscores, workspace, sum);
    CHECK(fresh == zero);
    CHECK(fresh.cwiseAbs().maxCoeff() > 0);
    const S tolerance = S{40} * std::numeric_limits<S>::epsilon() * (1 + fresh.cwiseAbs().maxCoeff());
    CHECK((sum - old - fresh).cwiseAbs().maxCoeff() <= tolerance);
  };
  check(Linear<S>(5, 3));
  check(Mlp<S>{5, 9, 7, 3});
  check(Mlp<S>({5, 9, 3}, Activation::tanh));
}

TEST_CASE("the parameters of a model have names, shapes and roles") {
  const Mlp<float> mlp{4, 3, 2};
  std::vector<std::string> names;
  for (const auto& block : mlp.parameters()) names.push_back(block.name);
  CHECK(names == std::vector<std::string>{"layer0.weight", "layer0.bias", "layer1.weight", "layer1.bias"});
  CHECK(mlp.parameters().size() == 4 * 3 + 3 + 3 * 2 + 2);
  CHECK(mlp.parameters()["layer0.weight"].rows == 3);
  CHECK(mlp.parameters()["layer0.weight"].cols == 4);
  CHECK(mlp.parameters()["layer1.bias"].role == parade::Role::bias);
  const Linear<float> linear(4, 3);
  CHECK(linear.parameters().size() == 15);
  CHECK(linear.parameters()["bias"].role == parade::Role::bias);
  CHECK(linear.parameters()["weight"].role == parade::Role::weight);
}

TEST_CASE("the starting weights are a function of the seed alone, in the range of their rule, and biases are 0") {
  const Mlp<double> relu({20, 30, 5}), tanh({20, 30, 5}, Activation::tanh), zero({20, 30, 5}, Activation::relu, Initialization::zero);
  const auto start = [](const auto& model, std::uint64_t seed) {
    Vector<double> theta(model.parameters().size());
    model.initialize(theta, seed);
    return theta;
  };
  CHECK(start(relu, 1) == start(relu, 1));
  CHECK(start(relu, 1) != start(relu, 2));
  CHECK(start(zero, 1).isZero(0));
  CHECK(start(Linear<double>(20, 5), 1).isZero(0));
  for (const auto& [model, he] : {std::pair{&relu, true}, std::pair{&tanh, false}}) {
    const Vector<double> theta = start(*model, 3);
    for (const auto& block : model->parameters()) {
      const auto values = parade::slice<double>(ConstVectorRef<double>(theta), block);
      if (block.role == parade::Role::bias) {
        CHECK(values.isZero(0));
        continue;
      }
      const double r = std::sqrt(6.0 / static_cast<double>(he ? block.cols : block.rows + block.cols));
      CHECK(values.cwiseAbs().maxCoeff() <= r);
      CHECK(values.maxCoeff() > 0.9 * r);
      CHECK(values.minCoeff() < -0.9 * r);
    }
  }
  const Vector<double> theta = start(relu, 3);
  CHECK(theta[0] != theta[relu.parameters()["layer1.weight"].offset]);  // each layer has numbers of its own
}

TEST_CASE("a model of no inputs or outputs, or with fewer than two sizes, is an error that says so") {
  CHECK_THROWS_WITH(Linear<float>(0, 3), ContainsSubstring("at least 1 input") && ContainsSubstring("got 0 and 3"));
  CHECK_THROWS_AS(Linear<float>(3, -1), std::invalid_argument);
  CHECK_THROWS_WITH(Mlp<float>(std::vector<Index>{5}), ContainsSubstring("at least 2 sizes") && ContainsSubstring("got 1"));
  CHECK_THROWS_AS(Mlp<float>(std::vector<Index>{}), std::invalid_argument);
  CHECK_THROWS_WITH((Mlp<float>{5, 0, 3}), ContainsSubstring("size 1 is 0"));
}

}  // namespace models_test
