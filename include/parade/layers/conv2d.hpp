// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <stdexcept>

#include <parade/concepts/layer.hpp>
#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/convolution.hpp>
#include <parade/layers/initialization.hpp>

namespace parade {

/// Height and width of a kernel or a window; one number stands for both.
struct Extent {
  Index height, width;
  constexpr Extent(Index both) : height(both), width(both) {}
  constexpr Extent(Index height_, Index width_) : height(height_), width(width_) {}
  friend bool operator==(const Extent&, const Extent&) = default;
};

struct Conv2dOptions {
  Index stride = 1;   // ≥ 1
  Index padding = 0;  // ≥ 0, zeros on every side; below both sides of the kernel
  Initialization initialization = Initialization::he;
};

/// Convolution of images (in deep learning's sense: the kernel is not turned):
///
///   z(o, y, x) = b(o) + Σ_{c,i,j} w(o, c, i, j) a(c, y·stride + i − padding, x·stride + j − padding)
///
///   parade::Conv2d{1, 6, 5}                          // 1 channel in, 6 out, kernel 5 × 5: 28 × 28 becomes 24 × 24
///   parade::Conv2d{1, 6, 5, {.padding = 2}}          // … stays 28 × 28
///   parade::Conv2d{3, 16, {3, 5}, {.stride = 2}}     // kernel 3 high, 5 wide
///
/// Takes in × height × width, gives out × (⌊(height + 2 padding − kernel) / stride⌋ + 1) × …. Parameters: `weight` (out, in·kernel height·kernel width), column
/// (c·height + i)·width + j, PyTorch's out × in × height × width one output a row; `bias` (out).
///
/// Every element of a result, a gradient too, is one chain of fused multiply-adds; see kernels/convolution.hpp. A sample is computed by itself.
/// (LeCun, Bottou, Bengio, Haffner: "Gradient-based learning applied to document recognition", 1998.)
/// Throws std::invalid_argument for numbers below 1, OptionError for options that break their rules.
class Conv2d {
 public:
  using SampleBySampleOf = Conv2d;
  static constexpr const char* name = "Conv2d";
  static constexpr bool needs_output = false;

  Conv2d(Index in, Index out, Extent kernel, Conv2dOptions options = {}) : in_(in), out_(out), kernel_(kernel), options_(options) {
    if (in < 1 || out < 1 || kernel.height < 1 || kernel.width < 1)
      throw std::invalid_argument(detail::text("Conv2d must have at least 1 channel in and out and a kernel of at least 1 × 1; got ", in,
                                               ", ", out, " and ", kernel.height, " × ", kernel.width));
    if (options.stride < 1) throw OptionError(detail::text("stride must be at least 1; got ", options.stride));
    if (options.padding < 0 || options.padding >= kernel.height || options.padding >= kernel.width)
      throw OptionError(
          detail::text("padding must be at least 0 and below the kernel, ", kernel.height, " × ", kernel.width, "; got ", options.padding));
  }

  Shape connect(const Shape& input) {
    gives_input_gradient_ = true;
    detail::want_image(input);
    if (input.channels() != in_)
      throw std::invalid_argument(detail::text("it wants ", in_, in_ == 1 ? " channel" : " channels", "; got ", input));
    const Index pad = options_.padding, image_height = input.height() + 2 * pad, image_width = input.width() + 2 * pad;
    if (image_height < kernel_.height || image_width < kernel_.width)
      throw std::invalid_argument(detail::text("its kernel, ", kernel_.height, " × ", kernel_.width, ", is larger than the padded image, ",
                                               image_height, " × ", image_width));
    forward_ = kernels::Convolution(in_, input.height(), input.width(), 1, pad, pad, image_height, image_width, out_, kernel_.height,
                                    kernel_.width, options_.stride);
    // ∂J/∂X is a convolution of ∂J/∂Z, its elements `stride` apart, with the kernel turned around.
    backward_ = kernels::Convolution(out_, forward_.out_height(), forward_.out_width(), options_.stride, kernel_.height - 1 - pad,
                                     kernel_.width - 1 - pad, input.height() + kernel_.height - 1, input.width() + kernel_.width - 1, in_,
                                     kernel_.height, kernel_.width, 1);
    return {out_, forward_.out_height(), forward_.out_width()};
  }
  void without_input_gradient() { gives_input_gradient_ = false; }

  ParameterList parameters() const { return {{"weight", out_, inner()}, {"bias", out_, 1, Role::bias}}; }
  template <class S>
  void initialize(VectorRef<S> theta, std::uint64_t seed, std::uint64_t stream) const {
    detail::initialize_weight<S>({theta.data(), out_, inner()}, options_.initialization, seed, stream, inner(), out_ * area());
    theta.tail(out_).setZero();
  }

