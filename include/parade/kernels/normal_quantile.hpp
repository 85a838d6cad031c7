// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>

#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>

namespace parade {
namespace detail {

/// c₀ + c₁ x + … by Horner's rule.
template <std::size_t N>
double horner(const double (&c)[N], double x) {
  double y = c[N - 1];
  for (std::size_t i = N - 1; i-- > 0;) y = std::fma(y, x, c[i]);
  return y;
}

}  // namespace detail

namespace kernels {

/// The x that a standard normal number exceeds with probability `tail`, Φ⁻¹(1 − tail), for 0 < tail ≤ ½ (Wichura: "Algorithm AS 241: the percentage
/// points of the normal distribution", 1988: rational functions of degree 7). Relative error some 1e-16 where tail is not next to ½. 0 at ½, 1.96 at 0.025.
inline double normal_quantile(double tail) {
  constexpr double a[] = {3.3871328727963666080e+0, 1.3314166789178437745e+2, 1.9715909503065514427e+3, 1.3731693765509461125e+4,
                          4.5921953931549871457e+4, 6.7265770927008700853e+4, 3.3430575583588128105e+4, 2.5090809287301226727e+3};
  constexpr double b[] = {1,
                          4.2313330701600911252e+1,
                          6.8718700749205790830e+2,
                          5.3941960214247511077e+3,
                          2.1213794301586595867e+4,
                          3.9307895800092710610e+4,
                          2.8729085735721942674e+4,
                          5.2264952788528545610e+3};
  constexpr double c[] = {1.42343711074968357734e+0, 4.63033784615654529590e+0, 5.76949722146069140550e+0, 3.64784832476320460504e+0,
                          1.27045825245236838258e+0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4};
  constexpr double d[] = {1,
                          2.05319162663775882187e+0,
                          1.67638483018380384940e+0,
                          6.89767334985100004550e-1,
                          1.48103976427480074590e-1,
                          1.51986665636164571966e-2,
                          5.47593808499534494600e-4,
                          1.05075007164441684324e-9};
  constexpr double e[] = {6.65790464350110377720e+0, 5.46378491116411436990e+0, 1.78482653991729133580e+0, 2.96560571828504891230e-1,
                          2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7};
  constexpr double f[] = {1,
                          5.99832206555887937690e-1,
                          1.36929880922735805310e-1,
                          1.48753612908506148525e-2,
                          7.86869131145613259100e-4,
                          1.84631831751005468180e-5,
                          1.42151175831644588870e-7,
                          2.04426310338993978564e-15};
  const double q = 0.5 - tail;
  if (q <= 0.425) {
    const double r = std::fma(-q, q, 0.180625);
    return q * detail::horner(a, r) / detail::horner(b, r);
  }
  double log = tail;
  transform(&log, 1, [](auto x) { return kernels::log<double>(x); });
  const double r = std::sqrt(-log);
  return r <= 5 ? detail::horner(c, r - 1.6) / detail::horner(d, r - 1.6) : detail::horner(e, r - 5) / detail::horner(f, r - 5);
}

}  // namespace kernels
}  // namespace parade
