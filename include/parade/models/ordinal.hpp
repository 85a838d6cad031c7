// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include <parade/concepts/model.hpp>
#include <parade/core/error.hpp>
#include <parade/kernels/math.hpp>

namespace parade {

/// Ordinal regression: k ordered classes, cut from the one score s of a model by k−1 ordered thresholds. The proportional-odds or
/// cumulative-logit model (McCullagh 1980), with a score that need not be linear:
///
///   P(y ≤ c) = σ(t_c − s),   t_0 < t_1 < … < t_{k−2},   σ(a) = 1 / (1 + e^{−a})
///
///   parade::Trainer trainer{parade::Ordinal{parade::Linear<float>{d}, 5}, parade::SoftmaxCrossEntropy{}, …};    // labels 0 … 4
///
/// Its k outputs are the logarithms of the classes' probabilities,
///
///   z_0     = log σ(t_0 − s)
///   z_c     = log σ(t_c − s) + log σ(s − t_{c−1}) + log(1 − e^{t_{c−1} − t_c})
///   z_{k−1} = log σ(s − t_{k−2})
///
/// so that SoftmaxCrossEntropy is the exact likelihood, since the softmax of log-probabilities is the probabilities, and what is predicted
/// is the most probable class. No difference of probabilities is taken: they keep their digits however small they are.
///
/// Parameters: those of the model, and `thresholds` (k−1): t_0, and then γ_1 … γ_{k−2} with t_c = t_{c−1} + softplus(γ_c), which keeps them
/// in order whatever the step. The last term of z_c is then log σ(γ_c), with nothing to cancel. They have Role::bias. They start one apart,
/// centred on 0. A bias of the model's output moves s as the thresholds move: only their difference means anything.
///
/// With k = 2, t_0 = 0 and s = 1: z = (log σ(−1), log σ(1)) = (−1.3133, −0.3133), logistic regression.
///
/// Domain: any s; z ≤ 0, finite for every finite s and γ. A NaN of s gives NaN in all z.
/// Throws std::invalid_argument unless the model has 1 output and there are at least 2 classes.
template <class M>
  requires Model<M>
class Ordinal {
 public:
  using Scalar = typename M::Scalar;

  struct Workspace {
    typename M::Workspace model;
    Vector<Scalar> thresholds;  // t (k−1)
    Vector<Scalar> gaps;        // −log σ(γ) (k−1), the first unused
    Matrix<Scalar> distances;   // t − s (k−1,m)
    Matrix<Scalar> below;       // −log σ(t − s) (k−1,m), in add_gradient σ(s − t)
    Matrix<Scalar> above;       // −log σ(s − t) (k−1,m), in add_gradient σ(t − s)
    Matrix<Scalar> scores;      // (k,m)
    Matrix<Scalar> slopes;      // ∂J/∂s (1,m)
    Vector<Scalar> sums;        // Σ_j ∂J/∂t (k−1)
    Vector<Scalar> of_gaps;     // Σ_j ∂J/∂z (k−1), the first unused
  };
  struct Prepared {
    std::conditional_t<PreparesOnceAStep<M>, PreparedOf<M>, Vector<Scalar>> model;  // what the model prepares, or its θ
    Vector<Scalar> thresholds;                                                      // t_0, γ_1 … γ_{k−2}
  };

  Ordinal(M model, Index classes) : model_(std::move(model)), parameters_(model_.parameters()), classes_(classes) {
    if (model_.num_outputs() != 1)
      throw std::invalid_argument(detail::text("Ordinal needs a model with 1 output; got ", model_.num_outputs()));
    if (classes < 2) throw std::invalid_argument(detail::text("Ordinal must have at least 2 classes; got ", classes));
    inner_ = parameters_.size();
    parameters_.add({"thresholds", classes - 1, 1, Role::bias});
  }

  const ParameterList& parameters() const { return parameters_; }
  Index num_inputs() const { return model_.num_inputs(); }
  Index num_outputs() const { return classes_; }  // k
  const M& model() const { return model_; }

  void initialize(VectorRef<Scalar> theta, std::uint64_t seed) const {
    constexpr double one_apart = 0.54132485461291807;  // log(e − 1): softplus of it is 1
    model_.initialize(VectorRef<Scalar>(theta.head(inner_)), seed);
    theta.tail(classes_ - 1).setConstant(static_cast<Scalar>(one_apart));
    theta[inner_] = -static_cast<Scalar>(classes_ - 2) / 2;
  }

