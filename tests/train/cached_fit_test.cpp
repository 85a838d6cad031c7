// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <parade/callbacks/validate.hpp>
#include <parade/data/cache.hpp>
#include <parade/data/cached.hpp>
#include <parade/data/splits.hpp>
#include <parade/layers/dense.hpp>
#include <parade/layers/dropout.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/linear.hpp>
#include <parade/models/sequential.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/sparse.hpp"
#include "support/temporary_folder.hpp"
#include "support/training.hpp"

namespace cached_fit_test {

// Training from a cache gives what training in memory in the same order gives, bit for bit.

namespace {

using namespace parade;

constexpr Index n = 203, d = 40;

struct Case {
  Index rows, blocks, batch;  // a block, a window, a step
};
const std::vector<Case> cases{{1, 1, 1},   {1, 3, 7},  {7, 1, 3},    {7, 4, 10},     {7, 4, 64},
                              {16, 2, 32}, {50, 3, 8}, {203, 1, 50}, {1000, 5, 203}, {25, 99, 20}};

Vector<double> some_weights() {
  Vector<double> weights(n);
  for (Index i = 0; i < n; ++i) weights[i] = i % 11 == 3 ? 0 : 0.25 * static_cast<double>(1 + i % 7);
  return weights;
}

auto sparse_trainer() { return Trainer{Linear<float>{d, 1}, Logistic{}, sparse::Both{.l2 = 0.01, .l1 = 0.001}, Sgd{.rate = 0.3}}; }

/// A network whose dropout is keyed by the index of the sample.
auto dense_trainer() {
  return Trainer{Sequential<float, Dense, Dropout, Dense>{Dense{d, 6}, Dropout{0.3}, Dense{6, 3}}, SoftmaxCrossEntropy{}, NoRegularizer{},
                 Sgd{.rate = 0.1, .momentum = 0.5}};
}

/// Does something to the file in a step, and keeps θ of the last one.
template <class T, class Act>
struct InStep {
  const T& trainer;
  std::int64_t step;
  Act act;
  Vector<float> theta = {};
  std::int64_t last = 0;

