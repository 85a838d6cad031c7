// SPDX-License-Identifier: MIT
#include <string>

#include <parade/engine/parallel_gradient.hpp>
#include <parade/engine/serial_gradient.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/models/mlp.hpp>

#include "support/catch.hpp"
#include "support/reference.hpp"
#include "support/training.hpp"

namespace networks_test {

namespace {

using parade::Index, parade::Label, parade::Matrix, parade::Mlp, parade::Vector;
using Loss = parade::SoftmaxCrossEntropy;

/// A network of networks.json: θ and ∂F/∂θ in parade's order, and what PyTorch found.
struct Case {
  parade::DenseData<double> data;
  Mlp<double> model;
  Vector<double> theta, gradient;  // of the mean
  Matrix<double> scores;
  double value;

  Case(const nlohmann::json& figures, parade::Activation activation)
      : data(parade::DenseData<double>(reference::columns(figures.at("x")))
                 .with_labels(Vector<Label>(reference::vector(figures.at("labels")).cast<Label>()))),
        model({6, 5, 4, 3}, activation),
        theta(model.parameters().size()),
        gradient(theta.size()),
        scores(reference::columns(figures.at("scores"))),
        value(figures.at("value").get<double>()) {
    // In the file: weight (outputs, inputs) as rows, bias, weight, bias, …; reference::columns makes columns of the rows.
    std::size_t i = 0;
    for (const auto& block : model.parameters()) {
      const auto& parameter = figures.at("parameters").at(i++);
      for (const auto& [name, to] : {std::pair{"value", &theta}, std::pair{"gradient", &gradient}}) {
        const auto& numbers = parameter.at(name);
        const Matrix<double> matrix =
            numbers.at(0).is_array() ? Matrix<double>(reference::columns(numbers).transpose()) : Matrix<double>(reference::vector(numbers));
        REQUIRE(matrix.rows() == block.rows);
        REQUIRE(matrix.cols() == block.cols);
        parade::slice<double>(parade::VectorRef<double>(*to), block) = matrix;
      }
    }
    REQUIRE(i == figures.at("parameters").size());
  }
};

void check_network(const std::string& name, parade::Activation activation) {
  INFO(name);
  const auto file = reference::read("networks.json");
  const Case network(file.at("cases").at(name), activation);
  const auto samples = training::first_samples(network.data.size());
  const auto b = static_cast<double>(samples.size());

  Mlp<double>::Prepared prepared;
  Mlp<double>::Workspace workspace;
  network.model.reserve(prepared);
  for (Index piece = 0; piece < network.model.num_preparations(); ++piece) network.model.prepare(network.theta, piece, prepared);
  const Matrix<double> scores = network.model.forward(prepared, network.data.values(), workspace);
  CHECK(reference::relative_error(scores, network.scores) <= reference::tolerance);

  const auto check = [&](const parade::BatchSum& sum, const Vector<double>& grad) {
    CHECK(reference::relative_error(sum.loss / sum.weight, network.value) <= reference::tolerance);
    for (const auto& block : network.model.parameters()) {
      CAPTURE(block.name);
      CHECK(reference::relative_error(parade::slice<double>(parade::ConstVectorRef<double>(grad), block) / b,
                                      parade::slice<double>(parade::ConstVectorRef<double>(network.gradient), block)) <=
            reference::tolerance);
    }
  };
  Vector<double> grad;
  for (const Index shard_size : {0, 1, 3}) {
    const auto sum =
        parade::SerialGradient<Mlp<double>, Loss>(network.model, {}, shard_size).sum(network.theta, network.data, samples, grad);
    check(sum, grad);
    for (const int threads : {1, 3}) {
      parade::ParallelGradient<Mlp<double>, Loss> engine(network.model, {}, {.threads = threads, .shard_size = shard_size});
      check(engine.sum(network.theta, network.data, samples, grad), grad);
    }
  }
}

}  // namespace

TEST_CASE("scores, loss and gradient of an Mlp with ReLU are those of PyTorch") { check_network("mlp_relu", parade::Activation::relu); }
TEST_CASE("scores, loss and gradient of an Mlp with tanh are those of PyTorch") { check_network("mlp_tanh", parade::Activation::tanh); }
TEST_CASE("scores, loss and gradient of an Mlp with sigmoid are those of PyTorch") {
  check_network("mlp_sigmoid", parade::Activation::sigmoid);
}

}  // namespace networks_test
