// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include <parade/callbacks/progress_bar.hpp>
#include <parade/callbacks/validate.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/schedules/cosine.hpp>
#include <parade/train/trainer.hpp>

#include "models.hpp"

template <class M>
Result train(M model, const Digits& digits, const Options& options) {
  parade::Trainer trainer{
      std::move(model), parade::SoftmaxCrossEntropy{}, options.l2, options.sgd,
      parade::Cosine{.final_rate = options.schedule == "cosine" ? 0 : options.sgd.rate}};  // constant: it ends where it began
  const auto summary = trainer.fit(digits.train, options.fit, parade::ProgressBar{}, parade::Validate{digits.test});
  return {summary, trainer.evaluate(digits.test)};
}
