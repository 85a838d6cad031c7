// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/data/dense_data.hpp>
#include <parade/losses/hinge.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/linear.hpp>
#include <parade/models/mlp.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/testing/gradient_check.hpp>

#include "support/catch.hpp"

namespace {

using Catch::Matchers::ContainsSubstring;
using parade::ConstMatrixRef, parade::ConstVectorRef, parade::DataError, parade::DenseData, parade::Hinge, parade::Index, parade::Label,
    parade::Linear, parade::Logistic, parade::Matrix, parade::MatrixRef, parade::Mlp, parade::OptionError, parade::ParameterList,
    parade::Real, parade::Role, parade::SoftmaxCrossEntropy, parade::SquaredError, parade::Vector, parade::VectorRef;
using parade::testing::check_gradient, parade::testing::check_loss, parade::testing::check_regularizer,
    parade::testing::GradientCheckOptions, parade::testing::GradientReport;

/// Uniform in [low, high), a stream of its own for every use.
Matrix<double> random(Index rows, Index cols, double low, double high, std::uint64_t seed, std::uint64_t stream) {
  const parade::Random numbers(seed, parade::Purpose::user, stream);
  return Matrix<double>::NullaryExpr(
      rows, cols, [&](Index i, Index j) { return numbers.uniform(static_cast<std::uint64_t>(i + j * rows), low, high); });
}

/// m samples of d features with k targets and a label below max(2, k).
DenseData<double> samples(Index m, Index d, Index k, std::uint64_t seed, bool weighted = false) {
  const auto classes = static_cast<double>(std::max<Index>(2, k));
  const Vector<Label> labels = random(m, 1, 0, classes, seed, 2).array().floor().matrix().cast<Label>();
  const auto data = DenseData<double>(random(d, m, -1, 1, seed, 1)).with_labels(labels).with_targets(random(k, m, -1, 1, seed, 3));
  return weighted ? data.with_weights(random(m, 1, 0.1, 3, seed, 4)) : data;
}

/// θ so small that a hinge stays active, with biases that keep most rectified units alive.
template <class M>
Vector<double> theta_for(const M& model, std::uint64_t seed) {
  const ParameterList parameters = model.parameters();
  Vector<double> theta = random(parameters.size(), 1, -0.5, 0.5, seed, 5);
  for (const auto& block : parameters)
    if (block.role == Role::bias && block.offset + block.size() < parameters.size())
      theta.segment(block.offset, block.size()).array() += 0.5;
  return theta;
}

/// The report says that something is wrong, and this.
void check_found(const GradientReport& report, const std::string& text) {
  CHECK_FALSE(report);
  CHECK_THAT(report.text(), ContainsSubstring(text));
}

// --- the built-in parts ---------------------------------------------------------------------------------------------------------------

template <class M, class L>
void check_built_in(const M& model, const L& loss) {
  for (const Index m : {1, 2, 7})
    for (const std::uint64_t seed : {1u, 2u, 3u})
      for (const bool weighted : {false, true}) {
        CAPTURE(m, seed, weighted);
        const auto report =
            check_gradient(model, loss, theta_for(model, seed), samples(m, model.num_inputs(), model.num_outputs(), seed, weighted));
        CHECK(report);
        CHECK(report.compared + report.zero + report.left_out == model.parameters().size());
      }
}

template <class M>
void check_with_every_loss(const M& one_output, const M& three_outputs) {
  check_built_in(one_output, SquaredError{});
  check_built_in(one_output, Logistic{});
  check_built_in(one_output, Hinge{});
  check_built_in(three_outputs, SquaredError{});
  check_built_in(three_outputs, SoftmaxCrossEntropy{});
}

TEST_CASE("the gradient of the linear model is right with every loss") {
  check_with_every_loss(Linear<double>(5, 1), Linear<double>(5, 3));
}

TEST_CASE("the gradient of the multilayer perceptron is right with every activation and every loss") {
  for (const auto activation : {parade::Activation::relu, parade::Activation::tanh, parade::Activation::sigmoid})
    for (const std::vector<Index>& hidden : {std::vector<Index>{4}, {5, 3}, {3, 5, 4}}) {
      CAPTURE(activation, hidden);
      std::vector<Index> sizes = hidden;
      sizes.insert(sizes.begin(), 3);
      auto three = sizes;
      sizes.push_back(1);
      three.push_back(3);
      check_with_every_loss(Mlp<double>(sizes, activation), Mlp<double>(three, activation));
    }
}

TEST_CASE("the gradient of every built-in loss is right") {
  for (const Index m : {1, 2, 7, 31}) {
    CAPTURE(m);
    const Vector<Label> two = random(m, 1, 0, 2, 1, 6).array().floor().matrix().cast<Label>();
    const Vector<Label> five = random(m, 1, 0, 5, 1, 6).array().floor().matrix().cast<Label>();
    for (const double size : {0.9, 30.0}) {
      CAPTURE(size);
      const Matrix<double> one = random(1, m, -size, size, 1, 7), many = random(5, m, -size, size, 1, 8);
      CHECK(check_loss(SquaredError{}, one, random(1, m, -1, 1, 1, 9)));
      CHECK(check_loss(SquaredError{}, many, random(5, m, -1, 1, 1, 9)));
      // Far out, J goes to 0 faster than its rounding, and a hinge is 0: most elements may have nothing to compare.
      const GradientCheckOptions options{.max_left_out = size > 1 ? 1 : 0.1};
      CHECK(check_loss(SoftmaxCrossEntropy{}, many, five, options));
      if (size > 1 && m < 7) continue;
      CHECK(check_loss(Logistic{}, one, two, options));
      CHECK(check_loss(Hinge{}, one, two, options));
    }
  }
}

TEST_CASE("the built-in regularizers are right") {
  for (const Index size : {1, 2, 7, 64}) {
    CAPTURE(size);
    const Vector<double> theta = random(size, 1, -2, 2, 1, 10);
    for (const double lambda : {1e-4, 0.3, 5.0}) {
      CAPTURE(lambda);
      CHECK(check_regularizer(parade::L2{.lambda = lambda}, theta));
      CHECK(check_regularizer(parade::L1{.lambda = lambda}, theta));
    }
  }
}

// --- models with a fault --------------------------------------------------------------------------------------------------------------

enum Planted {
  none,
  mean,
  wrong_sign,
  overwrites,
  forgotten,
  doubled,
  one_element,
  counts_calls,
  stale_workspace,
  lags_behind,
  too_many_columns,
  not_finite,
};

/// Z = W X + b by Eigen alone, as a user would write it, with one fault.
template <Planted fault>
struct Affine {
  using Scalar = double;
  struct Workspace {
    Matrix<double> scores;       // (k,m)
    std::optional<double> last;  // the end of the θ before
  };
  Index inputs = 4, outputs = 3;
  mutable double calls = 0;

