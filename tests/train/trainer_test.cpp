// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>
#include <regex>
#include <string>
#include <vector>

#include <parade/data/subset.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/linear.hpp>
#include <parade/models/mlp.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/schedules/step_decay.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace trainer_test {

namespace {

using parade::FitOptions, parade::Index, parade::L2, parade::Label, parade::Linear, parade::Matrix, parade::Mlp, parade::Sgd,
    parade::Subset;
using parade::SoftmaxCrossEntropy, parade::Trainer, parade::Vector;

constexpr double eps = std::numeric_limits<double>::epsilon();

Trainer<Mlp<double>, SoftmaxCrossEntropy, L2, Sgd> small_trainer() {
  return {Mlp<double>{5, 8, 3}, SoftmaxCrossEntropy{}, L2{.lambda = 1e-3}, Sgd{.rate = 0.1, .momentum = 0.9}};
}

/// The definition: samples one after the other, with the scores that the trainer gives them one by one.
struct Plain {
  double loss = 0, weight = 0, right = 0;
};
template <class T, class D>
Plain evaluate_plainly(T& trainer, const D& data) {
  Plain plain;
  for (Index i = 0; i < data.size(); ++i) {
    const double w = data.has_weights() ? data.weights()[i] : 1;
    const Matrix<double> z = trainer.scores(Subset{data, {i}});
    const double top = z.maxCoeff();
    plain.loss += w * (std::log((z.array() - top).exp().sum()) + top - z(data.label(i), 0));
    Index guess = 0;
    z.col(0).maxCoeff(&guess);
    plain.weight += w;
    if (guess == data.label(i)) plain.right += w;
  }
  return plain;
}

}  // namespace

TEST_CASE("the summary of a run says what was done") {
  training::OpenMpSettings openmp;
  openmp.dynamic(false);
  const auto data = training::labelled_data<double>(5, 103, 3);
  auto trainer = small_trainer();
  const auto summary = trainer.fit(data, {.epochs = 3, .batch_size = 20, .seed = 7, .threads = 2, .shard_size = 6});
  CHECK(summary.stop_reason == parade::StopReason::completed);
  CHECK(summary.steps == 18);  // 5 batches of 20 and one of 3, three times
  CHECK(trainer.steps() == 18);
  CHECK(summary.epochs() == 3);
  CHECK(summary.samples == 103);
  CHECK(summary.parameters == 5 * 8 + 8 + 8 * 3 + 3);
  CHECK(summary.batch_size == 20);
  CHECK(summary.shard_size == 6);
  CHECK(summary.shards == 4);
  CHECK(summary.seed == 7);
  CHECK(summary.scalar == "double");
  CHECK(summary.divergences.empty());
  CHECK(summary.remembered_epoch == 0);
  CHECK(summary.theta_hash == parade::theta_hash(trainer.theta()));
#if PARADE_HAS_OPENMP
  CHECK(summary.threads_asked == 2);
  CHECK(summary.threads == 2);
#else
  CHECK(summary.threads == 1);
#endif
  CHECK(summary.threads_why.find('(') != std::string::npos);

  for (std::size_t i = 0; i < 3; ++i) {
    const auto& epoch = summary.history[i];
    CHECK(epoch.epoch == static_cast<Index>(i + 1));
    CHECK(epoch.epochs == 3);
    CHECK(epoch.step == 6 * static_cast<std::int64_t>(i + 1));
    CHECK(epoch.samples == 103);
    CHECK(epoch.rate == 0.1);
    CHECK(epoch.seconds > 0);
    CHECK(epoch.samples_per_second() > 0);
    CHECK_FALSE(epoch.validation.has_value());
    if (i > 0) CHECK(epoch.loss < summary.history[i - 1].loss);
  }
  CHECK(summary.loss() == summary.history.back().loss);

  double squares = 0;
  for (const char* name : {"layer0.weight", "layer1.weight"}) squares += trainer.parameter(name).squaredNorm();
  CHECK(summary.history.back().penalty == Catch::Approx(1e-3 / 2 * squares).epsilon(100 * eps));

  const auto& t = summary.seconds;
  for (const double phase : {t.gather, t.gradient, t.reduce, t.update, t.waiting, t.callbacks}) CHECK(phase >= 0);
  CHECK(t.wall > 0);
  CHECK(t.gradient > 0);
  CHECK(t.update > 0);
  CHECK(t.gather + t.gradient + t.reduce + t.update + t.waiting <= t.wall * summary.threads * (1 + 100 * eps));
}

