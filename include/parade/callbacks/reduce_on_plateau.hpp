// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include <parade/concepts/callback.hpp>
#include <parade/core/error.hpp>

namespace parade {

/// Lowers the rate when the loss has not fallen for some epochs. The loss is that of the validation data where a Validate stands beside it, else the
/// mean loss of the epoch. After every epoch:
///
///   loss < best·(1 − threshold):  best ← loss                            (for a best below 0: best·(1 + threshold))
///   else, more than `patience` epochs after the last best or cut:  f ← max(factor · f, smallest)
///
/// and every step is taken with f times the rate of the optimizer and its schedule; f is 1 at the start. A NaN is no new best.
/// With patience 1, threshold 0 and losses 5, 4, 4, 4, 4, 4 the rate is cut after the fourth and the sixth epoch. For losses above 0 PyTorch's ReduceLROnPlateau in its
/// default mode, with its parameters `min_lr` as a share of the rate and `cooldown` 0.
struct ReduceOnPlateau {
  double factor = 0.1;      // in (0, 1)
  Index patience = 10;      // epochs without a new best loss that are put up with, ≥ 0
  double threshold = 1e-4;  // the share by which a loss must be below the best to be a new best, in [0, 1)
  double smallest = 0;      // of f, in [0, 1]
  double best = std::numeric_limits<double>::infinity();
  double reduced = 1;  // f
  Index waited = 0;    // epochs since the last new best or cut

  void on_begin() {
    if (!(factor > 0 && factor < 1)) throw OptionError(detail::text("ReduceOnPlateau.factor must be in (0, 1); got ", factor));
    if (patience < 0) throw OptionError(detail::text("ReduceOnPlateau.patience must be at least 0; got ", patience));
    if (!(threshold >= 0 && threshold < 1)) throw OptionError(detail::text("ReduceOnPlateau.threshold must be in [0, 1); got ", threshold));
    if (!(smallest >= 0 && smallest <= 1)) throw OptionError(detail::text("ReduceOnPlateau.smallest must be in [0, 1]; got ", smallest));
    best = std::numeric_limits<double>::infinity();
    reduced = 1;
    waited = 0;
  }

  double rate_factor() const { return reduced; }

  void on_epoch(const EpochReport& report) {
    const double loss = report.validation ? report.validation->loss : report.loss;
    const double enough = std::isfinite(best) ? std::fma(-threshold, std::abs(best), best) : best;
    if (loss < enough) {
      best = loss;
      waited = 0;
    } else if (++waited > patience) {
      reduced = std::max(factor * reduced, smallest);
      waited = 0;
    }
  }
};

static_assert(Callback<ReduceOnPlateau> && HasRateFactor<ReduceOnPlateau>);

}  // namespace parade
