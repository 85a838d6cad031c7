// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <string>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>

// What the losses for two classes and one output share. With s = +1 if y > 0, else −1, they are functions of the margin u = s z alone:
// J(z, y) = f(u), ∂J/∂z = s f′(u).
namespace parade::detail {

/// `more`: what to take instead for k outputs, or "".
inline std::string check_one_output(const char* loss, Index k, const char* more = "") {
  if (k == 1) return "";
  return text(loss, " needs a model with 1 output", *more ? text(" (", more, " takes k)") : std::string{});
}

inline std::string check_two_classes(const char* loss, Label y) {
  return y >= -1 && y <= 1 ? "" : text("the labels of ", loss, " must be 0 and 1, or else -1 and +1");
}

/// Z (1,m), y (m) → J (m), ∂J/∂Z (1,m), sample by sample. f(u, slope) returns f(u) and sets slope = f′(u).
template <class Z, class F>
void for_each_margin(const Eigen::MatrixBase<Z>& scores, const TargetsRef<Label, typename Z::Scalar>& labels,
                     VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores, const F& f) {
  using S = typename Z::Scalar;
  const ConstMatrixRef<S> z{scores};
  PARADE_ASSERT(z.rows() == 1 && labels.size() == z.cols() && values.size() == z.cols());
  PARADE_ASSERT(dscores.rows() == 1 && dscores.cols() == z.cols());
  for (Index j = 0; j < z.cols(); ++j) {
    const S s = labels[j] > 0 ? S{1} : S{-1};
    S slope = 0;
    values[j] = f(s * z(0, j), slope);
    dscores(0, j) = std::fma(s, slope, S{0});  // exact; a slope of 0 stays +0
  }
}

}  // namespace parade::detail
