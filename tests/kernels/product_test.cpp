// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include <parade/kernels/product.hpp>

#include "support/catch.hpp"

namespace {

using namespace parade::kernels;
using parade::Index;

template <class Scalar>
bool same_bits(Scalar a, Scalar b) {
  return std::memcmp(&a, &b, sizeof(Scalar)) == 0;
}

/// Values of many magnitudes and both signs: nearly every other order of a sum, and every product rounded by itself, gives other bits.
template <class Scalar>
std::vector<Scalar> random_values(Index n, unsigned seed) {
  std::mt19937 bits(seed);
  std::vector<Scalar> values;
  values.reserve(static_cast<std::size_t>(n + 1));  // data() is not null, even if n is 0
  for (Index i = 0; i < n; ++i) {
    const auto mantissa = static_cast<Scalar>(static_cast<std::int32_t>(bits())) * static_cast<Scalar>(0x1p-31);
    values.push_back(std::ldexp(mantissa, static_cast<int>(bits() % 9) - 4));
  }
  return values;
}

/// A matrix (rows,cols) that starts at an odd place in memory, with a gap below every column, and ends with its last element (where the
/// address sanitizer stands) or with a gap of its own. All gaps hold a NaN: read, it spoils a result; written, `gaps_untouched` sees it.
template <class Scalar>
class Guarded {
 public:
  Guarded(Index rows, Index cols, Index gap, Index offset, bool gap_at_end)
      : rows_(rows), cols_(cols), ld_(std::max(Index{1}, rows + gap)), offset_(offset), memory_(size(gap_at_end), guard()) {}

  Scalar* data() { return memory_.data() + offset_; }
  Index ld() const { return ld_; }
  Scalar& operator()(Index i, Index j) { return data()[i + j * ld_]; }

  void fill(const std::vector<Scalar>& values, Index ld) {
    for (Index j = 0; j < cols_; ++j) std::copy_n(values.begin() + j * ld, rows_, data() + j * ld_);
  }

  bool gaps_untouched() {
    bool untouched = true;
    for (Index at = 0; at < static_cast<Index>(memory_.size()); ++at) {
      const Index i = at - offset_;
      const bool inside = i >= 0 && i % ld_ < rows_ && i / ld_ < cols_;
      untouched = untouched && (inside || same_bits(memory_[static_cast<std::size_t>(at)], guard()));
    }
    return untouched;
  }

 private:
  static Scalar guard() { return std::numeric_limits<Scalar>::quiet_NaN(); }
  std::size_t size(bool gap_at_end) const {
    const Index inside = rows_ == 0 || cols_ == 0 ? 0 : (cols_ - 1) * ld_ + rows_;
    return static_cast<std::size_t>(offset_ + inside + (gap_at_end ? 40 : 0));
  }

  Index rows_, cols_, ld_, offset_;
  std::vector<Scalar> memory_;
};

/// The oracle: the chain of an element of a (·,inner) b (inner,·), both column-major with these leading dimensions.
template <class Scalar>
Scalar chain(Scalar start, const Scalar* a, Index a_inner, const Scalar* b, Index b_inner, Index inner) {
  for (Index p = 0; p < inner; ++p) start = std::fma(a[p * a_inner], b[p * b_inner], start);
  return start;
}

template <class Scalar>
Index count_differences(Guarded<Scalar>& c, const std::vector<Scalar>& expected, Index rows, Index cols, Index ld) {
  Index different = 0;
  for (Index j = 0; j < cols; ++j)
    for (Index i = 0; i < rows; ++i) different += !same_bits(c(i, j), expected[static_cast<std::size_t>(i + j * ld)]);
  return different;
}

template <class Scalar>
std::vector<Scalar> pack(Index rows, Index inner, const Scalar* a, Index row_stride, Index column_stride) {
  std::vector<Scalar> packed(static_cast<std::size_t>(packed_size<Scalar>(rows, inner)), Scalar{7});
  pack_panels(rows, inner, a, row_stride, column_stride, packed.data(), 0, num_panels<Scalar>(rows));
  return packed;
}

constexpr Index most_rows = 70;
const std::vector<Index> some_cols = {0, 1, 2, 5, 6, 7, 8, 13, 32, 33};

}  // namespace

