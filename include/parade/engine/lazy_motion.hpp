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

/// Bounds of |θ| and |v| of some elements.
struct Reach {
  double theta = 0, state = 0;

  /// After that motion.
  Reach after(const Motion& m) const {
    return {std::fma(std::abs(m.theta_state), state, std::abs(m.theta_theta) * theta),
            std::fma(std::abs(m.state_theta), theta, std::abs(m.state_state) * state)};
  }
  /// Of these elements and of those. NaN stays.
  Reach with(const Reach& other) const {
    const auto larger = [](double a, double b) { return a >= b || std::isnan(a) ? a : b; };
    return {larger(theta, other.theta), larger(state, other.state)};
  }
  bool is_within(double room) const { return theta <= room && state <= room; }  // false for NaN
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

/// Whether steps like this one alone keep θ and v in their range, however many there are: no eigenvalue is above 1 in size (Jury's criterion). What 10⁹ of
/// them would be noticed by is left out: without regularizer one eigenvalue is 1.
inline bool is_stable(const Motion& m) {
  const double determinant = std::fma(m.theta_theta, m.state_state, -(m.theta_state * m.state_theta)),
               trace = m.theta_theta + m.state_state;
  constexpr double slack = 1e-9;
  return std::abs(determinant) <= 1 && std::abs(trace) <= 1 + determinant + slack;  // false for NaN
}

/// What the steps since some time have done to an element that was left alone: the product of their motions up to the present one.
///
/// Steps are taken in blocks of 64. Kept are, of each step in a block that is full, the product from it to the block's end; of each such block, the
/// product from its end to the beginning of the present block; and the products of the last steps of the present block. So an element that was missed for any
/// number of steps costs two small products. A step takes 32 bytes; when there is no room left, whoever uses the table must bring all elements up to
/// date and `clear`.
class MotionTable {
 public:
  static constexpr std::int32_t block = 64;

  /// Room for so many steps that to bring `elements` elements up to date once in a while costs each of them as much as 32 elements, or less.
  void reserve(Index elements) {
    capacity_ = 4096;
    while (capacity_ < elements / 32 && capacity_ < Index{1} << 22) capacity_ *= 2;
    to_end_.reserve(static_cast<std::size_t>(capacity_));
    to_present_.reserve(static_cast<std::size_t>(capacity_ / block));
    largest_.reserve(static_cast<std::size_t>(capacity_ / block));
    clear();
  }

  void clear() {
    time_ = begin_ = same_ = 0;
    to_end_.clear();
    to_present_.clear();
    largest_.clear();
  }

  bool is_full() const { return time_ >= capacity_; }

  /// Steps since `clear`.
  std::int32_t time() const { return time_; }

  /// One step more.
  void add(const Motion& step) {
    const auto n = static_cast<std::size_t>(++time_ - begin_);
    same_ = same_ > 0 && step == steps_[last_] ? std::min(same_ + 1, block) : 1;
    last_ = n - 1;
    steps_[last_] = step;
    // Where all steps of the block are the same, its products are powers, of which this is the next.
    for (std::size_t k = n; k > (static_cast<std::size_t>(same_) >= n ? n - 1 : 0); --k) recent_[k] = step.after(recent_[k - 1]);
    if (n < recent_.size() - 1) return;
    Motion product, largest{0, 0, 0, 0};
    to_end_.resize(static_cast<std::size_t>(time_));
    for (std::size_t k = n; k-- > 0;) {
      to_end_[static_cast<std::size_t>(begin_) + k] = product = product.after(steps_[k]);
      largest = {std::max(largest.theta_theta, std::abs(product.theta_theta)), std::max(largest.theta_state, std::abs(product.theta_state)),
                 std::max(largest.state_theta, std::abs(product.state_theta)),
                 std::max(largest.state_state, std::abs(product.state_state))};
    }
    for (Motion& motion : to_present_) motion = product.after(motion);
    to_present_.push_back({});
    largest_.push_back(largest);
    begin_ = time_;
  }

  /// From the time when an element was last brought up to date, to now.
  Motion since(std::int32_t last) const {
    if (last >= begin_) return recent_[static_cast<std::size_t>(time_ - last)];
    return recent_[static_cast<std::size_t>(time_ - begin_)].after(
        to_present_[static_cast<std::size_t>(last / block)].after(to_end_[static_cast<std::size_t>(last)]));
  }

  /// Where elements are now that were within `stored` when they were last stored, whenever that was since `clear`. Steps of which each alone keeps θ and v
  /// in their range may not do so together: where rates change between large ones.
  Reach reach(const Reach& stored) const {
    const auto n = static_cast<std::size_t>(time_ - begin_);
    Reach result;
    for (std::size_t k = 0; k <= n; ++k) result = result.with(stored.after(recent_[k]));
    for (std::size_t j = 0; j < to_present_.size(); ++j)
      result = result.with(stored.after(largest_[j]).after(to_present_[j]).after(recent_[n]));
    return result;
  }

 private:
  Index capacity_ = 0;
  std::int32_t time_ = 0;
  std::int32_t begin_ = 0;                                          // of the present block
  std::int32_t same_ = 0;                                           // how many of the last steps were the same, up to `block`
  std::size_t last_ = 0;                                            // the last step's place in its block
  std::array<Motion, static_cast<std::size_t>(block)> steps_;       // of the present block
  std::array<Motion, static_cast<std::size_t>(block) + 1> recent_;  // [k]: the product of its last k steps
  std::vector<Motion> to_end_;                                      // from each step before to the end of its block
  std::vector<Motion> to_present_;                                  // from the end of each block before to the beginning of the present one
  std::vector<Motion> largest_;                                     // of each block before: max |element| of to_end_
};

/// Says of each step whether elements that are left alone may be left to it, or might then leave their range of numbers unseen.
///
/// A bound of all elements goes along with the steps: |M| (bounds of |θ| and |v|), which costs a step two multiply-adds. Where signs alternate it is far
/// too large after thousands of steps; so where it is too large the table says what it really is. It begins with what elements are when they are all
/// up to date: so that nothing depends on how steps are parted into runs, epochs and calls.
class MotionGuard {
 public:
  /// All elements are, or will be, up to date: what they are has to be `set` before the next step.
  void forget() { is_known_ = false; }

  /// What bounds the elements, all of them up to date. The bound is at least 1, so that the products of motions stay in range as well: 0 times an
  /// infinite one would be NaN.
  void set(const Reach& all) {
    stored_ = now_ = all.with({1, 1});
    is_known_ = true;
  }
  bool is_known() const { return is_known_; }

  /// Whether elements stay within `room` if they are left to one step more: of the blocks of parameters, whose motions are motion(j) and whose tables
  /// table(j).
  template <class MotionOf, class TableOf>
  bool may_wait(std::size_t blocks, const MotionOf& motion, const TableOf& table, double room) {
    const auto step = [&] {
      next_ = {};
      for (std::size_t j = 0; j < blocks; ++j) next_ = next_.with(now_.after(motion(j)));
      return next_.is_within(room);
    };
    if (step()) return true;
    now_ = {};
    for (std::size_t j = 0; j < blocks; ++j) now_ = now_.with(table(j).reach(stored_));
    return step();
  }

  /// The step was taken, and has stored elements within `touched`.
  void add(const Reach& touched) {
    now_ = next_.with(touched);
    stored_ = stored_.with(touched);
  }

 private:
  bool is_known_ = false;
  Reach stored_;      // of elements as they were stored
  Reach now_, next_;  // of elements as they are before and after the step
};

}  // namespace parade::detail