  ParameterList parameters() const { return {{"weight", outputs, inputs}, {"bias", outputs, 1, Role::bias}}; }
  Index num_inputs() const { return inputs; }
  Index num_outputs() const { return outputs; }
  void initialize(VectorRef<double> theta, std::uint64_t) const { theta.setZero(); }

  auto weight(const ConstVectorRef<double>& theta) const { return parade::slice<double>(theta, parameters()["weight"]); }
  auto bias(const ConstVectorRef<double>& theta) const { return parade::slice<double>(theta, parameters()["bias"]); }

  ConstMatrixRef<double> forward(const ConstVectorRef<double>& theta, const ConstMatrixRef<double>& x, Workspace& workspace) const {
    if (fault != stale_workspace || workspace.scores.cols() < x.cols()) workspace.scores.resize(outputs, x.cols());
    workspace.scores.leftCols(x.cols()) = (weight(theta) * x).colwise() + bias(theta).col(0);  // (k,m) = (k,d)(d,m) + (k)
    if (fault == counts_calls) workspace.scores.array() *= 1 + 1e-12 * calls++;
    const double now = theta[theta.size() - 1], last = std::exchange(workspace.last, now).value_or(now);
    if (fault == lags_behind) workspace.scores.array() += 1e-6 * (now - last);
    if (fault == not_finite) workspace.scores(1, 0) = std::nan("");
    if (fault == too_many_columns) workspace.scores.conservativeResize(outputs, x.cols() + 1);
    return workspace.scores.leftCols(fault == too_many_columns ? x.cols() + 1 : x.cols());
  }

