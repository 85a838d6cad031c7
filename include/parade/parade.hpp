// SPDX-License-Identifier: MIT
#pragma once

// parade: data-parallel minibatch training on Eigen and OpenMP. One run, one hash.
//
//   θ ← θ − α [ (1/W) Σ_i w_i ∇J(θ; x_i, y_i) + λ∇R(θ) + β∇C(θ) ]
//
// This header brings everything but MPI.

#include <parade/callbacks/early_stopping.hpp>
#include <parade/callbacks/progress_bar.hpp>
#include <parade/callbacks/reduce_on_plateau.hpp>
#include <parade/callbacks/validate.hpp>
#include <parade/constraints/box.hpp>
#include <parade/constraints/box_penalty.hpp>
#include <parade/constraints/no_constraint.hpp>
#include <parade/core/version.hpp>
#include <parade/data/dense_data.hpp>
#include <parade/data/mnist.hpp>
#include <parade/data/sampler.hpp>
#include <parade/data/subset.hpp>
#include <parade/data/synthetic_digits.hpp>
#include <parade/distributed/self_communicator.hpp>
#include <parade/engine/parallel_gradient.hpp>
#include <parade/engine/serial_gradient.hpp>
#include <parade/engine/update.hpp>
#include <parade/io/idx.hpp>
#include <parade/losses/hinge.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/metrics/confusion_matrix.hpp>
#include <parade/models/linear.hpp>
#include <parade/models/mlp.hpp>
#include <parade/optimizers/adadelta.hpp>
#include <parade/optimizers/adagrad.hpp>
#include <parade/optimizers/adam.hpp>
#include <parade/optimizers/adamax.hpp>
#include <parade/optimizers/adamw.hpp>
#include <parade/optimizers/amsgrad.hpp>
#include <parade/optimizers/clip_norm.hpp>
#include <parade/optimizers/clip_value.hpp>
#include <parade/optimizers/ema.hpp>
#include <parade/optimizers/ftrl_proximal.hpp>
#include <parade/optimizers/lamb.hpp>
#include <parade/optimizers/lars.hpp>
#include <parade/optimizers/lion.hpp>
#include <parade/optimizers/nadam.hpp>
#include <parade/optimizers/polyak_average.hpp>
#include <parade/optimizers/radam.hpp>
#include <parade/optimizers/rmsprop.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/schedules/chain.hpp>
#include <parade/schedules/constant.hpp>
#include <parade/schedules/cosine.hpp>
#include <parade/schedules/cosine_restarts.hpp>
#include <parade/schedules/exponential_decay.hpp>
#include <parade/schedules/exponential_warmup.hpp>
#include <parade/schedules/inverse_scaling.hpp>
#include <parade/schedules/linear_scaling.hpp>
#include <parade/schedules/multi_step_decay.hpp>
#include <parade/schedules/one_cycle.hpp>
#include <parade/schedules/per_epoch.hpp>
#include <parade/schedules/polynomial_decay.hpp>
#include <parade/schedules/step_decay.hpp>
#include <parade/schedules/warmup.hpp>
#include <parade/testing/gradient_check.hpp>
#include <parade/train/trainer.hpp>