TEST_CASE("the brief form of a summary is a line, the full form a page, whatever the locale") {
  const auto data = training::labelled_data<double>(5, 103, 3);
  auto trainer = small_trainer();
  const auto summary = trainer.fit(data, {.epochs = 1, .batch_size = 20, .threads = 1});
  const std::string hash = parade::hash_text(summary.theta_hash), brief = summary.brief();
  CAPTURE(brief, summary.full());
  CHECK(std::regex_match(brief, std::regex("completed after 1 epoch, loss [0-9.]+, [0-9.e+]+ samples/s on 1 thread, theta " + hash)));
  std::ostringstream out;
  out << summary;
  CHECK(out.str() == brief + "\n");
  for (const std::string& word :
       {std::string("stop        completed after 1 epochs, 6 steps"), std::string("103 samples, batches of 20 in 1 shards"),
        std::string("75 parameters in double"), std::string("1 of 1 asked for"), std::string("gather"), std::string("gradient"),
        std::string("reduce"), std::string("update"), std::string("waiting"), "theta hash  " + hash})
    CHECK_THAT(summary.full(), Catch::Matchers::ContainsSubstring(word));
}

TEST_CASE("nothing is trained in 0 epochs, and theta is the starting one") {
  const auto data = training::labelled_data<double>(5, 40, 3);
  auto trainer = small_trainer();
  const auto summary = trainer.fit(data, {.epochs = 0, .batch_size = 40, .seed = 3});
  CHECK(summary.steps == 0);
  CHECK(summary.history.empty());
  CHECK(std::isnan(summary.loss()));
  Vector<double> start(trainer.parameters().size());
  trainer.model().initialize(start, 3);
  CHECK(trainer.theta() == start);
  CHECK_FALSE(summary.full().empty());
}

TEST_CASE("a fit starts anew, and a warm start goes on") {
  const auto data = training::labelled_data<double>(5, 50, 3);
  const auto options = [](Index epochs, bool warm) {
    return FitOptions{.epochs = epochs, .batch_size = 16, .seed = 2, .threads = 2, .warm_start = warm};
  };
  auto whole = small_trainer(), parts = small_trainer();
  const auto expected = whole.fit(data, options(5, false)).theta_hash;
  CHECK(whole.fit(data, options(5, false)).theta_hash == expected);
  parts.fit(data, options(2, true));  // a warm start of nothing is a start
  const auto rest = parts.fit(data, options(3, true));
  CHECK(rest.theta_hash == expected);
  CHECK(rest.steps == 12);
  CHECK(rest.history.front().step == 12);
  CHECK(parts.steps() == 20);

  // The schedule goes on, too.
  const auto decayed = [&] {
    return Trainer{Linear<double>(5, 3), SoftmaxCrossEntropy{}, L2{}, Sgd{.rate = 0.1}, parade::StepDecay{.steps = 6}};
  };
  auto one = decayed(), two = decayed();
  const auto hash = one.fit(data, options(3, false)).theta_hash;
  two.fit(data, options(1, false));
  CHECK(two.fit(data, options(2, true)).theta_hash == hash);
}

TEST_CASE("partial_fit is one step of fit, bit for bit, on any number of threads") {
  const auto data = training::labelled_data<double>(5, 70, 3).with_weights(training::sample_weights(70));
  auto fitted = small_trainer();
  fitted.fit(data, {.epochs = 2, .batch_size = 70, .seed = 4, .threads = 1, .shard_size = 9, .shuffle = false});
  for (const int threads : training::thread_counts) {
    auto trainer = small_trainer();
    const parade::StepOptions options{.seed = 4, .threads = threads, .shard_size = 9};
    const auto sum = trainer.partial_fit(data, options);
    CHECK(sum.samples == 70);
    CHECK(sum.weight == data.weights().sum());
    trainer.partial_fit(data, options);
    CHECK(trainer.theta() == fitted.theta());
    CHECK(trainer.steps() == 2);
  }
}

