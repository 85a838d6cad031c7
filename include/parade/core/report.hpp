// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <limits>
#include <locale>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <parade/core/types.hpp>

namespace parade {

/// Thread-seconds that went into each phase, added up over the workers.
struct PhaseSeconds {
  double gather = 0;    // bringing samples into shards
  double gradient = 0;  // forward, loss, add_gradient, and what a model prepares of a whole θ
  double reduce = 0;    // summing the shards' gradients over the canonical tree
  double update = 0;    // divide, regularize, step, prox, project, check, and what a model prepares of the ranges of the new θ
};

/// What a model does on a data set. Exact for any number of samples: sums and weights, one division.
struct Evaluation {
  Index samples = 0;
  double weight = 0;                                                      // Σ w_i
  double loss = std::numeric_limits<double>::quiet_NaN();                 // (1/W) Σ w_i J_i
  double accuracy = std::numeric_limits<double>::quiet_NaN();             // share of Σ w_i predicted right; NaN without class labels
  Eigen::Matrix<std::int64_t, Eigen::Dynamic, Eigen::Dynamic> confusion;  // (classes, classes) counts: row = true class, column = predicted
};

/// What parade::duality_gap answers: an upper and a lower bound of the least value of a convex objective.
struct DualityGap {
  double primal = std::numeric_limits<double>::quiet_NaN();  // P(θ)
  double dual = std::numeric_limits<double>::quiet_NaN();    // D(u)

  double gap() const { return primal - dual; }
  /// gap/D(u), a bound on (P(θ) − P(θ*))/P(θ*); ∞ where D(u) ≤ 0 says nothing of P(θ*).
  double relative() const {
    if (std::isnan(gap()) || gap() == 0) return gap();
    return dual > 0 ? gap() / dual : std::numeric_limits<double>::infinity();
  }
};

/// Where a run stands when a callback is asked, and what `Summary::history` keeps of each epoch.
struct EpochReport {
  Index epoch = 0;                       // 1-based: this many epochs are done
  Index epochs = 0;                      // asked for
  std::int64_t step = 0;                 // updates of θ so far
  Index samples = 0;                     // seen in this epoch
  double loss = 0;                       // (1/W) Σ w_i J_i over the epoch, each sample at the θ of its own step
  double penalty = 0;                    // λR(θ) + βC(θ) at the end of the epoch
  double violation = 0;                  // C(θ) at the end of the epoch, without β; 0 where there is no constraint
  double rate = 0;                       // α of the last step
  double seconds = 0;                    // of this epoch, callbacks not counted
  std::optional<Evaluation> validation;  // set when a callback like Validate brought data
  std::uint64_t bytes = 0;               // read from files in this epoch; 0 where the data are in memory

  double samples_per_second() const { return seconds > 0 ? static_cast<double>(samples) / seconds : 0; }
  double bytes_per_second() const { return seconds > 0 ? static_cast<double>(bytes) / seconds : 0; }
};

/// Where a run stands after a step.
struct StepReport {
  std::int64_t step = 0;  // 1-based
  Index epoch = 0;        // 1-based: the epoch under way
  Index epochs = 0;
  Index samples_done = 0;        // of this epoch
  Index samples = 0;             // n
  double loss = 0;               // (1/W) Σ w_i J_i over the minibatch, at the θ before the step
  double rate = 0;               // α
  std::uint64_t bytes_done = 0;  // read from files for this epoch, in whole windows: those that are trained on, or have been
  std::uint64_t bytes = 0;       // that the epoch reads; 0 where the data are in memory
};

namespace detail {

/// A rate as it is printed: 291473, to three digits 291000.
inline std::int64_t whole(double rate) {
  double unit = 1;
  while (rate / unit >= 1000) unit *= 10;
  return static_cast<std::int64_t>(std::round(rate / unit) * unit);
}

/// Bytes as they are printed, to three digits: 999 B, 1.04 kB, 6 GB. 64 bits count to 18.4 EB; a rate over a time that is next to nothing may be more, and
/// beyond all units is "> 999 QB".
inline std::string bytes_text(double bytes) {
  constexpr std::array units{"B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB", "RB", "QB"};
  std::size_t unit = 0;
  for (; bytes >= 999.5 && unit + 1 < units.size(); ++unit) bytes /= 1000;
  if (bytes >= 999.5) return std::string("> 999 ") + units.back();
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << std::setprecision(3) << (unit == 0 ? std::round(bytes) : bytes) << ' ' << units[unit];
  return out.str();
}

/// A time as it is printed: 59 s, 12 min 5 s, 3 h 20 min, 2 d 7 h.
inline std::string seconds_text(double seconds) {
  if (!(seconds < 1e9)) return "years";
  const auto s = static_cast<std::int64_t>(std::round(seconds)), minutes = (s + 30) / 60, hours = (s + 1800) / 3600;
  const auto two = [](std::int64_t first, const char* unit, std::int64_t second, const char* unit_of_second) {
    return std::to_string(first) + unit + (second > 0 ? ' ' + std::to_string(second) + unit_of_second : "");
  };
  if (s < 60) return std::to_string(s) + " s";
  if (s < 3600) return two(s / 60, " min", s % 60, " s");
  if (minutes < 24 * 60) return two(minutes / 60, " h", minutes % 60, " min");
  return two(hours / 24, " d", hours % 24, " h");
}

}  // namespace detail

/// What a callback answers.
enum class Signal {
  go_on,
  remember,  // go on, and keep this θ: the last one remembered is the result of `fit`
  stop,      // end the run after this epoch or step
};

}  // namespace parade
