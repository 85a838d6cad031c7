// SPDX-License-Identifier: MIT
#include <chrono>
#include <cmath>
#include <limits>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <parade/callbacks/early_stopping.hpp>
#include <parade/callbacks/progress_bar.hpp>
#include <parade/callbacks/reduce_on_plateau.hpp>
#include <parade/callbacks/validate.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/models/mlp.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace {

using parade::EpochReport, parade::FitOptions, parade::Index, parade::Signal, parade::StepReport, parade::StopReason;

constexpr Index n = 50, b = 20;  // 3 steps an epoch

parade::Trainer<parade::Mlp<double>, parade::SoftmaxCrossEntropy, parade::NoRegularizer, parade::Sgd> small_trainer() {
  return {parade::Mlp<double>{5, 8, 3}, parade::SoftmaxCrossEntropy{}, parade::NoRegularizer{}, parade::Sgd{.rate = 0.1}};
}
parade::DenseData<double> data() { return training::labelled_data<double>(5, n, 3); }
FitOptions options(Index epochs) { return {.epochs = epochs, .batch_size = b, .seed = 1, .threads = 2, .shard_size = 4}; }

std::uint64_t hash_after(Index epochs) { return small_trainer().fit(data(), options(epochs)).theta_hash; }

/// Writes down every call, under its name.
struct Diary {
  std::string name;
  std::vector<std::string>* calls;

  void on_begin() { note("begin"); }
  void on_end() { note("end"); }
  void on_step(const StepReport& report) { note("step" + std::to_string(report.step)); }
  void on_epoch(const EpochReport& report) { note("epoch" + std::to_string(report.epoch) + (report.validation ? "v" : "")); }
  void note(const std::string& what) { calls->push_back(name + what); }
};

/// Answers with a signal at one step or epoch.
struct AtStep {
  std::int64_t step;
  Signal signal;
  Signal on_step(const StepReport& report) const { return report.step == step ? signal : Signal::go_on; }
};
struct AtEpoch {
  Index epoch;
  Signal signal;
  Signal on_epoch(const EpochReport& report) const { return report.epoch == epoch ? signal : Signal::go_on; }
};

/// Plays validation losses, one an epoch, to an EarlyStopping; what it answers.
std::vector<Signal> play(parade::EarlyStopping& early, const std::vector<double>& losses) {
  std::vector<Signal> answers;
  early.on_begin();
  for (std::size_t i = 0; i < losses.size(); ++i) {
    EpochReport report;
    report.epoch = static_cast<Index>(i + 1);
    report.validation.emplace();
    report.validation->loss = losses[i];
    answers.push_back(early.on_epoch(report));
  }
  return answers;
}

}  // namespace

TEST_CASE("the hooks of callbacks are called in the order of the run and of the arguments") {
  std::vector<std::string> calls;
  auto trainer = small_trainer();
  Diary a{"a:", &calls};
  trainer.fit(data(), options(2), a, Diary{"b:", &calls}, parade::Validate{data()});
  const std::vector<std::string> expected{"a:begin", "b:begin",   "a:step1",   "b:step1",   "a:step2", "b:step2", "a:step3",
                                          "b:step3", "a:epoch1v", "b:epoch1v", "a:step4",   "b:step4", "a:step5", "b:step5",
                                          "a:step6", "b:step6",   "a:epoch2v", "b:epoch2v", "b:end",   "a:end"};
  CHECK(calls == expected);
}