TEST_CASE("a batch of weight 0 is no step, and its samples are no samples") {
  Vector<double> weights = Vector<double>::Ones(60);
  weights.segment(20, 20).setZero();
  weights[45] = 0;
  auto x = training::random_matrix<double>(5, 60, 1);
  const auto data = parade::DenseData<double>(x).with_labels(training::labelled_data<double>(5, 60, 3).labels()).with_weights(weights);
  const FitOptions options{.epochs = 2, .batch_size = 20, .seed = 1, .threads = 2, .shard_size = 3, .shuffle = false};
  auto trainer = small_trainer();
  const auto summary = trainer.fit(data, options);
  CHECK(summary.steps == 4);

  // What the samples of weight 0 hold does not matter, however large it is.
  for (Index i = 0; i < 60; ++i)
    if (weights[i] == 0) x.col(i).setConstant(1e300);
  auto other = small_trainer();
  CHECK(other.fit(parade::DenseData<double>(x).with_labels(data.labels()).with_weights(weights), options).theta_hash == summary.theta_hash);
  auto without = small_trainer();
  std::vector<Index> rest;
  for (Index i = 0; i < 60; ++i)
    if (i < 20 || i >= 40) rest.push_back(i);
  CHECK(without.fit(Subset{data, rest}, options).theta_hash == summary.theta_hash);
}

TEST_CASE("a sample of weight 0 may have a loss that is not finite") {
  Matrix<double> y = training::random_matrix<double>(2, 60, 2);
  const auto fit = [&] {
    Vector<double> weights = Vector<double>::Ones(60);
    weights[17] = 0;
    Trainer trainer{Linear<double>(5, 2), parade::SquaredError{}, parade::NoRegularizer{}, Sgd{.rate = 0.1}};
    const auto data = training::regression_data<double>(5, 60, 2).with_targets(y).with_weights(weights);
    const auto summary = trainer.fit(data, {.epochs = 2, .batch_size = 20, .seed = 1, .threads = 2, .shard_size = 3});
    CHECK(summary.divergences.empty());
    CHECK(std::isfinite(summary.loss()));
    CHECK(std::isfinite(trainer.evaluate(data).loss));
    return summary.theta_hash;
  };
  const auto expected = fit();
  y(1, 17) = 1e200;  // its square overflows
  CHECK(fit() == expected);
}

TEST_CASE("weight k is k copies of a sample, up to rounding, and a scale of all weights changes nothing but rounding") {
  const Index n = 40;
  const auto data = training::labelled_data<double>(5, n, 3);
  Vector<double> weights(n);
  std::vector<Index> copies;
  for (Index i = 0; i < n; ++i) {
    weights[i] = static_cast<double>(i % 4);
    copies.insert(copies.end(), static_cast<std::size_t>(i % 4), i);
  }
  const auto fit = [](const auto& d) {
    auto trainer = small_trainer();
    const auto loss = trainer.fit(d, {.epochs = 5, .batch_size = d.size(), .seed = 1, .threads = 2}).loss();
    return std::pair{trainer.theta(), loss};
  };
  const auto [weighted, weighted_loss] = fit(data.with_weights(weights));
  const auto [copied, copied_loss] = fit(Subset{data, copies});
  const auto [scaled, scaled_loss] = fit(data.with_weights(3 * weights));
  const double tolerance = 5 * 60 * eps * weighted.cwiseAbs().maxCoeff();  // steps · terms of a sum
  CHECK((weighted - copied).cwiseAbs().maxCoeff() <= tolerance);
  CHECK((weighted - scaled).cwiseAbs().maxCoeff() <= tolerance);
  CHECK(weighted_loss == Catch::Approx(copied_loss).epsilon(200 * eps));
  CHECK(weighted_loss == Catch::Approx(scaled_loss).epsilon(200 * eps));
  const auto [plain, plain_loss] = fit(data);
  CHECK((weighted - plain).cwiseAbs().maxCoeff() > 1e-3);  // the weights do matter
  CHECK(plain_loss != weighted_loss);
}

