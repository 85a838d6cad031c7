// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/concepts/dataset.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/cos_pi.hpp>
#include <parade/core/error.hpp>
#include <parade/core/random.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>

namespace parade {

/// What is done to each image at random. Lengths are in pixels, and "up to a" is uniform in [−a, a].
struct AugmentOptions {
  double shift = 0;              // up to this, down and to the right, each by itself
  double rotate = 0;             // degrees, up to this; at most 180
  double scale = 0;              // by a factor in [1 − scale, 1 + scale]; below 1
  bool flip_horizontal = false;  // left and right, half of the images
  bool flip_vertical = false;    // up and down
  double elastic = 0;            // α of the elastic distortion
  double elastic_width = 4;      // σ of its Gaussian
  double noise = 0;              // deviation of normal noise that is added to every value
  double fill = 0;               // what is outside of the image
  std::uint64_t seed = 0;
};

/// Images of another data set, each of them changed at random in every epoch: so many more samples than there are, of which each keeps its
/// label.
///
///   const parade::Augmented data{train, 1, 28, 28, {.shift = 2, .rotate = 10, .scale = 0.1}};     // channels, height, width
///   trainer.fit(data, {.epochs = 20});
///   trainer.accuracy(test);                                                                       // which stays as it is
///
/// Every pixel of the new image is read at a place of the old one, between its pixels by bilinear interpolation:
///
///   place(p) = c + A (p − c − t) + e(p)        c the centre, A: flip, rotation and scale, t the shift, e the elastic distortion
///
/// e is what Simard, Steinkraus and Platt describe ("Best practices for convolutional neural networks applied to visual document
/// analysis", ICDAR 2003): for each pixel and direction a number in [−1, 1), smoothed by a Gaussian of deviation σ that sums to 1, times
/// α. For 29 × 29 digits they take α = 34, σ = 4. All channels of an image move alike. Noise comes last.
///
/// What is drawn depends on (seed, epoch, number of the sample) and nothing else: the same on any number of threads, in batches and shards
/// of any size, on every machine. Trainer tells it the epoch before each of them, from 0 on; who brings batches himself calls begin_epoch.
/// Two runs at the same time need two copies.
///
/// Throws DataError where the data's features are not channels · height · width, OptionError for a setting that breaks a rule.
template <class D>
  requires HasSize<D> && SaysTargets<D>
class Augmented {
 public:
  using SampleBySampleOf = std::conditional_t<SampleBySample<D>, Augmented, void>;

  Augmented(D data, Index channels, Index height, Index width, const AugmentOptions& options)
      : data_(std::move(data)), channels_(channels), height_(height), width_(width), options_(options) {
    using detail::check_option;
    constexpr Index most = 1 << 26;
    check_option(channels >= 1 && channels <= most, "Augmented.channels", "in [1, 2^26]", channels);
    check_option(height >= 1 && height <= most, "Augmented.height", "in [1, 2^26]", height);
    check_option(width >= 1 && width <= most / height, "Augmented.width", "in [1, 2^26 / height]", width);
    if (data_.num_features() != channels * height * width)
      throw DataError(detail::text("the data must have channels x height x width = ", channels, " x ", height, " x ", width, " = ",
                                   channels * height * width, " features; got ", data_.num_features()));
    detail::check_not_negative("AugmentOptions.shift", options.shift);
    check_option(options.rotate >= 0 && options.rotate <= 180, "AugmentOptions.rotate", "in [0, 180]", options.rotate);
    detail::check_below_one("AugmentOptions.scale", options.scale);
    detail::check_not_negative("AugmentOptions.elastic", options.elastic);
    check_option(options.elastic_width > 0 && options.elastic_width <= 1000, "AugmentOptions.elastic_width", "in (0, 1000]",
                 options.elastic_width);
    detail::check_not_negative("AugmentOptions.noise", options.noise);
    check_option(std::isfinite(options.fill), "AugmentOptions.fill", "finite", options.fill);
    if (options.elastic > 0) make_gaussian();
  }

  Index size() const { return data_.size(); }
  Index num_features() const { return data_.num_features(); }
  bool has_labels() const { return data_.has_labels(); }
  Index num_targets() const { return data_.num_targets(); }
  bool has_weights() const requires requires(const D& d) { d.has_weights(); }
  { return data_.has_weights(); }
  auto label(Index s) const requires requires(const D& d) { d.label(Index{}); }
  { return data_.label(s); }
  const D& data() const { return data_; }