  void on_step(const StepReport& report) {
    if (report.step == step) act();
    theta = trainer.theta();
    last = report.step;
  }
};

}  // namespace

TEST_CASE("training on sparse rows from a cache gives the bits of training in memory in the same order") {
  const TemporaryFolder folder;
  const auto file = folder.path / "rows.cache";
  const auto rows = sparse::random_rows<float>(d, n, 2, GENERATE(true, false)).with_weights(some_weights());
  auto trainer = sparse_trainer();
  for (const auto& [block, blocks, batch] : cases) {
    CAPTURE(block, blocks, batch);
    write_cache(file, rows, {.rows_per_block = block});
    const CachedRows<float> cached{file, {.window_blocks = blocks}};
    CHECK(cached.windows() == WindowShuffle{block, blocks});
    FitOptions options{.epochs = 3, .batch_size = batch, .seed = 4, .threads = 1, .windows = cached.windows()};
    const Summary expected = trainer.fit(rows, options);
    const Evaluation evaluated = trainer.evaluate(rows);
    const Matrix<float> scores = trainer.scores(rows);
    for (const int threads : {1, 2, 3, 8}) {
      CAPTURE(threads);
      options.threads = threads;
      if (threads == 3) options.windows = {};
      const Summary found = trainer.fit(cached, options);
      CHECK(found.theta_hash == expected.theta_hash);
      CHECK(found.steps == expected.steps);
      CHECK(found.samples == n);
      CHECK(found.history.back().loss == expected.history.back().loss);
      const Evaluation again = trainer.evaluate(cached);
      CHECK(again.loss == evaluated.loss);
      CHECK(again.accuracy == evaluated.accuracy);
      CHECK(again.confusion == evaluated.confusion);
      CHECK(trainer.scores(cached) == scores);
      if (threads == 3) CHECK(trainer.metrics(cached).log_loss == trainer.metrics(rows).log_loss);
    }
  }
}

TEST_CASE("the reports of training from a cache count the bytes of its blocks, those of data in memory none") {
  struct Bytes {
    std::vector<std::uint64_t> done = {}, of = {}, epochs = {};
    void on_step(const StepReport& report) {
      done.push_back(report.bytes_done);
      of.push_back(report.bytes);
    }
    void on_epoch(const EpochReport& report) { epochs.push_back(report.bytes); }
  };
  const TemporaryFolder folder;
  const auto file = folder.path / "rows.cache";
  const auto rows = sparse::random_rows<float>(d, n, 2);
  write_cache(file, rows, {.rows_per_block = 50});
  const CacheFile cache{file};
  std::vector<std::uint64_t> blocks;
  std::uint64_t all = 0;
  for (Index b = 0; b < cache.info().blocks; ++b) {
    const auto entries = static_cast<std::uint64_t>(cache.entries(b)), count = static_cast<std::uint64_t>(cache.rows(b));
    blocks.push_back((count * 8 + entries * (cache.info().all_ones ? 4 : 8) + 7) / 8 * 8);  // a label and a length a row
    all += blocks.back();
  }
  REQUIRE(blocks.size() == 5);
  CHECK(all == cache.info().bytes - 128 - 5 * 16 - 3 * 8);  // but header, index and an empty schema
  auto trainer = sparse_trainer();
  Bytes bytes;
  FitOptions options{.epochs = 2, .batch_size = 50, .shuffle = false};
  const Summary summary = trainer.fit(CachedRows<float>{file, {.window_blocks = 2}}, options, bytes);
  const std::uint64_t one = blocks[0] + blocks[1], two = one + blocks[2] + blocks[3];
  CHECK(bytes.done == std::vector{one, one, two, two, all, one, one, two, two, all});
  CHECK(bytes.of == std::vector(10, all));
  CHECK(bytes.epochs == std::vector(2, all));
  CHECK(summary.history[1].bytes == all);

  bytes = {};
  trainer.fit(rows, options, bytes);
  CHECK(bytes.done == std::vector<std::uint64_t>(10, 0));
  CHECK(bytes.epochs == std::vector<std::uint64_t>(2, 0));
}

TEST_CASE("steps on a cache that all threads share give the bits of memory") {
  const TemporaryFolder folder;
  constexpr Index rows = 700, features = 2000, entries = 40;
  const Random random(29, Purpose::user, 2);
  std::uint64_t at = 0;
  Vector<std::int64_t> offsets(rows + 1);
  Vector<std::int32_t> indices(rows * entries);
  Vector<Label> labels(rows);
  for (Index i = 0; i <= rows; ++i) offsets[i] = i * entries;
  for (Index i = 0; i < rows; ++i) {
    for (Index e = 0; e < entries; ++e)
      indices[i * entries + e] = static_cast<std::int32_t>(50 * e + static_cast<Index>(random.below(at++, 50)));
    labels[i] = static_cast<Label>(random.below(at++, 2));
  }
  const auto data = SparseRows<float>(offsets, indices, {}, features).with_labels(labels);
  write_cache(folder.path / "rows", data, {.rows_per_block = 37});
  const CachedRows<float> cached{folder.path / "rows", {.window_blocks = 5}};
  Trainer trainer{Linear<float>{features, 1}, Logistic{}, sparse::Both{.l2 = 0.01, .l1 = 0.0001}, Sgd{.rate = 1}};
  FitOptions options{.epochs = 2, .batch_size = 150, .seed = 2, .threads = 1, .windows = cached.windows()};
  const std::uint64_t expected = trainer.fit(data, options).theta_hash;
  for (const int threads : training::thread_counts) {
    options.threads = threads;
    CAPTURE(threads);
    CHECK(trainer.fit(cached, options).theta_hash == expected);
  }
}

TEST_CASE("training on dense samples from a cache gives the bits of training in memory in the same order") {
  const TemporaryFolder folder;
  const auto file = folder.path / "dense.cache";
  const auto data = training::labelled_data<float>(d, n, 3).with_weights(some_weights()).with_scale(0.5, 0.125);
  auto trainer = dense_trainer();
  for (const auto& [block, blocks, batch] : {cases[1], cases[3], cases[4], cases[6], cases[9]}) {
    CAPTURE(block, blocks, batch);
    write_cache(file, data, {.rows_per_block = block});
    const CachedDense<float> cached{file, {.window_blocks = blocks}};
    FitOptions options{.epochs = 2, .batch_size = batch, .seed = 4, .threads = 1, .windows = cached.windows()};
    const Summary expected = trainer.fit(data, options);
    const Evaluation evaluated = trainer.evaluate(data);
    const Matrix<float> scores = trainer.scores(data);
    for (const int threads : {1, 2, 8}) {
      CAPTURE(threads);
      options.threads = threads;
      const Summary found = trainer.fit(cached, options, Validate{cached});
      CHECK(found.theta_hash == expected.theta_hash);
      CHECK(found.history.back().validation->loss == evaluated.loss);
      CHECK(trainer.evaluate(cached).confusion == evaluated.confusion);
      CHECK(trainer.scores(cached) == scores);
      CHECK(trainer.predict(cached) == trainer.predict(data));
      CHECK(trainer.accuracy(cached) == evaluated.accuracy);
      CHECK(trainer.metrics(cached).log_loss == trainer.metrics(data).log_loss);
    }
  }
}

TEST_CASE("variance-reduced gradients and residuals of a cache have the bits of memory") {
  const TemporaryFolder folder;
  const auto file = folder.path / "dense.cache";
  const auto data = training::labelled_data<float>(d, n, 3).with_weights(some_weights());
  auto trainer = dense_trainer();
  for (const auto& [block, blocks, batch] : {cases[1], cases[3], cases[6], cases[9]}) {
    CAPTURE(block, blocks, batch);
    write_cache(file, data, {.rows_per_block = block});
    const CachedDense<float> cached{file, {.window_blocks = blocks}};
    FitOptions options{.epochs = 5, .batch_size = batch, .seed = 4, .threads = 1, .svrg = 2, .windows = cached.windows()};
    const std::uint64_t expected = trainer.fit(data, options).theta_hash;
    const double residual = trainer.residual(data, 0.5);
    options.svrg = 0;
    CHECK(trainer.fit(data, options).theta_hash != expected);
    for (const int threads : {1, 3}) {
      options.threads = threads;
      options.svrg = 2;
      CHECK(trainer.fit(cached, options).theta_hash == expected);
      CHECK(trainer.residual(cached, 0.5) == residual);
      options.epochs = 2;  // in parts
      trainer.fit(cached, options);
      options.epochs = 3;
      options.warm_start = true;
      CHECK(trainer.fit(cached, options).theta_hash == expected);
      options.warm_start = false;
      options.epochs = 5;
    }
  }

  // What is not finite at an anchor is named as in memory.
  Matrix<float> x = data.values();
  x(3, 77) = 3e38F;
  const auto bad = DenseData<float>(std::move(x)).with_labels(data.labels());
  write_cache(file, bad, {.rows_per_block = 10});
  const CachedDense<float> cached{file, {.window_blocks = 2}};
  const FitOptions options{.epochs = 2, .batch_size = 9, .seed = 4, .threads = 2, .svrg = 1, .windows = cached.windows()};
  const Summary expected = trainer.fit(bad, options), found = trainer.fit(cached, options);
  CHECK(found.stop_reason == StopReason::diverged);
  CHECK(found.theta_hash == expected.theta_hash);
  REQUIRE(found.divergences.size() == expected.divergences.size());
  CHECK(found.divergences[0].text() == expected.divergences[0].text());
}

TEST_CASE("partial_fit on a window is a step on the samples that it says, in its order") {
  const TemporaryFolder folder;
  const auto file = folder.path / "cache";
  const auto check = [](auto& trainer, const auto& data, const auto& cached) {
    const auto stream = cached.open({.batch_size = 4, .seed = 9, .epochs = 2});
    std::vector<Vector<float>> seen;
    std::vector<BatchSum> sums;
    std::vector<std::vector<Index>> samples;
    trainer.initialize(2);
    for (int epochs = 0; epochs < 2;) {
      const auto& window = stream->next();
      samples.emplace_back();
      for (const Index name : window.samples()) samples.back().push_back(window.number(name));
      if (samples.back().empty()) samples.pop_back();
      if (!window.samples().empty()) {
        sums.push_back(trainer.partial_fit(window, {.seed = 5, .threads = 2}));
        seen.push_back(trainer.theta());
      }
      epochs += window.ends_epoch() ? 1 : 0;
    }
    trainer.initialize(2);
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const BatchSum sum = trainer.partial_fit(samples_of(data, samples[i]), {.seed = 5, .threads = 1});
      CHECK(sum.loss == sums[i].loss);
      CHECK(sum.samples == static_cast<Index>(samples[i].size()));
      CHECK(trainer.theta() == seen[i]);
    }
  };
  const auto rows = sparse::random_rows<float>(d, n).with_weights(some_weights());
  write_cache(file, rows, {.rows_per_block = 7});
  auto sparse_one = sparse_trainer();
  check(sparse_one, rows, CachedRows<float>{file, {.window_blocks = 3}});
  {  // what is evaluated is all that a window holds
    const auto stream = CachedRows<float>{file, {.window_blocks = 3}}.open({.batch_size = 4, .epochs = 1});
    const auto& window = stream->next();
    CHECK(window.samples().size() < static_cast<std::size_t>(window.size()));
    std::vector<Index> all;
    for (Index i = 0; i < window.size(); ++i) all.push_back(window.number(i));
    CHECK(sparse_one.scores(window) == sparse_one.scores(samples_of(rows, all)));
    CHECK(sparse_one.evaluate(window).samples == sparse_one.evaluate(samples_of(rows, all)).samples);
  }