  void add_gradient(const ConstVectorRef<double>&, const ConstMatrixRef<double>& x, const ConstMatrixRef<double>& dscores,
                    Workspace& workspace, VectorRef<double> grad) const {
    auto dweight = parade::slice<double>(grad, parameters()["weight"]);
    auto dbias = parade::slice<double>(grad, parameters()["bias"]);
    if (fault == overwrites) grad.setZero();
    const double factor = fault == mean ? 1 / static_cast<double>(x.cols()) : fault == wrong_sign ? -1 : fault == doubled ? 2 : 1;
    dweight += factor * dscores * x.transpose();  // (k,d) += (k,m)(m,d)
    if (fault == one_element) dweight(2, 1) *= 1.001;
    if (fault == forgotten) return;
    dbias += factor * dscores.rowwise().sum();  // (k) += Σ_m
    // A workspace that a larger shard has used: its last columns are old.
    if (fault == stale_workspace) dbias += 1e-3 * workspace.scores.rowwise().sum();
  }
};
static_assert(parade::Model<Affine<none>>);

template <Planted fault, class L = SquaredError>
GradientReport check_affine(Index m = 7, const GradientCheckOptions& options = {}) {
  const Affine<fault> model;
  return check_gradient(model, L{}, theta_for(model, 1), samples(m, 4, 3, 1), options);
}

TEST_CASE("a user's model without a fault passes, and the report says what was compared") {
  for (const Index m : {1, 2, 3, 7, 31}) {
    CAPTURE(m);
    CHECK(check_affine<none>(m));
    CHECK(check_affine<none, SoftmaxCrossEntropy>(m));
  }
  const auto report = check_affine<none>();
  CHECK(report.compared == 15);
  CHECK_THAT(report.text(), ContainsSubstring("no fault found\n15 elements compared, 0 exactly 0, 0 left out; worst ") &&
                                ContainsSubstring(": gradient ") && ContainsSubstring(", central difference ") &&
                                ContainsSubstring(", allowed difference "));
  CHECK(std::abs(report.worst.gradient - report.worst.difference) <= report.worst.allowed);
  CHECK(report.worst.allowed < 1e-4);
}

TEST_CASE("a mean where a sum is meant is found, also from a single sample") {
  for (const auto& report : {check_affine<mean>(7), check_affine<mean>(2), check_affine<mean>(1)}) {
    CHECK(report.faults.size() == 1);
    check_found(report, "the gradients of two halves must add up to that of the whole batch of ");
    check_found(report, "; a mean where a sum is meant?: ");
  }
}

TEST_CASE("a wrong sign is found") {
  check_found(check_affine<wrong_sign>(), "wherever it is wrong it is -1 times the difference: a wrong sign?");
}

TEST_CASE("a factor 2 is found") {
  check_found(check_affine<doubled>(), "wherever it is wrong it is 2 times the difference: a factor lost or too many?");
}

TEST_CASE("a gradient that was forgotten for one parameter is found, and which") {
  const auto report = check_affine<forgotten>();
  CHECK(report.faults.size() == 1);
  check_found(report, "the gradient differs from central differences in bias (3 of 3); worst bias(");
  check_found(report, ": gradient 0, central difference ");
  check_found(report, "it is 0 times the difference: forgotten?");
}

TEST_CASE("an error of a thousandth in one element is found, and which") {
  const auto report = check_affine<one_element>();
  check_found(report, "in weight (1 of 12); worst weight(2, 1) of sample ");
  check_found(report, "it is 1.001");
}

TEST_CASE("overwriting where adding is meant is found") {
  const auto report = check_affine<overwrites>();
  CHECK(report.faults.size() == 1);
  check_found(report, "add_gradient must add to what grad holds, not overwrite it: ");
}

TEST_CASE("state that is kept between calls is found, and nothing is compared that it would spoil") {
  const auto report = check_affine<counts_calls>();
  CHECK(report.faults.size() == 1);
  CHECK(report.compared == 0);
  check_found(report, "is state kept between calls? In a shard of 6 samples score ");
  check_found(check_affine<stale_workspace>(), "is state kept between calls? In a shard of 6 samples bias(");
  CHECK(check_affine<lags_behind>().compared == 15);  // it shows at the end only, after other θ
  check_found(check_affine<lags_behind>(), "is state kept between calls? In a shard of 7 samples score ");
}

TEST_CASE("scores of another shape and scores that are not finite are found before they do harm") {
  check_found(check_affine<too_many_columns>(), "forward must give scores (3, 7) for 7 samples; got (3, 8)");
  check_found(check_affine<not_finite>(), "score 1 of sample 0 is nan, not a finite number");
}

/// With a `gradient` besides, which saves the caller from setting grad to zero.
template <Planted fault>
struct Overwriting : Affine<none> {
  void gradient(const ConstVectorRef<double>& theta, const ConstMatrixRef<double>& x, const ConstMatrixRef<double>& dscores,
                Workspace& workspace, VectorRef<double> grad) const {
    if (fault != overwrites) grad.setZero();
    if (fault == forgotten) grad.tail(3).setConstant(0.25);
    add_gradient(theta, x, dscores, workspace, grad);
  }
};
static_assert(parade::OverwritesGradient<Overwriting<none>>);

TEST_CASE("a gradient that must overwrite is compared with add_gradient from zero") {
  const auto data = samples(7, 4, 3, 1);
  const Vector<double> theta = theta_for(Affine<none>{}, 1);
  CHECK(check_gradient(Overwriting<none>{}, SquaredError{}, theta, data));
  check_found(check_gradient(Overwriting<overwrites>{}, SquaredError{}, theta, data),
              "gradient must overwrite all of grad, which may hold anything, ");
  check_found(check_gradient(Overwriting<forgotten>{}, SquaredError{}, theta, data), "with what add_gradient gives from 0: bias(");
}

/// Prepared once a step: Z = c ∘ c X, with c from two pieces, of which the second must not read what the first wrote.
template <bool pieces_depend, bool accumulates>
struct Prepares {
  using Scalar = double;
  struct Workspace {};
  using Prepared = Vector<double>;
  ParameterList parameters() const { return {{"scale", 4, 1}}; }
  Index num_inputs() const { return 4; }
  Index num_outputs() const { return 4; }
  void initialize(VectorRef<double> theta, std::uint64_t) const { theta.setOnes(); }
  void reserve(Prepared& prepared) const { prepared.setZero(8); }
  Index num_preparations() const { return 2; }
  void prepare(const ConstVectorRef<double>& theta, Index piece, Prepared& prepared) const {
    if (piece == 0) prepared.head(4) = (accumulates ? Vector<double>(1e-9 * prepared.head(4)) : Vector<double>::Zero(4)) + theta;
    if (piece == 1) prepared.tail(4) = pieces_depend ? prepared.head(4).eval() : Vector<double>(theta);
  }
  Matrix<double> forward(const Prepared& prepared, const ConstMatrixRef<double>& x, Workspace&) const {
    return prepared.head(4).cwiseProduct(prepared.tail(4)).asDiagonal() * x;
  }
  void add_gradient(const Prepared& prepared, const ConstMatrixRef<double>& x, const ConstMatrixRef<double>& dscores, Workspace&,
                    VectorRef<double> grad) const {
    grad += 2 * prepared.head(4).cwiseProduct(x.cwiseProduct(dscores).rowwise().sum());
  }
};
static_assert(parade::PreparesOnceAStep<Prepares<false, false>>);

namespace {

/// Leaves the last shard, or its end, out of the tape.
struct ForgetsTheEnd : Linear<double> {
  using Linear<double>::Linear;
  using TapeOf = ForgetsTheEnd;
  void collect(std::span<const parade::TapePart<Piece>> parts, Tape& tape) const {
    Linear<double>::collect(parts.first(parts.size() - 1), tape);
  }
};
static_assert(parade::Taped<ForgetsTheEnd>);

}  // namespace

TEST_CASE("a tape is compared with add_gradient, for every number of samples") {
  for (const Index m : {1, 2, 3, 4, 5, 7, 9, 12}) {
    CAPTURE(m);
    const auto data = samples(m, 3, 2, 11, true);
    const Linear<double> right(3, 2);
    const auto report = check_gradient(right, SquaredError{}, theta_for(right, 11), data);
    INFO(report.text());
    CHECK(report);
    const Mlp<double> network{3, 4, 2};
    CHECK(check_gradient(network, SquaredError{}, theta_for(network, 11), data));
    const ForgetsTheEnd wrong(3, 2);
    check_found(check_gradient(wrong, SquaredError{}, theta_for(wrong, 11), data), "gradient of a tape must have the bits of add_gradient");
  }
}

TEST_CASE("a model that prepares once a step is checked, and its pieces in another order") {
  const auto data = samples(7, 4, 4, 1);
  const Vector<double> theta = random(4, 1, 0.5, 1, 1, 11);
  CHECK(check_gradient(Prepares<false, false>{}, SquaredError{}, theta, data));
  check_found(check_gradient(Prepares<true, false>{}, SquaredError{}, theta, data), "must have the same bits in any order of shards");
  check_found(check_gradient(Prepares<false, true>{}, SquaredError{}, theta, data), "is state kept between calls?");
}

// --- what differences can and cannot judge --------------------------------------------------------------------------------------------

TEST_CASE("the doubt about a slope bounds its error, for smooth functions and for a kink wherever it is") {
  const auto doubted = [](auto&& function, double exact, double h) {
    const auto costs = [&](double t) -> Eigen::ArrayXd { return Eigen::ArrayXd::Constant(1, function(t)); };
    const auto [values, doubt] = parade::testing::detail::slopes(costs, costs(0), 0, h);
    CAPTURE(values[0], exact, doubt, h);
    CHECK(std::abs(values[0] - exact) <= doubt);
    return doubt;
  };
  for (const double h : {1e-1, 1e-2, 1e-4, 6e-6, 1e-7}) {
    doubted([](double t) { return std::exp(t); }, 1, h);
    doubted([](double t) { return std::sin(1 + 3 * t); }, 3 * std::cos(1.0), h);
    doubted([](double t) { return 5 + t * t * t; }, 0, h);
    for (int i = -40; i <= 40; ++i) {
      const double tau = i / 32.0;  // the kink is at τh; at 0 a subgradient is 2 or 5
      CAPTURE(tau);
      const auto kinked = [&](double t) { return 1 + 2 * t + 3 * std::max(0.0, t - tau * h); };
      const double doubt = doubted(kinked, tau < 0 ? 5 : 2, h);
      if (i == 0) doubted(kinked, 5, h);
      if (std::abs(tau) < 1) CHECK(doubt >= 3 * (1 - std::abs(tau)) / 4 * (1 - 1e-6));
      if (std::abs(tau) >= 1) CHECK(doubt <= 1e-13 / h);
    }
  }
}

TEST_CASE("elements at a kink are left out and counted, and too many of them are a fault") {
  // s z = 1 for the first sample: the hinge has its kink there.
  const auto check = [](Index m, Index kinks) {
    Matrix<double> scores = random(1, m, -0.9, 0.9, 1, 12);
    scores.leftCols(kinks).setOnes();
    return check_loss(Hinge{}, scores, Vector<Label>::Ones(m));
  };
  const auto one = check(10, 1);
  CHECK(one);
  CHECK(one.compared == 9);
  CHECK(one.left_out == 1);
  check_found(check(10, 2), "2 of 10 elements had to be left out, more than max_left_out = 0.1: they are at a kink, or too small beside J");
  check_found(check(3, 3), "nothing could be compared in dJ/dz");
}

TEST_CASE("an element next to where J ends is left out") {
  struct Barrier {
    using Target = Label;
    void value_and_gradient(const ConstMatrixRef<double>& z, const parade::TargetsRef<Label, double>&, VectorRef<double> values,
                            MatrixRef<double> dscores) const {
      for (Index j = 0; j < z.cols(); ++j) {
        values[j] = z(0, j) > 0 ? -std::log(z(0, j)) : std::numeric_limits<double>::infinity();
        dscores(0, j) = -1 / z(0, j);
      }
    }
  };
  Matrix<double> scores = random(1, 10, 0.5, 2, 1, 19);
  scores(0, 3) = 1e-9;
  const auto report = check_loss(Barrier{}, scores, Vector<Label>::Zero(10));
  CHECK(report);
  CHECK(report.compared == 9);
  CHECK(report.left_out == 1);
}

TEST_CASE("a parameter that disappears in the rounding of the scores is not accused") {
  const Affine<none> model{.inputs = 2, .outputs = 1};
  const auto data = DenseData<double>(Matrix<double>{{1e-11}, {1}}).with_targets(Matrix<double>::Constant(1, 1, 1000 + 1e-6));
  const auto report = check_gradient(model, SquaredError{}, Vector<double>{{1, 1000, 0}}, data, {.max_left_out = 1});
  CHECK(report.left_out >= 1);
  CHECK_THAT(report.text(), !ContainsSubstring("differs"));
}

TEST_CASE("a rectified unit close to its kink is judged with a smaller step") {
  const Mlp<double> model{1, 1, 1};
  Vector<double> theta(4);
  theta << 1, 3e-7, 0.7, 0.2;  // the unit's input is 0 where x = −3e-7
  const auto data = DenseData<double>(Matrix<double>::Constant(1, 1, 0.0)).with_targets(Matrix<double>::Zero(1, 1));
  const auto near = check_gradient(model, SquaredError{}, theta, data);
  CHECK(near.left_out == 0);
  theta[1] = 0;
  CHECK(check_gradient(model, SquaredError{}, theta, data).left_out == 1);
}

TEST_CASE("a parameter without any influence here is a fault of the choice, not a proof") {
  const Mlp<double> model{4, 5, 3};
  Vector<double> theta = Vector<double>::Zero(model.parameters().size());
  check_found(check_gradient(model, SquaredError{}, theta, samples(7, 4, 3, 1)), "nothing could be compared in layer0.weight, ");
}

/// The feature x_0 is small, and its gradient has the wrong sign.
struct SmallAndWrong : Affine<none> {
  void add_gradient(const ConstVectorRef<double>& theta, const ConstMatrixRef<double>& x, const ConstMatrixRef<double>& dscores,
                    Workspace& workspace, VectorRef<double> grad) const {
    Affine<none>::add_gradient(theta, x, dscores, workspace, grad);
    grad.head(3) -= 2 * dscores * x.row(0).transpose();
  }
};

TEST_CASE("a small gradient that is all wrong is never certified") {
  for (const double small : {1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-13, 1e-16, 1e-30}) {
    CAPTURE(small);
    Matrix<double> x = random(4, 7, 0.5, 1, 1, 13);
    x.row(0) *= small;
    const auto data = DenseData<double>(x).with_targets(random(3, 7, -1, 1, 1, 3));
    const auto report = check_gradient(SmallAndWrong{}, SquaredError{}, theta_for(SmallAndWrong{}, 1), data);
    CHECK_FALSE(report);
    if (small >= 1e-4) check_found(report, "in weight (3 of 12); worst weight(");
    if (small < 1e-13) check_found(report, "3 of 15 elements had to be left out");
  }
}

TEST_CASE("small and large numbers are judged by the same relative tolerance") {
  for (const double size : {1e-100, 1e-8, 1e8, 1e100}) {
    CAPTURE(size);
    const auto data = samples(7, 4, 3, 1);
    const auto scaled = DenseData<double>(size * data.values()).with_targets(size * data.targets());
    const Affine<none> model;
    Vector<double> theta = theta_for(model, 1);
    theta.tail(3).setZero();
    // h is not relative to a bias far from 1 in size, so only the weights can be compared.
    const auto report = check_gradient(model, SquaredError{}, theta, scaled, {.max_left_out = 1});
    CHECK(report.compared >= 12);
    CHECK_THAT(report.text(), !ContainsSubstring("differs"));
    const auto wrong = check_gradient(Affine<one_element>{}, SquaredError{}, theta, scaled, {.max_left_out = 1});
    check_found(wrong, "weight (1 of 12)");
  }
}

TEST_CASE("of a large parameter a random subset is compared, of a small one all") {
  const Mlp<double> model({30, 20, 3}, parade::Activation::tanh);
  const auto data = samples(3, 30, 3, 1);
  const Vector<double> theta = theta_for(model, 1);
  const auto report = check_gradient(model, SoftmaxCrossEntropy{}, theta, data, {.elements_per_block = 7});
  CHECK(report);
  CHECK(report.compared + report.zero + report.left_out == 7 + 7 + 7 + 3);

  using parade::testing::detail::draw;
  const auto numbers = [](std::uint64_t seed) { return parade::Random(seed, parade::Purpose::user); };
  std::vector<int> times(10);
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    const auto chosen = draw(10, 3, numbers(seed));
    REQUIRE(chosen.size() == 3);
    REQUIRE((0 <= chosen[0] && chosen[0] < chosen[1] && chosen[1] < chosen[2] && chosen[2] < 10));
    for (const Index i : chosen) ++times[static_cast<std::size_t>(i)];
  }
  for (const int count : times) CHECK(std::abs(count - 900) < 126);  // five standard deviations, √(3000 · 0.3 · 0.7)
  CHECK(draw(3, 10, numbers(1)) == std::vector<Index>{0, 1, 2});
  CHECK(draw(0, 10, numbers(1)).empty());
}

