// SPDX-License-Identifier: MIT
#pragma once

#include <parade/optimizers/adadelta.hpp>
#include <parade/optimizers/adagrad.hpp>
#include <parade/optimizers/adam.hpp>
#include <parade/optimizers/adamax.hpp>
#include <parade/optimizers/adamw.hpp>
#include <parade/optimizers/amsgrad.hpp>
#include <parade/optimizers/clip_value.hpp>
#include <parade/optimizers/ema.hpp>
#include <parade/optimizers/ftrl_proximal.hpp>
#include <parade/optimizers/lazy_adam.hpp>
#include <parade/optimizers/lion.hpp>
#include <parade/optimizers/nadam.hpp>
#include <parade/optimizers/polyak_average.hpp>
#include <parade/optimizers/radam.hpp>
#include <parade/optimizers/rmsprop.hpp>
#include <parade/optimizers/sgd.hpp>

namespace optimizers {

/// Calls f(optimizer, name) for every elementwise optimizer, in settings that reach all of its code.
template <class F>
void for_each_optimizer(const F& f) {
  using namespace parade;
  f(Sgd{.rate = 0.1}, "Sgd");
  f(Sgd{.rate = 0.1, .momentum = 0.9, .dampening = 0.3}, "Sgd with momentum");
  f(Sgd{.rate = 0.1, .momentum = 0.9, .nesterov = true}, "Sgd with Nesterov's momentum");
  f(Adam{.rate = 0.01}, "Adam");
  f(LazyAdam{.rate = 0.01}, "LazyAdam");
  f(AdamW{.rate = 0.01, .weight_decay = 0.1}, "AdamW");
  f(AmsGrad{.rate = 0.01, .beta2 = 0.9}, "AmsGrad");
  f(Adamax{.rate = 0.01}, "Adamax");
  f(NAdam{.rate = 0.01}, "NAdam");
  f(RAdam{.rate = 0.01, .beta2 = 0.9}, "RAdam");
  f(Adagrad{.rate = 0.1}, "Adagrad");
  f(Adagrad{.rate = 0.1, .rate_decay = 0.1, .initial_accumulator = 0.5}, "Adagrad with decay");
  f(Adadelta{}, "Adadelta");
  f(RmsProp{}, "RmsProp");
  f(RmsProp{.centered = true}, "RmsProp, centered");
  f(RmsProp{.momentum = 0.9}, "RmsProp with momentum");
  f(RmsProp{.momentum = 0.9, .centered = true}, "RmsProp, centered, with momentum");
  f(Lion{.rate = 0.01, .weight_decay = 0.1}, "Lion");
  f(FtrlProximal{.rate = 0.3, .l1 = 0.4, .l2 = 0.1}, "FtrlProximal");
  f(ClipValue{Adam{.rate = 0.01}, 0.5}, "ClipValue of Adam");
  f(Ema{Sgd{.rate = 0.1, .momentum = 0.9}, 0.9}, "Ema of Sgd");
  f(PolyakAverage{ClipValue{Sgd{.rate = 0.1}, 0.5}, 2, 3}, "PolyakAverage of ClipValue of Sgd");
}

}  // namespace optimizers
