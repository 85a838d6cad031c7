// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include <parade/core/types.hpp>
#include <parade/kernels/loops.hpp>
#include <parade/kernels/product.hpp>
#include <parade/kernels/simd.hpp>

// Convolution of images, without a matrix of patches: every element of a result is ONE chain of fused multiply-adds over channels, rows and columns
// of the kernel, in that order,
//
//     z(o,y,x) = b(o);   for c, i, j:   z(o,y,x) = fma(w(o,c,i,j), image(c, y·stride + i, x·stride + j), z(o,y,x))
//
// where rows of the image that are zeros in all columns are passed over. Lanes run along the columns of a result or along its channels, whichever
// fills the vectors better: the bits are those of the plain loop in either case, and do not depend on the vector width.
//
// The image is a copy of the input of one sample with zeros around it, small enough for the first caches. Its columns stand in `stride` phases, those
// with the same remainder behind each other, so that neighbours in the result read neighbours in the image.
namespace parade::kernels {

/// How a convolution walks: set up once, for any scalar.
class Convolution {
 public:
  Convolution() = default;

  /// `channels` planes of (height,width), each element `spacing` apart from the next, lie in an image (image_height,image_width) from (top,left) on; all else
  /// is zero. `outputs` planes of (out_height,out_width) come out.
  Convolution(Index channels, Index height, Index width, Index spacing, Index top, Index left, Index image_height, Index image_width,
              Index outputs, Index kernel_height, Index kernel_width, Index stride)
      : channels_(channels),
        height_(height),
        width_(width),
        spacing_(spacing),
        top_(top),
        left_(left),
        outputs_(outputs),
        kernel_height_(kernel_height),
        kernel_width_(kernel_width),
        stride_(stride),
        out_height_((image_height - kernel_height) / stride + 1),
        out_width_((image_width - kernel_width) / stride + 1),
        phase_((image_width + stride - 1) / stride),
        row_(phase_ * stride),
        plane_(row_ * image_height) {
    for (Index c = 0; c < channels; ++c)
      for (Index i = 0; i < kernel_height; ++i)
        for (Index j = 0; j < kernel_width; ++j) offsets_.push_back(c * plane_ + i * row_ + j % stride * phase_ + j / stride);
  }

  Index outputs() const { return outputs_; }
  Index out_height() const { return out_height_; }
  Index out_width() const { return out_width_; }
  Index out_size() const { return out_height_ * out_width_; }            // of one plane
  Index inner() const { return static_cast<Index>(offsets_.size()); }    // length of a chain: channels · kernel
  Index image_size() const { return channels_ * plane_ + image_slack; }  // scalars

  /// The planes of one sample into an image that was set to zero once.
  template <class S>
  void place(const S* planes, S* image) const {
    using K = Simd<S>;
    for (Index c = 0; c < channels_; ++c) {
      for (Index y = 0; y < height_; ++y) {
        const S* from = planes + (c * height_ + y) * width_;
        S* to = image + c * plane_ + (y * spacing_ + top_) * row_;
        if (stride_ == 1 && spacing_ == 1) {
          to += left_;
          Index x = 0;
          for (; x + K::width <= width_; x += K::width) K::store(to + x, K::load(from + x));
          for (; x < width_; ++x) to[x] = from[x];
        } else {
          for (Index x = 0; x < width_; ++x) {
            const Index at = x * spacing_ + left_;
            to[at % stride_ * phase_ + at / stride_] = from[x];
          }
        }
      }
    }
  }

  /// Whether lanes run along the columns of a result, not along its channels. A vector of which a part is wasted costs what a whole one costs; with a single
  /// vector in a tile there is a load for each multiply-add; and channels must be turned back into planes.
  template <class S>
  bool lanes_are_columns() const {
    constexpr Index width = Simd<S>::width;
    const Index across = (out_width_ + width - 1) / width, down = (outputs_ + width - 1) / width;
    const double columns = static_cast<double>(across * out_height_ * outputs_), channels = static_cast<double>(down * out_size());
    return columns * (across == 1 ? 1.2 : 1.0) <= channels * (down == 1 ? 1.3 : 1.1);
  }