  const auto data = training::labelled_data<float>(d, n, 3).with_weights(some_weights());
  write_cache(file, data, {.rows_per_block = 7});
  Trainer dense_one{Linear<float>{d, 3}, SoftmaxCrossEntropy{}, NoRegularizer{}, Sgd{.rate = 0.1, .momentum = 0.5}};
  check(dense_one, data, CachedDense<float>{file, {.window_blocks = 3}});

  // What a window brings is checked, and named by its number in the whole.
  Vector<Label> labels = rows.labels();
  labels[150] = 5;
  write_cache(file, rows.with_labels(labels), {.rows_per_block = 7});
  const CachedRows<float> bad{file, {.window_blocks = 3}};
  const auto stream = bad.open({.batch_size = 4, .epochs = 1, .shuffle = false});
  const auto run_all = [&] {
    for (bool more = true; more;) {
      const auto& window = stream->next();
      sparse_one.partial_fit(window);
      more = !window.ends_epoch();
    }
  };
  CHECK_THROWS_WITH(run_all(), Catch::Matchers::ContainsSubstring("the label of sample 150 is 5"));

  // All rows that are evaluated are, also those that a window holds for the next one.
  const WindowPlan plan{.batch_size = 4, .epochs = 1};
  Index held = -1;
  {
    const auto good = CachedRows<float>{file, {.window_blocks = 3}}.open(plan);
    const auto& window = good->next();
    for (Index i = 0; i < window.size() && held < 0; ++i)
      if (std::find(window.samples().begin(), window.samples().end(), i) == window.samples().end()) held = window.number(i);
  }
  REQUIRE(held >= 0);
  labels = rows.labels();
  labels[held] = 5;
  write_cache(file, rows.with_labels(labels), {.rows_per_block = 7});
  const auto with_bad = CachedRows<float>{file, {.window_blocks = 3}}.open(plan);
  const auto& window = with_bad->next();
  const auto names_it = Catch::Matchers::ContainsSubstring("the label of sample " + std::to_string(held) + " is 5");
  CHECK_THROWS_WITH(sparse_one.evaluate(window), names_it);
  CHECK_THROWS_WITH(sparse_one.metrics(window), names_it);
  CHECK_NOTHROW(sparse_one.partial_fit(window));  // which does not visit it
}

