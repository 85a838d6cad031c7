// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <type_traits>

#include <parade/concepts/loss.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>

namespace parade::detail {

/// Throws DataError unless θ has P elements.
inline void check_theta(Index expected, Index size) {
  if (size != expected) throw DataError(text("theta must have one element per parameter: ", expected, "; got ", size));
}

/// Throws DataError where the data has not the features that the model takes.
template <class M, class D>
void check_features(const M& model, const D& data) {
  if (data.num_features() != model.num_inputs())
    throw DataError(text("the model takes ", model.num_inputs(), " features a sample; the data has ", data.num_features()));
}

/// Throws DataError where the shapes of model, loss and data do not fit.
template <class M, class L, class D>
void check_shapes(const M& model, const L& loss, const D& data) {
  check_features(model, data);
  if constexpr (std::is_same_v<typename L::Target, Label>) {
    if (!data.has_labels()) throw DataError("the loss needs a class label for every sample; the data has none");
  } else {
    if (data.num_targets() != model.num_outputs())
      throw DataError(
          text("the loss compares ", model.num_outputs(), " outputs with as many targets a sample; the data has ", data.num_targets()));
  }
  if constexpr (ChecksOutputs<L>)
    if (const std::string rule = loss.check_outputs(model.num_outputs()); !rule.empty())
      throw DataError(text(rule, "; the model has ", model.num_outputs()));
}

/// Throws DataError for an index outside of [0, n).
inline void check_samples(std::span<const Index> samples, Index n) {
  if (samples.empty()) return;
  const auto [least, most] = std::minmax_element(samples.begin(), samples.end());
  if (*least < 0 || *most >= n)
    throw DataError(text("the index of a sample must be in [0, n); got ", *least < 0 ? *least : *most, " (n = ", n, ")"));
}

}  // namespace parade::detail