TEMPLATE_TEST_CASE("every element of a product is one chain of fused multiply-adds, whatever the sizes", "[kernels]", float, double) {
  using Scalar = TestType;
  const Index most_cols = some_cols.back();
  for (const Index inner : {0, 1, 2, 3, 16, 31, 257, 300, 513, 1100}) {
    const auto a = random_values<Scalar>(most_rows * inner, 1), b = random_values<Scalar>(inner * most_cols, 2);
    const auto start = random_values<Scalar>(most_rows, 3);
    std::vector<Scalar> from_zero, from_start;  // (most_rows,most_cols)
    for (Index j = 0; j < most_cols; ++j) {
      for (Index i = 0; i < most_rows; ++i) {
        from_zero.push_back(chain(Scalar{0}, a.data() + i, most_rows, b.data() + j * inner, Index{1}, inner));
        from_start.push_back(chain(start[static_cast<std::size_t>(i)], a.data() + i, most_rows, b.data() + j * inner, Index{1}, inner));
      }
    }
    for (Index rows = 0; rows <= (inner > 600 ? 20 : most_rows); ++rows) {
      const auto packed = pack(rows, inner, a.data(), Index{1}, most_rows);
      for (const Index cols : some_cols) {
        INFO(instruction_set() << ": rows " << rows << ", cols " << cols << ", inner " << inner);
        const bool with_start = (rows + cols) % 2 == 0, gap_at_end = rows % 3 == 0;
        Guarded<Scalar> x(inner, cols, rows % 4, 1 + rows % 5, gap_at_end), c(rows, cols, cols % 7, 1 + rows % 3, gap_at_end);
        Guarded<Scalar> first(rows, 1, 0, 1, gap_at_end);
        x.fill(b, inner);
        first.fill(start, most_rows);
        product(rows, cols, inner, packed.data(), x.data(), x.ld(), with_start ? first.data() : nullptr, c.data(), c.ld());
        REQUIRE(count_differences(c, with_start ? from_start : from_zero, rows, cols, most_rows) == 0);
        REQUIRE(c.gaps_untouched());
      }
    }
  }
}

TEMPLATE_TEST_CASE("every element of an outer product is one chain over the samples, from zero or from the stored value", "[kernels]",
                   float, double) {
  using Scalar = TestType;
  const auto compare = [](Index rows, Index cols, Index inner, const std::vector<Scalar>& a, const std::vector<Scalar>& b,
                          const std::vector<Scalar>& stored, const std::vector<Scalar>& expected, Start start, Index ld_a, Index ld_b) {
    INFO(instruction_set() << ": rows " << rows << ", cols " << cols << ", inner " << inner
                           << (start == Start::zero ? ", zero" : ", stored"));
    const bool gap_at_end = rows % 3 == 0;
    Guarded<Scalar> dz(rows, inner, rows % 5, 1 + rows % 2, gap_at_end), x(cols, inner, rows % 4, 1, gap_at_end);
    Guarded<Scalar> g(rows, cols, rows % 7, 1 + rows % 4, gap_at_end);
    dz.fill(a, ld_a);
    x.fill(b, ld_b);
    if (start == Start::stored) g.fill(stored, ld_a);
    outer_product(rows, cols, inner, dz.data(), dz.ld(), x.data(), x.ld(), g.data(), g.ld(), start);
    REQUIRE(count_differences(g, expected, rows, cols, ld_a) == 0);
    REQUIRE(g.gaps_untouched());
  };
  const auto sweep = [&](const std::vector<Index>& inners, Index last_rows, Index step, const std::vector<Index>& all_cols) {
    const Index most_cols = all_cols.back();
    for (const Index inner : inners) {
      const auto a = random_values<Scalar>(last_rows * inner, 4), b = random_values<Scalar>(most_cols * inner, 5);
      const auto stored = random_values<Scalar>(last_rows * most_cols, 6);
      std::vector<Scalar> from_zero, from_stored;  // (last_rows,most_cols)
      for (Index j = 0; j < most_cols; ++j) {
        for (Index i = 0; i < last_rows; ++i) {
          const Scalar first = stored[static_cast<std::size_t>(i + j * last_rows)];
          from_zero.push_back(chain(Scalar{0}, a.data() + i, last_rows, b.data() + j, most_cols, inner));
          from_stored.push_back(chain(first, a.data() + i, last_rows, b.data() + j, most_cols, inner));
        }
      }
      for (Index rows = last_rows % step; rows <= last_rows; rows += step) {
        for (const Index cols : all_cols) {
          const bool zero = (rows / step + cols) % 2 == 0;
          compare(rows, cols, inner, a, b, stored, zero ? from_zero : from_stored, zero ? Start::zero : Start::stored, last_rows,
                  most_cols);
        }
      }
    }
  };
  sweep({0, 1, 2, 3, 16, 31, 129, 300}, most_rows, 1, some_cols);
  sweep({3, 130}, 128, 16, {256, 301});  // enough columns that whole panels are copied too
}