namespace {

template <class T, class D>
concept Measures = requires(T& trainer, const D& data) {
  trainer.metrics(data);
}
|| requires(T& trainer, const D& data) { trainer.accuracy(data); }
|| requires(T& trainer, const D& data) { trainer.duality_gap(data); }
|| requires(T& trainer, const D& data) { trainer.evaluate(data); };

using DenseOne = Trainer<Linear<float>, SoftmaxCrossEntropy, NoRegularizer, Sgd>;
// A window of dense data knows its samples by their numbers in the whole only, and is for partial_fit.
static_assert(Measures<DenseOne, CachedDense<float>> && Measures<DenseOne, CachedRows<float>::Window> &&
              !Measures<DenseOne, CachedDense<float>::Window>);

}  // namespace

TEST_CASE("partial_fit on a window that has no sample to visit is checked, and changes nothing") {
  const TemporaryFolder folder;
  const auto check = [](auto& trainer, auto& other, const auto& cached) {
    CAPTURE(cached.num_features());
    const WindowPlan plan{.batch_size = 70, .seed = 9, .epochs = 1};  // more than two windows hold
    Index empty = 0;
    const auto stream = cached.open(plan), same = cached.open(plan);
    for (bool more = true; more;) {
      const auto& window = stream->next();
      const bool is_empty = window.samples().empty();
      const std::int64_t steps = trainer.steps();
      if (empty == 0 && is_empty) CHECK_THROWS_AS(trainer.theta(), std::logic_error);
      const BatchSum sum = trainer.partial_fit(window, {.seed = 5});
      CHECK(sum.samples == static_cast<Index>(window.samples().size()));
      CHECK(trainer.steps() == steps + (is_empty ? 0 : 1));
      if (is_empty) {
        CHECK((sum.loss == 0 && sum.weight == 0));
        CHECK_THROWS_AS(trainer.partial_fit(window, {.threads = -1}), OptionError);
        if (empty++ == 0) CHECK_THROWS_AS(trainer.theta(), std::logic_error);
      }
      const auto& again = same->next();
      if (!again.samples().empty()) other.partial_fit(again, {.seed = 5});
      more = !window.ends_epoch();
    }
    CHECK(empty > 0);
    CHECK(trainer.theta() == other.theta());
  };
  write_cache(folder.path / "rows", sparse::random_rows<float>(d, n), {.rows_per_block = 7});
  auto a = sparse_trainer(), b = sparse_trainer();
  check(a, b, CachedRows<float>{folder.path / "rows", {.window_blocks = 3}});
  write_cache(folder.path / "dense", training::labelled_data<float>(d, n, 3), {.rows_per_block = 7});
  const auto dense_trainer = [] {
    return Trainer{Linear<float>{d, 3}, SoftmaxCrossEntropy{}, NoRegularizer{}, Sgd{.rate = 0.1, .momentum = 0.5}};
  };
  auto x = dense_trainer(), y = dense_trainer();
  check(x, y, CachedDense<float>{folder.path / "dense", {.window_blocks = 3}});
  // One of another shape is refused all the same.
  write_cache(folder.path / "wide", sparse::random_rows<float>(d + 1, n), {.rows_per_block = 7});
  const auto stream = CachedRows<float>{folder.path / "wide", {.window_blocks = 1}}.open({.batch_size = 70});
  const auto& window = stream->next();
  REQUIRE(window.samples().empty());
  CHECK_THROWS_AS(a.partial_fit(window), DataError);
}

