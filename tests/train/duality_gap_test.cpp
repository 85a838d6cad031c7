// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <parade/callbacks/certify.hpp>
#include <parade/constraints/box.hpp>
#include <parade/core/hash.hpp>
#include <parade/data/cache.hpp>
#include <parade/data/cached.hpp>
#include <parade/losses/hinge.hpp>
#include <parade/losses/huber.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/losses/squared_hinge.hpp>
#include <parade/models/linear.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/elastic_net.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/train/duality_gap.hpp>
#include <parade/train/trainer.hpp>

#include "reference/optima.hpp"
#include "support/catch.hpp"
#include "support/numbers.hpp"
#include "support/sparse.hpp"
#include "support/temporary_folder.hpp"
#include "support/training.hpp"

namespace duality_gap_test {

namespace {

using parade::DualityGap, parade::ElasticNet, parade::Hinge, parade::Index, parade::Intercept, parade::L1, parade::L2, parade::Label,
    parade::Linear, parade::Logistic, parade::Matrix, parade::SquaredError, parade::SquaredHinge, parade::Team, parade::Vector;

constexpr double eps = std::numeric_limits<double>::epsilon();

/// Rows of 0 to 12 entries with labels, a real target and weights, of which some are 0.
const parade::SparseRows<double>& rows() {
  static const auto all = [] {
    const auto plain = sparse::random_rows<double>(40, 300);
    Vector<double> weights(300);
    for (Index i = 0; i < 300; ++i) weights[i] = static_cast<double>(i % 4);
    return plain.with_targets(training::random_matrix<double>(1, 300, 9)).with_weights(weights);
  }();
  return all;
}
const parade::DenseData<double>& columns() {
  static const auto all = sparse::dense(rows());
  return all;
}

/// call(name, loss, regularizer) for every pair of a loss that has a conjugate and a regularizer with a shrinkage.
template <class Call>
void for_each_pair(const Call& call) {
  const auto with = [&](const std::string& loss_name, const auto& loss) {
    call(loss_name + ", L2", loss, L2{.lambda = 0.05});
    call(loss_name + ", L2 of the bias too", loss, L2{.lambda = 0.05, .biases = true});
    call(loss_name + ", L1", loss, L1{.lambda = 0.03});
    call(loss_name + ", L1 of the bias too", loss, L1{.lambda = 0.03, .biases = true});
    call(loss_name + ", elastic net", loss, ElasticNet{.lambda = 0.06, .l1_ratio = 0.3});
  };
  with("squared error", SquaredError{});
  with("logistic", Logistic{});
  with("hinge", Hinge{});
  with("squared hinge", SquaredHinge{});
}

/// The objective by plain sums.
template <class L, class R>
double objective(const L& loss, const R& regularizer, const Linear<double>& model, const Vector<double>& theta) {
  const Index d = model.num_inputs(), n = columns().size();
  Matrix<double> z = theta.head(d).transpose() * columns().values(), slopes(1, n);
  if (theta.size() > d) z.array() += theta[d];
  Vector<double> values(n);
  if constexpr (std::is_same_v<typename L::Target, Label>)
    loss.value_and_gradient(z, columns().labels(), values, slopes);
  else
    loss.value_and_gradient(z, columns().targets(), values, slopes);
  const Vector<double>& w = columns().weights();
  return w.dot(values) / w.sum() + regularizer.value(theta.head(regularizer.biases ? theta.size() : d));
}

/// θ after full-batch proximal gradient steps.
template <class L, class R>
Vector<double> fitted(const L& loss, const R& regularizer, const Linear<double>& model, int steps) {
  const Index d = model.num_inputs(), n = columns().size(), count = regularizer.biases ? model.parameters().size() : d;
  const Vector<double>& w = columns().weights();
  const Matrix<double> x = columns().values();
  Vector<double> theta = Vector<double>::Zero(model.parameters().size()), values(n), grad = theta;
  Matrix<double> z(1, n), slopes(1, n);
  for (int step = 0; step < steps; ++step) {
    const double rate = std::is_same_v<L, Hinge> ? 5 / (1 + 0.05 * step) : std::is_same_v<L, SquaredHinge> ? 0.5 : 1;
    z = theta.head(d).transpose() * x;
    if (theta.size() > d) z.array() += theta[d];
    if constexpr (std::is_same_v<typename L::Target, Label>)
      loss.value_and_gradient(z, columns().labels(), values, slopes);
    else
      loss.value_and_gradient(z, columns().targets(), values, slopes);
    const Vector<double> u = slopes.row(0).transpose().cwiseProduct(w) / w.sum();
    grad.head(d) = x * u;
    if (theta.size() > d) grad[d] = u.sum();
    if constexpr (parade::HasSmoothTerm<R, double>) regularizer.add_gradient(theta.head(count), grad.head(count));
    theta -= rate * grad;
    if constexpr (parade::HasProx<R, double>) regularizer.prox(theta.head(count), Vector<double>::Constant(count, rate));
  }
  return theta;
}

bool same(const DualityGap& a, const DualityGap& b) { return a.primal == b.primal && a.dual == b.dual; }

}  // namespace

TEST_CASE("a conjugate is the least upper bound of u z - f(z)") {
  const auto check = [](const auto& loss, auto target, const std::vector<double>& inside, const std::vector<double>& outside) {
    using L = std::decay_t<decltype(loss)>;
    const auto bound = [&](double u, double z) {
      Matrix<double> score(1, 1), slope(1, 1);
      Vector<double> value(1);
      score << z;
      if constexpr (std::is_same_v<typename L::Target, Label>)
        loss.value_and_gradient(score, Vector<Label>(Vector<Label>::Constant(1, target)), value, slope);
      else
        loss.value_and_gradient(score, Matrix<double>(Matrix<double>::Constant(1, 1, target)), value, slope);
      return u * z - value[0];
    };
    for (const double u : inside) {
      double most = -std::numeric_limits<double>::infinity();
      for (int i = -40000; i <= 40000; ++i) most = std::max(most, bound(u, i / 1000.0));
      INFO("u = " << u);
      CHECK(loss.conjugate(u, target) >= most - 64 * eps);
      CHECK(loss.conjugate(u, target) <= most + 1e-6);  // the grid, and what is left beyond 40
    }
    for (const double u : outside) CHECK(loss.conjugate(u, target) == std::numeric_limits<double>::infinity());
  };
  check(SquaredError{}, 0.75, {-2, -0.3, 0, 1.5}, {});
  check(parade::Huber{.delta = 1.5}, 0.75, {-1.5, -0.3, 0, 1.5}, {1.51, -2});
  check(Logistic{}, Label{1}, {-1, -0.7, -0.5, -1e-3, 0}, {0.1, -1.1});
  check(Logistic{}, Label{0}, {1, 0.7, 0.5, 1e-3, 0}, {-0.1, 1.1});
  check(Hinge{}, Label{1}, {-1, -0.25, 0}, {0.1, -1.1});
  check(Hinge{}, Label{-1}, {1, 0.25, 0}, {-0.1, 1.1});
  check(SquaredHinge{}, Label{1}, {-3, -1, -0.25, 0}, {0.1});
  check(SquaredHinge{}, Label{0}, {3, 1, 0.25, 0}, {-0.1});
}

TEST_CASE("a duality gap is never below 0, bounds what is left, and goes to 0") {
  Team team(2);
  for_each_pair([&](const std::string& name, const auto& loss, const auto& regularizer) {
    using L = std::decay_t<decltype(loss)>;
    for (const auto intercept : {Intercept::none, Intercept::fitted}) {
      INFO(name << (intercept == Intercept::none ? ", no bias" : ", bias"));
      const Linear<double> model(40, 1, intercept);
      const Vector<double> best = fitted(loss, regularizer, model, 2500);
      const DualityGap at_best = parade::duality_gap(team, model, loss, regularizer, best, columns(), {.sweeps = 500});
      const double least = at_best.primal;
      CHECK(least == Approx(objective(loss, regularizer, model, best)).epsilon(1e-13));
      CHECK(at_best.gap() >= -32 * eps * least);
      const bool has_kink = std::is_same_v<L, Hinge>;
      const bool is_lasso = std::is_same_v<std::decay_t<decltype(regularizer)>, L1>;
      if (!has_kink) CHECK(at_best.gap() <= (is_lasso ? 2e-8 : 1e-13));
      if (has_kink && !is_lasso) CHECK(at_best.gap() <= 3e-3 * least);
      if (at_best.dual > 0) CHECK(at_best.relative() == at_best.gap() / at_best.dual);

      double before = std::numeric_limits<double>::infinity();
      for (const int steps : {0, 10, 100}) {
        const Vector<double> theta = fitted(loss, regularizer, model, steps);
        const DualityGap at = parade::duality_gap(team, model, loss, regularizer, theta, columns());
        CHECK(at.gap() >= at.primal - least - 32 * eps * at.primal);  // at least what is left
        CHECK(at.dual <= least * (1 + 32 * eps));                     // a lower bound of every value
        if (!has_kink) CHECK(at.gap() <= before + 32 * eps * at.primal);
        before = at.gap();
      }
      for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        const Vector<double> theta = numbers::random_vector<double>(model.parameters().size(), seed, -3, 3);
        const DualityGap at = parade::duality_gap(team, model, loss, regularizer, theta, columns());
        CHECK(at.dual <= least * (1 + 32 * eps));
        CHECK(at.gap() >= at.primal - least - 32 * eps * at.primal);
      }
    }
  });
}

