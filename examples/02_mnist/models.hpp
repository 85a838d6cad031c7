// SPDX-License-Identifier: MIT
// What the command line of the MNIST example and its models share. Each model is trained in a file of its own: so they compile beside each other, and the
// command line without them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <parade/data/dense_data.hpp>
#include <parade/data/mnist.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/train/options.hpp>
#include <parade/train/summary.hpp>

struct Options {
  std::optional<std::string> data, json;
  std::string model = "mlp", schedule = "cosine";
  std::vector<parade::Index> hidden = {128, 64};
  parade::L2 l2{.lambda = 1e-4};
  parade::Sgd sgd{.rate = 0.1, .momentum = 0.9};
  parade::FitOptions fit{.epochs = 10, .batch_size = 128, .seed = 1};
};

using Digits = parade::TrainTest<parade::DenseData<std::uint8_t>>;

struct Result {
  parade::Summary summary;
  parade::Evaluation test;
};

Result train_softmax(const Digits& digits, const Options& options);
Result train_mlp(const Digits& digits, const Options& options);
Result train_lenet(const Digits& digits, const Options& options);
