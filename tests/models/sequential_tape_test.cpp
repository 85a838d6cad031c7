// SPDX-License-Identifier: MIT
// The tape of a Sequential: which networks have one, and that no bit of a gradient can tell.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <parade/constraints/no_constraint.hpp>
#include <parade/engine/parallel_gradient.hpp>
#include <parade/engine/serial_gradient.hpp>
#include <parade/engine/update.hpp>
#include <parade/layers/conv2d.hpp>
#include <parade/layers/dense.hpp>
#include <parade/layers/dropout.hpp>
#include <parade/layers/elementwise.hpp>
#include <parade/layers/flatten.hpp>
#include <parade/layers/normalization.hpp>
#include <parade/layers/pooling.hpp>
#include <parade/layers/softmax.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/models/mlp.hpp>
#include <parade/models/sequential.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l2.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace sequential_tape_test {

namespace {

using namespace parade;
using Cost = SoftmaxCrossEntropy;

/// x + s for each feature, with a tape of ∂J/∂Z as it is.
struct Shift {
  using SampleBySampleOf = Shift;
  using TapeOf = Shift;
  static constexpr bool needs_output = false, needs_input = false;

  template <class S>
  struct Piece {
    Matrix<S> deltas;
  };
  template <class S>
  struct Tape {
    std::vector<TapePart<Piece<S>>> parts;
  };

  Shape connect(const Shape& input) {
    features = input.size();
    return input;
  }
  ParameterList parameters() const { return {{"shift", features, 1}}; }
  template <class S>
  void initialize(VectorRef<S> s, std::uint64_t, std::uint64_t) const {
    s.setZero();
  }
  template <class S>
  void forward(const ConstVectorRef<S>& s, const ConstMatrixRef<S>& x, MatrixRef<S> z, auto&) const {
    for (Index j = 0; j < x.cols(); ++j)
      for (Index i = 0; i < x.rows(); ++i) z(i, j) = x(i, j) + s[i];
  }
  template <class S>
  void input_gradient(const ConstVectorRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz,
                      MatrixRef<S> dx, auto&) const {
    dx = dz;
  }
  template <class S>
  void add_gradient(const ConstVectorRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz, auto&,
                    VectorRef<S> grad) const {
    for (Index j = 0; j < dz.cols(); ++j)
      for (Index i = 0; i < dz.rows(); ++i) grad[i] += dz(i, j);
  }

  template <class S>
  void reserve(Piece<S>& piece, Index samples) const {
    piece.deltas.resize(features, samples);
  }
  template <class S>
  void reserve(Tape<S>& tape, std::size_t parts) const {
    tape.parts.reserve(parts);
  }
  template <class S>
  void record(const ConstVectorRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz, auto&,
              Piece<S>& piece) const {
    piece.deltas.leftCols(dz.cols()) = dz;
  }
  template <class S>
  void collect(std::span<const TapePart<Piece<S>>> parts, Tape<S>& tape) const {
    tape.parts.assign(parts.begin(), parts.end());
  }
  template <class S>
  void gradient(const Tape<S>& tape, Range range, S* out) const {
    for (Index i = range.begin; i < range.end; ++i) {
      std::vector<S> shards;
      for (const auto& part : tape.parts) {
        if (part.begins) shards.push_back(S{0});
        for (Index p = part.first; p < part.first + part.count; ++p) shards.back() += part.piece->deltas(i, p);
      }
      for (std::size_t step = 1; step < shards.size(); step *= 2)  // the canonical tree
        for (std::size_t s = 0; s + step < shards.size(); s += 2 * step) shards[s] += shards[s + step];
      out[i - range.begin] = shards[0];
    }
  }