TEST_CASE("the loss of an epoch is the mean over its samples when the batch size does not divide n") {
  const auto data = training::labelled_data<double>(5, 103, 3).with_weights(training::sample_weights(103));
  Trainer trainer{Mlp<double>{5, 8, 3}, SoftmaxCrossEntropy{}, parade::NoRegularizer{}, Sgd{.rate = 0}};
  const auto summary = trainer.fit(data, {.epochs = 1, .batch_size = 20, .seed = 1, .threads = 1});
  const auto plain = evaluate_plainly(trainer, data);
  CHECK(summary.loss() == Catch::Approx(plain.loss / plain.weight).epsilon(103 * eps));
}

TEST_CASE("an evaluation is exact for any number of samples, and the same on any number of threads") {
  auto trainer = small_trainer();
  trainer.fit(training::labelled_data<double>(5, 60, 3), {.epochs = 2, .batch_size = 20, .seed = 1, .threads = 1});
  for (const Index n : {1, 2, 255, 256, 257, 523}) {
    const auto unweighted = training::labelled_data<double>(5, n, 3);
    for (const bool with_weights : {false, true}) {
      if (with_weights && n < 3) continue;
      const auto data = with_weights ? unweighted.with_weights(training::sample_weights(n)) : unweighted;
      CAPTURE(n, with_weights);
      const auto plain = evaluate_plainly(trainer, data);
      const auto result = trainer.evaluate(data);
      CHECK(result.samples == n);
      CHECK(result.weight == plain.weight);  // quarters: exact
      CHECK(result.loss == Catch::Approx(plain.loss / plain.weight).epsilon(static_cast<double>(n + 10) * eps));
      CHECK(result.accuracy == plain.right / plain.weight);
      CHECK(trainer.accuracy(data) == result.accuracy);
      REQUIRE(result.confusion.rows() == 3);
      REQUIRE(result.confusion.cols() == 3);
      const auto guesses = trainer.predict(data);
      for (Label truth = 0; truth < 3; ++truth)
        for (Label guess = 0; guess < 3; ++guess) {
          std::int64_t count = 0;
          for (Index i = 0; i < n; ++i) count += data.label(i) == truth && guesses[i] == guess ? 1 : 0;
          CHECK(result.confusion(truth, guess) == count);
        }
      for (const int threads : {1, 3, 4}) {
        parade::Team team(threads);
        const auto again = parade::evaluate<parade::DenseBatch<double>>(team, trainer.model(), trainer.loss(), trainer.theta(), data);
        CHECK(again.loss == result.loss);
        CHECK(again.accuracy == result.accuracy);
        CHECK(again.confusion == result.confusion);
      }
    }
  }
}

TEST_CASE("an evaluation of no samples has no loss, and that of real targets no accuracy") {
  auto trainer = small_trainer();
  trainer.initialize(1);
  const auto none = trainer.evaluate(parade::DenseData<double>(Matrix<double>(5, 0)).with_labels(Vector<Label>(0)));
  CHECK(none.samples == 0);
  CHECK(std::isnan(none.loss));
  CHECK(std::isnan(none.accuracy));
  Trainer regression{Linear<double>(5, 2), parade::SquaredError{}, parade::NoRegularizer{}, Sgd{.rate = 0.1}};
  const auto data = training::regression_data<double>(5, 300, 2);
  regression.fit(data, {.epochs = 3, .batch_size = 30});
  const auto result = regression.evaluate(data);
  CHECK(std::isnan(result.accuracy));
  CHECK(result.confusion.size() == 0);
  CHECK(result.loss == Catch::Approx((regression.scores(data) - data.targets()).squaredNorm() / 2 / 300).epsilon(400 * eps));
  CHECK(regression.predict(data) == regression.scores(data));
}

TEST_CASE("one output stands for two classes, with labels 0 and 1 or else -1 and +1") {
  const auto zero_one = training::labelled_data<double>(5, 300, 2);
  const auto plus_minus = zero_one.with_labels(2 * zero_one.labels().array() - 1);
  Trainer trainer{Linear<double>(5, 1), parade::Logistic{}, parade::NoRegularizer{}, Sgd{.rate = 1}};
  const auto hash = trainer.fit(zero_one, {.epochs = 20, .batch_size = 50}).theta_hash;
  const auto result = trainer.evaluate(zero_one);
  CHECK(result.accuracy > 0.9);
  CHECK(result.confusion.rows() == 2);
  CHECK(result.confusion.sum() == 300);
  CHECK(trainer.fit(plus_minus, {.epochs = 20, .batch_size = 50}).theta_hash == hash);
  CHECK(trainer.evaluate(plus_minus).confusion == result.confusion);
  CHECK(trainer.accuracy(plus_minus) == result.accuracy);
  const auto scores = trainer.scores(zero_one);
  const auto labels = trainer.predict(zero_one);
  for (Index i = 0; i < 300; ++i) CHECK(labels[i] == (scores(0, i) > 0 ? 1 : 0));
}

