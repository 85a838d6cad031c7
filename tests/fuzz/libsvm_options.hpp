// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <parade/io/libsvm.hpp>

namespace fuzz {

/// The options that the first two bytes choose.
inline parade::LibsvmOptions libsvm_options(const std::uint8_t* data) {
  parade::LibsvmOptions options;
  options.on_error = data[0] & 1 ? parade::OnError::skip : parade::OnError::stop;
  options.not_finite = data[0] & 2 ? parade::NotFinite::keep : parade::NotFinite::refuse;
  options.sort_indices = data[0] & 4;
  options.add_duplicates = data[0] & 8;
  if (data[0] & 16) options.index_base = data[0] >> 7;
  if (data[0] & 32) options.num_features = 5;
  options.targets = static_cast<parade::LibsvmTargets>(data[1] & 3);
  options.threads = 1;
  return options;
}

}  // namespace fuzz
