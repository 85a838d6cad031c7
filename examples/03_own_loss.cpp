// SPDX-License-Identifier: MIT
// An own loss: the pinball loss, which finds a line with nine in ten points below it, beside the squared error, which finds the mean.
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <string>

#include <parade/parade.hpp>
#include <parade/testing/gradient_check.hpp>

/// Pinball loss (Koenker, Bassett 1978): J = q (y − z) where y > z, else (1 − q) (z − y). Least where a share q of the y is below z.
struct Pinball {
  using Target = parade::Real;
  double q = 0.9;  // in (0, 1)

  void value_and_gradient(parade::ConstMatrixRef<double> scores, parade::ConstMatrixRef<double> targets, parade::VectorRef<double> values,
                          parade::MatrixRef<double> dscores) const {
    for (parade::Index j = 0; j < scores.cols(); ++j) {
      const double missing = targets(0, j) - scores(0, j);
      dscores(0, j) = missing > 0 ? -q : 1 - q;
      values[j] = -dscores(0, j) * missing;  // one for each sample: parade sums them
    }
  }
};
static_assert(parade::Loss<Pinball, double>);

template <class L>
void fit_line(const std::string& name, const L& loss, const parade::Matrix<double>& x, const parade::Matrix<double>& y) {
  const auto data = parade::DenseData{x}.with_targets(y);
  parade::Trainer trainer{parade::LinearRegression<double>{1}, loss, parade::NoRegularizer{}, parade::Sgd{.rate = 0.3}, parade::Cosine{}};
  trainer.fit(data, {.epochs = 50, .batch_size = 50, .seed = 1});
  const parade::Matrix<double> line = trainer.predict(data);
  const double below = (y.array() < line.array()).cast<double>().mean();
  std::cout << name << trainer.parameter("weight") << " x + " << trainer.parameter("bias") << ", " << 100 * below
            << " % of the points below\n";
}

int main() {
  constexpr parade::Index n = 5000;
  const parade::Random random{1, parade::Purpose::user};
  const auto uniform = [&](parade::Index i) { return random.uniform(static_cast<std::uint64_t>(i)); };
  const parade::Matrix<double> x = parade::Vector<double>::LinSpaced(n, 0, 1).transpose();
  const parade::Matrix<double> y = x.array() * (2 + parade::Vector<double>::NullaryExpr(n, uniform).transpose().array());  // in [2x, 3x)

  const auto report = parade::testing::check_loss(Pinball{}, 2.5 * x.rightCols(50), y.rightCols(50));
  std::cout << "gradient check: " << report << '\n';
  if (!report) return 1;

  std::cout << std::fixed << std::setprecision(2);
  fit_line("squared error  y = ", parade::SquaredError{}, x, y);
  fit_line("pinball, 0.9   y = ", Pinball{0.9}, x, y);
}