TEST_CASE("the gap at the optima that scikit-learn and SciPy found is rounding") {
  Team team(1);
  const auto check = [&](const optima::Case& problem, const auto& data, const auto& loss, const auto& regularizer, double rounding) {
    const Linear<double> model(problem.theta.cols(), 1, Intercept::none);
    const Vector<double> theta = problem.theta.reshaped();
    const DualityGap at = parade::duality_gap(team, model, loss, regularizer, theta, data);
    CHECK(at.primal == Approx(problem.value).epsilon(1e-12));
    CHECK(std::abs(at.gap()) <= rounding);
    Vector<double> off = theta;
    off[0] += 0.1;
    const DualityGap away = parade::duality_gap(team, model, loss, regularizer, off, data);
    CHECK(away.gap() >= away.primal - problem.value);
    CHECK(away.primal - problem.value > 1e-4);
  };
  const optima::Case logistic("logistic_l2"), l1("logistic_l1"), ridge("ridge"), net("elastic_net");
  const auto signs = parade::DenseData<double>(logistic.x).with_labels(logistic.labels("signs"));
  const auto targets = parade::DenseData<double>(ridge.x).with_targets(ridge.targets());
  check(logistic, signs, Logistic{}, L2{.lambda = logistic.number("lambda")}, 1e-13);
  check(l1, signs, Logistic{}, L1{.lambda = l1.number("lambda")}, 1e-8);  // how far its θ is off counts once, not squared
  check(ridge, targets, SquaredError{}, L2{.lambda = ridge.number("lambda")}, 1e-13);
  check(net, targets, SquaredError{}, ElasticNet{.lambda = net.number("alpha"), .l1_ratio = net.number("l1_ratio")}, 1e-13);
}