TEST_CASE("callbacks see where the run stands, and do not change theta") {
  struct See {
    std::vector<StepReport> steps;
    std::vector<EpochReport> epochs;
    void on_step(const StepReport& report) { steps.push_back(report); }
    void on_epoch(const EpochReport& report) { epochs.push_back(report); }
  } see;
  auto trainer = small_trainer();
  const auto summary = trainer.fit(data(), options(2), see, parade::Validate{data()});
  CHECK(summary.theta_hash == hash_after(2));
  REQUIRE(see.steps.size() == 6);
  for (std::size_t i = 0; i < 6; ++i) {
    const auto& step = see.steps[i];
    CHECK(step.step == static_cast<std::int64_t>(i + 1));
    CHECK(step.epoch == static_cast<Index>(i / 3 + 1));
    CHECK(step.epochs == 2);
    CHECK(step.samples == n);
    CHECK(step.samples_done == std::vector<Index>{20, 40, 50}[i % 3]);
    CHECK(step.rate == 0.1);
    CHECK(step.loss > 0);
  }
  REQUIRE(see.epochs.size() == 2);
  CHECK(see.epochs[1].loss ==
        Catch::Approx((20 * see.steps[3].loss + 20 * see.steps[4].loss + 10 * see.steps[5].loss) / 50).epsilon(1e-14));
  REQUIRE(see.epochs[1].validation.has_value());
  CHECK(see.epochs[1].validation->loss == trainer.evaluate(data()).loss);
  REQUIRE(summary.history[1].validation.has_value());
  CHECK(summary.history[1].validation->loss == see.epochs[1].validation->loss);
  CHECK(summary.history[1].validation->accuracy == trainer.accuracy(data()));
}

TEST_CASE("a callback stops the run after the step or the epoch at which it says so") {
  auto trainer = small_trainer();
  const auto at_epoch = trainer.fit(data(), options(9), AtEpoch{2, Signal::stop});
  CHECK(at_epoch.stop_reason == StopReason::callback);
  CHECK(at_epoch.steps == 6);
  CHECK(at_epoch.epochs() == 2);
  CHECK(at_epoch.theta_hash == hash_after(2));
  const auto at_step = trainer.fit(data(), options(9), AtStep{5, Signal::stop});
  CHECK(at_step.stop_reason == StopReason::callback);
  CHECK(at_step.steps == 5);
  CHECK(at_step.epochs() == 1);  // of the second one only 2 of 3 batches were seen
  CHECK(trainer.steps() == 5);
  // The other callbacks are asked all the same, and the stop stands.
  CHECK(trainer.fit(data(), options(9), AtEpoch{2, Signal::stop}, AtEpoch{2, Signal::go_on}).epochs() == 2);
}

TEST_CASE("a run may be asked for more epochs than there is memory to note, and be stopped by a callback") {
  auto trainer = small_trainer();
  CHECK(trainer.fit(data(), options((Index{1} << 32) - 1), AtEpoch{2, Signal::stop}).theta_hash == hash_after(2));
}

TEST_CASE("a step that is remembered is named, and an epoch that was not finished is begun anew") {
  auto trainer = small_trainer();
  const auto remembered = trainer.fit(data(), options(2), AtStep{5, Signal::remember});
  CHECK(remembered.remembered_step == 5);
  CHECK(remembered.remembered_epoch == 2);
  CHECK(remembered.full().find("that of step 5 in epoch 2") != std::string::npos);

  std::vector<std::string> calls;
  auto warm = options(1);
  warm.warm_start = true;
  trainer.fit(data(), options(2), AtStep{4, Signal::stop}, Diary{"", &calls});
  CHECK(calls == std::vector<std::string>{"begin", "step1", "step2", "step3", "epoch1", "step4", "end"});
  const auto rest = trainer.fit(data(), warm);
  CHECK(rest.steps == 3);  // the whole second epoch
}

TEST_CASE("a callback that says remember keeps that theta: the last one remembered is the result") {
  auto trainer = small_trainer();
  const auto summary = trainer.fit(data(), options(5), AtEpoch{1, Signal::remember}, AtEpoch{3, Signal::remember});
  CHECK(summary.steps == 15);
  CHECK(summary.remembered_epoch == 3);
  CHECK(summary.stop_reason == StopReason::completed);
  CHECK(summary.theta_hash == hash_after(3));
  CHECK(parade::theta_hash(trainer.theta()) == summary.theta_hash);
  CHECK_THAT(summary.full(), Catch::Matchers::ContainsSubstring("that of step 9 in epoch 3"));
  const auto next = trainer.fit(data(), options(2));  // nothing is remembered from run to run
  CHECK(next.remembered_epoch == 0);
  CHECK(next.theta_hash == hash_after(2));
}

