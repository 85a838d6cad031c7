// SPDX-License-Identifier: MIT
#include <parade/parade.hpp>

struct Mine {
#ifdef PARADE_TEST_GOOD
  void on_epoch(const parade::EpochReport&) {}
#else
  void after_epoch(const parade::EpochReport&) {}
#endif
};

void run(const parade::DenseData<double>& data) {
  parade::Trainer trainer{parade::LinearRegression<double>{3}, parade::SquaredError{}, parade::L2{}, parade::Sgd{.rate = 0.1}};
  trainer.fit(data, {.epochs = 1}, Mine{});
}
