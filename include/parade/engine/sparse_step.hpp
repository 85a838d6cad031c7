// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <parade/concepts/optimizer.hpp>
#include <parade/concepts/regularizer.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/core/error.hpp>
#include <parade/core/report.hpp>
#include <parade/core/types.hpp>
#include <parade/engine/sparse_rows_view.hpp>
#include <parade/engine/update.hpp>

// What training on sparse rows has in common, of a linear model and of one that sums over features.
namespace parade::detail {

/// What is left of θ where no gradient comes, for all elements at once:
///
///   θ ← c θ,  then  |θ| ← max(0, |θ| − τ D⁻¹)            in each step; D⁻¹ of an element is constant while no gradient comes
///
/// Over the steps s: with C = Π c_s and B = Σ τ_s/|C_s|, an element that was last stored as v = θ/C at the sum B₀ is now
///
///   θ = C sign(v) max(0, |v| − (B − B₀) D⁻¹)
///
/// since |C| times a soft threshold is a soft threshold: so a step moves all features by two numbers.
struct LazyShrinkage {
  double scale = 1;  // C
  double sum = 0;    // B
};

/// What one step makes of an element by L2 alone.
inline double factor_of_l2(const Shrinkage& shrinkage, double rate) {
  return shrinkage.l2_in_prox ? 1 / std::fma(rate, shrinkage.l2, 1.0) : std::fma(-rate, shrinkage.l2, 1.0);
}

/// Throws OptionError for an optimizer and a regularizer that have no exact lazy form together; l2 and l1: the largest λ.
inline void check_lazy_form(bool has_shrinkage, ZeroGradient zero_gradient, double l2, double l1) {
  const char* pairs =
      "; on sparse data there are: Sgd without momentum with L1, L2 or ElasticNet; Sgd with momentum with L2 or no regularizer; Adagrad "
      "with L1 or no regularizer; LazyAdam with no "
      "regularizer; FtrlProximal, which has l1 and l2 of its own, with no regularizer";
  if (!has_shrinkage)
    throw OptionError(text("the regularizer has no exact lazy form: it does not say (shrinkage()) that it is L2, L1 or both", pairs));
  if (zero_gradient == ZeroGradient::moves)
    throw OptionError(
        text("the optimizer has no exact lazy form: a feature goes on moving in steps in which it does not occur (running means)", pairs));
  if (l2 != 0 && zero_gradient != ZeroGradient::linear && zero_gradient != ZeroGradient::glides)
    throw OptionError(
        text("L2 has no exact lazy form with this optimizer: in every step it changes each feature by another factor, or the "
             "optimizer's state",
             pairs));
  if (l1 != 0 && zero_gradient == ZeroGradient::waits)
    throw OptionError(
        text("L1 has no exact lazy form with this optimizer: its step sizes change in every step, also where there is no gradient", pairs));
  if (l1 != 0 && zero_gradient == ZeroGradient::glides)
    throw OptionError(text(
        "L1 has no exact lazy form with momentum: a feature that does not occur is moved by both, and may cross 0 in any step", pairs));
  if (l1 != 0 && zero_gradient == ZeroGradient::returns)
    throw OptionError(text("L1 has no exact lazy form with this optimizer: it computes theta anew from its state", pairs));
}

/// The most entries that a batch can have: those of the b longest rows, or what a window says, whose batches are of this size or it is one batch.
template <class D>
Index most_entries(const D& data, Index batch_size) {
  if constexpr (requires { data.most_batch_entries(); }) {
    return batch_size < static_cast<Index>(data.samples().size()) ? data.most_batch_entries() : data.offsets()[data.size()];
  } else {
    const std::int64_t* offsets = data.offsets().data();
    std::vector<std::int64_t> lengths(static_cast<std::size_t>(data.size()));
    for (Index i = 0; i < data.size(); ++i) lengths[static_cast<std::size_t>(i)] = offsets[i + 1] - offsets[i];
    const auto longest = lengths.begin() + static_cast<std::ptrdiff_t>(std::min(static_cast<std::size_t>(batch_size), lengths.size()));
    if (longest != lengths.end()) std::nth_element(lengths.begin(), longest, lengths.end(), std::greater<>{});
    return std::accumulate(lengths.begin(), longest, std::int64_t{0});
  }
}

/// What a Trainer must know of training on sparse rows also where nothing of it may be compiled yet: that is where the data is not sparse.
template <class Scalar>
class LazyTheta {
 public:
  virtual ~LazyTheta() = default;
  virtual void settle() = 0;
  virtual bool is_behind() const = 0;
  virtual void copy_theta(Vector<Scalar>& theta) const = 0;
  virtual PhaseSeconds seconds() const = 0;
};

/// What an optimizer says of gradients of 0, as far as this engine can do anything with it.
template <class O>
ZeroGradient zero_gradient_of(const O& optimizer) {
  if constexpr (SaysZeroGradient<O>) {
    const ZeroGradient says = optimizer.zero_gradient();
    return says == ZeroGradient::glides && (!HasLinearStep<O> || optimizer.num_states() != 1) ? ZeroGradient::moves : says;
  } else {
    return ZeroGradient::moves;
  }
}

/// α′ of the threshold of a proximal step: see concepts/sparse.hpp.
template <class O>
double effective_rate(const O& optimizer, const StepInfo& at) {
  if constexpr (HasEffectiveRate<O>)
    return optimizer.effective_rate(at);
  else
    return at.rate;
}

/// D⁻¹ = step size / α′ of a slice, which is constant while no gradient comes.
template <class Scalar, class O>
void write_pace([[maybe_unused]] const O& optimizer, [[maybe_unused]] const StateRef<Scalar>& state, VectorRef<Scalar> pace) {
  if constexpr (HasStepSizes<O, Scalar> && SaysZeroGradient<O>) {
    constexpr StepInfo unit{1, 1};
    optimizer.step_sizes(state, unit, pace);
    const auto alpha = static_cast<Scalar>(effective_rate(optimizer, unit));
    for (Index s = 0; s < pace.size(); ++s) pace[s] /= alpha;
  } else {
    pace.setOnes();
  }
}

/// What the first step makes of the states of features that do not occur: states start at 0, and some optimizers put into them there what they really
/// start with. θ of such a feature stays. `offset`: where the block of θ begins that has `rows` elements of each feature; visit(first, state) sees what
/// comes of each piece of the block, from its element `first` on.
template <class Scalar, class O, class Visit>
void begin_states(const O& optimizer, TrainingState<Scalar>& of, Index offset, Index rows, Range features, const std::int32_t* slot,
                  const StepInfo& at, const Visit& visit) {
  if constexpr (HasStep<O, Scalar>) {
    Matrix<Scalar>& states = of.states();
    constexpr Index most = 256;
    Vector<Scalar> theta(most);
    const Vector<Scalar> grad = Vector<Scalar>::Zero(most);
    Matrix<Scalar> fresh(most, states.cols());
    const Index end = features.end * rows;
    for (Index first = features.begin * rows; first < end; first += most) {
      const Index size = std::min(most, end - first);
      theta.head(size) = of.theta.segment(offset + first, size);
      fresh.setZero();
      const StateRef<Scalar> state(fresh.data(), most, size);
      optimizer.step(VectorRef<Scalar>(theta.head(size)), ConstVectorRef<Scalar>(grad.head(size)), state, at);
      visit(first, state);
      for (Index e = first; e < first + size; ++e)
        if (slot[e / rows] < 0)
          for (Index q = 0; q < states.cols(); ++q) states(offset + e, q) = fresh(e - first, q);
    }
  }
}

/// A gradient that holds only what occurs: feature i has the slot slot[i], −1 if it has none yet, and slot t is that of feature touched[t]; grad (k, slots)
/// is 0 beyond the slots that are taken.
template <class Scalar>
struct SlotTable {
  std::int32_t* slot;
  std::int32_t* touched;
  Scalar* grad;
  std::int32_t count;  // slots taken

