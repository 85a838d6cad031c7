// SPDX-License-Identifier: MIT
#include <parade/parade.hpp>

// J = ½‖z − y‖², as a value alone.
struct Mine {
  double operator()(const parade::Vector<double>& scores, const parade::Vector<double>& targets) const {
    return (scores - targets).squaredNorm() / 2;
  }
};

#ifdef PARADE_TEST_GOOD
using Loss = parade::SquaredError;
#else
using Loss = Mine;
#endif

int main() { parade::Trainer trainer{parade::LinearRegression<double>{3}, Loss{}, parade::L2{.lambda = 1e-4}, parade::Sgd{.rate = 0.1}}; }
