// SPDX-License-Identifier: MIT
#include <parade/data/sparse_rows.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/quantile.hpp>
#include <parade/models/linear.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/train/duality_gap.hpp>

#ifdef PARADE_TEST_GOOD
using Loss = parade::Logistic;
#else
using Loss = parade::Quantile;  // has no conjugate
#endif

double gap(parade::Team& team, const parade::SparseRows<double>& data, const parade::Vector<double>& theta) {
  return parade::duality_gap(team, parade::Linear<double>{3}, Loss{}, parade::L2{.lambda = 0.1}, theta, data).gap();
}