TEST_CASE("a window that holds all blocks is the order of data in memory, and no shuffling that of the file") {
  const TemporaryFolder folder;
  const auto rows = sparse::random_rows<float>(d, n);
  write_cache(folder.path / "rows", rows, {.rows_per_block = 10});
  auto trainer = sparse_trainer();
  FitOptions options{.epochs = 2, .batch_size = 9, .seed = 3, .threads = 2};
  CHECK(trainer.fit(CachedRows<float>{folder.path / "rows"}, options).theta_hash == trainer.fit(rows, options).theta_hash);
  options.shuffle = false;
  CHECK(trainer.fit(CachedRows<float>{folder.path / "rows", {.window_blocks = 2}}, options).theta_hash ==
        trainer.fit(rows, options).theta_hash);
}

TEST_CASE("a run on a cache goes on after a warm start, and ends where a callback says so") {
  const TemporaryFolder folder;
  const auto rows = sparse::random_rows<float>(d, n);
  write_cache(folder.path / "rows", rows, {.rows_per_block = 10});
  const CachedRows<float> cached{folder.path / "rows", {.window_blocks = 3}};
  auto trainer = sparse_trainer();
  FitOptions options{.epochs = 4, .batch_size = 9, .seed = 3, .threads = 2};
  const std::uint64_t expected = trainer.fit(cached, options).theta_hash;
  options.epochs = 1;
  trainer.fit(cached, options);
  options.epochs = 3;
  options.warm_start = true;
  CHECK(trainer.fit(cached, options).theta_hash == expected);
  options.warm_start = false;
  struct Stop {
    Signal on_step(const StepReport& report) const { return report.step == 5 ? Signal::stop : Signal::go_on; }
  };
  CHECK(trainer.fit(cached, options, Stop{}).steps == 5);
  CHECK(trainer.steps() == 5);
  options.epochs = 0;
  CHECK(trainer.fit(cached, options).steps == 0);
}