  Index features = 0;
};
static_assert(LayerTaped<Shift, float> && LayerTaped<Shift, double>);

/// Says nothing of how a sample's bits depend on its neighbours.
struct Silent {
  Shape connect(const Shape& input) { return input; }
  template <class S>
  void forward(const ConstVectorRef<S>&, const ConstMatrixRef<S>& x, MatrixRef<S> z, auto&) const {
    z = x;
  }
  template <class S>
  void input_gradient(const ConstVectorRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz,
                      MatrixRef<S> dx, auto&) const {
    dx = dz;
  }
};

/// Dense, but with a gradient of its own: half of it.
struct HalfDense : Dense {
  using Dense::Dense;
  template <class S>
  void add_gradient(const detail::DensePrepared<S>& theta, const ConstMatrixRef<S>& x, const ConstMatrixRef<S>& z,
                    const ConstMatrixRef<S>& dz, auto& workspace, VectorRef<S> grad) const {
    const Matrix<S> half = S{0.5} * dz;
    Dense::add_gradient<S>(theta, x, z, half, workspace, grad);
  }
};

template <class... Ls>
constexpr bool has_tape = Taped<decltype(Sequential(std::declval<Ls>()...))>;
static_assert(has_tape<Dense> && has_tape<Dense, Relu, Dense> && has_tape<Shape, Flatten, Dense>);
static_assert(has_tape<Shape, AvgPool2d, Relu, MaxPool2d, Flatten, Dense, Dropout, Shift, Softmax>);
static_assert(has_tape<Dense, LeakyRelu, Dense, Tanh, Dense, Sigmoid, Dense, Gelu, Dense, Silu, Dense, Softplus>);
static_assert(!has_tape<Dense, BatchNorm, Dense> && !has_tape<Shape, Conv2d, Flatten, Dense>);
static_assert(!has_tape<Dense, Silent, Dense> && !has_tape<HalfDense, Relu, Dense>);
static_assert(!has_tape<Dense, Relu, Flatten, Dense>);  // a layer with parameters is computed by the block
static_assert(!has_tape<Shape, Relu>);                  // no parameters
struct OwnNetwork : decltype(Sequential(Dense(2, 2))) {};
static_assert(!Taped<OwnNetwork>);

template <class S, class M>
Vector<S> start_of(const M& model) {
  return static_cast<S>(0.3) * training::random_vector<S>(model.parameters().size(), 9);
}

/// Sums and gradients of odd batches have the bits of the serial engine for 1 … 8 threads, with a tape and without.
template <class M, class S = typename M::Scalar>
void check_tape(const M& model, const DenseData<S>& data) {
  static_assert(Taped<M>);
  const Vector<S> theta = start_of<S>(model);
  std::vector<Index> order = training::first_samples(data.size());
  std::reverse(order.begin(), order.end());
  for (const Index shard_size : {0, 5}) {
    const SerialGradient<M, Cost> serial(model, {}, shard_size);
    for (int threads = 1; threads <= 8; ++threads)
      for (const auto tape : {UseTape::always, UseTape::never}) {
        ParallelGradient<M, Cost> engine(model, {}, {.threads = threads, .shard_size = shard_size, .tape = tape});
        for (const std::size_t b : {1u, 2u, 37u, 131u, 211u}) {
          CAPTURE(shard_size, threads, tape == UseTape::always, b);
          const auto batch = std::span<const Index>(order).first(b);
          Vector<S> expected, grad;
          const auto sum = serial.sum(theta, data, batch, expected, {3, 4});
          REQUIRE(expected.allFinite());
          REQUIRE(engine.sum(theta, data, batch, grad, {3, 4}).loss == sum.loss);
          CHECK(engine.sum_range_computes() == (tape == UseTape::always));
          REQUIRE(theta_hash(grad) == theta_hash(expected));
        }
      }
  }
}

/// θ after three steps of SGD with momentum, each prepared while the step before it was taken.
template <class M, class S = typename M::Scalar>
std::uint64_t hash_after_steps(const M& model, const DenseData<S>& data, int threads, UseTape tape) {
  ParallelGradient<M, Cost> engine(model, {}, {.threads = threads, .shard_size = 7, .tape = tape});
  ParallelUpdate<S, L2, NoConstraint, Sgd> update(model.parameters(), {.lambda = 1e-3}, {}, {.rate = 0.1, .momentum = 0.9}, engine.team());
  TrainingState<S> now(engine.num_parameters(), 1), next = now;
  now.theta = start_of<S>(model);
  const auto samples = training::first_samples(data.size());
  engine.reserve(data, data.size());
  engine.team().run([&] {
    BatchSum sum = engine.accumulate(now.theta, data, samples);
    for (int step = 1; step <= 3; ++step) {
      REQUIRE(update(engine, sum.weight, now, next, {0.1, step}));
      std::swap(now, next);
      sum = engine.accumulate_updated(now.theta, data, samples);
    }
  });
  return theta_hash(now.theta);
}

}  // namespace

TEST_CASE("the gradient of a network from its tape has the bits of the serial one, in odd batches on any number of threads", "[bits]") {
  check_tape(Sequential{Dense{20, 33}, Relu{}, Dense{33, 9}, Gelu{}, Dense{9, 3}},
             training::labelled_data<float>(20, 211, 3).with_weights(training::sample_weights(211)));
}

TEST_CASE("layers without parameters, with random numbers, and with a tape of one's own may stand in a network with a tape", "[bits]") {
  check_tape(make_sequential<double>(Shape{1, 6, 6}, AvgPool2d{2}, Tanh{}, Flatten{}, Shift{}, Dense{9, 7}, Dropout{0.4}, Shift{},
                                     Dense{7, 3}, LeakyRelu{0.1}),
             training::labelled_data<double>(36, 211, 3));
}

TEST_CASE("a Sequential has the hash of an Mlp after some steps, with a tape and without, on any number of threads", "[bits]") {
  const Sequential network{Dense{40, 130}, Relu{}, Dense{130, 21}, Relu{}, Dense{21, 3}};
  const auto data = training::labelled_data<float>(40, 53, 3);
  const std::uint64_t expected = hash_after_steps(Mlp<float>{40, 130, 21, 3}, data, 1, UseTape::never);
  for (int threads = 1; threads <= 8; ++threads)
    for (const auto tape : {UseTape::always, UseTape::never}) {
      CAPTURE(threads, tape == UseTape::always);
      CHECK(hash_after_steps(network, data, threads, tape) == expected);
    }
}

}  // namespace sequential_tape_test
