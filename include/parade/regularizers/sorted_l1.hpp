// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include <parade/concepts/regularizer.hpp>
#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/groups.hpp>
#include <parade/kernels/normal_quantile.hpp>

namespace parade {

/// The λ of OSCAR (Bondell, Reich 2008) for `size` elements: λ_i = l1 + pairwise (size − i), i = 1 … size, which falls by `pairwise` from one to the next:
///
///   Σ λ_i |θ|_(i) = l1 ‖θ‖₁ + pairwise Σ_{i<j} max(|θ_i|, |θ_j|)
///
/// Elements of correlated features get the same |θ_i|. oscar_sequence(3, 1, 0.5) = (2, 1.5, 1). Throws OptionError unless both are finite and at least 0.
inline Vector<double> oscar_sequence(Index size, double l1, double pairwise) {
  if (size < 0) throw OptionError(detail::text("oscar_sequence: size must be at least 0; got ", size));
  if (!(l1 >= 0 && std::isfinite(l1))) throw OptionError(detail::text("oscar_sequence: l1 must be finite and at least 0; got ", l1));
  if (!(pairwise >= 0 && std::isfinite(pairwise)))
    throw OptionError(detail::text("oscar_sequence: pairwise must be finite and at least 0; got ", pairwise));
  if (!std::isfinite(std::fma(pairwise, static_cast<double>(std::max<Index>(size - 1, 0)), l1)))
    throw OptionError(detail::text("oscar_sequence: l1 + pairwise (size - 1) must be finite; got ", l1, " and ", pairwise));
  Vector<double> lambda(size);
  for (Index i = 0; i < size; ++i) lambda[i] = std::fma(pairwise, static_cast<double>(size - 1 - i), l1);
  return lambda;
}

/// The λ of SLOPE (Bogdan, van den Berg, Sabatti, Su, Candès 2015) for `size` elements: the critical values of Benjamini and Hochberg,
///
///   λ_i = scale Φ⁻¹(1 − i q / (2 size)),  i = 1 … size
///
/// With orthogonal features, no more than the share q of what is found is false, on average. That is so for ½‖y − Xθ‖²/σ² and columns of X of norm 1; for
/// the mean of ½(y − xθ)² over n samples, and features of mean square 1, scale = σ/√n. benjamini_hochberg_sequence(2, 0.1) = (1.96, 1.645).
/// Throws OptionError unless 0 < q < 1 and the scale is finite and at least 0.
inline Vector<double> benjamini_hochberg_sequence(Index size, double q, double scale = 1) {
  if (size < 0) throw OptionError(detail::text("benjamini_hochberg_sequence: size must be at least 0; got ", size));
  if (!(q > 0 && q < 1)) throw OptionError(detail::text("benjamini_hochberg_sequence: q must be above 0 and below 1; got ", q));
  if (!(scale >= 0 && std::isfinite(scale)))
    throw OptionError(detail::text("benjamini_hochberg_sequence: scale must be finite and at least 0; got ", scale));
  Vector<double> lambda(size);
  for (Index i = 0; i < size; ++i) {
    const double tail =
        std::max(static_cast<double>(i + 1) * (q / 2) / static_cast<double>(size), std::numeric_limits<double>::denorm_min());
    lambda[i] = scale * kernels::normal_quantile(tail);
    if (i > 0) lambda[i] = std::min(lambda[i - 1], lambda[i]);  // rounding
  }
  return lambda;
}

/// Sorted L1 norm, or SLOPE, or OWL (Bogdan, van den Berg, Sabatti, Su, Candès 2015): the largest |θ_i| pays the largest λ. Besides exact zeros it gives
/// clusters of equal |θ_i|:
///
///   R(θ) = Σ_i λ_i |θ|_(i),  |θ|_(1) ≥ |θ|_(2) ≥ …,  λ_1 ≥ λ_2 ≥ … ≥ 0
///
///   SortedL1{.lambda = benjamini_hochberg_sequence(d, 0.1, scale)}
///
/// λ is all of it: one number for each element of a group, which is the whole parameter (the default), a row, or a column. With λ all the same it is
/// parade::L1; with λ = (λ_1, 0, 0, …) it is λ_1 times the largest |θ_i|. With λ = (2, 1) and θ = (3, −4): R = 11, and with a step size of 1
/// prox(3, −4) = (2, −2), prox(3, −1) = (1, 0).
///
/// For one step size α the proximal point is what pooling adjacent violators makes of |θ|_(i) − αλ_i, which must not increase; then what is below 0 is 0.
/// It takes a sort. Where the step sizes differ from element to element the order of the result is not known before: it is the minimum over a base polytope
/// in a weighted norm, found by decomposition (Groenevelt 1991; Bach: "Learning with submodular functions", 2013, section 9.1): the common value c
/// that would be best for a set of elements cuts it where the sum of its largest (|θ_i| − c)/α_i is furthest above that of the largest λ of the set, and
/// each part is a set of its own; a set that is not cut is a cluster. That is exact, and takes a sort of each set: log₂ of the number of clusters in
/// all as a rule. An element whose step size is 0 stays as it is, and of the steps in a group none counts as less than 2^−64 of the largest.
/// Domain: any θ; R ≥ 0. What becomes 0 is +0. An element or a step that is not finite makes its group NaN, and so does one whose |θ| times the
/// ratio of the largest step to its own is not finite.
struct SortedL1 {
  Vector<double> lambda;          // λ_1 ≥ λ_2 ≥ … ≥ 0, one for each element of a group
  Groups groups = Groups::whole;  // what is sorted
  bool biases = false;            // whether biases are shrunk too

