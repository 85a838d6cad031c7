// SPDX-License-Identifier: MIT
#include <parade/models/factorization_machine.hpp>

#include "fit.hpp"

namespace {

parade::FactorizationMachine<float> fm_of(const Model& model) {
  return parade::FactorizationMachine<float>{model.preparation.num_features, model.factors, model.outputs};
}

}  // namespace

const Family fm{[](const Model& model) { return fm_of(model).parameters(); },
                [](const Options& o, const Model& model, const Source& source, const parade::FitOptions& options, Progress& progress) {
                  return fit_model<false>(o, fm_of(model), source, options, progress);
                },
                [](const Model& model, const Rows& rows, int threads) { return scores_of(fm_of(model), model.theta, rows, threads); }};