// --- losses with a fault --------------------------------------------------------------------------------------------------------------

enum LossFault { right, mean_of_shard, sign, factor, other_column, mixes_columns, keeps_state, writes_nothing };

/// J = ½‖z − y‖² with one fault.
template <LossFault fault>
struct Square {
  using Target = Real;
  mutable double calls = 0;
  void value_and_gradient(const ConstMatrixRef<double>& scores, const ConstMatrixRef<double>& targets, VectorRef<double> values,
                          MatrixRef<double> dscores) const {
    if (fault == writes_nothing) return;
    const double m = static_cast<double>(scores.cols());
    values = (scores - targets).colwise().squaredNorm().transpose() / 2 / (fault == mean_of_shard ? m : 1);
    dscores = (scores - targets) * (fault == mean_of_shard ? 1 / m : fault == sign ? -1 : fault == factor ? 2 : 1);
    const Index last = scores.cols() - 1;
    if (fault == other_column) dscores.col(last) = dscores.col(0).eval();
    if (fault == mixes_columns) values[last] += 0.01 * scores(0, 0);
    if (fault == keeps_state) values.array() += 1e-15 * calls++;
  }
};
static_assert(parade::Loss<Square<right>, double>);

template <LossFault fault>
GradientReport check_square(Index m = 7) {
  return check_loss(Square<fault>{}, random(3, m, -1, 1, 1, 14), random(3, m, -1, 1, 1, 15));
}