  /// Throws OptionError unless all λ are finite and at least 0, and none is above the one before.
  void check() const {
    for (Index i = 0; i < lambda.size(); ++i) {
      if (!(lambda[i] >= 0 && std::isfinite(lambda[i])))
        throw OptionError(detail::text("SortedL1.lambda must be finite and at least 0; got ", lambda[i], " at ", i));
      if (i > 0 && lambda[i] > lambda[i - 1])
        throw OptionError(detail::text("SortedL1.lambda must not increase; got ", lambda[i], " at ", i, " after ", lambda[i - 1]));
    }
  }

  /// Throws OptionError for a parameter that it is for and whose groups are not as long as λ.
  void check(const ParameterList& parameters) const {
    for (const auto& block : parameters)
      if (block.size() > 0 && detail::applies_to(*this, block)) check_size(group_size(block.rows, block.cols), block.name);
  }

  bool applies_to(const ParameterBlock& block) const { return biases || block.role != Role::bias; }

  /// What a thread needs to sort.
  class Workspace {
   public:
    void reserve(Index size) {
      if (size <= static_cast<Index>(elements_.size())) return;
      elements_.resize(static_cast<std::size_t>(size));
      pools_.resize(static_cast<std::size_t>(size));
    }

   private:
    friend struct SortedL1;
    struct Element {
      double key;  // what they are sorted by, the largest first
      double magnitude;
      double weight;  // largest step / own step, in [1, 2^64]
      Index at;       // place in the group
    };
    struct Pool {
      kernels::Sum sum;
      double mean;
      Index begin;
    };
    std::vector<Element> elements_;
    std::vector<Pool> pools_;
  };
  void reserve(Workspace& workspace, Index rows, Index cols) const { workspace.reserve(group_size(rows, cols)); }

  /// R of a parameter (rows, cols), in double. Throws OptionError where λ is not as long as a group.
  template <class T>
  double parameter_value(const Eigen::MatrixBase<T>& theta, Workspace& workspace) const {
    using S = typename T::Scalar;
    reserve(workspace, theta.rows(), theta.cols());
    kernels::Sum sum;
    kernels::for_each_group<S>(groups, ConstMatrixRef<S>{theta}, [&](const auto& group) {
      check_size(group.size);
      Element* const elements = workspace.elements_.data();
      for (Index i = 0; i < group.size; ++i) {
        const double magnitude = std::abs(static_cast<double>(group[i]));
        if (!std::isfinite(magnitude)) return sum.add(std::numeric_limits<double>::quiet_NaN());
        elements[i] = {magnitude, magnitude, 1, i};
      }
      sort(elements, elements + group.size);
      for (Index i = 0; i < group.size; ++i) sum.add(kernels::product(lambda[i], elements[i].magnitude));
    });
    return sum.value();
  }

  /// The proximal point of a parameter (rows, cols), in place. Throws OptionError where λ is not as long as a group.
  template <class T>
  void parameter_prox(MatrixRef<typename T::Scalar> theta, const Eigen::MatrixBase<T>& steps, Workspace& workspace) const {
    using S = typename T::Scalar;
    reserve(workspace, theta.rows(), theta.cols());
    kernels::for_each_group<S>(groups, theta, ConstMatrixRef<S>{steps}, [&](const auto& group, const auto& group_steps) {
      check_size(group.size);
      shrink<S>(group, group_steps, workspace);
    });
  }

