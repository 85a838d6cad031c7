// SPDX-License-Identifier: MIT
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include <parade/layers/dense.hpp>
#include <parade/models/linear.hpp>
#include <parade/models/sequential.hpp>

#include "support/sparse_sums.hpp"

namespace sparse_own_test {

// What users write themselves on sparse rows: a model that sums over features, and a loss that throws.

namespace {

using namespace parade;
using sparse::AnyOptimizer, sparse::Both, sparse::Halving;

constexpr Index n = 97, d = 40;

/// z = b + Σ_i w_i x_i |x_i|, with slopes ∂J/∂z.
class Signed {
 public:
  using Scalar = double;
  struct Workspace {
    Matrix<double> scores;
  };

  explicit Signed(Index features) : parameters_{{"weight", 1, features}, {"bias", 1, 1, Role::bias}}, features_(features) {}
  const ParameterList& parameters() const { return parameters_; }
  Index num_inputs() const { return features_; }
  static constexpr Index num_outputs() { return 1; }
  static void initialize(VectorRef<double> theta, std::uint64_t) { theta.setConstant(0.1); }
  ConstMatrixRef<double> forward(const ConstVectorRef<double>& theta, const ConstMatrixRef<double>& x, Workspace& workspace) const {
    workspace.scores = (theta.head(features_).transpose() * x.cwiseProduct(x.cwiseAbs())).array() + theta[features_];
    return workspace.scores;
  }
  void add_gradient(const ConstVectorRef<double>&, const ConstMatrixRef<double>& x, const ConstMatrixRef<double>& dscores, Workspace&,
                    VectorRef<double> grad) const {
    grad.head(features_) += x.cwiseProduct(x.cwiseAbs()) * dscores.transpose();
    grad[features_] += dscores.sum();
  }

  struct Rest {
    using Scalar = double;
    using Workspace = Signed::Workspace;
    ParameterList blocks{{"bias", 1, 1, Role::bias}};

    const ParameterList& parameters() const { return blocks; }
    static constexpr Index num_inputs() { return 1; }
    static constexpr Index num_outputs() { return 1; }
    static constexpr Index num_slopes() { return 1; }
    static void initialize(VectorRef<double> theta, std::uint64_t) { theta.setConstant(0.1); }
    static ConstMatrixRef<double> forward(const ConstVectorRef<double>& theta, const ConstMatrixRef<double>& a, Workspace& workspace) {
      workspace.scores = a.array() + theta[0];
      return workspace.scores;
    }
    static void add_gradient(const ConstVectorRef<double>&, const ConstMatrixRef<double>&, const ConstMatrixRef<double>& dscores,
                             Workspace&, VectorRef<double> grad) {
      grad[0] += dscores.sum();
    }
    static ConstMatrixRef<double> slopes(const ConstMatrixRef<double>&, const ConstMatrixRef<double>& dscores, Workspace&) {
      return dscores;
    }
  };

  using SumsFeaturesOf = Signed;
  static constexpr std::size_t num_feature_blocks = 1;
  ParameterBlock feature_block(std::size_t) const { return parameters_["weight"]; }
  static constexpr Index num_sums() { return 1; }
  static Rest remainder() { return {}; }
  static void add_feature(double x, const std::array<const double*, 1>& theta, double* sums) {
    sums[0] = std::fma(x * std::abs(x), theta[0][0], sums[0]);
  }
  static void add_feature_gradient(double x, const std::array<const double*, 1>&, const double* slopes,
                                   const std::array<double*, 1>& grad) {
    grad[0][0] = std::fma(x * std::abs(x), slopes[0], grad[0][0]);
  }