TEST_CASE("a gap has the same bits for every number of threads, and sparse rows have that of dense data") {
  const Linear<double> model(40, 1);
  const auto in_float = parade::SparseRows<float>(rows().offsets(), rows().indices(), rows().values().cast<float>(), 40)
                            .with_labels(rows().labels())
                            .with_weights(rows().weights());
  for_each_pair([&](const std::string& name, const auto& loss, const auto& regularizer) {
    INFO(name);
    const Vector<double> theta = fitted(loss, regularizer, model, 100);
    Team one(1);
    const DualityGap dense = parade::duality_gap(one, model, loss, regularizer, theta, columns());
    const DualityGap sparse = parade::duality_gap(one, model, loss, regularizer, theta, rows());
    for (const int threads : {2, 3, 4, 8}) {
      Team team(threads);
      CHECK(same(parade::duality_gap(team, model, loss, regularizer, theta, columns()), dense));
      CHECK(same(parade::duality_gap(team, model, loss, regularizer, theta, rows()), sparse));
    }
    CHECK(sparse.primal == Approx(dense.primal).epsilon(32 * eps));
    CHECK(std::abs(sparse.dual - dense.dual) <= 1e-12 * dense.primal);
  });
  Team team(2);
  const Vector<float> theta = Vector<float>::Constant(41, 0.1f);
  const DualityGap narrow = parade::duality_gap(team, Linear<float>(40, 1), Logistic{}, L2{.lambda = 0.1}, theta, in_float);
  const DualityGap wide = parade::duality_gap(team, model, Logistic{}, L2{.lambda = 0.1}, Vector<double>(theta.cast<double>()), rows());
  CHECK(narrow.primal == Approx(wide.primal).epsilon(1e-6));
  CHECK(narrow.gap() == Approx(wide.gap()).epsilon(1e-6));
}

