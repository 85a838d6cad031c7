// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <parade/concepts/model.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/layers/dense.hpp>
#include <parade/layers/initialization.hpp>

namespace parade {

/// Whether a linear model has a constant term.
enum class Intercept { fitted, none };

/// z = W x + b: W (k,d) is the block `weight`, b (k) the block `bias`, which Intercept::none leaves out; θ starts at 0. It takes dense and
/// sparse data.
///
/// With SquaredError it is linear regression with k targets, with Logistic (k = 1) logistic regression, with SoftmaxCrossEntropy softmax
/// (multinomial logistic) regression, with Hinge (k = 1) a linear support vector machine.
///
/// Throws std::invalid_argument unless inputs ≥ 1 and outputs ≥ 1.
template <class Scalar_>
class Linear {
 public:
  using Scalar = Scalar_;

  struct Workspace {
    Matrix<Scalar> scores;  // (k,m)
  };
  struct Prepared {
    typename detail::Dense<Scalar>::Prepared layer;
  };

  explicit Linear(Index inputs, Index outputs = 1, Intercept intercept = Intercept::fitted)
      : parameters_(blocks(inputs, outputs, intercept)),
        has_intercept_(intercept == Intercept::fitted),
        layer_(inputs, outputs, 0, inputs * outputs) {}  // where the bias stands, or would

  const ParameterList& parameters() const { return parameters_; }
  Index num_inputs() const { return layer_.inputs(); }
  Index num_outputs() const { return layer_.outputs(); }
  void initialize(VectorRef<Scalar> theta, std::uint64_t) const { theta.setZero(); }

  void reserve(Prepared& prepared) const {
    layer_.reserve(prepared.layer, false);
    if (!has_intercept_) prepared.layer.bias.setZero();
  }
  Index num_preparations() const { return layer_.num_pieces(false); }
  void prepare(const ConstVectorRef<Scalar>& theta, Index piece, Prepared& prepared) const {
    if (has_intercept_)
      layer_.prepare(theta.data(), piece, prepared.layer);
    else
      kernels::pack_panels(num_outputs(), num_inputs(), theta.data(), Index{1}, num_outputs(), prepared.layer.weight.data(), piece,
                           piece + 1);
  }
  void prepare(const Scalar* theta, Range range, Prepared& prepared) const { layer_.prepare(theta, range, prepared.layer); }

  void reserve(Workspace& workspace, Index samples) const { workspace.scores.resize(num_outputs(), samples); }

  ConstMatrixRef<Scalar> forward(const Prepared& theta, const ConstMatrixRef<Scalar>& x, Workspace& workspace) const {
    if (workspace.scores.cols() < x.cols()) reserve(workspace, x.cols());
    layer_.forward(theta.layer, x.cols(), x.data(), x.outerStride(), workspace.scores.data(), num_outputs());
    return workspace.scores.leftCols(x.cols());
  }

  void add_gradient(const Prepared&, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace&,
                    VectorRef<Scalar> grad) const {
    gradient(x, dscores, grad.data(), kernels::Start::stored);
  }
  void gradient(const Prepared&, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace&,
                VectorRef<Scalar> grad) const {
    gradient(x, dscores, grad.data(), kernels::Start::zero);
  }

  using LinearModelOf = Linear;

  using TapeOf = Linear;
  using Piece = typename detail::Dense<Scalar>::Piece;
  using Tape = std::vector<kernels::ShardPart<Scalar>>;
  void reserve(Piece& piece, Index samples) const { layer_.reserve(piece, samples); }
  void reserve(Tape& tape, std::size_t parts) const { tape.reserve(parts); }
  void record(const Prepared&, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace&, Piece& piece) const {
    layer_.record(x.cols(), x.data(), x.outerStride(), dscores.data(), dscores.outerStride(), piece);
  }
  void collect(std::span<const TapePart<Piece>> parts, Tape& tape) const {
    tape.clear();
    for (const auto& part : parts) tape.push_back(layer_.part_of_shard(*part.piece, part));
  }
  void gradient(const Tape& tape, Range range, Scalar* out) const { layer_.gradient(tape, range, out); }

 private:
  void gradient(const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Scalar* grad, kernels::Start start) const {
    if (has_intercept_)
      layer_.gradient(x.cols(), x.data(), x.outerStride(), dscores.data(), dscores.outerStride(), grad, start);
    else
      kernels::outer_product(num_outputs(), num_inputs(), x.cols(), dscores.data(), dscores.outerStride(), x.data(), x.outerStride(), grad,
                             num_outputs(), start);
  }

  static ParameterList blocks(Index inputs, Index outputs, Intercept intercept) {
    if (inputs < 1 || outputs < 1)
      throw std::invalid_argument(detail::text("Linear must have at least 1 input and 1 output; got ", inputs, " and ", outputs));
    if (intercept == Intercept::none) return {{"weight", outputs, inputs}};
    return {{"weight", outputs, inputs}, {"bias", outputs, 1, Role::bias}};
  }

  ParameterList parameters_;
  bool has_intercept_;
  detail::Dense<Scalar> layer_;
};

/// Linear by its names in statistics. The loss makes the difference: SquaredError, Logistic, SoftmaxCrossEntropy.
template <class Scalar>
using LinearRegression = Linear<Scalar>;
template <class Scalar>
using LogisticRegression = Linear<Scalar>;
template <class Scalar>
using SoftmaxRegression = Linear<Scalar>;

static_assert(Model<Linear<float>> && PreparesOnceAStep<Linear<float>> && OverwritesGradient<Linear<float>> && Taped<Linear<float>>);
static_assert(Model<Linear<double>>);
static_assert(LinearModel<Linear<float>> && LinearModel<Linear<double>>);

}  // namespace parade
