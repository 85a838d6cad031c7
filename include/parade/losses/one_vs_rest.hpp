// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <limits>
#include <string>
#include <type_traits>

#include <parade/concepts/loss.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// One-vs-rest: k classes and k outputs as k problems of two classes, "is it class i or not", each with a loss for one output:
///
///   J(z, y) = Σ_i B(z_i, s_i),  s_i = +1 if i = y, else −1          ∂J/∂z_i = ∂B/∂z_i (z_i, s_i)
///
///   parade::OneVsRest{parade::Logistic{}}     parade::OneVsRest{parade::Hinge{}}
///
/// With a linear model it is the scheme of LIBLINEAR and of linear support vector machines (Rifkin, Klautau 2004): the outputs share
/// nothing, so that it fits what k models of one output would. With hidden layers they share those. What is predicted is the class of the
/// largest score.
///
/// The labels are 0 … k−1. `Binary` is a loss on labels for one output that takes −1 and +1: Logistic, Hinge, or one of your own.
/// Domain: z ∈ ℝᵏ, k ≥ 2. With Logistic J = k log 2, ∂J/∂z_y = −½ and ∂J/∂z_i = ½ for the others at z = 0.
template <class Binary>
struct OneVsRest {
  static_assert(std::same_as<typename Binary::Target, Label>, "parade::OneVsRest<Binary>: Binary is a loss on labels");
  using SampleBySampleOf = std::conditional_t<SampleBySample<Binary>, OneVsRest, void>;
  using Target = Label;

  Binary binary{};

  /// What Binary refuses.
  void check() const {
    if constexpr (requires(const Binary& loss) { loss.check(); }) binary.check();
  }

  std::string check_outputs(Index k) const {
    if (k < 2) return "OneVsRest needs a model with at least 2 outputs";
    if constexpr (ChecksOutputs<Binary>) return binary.check_outputs(1);
    return "";
  }
  std::string check_target(Label y, Index k) const {
    return y >= 0 && y < k ? "" : detail::text("the labels of OneVsRest with ", k, " outputs must be in [0, ", k - 1, "]");
  }

  /// Z (k,m), y (m) → J (m), ∂J/∂Z (k,m). `scores` may be any Eigen expression.
  /// A score of NaN gives J = NaN where Binary does so. A label out of range touches no memory: it gives J = NaN and ∂J/∂z = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const TargetsRef<Label, typename Z::Scalar>& labels,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    static_assert(Loss<Binary, S>);
    const ConstMatrixRef<S> z{scores};
    const Index k = z.rows();
    PARADE_ASSERT(k >= 1 && labels.size() == z.cols() && values.size() == z.cols());
    PARADE_ASSERT(dscores.rows() == k && dscores.cols() == z.cols());
    constexpr Index chunk = 64;
    Label signs[chunk];
    S of_outputs[chunk];
    for (Index j = 0; j < z.cols(); ++j) {
      const Index y = labels[j];
      if (y < 0 || y >= k) {
        values[j] = std::numeric_limits<S>::quiet_NaN();
        dscores.col(j).setConstant(values[j]);
        continue;
      }
      S value = 0;
      for (Index first = 0; first < k; first += chunk) {
        const Index count = std::min(chunk, k - first);
        for (Index i = 0; i < count; ++i) signs[i] = first + i == y ? 1 : -1;
        outputs(z.data() + first + j * z.outerStride(), signs, count, of_outputs, &dscores(first, j));
        for (Index i = 0; i < count; ++i) value += of_outputs[i];
      }
      values[j] = value;
    }
  }

 private:
  /// Never inlined: a value of Binary may end in a product, and a compiler that saw it could fuse that with the sum over the outputs.
  template <class S>
  [[gnu::noinline]] void outputs(const S* z, const Label* signs, Index count, S* values, S* dz) const {
    using Row = Matrix<S>;
    binary.value_and_gradient(ConstMatrixRef<S>(Eigen::Map<const Row>(z, 1, count)),
                              TargetsRef<Label, S>(Eigen::Map<const Vector<Label>>(signs, count)),
                              VectorRef<S>(Eigen::Map<Vector<S>>(values, count)), MatrixRef<S>(Eigen::Map<Row>(dz, 1, count)));
  }
};

template <class Binary>
OneVsRest(Binary) -> OneVsRest<Binary>;

}  // namespace parade
