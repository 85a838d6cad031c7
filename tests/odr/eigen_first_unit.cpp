// SPDX-License-Identifier: MIT
// A user's file that has all of Eigen before parade.
#include <Eigen/Dense>

#include "units.hpp"

Seen eigen_first_unit() { return {&parade::philox, parade::Random{1, parade::Purpose::user}.bits(0)}; }