TEST_CASE("a user's loss without a fault passes, and each fault in a loss is found") {
  for (const Index m : {1, 2, 7}) CHECK(check_square<right>(m));
  check_found(check_square<mean_of_shard>(), "nothing is divided by m");
  check_found(check_square<mean_of_shard>(1), "nothing is divided by m");
  check_found(check_square<sign>(), "dJ/dz (21 of 21)");
  check_found(check_square<sign>(), "it is -1 times the difference: a wrong sign?");
  check_found(check_square<factor>(), "it is 2 times the difference");
  check_found(check_square<other_column>(), "its column alone counts, and nothing is divided by m; dJ/dz(");
  check_found(check_square<mixes_columns>(), "its column alone counts, and nothing is divided by m; J of sample ");
  check_found(check_square<keeps_state>(), "is state kept between calls? J of sample ");
  check_found(check_square<writes_nothing>(), "J of sample 0 is nan, not a finite number");
}

TEST_CASE("a fault in a loss is found through a model as well") {
  const Linear<double> model(4, 3);
  const Vector<double> theta = theta_for(model, 1);
  const auto data = samples(7, 4, 3, 1);
  CHECK(check_gradient(model, Square<right>{}, theta, data));
  check_found(check_gradient(model, Square<sign>{}, theta, data), "it is -1 times the difference");
  check_found(check_gradient(model, Square<other_column>{}, theta, data),
              "the gradients of two halves must add up to that of the whole batch");
  const auto mean = check_gradient(model, Square<mean_of_shard>{}, theta, data);
  CHECK(mean.faults.size() == 1);
  check_found(mean, "J of a sample must not depend on what else is in its shard; a mean where a sum is meant? In two halves J of sample ");
}

