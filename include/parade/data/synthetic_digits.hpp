// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/random.hpp>
#include <parade/data/dense_data.hpp>

namespace parade {
namespace detail {

struct GlyphPoint {
  Index x, y;
};
using GlyphStroke = std::vector<GlyphPoint>;  // corner, control, corner, control, …, corner: quadratic Bézier curves, one behind the other
using Glyph = std::vector<GlyphStroke>;

/// How each digit may be written, in a box of about 70 × 120 units around (0, 0); y points down.
inline const std::array<std::vector<Glyph>, 10>& glyphs() {
  // clang-format off
  static const std::array<std::vector<Glyph>, 10> all{{
      {{{{0, -60}, {36, -60}, {36, 0}, {36, 60}, {0, 60}, {-36, 60}, {-36, 0}, {-36, -60}, {0, -60}}}},
      {{{{0, -60}, {0, 0}, {0, 60}}},
       {{{-18, -36}, {-2, -44}, {6, -60}, {6, 0}, {6, 60}}},
       {{{-16, -38}, {-4, -46}, {4, -60}, {4, 0}, {4, 60}}, {{-22, 60}, {2, 60}, {26, 60}}}},
      {{{{-32, -36}, {-28, -62}, {2, -60}, {36, -56}, {30, -22}, {22, 8}, {-34, 58}, {0, 58}, {36, 58}}},
       {{{-30, -40}, {-20, -62}, {6, -60}, {40, -54}, {24, -10}, {4, 32}, {-26, 56}, {-44, 40}, {-18, 38}, {4, 44}, {36, 60}}}},
      {{{{-30, -44}, {-14, -62}, {6, -60}, {34, -56}, {30, -30}, {26, -6}, {-6, -4}, {38, -2}, {34, 30}, {28, 62}, {0, 60}, {-20, 60}, {-32, 42}}},
       {{{-30, -58}, {0, -58}, {30, -58}, {14, -34}, {-4, -10}, {40, -10}, {34, 28}, {28, 62}, {-2, 60}, {-22, 60}, {-32, 44}}}},
      {{{{-20, -58}, {-28, -22}, {-34, 10}, {0, 10}, {36, 10}}, {{18, -40}, {18, 10}, {14, 60}}},
       {{{16, 60}, {16, 0}, {16, -60}, {-10, -20}, {-36, 18}, {0, 18}, {38, 18}}}},
      {{{{30, -58}, {4, -58}, {-22, -58}, {-24, -34}, {-26, -10}, {4, -24}, {24, -2}, {44, 30}, {16, 52}, {-8, 66}, {-32, 46}}},
       {{{28, -54}, {-2, -62}, {-20, -48}, {-36, -28}, {-6, -12}, {40, 4}, {28, 36}, {12, 66}, {-32, 50}}}},
      {{{{20, -60}, {-24, -40}, {-30, 10}, {-34, 60}, {2, 60}, {36, 58}, {32, 24}, {28, -4}, {0, -2}, {-24, 0}, {-30, 26}}},
       {{{-14, -60}, {-34, -10}, {-28, 30}, {-20, 64}, {6, 58}, {34, 46}, {26, 20}, {10, 2}, {-26, 34}}}},
      {{{{-34, -56}, {0, -56}, {34, -56}, {8, -10}, {-8, 60}}},
       {{{-34, -50}, {0, -60}, {34, -54}, {10, -4}, {-4, 60}}, {{-16, 4}, {6, 2}, {28, 0}}}},
      {{{{0, -4}, {-30, -16}, {-26, -36}, {-22, -60}, {2, -60}, {28, -60}, {26, -34}, {24, -16}, {0, -4},
         {-34, 8}, {-32, 34}, {-28, 60}, {0, 60}, {34, 60}, {32, 32}, {30, 8}, {0, -4}}},
       {{{24, -46}, {4, -70}, {-20, -48}, {-34, -26}, {0, -4}, {42, 20}, {26, 46}, {4, 70}, {-24, 46}, {-36, 20}, {6, -8}, {20, -20}, {24, -46}}}},
      {{{{28, -34}, {24, -60}, {-4, -60}, {-34, -58}, {-30, -28}, {-26, -4}, {4, -6}, {28, -10}, {28, -34}, {30, 20}, {20, 60}}},
       {{{26, -36}, {20, -60}, {-6, -60}, {-34, -56}, {-30, -30}, {-24, -6}, {2, -8}, {24, -12}, {26, -36}, {38, 62}, {-2, 60}, {-18, 60}, {-28, 46}}}},
  }};
  // clang-format on
  return all;
}

/// One synthetic digit, 28 × 28 grey values. Everything is whole numbers (lengths in 1/64 pixel), but for one quotient and one square root in
/// double, both of them rounded once: no compiler and no processor draws another picture.
class DigitPainter {
 public:
  static constexpr Index width = 28;

