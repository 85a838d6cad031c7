// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstdint>
#include <type_traits>

#include <parade/core/hash.hpp>
#include <parade/engine/serial_gradient.hpp>
#include <parade/layers/conv2d.hpp>
#include <parade/layers/dense.hpp>
#include <parade/layers/dropout.hpp>
#include <parade/layers/elementwise.hpp>
#include <parade/layers/flatten.hpp>
#include <parade/layers/normalization.hpp>
#include <parade/layers/pooling.hpp>
#include <parade/layers/softmax.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/models/sequential.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace sequential_bits_test {

namespace {

using namespace parade;

template <class S>
auto network_of_everything() {
  return make_sequential<S>(Shape{1, 12, 12}, Conv2d{1, 3, 3, {.padding = 1}}, Relu{}, MaxPool2d{2}, Dropout{0.2}, Conv2d{3, 4, {3, 2}},
                            BatchNorm{}, Gelu{}, AvgPool2d{2}, Flatten{}, Dense{16, 9, {.initialization = Initialization::orthogonal}},
                            LayerNorm{}, Tanh{}, Dropout{0.3}, Dense{9, 8, {.initialization = Initialization::lecun}}, Silu{}, Dense{8, 7},
                            Softplus{}, Dense{7, 6}, Sigmoid{}, Dense{6, 5, {.initialization = Initialization::glorot}}, LeakyRelu{0.1},
                            BatchNorm{}, Dense{5, 4}, Softmax{}, Dense{4, 3});
}

template <class S>
Vector<S> start(const auto& model) {
  Vector<S> theta(model.parameters().size());
  model.initialize(theta, 5);
  const Vector<S> noise = training::random_vector<S>(theta.size(), 3);
  for (Index i = 0; i < theta.size(); ++i) theta[i] = std::fma(static_cast<S>(0.05), noise[i], theta[i]);
  return theta;
}

}  // namespace

TEST_CASE("a network of every layer has the same bits from every compiler and vector width", "[bits]") {
  const auto check = [](auto s, const char* expected_theta, const char* expected_gradient, const char* expected_trained) {
    using S = decltype(s);
    const auto model = network_of_everything<S>();
    using M = std::remove_const_t<decltype(model)>;
    Vector<S> theta = start<S>(model);
    Vector<Label> labels(50);
    for (Index i = 0; i < 50; ++i) labels[i] = static_cast<Label>(i % 3);
    const auto data = DenseData<S>(training::random_matrix<S>(144, 50, 1)).with_labels(labels);
    Vector<S> grad;
    const SerialGradient<M, SoftmaxCrossEntropy> engine(model, {});
    engine.sum(theta, data, training::first_samples(50), grad, {1, 6});
    CHECK(hash_text(theta_hash(theta)) == expected_theta);
    CHECK(hash_text(theta_hash(grad)) == expected_gradient);
    for (std::int64_t step = 7; step < 13; ++step) {  // and after a short training, statistics too
      engine.sum(theta, data, training::first_samples(50), grad, {1, step});
      for (const auto& block : model.parameters()) {
        const S by = block.role == Role::statistic ? S{-1} / 50 : S{-1} / 400;
        for (Index i = block.offset; i < block.offset + block.size(); ++i) theta[i] = std::fma(by, grad[i], theta[i]);
      }
    }
    CHECK(theta.allFinite());
    CHECK(hash_text(theta_hash(theta)) == expected_trained);
  };
  check(float{}, "e69ddfb2c142a0d2", "bc5c608c22d49cfe", "cbfefbce44e89158");
  check(double{}, "f7d18122a1231db9", "57b5d6a61b736fc9", "b8818e4f2eb176bc");
}

}  // namespace sequential_bits_test