TEMPLATE_TEST_CASE("the sum of columns is one sequential sum in every row", "[kernels]", float, double) {
  using Scalar = TestType;
  for (const Index cols : {0, 1, 2, 7, 100}) {
    const auto a = random_values<Scalar>(most_rows * cols, 7), stored = random_values<Scalar>(most_rows, 8);
    for (Index rows = 0; rows <= most_rows; ++rows) {
      for (const Start start : {Start::zero, Start::stored}) {
        INFO("rows " << rows << ", cols " << cols << (start == Start::zero ? ", zero" : ", stored"));
        Guarded<Scalar> dz(rows, cols, rows % 4, 1, rows % 2 == 0), sum(rows, 1, 0, 1 + rows % 3, rows % 2 == 0);
        dz.fill(a, most_rows);
        if (start == Start::stored) sum.fill(stored, most_rows);
        sum_columns(rows, cols, dz.data(), dz.ld(), sum.data(), start);
        std::vector<Scalar> expected;
        for (Index i = 0; i < rows; ++i) {
          Scalar s = start == Start::zero ? Scalar{0} : stored[static_cast<std::size_t>(i)];
          for (Index j = 0; j < cols; ++j) s += a[static_cast<std::size_t>(i + j * most_rows)];
          expected.push_back(s);
        }
        REQUIRE(count_differences(sum, expected, rows, 1, rows) == 0);
        REQUIRE(sum.gaps_untouched());
      }
    }
  }
}

/// Σ over the canonical tree of shards lo … hi of what one shard gives.
template <class OfShard>
auto over_tree(Index lo, Index hi, const OfShard& of_shard) -> decltype(of_shard(lo)) {
  if (hi - lo == 1) return of_shard(lo);
  Index half = 1;
  while (2 * half < hi - lo) half *= 2;
  auto left = over_tree(lo, lo + half, of_shard);
  const auto right = over_tree(lo + half, hi, of_shard);
  for (std::size_t i = 0; i < left.size(); ++i) left[i] += right[i];
  return left;
}

