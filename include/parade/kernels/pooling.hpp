// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

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

/// The larger one; x if it is NaN, and best stays if it is.
template <class S>
S larger(S best, S x) {
  return x > best || x != x ? x : best;
}

template <class S>
void max_pool(const Windows& windows, const S* x, S* z) {
  const Index out_height = windows.out_height(), out_width = windows.out_width(), width = windows.width;
  for (Index row = 0; row < out_height; ++row, z += out_width) {
    const S* from = x + row * windows.stride * width;
    if (windows.are_pairs()) {
      const S *upper = from, *lower = from + width;
      for (Index i = 0; i < out_width; ++i) z[i] = larger(larger(larger(upper[2 * i], upper[2 * i + 1]), lower[2 * i]), lower[2 * i + 1]);
      continue;
    }
    for (Index i = 0; i < out_width; ++i) {
      S best = from[i * windows.stride];
      for (Index r = 0; r < windows.window; ++r)
        for (Index c = 0; c < windows.window; ++c) best = larger(best, from[r * width + i * windows.stride + c]);
      z[i] = best;
    }
  }
}

/// dx is overwritten; dz of a window goes to the first element that is its largest.
template <class S>
void max_pool_gradient(const Windows& windows, const S* x, const S* z, const S* dz, S* dx) {
  const Index out_height = windows.out_height(), out_width = windows.out_width(), width = windows.width;
  const auto is_it = [](S element, S largest) { return element == largest || element != element; };
  if (windows.are_pairs()) {
    for (Index row = 0; row < out_height; ++row, z += out_width, dz += out_width) {
      const S *upper = x + 2 * row * width, *lower = upper + width;
      S *to_upper = dx + 2 * row * width, *to_lower = to_upper + width;
      for (Index i = 0; i < out_width; ++i) {
        const S largest = z[i], delta = dz[i];
        const bool a = is_it(upper[2 * i], largest), b = is_it(upper[2 * i + 1], largest), c = is_it(lower[2 * i], largest);
        to_upper[2 * i] = a ? delta : S{0};
        to_upper[2 * i + 1] = !a & b ? delta : S{0};
        to_lower[2 * i] = !(a | b) & c ? delta : S{0};
        to_lower[2 * i + 1] = !(a | b | c) ? delta : S{0};
      }
      for (Index i = 2 * out_width; i < width; ++i) to_upper[i] = to_lower[i] = 0;
    }
    std::fill(dx + 2 * out_height * width, dx + windows.height * width, S{0});
    return;
  }
  std::fill(dx, dx + windows.height * width, S{0});
  for (Index row = 0; row < out_height; ++row) {
    for (Index i = 0; i < out_width; ++i, ++z, ++dz) {
      const Index corner = row * windows.stride * width + i * windows.stride;
      bool found = false;
      for (Index r = 0; r < windows.window && !found; ++r) {
        for (Index c = 0; c < windows.window && !found; ++c) {
          found = is_it(x[corner + r * width + c], *z);
          if (found) dx[corner + r * width + c] += *dz;
        }
      }
    }
  }
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
