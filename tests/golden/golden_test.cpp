// SPDX-License-Identifier: MIT
// Tier 2 of the promise: the bits of θ after short trainings with all that is built in, which every compiler, optimisation level, vector width
// and processor with fused multiply-add must meet; parts_test.cpp has the parts that are not here. Where a change of the mathematics moves them on
// purpose, `test_golden "[table]"` prints the new table.
#include <array>
#include <cstdint>
#include <functional>
#include <iostream>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <parade/parade.hpp>

#include "support/catch.hpp"

namespace {

using namespace parade;

constexpr Index n = 97, d = 13;

/// Multiples of 1/64 in [−1, 1): exact in float and in double.
template <class S>
Matrix<S> grid(Index rows, Index cols, std::uint64_t stream) {
  const Random random(23, Purpose::user, stream);
  Matrix<S> matrix(rows, cols);
  for (Index i = 0; i < matrix.size(); ++i)
    matrix.data()[i] = static_cast<S>(static_cast<int>(random.below(static_cast<std::uint64_t>(i), 128)) - 64) / 64;
  return matrix;
}

template <class S>
DenseData<S> labelled(Index classes) {
  const Random random(23, Purpose::user, 3);
  Vector<Label> labels(n);
  for (Index i = 0; i < n; ++i)
    labels[i] = static_cast<Label>(random.below(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(classes)));
  return DenseData<S>(grid<S>(d, n, 1)).with_labels(labels);
}

template <class S>
DenseData<S> with_targets(Index k) {
  return DenseData<S>(grid<S>(d, n, 1)).with_targets(grid<double>(k, n, 2));
}

/// Features of 8 bits, and weights whose sums are no powers of two.
template <class S>
DenseData<std::uint8_t> weighted_bytes(Index classes) {
  const Random random(23, Purpose::user, 4);
  Matrix<std::uint8_t> bytes(d, n);
  for (Index i = 0; i < bytes.size(); ++i) bytes.data()[i] = static_cast<std::uint8_t>(random.below(static_cast<std::uint64_t>(i), 256));
  Vector<double> weights(n);
  for (Index i = 0; i < n; ++i) weights[i] = 0.25 * static_cast<double>(random.below(static_cast<std::uint64_t>(10000 + i), 9));
  return DenseData<std::uint8_t>(bytes).with_labels(labelled<S>(classes).labels()).with_weights(weights);
}

template <class D, class... Parts>
std::uint64_t train(const D& data, Index shard_size, Parts... parts) {
  Trainer trainer{parts...};
  const auto summary = trainer.fit(data, {.epochs = 5, .batch_size = 24, .seed = 7, .threads = 3, .shard_size = shard_size});
  REQUIRE(summary.stop_reason == StopReason::completed);
  return summary.theta_hash;
}

using Trainings = std::map<std::string, std::function<std::uint64_t()>>;

template <class S>
Trainings trainings() {
  const Sgd plain{.rate = 0.1}, momentum{.rate = 0.05, .momentum = 0.9}, dampened{.rate = 0.1, .momentum = 0.8, .dampening = 0.3},
      nesterov{.rate = 0.05, .momentum = 0.9, .nesterov = true};
  const Adam adam{.rate = 0.01};
  const L2 ridge{.lambda = 1e-2};
  const L1 lasso{.lambda = 1e-2};
  return {
      {"softmax, L2, momentum", [=] { return train(labelled<S>(4), 5, Linear<S>(d, 4), SoftmaxCrossEntropy{}, ridge, momentum); }},
      {"softmax of bytes, weights, plain SGD",
       [=] { return train(weighted_bytes<S>(4), 0, Linear<S>(d, 4), SoftmaxCrossEntropy{}, NoRegularizer{}, plain); }},
      {"logistic, L1, plain SGD", [=] { return train(labelled<S>(2), 5, Linear<S>(d, 1), Logistic{}, lasso, plain); }},
      {"hinge, none, Nesterov", [=] { return train(labelled<S>(2), 5, Linear<S>(d, 1), Hinge{}, NoRegularizer{}, nesterov); }},
      {"squared error, L2, Adam", [=] { return train(with_targets<S>(2), 7, Linear<S>(d, 2), SquaredError{}, ridge, adam); }},
      {"squared error, L1, Adam, cosine",
       [=] { return train(with_targets<S>(2), 7, Linear<S>(d, 2), SquaredError{}, lasso, adam, Cosine{}); }},
      {"relu 13-19-9-4, L2, momentum",
       [=] {
         return train(labelled<S>(4), 5, Mlp<S>{d, 19, 9, 4}, SoftmaxCrossEntropy{}, ridge, momentum);
       }},
      {"tanh 13-19-4, L1, Adam",
       [=] {
         return train(labelled<S>(4), 0, Mlp<S>({d, 19, 4}, Activation::tanh), SoftmaxCrossEntropy{}, lasso, adam);
       }},
      {"sigmoid 13-9-2, none, dampened, warm-up, box",
       [=] {
         return train(with_targets<S>(2), 7, Mlp<S>({d, 9, 2}, Activation::sigmoid), SquaredError{}, NoRegularizer{}, dampened,
                      warmup(10, 0.1, Cosine{}), Box{.lower = -0.5, .upper = 0.5});
       }},
      {"tanh 13-9-1, L2, plain SGD, steps, box penalty",
       [=] {
         return train(labelled<S>(2), 7, Mlp<S>({d, 9, 1}, Activation::tanh), Logistic{}, ridge, plain,
                      StepDecay{.steps = 8, .factor = 0.5}, BoxPenalty{.beta = 0.5, .lower = -0.25, .upper = 0.25});
       }},
      {"relu 13-70-40-5, L2, Adam",
       [=] {
         return train(labelled<S>(5), 0, Mlp<S>{d, 70, 40, 5}, SoftmaxCrossEntropy{}, ridge, adam);
       }},
  };
}

/// float, double.
const std::map<std::string, std::array<std::uint64_t, 2>> golden{
    {"hinge, none, Nesterov", {0xad5a31ae94796efb, 0xd76b744bf4329d84}},
    {"logistic, L1, plain SGD", {0xc055e77aaa455a77, 0x8021a69e23cf04c6}},
    {"relu 13-19-9-4, L2, momentum", {0x61420d0021a44cac, 0x2310b720247bbda1}},
    {"relu 13-70-40-5, L2, Adam", {0xda45c8810b2440a6, 0xa77c8faab4fe9ddb}},
    {"sigmoid 13-9-2, none, dampened, warm-up, box", {0x1a3b34ae38135d29, 0xbb429f3c037bcb5e}},
    {"softmax of bytes, weights, plain SGD", {0x69b9277dcca1fa67, 0x07d3afabd0467cd0}},
    {"softmax, L2, momentum", {0x11f4f2e82a994f81, 0x5d74f23ff050aa49}},
    {"squared error, L1, Adam, cosine", {0x770231f4739d2b70, 0x8542be5a2c1af776}},
    {"squared error, L2, Adam", {0x5db0723adbcb3d85, 0x0b2d4fab005132bd}},
    {"tanh 13-19-4, L1, Adam", {0xea58d1179ad6162a, 0x5a77abe1d811a4eb}},
    {"tanh 13-9-1, L2, plain SGD, steps, box penalty", {0xbe54ae68f9a10f0d, 0x25e1672ec4376b6c}},
};

}  // namespace