TEMPLATE_TEST_CASE("outer products and sums of several shards are those of each, added over the canonical tree, in every range",
                   "[kernels]", float, double) {
  using Scalar = TestType;
  for (const Index shards : {1, 2, 3, 4, 5, 6, 7, 8, 11, 16, 31, 64, 127, 130}) {
    std::vector<Index> ends;  // uneven ones
    for (Index s = 0; s < shards; ++s) ends.push_back((ends.empty() ? 0 : ends.back()) + 1 + (shards < 40 ? s * 5 % 37 : 0));
    const auto begin = [&](Index s) { return s == 0 ? 0 : ends[static_cast<std::size_t>(s - 1)]; };
    const auto count = [&](Index s) { return ends[static_cast<std::size_t>(s)] - begin(s); };
    const Index inner = ends.back();
    for (const auto& [m, n] : {std::pair<Index, Index>{1, 1}, {10, 13}, {17, 5}, {64, 40}, {67, 16}, {130, 50}}) {
      const Index rows = m, cols = n;
      const auto a = random_values<Scalar>(rows * inner, 4), b = random_values<Scalar>(cols * inner, 5);
      const auto product_of = [&](Index s) {
        std::vector<Scalar> of_shard;
        for (Index j = 0; j < cols; ++j)
          for (Index i = 0; i < rows; ++i)
            of_shard.push_back(chain(Scalar{0}, a.data() + i + begin(s) * rows, rows, b.data() + j + begin(s) * cols, cols, count(s)));
        return of_shard;
      };
      const auto sum_of = [&](Index s) {
        std::vector<Scalar> of_shard(static_cast<std::size_t>(rows));
        for (Index p = begin(s); p < begin(s) + count(s); ++p)
          for (Index i = 0; i < rows; ++i) of_shard[static_cast<std::size_t>(i)] += a[static_cast<std::size_t>(i + p * rows)];
        return of_shard;
      };
      const auto expected = over_tree(0, shards, product_of), expected_sum = over_tree(0, shards, sum_of);
      const auto part_of = [&](const auto& values, parade::Range r, parade::Range c) {
        std::vector<Scalar> part;
        for (Index j = c.begin; j < c.end; ++j)
          for (Index i = r.begin; i < r.end; ++i) part.push_back(values[static_cast<std::size_t>(i + j * rows)]);
        return part;
      };

      for (const Index piece : {Index{7}, Index{40}, inner}) {  // shards may begin and end inside of a piece, and go on in the next one
        CAPTURE(instruction_set(), shards, rows, cols, piece);
        std::vector<std::vector<Scalar>> panels, strips;
        std::vector<ShardPart<Scalar>> parts;
        for (Index first = 0; first < inner; first += piece) {
          const Index samples = std::min(piece, inner - first);
          panels.push_back(pack(rows, samples, a.data() + first * rows, Index{1}, rows));
          strips.emplace_back(static_cast<std::size_t>(strips_size(cols, samples)), std::numeric_limits<Scalar>::quiet_NaN());
          pack_strips<Scalar>(cols, samples, b.data() + first * cols, cols, strips.back().data());
        }
        for (Index s = 0; s < shards; ++s)
          for (Index at = begin(s), end = 0; at < begin(s) + count(s); at = end) {
            const Index of = at / piece, start = of * piece;
            end = std::min(begin(s) + count(s), start + piece);
            parts.push_back({panels[static_cast<std::size_t>(of)].data(), strips[static_cast<std::size_t>(of)].data(),
                             std::min(piece, inner - start), at - start, end - at, at == begin(s), end == begin(s) + count(s)});
          }
        const std::span<const ShardPart<Scalar>> all(parts);
        for (const parade::Range c : {parade::Range{0, cols}, {cols / 3, cols}, {cols / 2, cols / 2 + 1}})
          for (const parade::Range r : {parade::Range{0, rows}, {0, (rows + 1) / 2}, {rows / 2, rows}, {rows - 1, rows}}) {
            CAPTURE(r.begin, r.end, c.begin, c.end);
            Guarded<Scalar> g(r.size(), c.size(), rows % 7, 1 + rows % 4, true), sum(r.size(), 1, 0, 1, true);
            outer_product_tree<Scalar>(rows, r, c, all, g.data(), g.ld());
            REQUIRE(count_differences(g, part_of(expected, r, c), r.size(), c.size(), r.size()) == 0);
            REQUIRE(g.gaps_untouched());
            sum_columns_tree<Scalar>(rows, r, all, sum.data());
            REQUIRE(count_differences(sum, part_of(expected_sum, r, {0, 1}), r.size(), 1, r.size()) == 0);
            REQUIRE(sum.gaps_untouched());
          }
      }
    }
  }
}

