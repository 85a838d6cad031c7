// SPDX-License-Identifier: MIT
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/core/hash.hpp>
#include <parade/core/random.hpp>
#include <parade/kernels/math.hpp>

#include "support/catch.hpp"

namespace {

using namespace parade::kernels;
using parade::Index;
using parade::Purpose;
using parade::Random;

template <class Scalar>
using Word = typename Format<Scalar>::Word;
template <class Scalar>
using Wide = std::conditional_t<sizeof(Scalar) == 4, double, long double>;

/// A NaN may have any bits: here all have the same.
template <class Scalar>
Word<Scalar> bits_of(Scalar x) {
  return std::bit_cast<Word<Scalar>>(std::isnan(x) ? std::numeric_limits<Scalar>::quiet_NaN() : x);
}

/// A function under test: what the vectors give, what it is, the error in ulp that its documentation states, and the hash of `fixed_grid`.
template <class Scalar>
struct Function {
  std::string name;
  typename Simd<Scalar>::Vector (*vector)(typename Simd<Scalar>::Vector);
  Wide<Scalar> (*exact)(Wide<Scalar>);
  double most_error;
  std::string golden;
};

template <class T>
T exact_sigmoid(T x) {
  const T e = std::exp(-std::abs(x));
  return (x < 0 ? e : T{1}) / (1 + e);
}

template <class T>
T exact_softplus(T x) {
  return std::isnan(x) ? x : std::max(x, T{0}) + std::log1p(std::exp(-std::abs(x)));
}

template <class Scalar>
std::vector<Function<Scalar>> functions() {
  using T = Wide<Scalar>;
  const auto choose = [](auto of_float, auto of_double) { return sizeof(Scalar) == 4 ? of_float : of_double; };
  return {
      {"exp", exp<Scalar>, [](T x) { return std::exp(x); }, choose(0.90, 0.90), choose("d64bf45e6cfa9ce6", "4eff3a7e9de5092f")},
      {"log", log<Scalar>, [](T x) { return std::log(x); }, choose(0.92, 0.95), choose("bd053975a220bc2e", "fe693b7e6356d797")},
      {"log1p", log1p<Scalar>, [](T x) { return std::log1p(x); }, choose(0.92, 0.97), choose("bc3552346d0bf5d7", "b5ef62e3ff4cbb36")},
      {"sigmoid", sigmoid<Scalar>, exact_sigmoid<T>, choose(0.97, 0.97), choose("347789d512d435b1", "ef18ae65416b70d3")},
      {"tanh", tanh<Scalar>, [](T x) { return std::tanh(x); }, choose(0.89, 0.89), choose("5877a9099b61b979", "ee7e1b131c56207c")},
      {"erf", erf<Scalar>, [](T x) { return std::erf(x); }, choose(1.17, 1.30), choose("6628e1815d7fba63", "0f5100a7ae823278")},
      {"softplus", softplus<Scalar>, exact_softplus<T>, choose(1.75, 1.75), choose("5a78adad7a1412b4", "27e184f9415ad5db")},
  };
}

template <class Scalar>
Scalar one_lane(const Function<Scalar>& f, Scalar x) {
  Scalar lanes[Simd<Scalar>::width];
  Simd<Scalar>::store(lanes, f.vector(Simd<Scalar>::broadcast(x)));
  return lanes[0];
}

/// |y − exact| over the distance of the numbers of the type at `exact`; 0 if both overflow or both are NaN, ∞ if one is NaN, or a zero
/// has the wrong sign.
template <class Scalar>
double error_in_ulp(Scalar y, Wide<Scalar> exact) {
  using Limits = std::numeric_limits<Scalar>;
  constexpr double wrong = std::numeric_limits<double>::infinity();
  if (std::isnan(y) || std::isnan(exact)) return std::isnan(y) && std::isnan(exact) ? 0 : wrong;
  const auto rounded = static_cast<Scalar>(exact);
  if (y == rounded && (std::isinf(y) || y == 0)) return std::signbit(y) == std::signbit(rounded) ? 0 : wrong;
  if (std::isinf(y)) return std::abs(exact) >= Wide<Scalar>{Limits::max()} ? 0 : wrong;
  const int exponent = exact == 0 ? Limits::min_exponent : std::max(std::ilogb(exact) + 1, Limits::min_exponent);
  return static_cast<double>(std::ldexp(std::abs(Wide<Scalar>{y} - exact), Limits::digits - exponent));
}

/// The largest error over arguments that come in any number of blocks.
template <class Scalar>
class Worst {
 public:
  explicit Worst(const Function<Scalar>& f) : f_(f) {}

