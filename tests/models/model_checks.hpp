// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <vector>

#include <parade/engine/parallel_gradient.hpp>
#include <parade/engine/serial_gradient.hpp>
#include <parade/testing/gradient_check.hpp>

#include "support/catch.hpp"
#include "support/numbers.hpp"
#include "support/training.hpp"

// What every model must do, for the tests of single models.
namespace models {

using parade::Index, parade::Label, parade::Matrix, parade::Vector;

/// A θ with no 0 in it, of the size that a training ends with.
template <class M, class S = typename M::Scalar>
Vector<S> some_theta(const M& model, std::uint64_t stream = 31, double size = 0.7) {
  return numbers::random_vector<S>(model.parameters().size(), stream, -size, size);
}

/// Z of all columns at once, by a new worker.
template <class M, class S = typename M::Scalar>
Matrix<S> scores(const M& model, const Vector<S>& theta, const Matrix<S>& x) {
  parade::detail::Preparation<M> preparation;
  preparation.reserve(model, theta.size());
  preparation(model, theta, [](Index pieces, auto&& work) {
    for (Index piece = 0; piece < pieces; ++piece) work(piece, 0);
  });
  typename M::Workspace workspace;
  return parade::ConstMatrixRef<S>(model.forward(preparation.get(), x, workspace));
}

/// The bits of a column of Z depend neither on m nor on where it stands. Needs 33 columns and more.
template <class M, class S = typename M::Scalar>
void check_columns(const M& model, const Vector<S>& theta, const Matrix<S>& x) {
  const Matrix<S> whole = scores(model, theta, x);
  for (const Index m : {1, 2, 7, 32, 33})
    for (Index first = 0; first + m <= x.cols(); first += m == 1 ? 1 : m / 2 + 1) {
      CAPTURE(m, first);
      REQUIRE(numbers::same_bits(scores(model, theta, Matrix<S>(x.middleCols(first, m))), whole.middleCols(first, m)));
    }
}

/// Sum and gradient of a batch have the bits of the serial engine for 1 … 8 threads, with the usual shards and with many.
template <class L, class M, class S = typename M::Scalar>
void check_threads(const M& model, const Vector<S>& theta, const parade::DenseData<S>& data) {
  const auto samples = training::first_samples(data.size());
  for (const Index shard_size : {0, 3}) {
    Vector<S> expected, grad;
    const auto serial = parade::SerialGradient<M, L>(model, {}, shard_size).sum(theta, data, samples, expected);
    REQUIRE(expected.allFinite());
    for (int threads = 1; threads <= 8; ++threads) {
      CAPTURE(shard_size, threads);
      parade::ParallelGradient<M, L> engine(model, {}, {.threads = threads, .shard_size = shard_size});
      const auto sum = engine.sum(theta, data, samples, grad);
      CHECK(sum.loss == serial.loss);
      CHECK(numbers::same_bits(grad, expected));
    }
  }
}

/// θ after so many steps of gradient descent with momentum on the mean over all samples, from the model's own start.
template <class L, class M, class S = typename M::Scalar>
Vector<S> descend(const M& model, const parade::DenseData<S>& data, int steps, double rate, double momentum = 0.9, std::uint64_t seed = 1) {
  const parade::SerialGradient<M, L> engine(model, {}, data.size());
  const auto samples = training::first_samples(data.size());
  Vector<S> theta(model.parameters().size()), grad, velocity = Vector<S>::Zero(theta.size());
  model.initialize(theta, seed);
  for (int step = 0; step < steps; ++step) {
    const auto sum = engine.sum(theta, data, samples, grad);
    velocity = static_cast<S>(momentum) * velocity + static_cast<S>(rate / sum.weight) * grad;
    theta -= velocity;
  }
  return theta;
}

/// The mean of J.
template <class L, class M, class S = typename M::Scalar>
double mean_loss(const M& model, const Vector<S>& theta, const parade::DenseData<S>& data) {
  Vector<S> grad;
  const auto sum = parade::SerialGradient<M, L>(model, {}, data.size()).sum(theta, data, training::first_samples(data.size()), grad);
  return sum.loss / sum.weight;
}

}  // namespace models
