// SPDX-License-Identifier: MIT
// Sample weights, seen by the optimizers: training by full batches, with each optimizer of the library, on weighted samples and on copies of them.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <parade/data/dense_data.hpp>
#include <parade/engine/serial_gradient.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/models/linear.hpp>
#include <parade/optimizers/clip_norm.hpp>
#include <parade/optimizers/lamb.hpp>
#include <parade/optimizers/lars.hpp>
#include <parade/optimizers/rate_factors.hpp>

#include "optimizers/all.hpp"
#include "optimizers/run.hpp"
#include "support/catch.hpp"
#include "support/training.hpp"

namespace {

using namespace optimizers;
using namespace parade;
using Model = Linear<double>;

constexpr Index d = 5, k = 3, n = 40, steps = 20;

struct Trained {
  Vector<double> theta;
  double spread = 1;  // the largest |g| of a step beside the least: how much more an optimizer that divides by g makes of a rounding
};

/// θ after full-batch steps.
template <class Optimizer>
Trained train(const Optimizer& optimizer, const DenseData<double>& data) {
  const Model model(d, k);
  const SerialGradient<Model, SoftmaxCrossEntropy> engine(model, {}, 7);
  const auto samples = training::first_samples(data.size());
  Run<double> run(optimizer, numbers::random_vector<double>(model.parameters().size(), 3, -0.1, 0.1));
  Trained trained;
  Vector<double> grad;
  for (std::int64_t t = 1; t <= steps; ++t) {
    const BatchSum sum = engine.sum(run.theta, data, samples, grad);
    grad /= sum.weight;
    trained.spread = std::max(trained.spread, grad.cwiseAbs().maxCoeff() / grad.cwiseAbs().minCoeff());
    const StepInfo at{.rate = optimizer.rate, .step = t};
    const auto own = [&](const ParameterBlock& block) {
      if constexpr (HasForParameter<Optimizer>)
        return optimizer.for_parameter(block);
      else
        return optimizer;
    };
    const auto part = [](Vector<double>& v, const ParameterBlock& block) {
      return VectorRef<double>(v.segment(block.offset, block.size()));
    };
    if constexpr (MeasuredOptimizer<Optimizer, double>) {
      for (const auto& block : model.parameters())
        own(block).measure(part(grad, block), ConstVectorRef<double>(part(run.theta, block)), run.slice(block.offset, block.size()), at);
      const Norms all{run.theta.norm(), grad.norm()};
      std::vector<double> factors;
      for (const auto& block : model.parameters())
        factors.push_back(own(block).factor({part(run.theta, block).norm(), part(grad, block).norm()}, all, block, at));
      auto factor = factors.begin();
      for (const auto& block : model.parameters())
        own(block).step(part(run.theta, block), ConstVectorRef<double>(part(grad, block)), run.slice(block.offset, block.size()), at,
                        *factor++);
    } else {
      for (const auto& block : model.parameters())
        own(block).step(part(run.theta, block), ConstVectorRef<double>(part(grad, block)), run.slice(block.offset, block.size()), at);
    }
  }
  trained.theta = run.theta;
  return trained;
}

}  // namespace

TEST_CASE("weight k is k copies of a sample, and weight 0 its absence, to rounding, for every optimizer", "[optimizers]") {
  Vector<Label> labels(n);
  for (Index j = 0; j < n; ++j) labels[j] = static_cast<Label>(j * j % 7 % k);
  const auto plain = DenseData<double>(training::random_matrix<double>(d, n, 1)).with_labels(labels);
  Matrix<double> x = plain.values();
  Vector<double> weights(n);
  std::vector<Index> copies;
  for (Index j = 0; j < n; ++j) {
    weights[j] = static_cast<double>(j % 4);
    copies.insert(copies.end(), static_cast<std::size_t>(j % 4), j);
    if (j % 4 == 0) x.col(j).setConstant(1e308);  // its loss is no number
  }
  const auto weighted = DenseData<double>(x).with_labels(plain.labels()).with_weights(weights);
  const auto copied =
      DenseData<double>(Matrix<double>(plain.values()(Eigen::all, copies))).with_labels(Vector<Label>(plain.labels()(copies)));
  const auto check = [&](const auto& optimizer, const char* name) {
    INFO(name);
    const Trained by_weights = train(optimizer, weighted), by_copies = train(optimizer, copied), unweighted = train(optimizer, plain);
    REQUIRE(by_weights.theta.allFinite());
    REQUIRE(by_copies.spread < 1e5);
    const double rounding = static_cast<double>(steps * static_cast<Index>(copies.size())) * std::numeric_limits<double>::epsilon();
    CHECK((by_weights.theta - by_copies.theta).cwiseAbs().maxCoeff() <=
          rounding * by_copies.spread * by_copies.theta.cwiseAbs().maxCoeff());
    CHECK((by_weights.theta - unweighted.theta).cwiseAbs().maxCoeff() > 1e-6);  // the weights do matter
  };
  for_each_optimizer(check);
  check(Lars{.weight_decay = 0.1}, "Lars");
  check(Lamb{}, "Lamb");
  check(ClipNorm{Adam{.rate = 0.01}, 0.1}, "ClipNorm of Adam");
  check(RateFactors{Sgd{.rate = 0.1, .momentum = 0.9}, {{"bias", 0.5}}}, "RateFactors of Sgd");
}
