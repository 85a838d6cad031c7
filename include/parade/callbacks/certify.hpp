// SPDX-License-Identifier: MIT
#pragma once

#include <parade/concepts/callback.hpp>

namespace parade {

/// Asks for a certificate of the θ that `fit` leaves, on all of the training data: `Summary::certificate`, and a line in `Summary::full`.
/// It has how much the constraint is violated, the residual (Trainer::residual with this step size), and for a linear model with a loss and
/// a regularizer that have one the duality gap (parade::duality_gap). It costs some passes over the data after the last step, for
/// Hinge `sweeps` of them one after the other on one thread, and changes nothing. What goes wrong there is told in `Certificate::no_gap`.
///
///   const auto summary = trainer.fit(data, options, parade::Certify{});
struct Certify {
  double step = 1;    // α of the residual, > 0
  Index sweeps = 50;  // DualityGapOptions::sweeps, ≥ 0

  double certificate_step() const { return step; }
  Index certificate_sweeps() const { return sweeps; }
};

static_assert(Callback<Certify>);

}  // namespace parade
