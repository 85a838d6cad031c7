// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include <parade/concepts/callback.hpp>
#include <parade/core/error.hpp>

namespace parade {

/// Ends the run when the validation loss has not fallen for some epochs, and leaves the θ of the best epoch behind, also when the run ends in
/// another way but an exception; the optimizer's vectors stay those of the last epoch, which matters only to a warm start. Needs a
/// Validate beside it: `fit(train, options, parade::Validate{held_out}, parade::EarlyStopping{.patience = 3})`.
struct EarlyStopping {
  Index patience = 3;                                     // epochs without a new best loss before it stops, ≥ 1
  double min_delta = 0;                                   // a loss is a new best if it is below the best so far by more than this, ≥ 0
  double best = std::numeric_limits<double>::infinity();  // the best validation loss so far
  Index best_epoch = 0;                                   // 1-based; 0: none yet

  static constexpr bool needs_validation = true;

  void on_begin() {
    if (patience < 1) throw OptionError(detail::text("patience must be at least 1; got ", patience));
    if (!(min_delta >= 0)) throw OptionError(detail::text("min_delta must be at least 0; got ", min_delta));
    best = std::numeric_limits<double>::infinity();
    best_epoch = 0;
  }

  Signal on_epoch(const EpochReport& report) {
    const double loss = report.validation->loss;
    if (loss < best - min_delta) {
      best = loss;
      best_epoch = report.epoch;
      return Signal::remember;
    }
    return report.epoch - best_epoch >= patience ? Signal::stop : Signal::go_on;
  }
};

static_assert(Callback<EarlyStopping>);

}  // namespace parade
