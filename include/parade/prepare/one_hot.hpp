// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <span>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/prepare/stage.hpp>

namespace parade {

/// What a category that the fit did not see becomes: zeros, as if it were missing; or a DataError.
enum class Unseen { zeros, error };

/// A column of categories, which are whole numbers, becomes a feature for each category: 1 where the sample has it, else 0.
///
///   parade::OneHot{}                         // x = 2, 7, 7: categories 2 and 7, z = (1,0), (0,1), (0,1)
///   parade::OneHot{.columns = {0, 3}}        // only these columns; the others stay what they are
///
/// Features stand in the order of the columns, and of a column in rising order of its categories. A number that is missing (NaN) sets none
/// of them. As scikit-learn's OneHotEncoder but for that: there NaN is a category. Text is encoded when a table becomes data
/// (parade::dense_data).
///
/// Throws DataError for a number that is not whole or beyond 2^53, in fit and in transform, and with Unseen::error for a category that the
/// fit did not see; OptionError for columns that are not there or stand twice.
struct OneHot {
  std::vector<Index> columns{};  // none: all
  Unseen unseen = Unseen::zeros;
  Vector<double> categories{};  // of all encoded columns, one column behind the other; fitted
  Vector<double> counts{};      // (d), fitted: how many of them belong to each column; −1 for a column that stays

  static constexpr const char* kind = "one_hot";
  static constexpr Unseen last(Unseen) { return Unseen::error; }

  template <class D>
  OneHot& fit(const D& data, int threads = 0) {
    detail::fit_to(*this, data, threads);
    return *this;
  }
  template <class D>
  auto transform(const D& data, int threads = 0) const {
    return detail::transform_of(*this, data, threads);
  }

  Index num_inputs() const { return counts.size(); }
  Index num_outputs() const {
    Index outputs = 0;
    for (const double count : counts) outputs += count < 0 ? 1 : static_cast<Index>(count);
    return outputs;
  }
  /// The categories of a column, rising; none where it was not encoded.
  std::span<const double> categories_of(Index column) const {
    Index begin = 0;
    for (Index i = 0; i < column; ++i) begin += std::max<Index>(0, static_cast<Index>(counts[i]));
    return {categories.data() + begin, static_cast<std::size_t>(std::max<Index>(0, static_cast<Index>(counts[column])))};
  }

  void fit_samples(const Samples& samples, Team& team) {
    using Sets = std::vector<std::vector<double>>;
    const Index d = samples.num_features();
    std::vector<Index> encoded = columns;
    for (std::size_t c = 0; c < encoded.size(); ++c)
      if (encoded[c] < 0 || encoded[c] >= d)
        throw OptionError(detail::text("OneHot.columns must be in [0, d); got ", encoded[c], " (d = ", d, ")"));
    std::sort(encoded.begin(), encoded.end());
    if (const auto twice = std::adjacent_find(encoded.begin(), encoded.end()); twice != encoded.end())
      throw OptionError(detail::text("OneHot.columns must hold each column once; got ", *twice, " twice"));
    for (Index i = 0; columns.empty() && i < d; ++i) encoded.push_back(i);

    const Sets sets = detail::over_samples(
        samples, team, Sets(encoded.size()),
        [&](Sets& seen, Range range, const double* x) {
          for (Index j = 0; j < range.size(); ++j)
            for (std::size_t c = 0; c < encoded.size(); ++c) {
              const double value = x[j * d + encoded[c]] + 0.0;  // −0 is 0
              if (std::isnan(value)) continue;
              check_whole(value, encoded[c], samples.number(range.begin + j));
              auto& set = seen[c];
              const auto at = std::lower_bound(set.begin(), set.end(), value);
              if (at == set.end() || *at != value) set.insert(at, value);
            }
        },
        [](Sets& seen, const Sets& other) {
          for (std::size_t c = 0; c < seen.size(); ++c) {
            std::vector<double> both;
            std::set_union(seen[c].begin(), seen[c].end(), other[c].begin(), other[c].end(), std::back_inserter(both));
            seen[c] = std::move(both);
          }
        });
    std::vector<double> all;
    counts.setConstant(d, -1);
    for (std::size_t c = 0; c < encoded.size(); ++c) {
      counts[encoded[c]] = static_cast<double>(sets[c].size());
      all.insert(all.end(), sets[c].begin(), sets[c].end());
    }
    categories = Eigen::Map<const Vector<double>>{all.data(), static_cast<Index>(all.size())};
    if (num_outputs() == 0) throw DataError("OneHot must see at least 1 category; got none");
  }
  void transform_sample(Index sample, const double* x, double* out) const {
    const double* category = categories.data();
    for (Index i = 0; i < counts.size(); ++i) {
      if (counts[i] < 0) {
        *out++ = x[i];
        continue;
      }
      const auto count = static_cast<Index>(counts[i]);
      std::fill_n(out, count, 0.0);
      if (!std::isnan(x[i])) {
        check_whole(x[i], i, sample);
        const double* const at = std::lower_bound(category, category + count, x[i]);
        if (at != category + count && *at == x[i])
          out[at - category] = 1;
        else if (unseen == Unseen::error)
          throw DataError(detail::text("column ", i, " must hold categories that OneHot was fitted to; got ", x[i], " in sample ", sample));
      }
      category += count;
      out += count;
    }
  }

  template <class Self, class Visit>
  static void visit_state(Self& self, const Visit& visit) {
    visit("unseen", self.unseen);
    visit("categories", self.categories);
    visit("counts", self.counts);
  }
  void settle() {
    Index total = 0;
    columns.clear();
    bool all = true;
    for (Index i = 0; i < counts.size(); ++i) {
      const double count = counts[i];
      detail::check_state(count >= -1 && count <= static_cast<double>(categories.size()) && count == std::trunc(count), kind,
                          "counts must be whole numbers of categories, or -1");
      if (count < 0)
        all = false;
      else
        columns.push_back(i);
      total += count > 0 ? static_cast<Index>(count) : 0;
    }
    if (all) columns.clear();
    detail::check_state(total == categories.size(), kind, "counts must add up to the number of categories");
    for (Index i = 0; i < counts.size(); ++i) {
      const auto own = categories_of(i);
      for (std::size_t c = 0; c < own.size(); ++c)
        detail::check_state(std::isfinite(own[c]) && (c == 0 || own[c - 1] < own[c]), kind, "the categories of a column must rise");
    }
  }

 private:
  static void check_whole(double value, Index column, Index sample) {
    if (value != std::trunc(value) || std::abs(value) > 0x1p53)
      throw DataError(
          detail::text("column ", column, " must hold categories, whole numbers up to 2^53; got ", value, " in sample ", sample));
  }
};

static_assert(Preparation<OneHot>);

}  // namespace parade