  /// t (k−1), from a θ (P).
  Vector<Scalar> thresholds(const ConstVectorRef<Scalar>& theta) const {
    Vector<Scalar> t(classes_ - 1);
    cumulate(theta.data() + inner_, t.data());
    return t;
  }

  void reserve(Prepared& prepared) const {
    if constexpr (PreparesOnceAStep<M>)
      model_.reserve(prepared.model);
    else
      prepared.model.resize(inner_);
    prepared.thresholds.resize(classes_ - 1);
  }
  Index num_preparations() const {
    if constexpr (PreparesOnceAStep<M>)
      return model_.num_preparations() + 1;
    else
      return 2;
  }
  void prepare(const ConstVectorRef<Scalar>& theta, Index piece, Prepared& prepared) const {
    if (piece == 0)
      std::copy_n(theta.data() + inner_, classes_ - 1, prepared.thresholds.data());
    else if constexpr (PreparesOnceAStep<M>)
      model_.prepare(ConstVectorRef<Scalar>(theta.head(inner_)), piece - 1, prepared.model);
    else
      std::copy_n(theta.data(), inner_, prepared.model.data());
  }
  void prepare(const Scalar* theta, Range range, Prepared& prepared) const requires(PreparesRanges<M> || !PreparesOnceAStep<M>) {
    if (range.begin >= inner_)
      std::copy_n(theta, range.size(), prepared.thresholds.data() + (range.begin - inner_));
    else if constexpr (PreparesOnceAStep<M>)
      model_.prepare(theta, range, prepared.model);
    else
      std::copy_n(theta, range.size(), prepared.model.data() + range.begin);
  }

  std::string check_input(const ConstVectorRef<Scalar>& x) const requires ChecksInput<M> { return model_.check_input(x); }

  void reserve(Workspace& workspace, Index samples) const {
    if constexpr (ReservesWorkspace<M>) model_.reserve(workspace.model, samples);
    for (auto* vector : {&workspace.thresholds, &workspace.gaps, &workspace.sums, &workspace.of_gaps}) vector->resize(classes_ - 1);
    for (auto* matrix : {&workspace.distances, &workspace.below, &workspace.above}) matrix->resize(classes_ - 1, samples);
    workspace.scores.resize(classes_, samples);
    workspace.slopes.resize(1, samples);
  }

  ConstMatrixRef<Scalar> forward(const Prepared& theta, const ConstMatrixRef<Scalar>& x, Workspace& workspace) const {
    if (workspace.scores.cols() < x.cols()) reserve(workspace, x.cols());
    auto&& result = model_.forward(theta.model, x, workspace.model);
    return log_probabilities(theta, ConstMatrixRef<Scalar>(result), workspace);
  }
  /// As the model is trained, where that is another way.
  ConstMatrixRef<Scalar> forward_training(const Prepared& theta, const ConstMatrixRef<Scalar>& x, Workspace& workspace,
                                          const TrainingContext& at) const requires TrainsDifferently<M> {
    if (workspace.scores.cols() < x.cols()) reserve(workspace, x.cols());
    auto&& result = model_.forward_training(theta.model, x, workspace.model, at);
    return log_probabilities(theta, ConstMatrixRef<Scalar>(result), workspace);
  }
  static constexpr bool sample_by_sample = !depends_on_shard<M>;

  void add_gradient(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                    VectorRef<Scalar> grad) const {
    backward(theta, dscores, workspace, grad.data() + inner_);
    model_.add_gradient(theta.model, x, ConstMatrixRef<Scalar>(workspace.slopes.leftCols(x.cols())), workspace.model,
                        VectorRef<Scalar>(grad.head(inner_)));
  }
  void gradient(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                VectorRef<Scalar> grad) const requires OverwritesGradient<M> {
    grad.tail(classes_ - 1).setZero();
    backward(theta, dscores, workspace, grad.data() + inner_);
    model_.gradient(theta.model, x, ConstMatrixRef<Scalar>(workspace.slopes.leftCols(x.cols())), workspace.model,
                    VectorRef<Scalar>(grad.head(inner_)));
  }

