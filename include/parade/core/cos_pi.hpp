// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

namespace parade::detail {

/// cos(πx) for x in [0, 1], with an error below 1 ulp. Reduced exactly to an argument of at most ¼, where the Taylor series in x² is summed
/// by fused multiply-adds: the same bits on every machine, which std::cos does not promise.
inline double cos_pi(double x) {
  if (x > 0.5) return -cos_pi(1 - x);
  const bool near_half = x > 0.25;  // cos(πx) = sin(π(½ − x))
  // (−π²)ᵏ/(2k)! and π(−π²)ᵏ/(2k+1)!, from the last to the first
  constexpr double cosine[] = {0x1.20c62c2f2d7f5p-18, -0x1.b6e24f44b128fp-14, 0x1.f9d38a3763cc3p-10, -0x1.a6d1f2a204a8cp-6,
                               0x1.e1f506891babbp-3,  -0x1.55d3c7e3cbffap+0,  0x1.03c1f081b5ac4p+2,  -0x1.3bd3cc9be45dep+2};
  constexpr double sine[] = {0x1.aaec32af93359p-21, -0x1.6fadb9f155744p-16, 0x1.e8f434d018d63p-12, -0x1.e3074fde8871fp-8,
                             0x1.50783487ee782p-4,  -0x1.32d2cce62bd86p-1,  0x1.466bc6775aae2p+1,  -0x1.4abbce625be53p+2};
  const double y = near_half ? 0.5 - x : x, square = y * y;
  double sum = 0;
  for (const double coefficient : near_half ? sine : cosine) sum = std::fma(sum, square, coefficient);
  // π in two parts. The last operation is a fused one too: else a caller's sum could be fused with a product here.
  return near_half ? std::fma(y, 0x1.921fb54442d18p+1, y * std::fma(square, sum, 0x1.1a62633145c07p-53)) : std::fma(square, sum, 1.0);
}

}  // namespace parade::detail
