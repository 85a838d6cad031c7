// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include <parade/core/types.hpp>

namespace parade::detail {

/// Decides for every step whether the calling thread works alone or with its whole team, by trying both. The bits cannot tell; the time can: steps
/// of some microseconds are not worth waking anybody, and where another program keeps a core busy, the thread that shares this core may hold
/// up the others more than it helps them.
///
/// It starts with the team. Steps are timed in windows, without the one after a switch; now and then a window is given to the other size, which is kept if it was faster, and cut
/// short if it cannot be; one that did not win has a second window. A trial of one thread may take `threads` times as long as the team, so the next one comes after a hundred times that, and
/// later each time that it was lost; after ten times that where steps are seen that took much longer than others, or where one thread is at work.
class TeamSize {
 public:
  /// Whether the next step is to be taken alone. `seconds` is what the last one took, of `samples` samples; below 0 if it is not known.
  /// `overtaken`: Team::overtaken().
  bool alone(double seconds, Index samples, std::uint64_t overtaken, int threads) {
    if (seconds < 0) return alone_;
    // θ and all that belongs to it came from the caches of other cores: that step says nothing of the next.
    if (std::exchange(switched_, false)) {
      switch_seconds_ = seconds;
      overtaken_ = overtaken;
      return alone_;
    }
    seconds_ += seconds;
    samples_ += samples;
    ++steps_;
    fastest_ = steps_ == 1 ? seconds : std::min(fastest_, seconds);
    if (seconds > 2 * fastest_ + 1e-3) ++long_steps_;
    // A busy core gives and takes time by the slice, some milliseconds: then only a longer window has a fair share of both.
    const bool disturbed = long_steps_ + static_cast<Index>(overtaken - overtaken_) >= 2;
    const double length = disturbed || disturbed_ ? 24e-3 : 2e-3;
    const bool hopeless = trial_ && static_cast<double>(samples_) < rate_ * seconds_ / 1.5 && seconds_ > length / (disturbed_ ? 4 : 8);
    if (hopeless || (steps_ >= 4 && seconds_ >= length)) close_window(hopeless, disturbed, overtaken, threads);
    return alone_;
  }

 private:
  void close_window(bool hopeless, bool disturbed, std::uint64_t overtaken, int threads) {
    const double rate = static_cast<double>(samples_) / seconds_, step = seconds_ / static_cast<double>(steps_);
    if (trial_) {
      const bool won = rate > 1.03 * rate_;
      // Where steps are short, a window goes by before all that θ is has come from the caches of the other cores.
      trial_seconds_ += seconds_;
      if (!won && !hopeless && !std::exchange(again_, true)) return begin_window(disturbed, overtaken);
      again_ = false;
      if (!won) change();
      losses_ = won ? 1 : std::min(2 * losses_, 32);
      trial_ = false;
      trial_seconds_ += switch_seconds_;
      decided_seconds_ = 0;
      decided_rate_ = std::max(rate, rate_);
    } else {
      rate_ = decided_seconds_ > 0 && disturbed ? (rate_ + rate) / 2 : rate;  // more than one window where there is noise
      decided_seconds_ += seconds_;
      if (disturbed && rate < 0.75 * decided_rate_) {  // things are not as they were
        losses_ = 1;
        decided_rate_ = 0;
      }
      const double price = std::max(std::min(trial_seconds_, 0.25), alone_ ? 0 : threads * step), patience = disturbed || alone_ ? 10 : 100;
      // Only a short step can be too short, or be held up by much.
      if (decided_seconds_ >= patience * losses_ * price && step < (alone_ || disturbed ? 20e-3 : 2e-3)) {
        trial_ = true;
        trial_seconds_ = 0;
        change();
      } else if (alone_ && step >= 20e-3) {
        change();
      }
    }
    begin_window(disturbed, overtaken);
  }

  void begin_window(bool disturbed, std::uint64_t overtaken) {
    disturbed_ = disturbed;
    overtaken_ = overtaken;
    seconds_ = 0;
    samples_ = steps_ = long_steps_ = 0;
  }

  void change() {
    alone_ = !alone_;
    switched_ = true;
  }

  bool alone_ = false, trial_ = false;  // a trial: this window is to compare
  bool switched_ = false;               // before the last step
  bool again_ = false;                  // the second window of a trial
  double switch_seconds_ = 0;           // that the step after the last switch took
  double rate_ = 0;                     // samples/s of what it is compared with
  double decided_rate_ = 0;             // of what was decided for, at that time
  double decided_seconds_ = 0;          // since then
  double trial_seconds_ = 0;            // that the last trial took
  int losses_ = 1;                      // doubled by every trial that was lost

  // The window.
  double seconds_ = 0, fastest_ = 0;
  Index samples_ = 0, steps_ = 0, long_steps_ = 0;
  std::uint64_t overtaken_ = 0;
  bool disturbed_ = false;  // of the last window
};

}  // namespace parade::detail