 private:
  /// Scores s (1,m) → Z (k,m).
  ConstMatrixRef<Scalar> log_probabilities(const Prepared& theta, const ConstMatrixRef<Scalar>& s, Workspace& workspace) const {
    const Index m = s.cols(), last = classes_ - 1;
    cumulate(theta.thresholds.data(), workspace.thresholds.data());
    kernels::transform(theta.thresholds.data(), workspace.gaps.data(), last,
                       [](auto v) { return kernels::softplus<Scalar>(kernels::Simd<Scalar>::neg(v)); });
    for (Index j = 0; j < m; ++j)
      for (Index c = 0; c < last; ++c) workspace.distances(c, j) = workspace.thresholds[c] - s(0, j);
    const Scalar* distances = workspace.distances.data();
    kernels::transform(distances, workspace.below.data(), last * m,
                       [](auto v) { return kernels::softplus<Scalar>(kernels::Simd<Scalar>::neg(v)); });
    kernels::transform(distances, workspace.above.data(), last * m, [](auto v) { return kernels::softplus<Scalar>(v); });
    for (Index j = 0; j < m; ++j) {
      workspace.scores(0, j) = -workspace.below(0, j);
      for (Index c = 1; c < last; ++c) workspace.scores(c, j) = -(workspace.below(c, j) + (workspace.above(c - 1, j) + workspace.gaps[c]));
      workspace.scores(last, j) = -workspace.above(last - 1, j);
    }
    return workspace.scores.leftCols(m);
  }

  /// t_0, γ_1 … γ_{k−2} → t_0 … t_{k−2}
  void cumulate(const Scalar* parameters, Scalar* t) const {
    kernels::transform(parameters, t, classes_ - 1, [](auto v) { return kernels::softplus<Scalar>(v); });
    t[0] = parameters[0];
    for (Index c = 1; c + 1 < classes_; ++c) t[c] += t[c - 1];
  }

  /// ∂J/∂s (1,m) of each sample into the workspace, and the gradient of t_0, γ_1 … γ_{k−2}, added to `grad` (k−1).
  ///
  ///   ∂J/∂t_c = ∂J/∂z_c σ(s − t_c) − ∂J/∂z_{c+1} σ(t_c − s),   ∂J/∂s = −Σ_c ∂J/∂t_c
  ///   ∂J/∂γ_c = σ(γ_c) Σ_{l≥c} ∂J/∂t_l + σ(−γ_c) ∂J/∂z_c
  void backward(const Prepared& theta, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace, Scalar* grad) const {
    const Index m = dscores.cols(), last = classes_ - 1;
    const Scalar* distances = workspace.distances.data();
    const auto sigmoid = [](auto v) { return kernels::sigmoid<Scalar>(v); };
    const auto sigmoid_of_minus = [](auto v) { return kernels::sigmoid<Scalar>(kernels::Simd<Scalar>::neg(v)); };
    kernels::transform(distances, workspace.below.data(), last * m, sigmoid_of_minus);
    kernels::transform(distances, workspace.above.data(), last * m, sigmoid);
    workspace.sums.setZero();
    workspace.of_gaps.setZero();
    for (Index j = 0; j < m; ++j) {
      Scalar slope = 0;
      for (Index c = 0; c < last; ++c) {
        const Scalar of_next = dscores(c + 1, j) * workspace.above(c, j);
        const Scalar of_threshold = std::fma(dscores(c, j), workspace.below(c, j), -of_next);
        workspace.sums[c] += of_threshold;
        workspace.of_gaps[c] += dscores(c, j);
        slope -= of_threshold;
      }
      workspace.slopes(0, j) = slope;
    }
    // Of the parameters, no longer of samples: σ(−γ) and σ(γ)
    kernels::transform(theta.thresholds.data(), workspace.gaps.data(), last, sigmoid_of_minus);
    kernels::transform(theta.thresholds.data(), workspace.thresholds.data(), last, sigmoid);
    Scalar from_here = 0;
    for (Index c = last - 1; c > 0; --c) {
      from_here += workspace.sums[c];
      const Scalar of_gap = workspace.gaps[c] * workspace.of_gaps[c];
      grad[c] += std::fma(workspace.thresholds[c], from_here, of_gap);
    }
    grad[0] += from_here + workspace.sums[0];
  }

  M model_;
  ParameterList parameters_;
  Index classes_;
  Index inner_ = 0;  // parameters of the model
};

}  // namespace parade
