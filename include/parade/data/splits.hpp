// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/random.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/core/types.hpp>
#include <parade/data/sparse_rows.hpp>
#include <parade/data/subset.hpp>
#include <parade/kernels/huge_pages.hpp>

// Parts of a data set as lists of samples, for parade::Subset and samples_of. See also parade::split, for two parts in one call.
namespace parade {

/// How large a part is: a share of the data (double, in [0, 1]), or a number of samples (a whole number).
using PartSize = std::variant<double, Index>;

struct SplitOptions {
  PartSize validation = 0.1;  // 0.1: a tenth. 500: 500 samples
  PartSize test = 0.1;
  std::uint64_t seed = 0;
};

/// The samples of three parts, each in the order of the data.
struct SplitIndices {
  std::vector<Index> train, validation, test;
};

struct FoldOptions {
  Index folds = 5;      // k
  bool shuffle = true;  // else the samples are taken in the order of the data
  std::uint64_t seed = 0;
};

/// One of k ways to part the data in two. Each sample is in `test` of one fold, and in `train` of all others; both are in the order of the
/// data.
struct Fold {
  std::vector<Index> train, test;
};

namespace detail {

/// The samples of each label, those of the least first; within, by rising key (and index), or in the order of the data.
inline std::vector<std::vector<Index>> strata_of(const Vector<Label>& labels, const Random* random) {
  std::map<Label, std::vector<std::pair<std::uint64_t, Index>>> keyed;
  for (Index i = 0; i < labels.size(); ++i) keyed[labels[i]].emplace_back(random ? random->bits(static_cast<std::uint64_t>(i)) : 0, i);
  std::vector<std::vector<Index>> strata;
  for (auto& [label, samples] : keyed) {
    std::sort(samples.begin(), samples.end());
    strata.emplace_back();
    for (const auto& sample : samples) strata.back().push_back(sample.second);
  }
  return strata;
}

inline Index part_size(const PartSize& size, Index n, const char* field) {
  if (const auto* share = std::get_if<double>(&size)) {
    if (!(*share >= 0 && *share <= 1))
      throw OptionError(
          text(field, ", as a share of the data, must be in [0, 1]; got ", *share, " (a number of samples is given as a whole number)"));
    return std::llround(*share * static_cast<double>(n));
  }
  const Index count = std::get<Index>(size);
  if (count < 0 || count > n) throw OptionError(text(field, " must be in [0, n]; got ", count, " (n = ", n, ")"));
  return count;
}

/// How many samples each stratum gives to each of three parts: sizes[c]·parts[j]/n, rounded up or down so that both the strata and the
/// parts get what is theirs. That can always be done (the vertices of a transportation problem are whole numbers): one more for some parts
/// of a stratum, and where too many have gone to a part, along the shortest way to one that lacks some.
inline std::vector<std::array<Index, 3>> quotas_of(const std::vector<Index>& sizes, const std::array<Index, 3>& parts, Index n) {
  const std::size_t strata = sizes.size();
  std::vector<std::array<Index, 3>> quotas(strata);
  std::vector<std::array<bool, 3>> may(strata), more(strata);  // whether a quota may be, and is, rounded up
  std::array<Index, 3> lack = parts;                           // what the parts still want
  for (std::size_t c = 0; c < strata; ++c) {
    Index rest = sizes[c];
    for (std::size_t j = 0; j < 3; ++j) {
      quotas[c][j] = sizes[c] * parts[j] / n;
      may[c][j] = sizes[c] * parts[j] % n != 0;
      lack[j] -= quotas[c][j];
      rest -= quotas[c][j];
    }
    for (; rest > 0; --rest) {
      std::size_t best = 3;
      for (std::size_t j = 0; j < 3; ++j)
        if (may[c][j] && !more[c][j] && (best == 3 || lack[j] > lack[best])) best = j;
      more[c][best] = true;
      --lack[best];
    }
  }
  const auto move = [&](std::size_t from, std::size_t to) {
    for (std::size_t c = 0; c < strata; ++c)
      if (more[c][from] && may[c][to] && !more[c][to]) {
        more[c][from] = false;
        more[c][to] = true;
        ++lack[from];
        --lack[to];
        return true;
      }
    return false;
  };
  for (;;) {
    const auto over = static_cast<std::size_t>(std::min_element(lack.begin(), lack.end()) - lack.begin());
    if (lack[over] >= 0) break;
    const auto under = static_cast<std::size_t>(std::max_element(lack.begin(), lack.end()) - lack.begin()), third = 3 - over - under;
    if (move(over, under)) continue;
    if (!move(over, third) || !move(third, under)) break;  // never: a way exists
  }
  for (std::size_t c = 0; c < strata; ++c)
    for (std::size_t j = 0; j < 3; ++j) quotas[c][j] += more[c][j] ? 1 : 0;
  return quotas;
}

inline SplitIndices split_strata(const Vector<Label>& labels, const SplitOptions& options) {
  const Index n = labels.size(), test = part_size(options.test, n, "test");
  Index validation = part_size(options.validation, n, "validation");
  const auto *of_validation = std::get_if<double>(&options.validation), *of_test = std::get_if<double>(&options.test);
  if (of_validation && of_test && *of_validation + *of_test <= 1) validation = std::min(validation, n - test);  // two halves of 3 samples
  if (validation + test > n)
    throw OptionError(text("validation and test must be at most n samples together; got ", validation, " and ", test, " (n = ", n, ")"));
  SplitIndices split;
  if (n == 0) return split;
  const Random random{options.seed, Purpose::split, 1};
  const auto strata = strata_of(labels, &random);
  std::vector<Index> sizes;
  for (const auto& stratum : strata) sizes.push_back(static_cast<Index>(stratum.size()));
  const auto quotas = quotas_of(sizes, {test, validation, n - test - validation}, n);
  for (std::size_t c = 0; c < strata.size(); ++c) {
    const auto begin = strata[c].begin(), middle = begin + quotas[c][0], end = middle + quotas[c][1];
    split.test.insert(split.test.end(), begin, middle);
    split.validation.insert(split.validation.end(), middle, end);
    split.train.insert(split.train.end(), end, strata[c].end());
  }
  for (auto* part : {&split.train, &split.validation, &split.test}) std::sort(part->begin(), part->end());
  return split;
}

inline void check_folds(Index n, Index folds) {
  if (folds < 2 || folds > n) throw OptionError(text("folds must be in [2, n]; got ", folds, " (n = ", n, ")"));
}

/// Fold of each sample → folds.
inline std::vector<Fold> folds_of(const std::vector<Index>& fold_of, Index count) {
  std::vector<Fold> folds(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < fold_of.size(); ++i)
    for (std::size_t f = 0; f < folds.size(); ++f)
      (static_cast<Index>(f) == fold_of[i] ? folds[f].test : folds[f].train).push_back(static_cast<Index>(i));
  return folds;
}

}  // namespace detail

/// Parts n samples in three at random: each is in one of them, and no other part has it.
///
///   const auto [train, validation, test] = parade::split_indices(data.size(), {.validation = 0.1, .test = 1000, .seed = 1});
///   const parade::Subset fitted_to{data, train};
///
/// The rule: sample i has the 64-bit key Random{seed, Purpose::split, 1}.bits(i). Those with the smallest keys are the test part, the next
/// ones the validation part. Shares are rounded to whole numbers of samples, halves up. Throws OptionError for a share outside [0, 1], and
/// for more samples than there are.
inline SplitIndices split_indices(Index samples, const SplitOptions& options = {}) {
  if (samples < 0) throw OptionError(detail::text("the number of samples must be at least 0; got ", samples));
  return detail::split_strata(Vector<Label>::Zero(samples), options);
}

/// The same, label by label: of n_c samples with label c, each part gets n_c · (its size)/n, rounded up or down, and is as large as it was
/// asked to be.
///
///   const auto parts = parade::stratified_split_indices(data.labels(), {.validation = 0, .test = 0.2});    // 0: a number of samples, none
inline SplitIndices stratified_split_indices(const Vector<Label>& labels, const SplitOptions& options = {}) {
  return detail::split_strata(labels, options);
}

/// k folds for cross-validation, whose test parts differ by at most one sample in size: contiguous pieces of the data, or with `shuffle`
/// of the samples by rising key Random{seed, Purpose::folds}.bits(i). Throws OptionError unless k is in [2, n].
///
///   for (const auto& [train, test] : parade::k_fold(data.size(), {.folds = 5, .seed = 1})) …
inline std::vector<Fold> k_fold(Index samples, const FoldOptions& options = {}) {
  detail::check_folds(samples, options.folds);
  const Random random{options.seed, Purpose::folds};
  const auto order = detail::strata_of(Vector<Label>::Zero(samples), options.shuffle ? &random : nullptr)[0];
  std::vector<Index> fold_of(order.size());
  for (Index f = 0; f < options.folds; ++f) {
    const Range range = part_of(samples, options.folds, f);
    for (Index p = range.begin; p < range.end; ++p) fold_of[static_cast<std::size_t>(order[static_cast<std::size_t>(p)])] = f;
  }
  return detail::folds_of(fold_of, options.folds);
}

/// The same with each label spread evenly: the folds' test parts differ by at most one in size, and by at most one in the number of
/// samples of each label. Label by label, those of the least first, samples go to the folds 0, 1, …, k − 1, 0, 1, … in turn.
inline std::vector<Fold> stratified_k_fold(const Vector<Label>& labels, const FoldOptions& options = {}) {
  detail::check_folds(labels.size(), options.folds);
  const Random random{options.seed, Purpose::folds};
  std::vector<Index> fold_of(static_cast<std::size_t>(labels.size()));
  Index next = 0;
  for (const auto& stratum : detail::strata_of(labels, options.shuffle ? &random : nullptr))
    for (const Index i : stratum) fold_of[static_cast<std::size_t>(i)] = next++ % options.folds;
  return detail::folds_of(fold_of, options.folds);
}

/// Some rows of sparse data, in any order, copied with all that belongs to them. Throws DataError for an index outside [0, n).
template <class Scalar>
SparseRows<Scalar> rows_of(const SparseRows<Scalar>& data, std::span<const Index> samples) {
  const auto n = static_cast<Index>(samples.size());
  Vector<std::int64_t> offsets(n + 1);
  offsets[0] = 0;
  for (Index s = 0; s < n; ++s) {
    const Index i = samples[static_cast<std::size_t>(s)];
    if (i < 0 || i >= data.size()) throw DataError(detail::text("samples[", s, "] must be in [0, n); got ", i, " (n = ", data.size(), ")"));
    offsets[s + 1] = offsets[s] + data.offsets()[i + 1] - data.offsets()[i];
  }
  Vector<std::int32_t> indices(offsets[n]);
  Vector<Scalar> values(data.all_ones() ? 0 : offsets[n]);
  kernels::use_huge_pages(indices);
  kernels::use_huge_pages(values);
  for (Index s = 0; s < n; ++s) {
    const auto row = data[samples[static_cast<std::size_t>(s)]];
    std::copy(row.indices.begin(), row.indices.end(), indices.data() + offsets[s]);
    std::copy(row.values.begin(), row.values.end(), values.data() + (values.size() > 0 ? offsets[s] : 0));
  }
  const auto taken = [&](const auto& of) {
    std::remove_cvref_t<decltype(of)> out(n);
    for (Index s = 0; s < n; ++s) out[s] = of[samples[static_cast<std::size_t>(s)]];
    return out;
  };
  SparseRows<Scalar> rows{std::move(offsets), std::move(indices), std::move(values), data.num_features(), NotFinite::keep};
  if (data.has_labels()) rows = rows.with_labels(taken(data.labels()));
  if (data.has_weights()) rows = rows.with_weights(taken(data.weights()));
  if (data.has_queries()) rows = rows.with_queries(taken(data.queries()));
  if (data.num_targets() > 0) {
    Matrix<double> targets(data.num_targets(), n);
    for (Index s = 0; s < n; ++s) targets.col(s) = data.targets().col(samples[static_cast<std::size_t>(s)]);
    rows = rows.with_targets(std::move(targets));
  }
  if (data.has_label_sets()) {
    Vector<std::int64_t> ends(n + 1);
    std::vector<Label> ids;
    ends[0] = 0;
    for (Index s = 0; s < n; ++s) {
      const auto set = data.label_set(samples[static_cast<std::size_t>(s)]);
      ids.insert(ids.end(), set.begin(), set.end());
      ends[s + 1] = static_cast<std::int64_t>(ids.size());
    }
    rows = rows.with_label_sets(std::move(ends), Eigen::Map<const Vector<Label>>{ids.data(), static_cast<Index>(ids.size())});
  }
  return rows;
}

/// Some samples of data of any kind: a Subset, or of sparse data a copy of these rows.
template <class D>
auto samples_of(const D& data, const std::vector<Index>& samples) {
  return Subset<D>{data, samples};
}
template <class Scalar>
SparseRows<Scalar> samples_of(const SparseRows<Scalar>& data, const std::vector<Index>& samples) {
  return rows_of(data, samples);
}

/// The answers of `fit_and_score(train, test)` for each fold, in order.
///
///   const auto scores = parade::cross_validate(data, parade::k_fold(data.size()), [&](const auto& train, const auto& test) {
///     trainer.fit(train, options);                 // and what else is fitted: a Pipeline, to `train` alone
///     return trainer.accuracy(test);
///   });
template <class D, class FitAndScore>
auto cross_validate(const D& data, const std::vector<Fold>& folds, FitAndScore&& fit_and_score) {
  using Part = decltype(samples_of(data, folds[0].train));
  std::vector<std::decay_t<std::invoke_result_t<FitAndScore&, const Part&, const Part&>>> answers;
  for (const Fold& fold : folds) {
    const Part train = samples_of(data, fold.train), test = samples_of(data, fold.test);
    answers.push_back(fit_and_score(train, test));
  }
  return answers;
}

}  // namespace parade
