// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/metrics/samples.hpp>

// Metrics of regression: Z (k,n) predictions, Y (k,n) targets, w (n) or none. Several outputs count the same: each has a figure, and the
// result is their mean (scikit-learn's multioutput = "uniform_average"). They throw DataError for no samples, shapes or weights that do not
// fit, and a prediction or target of NaN. No size of finite predictions, targets and weights is too much for the sums, or too little: a figure is ∞ only where it is
// above 1.8e308 itself. W must be finite; R² asks more of weights.
namespace parade {
namespace detail {

template <class Z, class Y>
void check_regression(const Z& z, const Y& y, const Vector<double>& weights) {
  check_scores<typename Z::Scalar>(z, "targets", y.cols(), weights);
  if (y.rows() != z.rows()) throw DataError(text("scores must have a row for each of the ", y.rows(), " targets a sample; got ", z.rows()));
  for_each_sample(y.cols(), weights, [&](Index j, double) {
    for (Index i = 0; i < y.rows(); ++i)
      if (std::isnan(y(i, j))) throw DataError(text("target ", i, " of sample ", j, " is NaN; it must be a number"));
  });
}

/// The mean over k outputs of figure(i), in double.
template <class Figure>
double mean_over_outputs(Index k, const Figure& figure) {
  Vector<double> figures(k);
  for (Index i = 0; i < k; ++i) figures[i] = figure(i);
  const double scale = k > 1 && figures.cwiseAbs().maxCoeff() >= 0x1p900 ? 0x1p-100 : 1;  // so that their sum does not overflow
  CompensatedSum sum;
  for (const double x : figures) sum.add(std::fma(x, scale, 0.0));
  return sum.value() / static_cast<double>(k) / scale;
}

/// Checks, then the mean over the outputs.
template <class Z, class Y, class Figure>
double mean_over_outputs(const Z& z, const Y& y, const Vector<double>& weights, const Figure& figure) {
  check_regression(z, y, weights);
  return mean_over_outputs(z.rows(), figure);
}

/// Powers of two, so that no bit is another: errors become (z before − y before) scale.
struct ErrorScale {
  double before = 1, scale = 1;

  template <class Z, class Y>
  double error(const Z& z, const Y& y, Index i, Index j) const {
    return (std::fma(static_cast<double>(z(i, j)), before, 0.0) - std::fma(static_cast<double>(y(i, j)), before, 0.0)) * scale;
  }
  /// One with which x is in [1, 2), or as near as may be; 1 for what is 0 or not finite.
  static double of(double x) { return x > 0 && std::isfinite(x) ? std::ldexp(1.0, std::clamp(-std::ilogb(x), -1000, 1000)) : 1; }
};

/// Σ_j w_j |error|^order, of output i; order is 1 or 2.
template <int order, class Z, class Y>
double sum_of_errors(const Z& z, const Y& y, Index i, const Vector<double>& weights, const ErrorScale& scale) {
  CompensatedSum sum;
  for_each_sample(y.cols(), weights, [&](Index j, double w) {
    const double error = scale.error(z, y, i, j);
    sum.add_product(w, order == 2 ? std::fma(error, error, 0.0) : std::abs(error));
  });
  return sum.value();
}

/// mean 2^(order exponent) is the mean of |error|^order.
struct ScaledMean {
  double mean;
  int exponent;