  void add(const std::vector<Scalar>& xs) {
    y_.resize(xs.size());
    transform(xs.data(), y_.data(), static_cast<Index>(xs.size()), [this](auto v) { return f_.vector(v); });
    for (std::size_t i = 0; i < xs.size(); ++i) {
      const double error = error_in_ulp(y_[i], f_.exact(Wide<Scalar>{xs[i]}));
      if (error > error_) error_ = error, at_ = xs[i];
    }
  }

  double error() const { return error_; }
  Scalar at() const { return at_; }

 private:
  const Function<Scalar>& f_;
  std::vector<Scalar> y_;
  double error_ = 0;
  Scalar at_ = 0;
};

/// Where a method changes, a result overflows, underflows or becomes constant, and the ends of the type.
template <class Scalar>
std::vector<Scalar> edges() {
  using Limits = std::numeric_limits<Scalar>;
  std::vector<Scalar> all = {Limits::min(), Limits::denorm_min(), Limits::max(), Limits::epsilon(), Limits::epsilon() / 4};
  for (const double x : {0.25,     0.34657359, 0.5,   0.55,     0.75,     1.0,   1.03972077, 1.5,      3.95,    5.93,    9.01,
                         10.0,     16.6,       17.33, 18.0,     19.06,    20.0,  36.7,       38.0,     87.3365, 88.7228, 89.0,
                         103.2789, 103.9721,   104.0, 708.3964, 709.7827, 710.0, 744.44,     745.1332, 746.0})
    all.push_back(static_cast<Scalar>(x));
  return all;
}

/// Both signs of: neighbours of the edges, one by one and in widening steps; random numbers of every magnitude.
template <class Scalar>
std::vector<Scalar> hard_arguments(std::uint64_t count) {
  std::vector<Scalar> xs = {0, std::numeric_limits<Scalar>::infinity(), std::numeric_limits<Scalar>::quiet_NaN()};
  const Random random{1, Purpose::user};
  std::uint64_t drawn = 0;
  for (const Scalar edge : edges<Scalar>()) {
    const auto center = std::bit_cast<Word<Scalar>>(edge);
    for (Word<Scalar> i = 0; i < 100; ++i) {
      xs.push_back(std::bit_cast<Scalar>(center + i));
      if (i < center) xs.push_back(std::bit_cast<Scalar>(center - i));
    }
    for (const double width : {0.25, 1e-3, 1e-6}) {
      for (int i = 0; i < 1000; ++i) xs.push_back(edge * static_cast<Scalar>(random.uniform(drawn++, 1 - width, 1 + width)));
    }
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    xs.push_back(std::bit_cast<Scalar>(static_cast<Word<Scalar>>(random.bits(drawn++))));
    xs.push_back(static_cast<Scalar>(random.uniform(drawn++, 0, 4)));
    xs.push_back(static_cast<Scalar>(random.uniform(drawn++, 0, 40)));
  }
  const auto size = xs.size();
  for (std::size_t i = 0; i < size; ++i) xs.push_back(-xs[i]);
  return xs;
}

/// The arguments of the golden hashes: steps through all bit patterns, and an even grid where the functions vary.
template <class Scalar>
std::vector<Scalar> fixed_grid() {
  std::vector<Scalar> xs;
  constexpr auto step = static_cast<Word<Scalar>>(0x000FFEF9FFEF9FFFu >> (sizeof(Scalar) == 4 ? 32 : 0));
  Word<Scalar> bits = 0;
  for (int i = 0; i < 4096; ++i, bits += step) xs.push_back(std::bit_cast<Scalar>(bits));
  for (int i = -4096; i <= 4096; ++i) xs.push_back(static_cast<Scalar>(i) / Scalar{37});
  return xs;
}

template <class Scalar>
void check_specials(const Function<Scalar>& f, const std::vector<std::pair<Scalar, Scalar>>& values) {
  for (const auto& [x, y] : values) {
    INFO(f.name << "(" << x << ") = " << one_lane(f, x) << ", not " << y);
    CHECK(bits_of(one_lane(f, x)) == bits_of(y));
  }
}

}  // namespace

