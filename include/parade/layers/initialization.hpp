// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>

#include <parade/core/random.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// How the starting weights of a layer with `inputs` inputs and `outputs` outputs are drawn: uniform in [−r, r), biases 0.
enum class Initialization {
  he,      // r = √(6 / inputs)               for ReLU (He, Zhang, Ren, Sun: "Delving deep into rectifiers", ICCV 2015)
  glorot,  // r = √(6 / (inputs + outputs))   for tanh, sigmoid and none (Glorot, Bengio, AISTATS 2010)
  zero,    // r = 0                           for convex models
};

namespace detail {

/// weight (outputs, inputs), element i in memory from Random{seed, Purpose::initialize, stream}: only arithmetic and a square root, so that
/// it has the same bits on any machine.
template <class Scalar>
void initialize_weight(Eigen::Map<Matrix<Scalar>> weight, Initialization how, std::uint64_t seed, std::uint64_t stream) {
  const auto inputs = static_cast<double>(weight.cols()), outputs = static_cast<double>(weight.rows());
  const double fan = how == Initialization::he ? inputs : inputs + outputs;
  const double r = how == Initialization::zero || fan == 0 ? 0 : std::sqrt(6 / fan);
  const Random random(seed, Purpose::initialize, stream);
  for (Index i = 0; i < weight.size(); ++i) {
    // 2u − 1 is exact, so no compiler can round r(2u − 1) in two ways.
    weight.data()[i] = static_cast<Scalar>(r * (2 * random.uniform(static_cast<std::uint64_t>(i)) - 1));
  }
}

}  // namespace detail
}  // namespace parade
