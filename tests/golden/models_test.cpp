// SPDX-License-Identifier: MIT
// Tier 2 of the promise for models that need data of their own: as golden_test.cpp, but the engine alone takes the steps. Where a change of the
// mathematics moves the bits on purpose, a failing check shows the new ones.
#include <cmath>
#include <string>

#include <parade/core/hash.hpp>
#include <parade/engine/serial_gradient.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/one_vs_rest.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/factorization_machine.hpp>
#include <parade/models/linear.hpp>
#include <parade/models/matrix_factorization.hpp>
#include <parade/models/ordinal.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace {

using namespace parade;

/// The hash of θ after twenty steps θ ← θ − g/64 on all samples, in shards of seven.
template <class L, class M, class S = typename M::Scalar>
std::string train(const M& model, const DenseData<S>& data) {
  const SerialGradient<M, L> engine(model, {}, 7);
  const auto samples = training::first_samples(data.size());
  Vector<S> theta(model.parameters().size()), grad;
  model.initialize(theta, 5);
  for (int step = 0; step < 20; ++step) {
    engine.sum(theta, data, samples, grad);
    for (Index i = 0; i < theta.size(); ++i) theta[i] = std::fma(S{-1} / 64, grad[i], theta[i]);
  }
  REQUIRE(theta.allFinite());
  return hash_text(theta_hash(theta));
}

template <class S>
DenseData<S> ratings() {
  Matrix<S> pairs(2, 61);
  for (Index j = 0; j < 61; ++j) pairs.col(j) << static_cast<S>(j % 7), static_cast<S>(j % 11);
  return DenseData<S>(pairs).with_targets(training::random_matrix<double>(1, 61, 4));
}

}  // namespace

TEST_CASE("the bits of factorization machines, matrix factorization, ordinal models and one-vs-rest are those of every machine, float") {
  const auto labelled = training::labelled_data<float>(70, 61, 5);
  CHECK(train<SquaredError>(FactorizationMachine<float>(70, 9, 2), training::regression_data<float>(70, 61, 2)) == "33d2ca0b0d37a09e");
  CHECK(train<SquaredError>(MatrixFactorization<float>(7, 11, 9), ratings<float>()) == "dfd8dbf6d53f136e");
  CHECK(train<SoftmaxCrossEntropy>(Ordinal(FactorizationMachine<float>(70, 3), 5), labelled) == "60086421b094c9fb");
  CHECK(train<OneVsRest<Logistic>>(Linear<float>(70, 5), labelled) == "47baff92b7797ccd");
}

TEST_CASE("the bits of factorization machines, matrix factorization, ordinal models and one-vs-rest are those of every machine, double") {
  const auto labelled = training::labelled_data<double>(70, 61, 5);
  CHECK(train<SquaredError>(FactorizationMachine<double>(70, 9, 2), training::regression_data<double>(70, 61, 2)) == "062748bc6dfe5b47");
  CHECK(train<SquaredError>(MatrixFactorization<double>(7, 11, 9), ratings<double>()) == "8005686435b82e54");
  CHECK(train<SoftmaxCrossEntropy>(Ordinal(FactorizationMachine<double>(70, 3), 5), labelled) == "677923f4c82368f1");
  CHECK(train<OneVsRest<Logistic>>(Linear<double>(70, 5), labelled) == "72e12a6d2f37069e");
}
