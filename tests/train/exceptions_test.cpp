// SPDX-License-Identifier: MIT
#include <atomic>
#include <chrono>
#include <cmath>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>

#include <parade/data/subset.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/linear.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace exceptions_test {

// Exceptions of user code: they reach the caller of fit, θ is as before the step, and the trainer can be used again.

namespace {

using parade::ConstMatrixRef, parade::ConstVectorRef, parade::Index, parade::MatrixRef, parade::StateRef, parade::StepInfo,
    parade::VectorRef;

/// Which part throws, from the third step on. Feature 0 of a sample is its number, which the text names.
enum class Part { none, prepare, forward, add_gradient, loss, smooth, prox, penalty, optimizer, step_sizes, gather, on_step, on_epoch };
std::atomic<Part> armed{Part::none};
std::atomic<Part> chosen{Part::none};

void maybe(Part part, const std::string& text = "") {
  if (armed.load() != part) return;
  if (text == "40") std::this_thread::sleep_for(std::chrono::microseconds(300));  // the first shard's exception is the last to come
  throw std::runtime_error("boom " + text);
}
std::string number(double x) { return std::to_string(std::lround(x)); }

struct Model : parade::Linear<double> {
  using Base = parade::Linear<double>;
  using Base::Base;
  using Base::reserve;

  void prepare(const ConstVectorRef<double>& theta, Index piece, Prepared& prepared) const {
    maybe(Part::prepare);
    Base::prepare(theta, piece, prepared);
  }
  ConstMatrixRef<double> forward(const Prepared& theta, const ConstMatrixRef<double>& x, Workspace& workspace) const {
    maybe(Part::forward, number(x(0, 0)));
    return Base::forward(theta, x, workspace);
  }
  void gradient(const Prepared& theta, const ConstMatrixRef<double>& x, const ConstMatrixRef<double>& dscores, Workspace& workspace,
                VectorRef<double> grad) const {
    maybe(Part::add_gradient, number(x(0, 0)));
    Base::gradient(theta, x, dscores, workspace, grad);
  }
};

struct Loss : parade::SquaredError {
  void value_and_gradient(const ConstMatrixRef<double>& scores, const ConstMatrixRef<double>& targets, VectorRef<double> values,
                          MatrixRef<double> dscores) const {
    maybe(Part::loss, number(targets(0, 0)));  // target 0, too, is the number of the sample
    parade::SquaredError::value_and_gradient(scores, targets, values, dscores);
  }
};

struct Smooth : parade::L2 {
  double value(const ConstVectorRef<double>& theta) const {
    maybe(Part::penalty);
    return parade::L2::value(theta);
  }
  void add_gradient(const ConstVectorRef<double>& theta, VectorRef<double> grad) const {
    maybe(Part::smooth);
    parade::L2::add_gradient(theta, grad);
  }
};

struct Proximal : parade::L1 {
  double value(const ConstVectorRef<double>& theta) const { return parade::L1::value(theta); }
  void prox(VectorRef<double> theta, const ConstVectorRef<double>& steps) const {
    maybe(Part::prox);
    parade::L1::prox(theta, steps);
  }
};

struct Optimizer : parade::Sgd {
  void step(VectorRef<double> theta, const ConstVectorRef<double>& grad, const StateRef<double>& state, const StepInfo& at) const {
    parade::Sgd::step<double>(theta, grad, state, at);
    maybe(Part::optimizer);  // after it has written
  }
  void step_sizes(const StateRef<double>&, const StepInfo& at, VectorRef<double> sizes) const {
    maybe(Part::step_sizes);
    sizes.setConstant(at.rate);
  }
};

struct Data : parade::DenseData<double> {
  explicit Data(const parade::DenseData<double>& data) : parade::DenseData<double>(data) {}
  void gather(std::span<const Index> samples, parade::DenseBatch<double>& batch) const {
    maybe(Part::gather, number(static_cast<double>(samples.front())));
    parade::DenseData<double>::gather(samples, batch);
  }
};

/// Arms the chosen part when two steps are done; throws itself if it is the one.
struct Fuse {
  Index begins = 0, ends = 0;
  void on_begin() { ++begins; }
  void on_end() { ++ends; }
  void on_step(const parade::StepReport& report) {
    if (report.step == 2) armed = chosen.load();
    if (report.step == 3) maybe(Part::on_step);
  }
  void on_epoch(const parade::EpochReport&) { maybe(Part::on_epoch); }
};

/// 60 samples of 3 features, of which 0 is the sample's number; P = 700 outputs · 4, so that the update has two blocks.
parade::DenseData<double> numbered_data() {
  parade::Matrix<double> x = training::random_matrix<double>(3, 60, 1), y = training::random_matrix<double>(700, 60, 2);
  for (Index j = 0; j < 60; ++j) x(0, j) = y(0, j) = static_cast<double>(j);
  return parade::DenseData<double>(x).with_targets(y);
}

constexpr Index b = 20, shard_size = 3;

template <class R>
void check_part(Part part, const R& regularizer, Index steps_taken, const std::string& text) {
  const auto data = numbered_data();
  const auto fresh = [&] { return parade::Trainer{Model(3, 700), Loss{}, regularizer, Optimizer{{.rate = 1e-5, .momentum = 0.9}}}; };
  const auto options = [](int threads) {
    return parade::FitOptions{
        .epochs = 1, .batch_size = b, .seed = 1, .threads = threads, .shard_size = shard_size, .shuffle = false, .check_data = false};
  };
  armed = Part::none;
  auto reference = fresh();
  reference.fit(data, options(1));
  const auto complete = parade::theta_hash(reference.theta());
  reference.fit(parade::Subset{data, training::first_samples(steps_taken * b)}, options(1));
  const auto before = parade::theta_hash(reference.theta());

  for (const int threads : {1, 2, 3, 4})
    for (int repeat = 0; repeat < 3; ++repeat) {
      CAPTURE(static_cast<int>(part), threads, repeat);
      auto trainer = fresh();
      Fuse fuse;
      chosen = part;
      armed = Part::none;
      CHECK_THROWS_WITH(trainer.fit(Data(data), options(threads), fuse), "boom " + text);
      armed = Part::none;
      CHECK(parade::theta_hash(trainer.theta()) == before);
      CHECK(trainer.steps() == steps_taken);
      CHECK(fuse.begins == 1);
      CHECK(fuse.ends == 1);
      CHECK(trainer.fit(Data(data), options(threads)).theta_hash == complete);
    }
}

}  // namespace