 private:
  ParameterList parameters_;
  Index features_;
};
static_assert(SumsFeatures<Signed>);

/// ½ (z − y)², which throws at the label 9.
struct Throwing {
  using Target = Label;
  static void value_and_gradient(const ConstMatrixRef<double>& scores, const ConstVectorRef<Label>& labels, VectorRef<double> values,
                                 MatrixRef<double> dscores) {
    if ((labels.array() == 9).any()) throw std::runtime_error("a label of 9");
    dscores.row(0) = scores.row(0) - labels.cast<double>().transpose();
    values = dscores.row(0).transpose().cwiseAbs2() / 2;
  }
};
static_assert(Loss<Throwing, double>);

template <class M>
auto make(const M& model, const AnyOptimizer& optimizer, const Both& both = {}) {
  return Trainer{model, Throwing{}, both, optimizer, Halving{}};
}

/// What the loss throws in step 9 reaches the caller, and leaves θ, and what the optimizer keeps, of step 8.
template <class M>
void check_throws(const M& model) {
  const int threads = GENERATE(1, 3);
  const auto optimizer =
      GENERATE(values<AnyOptimizer>({{AnyOptimizer::sgd, 0.1}, {AnyOptimizer::momentum, 0.05}, {AnyOptimizer::adagrad, 0.1}}));
  const Both both{optimizer.kind == AnyOptimizer::adagrad ? 0 : 0.05, 0};
  CAPTURE(threads, int{optimizer.kind});
  const auto rows = sparse::random_rows<double>(d, n);
  Vector<Label> labels = rows.labels();
  labels[60] = 9;
  auto a = make(model, optimizer, both), b = make(model, optimizer, both);
  struct Look {
    decltype(a)* trainer;
    Vector<double> theta;
    Signal on_step(const StepReport& report) {
      theta = trainer->theta();
      return report.step == 8 ? Signal::stop : Signal::go_on;
    }
  } at_8{&b, {}};
  FitOptions options{.epochs = 1, .batch_size = 7, .threads = threads, .shuffle = false};
  CHECK_THROWS_WITH(a.fit(rows.with_labels(labels), options), "a label of 9");
  CHECK(a.steps() == 8);
  b.fit(rows, options, at_8);
  CHECK(a.theta() == at_8.theta);
  CHECK(a.theta() == b.theta());
  options.warm_start = true;
  CHECK(a.fit(rows, options).theta_hash == b.fit(rows, options).theta_hash);
}

}  // namespace

TEST_CASE("a user's own model that sums over features gives on sparse rows what it gives on dense data, for any number of threads") {
  struct Pair {
    AnyOptimizer optimizer;
    Both both;
  };
  const auto pair = GENERATE(values<Pair>({{{AnyOptimizer::sgd, 0.1}, {0.05, 0.003, true}},
                                           {{AnyOptimizer::momentum, 0.05}, {0.05, 0}},
                                           {{AnyOptimizer::adagrad, 0.1}, {0, 0.003}},
                                           {{AnyOptimizer::lazy_adam, 0.02}, {}}}));
  const auto rows = sparse::random_rows<double>(d, n).with_weights(training::sample_weights(n));
  auto a = make(Signed{d}, pair.optimizer, pair.both), b = make(Signed{d}, pair.optimizer, pair.both);
  check_same(a, b, rows, {.epochs = 3, .batch_size = 7, .seed = 3}, 4000);
  const auto many = sparse::many_rows<double>(300);
  check_same_hash(make(Signed{many.num_features()}, pair.optimizer, pair.both), many, {.epochs = 1, .batch_size = 150, .seed = 3});
}

TEST_CASE("what a loss throws in the midst of a fit on sparse rows leaves the step before it") {
  SECTION("a linear model") { check_throws(Linear<double>{d}); }
  SECTION("a model that sums over features") { check_throws(Signed{d}); }
}

TEST_CASE("a Sequential of one Dense layer on sparse rows is that on dense data") {
  const auto rows = sparse::random_rows<double>(d, n);
  const auto of_one = make_sequential<double>(Dense{d, 1});
  const AnyOptimizer sgd{AnyOptimizer::sgd, 0.1};
  auto a = make(of_one, sgd, {0.05, 0.003}), b = make(of_one, sgd, {0.05, 0.003});
  check_same(a, b, rows, {.epochs = 3, .batch_size = 7, .seed = 3}, 2000);
}

}  // namespace sparse_own_test