TEMPLATE_TEST_CASE("panels packed one by one, from a matrix or from its transpose, are the panels packed at once", "[kernels]", float,
                   double) {
  using Scalar = TestType;
  for (const Index inner : {0, 1, 2, 7, 8, 16, 17, 33, 100}) {
    for (Index rows = 0; rows <= 200; rows += rows < most_rows ? 1 : 13) {
      INFO(instruction_set() << ": rows " << rows << ", inner " << inner);
      Guarded<Scalar> a(rows, inner, 3, 1, false), transposed(inner, rows, 2, 1, false);
      const auto values = random_values<Scalar>(rows * inner, 9);
      a.fill(values, rows);
      for (Index i = 0; i < rows; ++i)
        for (Index p = 0; p < inner; ++p) transposed(p, i) = a(i, p);

      const auto at_once = pack(rows, inner, static_cast<const Scalar*>(a.data()), Index{1}, a.ld());
      Guarded<Scalar> from_matrix(packed_size<Scalar>(rows, inner), 1, 0, 1, true), from_transpose = from_matrix;
      for (Index panel = num_panels<Scalar>(rows); panel-- > 0;) {
        pack_panels<Scalar>(rows, inner, a.data(), 1, a.ld(), from_matrix.data(), panel, panel + 1);
        pack_panels<Scalar>(rows, inner, transposed.data(), transposed.ld(), 1, from_transpose.data(), panel, panel + 1);
      }
      const auto size = static_cast<Index>(at_once.size());
      REQUIRE(count_differences(from_matrix, at_once, size, 1, size) == 0);
      REQUIRE(count_differences(from_transpose, at_once, size, 1, size) == 0);
      REQUIRE(from_matrix.gaps_untouched());
      REQUIRE(from_transpose.gaps_untouched());

      std::size_t zeros = 0, values_found = 0;  // nothing is lost, and what is not a value is the fill
      for (const Scalar x : at_once) x == 0 ? ++zeros : ++values_found;
      REQUIRE(values_found == values.size());
      REQUIRE(zeros == at_once.size() - values.size());
    }
  }
}

TEMPLATE_TEST_CASE("panels packed part by part, from a matrix or from its transpose, are the panels packed at once", "[kernels]", float,
                   double) {
  using Scalar = TestType;
  for (const Index inner : {1, 2, 15, 16, 17, 50})
    for (const Index rows : {1, 2, 7, 8, 9, 16, 31, 64, 65, 100, 130}) {
      INFO(instruction_set() << ": rows " << rows << ", inner " << inner);
      const auto values = random_values<Scalar>(rows * inner, 9);  // (rows,inner)
      std::vector<Scalar> transposed(values.size());
      for (Index i = 0; i < rows; ++i)
        for (Index p = 0; p < inner; ++p)
          transposed[static_cast<std::size_t>(p + i * inner)] = values[static_cast<std::size_t>(i + p * rows)];
      const auto at_once = pack(rows, inner, values.data(), Index{1}, rows);
      const auto size = static_cast<Index>(at_once.size());
      for (const Index rows_a_part : {Index{1}, Index{5}, Index{16}, rows})
        for (const Index inner_a_part : {Index{1}, Index{16}, inner}) {
          Guarded<Scalar> from_matrix(packed_size<Scalar>(rows, inner), 1, 0, 1, true), from_transpose = from_matrix;
          for (Index p = 0; p < inner; p += inner_a_part)
            for (Index i = 0; i < rows; i += rows_a_part) {
              const parade::Range r{i, std::min(i + rows_a_part, rows)}, q{p, std::min(p + inner_a_part, inner)};
              pack_part<Scalar>(rows, inner, r, q, values.data() + i + p * rows, 1, rows, from_matrix.data());
              pack_part<Scalar>(rows, inner, r, q, transposed.data() + p + i * inner, inner, 1, from_transpose.data());
            }
          CAPTURE(rows_a_part, inner_a_part);
          REQUIRE(count_differences(from_matrix, at_once, size, 1, size) == 0);
          REQUIRE(count_differences(from_transpose, at_once, size, 1, size) == 0);
          REQUIRE(from_matrix.gaps_untouched());
          REQUIRE(from_transpose.gaps_untouched());
        }
    }
}

