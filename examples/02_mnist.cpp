// SPDX-License-Identifier: MIT
// Trains softmax regression, a multilayer perceptron or LeNet-5 on MNIST, or on synthetic digits, and reports in text and JSON.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <parade/core/error.hpp>
#include <parade/core/hash.hpp>
#include <parade/data/mnist.hpp>
#include <parade/data/synthetic_digits.hpp>
#include <parade/metrics/confusion_matrix.hpp>

#include "02_mnist/models.hpp"
#include "command_line.hpp"

using parade::Index;
using Json = nlohmann::ordered_json;

void add_options(CLI::App& app, Options& options) {
  app.option_defaults()->always_capture_default();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr Index many = 1'000'000'000;
  constexpr std::uint64_t all = std::numeric_limits<std::uint64_t>::max();
  const auto add = [&](const char* name, auto& value, const char* type, const char* help, CLI::Validator rule) {
    return app.add_option(name, value, help)->type_name(type)->transform(std::move(rule));
  };
  add("--data", options.data, "FOLDER", "folder with MNIST's four files, plain or .gz; else the one in MNIST_DIR, else synthetic digits",
      {});
  add("--model", options.model, "NAME", "softmax: linear; mlp: with hidden layers of ReLUs; lenet: convolutional",
      CLI::IsMember({"softmax", "mlp", "lenet"}));
  add("--hidden", options.hidden, "N,N,...", "neurons in each hidden layer of mlp", in<Index>(1, 65536))
      ->delimiter(',')
      ->allow_extra_args(false)
      ->default_str("128,64");
  add("--epochs", options.fit.epochs, "N", "passes over the training data", in<Index>(1, 100'000));
  add("--batch", options.fit.batch_size, "N", "samples a step, over all threads; no more than there are; of lenet 64", in<Index>(1, many));
  add("--rate", options.sgd.rate, "X", "learning rate of the first step; of lenet 0.05", in<double>(0, infinity));
  add("--schedule", options.schedule, "NAME", "of the rate; cosine: falls to 0 with the last step", CLI::IsMember({"constant", "cosine"}));
  add("--momentum", options.sgd.momentum, "X", "of SGD", in<double>(0, 1));
  add("--l2", options.l2.lambda, "X", "lambda of the L2 regularizer", in<double>(0, infinity));
  add("--threads", options.fit.threads, "N", "0: as many as the process may use", in<int>(0, 1024));
  add("--shard-size", options.fit.shard_size, "N", "samples a shard, 0: a rule that reads the batch size alone", in<Index>(0, many));
  add("--seed", options.fit.seed, "N", "of the starting weights and of the order of the samples", in<std::uint64_t>(0, all));
  add("--json", options.json, "FILE", "for the result; written when all is done", {});
}

struct Data {
  Digits digits;
  std::string name;
};

Data load(const std::optional<std::string>& option) {
  const char* variable = std::getenv("MNIST_DIR");
  if (!option && !(variable && *variable)) return {parade::synthetic_mnist(), "synthetic digits, drawn by parade"};
  const std::string folder = option ? *option : variable;
  try {
    return {parade::mnist(folder), folder};
  } catch (const parade::FileError& error) {
    throw std::runtime_error(std::string(option ? "--data: " : "MNIST_DIR: ") + error.what());
  }
}

Json to_json(const Options& options, const Data& data, const parade::Summary& summary, const parade::Evaluation& test) {
  const auto& s = summary.seconds;
  Json json{{"model", options.model}, {"parameters", summary.parameters}, {"data", data.name}, {"samples", summary.samples}};
  if (options.model == "mlp") json["hidden"] = options.hidden;
  json.update({{"threads", summary.threads}, {"threads_asked", summary.threads_asked}, {"batch", summary.batch_size}});
  json.update({{"shards", summary.shards}, {"shard_size", summary.shard_size}, {"epochs", summary.epochs()}, {"seed", summary.seed}});
  json.update({{"rate", options.sgd.rate}, {"schedule", options.schedule}, {"momentum", options.sgd.momentum}, {"l2", options.l2.lambda}});
  json.update({{"stop_reason", to_string(summary.stop_reason)}, {"train_loss", summary.epochs() > 0 ? Json(summary.loss()) : Json()}});
  json.update({{"test_loss", test.loss}, {"test_accuracy", test.accuracy}});
  json.update({{"seconds", s.wall}, {"samples_per_second", summary.samples_per_second()}});
  json["theta_hash"] = parade::hash_text(summary.theta_hash);
  json["timings"] = {{"gather", s.gather}, {"gradient", s.gradient}, {"reduce", s.reduce}, {"update", s.update}, {"waiting", s.waiting}};
  json["history"] = Json::array();
  for (const auto& epoch : summary.history)
    json["history"].push_back({{"train_loss", epoch.loss},
                               {"rate", epoch.rate},
                               {"seconds", epoch.seconds},
                               {"test_loss", epoch.validation->loss},
                               {"test_accuracy", epoch.validation->accuracy}});
  return json;
}

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Trains softmax regression, a multilayer perceptron or LeNet-5 on MNIST, or on synthetic digits."};
  try {
    add_options(app, options);
    app.parse(argc, argv);
    if (options.json) write("--json", *options.json, {});
    if (options.model == "lenet") {  // what it learns well with
      if (app.count("--rate") == 0) options.sgd.rate = 0.05;
      if (app.count("--batch") == 0) options.fit.batch_size = 64;
    }
    const Data data = load(options.data);
    const auto& [training, testing] = data.digits;
    std::cout << "data: " << data.name << " (" << training.size() << " training, " << testing.size() << " test)" << std::endl;
    const auto train = options.model == "softmax" ? train_softmax : options.model == "mlp" ? train_mlp : train_lenet;
    const auto [summary, test] = train(data.digits, options);
    std::cout << parade::ConfusionMatrix{test} << '\n'
              << summary.full() << "test        loss " << test.loss << ", accuracy " << test.accuracy << '\n';
    if (options.json)
      write("--json", *options.json, to_json(options, data, summary, test).dump(2, ' ', false, Json::error_handler_t::replace) + '\n');
    return summary.stop_reason == parade::StopReason::diverged ? 1 : 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;  // 0: --help
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return dynamic_cast<const parade::OptionError*>(&error) ? 2 : 1;
  }
}
