// SPDX-License-Identifier: MIT
#include <parade/models/mlp.hpp>

#include "fit.hpp"

namespace {

parade::Mlp<float> mlp_of(const Model& model) {
  std::vector<Index> sizes = model.hidden;
  sizes.insert(sizes.begin(), model.preparation.num_features);
  sizes.push_back(model.outputs);
  return parade::Mlp<float>{sizes};
}

}  // namespace

const Family mlp{[](const Model& model) { return mlp_of(model).parameters(); },
                 [](const Options& o, const Model& model, const Source& source, const parade::FitOptions& options, Progress& progress) {
                   return fit_model<true>(o, mlp_of(model), source, options, progress);
                 },
                 [](const Model& model, const Rows& rows, int threads) { return scores_of(mlp_of(model), model.theta, rows, threads); }};
