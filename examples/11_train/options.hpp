// SPDX-License-Identifier: MIT
// What the command line of the trainer asks for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>

struct Options {
  std::string data, format = "libsvm", model = "linear", loss = "logistic", l2 = "0", optimizer = "sgd", schedule = "cosine";
  std::optional<std::string> test, label, target, save, json;
  std::vector<std::string> leave_out;
  bool no_header = false, standardize = false, tf_idf = false, unit_norm = false, intercept = false, dense = false, progressive = false,
       sublinear = false, skip_malformed = false;
  std::optional<double> rate, momentum, power, delta, quantile, epsilon;
  double l1 = 0;
  std::optional<parade::Index> factors;
  std::vector<parade::Index> hidden;
  parade::Index epochs = 10;
  std::optional<parade::Index> batch, memory;
  int hash_bits = 0, threads = 0;
  std::uint64_t seed = 1;

  bool on_labels() const {
    return loss == "logistic" || loss == "hinge" || loss == "squared-hinge" || loss == "modified-huber" || loss == "softmax";
  }
};

struct PredictOptions {
  std::string model, data, output;
  bool scores = false, probabilities = false;
  int threads = 0;
};

struct CacheRequest {
  std::string data, output, format = "libsvm";
  std::optional<std::string> label, target, like;
  std::vector<std::string> leave_out;
  bool targets = false, no_header = false, skip_malformed = false;
  std::optional<int> index_base;
  int hash_bits = 0, threads = 0;
};

[[noreturn]] inline void refuse(const std::string& text) { throw parade::OptionError(text); }

/// Each returns the exit status.
int train(const Options& options);
int predict(const PredictOptions& options);
int cache(const CacheRequest& request);
