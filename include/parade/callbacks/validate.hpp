// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include <parade/concepts/callback.hpp>

namespace parade {

/// Evaluates the model on this data after every epoch: loss, accuracy and confusion go into the report that every callback sees, and into the
/// history. The data set is kept by value: parade's own are cheap to copy. At most one in a call of `fit`.
template <class D>
class Validate {
 public:
  explicit Validate(D data) : data_(std::move(data)) {}
  const D& validation_data() const { return data_; }

 private:
  D data_;
};

}  // namespace parade
