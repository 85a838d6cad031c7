// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <parade/concepts/layer.hpp>
#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>

namespace parade {

struct LayerNormOptions {
  double epsilon = 1e-5;  // > 0, added to the variance
};

/// Every sample by itself, over all its features: z_i = w_i (x_i − mean) / √(variance + ε) + b_i, mean and variance (biased) over i.
///
/// Any shape. Parameters: `weight` (features), which starts at 1, and `bias` (features), at 0; both have Role::bias: they are not regularized unless a regularizer
/// asks for biases. Sums are taken in double. (Ba, Kiros, Hinton: "Layer normalization", 2016.) Throws OptionError unless ε > 0.
class LayerNorm {
 public:
  using SampleBySampleOf = LayerNorm;
  static constexpr const char* name = "LayerNorm";
  static constexpr bool needs_output = false;

  explicit LayerNorm(LayerNormOptions options = {}) : options_(options) {
    if (!(options.epsilon > 0 && std::isfinite(options.epsilon)))
      throw OptionError(detail::text("epsilon must be above 0; got ", options.epsilon));
  }

  Shape connect(const Shape& input) {
    size_ = input.size();
    return input;
  }
  ParameterList parameters() const { return {{"weight", size_, 1, Role::bias}, {"bias", size_, 1, Role::bias}}; }
  template <class S>
  void initialize(VectorRef<S> theta, std::uint64_t, std::uint64_t) const {
    theta.head(size_).setOnes();
    theta.tail(size_).setZero();
  }

  template <class S>
  struct Workspace {
    Vector<S> mean, scale;  // (m): of each sample; scale = 1 / √(variance + ε)
  };
  template <class S>
  void reserve(Workspace<S>& own, Index samples) const {
    own.mean.resize(samples);
    own.scale.resize(samples);
  }

  template <class S>
  void forward(const ConstVectorRef<S>& theta, const ConstMatrixRef<S>& x, MatrixRef<S> z, Workspace<S>& own) const {
    const S *weight = theta.data(), *bias = weight + size_;
    for (Index j = 0; j < x.cols(); ++j) {
      const S* from = x.data() + j * x.outerStride();
      S* to = z.data() + j * z.outerStride();
      double sum = 0, squares = 0;
      for (Index i = 0; i < size_; ++i) sum += static_cast<double>(from[i]);
      const double mean = sum / static_cast<double>(size_);
      for (Index i = 0; i < size_; ++i) {
        const double away = static_cast<double>(from[i]) - mean;
        squares = std::fma(away, away, squares);
      }
      own.mean[j] = static_cast<S>(mean);
      own.scale[j] = static_cast<S>(1 / std::sqrt(squares / static_cast<double>(size_) + options_.epsilon));
      for (Index i = 0; i < size_; ++i) to[i] = std::fma((from[i] - own.mean[j]) * own.scale[j], weight[i], bias[i]);
    }
  }

  template <class S>
  void add_gradient(const ConstVectorRef<S>&, const ConstMatrixRef<S>& x, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz,
                    Workspace<S>& own, VectorRef<S> grad) const {
    S *weight = grad.data(), *bias = weight + size_;
    for (Index j = 0; j < x.cols(); ++j) {
      for (Index i = 0; i < size_; ++i) {
        weight[i] = std::fma(dz(i, j), (x(i, j) - own.mean[j]) * own.scale[j], weight[i]);
        bias[i] += dz(i, j);
      }
    }
  }

  template <class S>
  void input_gradient(const ConstVectorRef<S>& theta, const ConstMatrixRef<S>& x, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz,
                      MatrixRef<S> dx, Workspace<S>& own) const {
    const S* weight = theta.data();
    for (Index j = 0; j < x.cols(); ++j) {
      const S mean = own.mean[j], scale = own.scale[j];
      const auto normalized = [&](Index i) { return (x(i, j) - mean) * scale; };
      double sum = 0, inner = 0;  // Σ g_i and Σ g_i x̂_i, g = w ⊙ dz
      for (Index i = 0; i < size_; ++i) {
        const auto w = static_cast<double>(weight[i]), d = static_cast<double>(dz(i, j));
        sum = std::fma(w, d, sum);
        inner = std::fma(w * d, static_cast<double>(normalized(i)), inner);
      }
      const S s = static_cast<S>(sum), t = static_cast<S>(inner), share = static_cast<S>(-1 / static_cast<double>(size_));
      for (Index i = 0; i < size_; ++i) dx(i, j) = scale * std::fma(share, std::fma(normalized(i), t, s), weight[i] * dz(i, j));
    }
  }