TEST_CASE("gaps and residuals of sparse data have the same bits under every compiler") {
  Team team(2);
  std::vector<double> all;
  for_each_pair([&](const std::string&, const auto& loss, const auto& regularizer) {
    const Linear<double> model(40, 1);
    const Vector<double> theta = numbers::random_vector<double>(41, 5, -1, 1);
    const DualityGap dense = parade::duality_gap(team, model, loss, regularizer, theta, columns());
    const DualityGap sparse = parade::duality_gap(team, model, loss, regularizer, theta, rows());
    const double residual = parade::detail::linear_residual(team, model, loss, regularizer, theta, rows(), 0.7);
    all.insert(all.end(), {dense.primal, dense.dual, sparse.primal, sparse.dual, residual});
  });
  CHECK(parade::hash_text(parade::theta_hash(Vector<double>(Vector<double>::Map(all.data(), static_cast<Index>(all.size()))))) ==
        "19abd6a1a1d9a2b2");
}

TEST_CASE("in a gap a weight is so many copies, and many targets and many pieces of data are no other problem") {
  std::vector<Index> copies;
  for (Index i = 0; i < columns().size(); ++i) copies.insert(copies.end(), static_cast<std::size_t>(i % 4), i);
  const auto copied = parade::DenseData<double>(Matrix<double>(columns().values()(Eigen::all, copies)))
                          .with_labels(Vector<Label>(columns().labels()(copies)))
                          .with_targets(Matrix<double>(columns().targets()(Eigen::all, copies)));
  Team team(2);
  const Linear<double> model(40, 1);
  for_each_pair([&](const std::string& name, const auto& loss, const auto& regularizer) {
    if (std::is_same_v<std::decay_t<decltype(loss)>, Hinge>) return;  // the copies of a sample move one after the other
    INFO(name);
    const Vector<double> theta = fitted(loss, regularizer, model, 100);
    const DualityGap weighted = parade::duality_gap(team, model, loss, regularizer, theta, columns());
    const DualityGap plain = parade::duality_gap(team, model, loss, regularizer, theta, copied);
    CHECK(weighted.primal == Approx(plain.primal).epsilon(1e-13));
    CHECK(std::abs(weighted.dual - plain.dual) <= 1e-12 * plain.primal);
  });

  // k targets are k problems side by side.
  Matrix<double> both(2, columns().size());
  both << columns().targets(), columns().targets();
  const Vector<double> theta = fitted(SquaredError{}, L1{.lambda = 0.01}, model, 100);
  Vector<double> twice(82);
  for (Index j = 0; j < 41; ++j) twice.segment(2 * j, 2).setConstant(theta[j]);
  const DualityGap once = parade::duality_gap(team, model, SquaredError{}, L1{.lambda = 0.01}, theta, columns());
  const DualityGap pair =
      parade::duality_gap(team, Linear<double>(40, 2), SquaredError{}, L1{.lambda = 0.01}, twice, columns().with_targets(both));
  CHECK(pair.gap() == Approx(2 * once.gap()).epsilon(1e-12));
}

