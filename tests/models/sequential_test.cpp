// SPDX-License-Identifier: MIT
#include <cstdint>
#include <string>
#include <vector>

#include <parade/engine/parallel_gradient.hpp>
#include <parade/engine/serial_gradient.hpp>
#include <parade/layers/conv2d.hpp>
#include <parade/layers/dense.hpp>
#include <parade/layers/elementwise.hpp>
#include <parade/layers/flatten.hpp>
#include <parade/layers/normalization.hpp>
#include <parade/layers/pooling.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/models/mlp.hpp>
#include <parade/models/sequential.hpp>

#include "support/catch.hpp"
#include "support/reference.hpp"
#include "support/training.hpp"

namespace sequential_test {

namespace {

using namespace parade;
using Cost = SoftmaxCrossEntropy;
using Catch::Matchers::ContainsSubstring;

/// All numbers of nested lists, the last index fastest.
void flatten(const nlohmann::json& list, std::vector<double>& numbers) {
  if (list.is_array())
    for (const auto& part : list) flatten(part, numbers);
  else
    numbers.push_back(list.get<double>());
}

/// One column for each element of the outer list.
Matrix<double> samples_of(const nlohmann::json& list) {
  std::vector<double> numbers;
  flatten(list, numbers);
  const auto n = static_cast<Index>(list.size());
  return Matrix<double>::Map(numbers.data(), static_cast<Index>(numbers.size()) / n, n);
}

/// A list with one output a row as the block (rows, cols).
Matrix<double> block_of(const nlohmann::json& list, const ParameterBlock& block) {
  const Matrix<double> matrix = samples_of(list).transpose();
  REQUIRE(matrix.rows() == block.rows);
  REQUIRE(matrix.cols() == block.cols);
  return matrix;
}

/// Scores, value and gradient of a network of networks.json. `shard_sizes`: with which the figures must come out.
template <class M>
void check_network(const std::string& name, const M& model, std::vector<Index> shard_sizes) {
  INFO(name);
  const auto file = reference::read("networks.json");
  const auto& figures = file.at("cases").at(name);
  const auto data =
      DenseData<double>(samples_of(figures.at("x"))).with_labels(Vector<Label>(reference::vector(figures.at("labels")).cast<Label>()));
  const Index n = data.size();
  Vector<double> theta(model.parameters().size()), expected = theta;
  model.initialize(theta, 1);
  std::size_t i = 0;
  for (const auto& block : model.parameters()) {
    if (block.role == Role::statistic) continue;
    const auto& parameter = figures.at("parameters").at(i++);
    slice<double>(VectorRef<double>(theta), block) = block_of(parameter.at("value"), block);
    slice<double>(VectorRef<double>(expected), block) = block_of(parameter.at("gradient"), block);
  }
  REQUIRE(i == figures.at("parameters").size());

  typename M::Prepared prepared;
  typename M::Workspace workspace;
  model.reserve(prepared);
  for (Index piece = 0; piece < model.num_preparations(); ++piece) model.prepare(theta, piece, prepared);
  const std::vector<Index> all = training::first_samples(n);
  Matrix<double> scores;
  if constexpr (TrainsDifferently<M>)
    scores = model.forward_training(prepared, data.values(), workspace, {1, 0, all, {}});
  else
    scores = model.forward(prepared, data.values(), workspace);
  CHECK(reference::relative_error(scores, samples_of(figures.at("scores"))) <= reference::tolerance);

  for (const Index shard_size : shard_sizes) {
    Vector<double> grad;
    const auto sum = SerialGradient<M, Cost>(model, {}, shard_size).sum(theta, data, all, grad);
    CHECK(reference::relative_error(sum.loss / sum.weight, figures.at("value").get<double>()) <= reference::tolerance);
    for (const auto& block : model.parameters()) {
      CAPTURE(block.name);
      if (block.role == Role::statistic) continue;
      // The bias in front of a batch normalization has no influence: its gradient is 0 up to the rounding of its terms.
      if (std::abs(expected.segment(block.offset, block.size()).maxCoeff()) < 1e-15) continue;
      CHECK(reference::relative_error(slice<double>(ConstVectorRef<double>(grad), block) / static_cast<double>(n),
                                      slice<double>(ConstVectorRef<double>(expected), block)) <= reference::tolerance);
    }
  }
}

template <class Activation>
void check_mlp(const std::string& name, Activation activation) {
  check_network(name, make_sequential<double>(Dense{6, 5}, activation, Dense{5, 4}, activation, Dense{4, 3}), {0, 1, 3});
}

}  // namespace

TEST_CASE("scores, loss and gradient of a Sequential with each activation are those of PyTorch") {
  check_mlp("mlp_relu", Relu{});
  check_mlp("mlp_tanh", Tanh{});
  check_mlp("mlp_sigmoid", Sigmoid{});
  check_mlp("mlp_gelu", Gelu{});
  check_mlp("mlp_silu", Silu{});
  check_mlp("mlp_leakyrelu", LeakyRelu{});
}

TEST_CASE("scores, loss and gradient of a convolutional network are those of PyTorch") {
  check_network("convolutional",
                make_sequential<double>(Shape{1, 10, 10}, Conv2d{1, 3, 3}, Relu{}, MaxPool2d{2}, Conv2d{3, 4, 3, {.padding = 1}}, Relu{},
                                        AvgPool2d{2}, Flatten{}, Dense{16, 5}),
                {0, 1, 3});
}

TEST_CASE("scores, loss and gradient of networks with normalization are those of PyTorch") {
  check_network("batch_norm", make_sequential<double>(Dense{6, 5}, BatchNorm{}, Relu{}, Dense{5, 3}), {0});
  check_network("layer_norm", make_sequential<double>(Dense{6, 5}, LayerNorm{}, Relu{}, Dense{5, 3}), {0, 1, 3});
}

TEST_CASE("a Sequential of Dense and Relu has the bits of an Mlp", "[bits]") {
  const Sequential network{Dense{20, 13}, Relu{}, Dense{13, 5}};
  const Mlp<float> mlp{20, 13, 5};
  using Network = std::remove_const_t<decltype(network)>;
  Vector<float> theta(network.parameters().size()), same(mlp.parameters().size());
  network.initialize(theta, 3);
  mlp.initialize(same, 3);
  REQUIRE(theta == same);
  const auto data = training::labelled_data<float>(20, 70, 5);
  const auto samples = training::first_samples(70);
  Vector<float> grad, expected;
  SerialGradient<Mlp<float>, Cost>(mlp, {}).sum(theta, data, samples, expected);
  SerialGradient<Network, Cost>(network, {}).sum(theta, data, samples, grad);
  CHECK(grad == expected);
  for (const int threads : {1, 3}) {
    ParallelGradient<Network, Cost> engine(network, {}, {.threads = threads});
    engine.sum(theta, data, samples, grad);
    CHECK(grad == expected);
  }
}

TEST_CASE("parameters of a Sequential are named by the layer's number in the list") {
  const Sequential network{Shape{1, 8, 8}, Conv2d{1, 2, 3}, Relu{}, MaxPool2d{2}, Flatten{}, Dense{18, 4}, BatchNorm{}, Dense{4, 2}};
  std::string names;
  for (const auto& block : network.parameters()) names += block.name + " ";
  CHECK(names ==
        "layer0.weight layer0.bias layer4.weight layer4.bias layer5.weight layer5.bias layer5.running_mean layer5.running_variance "
        "layer6.weight "
        "layer6.bias ");
  CHECK(network.num_inputs() == 64);
  CHECK(network.num_outputs() == 2);
  CHECK(network.parameters()["layer0.weight"].rows == 2);
  CHECK(network.parameters()["layer0.weight"].cols == 9);
}

TEST_CASE("a layer that does not fit is named, with what it wants and what it got") {
  CHECK_THROWS_WITH((Sequential{Dense{3, 4}, Relu{}, Dense{5, 1}}),
                    ContainsSubstring("layer 2 (Dense): it wants 5 features; got 4 features"));
  CHECK_THROWS_WITH((Sequential{Shape{3, 8, 8}, Conv2d{1, 6, 3}}),
                    ContainsSubstring("layer 0 (Conv2d): it wants 1 channel; got 3 × 8 × 8"));
  CHECK_THROWS_WITH((Sequential{Shape{1, 8, 8}, Conv2d{1, 6, 9}}), ContainsSubstring("layer 0 (Conv2d): its kernel, 9 × 9, is larger"));
  CHECK_THROWS_WITH((Sequential{Shape{64}, MaxPool2d{2}}),
                    ContainsSubstring("layer 0 (MaxPool2d): it wants channels × height × width; got 64 features"));
  CHECK_THROWS_WITH((Sequential{Shape{1, 2, 2}, Dense{4, 1}}), ContainsSubstring("put a Flatten before it"));
}

}  // namespace sequential_test
