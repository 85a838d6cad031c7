// SPDX-License-Identifier: MIT
#include <parade/models/linear.hpp>

#include "fit.hpp"

namespace {

parade::Linear<float> linear_of(const Model& model) {
  return parade::Linear<float>{model.preparation.num_features, model.outputs,
                               model.intercept ? parade::Intercept::fitted : parade::Intercept::none};
}

}  // namespace

const Family linear{
    [](const Model& model) { return linear_of(model).parameters(); },
    [](const Options& o, const Model& model, const Source& source, const parade::FitOptions& options, Progress& progress) {
      return fit_model<true>(o, linear_of(model), source, options, progress);
    },
    [](const Model& model, const Rows& rows, int threads) { return scores_of(linear_of(model), model.theta, rows, threads); }};