TEST_CASE("a sample of weight 0 is absent, even where its J is not a number") {
  struct Fragile : SquaredError {
    void value_and_gradient(const ConstMatrixRef<double>& scores, const ConstMatrixRef<double>& targets, VectorRef<double> values,
                            MatrixRef<double> dscores) const {
      SquaredError::value_and_gradient(scores, targets, values, dscores);
      for (Index j = 0; j < targets.cols(); ++j)
        if (targets(0, j) == 9) {
          values[j] = std::nan("");
          dscores.col(j).setConstant(std::nan(""));
        }
    }
  };
  const Linear<double> model(4, 3);
  Matrix<double> targets = random(3, 7, -1, 1, 1, 16);
  targets(0, 2) = 9;
  Vector<double> weights = Vector<double>::LinSpaced(7, 0.5, 2);
  const auto data = DenseData<double>(random(4, 7, -1, 1, 1, 17)).with_targets(targets);
  check_found(check_gradient(model, Fragile{}, theta_for(model, 1), data.with_weights(weights)), "J of sample 2 is nan");
  weights[2] = 0;
  CHECK(check_gradient(model, Fragile{}, theta_for(model, 1), data.with_weights(weights)));

  Matrix<double> x = 1e-10 * data.values();
  x(1, 2) = 1e300;  // infinite after scaling
  const auto infinite = DenseData<double>(x).with_scale(1e10).with_targets(targets);
  check_found(check_gradient(model, SquaredError{}, theta_for(model, 1), infinite), "score 0 of sample 2 is ");
  CHECK(check_gradient(model, SquaredError{}, theta_for(model, 1), infinite.with_weights(weights)));
}

