// SPDX-License-Identifier: MIT
#pragma once

#include <parade/core/check_option.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// The linear scaling rule (Goyal et al.: "Accurate, large minibatch SGD", 2017): a rate that was found good for one batch size, for another,
///
///   α = rate · batch_size / reference_batch_size
///
///   parade::Sgd{.rate = parade::linear_scaling(0.1, 1024, 256), .momentum = 0.9}      // 0.4
///
/// To be written where it is meant: parade itself never changes a rate with the batch size, or with the number of threads. It holds as long
/// as θ hardly moves in batch_size / reference_batch_size steps, so not in the first ones: the authors go with a Warmup from the reference rate,
/// start_factor = 256/1024 here. For Adam and its kin the square root of the ratio is the usual advice.
///
/// Throws OptionError for a rate that is negative or not finite, and for a batch size below 1.
inline double linear_scaling(double rate, Index batch_size, Index reference_batch_size) {
  detail::check_not_negative("the rate of linear_scaling", rate);
  detail::check_option(batch_size >= 1, "the batch size of linear_scaling", "at least 1", batch_size);
  detail::check_option(reference_batch_size >= 1, "the reference batch size of linear_scaling", "at least 1", reference_batch_size);
  return rate * static_cast<double>(batch_size) / static_cast<double>(reference_batch_size);
}

}  // namespace parade