TEST_CASE("early stopping waits for patience epochs after the best one, and starts anew with every run") {
  using enum Signal;
  parade::EarlyStopping early{.patience = 2};
  const std::vector<Signal> expected{remember, remember, go_on, remember, go_on, stop};
  for (int run = 0; run < 2; ++run) {
    CHECK(play(early, {3, 2, 2, 1, 1.5, 1.2}) == expected);
    CHECK(early.best == 1);
    CHECK(early.best_epoch == 4);
  }
  parade::EarlyStopping coarse{.patience = 3, .min_delta = 0.5};
  CHECK(play(coarse, {3, 2.6, 2.5, 2.4}) == std::vector<Signal>{remember, go_on, go_on, remember});
  parade::EarlyStopping lost{.patience = 2};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(play(lost, {nan, nan}) == std::vector<Signal>{go_on, stop});
}

TEST_CASE("early stopping leaves the theta of the best epoch behind") {
  // The validation data has every label wrong: the loss on it rises as training goes on, after the first epochs at the latest.
  auto labels = data().labels();
  for (auto& label : labels) label = (label + 1) % 3;
  auto trainer = small_trainer();
  parade::EarlyStopping early{.patience = 3};
  const auto summary = trainer.fit(data(), options(200), parade::Validate{data().with_labels(labels)}, early);
  CHECK(summary.stop_reason == StopReason::callback);
  CHECK(summary.remembered_epoch == early.best_epoch);
  CHECK(summary.epochs() == early.best_epoch + 3);
  CHECK(summary.theta_hash == hash_after(early.best_epoch));
  CHECK(trainer.evaluate(data().with_labels(labels)).loss == early.best);
}

TEST_CASE("early stopping without validation data is an error before anything starts") {
  std::vector<std::string> calls;
  auto trainer = small_trainer();
  CHECK_THROWS_AS(trainer.fit(data(), options(2), Diary{"", &calls}, parade::EarlyStopping{}), parade::OptionError);
  CHECK(calls.empty());
  CHECK_THROWS_AS(trainer.theta(), std::logic_error);
}

TEST_CASE("on_end is called when an exception ends the run") {
  struct Throws {
    void on_step(const StepReport& report) {
      if (report.step == 4) throw std::runtime_error("enough");
    }
  };
  std::vector<std::string> calls;
  auto trainer = small_trainer();
  CHECK_THROWS_WITH(trainer.fit(data(), options(2), Diary{"", &calls}, Throws{}), "enough");
  CHECK(calls == std::vector<std::string>{"begin", "step1", "step2", "step3", "epoch1", "step4", "end"});
}

TEST_CASE("on_end is called for the callbacks that have begun when another one's on_begin throws") {
  struct Refuses {
    void on_begin() { throw std::runtime_error("no"); }
    void on_step(const StepReport&) {}
  };
  std::vector<std::string> calls;
  auto trainer = small_trainer();
  CHECK_THROWS_WITH(trainer.fit(data(), options(2), Diary{"", &calls}, Refuses{}), "no");
  CHECK(calls == std::vector<std::string>{"begin", "end"});
}

TEST_CASE("the progress bar writes a plain line an epoch where there is no terminal") {
  std::ostringstream out;
  auto trainer = small_trainer();
  trainer.fit(data(), options(11), parade::ProgressBar{out}, parade::Validate{data()});
  std::istringstream lines{out.str()};
  std::string line;
  for (int epoch = 1; epoch <= 11; ++epoch) {
    REQUIRE(std::getline(lines, line));
    CAPTURE(line);
    const std::string number = (epoch < 10 ? " " : "") + std::to_string(epoch);
    CHECK(std::regex_match(
        line, std::regex("epoch " + number + "/11  loss [0-9.e-]+  validation loss [0-9.e-]+  accuracy [0-9.]+  [0-9.e+]+ samples/s")));
  }
  CHECK_FALSE(std::getline(lines, line));
}

