// SPDX-License-Identifier: MIT
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <parade/constraints/no_constraint.hpp>
#include <parade/engine/parallel_gradient.hpp>
#include <parade/engine/serial_gradient.hpp>
#include <parade/engine/update.hpp>
#include <parade/losses/hinge.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/linear.hpp>
#include <parade/models/mlp.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l2.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace gradient_test {

namespace {

using parade::Activation, parade::BatchSum, parade::DenseData, parade::Index, parade::Linear, parade::Mlp, parade::ParallelGradient;
using parade::SerialGradient, parade::Vector;
using training::EigenModel;

template <class S>
Vector<S> start_of(const parade::Model auto& model) {
  return static_cast<S>(0.3) * training::random_vector<S>(parade::ParameterList(model.parameters()).size(), 9);
}

bool same(const BatchSum& a, const BatchSum& b) { return a.loss == b.loss && a.weight == b.weight && a.samples == b.samples; }

/// Every batch size, shard size and number of threads against the serial oracle, bit for bit.
template <class M, class L, class S = typename M::Scalar>
void check_bits(const M& model, const L& loss, const DenseData<S>& data, const std::vector<Index>& shard_sizes = {1, 7, 32, 1000}) {
  const Vector<S> theta = start_of<S>(model);
  std::vector<Index> order = training::first_samples(data.size());
  std::reverse(order.begin(), order.end());
  for (const Index shard_size : shard_sizes) {
    const SerialGradient<M, L> serial(model, loss, shard_size);
    std::vector<Index> batch_sizes{1, 2, 31, 32, 33, 97, 128, data.size()};
    std::erase_if(batch_sizes, [&](Index b) { return b > data.size(); });
    std::vector<Vector<S>> expected(batch_sizes.size());
    std::vector<BatchSum> sums;
    for (std::size_t i = 0; i < batch_sizes.size(); ++i) {
      const auto samples = std::span<const Index>(order).first(static_cast<std::size_t>(batch_sizes[i]));
      sums.push_back(serial.sum(theta, data, samples, expected[i]));
      REQUIRE(expected[i].allFinite());
      REQUIRE(sums.back().samples == batch_sizes[i]);
    }
    for (const int threads : training::thread_counts)
      for (const auto tape : {parade::UseTape::always, parade::UseTape::never}) {
        ParallelGradient<M, L> engine(model, loss, {.threads = threads, .shard_size = shard_size, .tape = tape});
        Vector<S> grad;
        for (std::size_t i = 0; i < batch_sizes.size(); ++i) {
          CAPTURE(threads, shard_size, batch_sizes[i], sizeof(S), tape == parade::UseTape::always);
          const auto samples = std::span<const Index>(order).first(static_cast<std::size_t>(batch_sizes[i]));
          const BatchSum sum = engine.sum(theta, data, samples, grad);
          REQUIRE(parade::theta_hash(grad) == parade::theta_hash(expected[i]));
          REQUIRE(same(sum, sums[i]));
        }
      }
  }
}

/// A model on which some calls take long, so that shards finish in another order than they began.
template <class Base>
struct Sleepy : Base {
  using Base::Base;
  std::atomic<int>* calls = nullptr;