TEST_CASE("data that comes window by window has the gap of data in memory, to the bit") {
  const TemporaryFolder folder;
  const auto many = sparse::random_rows<double>(40, 700);
  const auto dense = sparse::dense(many);
  write_cache(folder.path / "rows.cache", many, {.rows_per_block = 50});
  write_cache(folder.path / "dense.cache", dense, {.rows_per_block = 50});
  const parade::CachedRows<double> cached_rows{folder.path / "rows.cache", {.window_blocks = 2}};
  const parade::CachedDense<double> cached_dense{folder.path / "dense.cache", {.window_blocks = 2}};
  const Linear<double> model(40, 1);
  const Vector<double> theta = numbers::random_vector<double>(41, 5, -1, 1);
  const L2 ridge{.lambda = 0.05};
  for (const int threads : {1, 3}) {
    Team team(threads);
    CHECK(same(parade::duality_gap(team, model, Hinge{}, ridge, theta, cached_rows),
               parade::duality_gap(team, model, Hinge{}, ridge, theta, many)));
    CHECK(same(parade::duality_gap(team, model, Hinge{}, ridge, theta, cached_dense),
               parade::duality_gap(team, model, Hinge{}, ridge, theta, dense)));
    CHECK(parade::detail::linear_residual(team, model, Hinge{}, ridge, theta, cached_dense, 1) ==
          parade::detail::linear_residual(team, model, Hinge{}, ridge, theta, dense, 1));
  }
}

TEST_CASE("a summary has the certificates that Certify asks for") {
  const L1 lasso{.lambda = 0.01};
  parade::Trainer trainer{Linear<double>{40}, SquaredError{}, lasso, parade::Sgd{.rate = 0.3}};
  const parade::FitOptions options{.epochs = 300, .batch_size = 300, .seed = 1, .threads = 2};
  const auto plain = trainer.fit(columns(), options);
  CHECK_FALSE(plain.certificate);
  CHECK(plain.full().find("certificate") == std::string::npos);

  for (const bool dense : {true, false}) {
    INFO((dense ? "dense" : "sparse"));
    const auto summary = dense ? trainer.fit(columns(), options, parade::Certify{}) : trainer.fit(rows(), options, parade::Certify{});
    REQUIRE(summary.certificate);
    const parade::Certificate& certificate = *summary.certificate;
    CHECK(certificate.violation == 0);
    CHECK(certificate.residual == (dense ? trainer.residual(columns()) : trainer.residual(rows())));
    REQUIRE(certificate.gap);
    CHECK(same(*certificate.gap, dense ? trainer.duality_gap(columns()) : trainer.duality_gap(rows())));
    CHECK(certificate.gap->gap() > 0);
    CHECK(certificate.gap->gap() < 1e-2);
    CHECK(summary.full().find("certificate violation 0, residual ") != std::string::npos);
    CHECK(summary.full().find(", duality gap ") != std::string::npos);
    if (dense) CHECK(summary.theta_hash == plain.theta_hash);
  }
  for (const double step : {0.01, 1.0, 3.0})
    CHECK(trainer.residual(rows(), step) == Approx(trainer.residual(columns(), step)).epsilon(1e-9));
  Vector<double> other = trainer.theta();
  other[3] = 0.5;
  trainer.set_theta(other);
  CHECK(trainer.residual(rows()) == Approx(trainer.residual(columns())).epsilon(1e-12));
  CHECK_THROWS_AS(trainer.residual(rows(), 0), parade::OptionError);
}