// --- regularizers with a fault --------------------------------------------------------------------------------------------------------

enum RegularizerFault { sound, gradient_doubled, gradient_overwrites, not_separable, prox_halved, prox_forgotten };

/// λR = ½‖θ‖², with one fault.
template <RegularizerFault fault>
struct Ridge {
  double value(const ConstVectorRef<double>& theta) const { return fault == not_separable ? theta.norm() : theta.squaredNorm() / 2; }
  void add_gradient(const ConstVectorRef<double>& theta, VectorRef<double> grad) const {
    if (fault == gradient_overwrites) grad.setZero();
    grad += (fault == gradient_doubled ? 2 : fault == not_separable ? 1 / theta.norm() : 1) * theta;
  }
};

/// λR = 0.7‖θ‖₁ + ½ ridge ‖θ‖²: the prox is that of the first part, the gradient that of the second.
template <RegularizerFault fault>
struct ElasticNet {
  double ridge = 0.4;
  double value(const ConstVectorRef<double>& theta) const { return 0.7 * theta.lpNorm<1>() + ridge / 2 * theta.squaredNorm(); }
  void add_gradient(const ConstVectorRef<double>& theta, VectorRef<double> grad) const {
    grad += (fault == gradient_doubled ? 2 : 1) * ridge * theta;
  }
  void prox(VectorRef<double> theta, const ConstVectorRef<double>& steps) const {
    const double lambda = fault == prox_halved ? 0.35 : fault == prox_forgotten ? 0 : 0.7;
    theta = theta.cwiseSign().cwiseProduct((theta.cwiseAbs() - lambda * steps).cwiseMax(0));
  }
};

