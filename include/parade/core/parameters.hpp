// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// Biases are not regularized or constrained unless a regularizer or constraint asks for them. A statistic is not trained but measured: the running mean
/// of a batch normalization, say. It is part of θ, so that hashes and checkpoints hold it; every step is θ ← θ − g for it, whatever the
/// optimizer, and what a model adds to g is the difference that it wants.
enum class Role { weight, bias, statistic };

/// One named slice of θ: a matrix (rows, cols), column by column, from `offset` on.
struct ParameterBlock {
  std::string name;  // "layer0.weight"
  Index rows = 1;
  Index cols = 1;
  Role role = Role::weight;
  Index offset = 0;  // set by ParameterList

  Index size() const { return rows * cols; }
};

/// The map from a model's names to slices of θ (P). Blocks lie one behind the other in the order given.
///
///   return {{"weight", k, d}, {"bias", k, 1, parade::Role::bias}};
///
/// Throws std::invalid_argument for an empty or repeated name and for a negative shape.
class ParameterList {
 public:
  ParameterList() = default;
  ParameterList(std::initializer_list<ParameterBlock> blocks) {
    for (const auto& block : blocks) add(block);
  }

  void add(ParameterBlock block) {
    if (block.name.empty()) throw std::invalid_argument("a parameter block must have a name");
    if (block.rows < 0 || block.cols < 0)
      throw std::invalid_argument(detail::text("parameter '", block.name, "' must have a shape; got (", block.rows, ", ", block.cols, ")"));
    if (contains(block.name)) throw std::invalid_argument(detail::text("parameter name '", block.name, "' is used twice"));
    block.offset = size_;
    size_ += block.size();
    blocks_.push_back(std::move(block));
  }

  /// P, the length of θ.
  Index size() const { return size_; }
  std::span<const ParameterBlock> blocks() const { return blocks_; }
  auto begin() const { return blocks_.begin(); }
  auto end() const { return blocks_.end(); }

  bool contains(std::string_view name) const { return find(name) != nullptr; }

  /// The block of that name. Throws std::out_of_range, listing the names there are.
  const ParameterBlock& operator[](std::string_view name) const {
    if (const auto* block = find(name)) return *block;
    std::string known;
    for (const auto& block : blocks_) known += (known.empty() ? "" : ", ") + block.name;
    throw std::out_of_range(detail::text("no parameter is called '", name, "'; there are: ", known));
  }

 private:
  const ParameterBlock* find(std::string_view name) const {
    for (const auto& block : blocks_)
      if (block.name == name) return &block;
    return nullptr;
  }

  std::vector<ParameterBlock> blocks_;
  Index size_ = 0;
};

namespace detail {

/// θ cut into ranges that are computed and updated by one thread each: whole columns of one parameter, or a part of one column where it is
/// long. Some 1024 elements, so that a range and all that belongs to it stay in the first caches, but at least 16 columns up to 16384 elements,
/// since a product wants to be that wide. The cuts are the same on every machine.
inline std::vector<Range> parameter_ranges(const ParameterList& parameters) {
  constexpr Index usual = 1024, most = 16384, wide = 16;
  std::vector<Range> ranges;
  for (const auto& block : parameters) {
    const Index rows = block.rows;
    Index size = usual;
    if (block.cols > 1 && rows > 0 && rows <= most) {
      const Index columns = wide * rows <= most ? std::max(wide, usual / rows / wide * wide) : most / rows;
      size = columns * rows;
    }
    // A piece must not reach from one column into the next where columns are cut.
    const Index whole = block.cols > 1 && rows > most ? rows : block.size();
    for (Index column = 0; column < block.size(); column += whole)
      for (Index begin = 0; begin < whole; begin += size)
        ranges.push_back({block.offset + column + begin, block.offset + column + std::min(begin + size, whole)});
  }
  return ranges;
}

}  // namespace detail

/// The slice of θ or of a gradient that a block names, as a matrix (rows, cols); no copy.
template <class Scalar>
Eigen::Map<Matrix<Scalar>> slice(VectorRef<Scalar> theta, const ParameterBlock& block) {
  return {theta.data() + block.offset, block.rows, block.cols};
}
template <class Scalar>
Eigen::Map<const Matrix<Scalar>> slice(const ConstVectorRef<Scalar>& theta, const ParameterBlock& block) {
  return {theta.data() + block.offset, block.rows, block.cols};
}

}  // namespace parade
