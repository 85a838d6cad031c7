// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include <parade/layers/conv2d.hpp>
#include <parade/layers/pooling.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace {

using namespace parade;
using training::random_matrix, training::random_vector;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

struct Geometry {
  Index in, out;
  Extent kernel;
  Index stride, padding, height, width;
};

/// Conv2d by the plain loops that its documentation names; all in one image of zeros around the sample.
template <class S>
void check_convolution(const Geometry& g) {
  CAPTURE(g.in, g.out, g.kernel.height, g.kernel.width, g.stride, g.padding, g.height, g.width);
  // A layer without parameters before it would not ask for ∂J/∂X: a second convolution does, whose own ∂J/∂X is compared.
  Conv2d layer(g.in, g.out, g.kernel, {.stride = g.stride, .padding = g.padding});
  const Shape shape = layer.connect({g.in, g.height, g.width});
  const Index kh = g.kernel.height, kw = g.kernel.width, inner = g.in * kh * kw, oh = shape.height(), ow = shape.width();
  REQUIRE(oh == (g.height + 2 * g.padding - kh) / g.stride + 1);
  REQUIRE(ow == (g.width + 2 * g.padding - kw) / g.stride + 1);
  const Vector<S> theta = random_vector<S>((inner + 1) * g.out, 5);
  const auto weight = [&](Index o, Index c, Index i, Index j) -> S { return theta[o + g.out * ((c * kh + i) * kw + j)]; };
  Conv2d::Prepared<S> prepared;
  Conv2d::Workspace<S> workspace;
  layer.reserve(prepared);
  layer.reserve(workspace, 2);
  layer.prepare(ConstVectorRef<S>(theta), 0, prepared);
  {  // range by range of θ it is the same: some columns, a part of a column, the bias
    Conv2d::Prepared<S> ranges;
    layer.reserve(ranges);
    const Index columns = inner / 2 * g.out, cut = columns + g.out / 2, all = inner * g.out;
    for (const Range range :
         {Range{0, columns}, Range{columns, cut}, Range{cut, columns + g.out}, Range{columns + g.out, all}, Range{all, all + g.out}})
      layer.prepare(theta.data() + range.begin, range, ranges);
    CHECK(ranges.weight == prepared.weight);
    CHECK(ranges.turned == prepared.turned);
    CHECK(ranges.bias == prepared.bias);
  }

  const Index m = 2;
  const Matrix<S> x = random_matrix<S>(g.in * g.height * g.width, m, 1), dz = random_matrix<S>(g.out * oh * ow, m, 2);
  const auto pixel_at = [&](Index c, Index y, Index col, Index j) {
    const bool inside = y >= 0 && y < g.height && col >= 0 && col < g.width;
    return inside ? x((c * g.height + y) * g.width + col, j) : S{0};
  };
  Matrix<S> z(dz.rows(), m), dx(x.rows(), m), expected = z, expected_dx = Matrix<S>::Zero(x.rows(), m);
  Vector<S> grad = random_vector<S>(theta.size(), 3), expected_grad = grad;
  for (Index j = 0; j < m; ++j)
    for (Index o = 0; o < g.out; ++o)
      for (Index y = 0; y < oh; ++y)
        for (Index col = 0; col < ow; ++col) {
          const Index place = (o * oh + y) * ow + col;
          S sum = theta[inner * g.out + o];
          for (Index c = 0; c < g.in; ++c)
            for (Index a = 0; a < kh; ++a)
              for (Index b = 0; b < kw; ++b) {
                const S pixel = pixel_at(c, y * g.stride + a - g.padding, col * g.stride + b - g.padding, j);
                sum = std::fma(weight(o, c, a, b), pixel, sum);
                S& w = expected_grad[o + g.out * ((c * kh + a) * kw + b)];
                w = std::fma(dz(place, j), pixel, w);
              }
          expected(place, j) = sum;
          expected_grad[inner * g.out + o] += dz(place, j);
        }
  for (Index j = 0; j < m; ++j)
    for (Index c = 0; c < g.in; ++c)
      for (Index y = 0; y < g.height; ++y)
        for (Index col = 0; col < g.width; ++col) {
          S sum = 0;
          for (Index o = 0; o < g.out; ++o)
            for (Index a = kh; a-- > 0;)
              for (Index b = kw; b-- > 0;) {
                const Index up = y + g.padding - a, left = col + g.padding - b;
                if (up < 0 || left < 0 || up % g.stride != 0 || left % g.stride != 0 || up / g.stride >= oh || left / g.stride >= ow)
                  continue;
                sum = std::fma(weight(o, c, a, b), dz((o * oh + up / g.stride) * ow + left / g.stride, j), sum);
              }
          expected_dx((c * g.height + y) * g.width + col, j) = sum;
        }
  layer.forward<S>(prepared, x, z, workspace);
  CHECK(z == expected);
  layer.add_gradient<S>(prepared, x, z, dz, workspace, grad);
  CHECK(grad == expected_grad);
  layer.input_gradient<S>(prepared, x, z, dz, dx, workspace);
  CHECK(dx == expected_dx);
}

}  // namespace

