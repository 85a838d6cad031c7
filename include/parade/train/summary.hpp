// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iomanip>
#include <limits>
#include <locale>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <parade/core/config.hpp>
#include <parade/core/error.hpp>
#include <parade/core/hash.hpp>
#include <parade/core/report.hpp>
#include <parade/core/types.hpp>

namespace parade {

enum class StopReason {
  completed,  // all epochs are done
  callback,   // a callback answered stop
  diverged,   // a number was not finite, and OnDivergence::stop
};

constexpr std::string_view to_string(StopReason reason) {
  switch (reason) {
    case StopReason::completed:
      return "completed";
    case StopReason::callback:
      return "stopped by a callback";
    case StopReason::diverged:
      return "diverged";
  }
  return "";
}

/// Where a number was first found that is not finite.
struct Divergence {
  std::int64_t step = 0;  // 1-based: the step that was not taken
  Index epoch = 0;        // 1-based; 0 in partial_fit, which knows none
  Index shard = -1;       // of the minibatch; −1: every shard was finite, but not their sum or the new θ
  Index sample = -1;      // index in the data; −1: every loss of the shard was finite, but not its gradient
  std::string parameter;  // of the first element of the gradient that is not finite; empty where the loss is the cause

  std::string text() const {
    std::ostringstream out;
    out << "step " << step;
    if (epoch > 0) out << " (epoch " << epoch << ')';
    if (shard >= 0) out << ", shard " << shard;
    if (sample >= 0)
      out << ", sample " << sample << ": its loss is not finite";
    else if (!parameter.empty())
      out << ": the gradient of '" << parameter << "' is not finite";
    else
      out << (shard >= 0 ? ": its loss is not finite" : ": the sum over the shards, or a new parameter, is not finite");
    return out.str();
  }
};

/// Where the time of a run went, in seconds. The phases are thread-seconds, added up over the threads that arrived; `waiting` is the rest
/// of threads × wall: waiting for work, for the slowest, and for what one thread does alone (the order of an epoch, say).
struct Timings {
  double wall = 0;  // training, from the first step to the last; callbacks and validation are not in it
  double gather = 0;
  double gradient = 0;
  double reduce = 0;
  double update = 0;
  double waiting = 0;
  double callbacks = 0;  // wall, on the calling thread: callbacks and validation
};

/// How far the θ of a run is from feasible and from the optimum: asked for by the callback Certify.
struct Certificate {
  double violation = 0;                                        // C(θ), without β
  double residual = std::numeric_limits<double>::quiet_NaN();  // as Trainer::residual; NaN on data where there is none
  std::optional<DualityGap> gap;                               // where there is one
  std::string no_gap;                                          // why there is none
};

/// What a run did: returned by `Trainer::fit`.
struct Summary {
  StopReason stop_reason = StopReason::completed;
  std::vector<EpochReport> history;     // an entry for every epoch that was finished
  std::vector<Divergence> divergences;  // steps that were not taken (at most the first 100)
  std::int64_t steps = 0;               // updates of θ in this run
  Index samples = 0;                    // n
  Index parameters = 0;                 // P
  Index zeros = 0;                      // elements of θ that are exactly 0: what L1 and its kin leave out
  Index batch_size = 0;                 // b
  Index shard_size = 0;
  Index shards = 0;         // S in a full batch
  int threads_asked = 0;    // FitOptions::threads, or what stood for 0
  int threads = 0;          // that arrived
  std::string threads_why;  // what the process may use, and which limit decides
  std::uint64_t seed = 0;
  std::string scalar;                      // "float" or "double"
  std::string instructions;                // of the kernels: "AVX-512", …
  Index remembered_epoch = 0;              // θ is that of a step in this epoch, because a callback answered remember; 0: θ is the last
  std::int64_t remembered_step = 0;        // that step, counted as StepReport::step
  std::optional<Certificate> certificate;  // of that θ, where Certify asked for it
  Timings seconds;
  std::uint64_t theta_hash = 0;

  Index epochs() const { return static_cast<Index>(history.size()); }
  /// Mean loss of the last epoch, while training; NaN without one.
  double loss() const { return history.empty() ? std::numeric_limits<double>::quiet_NaN() : history.back().loss; }
  double samples_per_second() const {
    Index seen = 0;
    for (const auto& epoch : history) seen += epoch.samples;
    return seconds.wall > 0 ? static_cast<double>(seen) / seconds.wall : 0;
  }

