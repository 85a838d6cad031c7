// SPDX-License-Identifier: MIT
#include <limits>
#include <string>
#include <vector>

#include <parade/callbacks/early_stopping.hpp>
#include <parade/callbacks/validate.hpp>
#include <parade/data/subset.hpp>
#include <parade/losses/hinge.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/poisson.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/linear.hpp>
#include <parade/optimizers/adam.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/schedules/cosine.hpp>
#include <parade/schedules/step_decay.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace options_test {

// Every rule of the options and of the data: the error names field, value and rule, comes before anything starts, and leaves the trainer as
// it was.

namespace {

using parade::DataError, parade::DenseData, parade::FitOptions, parade::Index, parade::L2, parade::Label, parade::Linear, parade::Matrix;
using parade::OptionError, parade::Sgd, parade::Trainer, parade::Vector;
using Words = std::vector<std::string>;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();

Trainer<Linear<double>, parade::SoftmaxCrossEntropy, L2, Sgd> good_trainer() {
  return {Linear<double>(4, 3), parade::SoftmaxCrossEntropy{}, L2{.lambda = 0.01}, Sgd{.rate = 0.1, .momentum = 0.9}};
}
DenseData<double> good_data() { return training::labelled_data<double>(4, 30, 3); }

struct CountSteps {
  int steps = 0;
  void on_step(const parade::StepReport&) { ++steps; }
};

template <class Error, class Call>
void check_error(const Words& words, const Call& call) {
  std::string text;
  try {
    call();
  } catch (const Error& error) {
    text = error.what();
  }
  CAPTURE(words);
  REQUIRE_FALSE(text.empty());  // else nothing was thrown
  for (const auto& word : words) CHECK_THAT(text, Catch::Matchers::ContainsSubstring(word));
}

/// fit throws Error with these words in its text, after no step; and θ and the count of steps are what they were.
template <class Error, class T, class D>
void check_fit(T trainer, const D& data, const FitOptions& options, const Words& words) {
  trainer.initialize(7);
  trainer.set_theta(training::random_vector<typename T::Scalar>(trainer.parameters().size(), 3));
  const Vector<typename T::Scalar> before = trainer.theta();
  CountSteps count;
  check_error<Error>(words, [&] { trainer.fit(data, options, count); });
  CHECK(count.steps == 0);
  CHECK(trainer.theta() == before);
  CHECK(trainer.steps() == 0);
}

/// good_data() with one number poisoned after it was checked: only a view can do that.
struct Poisoned {
  std::vector<double> numbers;
  DenseData<double> data;

  Poisoned(Index sample, Index row, double value) : numbers(values()), data(DenseData<double>::view(numbers.data(), 4, 600)) {
    data = data.with_labels(training::labelled_data<double>(4, 600, 3).labels());
    numbers[static_cast<std::size_t>(4 * sample + row)] = value;
  }
  static std::vector<double> values() {
    const auto good = training::labelled_data<double>(4, 600, 3);
    return {good.values().data(), good.values().data() + good.values().size()};
  }
};

/// A user's data set, which nobody has checked: hands out one bad weight or target.
struct Unchecked : DenseData<double> {
  double weight = 1, target = 0;
  Unchecked(const DenseData<double>& data, double w, double y) : DenseData<double>(data), weight(w), target(y) {}
  void gather(std::span<const Index> samples, parade::DenseBatch<double>& batch) const {
    DenseData<double>::gather(samples, batch);
    for (std::size_t j = 0; j < samples.size(); ++j) {
      if (samples[j] != 17) continue;
      if (batch.weights.size() > 0) batch.weights[static_cast<Index>(j)] = weight;
      if (batch.targets.size() > 0) batch.targets(0, static_cast<Index>(j)) = target;
    }
  }
};

}  // namespace

TEST_CASE("options that break a rule are an error that names field, value and rule") {
  const auto data = good_data();
  check_fit<OptionError>(good_trainer(), data, {.epochs = -1}, {"epochs", "-1", "in [0"});
  check_fit<OptionError>(good_trainer(), data, {.batch_size = 0}, {"batch_size must be in [1, n]; got 0 (n = 30)"});
  check_fit<OptionError>(good_trainer(), data, {.batch_size = -5}, {"batch_size", "-5"});
  check_fit<OptionError>(good_trainer(), data, {.batch_size = 31}, {"batch_size must be in [1, n]; got 31 (n = 30)"});
  check_fit<OptionError>(good_trainer(), data, {.batch_size = 10, .threads = -2}, {"threads", "-2", "4096"});
  check_fit<OptionError>(good_trainer(), data, {.batch_size = 10, .threads = 4097}, {"threads", "4097", "4096"});
  check_fit<OptionError>(good_trainer(), data, {.batch_size = 10, .shard_size = -3}, {"shard_size", "-3", "at least 1"});
}

