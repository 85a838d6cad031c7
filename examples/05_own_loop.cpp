// SPDX-License-Identifier: MIT
// The training loop by hand: the same parts, the same steps, and so the same bits as those of a Trainer.
#include <cstdint>
#include <iostream>

#include <parade/parade.hpp>

int main() {
  const auto train = parade::synthetic_digits(3000, 1);
  const parade::Mlp<float> model{28 * 28, 64, 10};
  const parade::SoftmaxCrossEntropy loss;
  const parade::L2 l2{.lambda = 1e-4};
  const parade::Sgd sgd{.rate = 0.1, .momentum = 0.9};
  const parade::FitOptions options{.epochs = 3, .batch_size = 128, .seed = 1};

  parade::ParallelGradient engine{model, loss};
  parade::TrainingState<float> state(model.parameters().size(), sgd.num_states());  // θ, and the momentum
  parade::Vector<float> grad;
  model.initialize(state.theta, options.seed);
  parade::StepInfo at{.rate = sgd.rate, .step = 0};
  for (parade::Index epoch = 0; epoch < options.epochs; ++epoch)
    for (const auto batch : parade::Batches{train.size(), {.batch_size = options.batch_size, .seed = options.seed, .epoch = epoch}}) {
      const auto total = engine.sum(state.theta, train, batch, grad);  // g = Σ ∇J and W
      grad /= static_cast<float>(total.weight);                        // the one division
      for (const auto& block : model.parameters())                     // + λ∇R, on the weights
        if (block.role == parade::Role::weight)
          l2.add_gradient(state.theta.segment(block.offset, block.size()), grad.segment(block.offset, block.size()));
      ++at.step;
      sgd.step(state.theta, grad, state.slice({0, grad.size()}), at);  // θ ← θ − α(…)
    }

  parade::Trainer trainer{model, loss, l2, sgd};
  const auto summary = trainer.fit(train, options);
  const auto own = parade::theta_hash(state.theta);
  std::cout << "own loop  " << parade::hash_text(own) << "\ntrainer   " << parade::hash_text(summary.theta_hash) << '\n'
            << (own == summary.theta_hash ? "the same" : "not the same") << '\n';
}
