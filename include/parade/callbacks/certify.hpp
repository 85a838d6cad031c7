// SPDX-License-Identifier: MIT
#pragma once

#include <parade/concepts/callback.hpp>

namespace parade {

/// Asks for a certificate of the θ that `fit` leaves, on all of the training data: `Summary::certificate`, and a line in `Summary::full`.
/// It has how much the constraint is violated, the residual (Trainer::residual with this step size), and for a linear model with a loss and
/// a regularizer that have one the duality gap (parade::duality_gap). It costs some passes over the data after the last step, and changes
/// nothing.
///
///   const auto summary = trainer.fit(data, options, parade::Certify{});
struct Certify {
  double step = 1;  // α of the residual, > 0

  double certificate_step() const { return step; }
};

static_assert(Callback<Certify>);

}  // namespace parade