TEST_CASE("parts that break a rule are an error that names field, value and rule") {
  const auto data = good_data();
  const FitOptions options{.epochs = 1, .batch_size = 10};
  const Linear<double> model(4, 3);
  const parade::SoftmaxCrossEntropy loss;
  for (const double rate : {-0.5, not_a_number, infinity})
    check_fit<OptionError>(Trainer{model, loss, L2{}, Sgd{.rate = rate}}, data, options,
                           {"rate", parade::detail::text(rate), "finite", "at least 0"});
  check_fit<OptionError>(Trainer{model, loss, L2{}, Sgd{.rate = 0.1, .momentum = 1}}, data, options, {"Sgd.momentum", "[0, 1)", "got 1"});
  check_fit<OptionError>(Trainer{model, loss, L2{.lambda = -2}, Sgd{}}, data, options, {"L2.lambda", "-2", "at least 0"});
  check_fit<OptionError>(Trainer{model, loss, parade::L1{.lambda = not_a_number}, Sgd{}}, data, options, {"L1.lambda", "nan"});
  check_fit<OptionError>(Trainer{model, loss, L2{}, parade::Adam{.beta1 = 1}}, data, options, {"Adam.beta1", "[0, 1)"});
  check_fit<OptionError>(Trainer{model, loss, L2{}, Sgd{}, parade::StepDecay{.steps = 0}}, data, options, {"StepDecay.steps", "got 0"});
}

TEST_CASE("data that does not fit the model or the loss is an error that names both numbers") {
  const auto data = good_data();
  const FitOptions options{.epochs = 1, .batch_size = 10};
  const L2 l2;
  const Sgd sgd;
  check_fit<DataError>(Trainer{Linear<double>(5, 3), parade::SoftmaxCrossEntropy{}, l2, sgd}, data, options, {"5 features", "has 4"});
  check_fit<DataError>(Trainer{Linear<double>(4, 2), parade::SquaredError{}, l2, sgd}, data, options, {"2 outputs", "has 0"});
  check_fit<DataError>(Trainer{Linear<double>(4, 2), parade::SquaredError{}, l2, sgd}, training::regression_data<double>(4, 30, 3), options,
                       {"2 outputs", "has 3"});
  check_fit<DataError>(good_trainer(), training::regression_data<double>(4, 30, 3), options, {"label", "none"});
  check_fit<DataError>(Trainer{Linear<double>(4, 1), parade::SoftmaxCrossEntropy{}, l2, sgd}, data, options, {"has 1", "at least 2"});
  check_fit<DataError>(Trainer{Linear<double>(4, 3), parade::Logistic{}, l2, sgd}, data, options, {"has 3", "1 output"});
  check_fit<DataError>(good_trainer(), DenseData<double>(Matrix<double>(4, 0)).with_labels(Vector<Label>(0)), options,
                       {"at least 1 sample", "got 0"});
}

TEST_CASE("labels out of range are an error that names the sample, on any number of threads") {
  for (const int threads : {1, 2, 4}) {
    const FitOptions options{.epochs = 1, .batch_size = 10, .threads = threads};
    for (const Label bad : {-1, 3, 1000000}) {
      Vector<Label> labels = training::labelled_data<double>(4, 600, 3).labels();
      labels[299] = bad;
      labels[590] = -7;  // the first one is named
      const auto data = training::labelled_data<double>(4, 600, 3).with_labels(labels);
      check_fit<DataError>(good_trainer(), data, options, {"label of sample 299 is " + std::to_string(bad), "[0, 2]"});
    }
    Vector<Label> labels = Vector<Label>::Zero(30);
    labels[4] = 2;
    check_fit<DataError>(Trainer{Linear<double>(4, 1), parade::Logistic{}, L2{}, Sgd{}}, good_data().with_labels(labels), options,
                         {"label of sample 4 is 2", "0 and 1"});
  }
}

