// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <parade/core/types.hpp>
#include <parade/kernels/simd.hpp>

// Windows of one plane (height,width), its columns fastest. Windows in order of rows, then columns; elements of a window as well. Each result is a plain
// loop over its window, or its equal in vectors.
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

/// x as an integer that compares as numbers do, NaN above all.
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

/// A row of windows of 2 × 2 that hold no NaN, from two rows of `width` elements; false, and nothing of use, if there may be one. Lanes run along the
/// columns: first the larger of each two that stand above each other, then of each and the next one, of which every second is used.
template <class S>
bool max_of_pairs(Index width, const S* upper, const S* lower, S* z, Choice<S>* choice) {
  using K = Simd<S>;
  constexpr Index chunk = 64;  // columns at a time
  S larger[std::size_t{chunk + K::width}], row[std::size_t{chunk + K::width}], suspicious[std::size_t{K::width}];
  const auto zero = K::broadcast(0), one = K::broadcast(1), two = K::broadcast(2);
  auto check = zero;  // NaN where an element was, or where there may have been one
  for (Index begin = 0; begin + 1 < width; begin += chunk, upper += chunk, lower += chunk) {
    const Index size = std::min(chunk, (width - begin) / 2 * 2);
    for (Index i = 0; i < size; i += K::width) {
      const auto a = size - i < K::width ? K::load_first(upper + i, size - i) : K::load(upper + i);
      const auto b = size - i < K::width ? K::load_first(lower + i, size - i) : K::load(lower + i);
      const auto is_lower = K::less(a, b);
      const auto sum = K::add(a, b);
      check = K::add(check, K::sub(sum, sum));
      K::store(larger + i, K::select(is_lower, b, a));
      K::store(row + i, K::select(is_lower, two, zero));
    }
    for (Index i = 0; i < size; i += K::width) {
      const bool is_last = i + K::width >= size;  // what comes next is then of no use, and may not be there
      const auto a = K::load(larger + i), b = is_last ? K::load_first(larger + i + 1, K::width - 1) : K::load(larger + i + 1);
      const auto at_a = K::load(row + i), at_b = K::add(is_last ? K::load_first(row + i + 1, K::width - 1) : K::load(row + i + 1), one);
      const auto first = K::select(K::less(b, a), at_a, K::min(at_a, at_b));
      K::store(row + i, K::select(K::less(a, b), at_b, first));
      K::store(larger + i, K::select(K::less(a, b), b, a));
    }
    for (Index i = 0; i < size / 2; ++i) z[begin / 2 + i] = larger[2 * i];
    for (Index i = 0; i < size / 2; ++i) choice[begin / 2 + i] = static_cast<Choice<S>>(row[2 * i]);
  }
  K::store(suspicious, check);
  return std::all_of(suspicious, suspicious + K::width, [](S lane) { return lane == S{0}; });
}

/// z: the largest element of each window, NaN if there is one. `choice`: the first that is as large, from 0, row by row.
template <class S>
void max_pool(const Windows& windows, const S* x, S* z, Choice<S>* choice) {
  using C = Choice<S>;
  const Index out_height = windows.out_height(), out_width = windows.out_width(), width = windows.width;
  for (Index row = 0; row < out_height; ++row, z += out_width, choice += out_width) {
    const S* from = x + row * windows.stride * width;
    if (windows.are_pairs() && max_of_pairs(width, from, from + width, z, choice)) continue;
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
