// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include <parade/core/random.hpp>
#include <parade/losses/absolute_error.hpp>
#include <parade/losses/epsilon_insensitive.hpp>
#include <parade/losses/focal_logistic.hpp>
#include <parade/losses/focal_softmax.hpp>
#include <parade/losses/gamma.hpp>
#include <parade/losses/hinge.hpp>
#include <parade/losses/huber.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/modified_huber.hpp>
#include <parade/losses/multiclass_hinge.hpp>
#include <parade/losses/multilabel_logistic.hpp>
#include <parade/losses/poisson.hpp>
#include <parade/losses/quantile.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_epsilon_insensitive.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/losses/squared_hinge.hpp>
#include <parade/losses/tweedie.hpp>

#include "support/numbers.hpp"

// Every loss, with settings that make each of its branches count, and data that it takes.
namespace losses {

using numbers::random_matrix;
using parade::Index, parade::Label, parade::Matrix, parade::Vector;

/// Calls call(name, loss) for every loss.
template <class Call>
void for_each(const Call& call) {
  call("SquaredError", parade::SquaredError{});
  call("AbsoluteError", parade::AbsoluteError{});
  call("Huber", parade::Huber{.delta = 0.75});
  call("Quantile", parade::Quantile{.quantile = 0.8});
  call("EpsilonInsensitive", parade::EpsilonInsensitive{.epsilon = 0.5});
  call("SquaredEpsilonInsensitive", parade::SquaredEpsilonInsensitive{.epsilon = 0.5});
  call("Poisson", parade::Poisson{});
  call("Gamma", parade::Gamma{});
  call("Tweedie 1.3", parade::Tweedie{.power = 1.3});
  call("Tweedie 3", parade::Tweedie{.power = 3});
  call("MultilabelLogistic", parade::MultilabelLogistic{});
  call("Logistic", parade::Logistic{});
  call("Hinge", parade::Hinge{});
  call("SquaredHinge", parade::SquaredHinge{});
  call("ModifiedHuber", parade::ModifiedHuber{});
  call("FocalLogistic", parade::FocalLogistic{.gamma = 1.5});
  call("SoftmaxCrossEntropy", parade::SoftmaxCrossEntropy{});
  call("SoftmaxCrossEntropy, smoothed", parade::SoftmaxCrossEntropy{.label_smoothing = 0.2});
  call("MulticlassHinge", parade::MulticlassHinge{});
  call("FocalSoftmax", parade::FocalSoftmax{.gamma = 1.5});
}

template <class Loss, class S>
using Targets = std::conditional_t<std::is_same_v<typename Loss::Target, Label>, Vector<Label>, Matrix<S>>;

template <class Loss>
inline constexpr bool on_labels = std::is_same_v<typename Loss::Target, Label>;

template <class S>
struct Result {
  Vector<S> values;   // (m)
  Matrix<S> dscores;  // (k,m)
};

/// What the loss writes, into memory full of NaN: whatever it forgets to write shows.
template <class Loss, class S>
Result<S> evaluate(const Loss& loss, const Matrix<S>& scores, const Targets<Loss, S>& targets) {
  constexpr S nan = std::numeric_limits<S>::quiet_NaN();
  Result<S> result{Vector<S>::Constant(scores.cols(), nan), Matrix<S>::Constant(scores.rows(), scores.cols(), nan)};
  loss.value_and_gradient(scores, targets, result.values, result.dscores);
  return result;
}

/// One sample: J and ∂J/∂z, for a label or, of every output, a target.
template <class Loss, class S>
Result<S> at(const Loss& loss, const std::vector<S>& z, std::type_identity_t<std::conditional_t<on_labels<Loss>, Label, S>> y) {
  Matrix<S> scores(static_cast<Index>(z.size()), 1);
  std::copy(z.begin(), z.end(), scores.data());
  if constexpr (on_labels<Loss>)
    return evaluate(loss, scores, Vector<Label>(Vector<Label>::Constant(1, y)));
  else
    return evaluate(loss, scores, Matrix<S>(Matrix<S>::Constant(scores.rows(), 1, y)));
}

/// Numbers of outputs that a loss takes: one, or several that are no multiple of a vector's width.
template <class Loss>
std::vector<Index> outputs(const Loss& loss) {
  std::vector<Index> accepted;
  for (const Index k : {1, 2, 3, 10, 17})
    if constexpr (parade::ChecksOutputs<Loss>) {
      if (loss.check_outputs(k).empty()) accepted.push_back(k);
    } else {
      accepted.push_back(k);
    }
  return accepted;
}

/// Labels in [0, k) (two classes for one output), or real targets in [−2, 2], or where the loss does not take these in [0, 1).
template <class Loss, class S>
Targets<Loss, S> random_targets(const Loss& loss, Index k, Index m) {
  if constexpr (on_labels<Loss>) {
    const parade::Random random{1, parade::Purpose::user, 99};
    Vector<Label> labels(m);
    for (Index j = 0; j < m; ++j)
      labels[j] = static_cast<Label>(random.below(static_cast<std::uint64_t>(j), static_cast<std::uint64_t>(std::max<Index>(k, 2))));
    return labels;
  } else {
    bool any = true;
    if constexpr (requires { loss.check_target(-1.0, k); }) any = loss.check_target(-1.0, k).empty();
    return random_matrix<S>(k, m, 98, any ? -2 : 0, any ? 2 : 1);
  }
}

/// Of some samples.
template <class Loss, class S>
Targets<Loss, S> part(const Targets<Loss, S>& targets, Index begin, Index size) {
  if constexpr (on_labels<Loss>)
    return targets.segment(begin, size);
  else
    return targets.middleCols(begin, size);
}

}  // namespace losses
