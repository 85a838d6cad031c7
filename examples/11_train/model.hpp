// SPDX-License-Identifier: MIT
// The model.
#pragma once

#include <string>
#include <vector>

#include <parade/core/parameters.hpp>

#include "data.hpp"

struct Model {
  Preparation preparation;
  std::string kind = "linear", loss;
  bool intercept = false;     // of linear; the others have one
  Index factors = 0;          // of fm
  std::vector<Index> hidden;  // of mlp
  Index outputs = 1;          // k
  parade::Vector<float> theta;
};