TEST_CASE("the progress bar draws over its line on a terminal") {
  std::ostringstream out;
  auto trainer = small_trainer();
  trainer.fit(data(), options(2), parade::ProgressBar{out, true});
  const std::string text = out.str();
  CAPTURE(text);
  CHECK(std::regex_search(text, std::regex("\repoch 1/2 \\[=*> *\\] +[0-9]+ %  loss [0-9.e-]+.*\x1b\\[K")));
  CHECK(std::regex_search(text, std::regex("\repoch 2/2  loss [0-9.e-]+  [0-9.e+]+ samples/s\x1b\\[K\n$")));

  out.str("");
  parade::ProgressBar slow{out, true};
  slow.on_begin();
  slow.on_step({.step = 1, .epoch = 1, .epochs = 3, .samples_done = 10, .samples = 50});
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  slow.on_step({.step = 2, .epoch = 1, .epochs = 3, .samples_done = 20, .samples = 50});  // 20 samples in 0.15 s or more, 130 to go
  CHECK(std::regex_search(out.str(), std::regex("[0-9]+ samples/s  [1-9][0-9]* s left\x1b\\[K$")));

  parade::ProgressBar bar{out, true};
  for (const Index done : {0, 25, 50}) {  // a full bar is as wide as an empty one
    out.str("");
    bar.on_begin();
    bar.on_step({.step = 1, .epoch = 1, .epochs = 2, .samples_done = done, .samples = 50});
    const auto open = out.str().find('['), close = out.str().find(']');
    REQUIRE(close != std::string::npos);
    CHECK(close - open == 31);
  }
}

TEST_CASE("the progress bar says of a file what is read, the rates and what is left") {
  using Bar = parade::ProgressBar;
  StepReport step{.step = 7, .epoch = 3, .epochs = 10, .samples_done = 412000, .samples = 1250000, .loss = 0.12341};
  // 412000 of 1250000 samples in 1.6 s: 257500/s, and 7 · 1250000 + 838000 more at that rate
  CHECK(Bar::line(step, 412000, 1.6) == "epoch  3/10 [=========>                    ]  32 %  loss 0.1234  258000 samples/s  37 s left");
  step.bytes = 6'000'000'000;
  step.bytes_done = 2'096'000'000;
  CHECK(Bar::line(step, 412000, 1.6) ==
        "epoch  3/10 [===>      ]  32 %  loss 0.1234  412000 of 1250000 samples  2.1 GB of 6 GB  258000 samples/s  1.24 GB/s  37 s left");
  CHECK(Bar::line(step, 0, 0) ==  // no rate yet
        "epoch  3/10 [===>      ]  32 %  loss 0.1234  412000 of 1250000 samples  2.1 GB of 6 GB");
  step.epoch = 10, step.samples_done = 1250000, step.bytes_done = step.bytes;
  CHECK(Bar::line(step, 1250000, 500) ==
        "epoch 10/10 [==========] 100 %  loss 0.1234  1250000 of 1250000 samples  6 GB of 6 GB  2500 samples/s  12 MB/s  0 s left");

  EpochReport epoch;
  epoch.epoch = 3, epoch.epochs = 10, epoch.samples = 1250000, epoch.loss = 0.1189, epoch.seconds = 4;
  CHECK(Bar::line(epoch) == "epoch  3/10  loss 0.1189  313000 samples/s");
  epoch.bytes = 6'000'000'000;
  CHECK(Bar::line(epoch) == "epoch  3/10  loss 0.1189  313000 samples/s  1.5 GB/s");
}