TEST_CASE("a convolution has the bits of the plain loops of fused multiply-adds") {
  for (const auto& geometry : std::vector<Geometry>{{1, 1, 1, 1, 0, 1, 1},
                                                    {1, 6, 5, 1, 2, 28, 28},
                                                    {6, 16, 5, 1, 0, 14, 14},
                                                    {2, 3, 3, 1, 1, 5, 7},
                                                    {3, 17, 3, 2, 1, 9, 10},
                                                    {2, 40, {3, 2}, 1, 0, 6, 5},
                                                    {2, 7, {2, 4}, 3, 1, 11, 37},
                                                    {5, 2, 4, 2, 3, 8, 9},
                                                    {1, 13, 3, 1, 0, 3, 3}}) {
    check_convolution<float>(geometry);
    check_convolution<double>(geometry);
  }
}

TEST_CASE("pooling takes the largest and the mean of windows, and NaN stays NaN") {
  const auto pool = [](auto layer, const Matrix<double>& x, const Matrix<double>& dz) {
    layer.connect({1, 3, 5});
    detail::LayerWorkspace<decltype(layer), double> nothing;
    if constexpr (requires { layer.reserve(nothing, 1); }) layer.reserve(nothing, 1);
    Matrix<double> z(dz.rows(), 1), dx(15, 1);
    const ConstVectorRef<double> theta = Vector<double>();
    layer.template forward<double>(theta, x, z, nothing);
    layer.template input_gradient<double>(theta, x, z, dz, dx, nothing);
    return std::pair(z, dx);
  };
  Matrix<double> x(15, 1);
  x << 1, 2, 7, 7, 9,  //
      2, 0, 7, 7, 9,   //
      9, 9, 9, 9, 9;
  {
    const auto [z, dx] = pool(MaxPool2d{2}, x, Matrix<double>{{3.0}, {5.0}});
    CHECK(z == Matrix<double>{{2.0}, {7.0}});
    Matrix<double> expected = Matrix<double>::Zero(15, 1);
    expected(1) = 3;  // the first of the two 2s
    expected(2) = 5;
    CHECK(dx == expected);
  }
  {
    const auto [z, dx] = pool(MaxPool2d{2, {.stride = 1}}, x, Matrix<double>::Constant(8, 1, 1.0));
    CHECK(z.col(0).head(4) == Vector<double>{{2, 7, 7, 9}});
    CHECK(dx(2) == 2);  // largest of two windows of the first row
    CHECK(dx.sum() == 8);
  }
  {
    const auto [z, dx] = pool(AvgPool2d{3, {.stride = 2}}, x, Matrix<double>{{9.0}, {18.0}});
    CHECK(z(0) == Approx(46.0 / 9));
    CHECK(dx(0) == 1);
    CHECK(dx(2) == 3);
    CHECK(dx(4) == 2);
  }
  for (const Index place : {0, 1, 5, 6}) {
    Matrix<double> with_nan = x;
    with_nan(place) = not_a_number;
    CHECK(std::isnan(pool(MaxPool2d{2}, with_nan, Matrix<double>::Ones(2, 1)).first(0)));
    CHECK(std::isnan(pool(MaxPool2d{2, {.stride = 1}}, with_nan, Matrix<double>::Ones(8, 1)).first(0)));
    CHECK(std::isnan(pool(AvgPool2d{2}, with_nan, Matrix<double>::Ones(2, 1)).first(0)));
    CHECK(pool(MaxPool2d{2}, with_nan, Matrix<double>::Ones(2, 1)).first(1) == 7);
  }
}

TEST_CASE("pairs of rows and columns are pooled as by the plain loop, with equal elements and NaN, for every width") {
  const Random random(3, Purpose::user);
  std::uint64_t next = 0;
  for (Index width = 2; width < 40; ++width) {
    for (const bool with_nan : {false, true}) {
      CAPTURE(width, with_nan);
      const kernels::Windows windows{7, width, 2, 2};
      const Index count = 3 * (width / 2);
      std::vector<float> x(static_cast<std::size_t>(7 * width)), z(static_cast<std::size_t>(count)), dz = z, dx(x.size(), -1), expected = z;
      std::vector<std::int32_t> choice(z.size());
      for (auto& element : x) element = static_cast<float>(random.below(next++, 4)) - 2;  // many are equal
      if (with_nan)
        for (int k = 0; k < 3; ++k) x[random.below(next++, x.size())] = std::numeric_limits<float>::quiet_NaN();
      for (auto& element : dz) element = static_cast<float>(random.uniform(next++, -1, 1));
      kernels::max_pool(windows, x.data(), z.data(), choice.data());
      kernels::max_pool_gradient(windows, choice.data(), dz.data(), dx.data());
      std::vector<float> expected_dx(x.size(), 0);
      for (Index w = 0; w < count; ++w) {
        const Index corner = w / (width / 2) * 2 * width + w % (width / 2) * 2;
        Index best = corner;
        for (const Index at : {corner + 1, corner + width, corner + width + 1}) {
          const float a = x[static_cast<std::size_t>(at)], b = x[static_cast<std::size_t>(best)];
          if (a > b || (std::isnan(a) && !std::isnan(b))) best = at;
        }
        const auto i = static_cast<std::size_t>(w), at = static_cast<std::size_t>(best);
        REQUIRE((z[i] == x[at] || (std::isnan(z[i]) && std::isnan(x[at]))));
        expected_dx[at] = dz[i];
      }
      REQUIRE(dx == expected_dx);
    }
  }
}
