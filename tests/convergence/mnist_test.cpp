// SPDX-License-Identifier: MIT
// Does training reach the accuracies that it should? On real data from the folder that PARADE_DATA names, and on synthetic digits.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include <parade/parade.hpp>

#include "support/catch.hpp"

namespace {

using Digits = parade::TrainTest<parade::DenseData<std::uint8_t>>;

/// $PARADE_DATA/<name>, or nothing and a loud warning. A folder that is named but not there is an error.
std::optional<Digits> real_data(const std::string& name) {
  const char* folder = std::getenv("PARADE_DATA");
  if (!folder || !*folder) {
    WARN("NOT TESTED: PARADE_DATA is not set. It must name a folder with real data; in it, " << name << " holds the four files.");
    return {};
  }
  return parade::mnist(std::filesystem::path(folder) / name);
}

/// Test accuracy after the last epoch.
template <class M>
double accuracy(const M& model, const Digits& digits, parade::Index epochs, std::uint64_t seed) {
  parade::Trainer trainer{model, parade::SoftmaxCrossEntropy{}, parade::L2{.lambda = 1e-4}, parade::Sgd{.rate = 0.1, .momentum = 0.9},
                          parade::Cosine{}};
  const auto summary = trainer.fit(digits.train, {.epochs = epochs, .batch_size = 128, .seed = seed});
  CHECK(summary.stop_reason == parade::StopReason::completed);
  return trainer.accuracy(digits.test);
}

const parade::SoftmaxRegression<float> softmax{784, 10};
const parade::Mlp<float> mlp{784, 128, 64, 10};

}  // namespace

TEST_CASE("softmax regression reaches 92.0 % on MNIST in 10 epochs") {
  if (const auto digits = real_data("mnist")) CHECK(accuracy(softmax, *digits, 10, 1) >= 0.920);
}

TEST_CASE("the MLP 784-128-64-10 reaches 97.8 % on MNIST in 15 epochs from every seed") {
  const auto digits = real_data("mnist");
  if (!digits) return;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    CHECK(accuracy(mlp, *digits, 15, seed) >= 0.978);
  }
}

TEST_CASE("the MLP 784-128-64-10 reaches 87.5 % on Fashion-MNIST in 15 epochs") {
  if (const auto digits = real_data("fashion-mnist")) CHECK(accuracy(mlp, *digits, 15, 1) >= 0.875);
}

TEST_CASE("both models reach their accuracy on synthetic digits") {
  const auto digits = parade::synthetic_mnist();
  CHECK(accuracy(softmax, digits, 10, 1) >= 0.90);
  CHECK(accuracy(mlp, digits, 10, 1) >= 0.97);
}
