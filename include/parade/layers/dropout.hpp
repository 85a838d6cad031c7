// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include <parade/concepts/layer.hpp>
#include <parade/core/error.hpp>
#include <parade/core/random.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// While the network is trained, each unit is 0 with probability p, else x / (1 − p); in evaluation z = x.
///
///   parade::Dropout{0.5}
///
/// Which units are left out is drawn by (seed, step, number of the layer, sample, unit) and nothing else: the same on any number of threads and in shards of any
/// size. A sample that stands twice in a batch is drawn once.
/// (Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: "Dropout", JMLR 15, 2014.) Throws OptionError unless p is in [0, 1).
class Dropout {
 public:
  using SampleBySampleOf = Dropout;
  static constexpr const char* name = "Dropout";
  static constexpr bool in_place = true;
  static constexpr bool needs_input = false;
  static constexpr bool needs_output = false;

  explicit Dropout(double p = 0.5) : p_(p) {
    if (!(p >= 0 && p < 1)) throw OptionError(detail::text("p, the share of units that Dropout leaves out, must be in [0, 1); got ", p));
  }

  double p() const { return p_; }
  Shape connect(const Shape& input) {
    units_ = input.size();
    return input;
  }

  template <class S>
  struct Workspace {
    Matrix<S> factors;  // (d,m): 0 or 1 / (1 − p)
    bool training = false;
  };
  template <class S>
  void reserve(Workspace<S>& own, Index samples) const {
    own.factors.resize(units_, samples);
  }

  template <class S>
  void forward(const ConstVectorRef<S>&, const ConstMatrixRef<S>& x, MatrixRef<S> z, Workspace<S>& own) const {
    own.training = false;
    if (z.data() != x.data()) z = x;
  }

  template <class S>
  void forward_training(const ConstVectorRef<S>&, const ConstMatrixRef<S>& x, MatrixRef<S> z, Workspace<S>& own,
                        const LayerContext& at) const {
    own.training = true;
    const S factor = static_cast<S>(1 / (1 - p_));
    const auto threshold = static_cast<std::uint64_t>(std::ldexp(p_, 32));  // of 32 random bits
    const std::uint64_t of_layer = Random(at.seed, Purpose::dropout, at.layer).bits(static_cast<std::uint64_t>(at.step));
    const std::array<std::uint32_t, 2> key{static_cast<std::uint32_t>(of_layer), static_cast<std::uint32_t>(of_layer >> 32)};
    for (Index j = 0; j < x.cols(); ++j) {
      const auto sample = static_cast<std::uint64_t>(at.samples[static_cast<std::size_t>(j)]);
      S* factors = own.factors.data() + j * units_;
      for (Index i = 0; i < units_; i += 4) {
        const auto words = philox({static_cast<std::uint32_t>(i / 4), static_cast<std::uint32_t>(sample),
                                   static_cast<std::uint32_t>(sample >> 32), static_cast<std::uint32_t>(Purpose::dropout)},
                                  key);
        for (Index k = 0; k < std::min<Index>(4, units_ - i); ++k)
          factors[i + k] = words[static_cast<std::size_t>(k)] < threshold ? S{0} : factor;
      }
    }
    times_factors<S>(x, z, own);
  }

  template <class S>
  void input_gradient(const ConstVectorRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz,
                      MatrixRef<S> dx, Workspace<S>& own) const {
    if (own.training)
      times_factors<S>(dz, dx, own);
    else if (dx.data() != dz.data())
      dx = dz;
  }

 private:
  /// What is left out is 0, whatever it was.
  template <class S>
  void times_factors(const ConstMatrixRef<S>& from, MatrixRef<S> to, const Workspace<S>& own) const {
    for (Index j = 0; j < from.cols(); ++j) {
      const S *a = from.data() + j * from.outerStride(), *factors = own.factors.data() + j * units_;
      S* b = to.data() + j * to.outerStride();
      for (Index i = 0; i < units_; ++i) b[i] = factors[i] == S{0} ? S{0} : a[i] * factors[i];
    }
  }

  double p_;
  Index units_ = 0;
};

static_assert(Layer<Dropout> && LayerTrainsDifferently<Dropout, float>);

}  // namespace parade