TEST_CASE("a cache that is cut off or changed while it is trained on ends the run with an error, and leaves the last step") {
  const TemporaryFolder folder;
  const auto file = folder.path / "rows";
  const auto rows = sparse::random_rows<float>(d, n);
  auto trainer = sparse_trainer();
  const FitOptions options{.epochs = 20, .batch_size = 9, .seed = 3, .threads = 2};
  const int what = GENERATE(0, 1, 2);
  CAPTURE(what);
  write_cache(file, rows, {.rows_per_block = 10});
  const CachedRows<float> cached{file, {.window_blocks = 3}};
  const auto act = [&] {
    if (what == 0) {
      std::filesystem::resize_file(file, 200);
    } else if (what == 1) {
      std::fstream out{file, std::ios::binary | std::ios::in | std::ios::out};
      for (std::uint64_t at = 128; at < cached.info().bytes; at += 64) {
        out.seekp(static_cast<std::streamoff>(at));
        out.put('\x55');
      }
    } else {
      std::filesystem::remove(file);
    }
  };
  InStep<decltype(trainer), decltype(act)> in_step{trainer, 4, act};
  if (what == 2) {  // it stays open
    const std::uint64_t expected = trainer.fit(cached, options).theta_hash;
    CHECK(trainer.fit(cached, options, in_step).theta_hash == expected);
    return;
  }
  std::string message;
  try {
    trainer.fit(cached, options, in_step);
  } catch (const FileError& error) {
    message = error.what();
  }
  CAPTURE(message);
  CHECK(message.find(file.string() + ": ") == 0);
  CHECK(message.find("block ") != std::string::npos);
  CHECK(in_step.last >= 4);
  CHECK(trainer.steps() == in_step.last);
  CHECK(trainer.theta() == in_step.theta);
  CHECK_THROWS_AS(trainer.fit(cached, options), FileError);
  CHECK_THROWS_AS(trainer.evaluate(cached), FileError);
  CHECK(trainer.theta() == in_step.theta);
  trainer.fit(rows, options);
}

TEST_CASE("what a cache cannot be fitted with is refused before anything is changed") {
  const TemporaryFolder folder;
  const auto rows = sparse::random_rows<float>(d, n);
  write_cache(folder.path / "rows", rows, {.rows_per_block = 10});
  const CachedRows<float> cached{folder.path / "rows", {.window_blocks = 3}};
  auto trainer = sparse_trainer();
  trainer.initialize(7);
  const Vector<float> theta = trainer.theta();
  CHECK_THROWS_WITH(trainer.fit(cached, {.svrg = 1}),
                    Catch::Matchers::ContainsSubstring("svrg must be 0 on sparse rows with this optimizer"));
  CHECK_THROWS_WITH(trainer.fit(cached, {.windows = {.block = 10, .blocks = 2}}),
                    "windows must be those of the data, 10 samples and 3 blocks, or not be given; got 10 and 2");
  CHECK_THROWS_WITH(trainer.fit(rows, {.windows = {.block = -1}}), "windows.block must be at least 1 sample, or 0 for no windows; got -1");
  CHECK_THROWS_WITH(trainer.fit(rows, {.windows = {.block = 5, .blocks = 0}}), "windows.blocks must be at least 1; got 0");
  Vector<Label> labels = Vector<Label>::Zero(n);
  labels[150] = -1;  // in another window than the zeros that it does not go with
  write_cache(folder.path / "rows", rows.with_labels(labels), {.rows_per_block = 10});
  CHECK_THROWS_AS(trainer.fit(CachedRows<float>{folder.path / "rows", {.window_blocks = 1}}, {.batch_size = 8}), DataError);
  labels[150] = 5;
  write_cache(folder.path / "rows", rows.with_labels(labels), {.rows_per_block = 10});
  CHECK_THROWS_WITH(trainer.fit(CachedRows<float>{folder.path / "rows", {.window_blocks = 1}}, {.batch_size = 8}),
                    Catch::Matchers::ContainsSubstring("the label of sample 150 is 5"));
  CHECK(trainer.theta() == theta);
}

