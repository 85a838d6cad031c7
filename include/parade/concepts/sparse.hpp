// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include <parade/concepts/dataset.hpp>
#include <parade/concepts/model.hpp>
#include <parade/concepts/optimizer.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>

// What training on sparse rows asks of the parts, so that a step costs what its batch's entries cost, whatever d is: a feature that does not occur in
// the batch must need no work, and yet be where the dense computation would have brought it once it occurs again.
namespace parade {

/// Sparse samples in compressed form: row i has the entries offsets()[i] … offsets()[i+1]−1 of indices() and values(), the indices rising within a row.
/// No values at all stand for ones. See parade::SparseRows.
template <class D>
concept SparseData = requires(const D data) {
  typename D::Value;
  { data.size() } -> std::convertible_to<Index>;
  { data.num_features() } -> std::convertible_to<Index>;
  { data.offsets().data() } -> std::convertible_to<const std::int64_t*>;  // (n+1)
  { data.indices().data() } -> std::convertible_to<const std::int32_t*>;  // (nonzeros)
  { data.values().data() } -> std::convertible_to<const typename D::Value*>;
  { data.all_ones() } -> std::convertible_to<bool>;
  { data.has_labels() } -> std::convertible_to<bool>;
  { data.has_weights() } -> std::convertible_to<bool>;
  { data.num_targets() } -> std::convertible_to<Index>;
};

/// What decides how sparse rows are cut. It must be that of all of the data, of which there may be only some in memory: bits depend on it.
struct SparseShape {
  static constexpr Index first_entries = 1 << 16, most_seen = 1 << 12;

  double entries_a_row = 0;
  std::vector<std::int32_t> seen;  // features of some of the first entries of the data, rising

  /// rows and nonzeros of all of the data; the indices of the first `first_entries` of them, or more.
  SparseShape(Index rows, Index nonzeros, const std::int32_t* indices)
      : entries_a_row(static_cast<double>(nonzeros) / static_cast<double>(std::max<Index>(rows, 1))) {
    const Index first = std::min(nonzeros, first_entries), count = std::min(first, most_seen);
    for (Index i = 0; i < count; ++i) seen.push_back(indices[i * first / count]);
    std::sort(seen.begin(), seen.end());
  }