  /// Scalars of packed weights.
  template <class S>
  Index packed_size() const {
    return lanes_are_columns<S>() ? outputs_ * inner() : kernels::packed_size<S>(outputs_, inner());
  }

  /// Where the packed weights of output o are: that of place k = (c·kernel_height + i)·kernel_width + j in the chain at packed[first + k·step]. All others are
  /// zero.
  struct Place {
    Index first, step;
  };
  template <class S>
  Place place_of(Index o) const {
    constexpr Index width = Simd<S>::width;
    const bool columns = lanes_are_columns<S>();
    const auto parts = columns ? detail::EvenSplit(outputs_, group_size<S>()) : detail::split_panels<S>(outputs_);
    const Index unit = columns ? 1 : width;
    Index part = 0;
    while (o >= (parts.begin(part) + parts.count(part)) * unit) ++part;
    const Index begin = parts.begin(part) * unit;
    return {begin * inner() + (o - begin), parts.count(part) * unit};
  }

  /// Scalars of scratch that `apply` wants.
  template <class S>
  Index scratch_size() const {
    return lanes_are_columns<S>() ? 0 : kernels::packed_size<S>(outputs_, out_size());
  }

  /// z: `outputs` planes of (out_height,out_width), overwritten. `start`: (outputs), or null for 0.
  template <class S>
  void apply(const S* image, const S* packed, const S* start, S* z, S* scratch) const {
    if (lanes_are_columns<S>())
      along_columns(image, packed, start, z);
    else
      along_channels(image, packed, start, z, scratch);
  }

  /// G (outputs, inner) += Σ_{y,x} dz(o,y,x) image(place k at (y,x)), every element one chain over rows and columns, from the stored value on. G is
  /// column-major, `panels`: dz (outputs, out_size) from pack_planes.
  template <class S>
  void add_weight_gradient(const S* image, const S* panels, S* grad) const {
    constexpr Index width = Simd<S>::width;
    const auto split = detail::split_panels<S>(outputs_);
    for (Index i = 0; i < split.parts; ++i) {
      const Index row = split.begin(i) * width, height = split.count(i) * width, last = std::min(width, outputs_ - row - (height - width));
      detail::with_constant<detail::most_tile_vectors<S>>(split.count(i), [&](auto v) {
        constexpr int V = v, most = detail::most_tile_columns<S, V>;
        const detail::EvenSplit tiles(inner(), most);
        for (Index t = 0; t < tiles.parts; ++t) {
          detail::with_constant<most>(tiles.count(t), [&](auto n) {
            gradient_tile<V, n>(image, offsets_.data() + tiles.begin(t), panels + row * out_size(), grad + row + tiles.begin(t) * outputs_,
                                last);
          });
        }
      });
    }
  }

  /// dz, `outputs` planes, with the channels of a place beside each other: kernels::packed_size(outputs, out_size) scalars.
  template <class S>
  void pack_planes(const S* dz, S* panels) const {
    pack_panels(outputs_, out_size(), dz, out_size(), Index{1}, panels, 0, num_panels<S>(outputs_));
  }

 private:
  static constexpr Index image_slack = 64;  // what the last vectors of the last row read beyond it, and do not use

  template <class S>
  static constexpr Index group_size() {
    return detail::most_tile_columns<S, 2>;
  }

  /// The rows of the kernel, at row y of the result, where the image is not all zero.
  Range kernel_rows(Index y) const {
    const Index first = top_ - y * stride_, last = top_ + (height_ - 1) * spacing_ + 1 - y * stride_;
    const Index begin = std::clamp<Index>(first, 0, kernel_height_);
    return {begin, std::clamp<Index>(last, begin, kernel_height_)};
  }