  /// From now on samples are those of this epoch.
  void begin_epoch(Index epoch) const {
    epoch_.number.store(epoch, std::memory_order_relaxed);
    if constexpr (requires { data_.begin_epoch(epoch); }) data_.begin_epoch(epoch);
  }
  Index epoch() const { return epoch_.number.load(std::memory_order_relaxed); }

  template <class Batch>
    requires HasGather<D, Batch>
  void reserve(Batch& batch, Index capacity) const { data_.reserve(batch, capacity); }

  /// Allocates nothing but room for an image or two, which each thread takes once and keeps.
  template <class Batch>
    requires HasGather<D, Batch>
  void gather(std::span<const Index> samples, Batch& batch) const {
    data_.gather(samples, batch);
    const Random of_epoch{options_.seed, Purpose::augment, static_cast<std::uint64_t>(epoch())};
    for (Index j = 0; j < batch.size; ++j) {
      const auto sample = static_cast<std::uint64_t>(samples[static_cast<std::size_t>(j)]);
      change(batch.x.col(j).data(), Random{of_epoch.bits(sample), Purpose::augment});
    }
  }

 private:
  /// An atomic number that is copied with its data set: a worker that is late may still read it while the next epoch begins, and what it
  /// gathers then is thrown away.
  struct Epoch {
    std::atomic<Index> number{0};
    Epoch() = default;
    Epoch(const Epoch& other) : number(other.number.load(std::memory_order_relaxed)) {}
    Epoch& operator=(const Epoch& other) {
      number.store(other.number.load(std::memory_order_relaxed), std::memory_order_relaxed);
      return *this;
    }
  };

  struct Room {
    std::vector<double> image, down, right, smoothed;
  };

  /// Where the draws of an image begin: each kind has numbers of its own, whatever the others are set to.
  enum Draw : std::uint64_t { rotation, factor, shift_down, shift_right, flips, field = 1ull << 32, grain = 1ull << 40 };

  double up_to(const Random& random, Draw draw, double most) const { return random.uniform(draw, -most, most); }

  bool moves() const {
    return options_.shift > 0 || options_.rotate > 0 || options_.scale > 0 || options_.flip_horizontal || options_.flip_vertical ||
           options_.elastic > 0;
  }

  template <class Scalar>
  void change(Scalar* x, const Random& random) const {
    if (moves()) move(x, random);
    if (options_.noise > 0) add_noise(x, random);
  }

  /// Normal numbers by Box and Muller.
  template <class Scalar>
  void add_noise(Scalar* x, const Random& random) const {
    constexpr Index chunk = 64;
    double radii[chunk];
    const Index d = num_features();
    for (Index begin = 0; begin < d; begin += chunk) {
      const Index count = std::min(chunk, d - begin);
      const auto draw = [begin](Index i) { return 2 * (grain + static_cast<std::uint64_t>(begin + i)); };
      for (Index i = 0; i < count; ++i) radii[i] = 1 - random.uniform(draw(i));  // (0, 1]
      kernels::transform(radii, count, [](auto v) { return kernels::log<double>(v); });
      for (Index i = 0; i < count; ++i) {
        const double normal = std::sqrt(-2 * radii[i]) * detail::cos_pi(random.uniform(draw(i) + 1));
        x[begin + i] = static_cast<Scalar>(std::fma(options_.noise, normal, static_cast<double>(x[begin + i])));
      }
    }
  }

  template <class Scalar>
  void move(Scalar* x, const Random& random) const {
    thread_local Room room;
    const Index pixels = height_ * width_;
    // A, from the new image to the old one: sizes are divided by the factor.
    const double turn = up_to(random, rotation, options_.rotate) / 180, across = std::abs(turn);
    const double cosine = detail::cos_pi(across), sine = std::copysign(detail::cos_pi(std::abs(0.5 - across)), turn);
    const double size = 1 / (1 + up_to(random, factor, options_.scale));
    const std::uint64_t coins = random.bits(flips);
    const double vertical = options_.flip_vertical && (coins & 1) ? -size : size,
                 horizontal = options_.flip_horizontal && (coins & 2) ? -size : size;
    const double yy = vertical * cosine, yx = vertical * sine, xy = -horizontal * sine, xx = horizontal * cosine;
    const double middle_y = static_cast<double>(height_ - 1) / 2, middle_x = static_cast<double>(width_ - 1) / 2;
    const double down = middle_y + up_to(random, shift_down, options_.shift), right = middle_x + up_to(random, shift_right, options_.shift);
    if (options_.elastic > 0) {
      draw_field(random, field, room.down, room.smoothed);
      draw_field(random, field + static_cast<std::uint64_t>(pixels), room.right, room.smoothed);
    }
    room.image.resize(static_cast<std::size_t>(channels_ * pixels));
    for (Index i = 0; i < channels_ * pixels; ++i) room.image[static_cast<std::size_t>(i)] = static_cast<double>(x[i]);
    for (Index r = 0; r < height_; ++r)
      for (Index c = 0; c < width_; ++c) {
        const double from_y = static_cast<double>(r) - down, from_x = static_cast<double>(c) - right;
        double y = std::fma(yy, from_y, std::fma(yx, from_x, middle_y)), z = std::fma(xy, from_y, std::fma(xx, from_x, middle_x));
        const Index pixel = r * width_ + c;
        if (options_.elastic > 0) {
          y = std::fma(options_.elastic, room.down[static_cast<std::size_t>(pixel)], y);
          z = std::fma(options_.elastic, room.right[static_cast<std::size_t>(pixel)], z);
        }
        for (Index k = 0; k < channels_; ++k)
          x[k * pixels + pixel] = static_cast<Scalar>(interpolated(room.image.data() + k * pixels, y, z));
      }
  }

