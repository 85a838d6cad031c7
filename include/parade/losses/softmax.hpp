// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>
#include <string>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>

namespace parade::detail {

inline std::string check_class(const char* loss, Label y, Index k) {
  return y >= 0 && y < k ? "" : text("the labels of ", loss, " with ", k, " outputs must be in [0, ", k - 1, "]");
}

/// What the losses on the softmax p_i = exp(z_i) / Σ_l exp(z_l) share: the parts of one sample of class y, so that nothing overflows and no
/// digits are lost as p_y goes to 1:
///
///   −log p_y = gap + log1p((own − 1) + others)          p_y = own / (own + others)          1 − p_y = others / (own + others)
///
/// Where y has the largest score, own is 1 and the argument of log1p is `others`.
template <class S>
struct SoftmaxParts {
  S top;     // max_i z_i
  S gap;     // top − z_y
  S own;     // exp(z_y − top)
  S others;  // Σ_{i≠y} exp(z_i − top)
};

/// Column j of Z (k,m) → exps (k), exps[i] = exp(z_i − top), and the parts. For a y that is no class the last three of them are NaN.
/// Always inlined: a call would cost a sixth of the loss.
template <class S>
[[gnu::always_inline]] inline SoftmaxParts<S> softmax_parts(const ConstMatrixRef<S>& z, Index j, Index y, S* exps) {
  constexpr S nan = std::numeric_limits<S>::quiet_NaN();
  const bool known = y >= 0 && y < z.rows();
  S top = z(0, j);
  for (Index i = 1; i < z.rows(); ++i) top = std::max(top, z(i, j));
  for (Index i = 0; i < z.rows(); ++i) exps[i] = z(i, j) - top;
  kernels::transform(exps, z.rows(), [](auto x) { return kernels::exp<S>(x); });
  S others = 0;
  for (Index i = 0; i < z.rows(); ++i)
    if (i != y) others += exps[i];
  return {top, top - (known ? z(y, j) : nan), known ? exps[y] : nan, known ? others : nan};
}

}  // namespace parade::detail