TEST_CASE("errors over the floats are those of the documentation", "[kernels]") {
  // Every 4001st float, or all of them: 2³² for each function.
  const std::uint64_t step = std::getenv("PARADE_EXHAUSTIVE") == nullptr ? 4001 : 1, end = std::uint64_t{1} << 32;
  for (const auto& f : functions<float>()) {
    Worst<float> worst(f);
    std::vector<float> xs;
    for (std::uint64_t bits = 0; bits < end; bits += step) {
      xs.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
      if (xs.size() == 1 << 14 || bits + step >= end) {
        worst.add(xs);
        xs.clear();
      }
    }
    INFO(f.name << ": " << worst.error() << " ulp at " << worst.at());
    CHECK(worst.error() <= f.most_error);
  }
}

TEMPLATE_TEST_CASE("errors at edges and random arguments are those of the documentation", "[kernels]", float, double) {
  const std::uint64_t count = std::getenv("PARADE_EXHAUSTIVE") == nullptr ? 10'000 : 10'000'000;
  const auto xs = hard_arguments<TestType>(count);
  for (const auto& f : functions<TestType>()) {
    Worst<TestType> worst(f);
    worst.add(xs);
    INFO(f.name << ": " << worst.error() << " ulp at " << worst.at());
    CHECK(worst.error() <= f.most_error);
  }
}

TEMPLATE_TEST_CASE("special arguments have their exact values", "[kernels]", float, double) {
  using Scalar = TestType;
  using Limits = std::numeric_limits<Scalar>;
  constexpr Scalar inf = Limits::infinity(), nan = Limits::quiet_NaN(), least = Limits::denorm_min(), most = Limits::max();
  const auto f = functions<Scalar>();
  check_specials<Scalar>(f[0],
                         {{0, 1}, {-Scalar{0}, 1}, {inf, inf}, {-inf, 0}, {nan, nan}, {most, inf}, {-most, 0}, {least, 1}, {-least, 1}});
  check_specials<Scalar>(f[1], {{0, -inf}, {-Scalar{0}, -inf}, {1, 0}, {inf, inf}, {-inf, nan}, {nan, nan}, {-1, nan}, {-least, nan}});
  check_specials<Scalar>(f[2], {{0, 0},
                                {-Scalar{0}, -Scalar{0}},
                                {inf, inf},
                                {-inf, nan},
                                {nan, nan},
                                {-1, -inf},
                                {-2, nan},
                                {-most, nan},
                                {least, least},
                                {-least, -least},
                                {3 * least, 3 * least}});
  check_specials<Scalar>(f[3], {{0, Scalar{0.5}}, {-Scalar{0}, Scalar{0.5}}, {inf, 1}, {-inf, 0}, {nan, nan}, {most, 1}, {-most, 0}});
  for (const auto& odd : {f[4], f[5]}) {
    check_specials<Scalar>(odd,
                           {{0, 0}, {-Scalar{0}, -Scalar{0}}, {inf, 1}, {-inf, -1}, {nan, nan}, {most, 1}, {-most, -1}, {least, least}});
  }
  check_specials<Scalar>(f[6], {{inf, inf}, {-inf, 0}, {nan, nan}, {most, most}, {-most, 0}});
}

TEMPLATE_TEST_CASE("results have the same bits wherever an element stands, and nothing else is touched", "[kernels]", float, double) {
  using Scalar = TestType;
  const auto all = hard_arguments<Scalar>(0);
  for (const auto& f : functions<Scalar>()) {
    std::vector<Scalar> alone;
    for (const Scalar x : all) alone.push_back(one_lane(f, x));
    const auto apply = [&f](auto v) { return f.vector(v); };
    std::size_t from = 0;
    for (std::size_t size = 0; size < 70; ++size) {
      const std::size_t offset = size % 5;
      from = (from + 977) % (all.size() - 70);
      const Scalar guard = -7;
      std::vector<Scalar> in_place(size + offset + 1, guard), result = in_place;
      std::copy_n(all.begin() + static_cast<Index>(from), size, in_place.begin() + static_cast<Index>(offset));
      transform(in_place.data() + offset, result.data() + offset, static_cast<Index>(size), apply);
      transform(in_place.data() + offset, static_cast<Index>(size), apply);
      int different = 0;
      for (std::size_t i = 0; i < in_place.size(); ++i) {
        const bool inside = i >= offset && i - offset < size;
        const auto expected = bits_of(inside ? alone[from + i - offset] : guard);
        different += bits_of(in_place[i]) != expected || bits_of(result[i]) != expected;
      }
      INFO(f.name << ", " << size << " elements from " << from);
      REQUIRE(different == 0);
    }
    std::vector<Scalar> together(all.size());
    transform(all.data(), together.data(), static_cast<Index>(all.size()), apply);
    INFO(f.name);
    CHECK(std::equal(alone.begin(), alone.end(), together.begin(), [](Scalar a, Scalar b) { return bits_of(a) == bits_of(b); }));
  }
}

