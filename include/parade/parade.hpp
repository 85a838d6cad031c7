// SPDX-License-Identifier: MIT
#pragma once

// parade: data-parallel minibatch training on Eigen and OpenMP. One run, one hash.
//
//   θ ← θ − α [ (1/W) Σ_i w_i ∇J(θ; x_i, y_i) + λ∇R(θ) + β∇C(θ) ]
//
// This header brings everything but MPI and but files other than IDX. Those are included by name, for what they take to compile:
// <parade/io/libsvm.hpp>, <parade/io/npy.hpp>, <parade/io/csv.hpp> and <parade/data/table_data.hpp>.

#include <parade/callbacks/early_stopping.hpp>
#include <parade/callbacks/progress_bar.hpp>
#include <parade/callbacks/validate.hpp>
#include <parade/constraints/box.hpp>
#include <parade/constraints/box_penalty.hpp>
#include <parade/constraints/no_constraint.hpp>
#include <parade/core/version.hpp>
#include <parade/data/dense_data.hpp>
#include <parade/data/mnist.hpp>
#include <parade/data/sampler.hpp>
#include <parade/data/sparse_rows.hpp>
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
#include <parade/optimizers/adam.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/schedules/constant.hpp>
#include <parade/schedules/cosine.hpp>
#include <parade/schedules/step_decay.hpp>
#include <parade/schedules/warmup.hpp>
#include <parade/testing/gradient_check.hpp>
#include <parade/train/trainer.hpp>