 private:
  LayerNormOptions options_;
  Index size_ = 0;
};

struct BatchNormOptions {
  double momentum = 0.1;  // ρ in [0, 1]: share of a step's statistics in the running ones
  double epsilon = 1e-5;  // > 0, added to the variance
};

/// Every feature, of an image every channel, over samples: z = w_c (x − mean_c) / √(variance_c + ε) + b_c.
///
/// While the network is trained, mean and variance (biased) are those of the *shard*, over its samples and all places of the channel: ghost batch normalization
/// (Hoffer, Hubara, Soudry: "Train longer, generalize better", NIPS 2017). So what is computed depends on `shard_size`, and by default on the batch size
/// (ShardPlan), but not on the number of threads. For statistics of the whole batch set shard_size to the batch size. A sample of weight w counts w times, one of
/// weight 0 not at all: weights are counts, so bring others to a mean of about 1.
///
/// In evaluation they are the running ones, parameters with Role::statistic: after every step
///
///   running ← running − g,   g = Σ_shards W_s ρ (running − statistic_s) / W
///
/// where W_s is the weight of a shard, W that of the batch: (1 − ρ) running + ρ · the shards' mean. Of the variance it is the unbiased one, as in PyTorch; a
/// shard with a single value leaves the running variance as it is. So they are summed, updated, hashed and stored as θ is. At first they are 0 and 1.
///
/// Any shape. Parameters: `weight` (c), at first 1, and `bias` (c), at first 0, both with Role::bias: not regularized unless a regularizer asks for biases;
/// `running_mean` (c), `running_variance` (c). Sums are taken in double.
/// (Ioffe, Szegedy: "Batch normalization", ICML 2015.) Throws OptionError for options that break their rules.
class BatchNorm {
 public:
  static constexpr const char* name = "BatchNorm";
  static constexpr bool needs_output = false;
  static constexpr bool sample_by_sample = false;

  explicit BatchNorm(BatchNormOptions options = {}) : options_(options) {
    if (!(options.momentum >= 0 && options.momentum <= 1))
      throw OptionError(detail::text("momentum must be in [0, 1]; got ", options.momentum));
    if (!(options.epsilon > 0 && std::isfinite(options.epsilon)))
      throw OptionError(detail::text("epsilon must be above 0; got ", options.epsilon));
  }

  Shape connect(const Shape& input) {
    channels_ = input.channels();
    places_ = input.height() * input.width();
    return input;
  }
  ParameterList parameters() const {
    return {{"weight", channels_, 1, Role::bias},
            {"bias", channels_, 1, Role::bias},
            {"running_mean", channels_, 1, Role::statistic},
            {"running_variance", channels_, 1, Role::statistic}};
  }
  template <class S>
  void initialize(VectorRef<S> theta, std::uint64_t, std::uint64_t) const {
    theta.setZero();
    theta.head(channels_).setOnes();
    theta.tail(channels_).setOnes();
  }

  template <class S>
  struct Workspace {
    Vector<double> mean, variance;    // (c), of the shard
    Vector<double> d_weight, d_bias;  // (c), of the shard
    Vector<S> center, scale;          // (c): what was taken off, and what was multiplied by, without the weight
    Vector<double> shares;            // (m): w_j / Σ w
    double weight = 0;                // Σ w
    bool training = false;
  };
  template <class S>
  void reserve(Workspace<S>& own, Index samples) const {
    for (auto* vector : {&own.mean, &own.variance, &own.d_weight, &own.d_bias}) vector->resize(channels_);
    for (auto* vector : {&own.center, &own.scale}) vector->resize(channels_);
    own.shares.resize(samples);
  }

  template <class S>
  void forward(const ConstVectorRef<S>& theta, const ConstMatrixRef<S>& x, MatrixRef<S> z, Workspace<S>& own) const {
    own.training = false;
    for (Index c = 0; c < channels_; ++c) {
      own.center[c] = theta[2 * channels_ + c];
      own.scale[c] = static_cast<S>(1 / std::sqrt(static_cast<double>(theta[3 * channels_ + c]) + options_.epsilon));
    }
    normalize(theta, x, z, own);
  }

  template <class S>
  void forward_training(const ConstVectorRef<S>& theta, const ConstMatrixRef<S>& x, MatrixRef<S> z, Workspace<S>& own,
                        const LayerContext& at) const {
    own.training = true;
    own.weight = 0;
    for (Index j = 0; j < x.cols(); ++j) {
      own.shares[j] = at.weights.empty() ? 1 : at.weights[static_cast<std::size_t>(j)];
      own.weight += own.shares[j];
    }
    for (Index j = 0; j < x.cols(); ++j) own.shares[j] = own.weight > 0 ? own.shares[j] / own.weight : 0;
    const double places = static_cast<double>(places_);
    own.mean.setZero();
    own.variance.setZero();
    for_each_run(x.cols(), [&](Index begin, Index c, Index j) {
      double sum = 0;
      for (Index p = 0; p < places_; ++p) sum += static_cast<double>(x(begin + p, j));
      if (own.shares[j] > 0) own.mean[c] = std::fma(own.shares[j] / places, sum, own.mean[c]);
    });
    for_each_run(x.cols(), [&](Index begin, Index c, Index j) {
      double sum = 0;
      for (Index p = 0; p < places_; ++p) {
        const double away = static_cast<double>(x(begin + p, j)) - own.mean[c];
        sum = std::fma(away, away, sum);
      }
      if (own.shares[j] > 0) own.variance[c] = std::fma(own.shares[j] / places, sum, own.variance[c]);
    });
    for (Index c = 0; c < channels_; ++c) {
      own.center[c] = static_cast<S>(own.mean[c]);
      own.scale[c] = static_cast<S>(1 / std::sqrt(own.variance[c] + options_.epsilon));
    }
    normalize(theta, x, z, own);
  }