  template <class S>
  struct Prepared {
    Vector<S> weight;  // packed
    Vector<S> turned;  // packed for ∂J/∂X; empty where nobody needs it
    Vector<S> bias;    // (out)
  };
  template <class S>
  void reserve(Prepared<S>& prepared) const {
    prepared.weight.setZero(forward_.packed_size<S>());
    if (gives_input_gradient_) prepared.turned.setZero(backward_.packed_size<S>());
    prepared.bias.resize(out_);
  }
  Index num_preparations() const { return 1; }
  template <class S>
  void prepare(const ConstVectorRef<S>& theta, Index, Prepared<S>& prepared) const {
    prepare(theta.data(), {0, inner() * out_}, prepared);
    prepare(theta.data() + inner() * out_, {inner() * out_, (inner() + 1) * out_}, prepared);
  }
  template <class S>
  void prepare(const S* theta, Range range, Prepared<S>& prepared) const {
    const Index weights = inner() * out_;
    if (range.begin >= weights) {
      std::copy_n(theta, range.size(), prepared.bias.data() + (range.begin - weights));
      return;
    }
    for (Index o = 0; o < out_; ++o) {
      const auto place = forward_.place_of<S>(o);
      kernels::Convolution::Place turned{0, 0};
      Index channel = -1;
      for (Index k = (range.begin - o + out_ - 1) / out_; k * out_ + o < range.end; ++k) {
        const S weight = theta[k * out_ + o - range.begin];
        prepared.weight[place.first + k * place.step] = weight;
        if (!gives_input_gradient_) continue;
        if (const Index c = k / area(); c != channel) turned = backward_.place_of<S>(channel = c);
        prepared.turned[turned.first + (o * area() + area() - 1 - k % area()) * turned.step] = weight;
      }
    }
  }

  template <class S>
  struct Workspace {
    Vector<S> image, delta_image;  // of one sample, in a frame of zeros
    Vector<S> scratch;             // a result with its channels beside each other
  };
  template <class S>
  void reserve(Workspace<S>& workspace, Index) const {
    workspace.image.setZero(forward_.image_size());
    workspace.delta_image.setZero(gives_input_gradient_ ? backward_.image_size() : 0);
    workspace.scratch.setZero(
        std::max({kernels::packed_size<S>(out_, forward_.out_size()), forward_.scratch_size<S>(), backward_.scratch_size<S>()}));
  }

  template <class S>
  void forward(const Prepared<S>& theta, const ConstMatrixRef<S>& x, MatrixRef<S> z, Workspace<S>& own) const {
    for (Index j = 0; j < x.cols(); ++j) {
      forward_.place(x.data() + j * x.outerStride(), own.image.data());
      forward_.apply(own.image.data(), theta.weight.data(), theta.bias.data(), z.data() + j * z.outerStride(), own.scratch.data());
    }
  }
  template <class S>
  void input_gradient(const Prepared<S>& theta, const ConstMatrixRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz,
                      MatrixRef<S> dx, Workspace<S>& own) const {
    for (Index j = 0; j < dz.cols(); ++j) {
      backward_.place(dz.data() + j * dz.outerStride(), own.delta_image.data());
      backward_.apply(own.delta_image.data(), theta.turned.data(), static_cast<const S*>(nullptr), dx.data() + j * dx.outerStride(),
                      own.scratch.data());
    }
  }
  template <class S>
  void add_gradient(const Prepared<S>&, const ConstMatrixRef<S>& x, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz,
                    Workspace<S>& own, VectorRef<S> grad) const {
    const Index places = forward_.out_size();
    for (Index j = 0; j < x.cols(); ++j) {
      const S* delta = dz.data() + j * dz.outerStride();
      forward_.place(x.data() + j * x.outerStride(), own.image.data());
      forward_.pack_planes(delta, own.scratch.data());
      forward_.add_weight_gradient(own.image.data(), own.scratch.data(), grad.data());
      kernels::sum_panels(out_, places, own.scratch.data(), grad.data() + inner() * out_);
    }
  }

 private:
  Index area() const { return kernel_.height * kernel_.width; }
  Index inner() const { return in_ * area(); }

  Index in_, out_;
  Extent kernel_;
  Conv2dOptions options_;
  bool gives_input_gradient_ = true;
  kernels::Convolution forward_, backward_;
};

static_assert(Layer<Conv2d, float> && Layer<Conv2d, double>);

}  // namespace parade