TEMPLATE_TEST_CASE("the bits of a fixed grid are the same on every machine", "[kernels]", float, double) {
  auto xs = fixed_grid<TestType>();
  for (const auto& f : functions<TestType>()) {
    std::vector<Word<TestType>> result;
    for (const TestType x : xs) result.push_back(bits_of(one_lane(f, x)));
    INFO(instruction_set() << ", " << f.name << (sizeof(TestType) == 4 ? ", float" : ", double"));
    CHECK(parade::hash_text(parade::hash_bytes(std::as_bytes(std::span(result)))) == f.golden);
  }
}

TEMPLATE_TEST_CASE("a sum with exp has the bits of the sum with the stored result", "[kernels]", float, double) {
  using Scalar = TestType;
  using S = Simd<Scalar>;
  // Where the result is subnormal its last product is inexact: fused with the sum, it would give other bits.
  const double low = std::log(static_cast<double>(std::numeric_limits<Scalar>::min()));
  const Random random{1, Purpose::user, 1};
  std::vector<Scalar> x;
  for (std::uint64_t i = 0; i < 10'000; ++i) x.push_back(static_cast<Scalar>(random.uniform(i, low - 3, low)));
  std::vector<Scalar> stored(x.size()), sum(x.size());
  const auto size = static_cast<Index>(x.size());
  const Scalar y = 5 * std::numeric_limits<Scalar>::min();
  transform(x.data(), stored.data(), size, [](auto v) { return exp<Scalar>(v); });
  transform(x.data(), sum.data(), size, [y](auto v) { return S::add(exp<Scalar>(v), S::broadcast(y)); });
  int different = 0;
  for (std::size_t i = 0; i < x.size(); ++i) different += bits_of(stored[i] + y) != bits_of(sum[i]);
  CHECK(different == 0);
}

TEMPLATE_TEST_CASE("choices between vectors have the bits of the scalar expression, also for NaN and zeros", "[kernels]", float, double) {
  using Scalar = TestType;
  using S = Simd<Scalar>;
  const Scalar nan = std::numeric_limits<Scalar>::quiet_NaN(), inf = std::numeric_limits<Scalar>::infinity();
  const auto same = [](typename S::Vector v, Scalar expected) {
    Scalar lanes[S::width];
    S::store(lanes, v);
    return std::all_of(lanes, lanes + S::width, [&](Scalar x) { return bits_of(x) == bits_of(expected); });
  };
  for (const Scalar a : {nan, inf, -inf, Scalar{0}, -Scalar{0}, Scalar{1}, std::numeric_limits<Scalar>::denorm_min()}) {
    for (const Scalar b : {nan, inf, -inf, Scalar{0}, -Scalar{0}, Scalar{1}, std::numeric_limits<Scalar>::denorm_min()}) {
      INFO(instruction_set() << ": " << a << ", " << b);
      const auto va = S::broadcast(a), vb = S::broadcast(b);
      CHECK(same(S::min(va, vb), a < b ? a : b));
      CHECK(same(S::max(va, vb), a > b ? a : b));
      CHECK(same(S::select(S::less(va, vb), S::broadcast(3), S::broadcast(4)), a < b ? Scalar{3} : Scalar{4}));
      CHECK(same(S::neg(va), -a));
    }
  }
}

TEMPLATE_TEST_CASE("scaling by a power of two rounds once, down to the smallest subnormal and up to infinity", "[kernels]", float, double) {
  using Scalar = TestType;
  using S = Simd<Scalar>;
  using Limits = std::numeric_limits<Scalar>;
  const Random random{1, Purpose::user, 2};
  int different = 0;
  for (int n = Limits::min_exponent - Limits::digits - 3; n <= Limits::max_exponent + 1; ++n) {
    for (int i = 0; i < 50; ++i) {
      const auto a = static_cast<Scalar>(random.uniform(static_cast<std::uint64_t>((n + 5000) * 50 + i), 0.25, 2));
      Scalar lanes[S::width];
      S::store(lanes, S::scale(S::broadcast(a), S::broadcast(static_cast<Scalar>(n))));
      different += bits_of(lanes[0]) != bits_of(std::ldexp(a, n));
    }
  }
  CHECK(different == 0);
}