  /// The value at row y and column x of an image, between pixels.
  double interpolated(const double* image, double y, double x) const {
    const double top = std::floor(y), left = std::floor(x);
    if (!(top >= -1 && top < static_cast<double>(height_) && left >= -1 && left < static_cast<double>(width_))) return options_.fill;
    const auto r = static_cast<Index>(top), c = static_cast<Index>(left);
    const auto at = [&](Index i, Index j) { return i >= 0 && i < height_ && j >= 0 && j < width_ ? image[i * width_ + j] : options_.fill; };
    const auto between = [](double share, double a, double b) { return std::fma(share, b - a, a); };
    const double aside = x - left;
    return between(y - top, between(aside, at(r, c), at(r, c + 1)), between(aside, at(r + 1, c), at(r + 1, c + 1)));
  }

  /// A smooth field: for each pixel a number in [−1, 1), and then the Gaussian along columns and rows; outside there is 0.
  void draw_field(const Random& random, std::uint64_t draw, std::vector<double>& to, std::vector<double>& room) const {
    const auto pixels = static_cast<std::size_t>(height_ * width_);
    to.resize(pixels);
    room.resize(pixels);
    for (std::size_t i = 0; i < pixels; ++i) to[i] = random.uniform(draw + i, -1, 1);
    const auto reach = static_cast<Index>(gaussian_.size()) - 1;
    // to_j = Σ_k gaussian_|k| from_{j+k}, k rising: for all pixels of a row at a time.
    std::fill(room.begin(), room.end(), 0.0);
    for (Index r = 0; r < height_; ++r)
      for (Index k = std::max<Index>(0, r - reach); k <= std::min(height_ - 1, r + reach); ++k)
        add_times(gaussian_[static_cast<std::size_t>(std::abs(k - r))], to.data() + k * width_, room.data() + r * width_, width_);
    std::fill(to.begin(), to.end(), 0.0);
    for (Index r = 0; r < height_; ++r)
      for (Index k = std::max(-reach, 1 - width_); k <= std::min(reach, width_ - 1); ++k) {
        const Index from = std::max<Index>(0, -k);
        add_times(gaussian_[static_cast<std::size_t>(std::abs(k))], room.data() + r * width_ + from + k, to.data() + r * width_ + from,
                  width_ - std::abs(k));
      }
  }
  static void add_times(double factor, const double* from, double* to, Index size) {
    for (Index i = 0; i < size; ++i) to[i] = std::fma(factor, from[i], to[i]);
  }
  /// exp(−i²/2σ²), i = 0 … ⌈3σ⌉, divided by their sum over both sides.
  void make_gaussian() {
    gaussian_.resize(static_cast<std::size_t>(std::ceil(3 * options_.elastic_width)) + 1);
    for (std::size_t i = 0; i < gaussian_.size(); ++i) {
      const double t = static_cast<double>(i) / options_.elastic_width;
      gaussian_[i] = -t * t / 2;
    }
    kernels::transform(gaussian_.data(), static_cast<Index>(gaussian_.size()), [](auto v) { return kernels::exp<double>(v); });
    double sum = 0;
    for (std::size_t i = gaussian_.size(); i-- > 1;) sum += gaussian_[i];
    const double total = gaussian_[0] + 2 * sum;  // a product by 2 is exact, fused or not
    for (double& weight : gaussian_) weight /= total;
  }

  D data_;
  Index channels_, height_, width_;
  AugmentOptions options_;
  std::vector<double> gaussian_;  // one side
  mutable Epoch epoch_;
};

}  // namespace parade