TEST_CASE("bytes and times are printed to three digits, and in two units") {
  using parade::detail::bytes_text, parade::detail::seconds_text;
  const std::vector<std::pair<double, std::string>> bytes{{0, "0 B"},         {1, "1 B"},
                                                          {999, "999 B"},     {999.4, "999 B"},
                                                          {999.6, "1 kB"},    {1000, "1 kB"},
                                                          {1044, "1.04 kB"},  {999'400, "999 kB"},
                                                          {999'900, "1 MB"},  {15'250'000, "15.2 MB"},
                                                          {6e9, "6 GB"},      {2.5e12, "2.5 TB"},
                                                          {3e15, "3 PB"},     {999.4e15, "999 PB"},
                                                          {1e18, "1 EB"},     {0x1p64, "18.4 EB"},
                                                          {2.5e21, "2.5 ZB"}, {999e30, "999 QB"},
                                                          {1e33, "> 999 QB"}, {std::numeric_limits<double>::infinity(), "> 999 QB"}};
  for (const auto& [count, text] : bytes) CHECK(bytes_text(count) == text);
  const std::vector<std::pair<double, std::string>> times{{0, "0 s"},
                                                          {0.6, "1 s"},
                                                          {59.4, "59 s"},
                                                          {59.6, "1 min"},
                                                          {60, "1 min"},
                                                          {200, "3 min 20 s"},
                                                          {3599.6, "1 h"},
                                                          {3629, "1 h"},
                                                          {12000, "3 h 20 min"},
                                                          {86399, "1 d"},
                                                          {200000, "2 d 8 h"},
                                                          {std::numeric_limits<double>::infinity(), "years"},
                                                          {std::nan(""), "years"}};
  for (const auto& [seconds, text] : times) CHECK(seconds_text(seconds) == text);
}

TEST_CASE("a rate is reduced where the loss stays on a plateau") {
  parade::ReduceOnPlateau plateau{.factor = 0.5, .patience = 1, .threshold = 0, .smallest = 0.2};
  plateau.on_begin();
  std::vector<double> factors;
  const auto see = [&](double loss) {
    EpochReport report;
    report.loss = loss;
    plateau.on_epoch(report);
    factors.push_back(plateau.rate_factor());
  };
  for (const double loss : {5.0, 4.0, 4.0, 4.0, 4.0, 4.0, 3.0, std::nan(""), 3.0, 3.5, 3.5}) see(loss);
  CHECK(factors == std::vector<double>{1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2});
  CHECK(plateau.best == 3);

  parade::ReduceOnPlateau share{.patience = 0, .threshold = 0.1};
  share.on_begin();
  EpochReport report;
  report.loss = 100;
  report.validation.emplace();
  for (const auto& [loss, factor] : std::vector<std::pair<double, double>>{{-2, 1}, {-2.1, 0.1}, {-2.3, 0.1}, {-2.4, 0.01}}) {
    report.validation->loss = loss;  // it goes before the loss in training
    share.on_epoch(report);
    CHECK(share.rate_factor() == Approx(factor));
  }
}

TEST_CASE("a rate that a callback reduces is the rate of the next steps, and of the reports") {
  struct Rates {
    std::vector<double>* rates;
    void on_step(const StepReport& report) { rates->push_back(report.rate); }
  };
  struct Half {
    double factor = 1;
    double rate_factor() const { return factor; }
    void on_epoch(const EpochReport&) { factor /= 2; }
  };
  std::vector<double> rates;
  const auto summary = small_trainer().fit(data(), options(3), Rates{&rates}, Half{}, Half{});
  CHECK(rates == std::vector<double>{0.1, 0.1, 0.1, 0.1 / 4, 0.1 / 4, 0.1 / 4, 0.1 / 16, 0.1 / 16, 0.1 / 16});
  CHECK(summary.history[2].rate == 0.1 / 16);
  CHECK(summary.theta_hash != hash_after(3));

  struct Wrong {
    double rate_factor() const { return -1; }
    void on_epoch(const EpochReport&) {}
  };
  CHECK_THROWS_AS(small_trainer().fit(data(), options(1), Wrong{}), parade::OptionError);
  for (const auto& bad : {parade::ReduceOnPlateau{.factor = 1}, parade::ReduceOnPlateau{.patience = -1},
                          parade::ReduceOnPlateau{.threshold = 1}, parade::ReduceOnPlateau{.smallest = 2}})
    CHECK_THROWS_AS(small_trainer().fit(data(), options(1), parade::ReduceOnPlateau(bad)), parade::OptionError);
}