TEST_CASE("a step on a cache that is not finite says which sample of the whole it was") {
  const TemporaryFolder folder;
  auto rows = sparse::random_rows<float>(d, n);
  Vector<float> values = rows.values();
  for (Index j = rows.offsets()[150]; j < values.size(); ++j) values[j] = 3e38f;  // of both classes
  rows = SparseRows<float>(rows.offsets(), rows.indices(), values, d).with_labels(rows.labels());
  write_cache(folder.path / "rows", rows, {.rows_per_block = 10});
  const CachedRows<float> cached{folder.path / "rows", {.window_blocks = 3}};
  auto trainer = sparse_trainer();
  FitOptions options{
      .epochs = 3, .batch_size = 9, .seed = 3, .threads = 2, .on_divergence = OnDivergence::skip, .windows = cached.windows()};
  const Summary expected = trainer.fit(rows, options), found = trainer.fit(cached, options);
  CHECK(found.theta_hash == expected.theta_hash);
  REQUIRE(found.divergences.size() == expected.divergences.size());
  REQUIRE(!found.divergences.empty());
  for (std::size_t i = 0; i < found.divergences.size(); ++i) CHECK(found.divergences[i].text() == expected.divergences[i].text());
}

TEST_CASE("a stream of windows keeps within the memory that it was given") {
  const TemporaryFolder folder;
  const auto rows = sparse::random_rows<float>(d, n).with_weights(some_weights());
  write_cache(folder.path / "rows", rows, {.rows_per_block = 5});
  const auto memory = static_cast<std::size_t>(GENERATE(1500, 3000, 10000, 1 << 20));
  const CachedRows<float> cached{folder.path / "rows", {.memory = memory}};
  const auto stream = cached.open({.batch_size = 1, .seed = 1, .epochs = 3});
  Index samples = 0;
  for (int epoch = 0; epoch < 3; ++epoch)
    for (bool more = true; more;) {
      const auto& window = stream->next();
      samples += window.size();
      more = !window.ends_epoch();
      CHECK(stream->bytes() <= memory + 3 * 8 + 5 * 4);  // and the offset that is one more, and what a block is read to
    }
  CHECK(samples == 3 * n);
  CHECK_THROWS_AS(stream->next(), std::logic_error);
  for (const Index blocks : {0, 1, 3, 20, 1000}) {  // what the error asks for is enough, and no byte less is
    CAPTURE(blocks);
    const auto error_of = [&](std::size_t bytes) -> std::string {
      try {
        const CachedRows<float> opened{folder.path / "rows", {.memory = bytes, .window_blocks = blocks}};
        return "";
      } catch (const OptionError& error) {
        return error.what();
      }
    };
    const std::string error = error_of(1);
    CHECK_THAT(error, Catch::Matchers::ContainsSubstring("memory must hold two windows of ") &&
                          Catch::Matchers::ContainsSubstring(" bytes (1 MiB); got 1"));
    const std::string at_least = "at least ";
    REQUIRE(error.find(at_least) != std::string::npos);
    const std::size_t needed = std::stoul(error.substr(error.find(at_least) + at_least.size()));
    CHECK(error_of(needed).empty());
    CHECK(error_of(needed - 1) == error.substr(0, error.size() - 1) + std::to_string(needed - 1));
  }
}

}  // namespace cached_fit_test
