// SPDX-License-Identifier: MIT
#include <string>
#include <vector>

#include <parade/concepts/dataset.hpp>

#include "support/catch.hpp"

namespace {

using parade::Dataset, parade::HasGather, parade::HasSize, parade::SaysTargets;
using parade::DenseBatch, parade::Index;

using Batch = DenseBatch<float>;
using Samples = std::span<const Index>;

// --- the smallest data set, and what a type lacks -------------------------------------------------------------------------------------

struct Good {
  Index size() const;
  Index num_features() const;
  bool has_labels() const;
  Index num_targets() const;
  void reserve(Batch&, Index capacity) const;
  void gather(Samples, Batch&) const;
};
static_assert(Dataset<Good, Batch>);

enum Piece { nothing = 0, size = 1, targets = 2, gather = 4 };

template <class D, class B = Batch>
constexpr int lacking = (HasSize<D> ? 0 : size) | (SaysTargets<D> ? 0 : targets) | (HasGather<D, B> ? 0 : gather);
static_assert(lacking<Good> == nothing);

template <class D, int pieces, class B = Batch>
concept LacksOnly = !Dataset<D, B> && lacking<D, B> == pieces;

static_assert(LacksOnly<Good, gather, DenseBatch<double>>);

// One mutant a line.
// clang-format off

// 1. size(), num_features()
struct NoSize            : Good { void size() = delete; };
struct SizeAsField       : Good { Index size; };
struct MutableSize       : Good { Index size(); };
struct VoidSize          : Good { void size() const; };
struct NoFeatures        : Good { void num_features() = delete; };
struct FeaturesAsField   : Good { Index num_features; };
struct MutableFeatures   : Good { Index num_features(); };
struct TextFeatures      : Good { std::vector<std::string> num_features() const; };
static_assert(LacksOnly<NoSize, size>);
static_assert(LacksOnly<SizeAsField, size>);
static_assert(LacksOnly<MutableSize, size>);
static_assert(LacksOnly<VoidSize, size>);
static_assert(LacksOnly<NoFeatures, size>);
static_assert(LacksOnly<FeaturesAsField, size>);
static_assert(LacksOnly<MutableFeatures, size>);
static_assert(LacksOnly<TextFeatures, size>);

// 2. has_labels(), num_targets()
struct NoHasLabels       : Good { void has_labels() = delete; };
struct LabelsAsField     : Good { bool has_labels; };
struct MutableHasLabels  : Good { bool has_labels(); };
struct HasLabelsIsText   : Good { std::string has_labels() const; };
struct NoTargets         : Good { void num_targets() = delete; };
struct MutableTargets    : Good { Index num_targets(); };
struct VoidTargets       : Good { void num_targets() const; };
static_assert(LacksOnly<NoHasLabels, targets>);
static_assert(LacksOnly<LabelsAsField, targets>);
static_assert(LacksOnly<MutableHasLabels, targets>);
static_assert(LacksOnly<HasLabelsIsText, targets>);
static_assert(LacksOnly<NoTargets, targets>);
static_assert(LacksOnly<MutableTargets, targets>);
static_assert(LacksOnly<VoidTargets, targets>);

// 3. reserve(batch, capacity)
struct NoReserve         : Good { void reserve() = delete; };
struct MutableReserve    : Good { void reserve(Batch&, Index); };
struct ReserveOther      : Good { void reserve(DenseBatch<double>&, Index) const; };
struct ReserveUnsized    : Good { void reserve(Batch&) const; };
static_assert(LacksOnly<NoReserve, gather>);
static_assert(LacksOnly<MutableReserve, gather>);
static_assert(LacksOnly<ReserveOther, gather>);
static_assert(LacksOnly<ReserveUnsized, gather>);

// 4. gather(samples, batch)
struct NoGather          : Good { void gather() = delete; };
struct MutableGather     : Good { void gather(Samples, Batch&); };
struct GatherReturns     : Good { Batch gather(Samples) const; };
struct GatherOther       : Good { void gather(Samples, DenseBatch<double>&) const; };
struct GatherOfVector    : Good { void gather(const std::vector<Index>&, Batch&) const; };
struct GatherOfMutable   : Good { void gather(std::span<Index>, Batch&) const; };
struct GatherOfInts      : Good { void gather(std::span<const int>, Batch&) const; };
struct GatherRange       : Good { void gather(Index begin, Index end, Batch&) const; };
static_assert(LacksOnly<NoGather, gather>);
static_assert(LacksOnly<MutableGather, gather>);
static_assert(LacksOnly<GatherReturns, gather>);
static_assert(LacksOnly<GatherOther, gather>);
static_assert(LacksOnly<GatherOfVector, gather>);
static_assert(LacksOnly<GatherOfMutable, gather>);
static_assert(LacksOnly<GatherOfInts, gather>);
static_assert(LacksOnly<GatherRange, gather>);
// clang-format on

// --- the forms that a user's data set may take ----------------------------------------------------------------------------------------

struct OfBatches : Good {  // float and double
  template <class Scalar>
  void reserve(DenseBatch<Scalar>&, Index capacity) const;
  template <class Scalar>
  void gather(const Samples&, DenseBatch<Scalar>&) const;
};
static_assert(Dataset<OfBatches, DenseBatch<float>> && Dataset<OfBatches, DenseBatch<double>>);

struct Rows {};
struct OfRows : Good {  // a batch of another kind
  static constexpr int size() { return 3; }
  int num_targets() const;
  void reserve(Rows&, int capacity) const;
  void gather(Samples, Rows&) const;
};
static_assert(Dataset<OfRows, Rows>);
static_assert(LacksOnly<OfRows, gather>);

}  // namespace

TEST_CASE("a type that breaks one requirement of Dataset is refused for that one") {
  SUCCEED("checked by the compiler: each static_assert above");
}