  /// The slot of a feature. Without a branch, since nobody can guess which features are new: that took twice the time.
  std::int32_t find(std::int32_t feature) {
    const std::int32_t known = slot[feature], is_new = known >> 31;  // −1 or 0
    const std::int32_t s = (known & ~is_new) | (count & is_new);
    slot[feature] = s;
    touched[count] = feature;
    count -= is_new;
    return s;
  }

  /// grad += dz xᵀ for one row, for one output and for k.
  template <bool Ones, class Value>
  void add_row(const std::int32_t* __restrict indices, const Value* __restrict values, Index entries, Scalar dz) {
    SlotTable own = *this;  // so that the count stays in a register
    for (Index entry = 0; entry < entries; ++entry) {
      Scalar& g = own.grad[own.find(indices[entry])];
      if constexpr (Ones)
        g += dz;
      else
        g = std::fma(static_cast<Scalar>(values[entry]), dz, g);
    }
    count = own.count;
  }
  template <bool Ones, class Value>
  void add_row(const std::int32_t* __restrict indices, const Value* __restrict values, Index entries, Index k,
               const Scalar* __restrict dz) {
    for (Index entry = 0; entry < entries; ++entry) {
      Scalar* g = grad + find(indices[entry]) * k;
      for (Index c = 0; c < k; ++c) {
        if constexpr (Ones)
          g[c] += dz[c];
        else
          g[c] = std::fma(static_cast<Scalar>(values[entry]), dz[c], g[c]);
      }
    }
  }
};

/// work(j, entries) for the rows of a batch that have a weight, in order: their entries in a range of the cut, or all where that is −1.
template <class D, class Work>
void for_each_weighted_row(const D& data, std::span<const Index> samples, const SparseCut& cut, Index range, const Work& work) {
  const SparseRowsView rows(data);
  constexpr Index ahead = sparse_prefetch_distance;
  const auto b = static_cast<Index>(samples.size());
  const auto row = [&](Index j) { return samples[static_cast<std::size_t>(j)]; };
  const auto entries = [&](Index j) {
    const Range all{rows.begin(row(j)), rows.end(row(j))};
    return range < 0 ? all : cut.entries(row(j), all, range);
  };
  for (Index j = 0; j < b; ++j) {
    if (j + 2 * ahead < b) {
      rows.prefetch_place(row(j + 2 * ahead));
      if (range >= 0) cut.prefetch(row(j + 2 * ahead));
    }
    if (j + ahead < b) rows.prefetch(entries(j + ahead));
    if (data.has_weights() && data.weights()[row(j)] == 0) continue;
    work(j, entries(j));
  }
}

/// Gives a slot to each feature of a range that occurs in those rows, and returns how many there are; `slot` and `touched` as in SlotTable.
template <class Scalar, class D>
Index find_slots(const D& data, std::span<const Index> samples, const SparseCut& cut, Index range, std::int32_t* slot,
                 std::int32_t* touched) {
  SlotTable<Scalar> table{slot, touched, nullptr, 0};
  const std::int32_t* indices = data.indices().data();
  for_each_weighted_row(data, samples, cut, range, [&](Index, Range entries) {
    for (Index e = entries.begin; e < entries.end; ++e) table.find(indices[e]);
  });
  return table.count;
}

}  // namespace parade::detail
