// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <stdexcept>

#include <parade/concepts/layer.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/pooling.hpp>

namespace parade {

struct PoolingOptions {
  Index stride = 0;  // ≥ 1, or 0 for the window's side
};

namespace detail {

/// What MaxPool2d and AvgPool2d share: windows of window × window, `stride` apart, in each channel by itself; what is left over at the right and below is dropped.
class Pooling {
 public:
  Pooling(Index window, PoolingOptions options) : window_(window), stride_(options.stride == 0 ? window : options.stride) {
    if (window < 1) throw std::invalid_argument(text("the window must be at least 1; got ", window));
    if (options.stride < 0) throw OptionError(text("stride must be at least 1, or 0 for the window's side; got ", options.stride));
  }

  Shape connect(const Shape& input) {
    want_image(input);
    if (input.height() < window_ || input.width() < window_)
      throw std::invalid_argument(text("its window, ", window_, " × ", window_, ", is larger than the image, ", input));
    windows_ = {input.height(), input.width(), window_, stride_};
    channels_ = input.channels();
    return {channels_, windows_.out_height(), windows_.out_width()};
  }

 protected:
  /// f(offset in a column of X, offset in a column of Z, sample) for every plane of every sample
  template <class F>
  void for_each_plane(Index samples, const F& f) const {
    for (Index j = 0; j < samples; ++j)
      for (Index c = 0; c < channels_; ++c) f(c * windows_.height * windows_.width, c * windows_.out_height() * windows_.out_width(), j);
  }

  Index window_, stride_;
  kernels::Windows windows_{};
  Index channels_ = 0;
};

}  // namespace detail

/// The largest element of every window: z(c, y, x) = max_{i,j} a(c, y·stride + i, x·stride + j). The gradient goes to the first of equal ones, row by row; to
/// the first NaN if there is one, which stays.
///
///   parade::MaxPool2d{2}                    // halves height and width
///   parade::MaxPool2d{3, {.stride = 2}}     // windows overlap
class MaxPool2d : public detail::Pooling {
 public:
  using SampleBySampleOf = MaxPool2d;
  static constexpr const char* name = "MaxPool2d";
  static constexpr bool takes_maximum = true;

  static constexpr bool needs_input = false;
  static constexpr bool needs_output = false;

  explicit MaxPool2d(Index window, PoolingOptions options = {}) : Pooling(window, options) {}

  template <class S>
  struct Workspace {
    Eigen::Matrix<kernels::Choice<S>, Eigen::Dynamic, Eigen::Dynamic> choices;  // as Z
  };
  template <class S>
  void reserve(Workspace<S>& own, Index samples) const {
    own.choices.resize(channels_ * windows_.out_height() * windows_.out_width(), samples);
  }

  template <class S>
  void forward(const ConstVectorRef<S>&, const ConstMatrixRef<S>& x, MatrixRef<S> z, Workspace<S>& own) const {
    for_each_plane(x.cols(), [&](Index from, Index to, Index j) {
      kernels::max_pool(windows_, x.data() + j * x.outerStride() + from, z.data() + j * z.outerStride() + to,
                        own.choices.data() + j * own.choices.rows() + to);
    });
  }
  template <class S>
  void input_gradient(const ConstVectorRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz,
                      MatrixRef<S> dx, Workspace<S>& own) const {
    for_each_plane(dz.cols(), [&](Index from, Index to, Index j) {
      kernels::max_pool_gradient(windows_, own.choices.data() + j * own.choices.rows() + to, dz.data() + j * dz.outerStride() + to,
                                 dx.data() + j * dx.outerStride() + from);
    });
  }
};

/// The mean of every window: z(c, y, x) = Σ_{i,j} a(c, y·stride + i, x·stride + j) / window².
class AvgPool2d : public detail::Pooling {
 public:
  using SampleBySampleOf = AvgPool2d;
  static constexpr const char* name = "AvgPool2d";
  static constexpr bool needs_input = false;
  static constexpr bool needs_output = false;

  explicit AvgPool2d(Index window, PoolingOptions options = {}) : Pooling(window, options) {}

  template <class S>
  void forward(const ConstVectorRef<S>&, const ConstMatrixRef<S>& x, MatrixRef<S> z, auto&) const {
    for_each_plane(x.cols(), [&](Index from, Index to, Index j) {
      kernels::mean_pool(windows_, x.data() + j * x.outerStride() + from, z.data() + j * z.outerStride() + to);
    });
  }
  template <class S>
  void input_gradient(const ConstVectorRef<S>&, const ConstMatrixRef<S>& x, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz,
                      MatrixRef<S> dx, auto&) const {
    for_each_plane(x.cols(), [&](Index from, Index to, Index j) {
      kernels::mean_pool_gradient(windows_, dz.data() + j * dz.outerStride() + to, dx.data() + j * dx.outerStride() + from);
    });
  }
};

static_assert(Layer<MaxPool2d, float> && Layer<AvgPool2d, double>);

}  // namespace parade