  /// The same with memory of their own.
  template <class T>
  double parameter_value(const Eigen::MatrixBase<T>& theta) const {
    Workspace workspace;
    return parameter_value(theta, workspace);
  }
  template <class T>
  void parameter_prox(MatrixRef<typename T::Scalar> theta, const Eigen::MatrixBase<T>& steps) const {
    Workspace workspace;
    parameter_prox(theta, steps, workspace);
  }

 private:
  using Element = Workspace::Element;

  Index group_size(Index rows, Index cols) const { return groups == Groups::rows ? cols : groups == Groups::columns ? rows : rows * cols; }

  void check_size(Index size, const std::string& name = {}) const {
    if (lambda.size() != size)
      throw OptionError(detail::text("SortedL1.lambda must have one number for each element of a group: ", size,
                                     name.empty() ? "" : " for '" + name + "'", "; got ", lambda.size()));
  }

  /// One order, whatever it began with.
  static void sort(Element* begin, Element* end) {
    std::sort(begin, end, [](const Element& a, const Element& b) { return a.key > b.key || (a.key == b.key && a.at < b.at); });
  }

  template <class S>
  void shrink(const kernels::Strided<S>& theta, const kernels::Strided<const S>& steps, Workspace& workspace) const {
    Element* const elements = workspace.elements_.data();
    double least = std::numeric_limits<double>::infinity(), largest = 0;
    bool finite = true;
    for (Index i = 0; i < theta.size; ++i) {
      const double magnitude = std::abs(static_cast<double>(theta[i])), step = static_cast<double>(steps[i]);
      finite = finite && std::isfinite(magnitude) && std::isfinite(step);
      least = std::min(least, step);
      largest = std::max(largest, step);
      elements[i] = {magnitude, magnitude, 1, i};
    }
    if (!finite) {
      for (Index i = 0; i < theta.size; ++i) theta[i] = std::numeric_limits<S>::quiet_NaN();
      return;
    }
    if (largest == 0 || lambda[0] == 0) return;
    const auto emit = [&](const Element& element, double level) {
      S& t = theta[element.at];
      const auto magnitude = static_cast<S>(level);
      t = magnitude <= 0 ? S{0} : std::copysign(magnitude, t);  // NaN stays
    };
    if (least == largest) {
      pool(elements, theta.size, largest, workspace, emit);
    } else {
      for (Index i = 0; i < theta.size; ++i) elements[i].weight = std::min(largest / static_cast<double>(steps[i]), 0x1p64);
      decompose(elements, theta.size, largest, [&](const Element& element, double level) {
        if (steps[element.at] != 0) emit(element, level);
      });
    }
  }

  /// emit(element, its new magnitude, or a number below 0 for 0) for all, where all have the same step.
  template <class Emit>
  void pool(Element* elements, Index size, double step, Workspace& workspace, const Emit& emit) const {
    sort(elements, elements + size);
    Workspace::Pool* const pools = workspace.pools_.data();
    Index count = 0;
    for (Index i = 0; i < size; ++i) {
      const double target = std::fma(-lambda[i], step, elements[i].magnitude);
      Workspace::Pool own{{}, target, i};
      own.sum.add(target);
      for (; count > 0 && pools[count - 1].mean < own.mean; --count) {
        own.sum.add(pools[count - 1].sum);
        own.begin = pools[count - 1].begin;
        own.mean = own.sum.value() / static_cast<double>(i + 1 - own.begin);
      }
      pools[count++] = own;
    }
    for (Index end = size; count > 0; end = pools[count].begin) {
      --count;
      for (Index i = pools[count].begin; i < end; ++i) emit(elements[i], pools[count].mean);
    }
  }

  struct Range {
    Index begin, end;
    double low, high;  // where the cuts say that it lies: also rounding cannot bring the clusters out of order
  };

