// SPDX-License-Identifier: MIT
// Types that are wrong in one way each: none of them is a layer.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <parade/concepts/layer.hpp>

#include "support/catch.hpp"

namespace {

using namespace parade;

struct Good {
  Shape connect(const Shape& input) { return input; }
  template <class S>
  void forward(const ConstVectorRef<S>&, const ConstMatrixRef<S>& x, MatrixRef<S> z, auto&) const {
    z = x;
  }
  template <class S>
  void input_gradient(const ConstVectorRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz,
                      MatrixRef<S> dx, auto&) const {
    dx = dz;
  }
};
static_assert(Layer<Good, float> && Layer<Good, double>);

struct WithoutShape : Good {
  void connect(const Shape&) {}
};
struct WithMutableForward : Good {
  template <class S>
  void forward(const ConstVectorRef<S>&, const ConstMatrixRef<S>&, MatrixRef<S>, auto&) {}
};
struct WithoutInputGradient {
  Shape connect(const Shape& input) { return input; }
  template <class S>
  void forward(const ConstVectorRef<S>&, const ConstMatrixRef<S>&, MatrixRef<S>, auto&) const {}
};
struct NotCopyable : Good {
  std::unique_ptr<int> mine;
};
static_assert(!Layer<WithoutShape> && !Layer<WithMutableForward> && !Layer<WithoutInputGradient> && !Layer<NotCopyable>);

struct WithParameters : Good {
  ParameterList parameters() const { return {{"scale", 1, 1}}; }
  template <class S>
  void initialize(VectorRef<S>, std::uint64_t, std::uint64_t) const {}
  template <class S>
  void add_gradient(const ConstVectorRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>&, auto&,
                    VectorRef<S>) const {}
};
static_assert(Layer<WithParameters>);

struct WithoutGradient : Good {
  ParameterList parameters() const { return {{"scale", 1, 1}}; }
  template <class S>
  void initialize(VectorRef<S>, std::uint64_t, std::uint64_t) const {}
};
struct WithoutInitialize : WithParameters {
  void initialize() const {}
};
static_assert(!Layer<WithoutGradient> && !Layer<WithoutInitialize>);

/// Only in double.
struct ForDouble {
  Shape connect(const Shape& input) { return input; }
  void forward(const ConstVectorRef<double>&, const ConstMatrixRef<double>&, MatrixRef<double>, auto&) const {}
  void input_gradient(const ConstVectorRef<double>&, const ConstMatrixRef<double>&, const ConstMatrixRef<double>&,
                      const ConstMatrixRef<double>&, MatrixRef<double>, auto&) const {}
};
static_assert(Layer<ForDouble, double>);

/// With a tape that is nothing.
struct WithTape : WithParameters {
  using SampleBySampleOf = WithTape;
  using TapeOf = WithTape;
  template <class S>
  struct Piece {};
  template <class S>
  struct Tape {};
  void reserve(const auto&, std::size_t) const {}
  template <class S>
  void record(const ConstVectorRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>&, auto&,
              Piece<S>&) const {}
  template <class S>
  void collect(std::span<const TapePart<Piece<S>>>, Tape<S>&) const {}
  template <class S>
  void gradient(const Tape<S>&, Range, S*) const {}
};
static_assert(Layer<WithTape> && LayerTaped<WithTape, float> && LayerTaped<WithTape, double> && !LayerTaped<WithParameters, float>);

struct Inherits : WithTape {};
static_assert(Layer<Inherits> && !LayerTaped<Inherits, float>);  // what it does is its own
struct PromisesAlone : WithTape {
  using SampleBySampleOf = PromisesAlone;
};
static_assert(Layer<PromisesAlone> && !LayerTaped<PromisesAlone, float>);
struct WithoutPromise : WithTape {
  using TapeOf = WithoutPromise;
};
struct WithMutableRecord : WithTape {
  using SampleBySampleOf = WithMutableRecord;
  using TapeOf = WithMutableRecord;
  void record() {}
};
static_assert(!Layer<WithoutPromise> && !Layer<WithMutableRecord>);  // it would never be called

}  // namespace

TEST_CASE("a shape has the size of its extents and says what it is") {
  CHECK(Shape{784}.size() == 784);
  CHECK_FALSE(Shape{784}.is_image());
  CHECK(Shape{784}.text() == "784 features");
  CHECK(Shape{1}.text() == "1 feature");
  CHECK(Shape{3, 4, 5}.size() == 60);
  CHECK(Shape{3, 4, 5}.text() == "3 × 4 × 5");
  CHECK(Shape{60} != Shape{3, 4, 5});
  CHECK(Shape{60} != Shape{60, 1, 1});
  CHECK_THROWS_WITH((Shape{3, 0, 5}), Catch::Matchers::ContainsSubstring("at least 1; got 3 × 0 × 5"));
  CHECK_THROWS_AS(Shape{0}, std::invalid_argument);
}