  /// One line: why it stopped, epochs, loss, speed, threads, hash.
  std::string brief() const {
    std::ostringstream out = stream();
    out << to_string(stop_reason) << " after " << epochs() << (epochs() == 1 ? " epoch, loss " : " epochs, loss ") << loss() << ", "
        << detail::whole(samples_per_second()) << " samples/s on " << threads << (threads == 1 ? " thread" : " threads") << ", theta "
        << hash_text(theta_hash);
    return out.str();
  }

  /// A page: the run, every epoch, where the time went, and what was out of the ordinary.
  std::string full() const {
    std::ostringstream out = stream();
    out << "stop        " << to_string(stop_reason) << " after " << epochs() << " epochs, " << steps << " steps\n";
    out << "data        " << samples << " samples, batches of " << batch_size << " in " << shards << " shards of up to " << shard_size
        << '\n';
    out << "model       " << parameters << " parameters in " << scalar << ", " << zeros << " of them exactly 0; kernels for "
        << instructions << ", seed " << seed << '\n';
    out << "threads     " << threads << " of " << threads_asked << " asked for; this process may use " << threads_why << '\n';
    for (const std::string& note : notes()) out << "note        " << note << '\n';
    const auto column = [&out](int width) -> std::ostream& { return out << std::setw(width); };
    const bool constrained = std::any_of(history.begin(), history.end(), [](const auto& epoch) { return epoch.violation != 0; });
    out << "epoch           loss     penalty        rate   samples/s  validation loss  accuracy" << (constrained ? "   violation" : "")
        << '\n';
    for (const auto& epoch : history) {
      column(5) << epoch.epoch;
      column(15) << epoch.loss;
      column(12) << epoch.penalty;
      column(12) << epoch.rate;
      column(12) << detail::whole(epoch.samples_per_second());
      if (epoch.validation) {
        column(17) << epoch.validation->loss;
        column(10) << epoch.validation->accuracy;
      } else if (constrained) {
        column(27) << "";
      }
      if (constrained) column(12) << epoch.violation;
      out << '\n';
    }
    if (remembered_epoch > 0)
      out << "theta       that of step " << remembered_step << " in epoch " << remembered_epoch << ", which a callback remembered\n";
    if (certificate) {
      out << "certificate violation " << certificate->violation;
      if (!std::isnan(certificate->residual)) out << ", residual " << certificate->residual;
      if (certificate->gap)
        out << ", duality gap " << certificate->gap->gap() << " (relative " << certificate->gap->relative() << ")";
      else
        out << ", no duality gap: " << certificate->no_gap;
      out << '\n';
    }
    const double all = seconds.wall * threads;
    const auto share = [&](const char* name, double s) {
      out << "  " << std::left << std::setw(10) << name << std::right << std::setw(10) << s << " s" << std::setw(8) << std::fixed
          << std::setprecision(1) << (all > 0 ? 100 * s / all : 0) << " %\n"
          << std::defaultfloat << std::setprecision(3);
    };
    out << std::setprecision(3) << "time        " << seconds.wall << " s of training, " << detail::whole(samples_per_second())
        << " samples/s; thread-seconds by phase:\n";
    share("gather", seconds.gather);
    share("gradient", seconds.gradient);
    share("reduce", seconds.reduce);
    share("update", seconds.update);
    share("waiting", seconds.waiting);
    out << "callbacks   " << seconds.callbacks << " s\n";
    out << "theta hash  " << hash_text(theta_hash) << '\n';
    return out.str();
  }

  /// What a reader should know and would not ask: fewer threads than asked for, no OpenMP, slow kernels, steps that were not taken.
  std::vector<std::string> notes() const {
    std::vector<std::string> notes;
#if !PARADE_HAS_OPENMP
    notes.emplace_back("built without OpenMP: one thread only; compile with -fopenmp");
#endif
    if (threads < threads_asked)
      notes.push_back(detail::text(threads_asked, " threads were asked for, ", threads, " arrived; the result is the same, and slower"));
    if (instructions == "scalar")
      notes.emplace_back("the kernels were compiled without fused multiply-add: many times slower; compile with -march=native");
    for (const auto& divergence : divergences) notes.push_back("not finite at " + divergence.text());
    return notes;
  }

  friend std::ostream& operator<<(std::ostream& out, const Summary& summary) { return out << summary.brief() << '\n'; }

 private:
  static std::ostringstream stream() {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    return out;
  }
};

}  // namespace parade