  template <class S>
  void along_columns(const S* image, const S* packed, const S* start, S* z) const {
    constexpr Index width = Simd<S>::width;
    const detail::EvenSplit groups(outputs_, group_size<S>()), across((out_width_ + width - 1) / width, 2);
    // Masked stores are slow on some processors. So the last columns are computed again together with some before them; or, where a result is narrower
    // than the vectors, these reach into the next row, which comes later.
    for (Index y = 0; y < out_height_; ++y) {
      const Range rows = kernel_rows(y);
      for (Index a = 0; a < across.parts; ++a) {
        const Index size = across.count(a) * width, x = std::max<Index>(0, std::min(across.begin(a) * width, out_width_ - size));
        const Index place = y * out_width_ + x, last = std::min(width, out_size() - place - (size - width));
        for (Index g = 0; g < groups.parts; ++g) {
          const Index o = groups.begin(g);
          detail::with_constant<2>(across.count(a), [&](auto v) {
            detail::with_constant<detail::most_tile_columns<S, 2>>(groups.count(g), [&](auto n) {
              column_tile<v, n>(image + y * stride_ * row_ + x, rows, packed + o * inner(), start == nullptr ? nullptr : start + o,
                                z + o * out_size() + place, last);
            });
          });
        }
      }
    }
  }

