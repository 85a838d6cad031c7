// SPDX-License-Identifier: MIT
// Trains linear models, factorization machines and neural networks on LIBSVM, CSV and NPY files and caches from the command line, and predicts with them.
#include <cstdint>
#include <exception>
#include <iostream>
#include <limits>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>

#include "11_train/options.hpp"
#include "command_line.hpp"

using parade::Index;

namespace {

void add_options(CLI::App& app, Options& options) {
  app.option_defaults()->always_capture_default();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr Index many = 1'000'000'000;
  constexpr std::uint64_t all = std::numeric_limits<std::uint64_t>::max();
  const auto add = [&](const char* name, auto& value, const char* type, const char* help, CLI::Validator rule) {
    return app.add_option(name, value, help)->type_name(type)->transform(std::move(rule));
  };
  const auto group = [&](const char* name, std::initializer_list<CLI::Option*> members) {
    for (CLI::Option* option : members) option->group(name);
  };
  group(
      "Data",
      {add("--data", options.data, "FILE", "what to train on, plain or .gz", {})->required(),
       add("--test", options.test, "FILE", "what to test on: the same format, columns and features", {}),
       add("--format", options.format, "NAME",
           "libsvm, csv (or tab, or semicolon), npy (a matrix, one row a sample) or cache (sparse rows of float, by parade::make_cache)",
           CLI::IsMember({"libsvm", "csv", "npy", "cache"})),
       add("--memory", options.memory, "MB",
           "the rows of --data in memory at a time, for data that is larger than it. What is no cache becomes one first, in a temporary "
           "folder beside it, of which nothing is left when training begins. (--test is read as a whole.)",
           in<Index>(1, 1'000'000)),
       add("--label", options.label, "COLUMN", "csv, npy: the column of the labels, by name or number; 0 is the first, -1 the last", {}),
       add("--target", options.target, "COLUMN", "the same, for a loss on real targets", {}),
       add("--leave-out", options.leave_out, "COLUMN,...", "csv, npy: columns that are not used", {})->delimiter(',')->default_str(""),
       app.add_flag("--no-header", options.no_header, "csv: the first line is data; the columns are column_1, column_2, ..."),
       app.add_flag("--skip-malformed", options.skip_malformed,
                    "libsvm, csv: leave out rows of --data and --test that do not hold what the format says, and count them"),
       app.add_flag("--standardize", options.standardize,
                    "csv, npy: each column of numbers to mean 0 and variance 1; missing ones become the mean"),
       app.add_flag("--tfidf", options.tf_idf,
                    "counts of words to TF-IDF: a word counts less the more rows of the training data have it; then each row to length 1"),
       app.add_flag("--sublinear", options.sublinear, "with --tfidf: 1 + log of a count takes its place"),
       app.add_flag("--unit-norm", options.unit_norm, "each row to length 1"),
       add("--hash-bits", options.hash_bits, "N",
           "the hashing trick: libsvm features, or csv's columns of text, share 2^N features; 0: off", in<int>(0, 28))});
  group("Model",
        {add("--model", options.model, "NAME",
             "linear; fm, a factorization machine: the interactions of all pairs of features; mlp, a neural network of ReLUs",
             CLI::IsMember({"linear", "fm", "mlp"})),
         add("--factors", options.factors, "K", "of fm: the length of each feature's vector, 8 if not given", in<Index>(1, 10'000)),
         add("--hidden", options.hidden, "N,...", "of mlp: the sizes of the hidden layers, 128,64 if not given", in<Index>(1, 1'000'000))
             ->delimiter(',')
             ->default_str(""),
         app.add_flag("--intercept", options.intercept, "of linear: fit a constant term; the others have one")});
  group("Objective: mean loss + l2/2 |w|^2 + l1 |w|, not of the intercept",
        {add("--loss", options.loss, "NAME",
             "on labels: logistic, hinge, squared-hinge, modified-huber (one against the rest if there are more than two), softmax; on "
             "targets: squared, huber, absolute, quantile, poisson (predicts exp(score)), epsilon-insensitive, squared-epsilon-insensitive",
             CLI::IsMember({"logistic", "hinge", "squared-hinge", "modified-huber", "softmax", "squared", "huber", "absolute", "quantile",
                            "poisson", "epsilon-insensitive", "squared-epsilon-insensitive"})),
         add("--delta", options.delta, "X", "of huber, 1 if not given", in<double>(0, infinity)),
         add("--quantile", options.quantile, "X", "of quantile, 0.5 if not given", in<double>(0, 1)),
         add("--epsilon", options.epsilon, "X", "of the epsilon-insensitive ones, 0.1 if not given", in<double>(0, infinity)),
         add("--l2", options.l2, "X", "lambda, or 1/n: what LIBLINEAR's C = 1 is",
             CLI::Validator([](std::string& text) { return text == "1/n" ? std::string{} : in<double>(0, infinity)(text); }, "")),
         add("--l1", options.l1, "X", "lambda. (ftrl takes --l1 and --l2 as its own, on the scale of a sum of gradients)",
             in<double>(0, infinity))});
  group(
      "Training",
      {add("--optimizer", options.optimizer, "NAME", "sgd, adagrad, ftrl, lazy_adam; with --dense also adam",
           CLI::IsMember({"sgd", "adagrad", "ftrl", "lazy_adam", "adam"})),
       add("--rate", options.rate, "X", "learning rate of the first step; 0.1, for adam and lazy_adam 0.001", in<double>(0, infinity)),
       add("--momentum", options.momentum, "X", "of sgd; with --l1 only with --dense", in<double>(0, 1)),
       add("--schedule", options.schedule, "NAME",
           "rate at step t: constant; inverse: rate / (1 + 1.4 rate l2 t); inverse-scaling: rate / (t+1)^power; linear and cosine fall to "
           "0 with the last step",
           CLI::IsMember({"constant", "inverse", "inverse-scaling", "linear", "cosine"})),
       add("--power", options.power, "X", "of inverse-scaling, 0.5 if not given", in<double>(0, infinity)),
       add("--epochs", options.epochs, "N", "passes over the data", in<Index>(1, 100'000)),
       add("--batch", options.batch, "N", "rows a step, over all threads; 64, or all if there are fewer", in<Index>(1, many)),
       app.add_flag("--dense", options.dense, "hold the data as a full matrix: for adam, momentum with --l1, and for few features"),
       add("--threads", options.threads, "N", "0: as many as the process may use. They do not change the result", in<int>(0, 1024)),
       add("--seed", options.seed, "N", "of the order of the rows", in<std::uint64_t>(0, all))});
  group("Results", {app.add_flag("--progressive", options.progressive,
                                 "print the progressive loss, that of each batch before its step, when 1, 2, 4, 8, ... rows are seen"),
                    add("--save", options.save, "MODEL", "file for the model (.npz), for 'train predict'", {}),
                    add("--json", options.json, "FILE", "for the result; written when all is done", {})});
  app.footer(
      "To predict:\n  train predict --model MODEL --data FILE --output FILE       (train predict --help)\n\n"
      "To make a cache, once for many trainings:\n  train cache --data FILE --output CACHE                      (train cache --help)\n\n"
      "Examples:\n  train --data a9a --test a9a.t --l2 1/n --rate 1\n"
      "  train --data adult.csv --format csv --label income --standardize --intercept --save adult.npz\n"
      "  train --data houses.csv --format csv --target price --loss squared --standardize --intercept\n\n"
      "The exit status is 0 if all went well, 1 for data that cannot be used or a run that diverged, 2 for a bad command line.");
}

void add_options(CLI::App& app, CacheRequest& request) {
  app.option_defaults()->always_capture_default();
  app.add_option("--data", request.data, "the file, plain or .gz")->type_name("FILE")->required();
  app.add_option("--output", request.output, "the cache; what was there before is replaced")->type_name("CACHE")->required();
  app.add_option("--format", request.format, "libsvm or csv (or tab, or semicolon)")
      ->type_name("NAME")
      ->check(CLI::IsMember({"libsvm", "csv"}));
  app.add_flag("--real", request.targets, "libsvm: the first number of a line is a real target, not a label");
  app.add_option("--index-base", request.index_base,
                 "libsvm: the number of the first feature, 0 or 1; if not given, 0 if the file has a feature 0, else 1. Caches of the "
                 "parts of one set must have the same; and given, it saves a file with a feature 0 from being read twice")
      ->type_name("N")
      ->transform(in<int>(0, 1));
  app.add_option("--label", request.label, "csv: the column of the labels, by name or number; 0 is the first, -1 the last")
      ->type_name("COLUMN");
  app.add_option("--target", request.target, "the same, for real targets")->type_name("COLUMN");
  app.add_option(
         "--like", request.like,
         "csv: the training file, for a cache to test on: its columns and texts decide the features; other texts are missing, unless "
         "they are hashed. Columns that are not left out must be the same, and unless they are hashed in the same order. What the "
         "training file was made a cache with, --leave-out, --hash-bits and so on, must be given again")
      ->type_name("FILE");
  app.add_option("--leave-out", request.leave_out, "csv: columns that are not used")
      ->type_name("COLUMN,...")
      ->delimiter(',')
      ->default_str("");
  app.add_flag("--no-header", request.no_header, "csv: the first line is data; the columns are column_1, column_2, ...");
  app.add_flag("--skip-malformed", request.skip_malformed, "leave out rows that do not hold what the format says, and count them");
  app.add_option("--hash-bits", request.hash_bits, "csv: columns of text share 2^N features; 0: one for each text")
      ->type_name("N")
      ->transform(in<int>(0, 28));
  app.add_option("--threads", request.threads, "0: as many as the process may use")->type_name("N")->transform(in<int>(0, 1024));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  const bool predicts = command == "predict", makes_cache = command == "cache";
  CLI::App app{predicts ? "Predicts with a model that 'train' has saved: a line for each row, its label or number."
               : makes_cache
                   ? "Makes a cache of a LIBSVM or CSV file, whatever its size: sparse rows of float, which 'train --format cache' reads "
                     "at the speed of the disk, with --memory part by part. A cache of test data must have the features of the training "
                     "cache: of a CSV file make it with --like."
                   : "Trains linear models, factorization machines and neural networks on LIBSVM, CSV and NPY files and caches by "
                     "stochastic gradient descent.",
               predicts      ? "train predict"
               : makes_cache ? "train cache"
                             : "train"};
  try {
    if (makes_cache) {
      CacheRequest request;
      add_options(app, request);
      app.parse(argc - 1, argv + 1);
      return cache(request);
    }
    if (predicts) {
      PredictOptions options;
      app.option_defaults()->always_capture_default();
      app.add_option("--model", options.model, "what 'train --save' wrote")->type_name("MODEL")->required();
      app.add_option("--data", options.data,
                     "file of the format and columns of the training file; of csv and npy the column of labels may be missing, and those "
                     "left out where all others have names. In a LIBSVM file each row begins with a label, whichever")
          ->type_name("FILE")
          ->required();
      app.add_option("--output", options.output, "for the predictions")->type_name("FILE")->required();
      app.add_flag("--scores", options.scores, "behind each prediction the model's scores");
      app.add_flag("--probabilities", options.probabilities, "behind each label the probabilities of all labels, in their order");
      app.add_option("--threads", options.threads, "0: as many as the process may use")->type_name("N")->transform(in<int>(0, 1024));
      app.parse(argc - 1, argv + 1);
      return predict(options);
    }
    Options options;
    add_options(app, options);
    app.parse(argc, argv);
    return train(options);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;  // 0: --help
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return dynamic_cast<const parade::OptionError*>(&error) ? 2 : 1;
  }
}
