// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>

#include <parade/core/types.hpp>

namespace parade::detail {

/// Decides for every step whether the calling thread works alone or with its whole team, by trying both. The bits cannot tell; the time can: steps
/// of some microseconds are not worth waking anybody, and where another program keeps a core busy, the thread that shares this core may hold
/// up the others more than it helps them.
///
/// It starts with the team. Steps are timed in windows; now and then a window is given to the other size, which is kept if it was faster. The
/// longer a decision stands, the rarer it is put to the test; sooner where steps are seen that took much longer than others.
class TeamSize {
 public:
  /// Whether the next step is to be taken alone. `seconds` is what the last one took, from its beginning to the beginning of this one, of
  /// `samples` samples; below 0 if it is not known, or something else was done meanwhile. `overtaken`: Team::overtaken().
  bool alone(double seconds, Index samples, std::uint64_t overtaken) {
    if (seconds >= 0) {
      seconds_ += seconds;
      samples_ += samples;
      ++steps_;
      fastest_ = steps_ == 1 ? seconds : std::min(fastest_, seconds);
      if (seconds > 2 * fastest_ + 1e-3) ++long_steps_;
    }
    // A busy core gives and takes time by the slice, some milliseconds: then only a longer window has a fair share of both.
    const bool disturbed = long_steps_ + static_cast<Index>(overtaken - overtaken_) >= 2;
    if (steps_ >= 4 && seconds_ >= (disturbed || disturbed_ ? 24e-3 : 2e-3)) close_window(disturbed, overtaken);
    return alone_;
  }

 private:
  void close_window(bool disturbed, std::uint64_t overtaken) {
    const double rate = static_cast<double>(samples_) / seconds_, step = seconds_ / static_cast<double>(steps_);
    if (trial_) {
      trial_ = false;
      if (rate > 1.03 * rate_) {
        windows_ = 2;
      } else {
        alone_ = !alone_;
        windows_ = std::min(4 * windows_, 512);
      }
      left_ = windows_;
      decided_rate_ = std::max(rate, rate_);
    } else {
      // More than one window where there is noise. Only a step that is short can be too short, or be held up by much.
      rate_ = left_ < windows_ && disturbed ? (rate_ + rate) / 2 : rate;
      if (disturbed && rate < 0.75 * decided_rate_) {  // things are not as they were
        windows_ = 8;
        left_ = std::min(left_, windows_);
        decided_rate_ = 0;
      }
      left_ = std::max(0, left_ - (disturbed ? 4 : 1));
      if (left_ == 0 && step < 20e-3 && (alone_ || disturbed || step < 2e-3)) {
        trial_ = true;
        alone_ = !alone_;
      }
    }
    disturbed_ = disturbed;
    overtaken_ = overtaken;
    seconds_ = 0;
    samples_ = steps_ = long_steps_ = 0;
  }

  bool alone_ = false, trial_ = false;  // a trial: this window is to compare
  double rate_ = 0;                     // samples/s of what it is compared with
  double decided_rate_ = 0;             // of what was decided for, at that time
  int windows_ = 8, left_ = 8;          // from one trial to the next

  // The window.
  double seconds_ = 0, fastest_ = 0;
  Index samples_ = 0, steps_ = 0, long_steps_ = 0;
  std::uint64_t overtaken_ = 0;
  bool disturbed_ = false;  // of the last window
};

}  // namespace parade::detail