// Shards of the third batch begin at its samples 40, 42, 45, …: the first in shard order names 40.
TEST_CASE("what a model throws on several threads reaches the caller of fit, the first in shard order") {
  check_part(Part::forward, Smooth{{.lambda = 0.1}}, 2, "40");
  check_part(Part::add_gradient, Smooth{{.lambda = 0.1}}, 2, "40");
  check_part(Part::prepare, Smooth{{.lambda = 0.1}}, 2, "");
}

TEST_CASE("what a loss throws on several threads reaches the caller of fit, the first in shard order") {
  check_part(Part::loss, Smooth{{.lambda = 0.1}}, 2, "40");
}

TEST_CASE("what a data set throws on several threads reaches the caller of fit, the first in shard order") {
  check_part(Part::gather, Smooth{{.lambda = 0.1}}, 2, "40");
}

TEST_CASE("what a regularizer throws on several threads reaches the caller of fit, and theta is as before the step") {
  check_part(Part::smooth, Smooth{{.lambda = 0.1}}, 2, "");
  check_part(Part::prox, Proximal{{.lambda = 0.1}}, 2, "");
  check_part(Part::penalty, Smooth{{.lambda = 0.1}}, 3, "");  // at the end of the epoch, when three steps are done
}

TEST_CASE("what an optimizer throws on several threads reaches the caller of fit, and theta is as before the step") {
  check_part(Part::optimizer, Smooth{{.lambda = 0.1}}, 2, "");
  check_part(Part::step_sizes, Proximal{{.lambda = 0.1}}, 2, "");
}

TEST_CASE("what a callback throws on several threads reaches the caller of fit, and the steps that were done stay") {
  check_part(Part::on_step, Smooth{{.lambda = 0.1}}, 3, "");
  check_part(Part::on_epoch, Smooth{{.lambda = 0.1}}, 3, "");
}

TEST_CASE("what a model throws on several threads reaches the callers of partial_fit, scores and evaluate") {
  const auto data = numbered_data();
  for (const int threads : {1, 2, 4}) {
    parade::Trainer trainer{Model(3, 700), Loss{}, Smooth{{.lambda = 0.1}}, Optimizer{{.rate = 1e-5}}};
    const parade::StepOptions options{.seed = 1, .threads = threads, .shard_size = shard_size, .check_data = false};
    armed = Part::none;
    trainer.partial_fit(data, options);
    const auto before = parade::theta_hash(trainer.theta());
    armed = Part::forward;
    CHECK_THROWS_WITH(trainer.partial_fit(data, options), "boom 0");
    CHECK_THROWS_WITH(trainer.scores(data), "boom 0");
    CHECK_THROWS_WITH(trainer.evaluate(data), "boom 0");
    armed = Part::none;
    CHECK(parade::theta_hash(trainer.theta()) == before);
    CHECK(trainer.steps() == 1);
    trainer.partial_fit(data, options);
    CHECK(trainer.steps() == 2);
  }
}

}  // namespace exceptions_test