  /// Into how many ranges the features are cut for the scores: 1 to 8, one for each 32 entries that a row has usually; shorter parts of rows take
  /// longer to find than to compute.
  Index ranges() const { return static_cast<Index>(std::clamp(entries_a_row / 32, 1.0, 8.0)); }
};

/// Of rows in memory, unless they say that they are some of others.
template <SparseData D>
SparseShape sparse_shape(const D& data) {
  if constexpr (requires { data.shape(); })
    return data.shape();
  else
    return SparseShape(data.size(), data.offsets()[data.size()], data.indices().data());
}

/// A model that is Z = W x + b and nothing else: W (k,d) is its block `weight`, b (k) its block `bias`, which may be missing. `LinearModelOf` names
/// the class itself: what inherits from it may have a forward of its own.
template <class M>
concept LinearModel = Model<M> && std::same_as<typename M::LinearModelOf, M>;

/// A model that sees a sample only through sums over its features, and so reads and changes θ_i, what it has for feature i, only where x_i is not 0:
///
///   a (e) = Σ_i s(x_i, θ_i),   Z = f(a; θ_rest),   ∂J/∂θ_i = Σ_j t(x_ij, θ_i, slopes of sample j)
///
/// where the slopes are what t needs of a sample beside its feature, and s(0, ·) and t(0, ·, ·) are 0. An Mlp has a = W x of its first layer, slopes ∂J/∂a and t = x ∂J/∂a.
///
///   1. `num_feature_blocks`, a static constexpr std::size_t, and `feature_block(j)`: the ParameterBlock (rows,d) that has θ_i in its column i. There are
///      as many rows whatever d is.
///   2. `num_sums()` is e. `add_feature(x, theta, sums)` adds s; theta: a std::array of pointers to the feature's column of every feature block.
///   3. `remainder()`: f, a Model (by value) of e inputs, whose parameters are the other blocks, under their names and in their order.
///   4. `remainder().num_slopes()`; `remainder().slopes(a, dscores, workspace)` (num_slopes,m), ConstMatrixRef, is called after the gradient of the same
///      a, dscores and workspace.
///   5. `add_feature_gradient(x, theta, slopes, grad)` adds t; grad: pointers like theta.
/// All are const. `SumsFeaturesOf` names the class itself: what inherits from it may have a forward of its own.
template <class M>
concept SumsFeatures = Model<M> && std::same_as<typename M::SumsFeaturesOf, M> &&
    requires(const M model, typename M::Scalar x, std::size_t j, const std::array<const typename M::Scalar*, M::num_feature_blocks>& theta,
             typename M::Scalar* sums, const typename M::Scalar* slopes,
             const std::array<typename M::Scalar*, M::num_feature_blocks>& grad) {
  { model.feature_block(j) } -> std::convertible_to<ParameterBlock>;
  { model.num_sums() } -> std::convertible_to<Index>;
  { model.remainder() } -> Model;
  { model.remainder().num_slopes() } -> std::convertible_to<Index>;
  model.add_feature(x, theta, sums);
  model.add_feature_gradient(x, theta, slopes, grad);
};

/// A model that takes sparse rows.
template <class M>
concept SparseModel = LinearModel<M> || SumsFeatures<M>;

/// Data that a model takes as sparse.
template <class D, class M>
concept SparseDataFor = SparseData<D> && SparseModel<M>;

/// Data of either kind.
template <class D, class M, class Batch>
concept DataFor = Dataset<D, Batch> || SparseDataFor<D, M>;

/// What an optimizer does to an element whose gradient is 0.
enum class ZeroGradient {
  moves,    // something: running means go on. There is no lazy form
  glides,   // what it did before goes on, by a linear map of θ and one state: see LinearStep
  waits,    // nothing, neither to θ nor to the state, but its step sizes change all the same
  returns,  // nothing, but θ is computed anew from the state, whatever else was done to it
  rests,    // nothing, neither to θ nor to the state
  linear,   // nothing, and every step is θ ← θ − αg, no more
};

/// Optimizer with `zero_gradient()`, const, returning a ZeroGradient. `ZeroGradientOf` names the class itself. For `rests`,
/// `step_sizes` must be α′(at)/D(state), where α′ is `effective_rate(at)` if there is such a function (const, convertible to double), else at.rate.
template <class O>
concept SaysZeroGradient = std::same_as<typename O::ZeroGradientOf, O> && !HasForParameter<O> && requires(const O optimizer) {
  { optimizer.zero_gradient() } -> std::same_as<ZeroGradient>;
};

/// A step that is linear in θ, the gradient g and the only state v, for all elements alike:
///
///   θ ← θ + θ_v v + θ_g g,   v ← v_v v + v_g g
///
/// Over steps without a gradient that is a product of 2×2 matrices, also where g is λθ.
struct LinearStep {
  double theta_of_state = 0, theta_of_gradient = 0;  // θ_v, θ_g
  double state_of_state = 0, state_of_gradient = 0;  // v_v, v_g
  double step_size = 0;                              // for a proximal step after it
};

/// Optimizer with `linear_step(at)`, const, returning a LinearStep: what its step is where it says that it `glides`.
template <class O>
concept HasLinearStep = requires(const O optimizer, const StepInfo& at) {
  { optimizer.linear_step(at) } -> std::same_as<LinearStep>;
};

template <class O>
concept HasEffectiveRate = requires(const O optimizer, const StepInfo& at) {
  { optimizer.effective_rate(at) } -> std::convertible_to<double>;
};

/// λR(θ) = λ₂/2 ‖θ‖² + λ₁‖θ‖₁, the second part by the soft threshold, the first in the gradient or, after the threshold, in the proximal step too:
/// θ ← θ/(1 + αλ₂).
struct Shrinkage {
  double l2 = 0, l1 = 0;
  bool l2_in_prox = false;
};

/// Regularizer with `shrinkage()`, const, which says that it is this and nothing else. `ShrinkageOf` names the class itself.
template <class R>
concept HasShrinkage = std::same_as<typename R::ShrinkageOf, R> && requires(const R regularizer) {
  { regularizer.shrinkage() } -> std::same_as<Shrinkage>;
};

}  // namespace parade
