// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <parade/concepts/sparse.hpp>
#include <parade/core/types.hpp>

namespace parade::detail {

/// What steps do to an element and its only state: θ' = θ_θ θ + θ_v v,  v' = v_θ θ + v_v v.
struct Motion {
  double theta_theta = 1, theta_state = 0;  // θ_θ, θ_v
  double state_theta = 0, state_state = 1;  // v_θ, v_v

  double theta(double t, double v) const { return std::fma(theta_state, v, theta_theta * t); }
  double state(double t, double v) const { return std::fma(state_theta, t, state_state * v); }
  bool operator==(const Motion&) const = default;

  /// This one after another one.
  Motion after(const Motion& first) const {
    return {theta(first.theta_theta, first.state_theta), theta(first.theta_state, first.state_state),
            state(first.theta_theta, first.state_theta), state(first.theta_state, first.state_state)};
  }
};

/// A step's motion, and by how much the gradient of the losses adds to it: θ' += theta_gradient g,  v' += state_gradient g.
struct MotionStep {
  Motion motion;
  double theta_gradient = 0, state_gradient = 0;
};

/// The step with L2: g + λ₂θ in the place of g, or θ/(1 + α′λ₂) after it.
inline MotionStep motion_step(const LinearStep& step, const Shrinkage& shrinkage) {
  const double l2 = shrinkage.l2_in_prox ? 0 : shrinkage.l2;
  const double keep = shrinkage.l2_in_prox ? 1 / std::fma(step.step_size, shrinkage.l2, 1.0) : 1;
  return {{keep * std::fma(step.theta_of_gradient, l2, 1.0), keep * step.theta_of_state, step.state_of_gradient * l2, step.state_of_state},
          keep * step.theta_of_gradient,
          step.state_of_gradient};
}

/// Whether steps like this one keep θ and v in their range, however many there are: no eigenvalue is above 1 in size (Jury's criterion). What 10⁹ of
/// them would be noticed by is left out: without regularizer one eigenvalue is 1.
inline bool is_stable(const Motion& m) {
  const double determinant = std::fma(m.theta_theta, m.state_state, -(m.theta_state * m.state_theta)),
               trace = m.theta_theta + m.state_state;
  constexpr double slack = 1e-9;
  return std::abs(determinant) <= 1 && std::abs(trace) <= 1 + determinant + slack;  // false for NaN
}

/// What the steps since some time have done to an element that was left alone: the products of their motions, over any of the last steps up to the
/// present one.
///
/// The last few steps: products up to now, which each step makes anew. Further back: products of 2^l steps from every multiple of 2^l on, of at most 2 log₂(n)
/// of which a range of n steps is made. So an element that was missed for a million steps costs some 40 small products. A step takes 64 bytes of the
/// table: when that is full, whoever uses it must bring all elements up to date and `clear`.
class MotionTable {
 public:
  static constexpr std::int32_t recent = 32;

  /// Room for so many steps that to bring `elements` elements up to date once in a while costs each of them as much as 32 elements, or less.
  void reserve(Index elements) {
    capacity_ = 4096;
    while (capacity_ < elements / 32 && capacity_ < Index{1} << 24) capacity_ *= 2;
    std::size_t levels = 1;
    while ((Index{1} << (levels - 1)) < capacity_) ++levels;
    products_.resize(levels);
    for (std::size_t l = 0; l < levels; ++l) products_[l].reserve(static_cast<std::size_t>(capacity_) >> l);
    clear();
  }

  void clear() {
    for (auto& level : products_) level.clear();
    time_ = next_time_ = 0;
    same_ = next_same_ = 0;
    recent_ = next_recent_ = 0;
    tables_[0][0] = {};
  }

  bool is_full() const { return time_ >= capacity_; }

  /// Steps that stand, since `clear`.
  std::int32_t time() const { return time_; }

  /// One step more, which stands from `commit` on; another `propose` takes its place. `since_next` is then what it is up to this step.
  void propose(const Motion& step) {
    next_time_ = time_ + 1;
    // Where the steps are all the same, what was computed before is what would be computed now.
    next_same_ = time_ > 0 && step == last_ ? std::min(same_ + 1, recent + 1) : 1;
    next_ = step;
    if (next_same_ > recent) {
      next_recent_ = recent_;
      return;
    }
    next_recent_ = 1 - recent_;
    const Table& from = tables_[static_cast<std::size_t>(recent_)];
    Table& to = tables_[static_cast<std::size_t>(next_recent_)];
    to[0] = {};
    for (std::size_t k = 1; k < to.size(); ++k) to[k] = step.after(from[k - 1]);
  }

  void commit() {
    time_ = next_time_;
    same_ = next_same_;
    recent_ = next_recent_;
    last_ = next_;
    products_[0].push_back(next_);
    for (std::size_t l = 1; l < products_.size() && products_[l - 1].size() % 2 == 0; ++l) {
      const auto& below = products_[l - 1];
      products_[l].push_back(below[below.size() - 1].after(below[below.size() - 2]));
    }
  }

  /// From the time when an element was last brought up to date, to now, or to the step that was proposed.
  Motion since(std::int32_t last) const { return up_to(last, time_, recent_); }
  Motion since_next(std::int32_t last) const { return up_to(last, next_time_, next_recent_); }

 private:
  using Table = std::array<Motion, static_cast<std::size_t>(recent) + 1>;

  Motion up_to(std::int32_t last, std::int32_t now, int table) const {
    const std::int32_t missed = now - last;
    if (missed <= recent) return tables_[static_cast<std::size_t>(table)][static_cast<std::size_t>(missed)];
    return far(last, now, table);
  }

  /// The longest products that begin where the one before ends, as far as the last few steps.
  Motion far(std::int32_t last, std::int32_t now, int table) const {
    Motion all;
    const std::int32_t end = now - recent;
    while (last < end) {
      std::size_t l = 0;
      while (last % (std::int32_t{2} << l) == 0 && last + (std::int32_t{2} << l) <= end) ++l;
      all = products_[l][static_cast<std::size_t>(last >> l)].after(all);
      last += std::int32_t{1} << l;
    }
    return tables_[static_cast<std::size_t>(table)][static_cast<std::size_t>(recent)].after(all);
  }

  Index capacity_ = 0;
  std::int32_t time_ = 0, next_time_ = 0;
  std::int32_t same_ = 0, next_same_ = 0;  // how many of the last steps were the same, up to recent + 1
  int recent_ = 0, next_recent_ = 0;
  Motion last_, next_;
  std::array<Table, 2> tables_;                // [k]: the product of the last k steps
  std::vector<std::vector<Motion>> products_;  // [l][j]: that of the steps from j 2^l to before (j + 1) 2^l
};

}  // namespace parade::detail