  template <class S>
  void add_gradient(const ConstVectorRef<S>& theta, const ConstMatrixRef<S>& x, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz,
                    Workspace<S>& own, VectorRef<S> grad) const {
    own.d_weight.setZero();
    own.d_bias.setZero();
    for_each_run(x.cols(), [&](Index begin, Index c, Index j) {
      double sum = own.d_bias[c], inner = own.d_weight[c];
      for (Index p = 0; p < places_; ++p) {
        const S d = dz(begin + p, j), normalized = (x(begin + p, j) - own.center[c]) * own.scale[c];
        sum += static_cast<double>(d);
        inner = std::fma(static_cast<double>(d), static_cast<double>(normalized), inner);
      }
      own.d_bias[c] = sum;
      own.d_weight[c] = inner;
    });
    // Weights count as copies. Sums below 2 are no counts: the variance as it is. Of one value there is no variance.
    const double count = own.weight * static_cast<double>(places_), others = count - 1, unbiased = count >= 2 ? count / others : 1;
    Index present = 0;
    for (Index j = 0; j < x.cols(); ++j) present += own.shares[j] > 0 ? places_ : 0;
    for (Index c = 0; c < channels_; ++c) {
      grad[c] += static_cast<S>(own.d_weight[c]);
      grad[channels_ + c] += static_cast<S>(own.d_bias[c]);
      if (!own.training) continue;
      const double share = own.weight * options_.momentum;
      const auto add_change = [&](Index i, double factor, double statistic) {
        const double change = std::fma(-factor, statistic, static_cast<double>(theta[i]));  // running − statistic
        if (share > 0) grad[i] = static_cast<S>(std::fma(share, change, static_cast<double>(grad[i])));
      };
      add_change(2 * channels_ + c, 1, own.mean[c]);
      if (present > 1) add_change(3 * channels_ + c, unbiased, own.variance[c]);
    }
  }

  template <class S>
  void input_gradient(const ConstVectorRef<S>& theta, const ConstMatrixRef<S>& x, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz,
                      MatrixRef<S> dx, Workspace<S>& own) const {
    for_each_run(x.cols(), [&](Index begin, Index c, Index j) {
      const S factor = theta[c] * own.scale[c];
      if (!own.training) {
        for (Index p = 0; p < places_; ++p) dx(begin + p, j) = factor * dz(begin + p, j);
        return;
      }
      const S sum = static_cast<S>(own.d_bias[c]), inner = static_cast<S>(own.d_weight[c]), center = own.center[c], scale = own.scale[c];
      const S share = static_cast<S>(-own.shares[j] / static_cast<double>(places_));
      for (Index p = 0; p < places_; ++p) {
        const S normalized = (x(begin + p, j) - center) * scale;
        dx(begin + p, j) = factor * std::fma(share, std::fma(normalized, inner, sum), dz(begin + p, j));
      }
    });
  }

 private:
  /// f(first row, channel, sample) for every run of a channel's places, sample by sample
  template <class F>
  void for_each_run(Index samples, const F& f) const {
    for (Index j = 0; j < samples; ++j)
      for (Index c = 0; c < channels_; ++c) f(c * places_, c, j);
  }

  template <class S>
  void normalize(const ConstVectorRef<S>& theta, const ConstMatrixRef<S>& x, MatrixRef<S>& z, const Workspace<S>& own) const {
    for_each_run(x.cols(), [&](Index begin, Index c, Index j) {
      const S center = own.center[c], scale = own.scale[c], weight = theta[c], bias = theta[channels_ + c];
      for (Index p = 0; p < places_; ++p) z(begin + p, j) = std::fma((x(begin + p, j) - center) * scale, weight, bias);
    });
  }

  BatchNormOptions options_;
  Index channels_ = 0, places_ = 0;
};

static_assert(Layer<LayerNorm> && Layer<BatchNorm> && LayerTrainsDifferently<BatchNorm, float>);

}  // namespace parade
