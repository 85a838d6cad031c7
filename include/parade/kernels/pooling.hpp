// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <parade/core/types.hpp>

// Windows of one plane (height,width), its columns fastest. Windows in order of rows, then columns; elements of a window as well. Each result is a plain
// loop over its window, so that vectors, where a compiler finds them, cannot change a bit.
namespace parade::kernels {

struct Windows {
  Index height, width, window, stride;
  constexpr Index out_height() const { return (height - window) / stride + 1; }
  constexpr Index out_width() const { return (width - window) / stride + 1; }
  constexpr bool are_pairs() const { return window == 2 && stride == 2; }
};

/// Which element of a window is its largest: an integer of the scalar's size, so that both fill vectors alike.
template <class S>
using Choice = std::conditional_t<sizeof(S) == 4, std::int32_t, std::int64_t>;

/// x as an integer that compares as numbers do, NaN above all; −0 is 0. Compilers choose between integers by masks, where comparing floating-point numbers
/// they would branch.
template <class S>
constexpr Choice<S> ordered(S x) {
  using C = Choice<S>;
  constexpr C all = std::numeric_limits<C>::max(), infinity = std::bit_cast<C>(std::numeric_limits<S>::infinity());
  const C bits = std::bit_cast<C>(x), magnitude = bits & all, number = bits < 0 ? -magnitude : magnitude;
  return magnitude > infinity ? all : number;
}
template <class S>
constexpr S from_ordered(Choice<S> number) {
  using C = Choice<S>;
  return std::bit_cast<S>(number < 0 ? -number | std::numeric_limits<C>::min() : number);
}

/// N windows of 2 × 2 beside each other.
template <int N, class S>
void max_of_pairs(const S* upper, const S* lower, S* z, Choice<S>* choice) {
  using C = Choice<S>;
  for (int i = 0; i < N; ++i) {
    const C a = ordered(upper[2 * i]), b = ordered(upper[2 * i + 1]), c = ordered(lower[2 * i]), d = ordered(lower[2 * i + 1]);
    const C of_upper = b > a ? b : a, of_lower = d > c ? d : c, in_upper = b > a ? 1 : 0, in_lower = d > c ? 3 : 2;
    z[i] = from_ordered<S>(of_lower > of_upper ? of_lower : of_upper);
    choice[i] = of_lower > of_upper ? in_lower : in_upper;
  }
}

/// A row of them. The last ones are taken together with some before them, so that compilers see nothing but whole vectors.
template <class S>
void max_of_pairs(Index count, const S* upper, const S* lower, S* z, Choice<S>* choice) {
  const auto in_steps_of = [&](auto n) {
    for (Index i = 0; i < count; i += n) {
      const Index at = std::min<Index>(i, count - n);
      max_of_pairs<n>(upper + 2 * at, lower + 2 * at, z + at, choice + at);
    }
  };
  if (count >= 8)
    in_steps_of(std::integral_constant<int, 8>{});
  else if (count >= 4)
    in_steps_of(std::integral_constant<int, 4>{});
  else
    in_steps_of(std::integral_constant<int, 1>{});
}

/// z: the largest element of each window, NaN if there is one. `choice`: the first that is as large, from 0, row by row.
template <class S>
void max_pool(const Windows& windows, const S* x, S* z, Choice<S>* choice) {
  using C = Choice<S>;
  const Index out_height = windows.out_height(), out_width = windows.out_width(), width = windows.width;
  for (Index row = 0; row < out_height; ++row, z += out_width, choice += out_width) {
    const S* from = x + row * windows.stride * width;
    if (windows.are_pairs()) {
      max_of_pairs(out_width, from, from + width, z, choice);
      continue;
    }
    for (Index i = 0; i < out_width; ++i) {
      C best = ordered(from[i * windows.stride]);
      choice[i] = 0;
      for (Index r = 0; r < windows.window; ++r)
        for (Index c = 0; c < windows.window; ++c)
          if (const C element = ordered(from[r * width + i * windows.stride + c]); element > best) {
            best = element;
            choice[i] = static_cast<C>(r * windows.window + c);
          }
      z[i] = from_ordered<S>(best);
    }
  }
}

/// dx is overwritten; dz of a window goes to the element that was chosen.
template <class S>
void max_pool_gradient(const Windows& windows, const Choice<S>* choice, const S* dz, S* dx) {
  const Index out_height = windows.out_height(), out_width = windows.out_width(), width = windows.width;
  if (windows.are_pairs()) {
    for (Index row = 0; row < out_height; ++row, choice += out_width, dz += out_width) {
      S *upper = dx + 2 * row * width, *lower = upper + width;
      for (Index i = 0; i < out_width; ++i) {
        const S delta = dz[i];
        upper[2 * i] = choice[i] == 0 ? delta : S{0};
        upper[2 * i + 1] = choice[i] == 1 ? delta : S{0};
      }
      for (Index i = 0; i < out_width; ++i) {
        const S delta = dz[i];
        lower[2 * i] = choice[i] == 2 ? delta : S{0};
        lower[2 * i + 1] = choice[i] == 3 ? delta : S{0};
      }
      for (Index i = 2 * out_width; i < width; ++i) upper[i] = lower[i] = 0;
    }
    std::fill(dx + 2 * out_height * width, dx + windows.height * width, S{0});
    return;
  }
  std::fill(dx, dx + windows.height * width, S{0});
  for (Index row = 0; row < out_height; ++row)
    for (Index i = 0; i < out_width; ++i, ++choice, ++dz)
      dx[(row * windows.stride + *choice / windows.window) * width + i * windows.stride + *choice % windows.window] += *dz;
}

template <class S>
void mean_pool(const Windows& windows, const S* x, S* z) {
  const Index out_height = windows.out_height(), out_width = windows.out_width(), width = windows.width;
  const S size = static_cast<S>(windows.window * windows.window);
  for (Index row = 0; row < out_height; ++row, z += out_width) {
    std::fill(z, z + out_width, S{0});
    for (Index r = 0; r < windows.window; ++r)
      for (Index c = 0; c < windows.window; ++c) {
        const S* from = x + (row * windows.stride + r) * width + c;
        for (Index i = 0; i < out_width; ++i) z[i] += from[i * windows.stride];
      }
    for (Index i = 0; i < out_width; ++i) z[i] /= size;
  }
}

template <class S>
void mean_pool_gradient(const Windows& windows, const S* dz, S* dx) {
  const Index out_height = windows.out_height(), out_width = windows.out_width(), width = windows.width;
  const S size = static_cast<S>(windows.window * windows.window);
  std::fill(dx, dx + windows.height * width, S{0});
  for (Index row = 0; row < out_height; ++row, dz += out_width)
    for (Index r = 0; r < windows.window; ++r)
      for (Index c = 0; c < windows.window; ++c) {
        S* to = dx + (row * windows.stride + r) * width + c;
        for (Index i = 0; i < out_width; ++i) to[i * windows.stride] += dz[i] / size;
      }
}

}  // namespace parade::kernels