TEST_CASE("the bits after short trainings are the golden ones") {
  const Trainings in_float = trainings<float>(), in_double = trainings<double>();
  CHECK(golden.size() == in_float.size());
  for (const auto& [name, hashes] : golden) {
    CAPTURE(name, kernels::instruction_set());
    REQUIRE(in_float.contains(name));
    CHECK(hash_text(in_float.at(name)()) == hash_text(hashes[0]));
    CHECK(hash_text(in_double.at(name)()) == hash_text(hashes[1]));
  }
}

/// These nets are too small for a tape by themselves.
TEMPLATE_TEST_CASE("the bits of a gradient from a tape are those without", "", float, double) {
  using S = TestType;
  const auto data = labelled<S>(5);
  const Mlp<S> model{d, 70, 40, 5};
  Vector<S> theta(model.parameters().size()), expected, grad;
  model.initialize(theta, 1);
  std::vector<Index> samples(n);
  std::iota(samples.begin(), samples.end(), Index{0});
  SerialGradient<Mlp<S>, SoftmaxCrossEntropy>(model, {}).sum(theta, data, samples, expected);
  for (const int threads : {1, 2})
    for (const UseTape tape : {UseTape::always, UseTape::never}) {
      CAPTURE(threads, kernels::instruction_set());
      ParallelGradient<Mlp<S>, SoftmaxCrossEntropy> engine(model, {}, {.threads = threads, .tape = tape});
      engine.sum(theta, data, samples, grad);
      CHECK(theta_hash(grad) == theta_hash(expected));
    }
}

TEST_CASE("the synthetic digits are the golden ones") {
  const auto digits = synthetic_digits(20, 1);
  std::uint64_t sum = 0;
  for (Index i = 0; i < digits.values().size(); ++i) sum = sum * 31 + digits.values().data()[i];
  CHECK(hash_text(sum) == "d1d324541c9f76ad");
}

TEST_CASE("print the table of golden hashes", "[.][table]") {
  const Trainings in_double = trainings<double>();
  for (const auto& [name, hash] : trainings<float>())
    std::cout << "    {\"" << name << "\", {0x" << hash_text(hash()) << ", 0x" << hash_text(in_double.at(name)()) << "}},\n";
}