  DigitPainter(std::uint64_t seed, std::uint64_t sample) : random_{seed, Purpose::synthetic, sample} {}

  /// Fills `image` (28·28 values, row by row) and answers the digit.
  Label paint(std::uint8_t* image) {
    std::fill_n(image, width * width, std::uint8_t{0});
    const auto digit = static_cast<Label>(between(0, 9));
    const auto& variants = glyphs()[static_cast<std::size_t>(digit)];
    const auto& glyph = variants[static_cast<std::size_t>(between(0, static_cast<Index>(variants.size()) - 1))];
    place();
    for (const auto& stroke : glyph) {
      auto start = map(stroke[0]);
      for (std::size_t i = 2; i < stroke.size(); i += 2) {
        const auto control = map(stroke[i - 1]), end = map(stroke[i]);
        draw_curve(start, control, end, image);
        start = end;
      }
    }
    add_noise(image);
    return digit;
  }

 private:
  Index between(Index low, Index high) {
    return low + static_cast<Index>(random_.below(next_++, static_cast<std::uint64_t>(high - low + 1)));
  }

  /// Scale, slant, turn, shift, thickness.
  void place() {
    const Index wide = between(150, 225), high = between(150, 205), slant = between(-60, 90), turn = between(-35, 35);
    xx_ = wide, xy_ = -slant - turn;
    yx_ = turn, yy_ = high;
    center_.x = 14 * 64 + between(-184, 184);
    center_.y = 14 * 64 + between(-184, 184);
    radius_ = between(36, 110);
  }

  /// A point of a glyph on the image, with a hand that shakes.
  GlyphPoint map(GlyphPoint p) {
    p.x += between(-6, 6);
    p.y += between(-6, 6);
    return {center_.x + (xx_ * p.x + xy_ * p.y) / 16, center_.y + (yx_ * p.x + yy_ * p.y) / 16};
  }

  void draw_curve(GlyphPoint a, GlyphPoint control, GlyphPoint b, std::uint8_t* image) const {
    constexpr Index pieces = 6;
    auto last = a;
    for (Index i = 1; i <= pieces; ++i) {
      const Index j = pieces - i;
      const auto at = [&](Index p, Index q, Index r) { return (j * j * p + 2 * i * j * q + i * i * r) / (pieces * pieces); };
      const GlyphPoint next{at(a.x, control.x, b.x), at(a.y, control.y, b.y)};
      draw_line(last, next, image);
      last = next;
    }
  }