TEST_CASE("a user's regularizer without a fault passes, and each fault in a regularizer is found") {
  const Vector<double> theta = random(9, 1, -2, 2, 1, 18);
  CHECK(check_regularizer(Ridge<sound>{}, theta));
  check_found(check_regularizer(Ridge<gradient_doubled>{}, theta),
              "the gradient differs from central differences in theta (9 of 9); worst theta(");
  check_found(check_regularizer(Ridge<gradient_doubled>{}, theta), "it is 2 times the difference");
  check_found(check_regularizer(Ridge<gradient_overwrites>{}, theta), "add_gradient must add to what grad holds, not overwrite it: theta(");
  check_found(check_regularizer(Ridge<not_separable>{}, theta), "must be separable: the whole is what its parts are: the value is ");

  CHECK(check_regularizer(ElasticNet<sound>{}, theta));
  CHECK(check_regularizer(ElasticNet<sound>{.ridge = 0}, theta));
  check_found(check_regularizer(ElasticNet<prox_halved>{}, theta), "prox does not give the proximal point of ");
  check_found(check_regularizer(ElasticNet<prox_forgotten>{}, theta),
              "prox does not give the proximal point of 9 of 9 elements: theta(0) = ");
  check_found(check_regularizer(ElasticNet<gradient_doubled>{}, theta), "prox does not give the proximal point of ");
}

// --- arguments that do not fit --------------------------------------------------------------------------------------------------------

TEST_CASE("arguments that do not fit are refused with the field, the value and the rule") {
  const Linear<double> model(4, 3);
  const Vector<double> theta = theta_for(model, 1);
  const auto data = samples(7, 4, 3, 1);
  const auto check = [&](const GradientCheckOptions& options) { return check_gradient(model, SquaredError{}, theta, data, options); };
  CHECK_THROWS_WITH(check({.tolerance = 0}), "tolerance must be in (0, 0.1]; got 0");
  CHECK_THROWS_WITH(check({.tolerance = std::nan("")}), "tolerance must be in (0, 0.1]; got nan");
  CHECK_THROWS_WITH(check({.max_left_out = 1.5}), "max_left_out must be in [0, 1]; got 1.5");
  CHECK_THROWS_WITH(check({.elements_per_block = 0}), "elements_per_block must be at least 1; got 0");
  CHECK_THROWS_AS(check({.tolerance = 1}), OptionError);

  const SquaredError square;
  CHECK_THROWS_WITH(check_gradient(model, square, theta.head(14), data),
                    "theta must have one element per parameter, at least 1: 15; got 14");
  CHECK_THROWS_WITH(check_gradient(model, square, Vector<double>::Constant(15, std::nan("")), data), "theta must be finite");
  CHECK_THROWS_WITH(check_gradient(model, square, theta, samples(0, 4, 3, 1)), "the data must have at least 1 sample; got 0");
  CHECK_THROWS_WITH(check_gradient(model, square, theta, samples(7, 5, 3, 1)), "the model takes 4 features a sample; the data has 5");
  CHECK_THROWS_WITH(check_gradient(model, square, theta, samples(7, 4, 2, 1)),
                    "the loss compares 3 outputs with as many targets a sample; the data has 2");
  const auto unlabelled = DenseData<double>(random(4, 7, -1, 1, 1, 1));
  CHECK_THROWS_WITH(check_gradient(model, SoftmaxCrossEntropy{}, theta, unlabelled),
                    "the loss needs a class label for every sample; the data has none");
  CHECK_THROWS_WITH(check_gradient(model, SoftmaxCrossEntropy{}, theta, unlabelled.with_labels(Vector<Label>::Constant(7, 3))),
                    ContainsSubstring("the label of sample 0 is 3: ") && ContainsSubstring("must be in [0, 2]"));
  CHECK_THROWS_WITH(check_gradient(model, Hinge{}, theta, data), ContainsSubstring("the number of scores of a sample is 3: "));
  CHECK_THROWS_AS(check_gradient(model, Hinge{}, theta, data), DataError);

  CHECK_THROWS_WITH(check_loss(square, Matrix<double>(3, 0), Matrix<double>(3, 0)),
                    "scores must have at least 1 row and 1 column; got (3, 0)");
  CHECK_THROWS_WITH(check_loss(square, Matrix<double>::Constant(3, 2, std::nan("")), Matrix<double>::Zero(3, 2)), "scores must be finite");
  CHECK_THROWS_WITH(check_loss(square, Matrix<double>::Zero(3, 2), Matrix<double>::Zero(3, 1)),
                    "targets must fit scores (3, 2); got (3, 1)");
  CHECK_THROWS_WITH(check_loss(Logistic{}, Matrix<double>::Zero(1, 2), Vector<Label>::Zero(3)),
                    "targets must fit scores (1, 2); got (3, 1)");

  CHECK_THROWS_WITH(check_regularizer(parade::L2{}, Vector<double>()), "theta must have at least 1 element; got 0");
  CHECK_THROWS_WITH(check_regularizer(parade::L2{}, Vector<double>::Constant(2, std::nan(""))), "theta must be finite");
}

}  // namespace