TEST_CASE("parameters are found by name, as matrices, and are slices of theta") {
  auto trainer = small_trainer();
  trainer.fit(training::labelled_data<double>(5, 60, 3), {.epochs = 1, .batch_size = 20, .seed = 1});
  Index at = 0;
  for (const auto& [name, rows, cols] :
       {std::tuple{"layer0.weight", 8, 5}, {"layer0.bias", 8, 1}, {"layer1.weight", 3, 8}, {"layer1.bias", 3, 1}}) {
    const Matrix<double> parameter = trainer.parameter(name);
    REQUIRE(parameter.rows() == rows);
    REQUIRE(parameter.cols() == cols);
    CHECK(parameter == Eigen::Map<const Matrix<double>>(trainer.theta().data() + at, rows, cols));
    at += rows * cols;
  }
  CHECK(at == trainer.theta().size());
}

TEST_CASE("the scores of a sample do not depend on the samples beside it or on the number of threads") {
  auto trainer = small_trainer();
  const auto data = training::labelled_data<double>(5, 523, 3);
  trainer.fit(data, {.epochs = 1, .batch_size = 100, .seed = 1, .threads = 3});
  const auto all = trainer.scores(data);
  CHECK(all.cols() == 523);
  for (const Index i : {0, 1, 255, 256, 522}) CHECK(trainer.scores(Subset{data, {i}}).col(0) == all.col(i));
}

TEST_CASE("a callback may look at the trainer, and not change what the run is using") {
  const auto data = training::labelled_data<double>(5, 50, 3);
  const FitOptions options{.epochs = 2, .batch_size = 16, .threads = 2};
  auto trainer = small_trainer(), plain = small_trainer();
  struct Meddler {
    decltype(trainer)& own;
    const decltype(data)& samples;
    int refused = 0;
    void on_step(const parade::StepReport&) {
      const auto refuses = [&](auto&& call) {
        CHECK_THROWS_WITH(call(), Catch::Matchers::ContainsSubstring("a callback may not"));
        ++refused;
      };
      refuses([&] { own.fit(samples); });
      refuses([&] { own.partial_fit(samples); });
      refuses([&] { own.initialize(1); });
      refuses([&] { own.set_theta(Vector<double>::Zero(own.parameters().size())); });
      CHECK(own.theta().allFinite());
      CHECK(own.evaluate(samples).samples == 50);
    }
  } meddler{trainer, data};
  const auto summary = trainer.fit(data, options, meddler);
  CHECK(meddler.refused == 4 * 2 * 4);
  CHECK(summary.theta_hash == plain.fit(data, options).theta_hash);
}

#if PARADE_HAS_OPENMP
TEST_CASE("a fit that may use all threads asks anew how many those are") {
  const auto data = training::labelled_data<double>(5, 50, 3);
  training::OpenMpSettings settings;
  auto trainer = small_trainer();
  settings.threads(1);
  const auto one = trainer.fit(data, {.epochs = 1, .batch_size = 16});
  CHECK(one.threads_asked == 1);
  settings.threads(2);
  const auto two = trainer.fit(data, {.epochs = 1, .batch_size = 16});
  CHECK(two.threads_asked == parade::available_threads());
  CHECK(two.theta_hash == one.theta_hash);
}
#endif

TEST_CASE("a trainer can be moved, and goes on") {
  const auto data = training::labelled_data<double>(5, 50, 3);
  const FitOptions options{.epochs = 2, .batch_size = 16, .seed = 2, .threads = 2, .warm_start = true};
  auto stays = small_trainer(), goes = small_trainer();
  stays.fit(data, options);
  goes.fit(data, options);
  auto moved = std::move(goes);
  CHECK(moved.fit(data, options).theta_hash == stays.fit(data, options).theta_hash);
}

}  // namespace trainer_test