  /// Grey falls from 255 to 0 over one pixel around the distance `radius_` from the line between a and b.
  void draw_line(GlyphPoint a, GlyphPoint b, std::uint8_t* image) const {
    const Index reach = radius_ + 32;
    const auto pixel = [](Index position) { return std::clamp<Index>(position / 64, 0, width - 1); };
    const Index vx = b.x - a.x, vy = b.y - a.y, length2 = vx * vx + vy * vy;
    for (Index row = pixel(std::min(a.y, b.y) - reach); row <= pixel(std::max(a.y, b.y) + reach); ++row)
      for (Index column = pixel(std::min(a.x, b.x) - reach); column <= pixel(std::max(a.x, b.x) + reach); ++column) {
        const Index wx = column * 64 + 32 - a.x, wy = row * 64 + 32 - a.y, along = vx * wx + vy * wy, cross = vx * wy - vy * wx;
        double distance2;
        if (along <= 0)
          distance2 = static_cast<double>(wx * wx + wy * wy);
        else if (along >= length2)
          distance2 = static_cast<double>((wx - vx) * (wx - vx) + (wy - vy) * (wy - vy));
        else
          distance2 = static_cast<double>(cross * cross) / static_cast<double>(length2);
        const auto depth = reach - static_cast<Index>(std::sqrt(distance2));
        auto& grey = image[row * width + column];
        grey = static_cast<std::uint8_t>(std::max<Index>(grey, std::clamp<Index>(depth * 4, 0, 255)));
      }
  }

  /// Fainter ink, and grain on every pixel.
  void add_noise(std::uint8_t* image) {
    const Index ink = between(140, 256), grain = between(0, 70);
    for (Index first = 0; first < width * width; first += 8) {
      const auto bits = random_.bits(next_++);
      for (Index i = 0; i < 8; ++i) {
        const auto noise = (static_cast<Index>((bits >> (8 * i)) & 0xFF) - 128) * grain / 128;
        auto& grey = image[first + i];
        grey = static_cast<std::uint8_t>(std::clamp<Index>(grey * ink / 256 + noise, 0, 255));
      }
    }
  }

  Random random_;
  std::uint64_t next_ = 0;
  GlyphPoint center_{};
  Index xx_ = 0, xy_ = 0, yx_ = 0, yy_ = 0;  // from a glyph's units to the image, in 1/16 of 1/64 pixel a unit
  Index radius_ = 0;                         // half the thickness of the stroke
};

}  // namespace detail

/// Synthetic digits: 28 × 28 grey images of the digits 0 to 9, drawn by this function and by nobody's hand, with labels. They take the place of
/// MNIST where there is none, but are another data set: accuracies on the one say nothing about the other.
///
/// The rule: image i is a pure function of (seed, i), the same on every machine; i runs from `first` to first + samples − 1. Random
/// {seed, Purpose::synthetic, i} chooses the digit, each alike, one of up to three ways to write it, width, height, slant, turn, shift,
/// thickness, a shake of every point of its curves, how dark the ink is and how much grain the pixels have.
///
/// Throws OptionError unless first and samples are at least 0 and first + samples at most 2^32.
inline DenseData<std::uint8_t> synthetic_digits(Index samples, std::uint64_t seed, Index first = 0) {
  constexpr Index pixels = detail::DigitPainter::width * detail::DigitPainter::width, limit = Index{1} << 32;
  if (samples < 0 || samples > limit) throw OptionError(detail::text("samples must be in [0, 2^32]; got ", samples));
  if (first < 0 || first > limit - samples)
    throw OptionError(detail::text("first must be in [0, 2^32 - samples]; got ", first, " (samples = ", samples, ")"));
  Matrix<std::uint8_t> images(pixels, samples);
  Vector<Label> labels(samples);
  for (Index s = 0; s < samples; ++s)
    labels[s] = detail::DigitPainter{seed, static_cast<std::uint64_t>(first + s)}.paint(images.col(s).data());
  return DenseData<std::uint8_t>{std::move(images)}.with_labels(std::move(labels));
}

/// Synthetic digits in the two parts that MNIST has, for a program that wants to run without a download. No image is in both.
inline TrainTest<DenseData<std::uint8_t>> synthetic_mnist(Index train = 12000, Index test = 2000, std::uint64_t seed = 1) {
  return {.train = synthetic_digits(train, seed), .test = synthetic_digits(test, seed, train)};
}

}  // namespace parade
