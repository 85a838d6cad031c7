// SPDX-License-Identifier: MIT
// A portfolio without short sales: least squares on a simplex, which leaves most assets out.
#include <iomanip>
#include <iostream>

#include <parade/parade.hpp>

using namespace parade;

int main() {
  // Daily returns, in percent, of assets that follow three common factors and noise of their own.
  constexpr Index assets = 20, days = 500;
  const Random random{1, Purpose::user};
  Matrix<double> returns(assets, days);  // (d,n): one sample, a day, is one column
  for (Index day = 0; day < days; ++day)
    for (Index a = 0; a < assets; ++a) {
      double move = 0.02 + 0.004 * static_cast<double>(a);  // the later ones promise more …
      for (Index f = 0; f < 3; ++f) move += (a % 3 == f ? 1.0 : 0.2) * random.uniform(static_cast<std::uint64_t>(10 * day + f), -1, 1);
      const auto noise = static_cast<std::uint64_t>(100000 + assets * day + a);
      returns(a, day) = move + (0.3 + 0.05 * static_cast<double>(a)) * random.uniform(noise, -1, 1);  // … and swing more
    }

  // The mix w ≥ 0, Σ w = 1 whose return stays nearest to 0.06 % every day: min ½ mean (x·w − 0.06)².
  const auto data = DenseData{returns}.with_targets(Matrix<double>::Constant(1, days, 0.06));
  Trainer trainer{Linear<double>{assets, 1, Intercept::none}, SquaredError{}, NoRegularizer{}, Sgd{.rate = 0.2}, Simplex{.total = 1}};
  const auto summary = trainer.fit(data, {.epochs = 3000, .batch_size = days});

  const Matrix<double> weights = trainer.parameter("weight");
  std::cout << std::fixed << std::setprecision(3);
  for (Index a = 0; a < assets; ++a)
    if (weights(0, a) > 0) std::cout << "asset " << std::setw(2) << a << std::setw(8) << weights(0, a) << '\n';
  std::cout << summary.zeros << " assets are left out; the weights sum to " << weights.sum() << ", residual "
            << (trainer.residual(data) < 1e-9 ? "below" : "above") << " 1e-9\n";
}