  template <class Theta>
  auto forward(const Theta& theta, const parade::ConstMatrixRef<typename Base::Scalar>& x, typename Base::Workspace& workspace) const {
    if (calls && (*calls)++ % 3 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
    return Base::forward(theta, x, workspace);
  }
};

auto says(const char* words) {
  return Catch::Matchers::Predicate<std::exception>(
      [words](const auto& error) { return std::string(error.what()).find(words) != std::string::npos; }, words);
}

}  // namespace

TEMPLATE_TEST_CASE("the gradient of a linear model has the bits of the serial one on any number of threads", "", float, double) {
  using S = TestType;
  check_bits(Linear<S>(9, 4), parade::SoftmaxCrossEntropy{}, training::labelled_data<S>(9, 211, 4));
  check_bits(Linear<S>(5, 3), parade::SquaredError{}, training::regression_data<S>(5, 211, 3), {7});
  check_bits(Linear<S>(5, 1), parade::Logistic{}, training::labelled_data<S>(5, 211, 2), {7});
  check_bits(Linear<S>(5, 1), parade::Hinge{}, training::labelled_data<S>(5, 211, 2), {7});
}

TEMPLATE_TEST_CASE("the gradient of an Mlp has the bits of the serial one on any number of threads", "", float, double) {
  using S = TestType;
  const auto data = training::labelled_data<S>(11, 211, 3);
  check_bits(Mlp<S>{11, 13, 5, 3}, parade::SoftmaxCrossEntropy{}, data);
  for (const auto activation : {Activation::tanh, Activation::sigmoid})
    check_bits(Mlp<S>({11, 13, 3}, activation), parade::SoftmaxCrossEntropy{}, data, {7, 0});
  check_bits(Mlp<S>{11, 7, 2}, parade::SquaredError{}, training::regression_data<S>(11, 150, 2), {0});
}

TEMPLATE_TEST_CASE("the gradient of weighted samples has the bits of the serial one on any number of threads", "", float, double) {
  using S = TestType;
  const auto data = training::labelled_data<S>(11, 211, 3).with_weights(training::sample_weights(211));
  check_bits(Mlp<S>{11, 13, 3}, parade::SoftmaxCrossEntropy{}, data, {1, 32});
}

TEMPLATE_TEST_CASE("the gradient of a user's Eigen model has the bits of the serial one on any number of threads", "", float, double) {
  using S = TestType;
  training::OpenMpSettings settings;
  settings.threads(4);  // or Eigen would not start threads of its own on a machine of one core
  check_bits(EigenModel<S>{1000, 24, 5}, parade::SoftmaxCrossEntropy{}, training::labelled_data<S>(1000, 140, 5), {7, 32, 1000});
}

TEST_CASE("shards that finish in another order, as their threads please, are summed in their own order") {
  using Model = Sleepy<Mlp<float>>;
  const auto data = training::labelled_data<float>(6, 130, 3);
  const auto samples = training::first_samples(130);
  Model model{6, 9, 3};
  const Vector<float> theta = start_of<float>(model);
  Vector<float> expected, grad;
  SerialGradient<Model, parade::SoftmaxCrossEntropy>(model, {}, 5).sum(theta, data, samples, expected);
  std::atomic<int> calls{0};
  model.calls = &calls;
  for (const int threads : training::thread_counts) {
    CAPTURE(threads);
    ParallelGradient<Model, parade::SoftmaxCrossEntropy> engine(model, {}, {.threads = threads, .shard_size = 5});
    for (int repeat = 0; repeat < 5; ++repeat) {
      engine.sum(theta, data, samples, grad);
      REQUIRE(parade::theta_hash(grad) == parade::theta_hash(expected));
    }
  }
}

TEMPLATE_TEST_CASE("the gradient of many shards is that of one shard up to rounding", "", float, double) {
  using S = TestType;
  const auto check = [](const auto& model, const auto& data) {
    using M = std::remove_cvref_t<decltype(model)>;
    const Vector<S> theta = start_of<S>(model);
    const Index d = data.num_features();
    for (const Index b : {1, 2, 31, 33, 97, 130}) {
      const auto samples = training::first_samples(b);
      const std::span<const Index> all(samples);
      Vector<S> whole, one, sharded;
      SerialGradient<M, parade::SoftmaxCrossEntropy>(model, {}, b).sum(theta, data, samples, whole);
      // An element is a sum over samples; each order of the sum, and of the sums inside a sample, errs by some eps of Σ|terms|.
      Vector<double> magnitude = Vector<double>::Zero(whole.size());
      const SerialGradient<M, parade::SoftmaxCrossEntropy> serial(model, {}, 1);
      for (std::size_t i = 0; i < samples.size(); ++i) {
        serial.sum(theta, data, all.subspan(i, 1), one);
        magnitude += one.template cast<double>().cwiseAbs();
      }
      for (const Index shard_size : {1, 7, 32}) {
        CAPTURE(b, shard_size, sizeof(S));
        ParallelGradient<M, parade::SoftmaxCrossEntropy> engine(model, {}, {.threads = 3, .shard_size = shard_size});
        const BatchSum sum = engine.sum(theta, data, samples, sharded);
        CHECK(sum.weight == static_cast<double>(b));
        const Vector<double> difference = (sharded - whole).template cast<double>().cwiseAbs();
        const double k = static_cast<double>(d + b), eps = static_cast<double>(std::numeric_limits<S>::epsilon());
        const double floor = eps * magnitude.mean();  // where the terms themselves cancel inside a sample
        CHECK((difference.array() <= k * eps * magnitude.array() + k * floor).all());
        CHECK(magnitude.minCoeff() < magnitude.maxCoeff());
      }
    }
  };
  check(Mlp<S>{11, 13, 3}, training::labelled_data<S>(11, 130, 3));
  check(EigenModel<S>{300, 10, 3}, training::labelled_data<S>(300, 130, 3));
}

TEST_CASE("a sample may stand in a batch more than once, and an empty batch gives zero") {
  const auto data = training::labelled_data<double>(4, 20, 3);
  const Linear<double> model(4, 3);
  const Vector<double> theta = start_of<double>(model);
  Vector<double> once, twice, nothing;
  ParallelGradient<Linear<double>, parade::SoftmaxCrossEntropy> engine(model, {}, {.threads = 2, .shard_size = 1});
  const std::vector<Index> three{3}, three_three{3, 3};
  engine.sum(theta, data, three, once);
  const BatchSum sum = engine.sum(theta, data, three_three, twice);
  CHECK(twice == 2 * once);
  CHECK(sum.samples == 2);
  CHECK(same(engine.sum(theta, data, {}, nothing), BatchSum{}));
  CHECK(nothing == Vector<double>::Zero(theta.size()));
  CHECK(same(SerialGradient<Linear<double>, parade::SoftmaxCrossEntropy>(model, {}).sum(theta, data, {}, twice), BatchSum{}));
  CHECK(twice == nothing);
}

TEST_CASE("data, targets and samples that do not fit are an error in both gradients") {
  const auto labelled = training::labelled_data<double>(3, 20, 3);
  const auto targets = training::regression_data<double>(3, 20, 1);
  const std::vector<Index> good{0, 19}, below{0, -1}, above{20};
  const auto refuse = [](const auto& loss, const auto& data, const std::vector<Index>& samples, const char* words) {
    using L = std::remove_cvref_t<decltype(loss)>;
    const Linear<double> model(3, 3);
    Vector<double> theta = Vector<double>::Zero(12), grad;
    ParallelGradient<Linear<double>, L> parallel(model, loss, {.threads = 2});
    const SerialGradient<Linear<double>, L> serial(model, loss);
    CHECK_THROWS_MATCHES(parallel.sum(theta, data, samples, grad), parade::DataError, says(words));
    CHECK_THROWS_MATCHES(serial.sum(theta, data, samples, grad), parade::DataError, says(words));
    theta.resize(5);
    CHECK_THROWS_MATCHES(serial.sum(theta, data, samples, grad), parade::DataError, says("theta must have"));
  };
  refuse(parade::SoftmaxCrossEntropy{}, targets, good, "label");
  refuse(parade::SquaredError{}, targets, good, "compares 3 outputs");
  refuse(parade::SoftmaxCrossEntropy{}, labelled, below, "must be in [0, n); got -1 (n = 20)");
  refuse(parade::SoftmaxCrossEntropy{}, labelled, above, "must be in [0, n); got 20 (n = 20)");
}

TEST_CASE("sum and reserve inside of a run are an error, since a late worker may still use what they would change") {
  const auto data = training::labelled_data<double>(3, 20, 3);
  ParallelGradient engine(Linear<double>(3, 3), parade::SoftmaxCrossEntropy{}, {.threads = 2});
  const Vector<double> theta = Vector<double>::Zero(12);
  Vector<double> grad;
  engine.team().run([&] {
    CHECK_THROWS_AS(engine.sum(theta, data, training::first_samples(20), grad), std::logic_error);
    CHECK_THROWS_AS(engine.reserve(data, 20), std::logic_error);
  });
  CHECK(engine.sum(theta, data, training::first_samples(20), grad).samples == 20);
}

/// A model that stops counting at an initialization of the wrong moment: reserving its workspace fails when it is told to.
struct Scarce : Linear<double> {
  using Linear<double>::Linear;
  bool* fails = nullptr;
  void reserve(Workspace& workspace, Index samples) const {
    if (*fails) throw std::bad_alloc();
    Linear<double>::reserve(workspace, samples);
  }
  using Linear<double>::reserve;
};

TEST_CASE("an engine that could not get its memory gets it at the next call") {
  const auto data = training::labelled_data<double>(3, 20, 3);
  bool fails = true;
  Scarce model(3, 3);
  model.fails = &fails;
  ParallelGradient<Scarce, parade::SoftmaxCrossEntropy> engine(model, {}, {.threads = 3, .shard_size = 2});
  const Vector<double> theta = Vector<double>::Zero(12);
  Vector<double> grad, expected;
  CHECK_THROWS_AS(engine.sum(theta, data, training::first_samples(20), grad), std::bad_alloc);
  fails = false;
  engine.sum(theta, data, training::first_samples(20), grad);
  SerialGradient(Linear<double>(3, 3), parade::SoftmaxCrossEntropy{}, 2).sum(theta, data, training::first_samples(20), expected);
  CHECK(grad == expected);
}

/// Throws for one sample; the loss below for another one, which stands in a shard before it.
struct BadData : DenseData<double> {
  explicit BadData(const DenseData<double>& data) : DenseData<double>(data) {}
  void gather(std::span<const Index> samples, parade::DenseBatch<double>& batch) const {
    if (std::count(samples.begin(), samples.end(), 20) > 0) throw std::runtime_error("data");
    DenseData<double>::gather(samples, batch);
  }
};
struct BadLoss : parade::SquaredError {
  void value_and_gradient(const parade::ConstMatrixRef<double>& z, const parade::ConstMatrixRef<double>& y,
                          parade::VectorRef<double> values, parade::MatrixRef<double> dscores) const {
    if ((y.array() == 1000).any()) throw std::runtime_error("loss");
    SquaredError::value_and_gradient(z, y, values, dscores);
  }
};

TEST_CASE("of several exceptions the first in shard order reaches the caller, also where shards are computed together") {
  parade::Matrix<double> y = parade::Matrix<double>::Zero(1, 32);
  y(0, 10) = 1000;
  const BadData data(training::regression_data<double>(3, 32, 1).with_targets(y));
  Vector<double> theta = Vector<double>::Zero(4), grad;
  for (const int threads : {1, 2, 3, 8}) {
    CAPTURE(threads);
    ParallelGradient<Linear<double>, BadLoss> engine(Linear<double>(3, 1), {}, {.threads = threads, .shard_size = 4});
    CHECK_THROWS_WITH(engine.sum(theta, data, training::first_samples(32), grad), "loss");
  }
}

/// As above, promising what lets the engine give several shards, or a part of one.
struct BadDataAlone : BadData {
  using BadData::BadData;
  using SampleBySampleOf = BadDataAlone;
};
struct BadLossAlone : BadLoss {
  using SampleBySampleOf = BadLossAlone;
};

TEST_CASE("of several exceptions the first in shard order reaches the caller, also where pieces are not shards, on several threads") {
  parade::Matrix<double> y = parade::Matrix<double>::Zero(1, 64);
  y(0, 10) = 1000;
  const BadDataAlone data{DenseData<double>(training::regression_data<double>(3, 64, 1).with_targets(y))};
  Vector<double> theta = Vector<double>::Zero(4), grad;
  for (const int threads : {1, 2, 3, 8})
    for (const Index shard_size : {4, 15, 32, 64}) {
      CAPTURE(threads, shard_size);
      ParallelGradient<Linear<double>, BadLossAlone> engine(
          Linear<double>(3, 1), {}, {.threads = threads, .shard_size = shard_size, .tape = parade::UseTape::always});
      const char* first = shard_size <= 15 ? "loss" : "data";  // a larger shard has both, and is gathered first
      CHECK_THROWS_WITH(engine.sum(theta, data, training::first_samples(64), grad), first);
    }
}

/// exp in Eigen's vectors, and in plain code for the last elements: a sample's bits follow where it stands and beside how many.
struct EigenLoss {
  using Target = parade::Real;
  template <class S>
  static void compute(const parade::ConstMatrixRef<S>& z, const parade::ConstMatrixRef<S>& y, parade::VectorRef<S> values,
                      parade::MatrixRef<S> dscores) {
    const parade::Matrix<S> e = z - y;
    dscores = e.array().exp() - S{1};
    values = (e.array().exp() - e.array() - S{1}).colwise().sum().transpose();
  }
  void value_and_gradient(const parade::ConstMatrixRef<float>& z, const parade::ConstMatrixRef<float>& y, parade::VectorRef<float> values,
                          parade::MatrixRef<float> dscores) const {
    compute<float>(z, y, values, dscores);
  }
  void value_and_gradient(const parade::ConstMatrixRef<double>& z, const parade::ConstMatrixRef<double>& y,
                          parade::VectorRef<double> values, parade::MatrixRef<double> dscores) const {
    compute<double>(z, y, values, dscores);
  }
};

TEMPLATE_TEST_CASE("a user's Eigen loss on a model with a tape has the bits of the serial gradient on any number of threads", "", float,
                   double) {
  using S = TestType;
  STATIC_REQUIRE(!parade::SampleBySample<EigenLoss>);
  for (const Index k : {3, 9, 20}) {
    check_bits(Linear<S>(10, k), EigenLoss{}, training::regression_data<S>(10, 200, k), {0});
    check_bits(Mlp<S>{10, 6, k}, EigenLoss{}, training::regression_data<S>(10, 200, k), {0});
  }
}

TEST_CASE("what was accumulated before reserve is gone, and batches with and without a tape follow each other, on several threads") {
  const auto data = training::labelled_data<double>(120, 2100, 3);
  const auto weighted = data.with_weights(training::sample_weights(2100));
  const Mlp<double> model{120, 90, 60, 3};
  const Vector<double> theta = start_of<double>(model);
  const auto samples = training::first_samples(2100);
  const SerialGradient<Mlp<double>, parade::SoftmaxCrossEntropy> serial(model, {});
  for (const int threads : {1, 2, 5}) {
    ParallelGradient<Mlp<double>, parade::SoftmaxCrossEntropy> engine(model, {}, {.threads = threads});
    REQUIRE(engine.ranges().size() >= 16);  // a tape by itself up to 1024 samples
    Vector<double> grad(theta.size()), expected;
    for (const std::size_t b : {20u, 128u, 2048u, 128u, 1024u, 1025u, 2100u, 1u}) {
      CAPTURE(threads, b);
      const auto batch = std::span<const Index>(samples).first(b);
      for (const auto& set : {data, weighted, data}) {
        engine.sum(theta, set, batch, grad);
        CHECK(engine.sum_range_computes() == (b <= 1024));
        serial.sum(theta, set, batch, expected);
        REQUIRE(grad == expected);
      }
      engine.reserve(data, static_cast<Index>(b));
      engine.team().run([&] { engine.reduce(grad); });
      REQUIRE(grad.isZero(0));
      CHECK(engine.find_not_finite(data).shard == -1);
    }
  }
}

TEST_CASE("a batch larger than was reserved for is an error that says both sizes") {
  const auto data = training::labelled_data<double>(3, 200, 3);
  ParallelGradient engine(Linear<double>(3, 3), parade::SoftmaxCrossEntropy{}, {.threads = 2, .shard_size = 400});
  const Vector<double> theta = Vector<double>::Zero(12);
  engine.team().run([&] {
    CHECK_THROWS_WITH(engine.accumulate(theta, data, training::first_samples(1)), Catch::Matchers::ContainsSubstring("0 samples; got 1"));
  });
  engine.reserve(data, 100);
  engine.team().run([&] {
    CHECK_THROWS_WITH(engine.accumulate(theta, data, training::first_samples(128)),
                      Catch::Matchers::ContainsSubstring("100 samples; got 128"));
    CHECK(engine.accumulate(theta, data, training::first_samples(100)).samples == 100);
  });
}

TEST_CASE("a model that inherits from one with a tape is used without it, one shard at a time") {
  static std::vector<Index> seen;
  struct Own : Mlp<double> {
    using Mlp<double>::Mlp;
    parade::ConstMatrixRef<double> forward(const Prepared& theta, const parade::ConstMatrixRef<double>& x, Workspace& workspace) const {
      seen.push_back(x.cols());
      return Mlp<double>::forward(theta, x, workspace);
    }
  };
  STATIC_REQUIRE(parade::Taped<Mlp<double>>);
  STATIC_REQUIRE(parade::Taped<Linear<float>>);
  STATIC_REQUIRE(!parade::Taped<Own>);
  const auto data = training::labelled_data<double>(3, 100, 2);
  ParallelGradient<Own, parade::SoftmaxCrossEntropy> engine(Own{3, 5, 2}, {}, {.threads = 1});
  Vector<double> theta = Vector<double>::Zero(engine.num_parameters()), grad;
  seen.clear();
  engine.sum(theta, data, training::first_samples(100), grad);
  CHECK(seen == std::vector<Index>{25, 25, 25, 25});
}

/// Three steps, each begun by accumulate or by accumulate_updated; between the last two an update that cannot stand.
template <class M, class L, class S = typename M::Scalar>
std::uint64_t hash_after_steps(const M& model, const L& loss, const DenseData<S>& data, int threads, bool updated,
                               parade::UseTape tape = parade::UseTape::always) {
  ParallelGradient<M, L> engine(model, loss, {.threads = threads, .shard_size = 7, .tape = tape});
  parade::ParallelUpdate<S, parade::L2, parade::NoConstraint, parade::Sgd> update(
      parade::ParameterList(model.parameters()), {.lambda = 1e-3}, {}, {.rate = 0.1, .momentum = 0.9}, engine.team());
  parade::TrainingState<S> now(engine.num_parameters(), 1), next = now;
  now.theta = start_of<S>(model);
  const auto samples = training::first_samples(data.size());
  engine.reserve(data, data.size());
  engine.team().run([&] {
    BatchSum sum = engine.accumulate(now.theta, data, samples);
    for (int step = 1; step <= 3; ++step) {
      if (step == 3) REQUIRE(!update(engine, sum.weight, now, next, {std::numeric_limits<double>::quiet_NaN(), step}));
      REQUIRE((step == 3 || update(engine, sum.weight, now, next, {0.1, step})));
      if (step < 3) std::swap(now, next);
      sum = updated ? engine.accumulate_updated(now.theta, data, samples) : engine.accumulate(now.theta, data, samples);
    }
    REQUIRE(update(engine, sum.weight, now, next, {0.1, 3}));
  });
  return parade::theta_hash(next.theta);
}

TEMPLATE_TEST_CASE("what is prepared while theta is updated is what is prepared from theta, on any number of threads", "", float, double) {
  using S = TestType;
  const auto check = [](const auto& model, const auto& loss, const auto& data) {
    const auto expected = hash_after_steps(model, loss, data, 1, false);
    for (const int threads : training::thread_counts) {
      CAPTURE(threads, sizeof(S));
      CHECK(hash_after_steps(model, loss, data, threads, false) == expected);
      CHECK(hash_after_steps(model, loss, data, threads, true) == expected);
      CHECK(hash_after_steps(model, loss, data, threads, true, parade::UseTape::never) == expected);
    }
  };
  check(Mlp<S>{33, 19, 21, 3}, parade::SoftmaxCrossEntropy{}, training::labelled_data<S>(33, 40, 3));
  check(Mlp<S>{5, 1500, 20, 3}, parade::SoftmaxCrossEntropy{}, training::labelled_data<S>(5, 20, 3));  // ranges of less than 16 columns
  check(Linear<S>(2, 17000), parade::SquaredError{}, training::regression_data<S>(2, 9, 17000));       // and of a part of one
  check(EigenModel<S>{20, 7, 3}, parade::SoftmaxCrossEntropy{}, training::labelled_data<S>(20, 40, 3));
}

TEST_CASE("what was prepared while theta was updated is not prepared again") {
  static std::atomic<int> pieces, ranges;
  struct Counting : Mlp<double> {
    using Mlp<double>::Mlp;
    void prepare(const parade::ConstVectorRef<double>& theta, Index piece, Prepared& prepared) const {
      ++pieces;
      Mlp<double>::prepare(theta, piece, prepared);
    }
    void prepare(const double* theta, parade::Range range, Prepared& prepared) const {
      ++ranges;
      Mlp<double>::prepare(theta, range, prepared);
    }
  };
  const Counting model{3, 4, 3};
  const auto data = training::labelled_data<double>(3, 40, 3);
  const int all = static_cast<int>(model.num_preparations());
  for (const bool updated : {false, true}) {
    pieces = ranges = 0;
    hash_after_steps(model, parade::SoftmaxCrossEntropy{}, data, 2, updated);
    CHECK(pieces == (updated ? 2 : 4) * all);  // at the start, and after the update that could not stand
    CHECK(ranges > 0);
  }
}

/// Parameters longer than a range, in columns and in rows: what a tape gives range by range must fit together.
TEMPLATE_TEST_CASE("the gradient of wide and of tall layers has the bits of the serial one", "", float, double) {
  using S = TestType;
  check_bits(Linear<S>(3, 20000), parade::SquaredError{}, training::regression_data<S>(3, 40, 20000), {7});
  check_bits(Linear<S>(5000, 3), parade::SoftmaxCrossEntropy{}, training::labelled_data<S>(5000, 40, 3), {0});
  check_bits(Linear<S>(70, 1500), parade::SquaredError{}, training::regression_data<S>(70, 40, 1500), {0});
}

TEST_CASE("a small batch between large ones, which were reserved before, does not change how those are computed") {
  const auto data = training::labelled_data<double>(5, 2048, 3);
  const Mlp<double> model{5, 7, 3};
  const Vector<double> theta = start_of<double>(model);
  const auto samples = training::first_samples(2048);
  const auto few = std::span<const Index>(samples).first(128);
  const SerialGradient<Mlp<double>, parade::SoftmaxCrossEntropy> serial(model, {});
  Vector<double> expected, grad(theta.size());
  serial.sum(theta, data, samples, expected);
  for (const int threads : {1, 2, 3, 8}) {
    CAPTURE(threads);
    ParallelGradient<Mlp<double>, parade::SoftmaxCrossEntropy> engine(model, {}, {.threads = threads});
    engine.reserve(data, 2048);
    engine.sum(theta, data, few, grad);
    engine.team().run([&] {
      engine.accumulate(theta, data, samples);
      engine.reduce(grad);
    });
    CHECK(grad == expected);
  }
}

TEST_CASE("accumulate outside of a run, or for more shards than there can be, is an error that says so") {
  const auto data = training::regression_data<double>(3, 20, 1);
  parade::ParallelGradient engine(Linear<double>(3, 1), parade::SquaredError{}, {.threads = 2, .shard_size = 4});
  engine.reserve(data, 20);
  const auto samples = training::first_samples(20);
  const Vector<double> theta = Vector<double>::Zero(4);
  CHECK_THROWS_WITH(engine.accumulate(theta, data, samples), Catch::Matchers::ContainsSubstring("inside run"));
  parade::ParallelGradient tiny(Linear<double>(3, 1), parade::SquaredError{}, {.threads = 2, .shard_size = 1});
  CHECK_THROWS_WITH(tiny.reserve(data, 65536), Catch::Matchers::ContainsSubstring("at most 65535 shards; got 65536"));
}

TEST_CASE("a theta or data of another size, or a negative shard size, is an error that names both numbers") {
  using Catch::Matchers::ContainsSubstring;
  const auto data = training::labelled_data<double>(4, 20, 3);
  const auto samples = training::first_samples(20);
  Vector<double> grad;
  using Engine = ParallelGradient<Linear<double>, parade::SoftmaxCrossEntropy>;
  CHECK_THROWS_WITH(Engine(Linear<double>(4, 3), {}, {.shard_size = -2}), ContainsSubstring("shard_size") && ContainsSubstring("-2"));
  CHECK_THROWS_WITH(Engine(Linear<double>(4, 3), {}, {.threads = -3}), ContainsSubstring("threads") && ContainsSubstring("-3"));
  Engine engine(Linear<double>(4, 3), {}, {.threads = 2});
  CHECK_THROWS_WITH(engine.sum(Vector<double>(14), data, samples, grad), ContainsSubstring("15") && ContainsSubstring("14"));
  Engine other(Linear<double>(5, 3), {}, {.threads = 2});
  CHECK_THROWS_WITH(other.sum(Vector<double>(18), data, samples, grad), ContainsSubstring("5") && ContainsSubstring("4"));
}

}  // namespace gradient_test