  /// N outputs at V vectors of columns.
  template <int V, int N, class S>
  [[gnu::always_inline]] inline void column_tile(const S* image, Range rows, const S* packed, const S* start, S* z, Index last) const {
    using K = Simd<S>;
    typename K::Vector sum[std::size_t{N}][std::size_t{V}];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[n][v] = K::broadcast(start == nullptr ? S{0} : start[n]);
    }
    const Index of_channel = kernel_height_ * kernel_width_;
    for (Index c = 0; c < channels_; ++c) {
      const Index begin = c * of_channel + rows.begin * kernel_width_, end = c * of_channel + rows.end * kernel_width_;
      for (Index k = begin; k < end; ++k) {
        const S* from = image + offsets_[static_cast<std::size_t>(k)];
        const S* weights = packed + k * N;
        typename K::Vector columns[std::size_t{V}];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) columns[v] = detail::in_register(K::load(from + v * K::width));
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) {
          const auto factor = K::broadcast(weights[n]);
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) sum[n][v] = K::fma(columns[v], factor, sum[n][v]);
        }
      }
    }
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        S* to = z + n * out_size() + v * K::width;
        v == V - 1 && last < K::width ? K::store_first(to, sum[n][v], last) : K::store(to, sum[n][v]);
      }
    }
  }

  template <class S>
  void along_channels(const S* image, const S* packed, const S* start, S* z, S* scratch) const {
    constexpr Index width = Simd<S>::width;
    const auto panels = detail::split_panels<S>(outputs_);
    const Index padded = (outputs_ + width - 1) / width * width;
    for (Index y = 0; y < out_height_; ++y) {
      const Range rows = kernel_rows(y);
      for (Index i = 0; i < panels.parts; ++i) {
        const Index row = panels.begin(i) * width, height = panels.count(i) * width, filled = std::min(height, outputs_ - row);
        detail::with_constant<detail::most_tile_vectors<S>>(panels.count(i), [&](auto v) {
          constexpr int V = v, most = detail::most_tile_columns<S, V>;
          const detail::EvenSplit tiles(out_width_, most);
          for (Index t = 0; t < tiles.parts; ++t) {
            const Index x = tiles.begin(t);
            detail::with_constant<most>(tiles.count(t), [&](auto n) {
              channel_tile<V, n>(image + y * stride_ * row_ + x, rows, packed + row * inner(), start == nullptr ? nullptr : start + row,
                                 filled - (height - width), scratch + (y * out_width_ + x) * padded + row, padded);
            });
          }
        });
      }
    }
    to_planes(scratch, padded, z);
  }

  /// V vectors of outputs at N columns.
  template <int V, int N, class S>
  [[gnu::always_inline]] inline void channel_tile(const S* image, Range rows, const S* packed, const S* start, Index last, S* z,
                                                  Index ldz) const {
    using K = Simd<S>;
    typename K::Vector sum[std::size_t{N}][std::size_t{V}];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const auto from = start == nullptr ? K::broadcast(0) : detail::load_at_most(start + v * K::width, v == V - 1 ? last : K::width);
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) sum[n][v] = from;
    }
    const Index of_channel = kernel_height_ * kernel_width_;
    for (Index c = 0; c < channels_; ++c) {
      const Index begin = c * of_channel + rows.begin * kernel_width_, end = c * of_channel + rows.end * kernel_width_;
      for (Index k = begin; k < end; ++k) {
        const S* from = image + offsets_[static_cast<std::size_t>(k)];
        const S* weights = packed + k * (V * K::width);
        typename K::Vector column[std::size_t{V}];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) column[v] = detail::in_register(K::load(weights + v * K::width));
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) {
          const auto factor = K::broadcast(from[n]);
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) sum[n][v] = K::fma(column[v], factor, sum[n][v]);
        }
      }
    }
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) K::store(z + n * ldz + v * K::width, sum[n][v]);
    }
  }

  /// places (padded, out_size) into planes, a square of a vector's width at a time. The last square is moved back, so that none reaches into the next plane.
  template <class S>
  void to_planes(const S* places, Index padded, S* z) const {
    constexpr Index width = Simd<S>::width;
    const Index size = out_size();
    if (size < width) {
      for (Index p = 0; p < size; ++p)
        for (Index o = 0; o < outputs_; ++o) z[o * size + p] = places[p * padded + o];
      return;
    }
    for (Index p = 0; p < size; p += width) {
      const Index at = std::min(p, size - width);
      detail::pack_transposed(width, outputs_, places + at * padded, padded, z + at, size);
    }
  }

  /// A column may reach into the next ones of the tile, which are stored later: masked stores are slow on some processors.
  template <int V, int N, class S>
  [[gnu::always_inline]] inline void gradient_tile(const S* image, const Index* offsets, const S* panels, S* grad, Index last) const {
    using K = Simd<S>;
    const S* at[std::size_t{N}];
    typename K::Vector sum[std::size_t{N}][std::size_t{V}];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
      at[n] = image + offsets[n];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[n][v] = detail::load_at_most(grad + n * outputs_ + v * K::width, v == V - 1 ? last : K::width);
    }
    for (Index y = 0; y < out_height_; ++y) {
      for (Index x = 0; x < out_width_; ++x, panels += V * K::width) {
        typename K::Vector column[std::size_t{V}];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) column[v] = detail::in_register(K::load(panels + v * K::width));
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) {
          const auto factor = K::broadcast(at[n][x]);
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) sum[n][v] = K::fma(column[v], factor, sum[n][v]);
        }
      }
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) at[n] += stride_ * row_;
    }
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        S* to = grad + n * outputs_ + v * K::width;
        const bool fits = last == K::width || (outputs_ <= V * K::width && n * outputs_ + V * K::width <= N * outputs_);
        v == V - 1 && !fits ? K::store_first(to, sum[n][v], last) : K::store(to, sum[n][v]);
      }
    }
  }

  Index channels_ = 0, height_ = 0, width_ = 0, spacing_ = 1, top_ = 0, left_ = 0;
  Index outputs_ = 0, kernel_height_ = 0, kernel_width_ = 0, stride_ = 1;
  Index out_height_ = 0, out_width_ = 0;
  Index phase_ = 0, row_ = 0, plane_ = 0;  // distances in an image
  std::vector<Index> offsets_;             // of the places of a chain, from the first
};

/// sum (rows) += a 1, a (rows,cols) from pack_panels: in every row one sequential sum over the columns. A bias gradient.
template <class S>
void sum_panels(Index rows, Index cols, const S* panels, S* sum) {
  using K = Simd<S>;
  const auto split = detail::split_panels<S>(rows);
  for (Index i = 0; i < split.parts; ++i) {
    const Index row = split.begin(i) * K::width, height = split.count(i) * K::width;
    detail::with_constant<detail::most_tile_vectors<S>>(split.count(i), [&](auto v) {
      constexpr int V = v;
      const Index last = std::min(K::width, rows - row - (height - K::width));
      const S* a = panels + row * cols;
      typename K::Vector total[std::size_t{V}];
      for (int u = 0; u < V; ++u) total[u] = detail::load_at_most(sum + row + u * K::width, u == V - 1 ? last : K::width);
      for (Index p = 0; p < cols; ++p, a += height)
        for (int u = 0; u < V; ++u) total[u] = K::add(total[u], K::load(a + u * K::width));
      for (int u = 0; u < V; ++u) K::store_first(sum + row + u * K::width, total[u], u == V - 1 ? last : K::width);
    });
  }
}

}  // namespace parade::kernels