  /// The same where the steps differ: weight_i (u_i − |θ_i|) + step λ of its rank = 0, for the largest step.
  template <class Emit>
  void decompose(Element* elements, Index size, double step, const Emit& emit) const {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    // What is not 0: where the sum of the largest |θ_i|/α_i is furthest above that of λ.
    for (Index i = 0; i < size; ++i) elements[i].key = kernels::product(elements[i].weight, elements[i].magnitude);
    sort(elements, elements + size);
    Index rest = 0;
    kernels::Sum since_then;
    for (Index i = 0; i < size; ++i) {
      since_then.add(elements[i].key);
      since_then.add(-kernels::product(lambda[i], step));
      if (!std::isfinite(since_then.value())) {  // it would not be above 0, and all would be 0
        for (Index j = 0; j < size; ++j) emit(elements[j], std::numeric_limits<double>::quiet_NaN());
        return;
      }
      if (since_then.value() > 0) {
        since_then = {};
        rest = i + 1;
      }
    }
    for (Index i = rest; i < size; ++i) emit(elements[i], 0);

    // The smaller part of a cut is done first, so that at most log₂(size) larger ones wait.
    std::array<Range, 64> waiting;
    std::size_t count = 0;
    if (rest > 0) waiting[count++] = {0, rest, 0, infinity};
    while (count > 0) {
      const Range range = waiting[--count];
      const auto [level, cut] = best_cut(elements, range, step);
      const double inside = level < range.low ? range.low : level > range.high ? range.high : level;
      if (cut == range.end) {
        for (Index i = range.begin; i < range.end; ++i) emit(elements[i], inside);
        continue;
      }
      const Range upper{range.begin, cut, inside, range.high}, lower{cut, range.end, range.low, inside};
      const bool upper_is_smaller = cut - range.begin < range.end - cut;
      waiting[count++] = upper_is_smaller ? lower : upper;
      waiting[count++] = upper_is_smaller ? upper : lower;
    }
  }

  struct Cut {
    double level;
    Index at;  // the end of the range where there is none
  };

  /// The value that is best for all elements of a range if they have the same, and where it is cut. Sorts them.
  Cut best_cut(Element* elements, const Range& range, double step) const {
    const auto price = [&](Index i) { return kernels::product(lambda[i], step); };
    if (range.end - range.begin == 1) {
      const Element& only = elements[range.begin];
      return {only.magnitude - price(range.begin) / only.weight, range.end};
    }
    kernels::Sum sum, weights;
    double sizes = 0;
    for (Index i = range.begin; i < range.end; ++i) {
      const double weighted = kernels::product(elements[i].weight, elements[i].magnitude);
      sum.add(weighted);
      sum.add(-price(i));
      weights.add(elements[i].weight);
      sizes += weighted + price(i);
    }
    // In two parts, since what is left of a large weight times a small difference counts like the rest.
    const double level = sum.value() / weights.value(), usual = sizes / weights.value();
    if (!std::isfinite(usual)) return {std::numeric_limits<double>::quiet_NaN(), range.end};

    // What rounding can make of the sums: a cut must be worth more, in what lies before it or after it. Without that, many elements that are the same
    // would be cut one by one.
    constexpr double close = 8 * std::numeric_limits<double>::epsilon();
    const auto doubt = [&](Index i) { return std::fma(elements[i].weight, elements[i].magnitude + usual, price(i)); };
    double all_doubt = 0;
    kernels::Sum left, all;
    for (Index i = range.begin; i < range.end; ++i) {
      left.add(kernels::product(elements[i].weight, elements[i].magnitude - level));
      left.add(-price(i));
    }
    const double low = left.value() / weights.value();
    for (Index i = range.begin; i < range.end; ++i)
      elements[i].key = kernels::product(elements[i].weight, (elements[i].magnitude - level) - low);
    sort(elements + range.begin, elements + range.end);
    for (Index i = range.begin; i < range.end; ++i) {
      all.add(elements[i].key);
      all.add(-price(i));
      all_doubt += doubt(i);
    }
    Index cut = range.end;
    double before = 0;
    kernels::Sum above, since_then;  // since the best cut so far
    for (Index i = range.begin; i + 1 < range.end; ++i) {
      above.add(elements[i].key);
      above.add(-price(i));
      since_then.add(elements[i].key);
      since_then.add(-price(i));
      before += doubt(i);
      kernels::Sum below = above;  // −Σ after it
      below.add(-all.value());
      if ((above.value() > close * before || below.value() > close * (all_doubt - before)) &&
          (cut == range.end || since_then.value() > 0)) {
        since_then = {};
        cut = i + 1;
      }
    }
    return {level + low, cut};
  }
};

static_assert(ParameterRegularizer<SortedL1, float> && HasParameterWorkspace<SortedL1, float>);
static_assert(ParameterRegularizer<SortedL1, double> && HasParameterWorkspace<SortedL1, double>);

}  // namespace parade