TEST_CASE("a feature, target or weight that is not finite is an error that names the sample, on any number of threads") {
  for (const int threads : {1, 2, 4})
    for (const double bad : {not_a_number, infinity, -infinity}) {
      CAPTURE(threads, bad);
      const FitOptions options{.epochs = 1, .batch_size = 10, .threads = threads};
      const Poisoned poisoned(444, 2, bad);
      check_fit<DataError>(good_trainer(), poisoned.data, options, {"feature 2 of sample 444 is " + parade::detail::text(bad), "finite"});

      const auto targets = training::regression_data<double>(4, 30, 2);
      check_fit<DataError>(Trainer{Linear<double>(4, 2), parade::SquaredError{}, L2{}, Sgd{}}, Unchecked(targets, 1, bad), options,
                           {"target 0 of sample 17 is " + parade::detail::text(bad), "finite"});
      const auto weighted = good_data().with_weights(Vector<double>::Ones(30));
      check_fit<DataError>(good_trainer(), Unchecked(weighted, bad, 0), options,
                           {"weight of sample 17 is " + parade::detail::text(bad), "finite", "at least 0"});
      check_fit<DataError>(good_trainer(), Unchecked(weighted, -0.5, 0), options, {"weight of sample 17 is -0.5"});
    }
}

TEST_CASE("labels of two kinds at once, and weights that are all 0, are an error") {
  const FitOptions options{.epochs = 1, .batch_size = 10};
  Vector<Label> labels = Vector<Label>::Zero(30);
  labels[3] = 1;
  labels[17] = -1;
  check_fit<DataError>(Trainer{Linear<double>(4, 1), parade::Logistic{}, L2{}, Sgd{}}, good_data().with_labels(labels), options,
                       {"both 0 and -1"});
  check_fit<DataError>(Trainer{Linear<double>(4, 1), parade::Hinge{}, L2{}, Sgd{}}, good_data().with_labels(labels), options,
                       {"both 0 and -1"});
  const auto nothing = good_data().with_weights((Vector<double>(30) << 1, Vector<double>::Zero(29)).finished());
  check_fit<DataError>(good_trainer(), parade::Subset{nothing, {3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}, options, {"above 0"});
}

TEST_CASE("weights that a float cannot hold are an error that says so") {
  const auto data = training::labelled_data<float>(4, 30, 3).with_weights(Vector<double>::Constant(30, 1e-50));
  check_fit<DataError>(Trainer{Linear<float>(4, 3), parade::SoftmaxCrossEntropy{}, L2{}, Sgd{}}, data, {.epochs = 1, .batch_size = 10},
                       {"weight of sample 0 is 1e-50", "range"});
}

TEST_CASE("an evaluation refuses the values that a fit refuses") {
  auto trainer = good_trainer();
  trainer.fit(good_data(), {.epochs = 1, .batch_size = 10});
  const Poisoned poisoned(444, 2, not_a_number);
  check_error<DataError>({"feature 2 of sample 444"}, [&] { trainer.evaluate(poisoned.data); });
  check_error<DataError>({"feature 2 of sample 444"}, [&] { trainer.predict(poisoned.data); });
  check_error<DataError>({"label of sample 0 is 5"}, [&] { trainer.evaluate(good_data().with_labels(Vector<Label>::Constant(30, 5))); });
  parade::Team team(2);
  const Vector<double> theta = Vector<double>::Zero(3);
  check_error<DataError>({"15", "got 3"}, [&] {
    parade::evaluate<parade::DenseBatch<double>>(team, Linear<double>(4, 3), parade::SoftmaxCrossEntropy{}, theta, good_data());
  });
  check_error<DataError>({"15", "got 3"},
                         [&] { parade::compute_scores<parade::DenseBatch<double>>(team, Linear<double>(4, 3), theta, good_data()); });
}

TEST_CASE("the largest numbers that options can hold are no way around them") {
  constexpr Index most = std::numeric_limits<Index>::max();
  auto trainer = good_trainer(), plain = good_trainer();
  const auto one_shard = trainer.fit(good_data(), {.epochs = 1, .batch_size = 10, .shard_size = most});
  CHECK(one_shard.shards == 1);
  CHECK(one_shard.steps == 3);
  CHECK(one_shard.theta_hash == plain.fit(good_data(), {.epochs = 1, .batch_size = 10, .shard_size = 10}).theta_hash);
  check_fit<OptionError>(good_trainer(), good_data(), {.epochs = most, .batch_size = 10}, {"epochs", "4294967295"});
}

TEST_CASE("no epochs under a schedule over the whole run are no error") {
  Trainer trainer{Linear<double>(4, 3), parade::SoftmaxCrossEntropy{}, L2{}, Sgd{}, parade::Cosine{}};
  CHECK(trainer.fit(good_data(), {.epochs = 0, .batch_size = 10}).steps == 0);
}

TEST_CASE("the check of the data can be left out") {
  auto trainer = good_trainer();
  const Poisoned poisoned(0, 0, not_a_number);
  const auto summary = trainer.fit(poisoned.data, {.epochs = 1, .batch_size = 600, .check_data = false});
  CHECK(summary.stop_reason == parade::StopReason::diverged);
}

TEST_CASE("partial_fit refuses what fit refuses, and the trainer is as it was") {
  auto trainer = good_trainer();
  const auto refuses = [&](const auto& data, const parade::StepOptions& options, const Words& words) {
    trainer.initialize(7);
    const auto before = parade::theta_hash(trainer.theta());
    check_error<std::invalid_argument>(words, [&] { trainer.partial_fit(data, options); });
    CHECK(parade::theta_hash(trainer.theta()) == before);
    CHECK(trainer.steps() == 0);
  };
  refuses(good_data(), {.threads = -1}, {"threads", "-1"});
  refuses(good_data(), {.shard_size = -1}, {"shard_size", "-1"});
  refuses(training::labelled_data<double>(3, 30, 3), {}, {"4 features", "has 3"});
  refuses(DenseData<double>(Matrix<double>(4, 0)).with_labels(Vector<Label>(0)), {}, {"at least 1 sample", "got 0"});
  refuses(Poisoned(12, 3, not_a_number).data, {}, {"feature 3 of sample 12"});
  refuses(good_data().with_labels(Vector<Label>::Constant(30, 5)), {}, {"label of sample 0 is 5"});
}

TEST_CASE("validation data that does not fit is an error before anything starts") {
  auto trainer = good_trainer();
  CountSteps count;
  const FitOptions options{.epochs = 1, .batch_size = 10};
  const auto refuses = [&](const auto& held_out, const Words& words) {
    check_error<DataError>(words, [&] { trainer.fit(good_data(), options, count, parade::Validate{held_out}); });
    CHECK(count.steps == 0);
    CHECK_THROWS_AS(trainer.theta(), std::logic_error);  // not even initialized
  };
  refuses(training::labelled_data<double>(3, 30, 3), {"4 features", "has 3"});
  refuses(DenseData<double>(Matrix<double>(4, 0)).with_labels(Vector<Label>(0)), {"validation", "at least 1 sample"});
  refuses(training::regression_data<double>(4, 30, 3), {"label"});
  refuses(Poisoned(12, 3, not_a_number).data, {"feature 3 of sample 12"});
  refuses(good_data().with_labels(Vector<Label>::Constant(30, 5)), {"label of sample 0 is 5"});
  check_error<OptionError>({"validation"}, [&] { trainer.fit(good_data(), options, count, parade::EarlyStopping{}); });
  check_error<OptionError>({"patience", "got 0"}, [&] {
    trainer.fit(good_data(), options, count, parade::Validate{good_data()}, parade::EarlyStopping{.patience = 0});
  });
  check_error<OptionError>({"min_delta"}, [&] {
    trainer.fit(good_data(), options, count, parade::Validate{good_data()}, parade::EarlyStopping{.min_delta = not_a_number});
  });
  CHECK(count.steps == 0);
}

TEST_CASE("a theta of another size, and a name that no parameter has, are errors that name the rule") {
  auto trainer = good_trainer();
  check_error<DataError>({"15", "got 4"}, [&] { trainer.set_theta(Vector<double>(4)); });
  check_error<std::logic_error>({"no parameters yet"}, [&] { trainer.theta(); });
  check_error<std::logic_error>({"no parameters yet"}, [&] { trainer.scores(good_data()); });
  trainer.initialize(1);
  check_error<std::out_of_range>({"weigth", "weight, bias"}, [&] { trainer.parameter("weigth"); });
  check_error<DataError>({"4 features", "has 3"}, [&] { trainer.scores(training::labelled_data<double>(3, 30, 3)); });
  check_error<DataError>({"4 features", "has 3"}, [&] { trainer.evaluate(training::labelled_data<double>(3, 30, 3)); });
}

TEST_CASE("a real target that the loss cannot take is refused, with its sample") {
  const auto data = parade::DenseData<double>(Matrix<double>::Ones(2, 3)).with_targets((Matrix<double>(1, 3) << 1, 2, -1).finished());
  Trainer trainer{Linear<double>(2), parade::Poisson{}, L2{}, Sgd{}};
  check_error<DataError>({"target 0", "sample 2", "-1", "Poisson", "at least 0"},
                         [&] { trainer.fit(data, {.epochs = 1, .batch_size = 3}); });
}

}  // namespace options_test
