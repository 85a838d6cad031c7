// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/prepare/stage.hpp>

namespace parade {

/// All products of up to `degree` features, so that a linear model of them is a polynomial of the old ones:
///
///   (x₀, x₁), degree 2:  1, x₀, x₁, x₀², x₀x₁, x₁²          interaction_only: no feature twice in a product: 1, x₀, x₁, x₀x₁
///
///   parade::PolynomialFeatures{.degree = 2, .include_bias = false}       // (2, 3) becomes (2, 3, 4, 6, 9)
///
/// The order is that of scikit-learn's PolynomialFeatures: by degree, and then x₀x₁ before x₁x₁. A product is computed from its first
/// feature to its last. There are C(d + degree, degree) features: 5151 for d = 100 and degree 2. include_bias = false leaves out the 1,
/// which a model with an intercept has already.
///
/// Throws OptionError unless degree is in [0, 64], for degree 0 without bias, and where there would be more than 2^24 features.
struct PolynomialFeatures {
  Index degree = 2;
  bool interaction_only = false;
  bool include_bias = true;
  Index features = 0;  // d, fitted

  /// One product: that of number `of` (−1: 1), times feature `feature` (−1: nothing).
  struct Product {
    std::int32_t of, feature;
  };
  std::vector<Product> products{};  // fitted; made from the numbers above

  static constexpr const char* kind = "polynomial_features";

  template <class D>
  PolynomialFeatures& fit(const D& data, int threads = 0) {
    detail::fit_to(*this, data, threads);
    return *this;
  }
  template <class D>
  auto transform(const D& data, int threads = 0) const {
    return detail::transform_of(*this, data, threads);
  }

  void check() const {
    if (degree < 0 || degree > 64) throw OptionError(detail::text("PolynomialFeatures.degree must be in [0, 64]; got ", degree));
    if (degree == 0 && !include_bias)
      throw OptionError("PolynomialFeatures.degree must be at least 1 without include_bias, lest there be no features; got 0");
  }
  Index num_inputs() const { return features; }
  Index num_outputs() const { return static_cast<Index>(products.size()); }
  void fit_samples(const Samples& samples, Team&) {
    features = samples.num_features();
    make_products();
  }
  void transform_sample(Index, const double* x, double* out) const {
    for (std::size_t p = 0; p < products.size(); ++p) {
      const auto [of, feature] = products[p];
      out[p] = feature < 0 ? 1 : of < 0 ? x[feature] : out[of] * x[feature];
    }
  }

  template <class Self, class Visit>
  static void visit_state(Self& self, const Visit& visit) {
    visit("degree", self.degree);
    visit("interaction_only", self.interaction_only);
    visit("include_bias", self.include_bias);
    visit("features", self.features);
  }
  void settle() {
    if (features > 0) make_products();
  }

 private:
  void make_products() {
    constexpr double most = 16777216;
    double total = include_bias ? 1 : 0, of_degree = 1;
    for (Index k = 1; k <= degree; ++k) {
      const auto n = static_cast<double>(interaction_only ? features - k + 1 : features + k - 1);
      of_degree = n > 0 ? of_degree * n / static_cast<double>(k) : 0;
      total += of_degree;
    }
    if (total > most)
      throw OptionError(
          detail::text("PolynomialFeatures must make at most 2^24 features; degree ", degree, " makes ", total, " of ", features));
    products.clear();
    products.reserve(static_cast<std::size_t>(total));
    if (include_bias) products.push_back({-1, -1});
    // What a product of the next degree may begin with, and the first feature that may be added to it.
    struct Open {
      std::int32_t product;
      Index next;
    };
    std::vector<Open> open{{-1, 0}}, longer;
    for (Index k = 1; k <= degree; ++k) {
      longer.clear();
      for (const auto& [product, next] : open)
        for (Index i = next; i < features; ++i) {
          longer.push_back({static_cast<std::int32_t>(products.size()), interaction_only ? i + 1 : i});
          products.push_back({product, static_cast<std::int32_t>(i)});
        }
      open.swap(longer);
    }
  }
};

static_assert(Preparation<PolynomialFeatures>);

}  // namespace parade