TEST_CASE("panels hold all rows once and differ in height by one vector at most", "[kernels]") {
  for (Index rows = 0; rows <= 1000; ++rows) {
    const auto panels = parade::detail::split_panels<float>(rows);
    const Index width = Simd<float>::width, vectors = (rows + width - 1) / width;
    Index end = 0, least = vectors, most = 0;
    for (Index i = 0; i < panels.parts; ++i) {
      REQUIRE(panels.begin(i) == end);
      end += panels.count(i);
      least = std::min(least, panels.count(i));
      most = std::max(most, panels.count(i));
    }
    REQUIRE(end == vectors);
    REQUIRE(most <= parade::detail::most_tile_vectors<float>);
    REQUIRE((panels.parts == 0 || (least >= 1 && most - least <= 1)));
    REQUIRE(num_panels<float>(rows) == panels.parts);
    REQUIRE(packed_size<float>(rows, 3) == 3 * width * vectors);
  }
}

TEMPLATE_TEST_CASE("a vector loads and stores its first lanes and touches nothing else", "[kernels]", float, double) {
  using Scalar = TestType;
  using S = Simd<Scalar>;
  const auto values = random_values<Scalar>(S::width, 10), others = random_values<Scalar>(S::width, 11);
  for (Index n = 0; n <= S::width; ++n) {
    INFO(instruction_set() << ": the first " << n << " of " << S::width);
    Guarded<Scalar> some(n, 1, 1, 1, false), stored(n, 1, 1, 1, true);
    some.fill(values, S::width);
    Scalar lanes[S::width];
    S::store(lanes, S::load_first(some.data(), n));
    for (Index i = 0; i < S::width; ++i) REQUIRE(same_bits(lanes[i], i < n ? values[static_cast<std::size_t>(i)] : Scalar{0}));
    S::store_first(stored.data(), S::load(values.data()), n);
    REQUIRE(count_differences(stored, values, n, 1, S::width) == 0);
    REQUIRE(stored.gaps_untouched());
  }
}

TEMPLATE_TEST_CASE("the lanes of vector arithmetic have the bits of scalar arithmetic", "[kernels]", float, double) {
  using Scalar = TestType;
  using S = Simd<Scalar>;
  const auto xs = random_values<Scalar>(S::width, 12), ys = random_values<Scalar>(S::width, 13), zs = random_values<Scalar>(S::width, 14);
  const auto x = S::load(xs.data()), y = S::load(ys.data()), z = S::load(zs.data());
  const auto check = [&](typename S::Vector result, auto expected) {
    Scalar lanes[S::width];
    S::store(lanes, result);
    for (Index lane = 0; lane < S::width; ++lane) {
      const auto i = static_cast<std::size_t>(lane);
      REQUIRE(same_bits(lanes[lane], static_cast<Scalar>(expected(xs[i], ys[i], zs[i]))));
    }
  };
  check(S::add(x, y), [](Scalar a, Scalar b, Scalar) { return a + b; });
  check(S::sub(x, y), [](Scalar a, Scalar b, Scalar) { return a - b; });
  check(S::mul(x, y), [](Scalar a, Scalar b, Scalar) { return a * b; });
  check(S::div(x, y), [](Scalar a, Scalar b, Scalar) { return a / b; });
  check(S::fma(x, y, z), [](Scalar a, Scalar b, Scalar c) { return std::fma(a, b, c); });
  check(S::broadcast(xs[0]), [&](Scalar, Scalar, Scalar) { return xs[0]; });
  if constexpr (S::width > 1) {
    Scalar lanes[2 * S::width];
    S::store(lanes, S::zip_low(x, y));
    S::store(lanes + S::width, S::zip_high(x, y));
    for (Index i = 0; i < 2 * S::width; ++i) REQUIRE(same_bits(lanes[i], (i % 2 == 0 ? xs : ys)[static_cast<std::size_t>(i / 2)]));
  }
}