TEST_CASE("passes over the data bring the bound of a hinge nearer, with a bias too") {
  Team team(2);
  for (const auto intercept : {parade::Intercept::none, parade::Intercept::fitted}) {
    CAPTURE(intercept == parade::Intercept::fitted);
    const Linear<double> model(40, 1, intercept);
    const Vector<double> theta = Vector<double>::Zero(model.parameters().size());
    const auto gap = [&](Index sweeps) {
      return parade::duality_gap(team, model, Hinge{}, L2{.lambda = 1e-3}, theta, rows(), {.sweeps = sweeps}).dual;
    };
    const double none = gap(0), usual = gap(50), many = gap(2000);
    CAPTURE(none, usual, many);
    CHECK(many - usual < 0.2 * (many - none));
  }
}

TEST_CASE("a certificate that cannot be had loses nothing of the run") {
  parade::Vector<parade::Label> labels = rows().labels();
  labels[3] = -1;
  parade::Trainer trainer{Linear<double>{40, 1}, Logistic{}, L2{.lambda = 1e-2}, parade::Sgd{.rate = 0.1}};
  const auto summary = trainer.fit(rows().with_labels(labels), {.epochs = 1, .seed = 1, .check_data = false}, parade::Certify{});
  REQUIRE(summary.certificate);
  CHECK(!summary.certificate->gap);
  CHECK(summary.certificate->no_gap.find("label") != std::string::npos);
  CHECK(std::isnan(summary.certificate->residual));
  CHECK((parade::DualityGap{.primal = 0, .dual = 0}.relative() == 0));
}

TEST_CASE("where there is no duality gap, an error or the summary says so") {
  Team team(1);
  const Linear<double> model(40, 1);
  const Vector<double> theta = Vector<double>::Constant(41, 0.1);
  CHECK_THROWS_WITH(parade::duality_gap(team, model, Logistic{}, L2{}, theta, rows()),
                    "a duality gap needs a regularizer of the weights: lambda must be above 0; got 0");
  CHECK_THROWS_AS(parade::duality_gap(team, model, Logistic{}, L2{.lambda = -1}, theta, rows()), parade::OptionError);
  CHECK_THROWS_WITH(parade::duality_gap(team, model, Hinge{}, L2{.lambda = 1}, theta, rows(), {.sweeps = -1}),
                    "sweeps must be at least 0; got -1");
  CHECK_THROWS_AS(parade::duality_gap(team, model, Logistic{}, L2{.lambda = 1}, Vector<double>(3), rows()), parade::DataError);
  CHECK(std::isnan(
      parade::duality_gap(team, model, SquaredError{}, L2{.lambda = 1}, Vector<double>(Vector<double>::Constant(41, 1e300)), rows())
          .relative()));

  parade::Trainer fresh{model, Logistic{}, L2{.lambda = 0.1}, parade::Sgd{.rate = 0.1}};
  CHECK_THROWS_WITH(fresh.fit(rows(), {.epochs = 1}, parade::Certify{.step = 0}),
                    "the step size of a residual must be finite and above 0; got 0");
  CHECK_THROWS_AS(fresh.theta(), std::logic_error);  // nothing was begun
  CHECK(fresh.fit(rows(), {.epochs = 1, .threads = 1}, parade::Certify{}).certificate->gap);

  parade::Trainer boxed{Linear<double>{40}, Logistic{}, L2{.lambda = 0.1}, parade::Sgd{.rate = 0.1}, parade::Box{.lower = 0, .upper = 1}};
  const auto summary = boxed.fit(columns(), {.epochs = 1, .batch_size = 100, .threads = 1}, parade::Certify{});
  REQUIRE(summary.certificate);
  CHECK_FALSE(summary.certificate->gap);
  CHECK(std::isfinite(summary.certificate->residual));
  CHECK(summary.full().find("no duality gap: there is a constraint") != std::string::npos);
  CHECK_THROWS_WITH(boxed.duality_gap(columns()), "there is no duality gap: there is a constraint");
}

}  // namespace duality_gap_test