  double of_sizes() const { return std::ldexp(mean, exponent); }
  double of_squares() const { return std::ldexp(mean, 2 * exponent); }
  double root_of_squares() const { return std::ldexp(std::sqrt(mean), exponent); }
};

/// Σ_j w_j |error|^order / W, of output i. No size of finite scores, targets and weights is too much, nor too little, if W is finite: where the sum or the mean
/// is out of the ordinary, each error takes a power of two of its weight, w = m 2^(order k) with m in [1, 2^order), and the largest 2^k |error| is
/// brought into [1, 2). Scaling by powers of two changes no other bit.
template <int order, class Z, class Y>
ScaledMean scaled_mean(const Z& z, const Y& y, Index i, const Vector<double>& weights, double total) {
  const double plain = sum_of_errors<order>(z, y, i, weights, {}), mean = plain / total;
  const auto is_ordinary = [](double x) { return x >= 0x1p-900 && x <= 0x1p1000; };
  if (is_ordinary(plain) && is_ordinary(mean)) return {mean, 0};
  const auto exponent_of = [](double weight) { return std::ilogb(weight) >> (order - 1); };
  const auto with_error = [&](const auto& use) {  // use(w, x, e): the error is x 2^e
    for_each_sample(y.cols(), weights, [&](Index j, double w) {
      const double error = ErrorScale{}.error(z, y, i, j);
      if (std::isfinite(error))
        use(w, error, 0);
      else
        use(w, ErrorScale{0.5, 1}.error(z, y, i, j), 1);
    });
  };
  bool finite = std::isfinite(total), any = false;
  int top = std::numeric_limits<int>::min();
  with_error([&](double w, double error, int exponent) {
    finite &= std::isfinite(error);
    if (!std::isfinite(error) || error == 0) return;
    any = true;
    top = std::max(top, std::ilogb(error) + exponent + exponent_of(w));
  });
  if (!finite || !any) return {mean, 0};
  CompensatedSum sum;
  with_error([&](double w, double error, int exponent) {
    const int k = exponent_of(w);
    const double scaled = std::ldexp(error, exponent + k - top);
    sum.add_product(std::ldexp(w, -order * k), order == 2 ? std::fma(scaled, scaled, 0.0) : std::abs(scaled));
  });
  const int k = exponent_of(total);
  return {sum.value() / std::ldexp(total, -order * k), top - k};
}
template <class Z, class Y>
ScaledMean mean_square(const Z& z, const Y& y, Index i, const Vector<double>& weights, double total) {
  return scaled_mean<2>(z, y, i, weights, total);
}
template <class Z, class Y>
ScaledMean mean_size(const Z& z, const Y& y, Index i, const Vector<double>& weights, double total) {
  return scaled_mean<1>(z, y, i, weights, total);
}

/// R² of output i, of at least 2 samples.
template <class Z, class Y>
double explained_share(const Z& z, const Y& y, Index i, const Vector<double>& weights) {
  bool equal = true, perfect = true;
  double first = std::nan(""), largest = 0;
  for_each_sample(y.cols(), weights, [&](Index j, double) {
    const double target = static_cast<double>(y(i, j));
    if (std::isnan(first)) first = target;
    equal &= target == first;
    perfect &= static_cast<double>(z(i, j)) == target;
    largest = std::max(largest, std::abs(target));
  });
  if (equal) return perfect ? 1.0 : 0.0;
  // Powers of two, so that no bit is another: first one with which sums of the targets do not overflow; what it takes from the smallest of them is nothing
  // beside the largest. Then one with which squares neither overflow nor underflow.
  const double before = largest >= 0x1p900 ? 0x1p-124 : 1;
  CompensatedSum sum, squares;
  for_each_sample(y.cols(), weights, [&](Index j, double w) { sum.add_product(w, std::fma(static_cast<double>(y(i, j)), before, 0.0)); });
  const double mean = sum.value() / total_weight(y.cols(), weights);
  largest = 0;
  for_each_sample(y.cols(), weights,
                  [&](Index j, double) { largest = std::max(largest, std::abs(std::fma(static_cast<double>(y(i, j)), before, -mean))); });
  const double scale = ErrorScale::of(largest);
  for_each_sample(y.cols(), weights, [&](Index j, double w) {
    const double difference = std::fma(static_cast<double>(y(i, j)), before, -mean) * scale;
    squares.add_product(w, std::fma(difference, difference, 0.0));
  });
  return 1 - sum_of_errors<2>(z, y, i, weights, {before, scale}) / squares.value();
}

}  // namespace detail

/// Mean of (z − y)², by weight: (1/W) Σ_j w_j (z_j − y_j)². (The loss SquaredError has a ½, and adds up the outputs.)
template <class Z, class Y>
double mean_squared_error(const Eigen::MatrixBase<Z>& scores, const Eigen::MatrixBase<Y>& targets, const Vector<double>& weights = {}) {
  const ConstMatrixRef<typename Z::Scalar> z{scores};
  const ConstMatrixRef<typename Y::Scalar> y{targets};
  return detail::mean_over_outputs(
      z, y, weights, [&](Index i) { return detail::mean_square(z, y, i, weights, detail::total_weight(y.cols(), weights)).of_squares(); });
}

/// √ of the mean of (z − y)², by weight: RMSE, in the units of y. With several outputs the mean of their roots.
template <class Z, class Y>
double root_mean_squared_error(const Eigen::MatrixBase<Z>& scores, const Eigen::MatrixBase<Y>& targets,
                               const Vector<double>& weights = {}) {
  const ConstMatrixRef<typename Z::Scalar> z{scores};
  const ConstMatrixRef<typename Y::Scalar> y{targets};
  return detail::mean_over_outputs(z, y, weights, [&](Index i) {
    return detail::mean_square(z, y, i, weights, detail::total_weight(y.cols(), weights)).root_of_squares();
  });
}

/// Mean of |z − y|, by weight: MAE, in the units of y.
template <class Z, class Y>
double mean_absolute_error(const Eigen::MatrixBase<Z>& scores, const Eigen::MatrixBase<Y>& targets, const Vector<double>& weights = {}) {
  const ConstMatrixRef<typename Z::Scalar> z{scores};
  const ConstMatrixRef<typename Y::Scalar> y{targets};
  return detail::mean_over_outputs(
      z, y, weights, [&](Index i) { return detail::mean_size(z, y, i, weights, detail::total_weight(y.cols(), weights)).of_sizes(); });
}

/// R², the coefficient of determination, by weight: the share of the targets' variance that the predictions explain:
///
///   1 − Σ_j w_j (z_j − y_j)² / Σ_j w_j (y_j − ȳ)²,   ȳ = Σ_j w_j y_j / W
///
/// 1 for perfect predictions, 0 for ȳ as the prediction of all, below 0 for worse ones. No size of finite targets and predictions is too much for the sums, only an
/// R² below −1.8e308 is −∞; with weights W, all w_j y_j and all w_j (z_j − y_j)² and w_j (y_j − ȳ)² in units of the largest |y_j − ȳ| must be normal numbers, or 0. An output whose targets are all equal has nothing
/// to explain: it counts 1 if its predictions are perfect, else 0, as in scikit-learn. Throws DataError also for fewer than 2 samples with
/// a weight above 0.
template <class Z, class Y>
double r_squared(const Eigen::MatrixBase<Z>& scores, const Eigen::MatrixBase<Y>& targets, const Vector<double>& weights = {}) {
  const ConstMatrixRef<typename Z::Scalar> z{scores};
  const ConstMatrixRef<typename Y::Scalar> y{targets};
  return detail::mean_over_outputs(z, y, weights, [&](Index i) {
    if (detail::samples_present(y.cols(), weights) < 2) throw DataError("R squared needs at least 2 samples with a weight above 0; got 1");
    return detail::explained_share(z, y, i, weights);
  });
}

}  // namespace parade
