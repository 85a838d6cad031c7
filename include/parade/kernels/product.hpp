// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include <parade/core/shard_plan.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/loops.hpp>
#include <parade/kernels/simd.hpp>

// Matrix products in which every element of the result is ONE chain of fused multiply-adds over the inner index, in order:
//
//     c = start;   for p = 0 … inner−1:  c = fma(a(i,p), b(p,j), c)
//
// A block of the inner index starts from the values that the block before it stored, and lanes run along the rows of the result, never
// along the sum. So bits depend neither on blocks, tiles, vector width and addresses, nor on where an element stands: they are those of
// the plain loop with std::fma. (Of a NaN only this is promised, that it is one.)
//
// The products of a dense layer with weights W (k,d), a shard X (d,m), scores Z (k,m):
//
//     Z  (k,m)  = b 1ᵀ + W (k,d) X (d,m)        product, W packed once a step and read by all shards
//     dX (d,m)  = Wᵀ (d,k) dZ (k,m)             product, Wᵀ packed
//     G  (k,d) += dZ (k,m) Xᵀ (m,d)             outer_product, nothing packed before
//     gb (k)   += dZ (k,m) 1 (m)                sum_columns
//
// and the last two once more for a range of G, over all shards of a batch at once, summed over the canonical tree: outer_product_tree and
// sum_columns_tree. They read dZ and X packed.
//
// All matrices are column-major; lda, ldb, ldc are leading dimensions. Results must not overlap operands. Nothing here allocates. No pointer
// needs alignment; packed panels are read faster when they start at a multiple of 64 bytes.
namespace parade::detail {

using kernels::Simd;

/// `total` things in as few parts as hold at most `most` each, all parts of the same size or one more: none is left with very little.
struct EvenSplit {
  Index parts, size, larger;  // the first `larger` parts hold size + 1
  constexpr EvenSplit(Index total, Index most)
      : parts((total + most - 1) / most), size(parts == 0 ? 0 : total / parts), larger(parts == 0 ? 0 : total % parts) {}
  constexpr Index begin(Index part) const { return part * size + std::min(part, larger); }
  constexpr Index count(Index part) const { return size + (part < larger ? 1 : 0); }
};

// A tile of the result is V vectors of rows by N columns. It lives in V·N registers; V more hold a column of a, one an element of b.
// A step of p is V·N multiply-adds and V + N loads. Common cores start two of each in a cycle and finish a multiply-add 4 cycles later, so a
// tile needs at least 8 accumulators, and fewer loads than multiply-adds. With 32 registers this gives 4×6, 3×8, 2×8, 1×8, with 16 registers
// 3×4, 2×6, 1×8. More than 8 columns gain nothing, and their addresses would fill the general registers.
template <class Scalar>
inline constexpr int most_tile_vectors = Simd<Scalar>::registers == 32 ? 4 : 3;
template <class Scalar, int V>
inline constexpr int most_tile_columns = std::min<int>(8, (Simd<Scalar>::registers - V - 1) / V);

// A block of the inner index: its part of a tile of b (6 × 512 floats, 12 KiB) stays in the first-level cache while the panels of a go by, and
// its part of a panel (64 × 512 floats, 128 KiB) in the second while the columns of b go by.
inline constexpr Index inner_block = 512;
// The same for outer_product, whose copy of a panel is on the stack: 4 vectors of 64 bytes × 128, 32 KiB. Shards are seldom larger.
inline constexpr Index outer_block = 128;
// An outer_product with fewer columns than this reads a in place: the copy would take longer than it saves.
inline constexpr Index columns_worth_a_copy = 256;

/// The rows of a result, cut into panels of 1 … most_tile_vectors vectors. Only the last vector of the last panel may be partly filled.
template <class Scalar>
constexpr EvenSplit split_panels(Index rows) {
  constexpr Index width = Simd<Scalar>::width;
  return {(rows + width - 1) / width, most_tile_vectors<Scalar>};
}

/// The first n lanes from p and 0 in the others, n ≥ 1; all lanes if n is width or more.
template <class Scalar>
typename Simd<Scalar>::Vector load_at_most(const Scalar* p, Index n) {
  return n < Simd<Scalar>::width ? Simd<Scalar>::load_first(p, n) : Simd<Scalar>::load(p);
}

/// v, in a register: no compiler can see any more that it was loaded. GCC would rather load it again for each of its uses, and the loads, not the
/// multiply-adds, would set the pace.
template <class Vector>
[[gnu::always_inline]] inline Vector in_register(Vector v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#endif
  return v;
}

/// c (rows,N) = start + a (rows,inner) b (inner,N), rows = (V−1)·width + last, 1 ≤ last ≤ width.
/// a(:,p) is V whole vectors from a + p·lda, b(p,j) is b[p·b_inner + j·b_column], start(i,j) is start[i + j·ld_start] or 0 if start is null.
/// `finish(sum)` may change the result, sum[j][v], before it is stored.
/// `last` may be a constant: where it is width, no lane is asked about.
template <int V, int N, class Scalar, class InnerStride, class ColumnStride, class Last, class Finish>
[[gnu::always_inline]] inline void product_tile(Index inner, const Scalar* a, Index lda, const Scalar* b, InnerStride b_inner,
                                                ColumnStride b_column, const Scalar* start, Index ld_start, Scalar* c, Index ldc, Last last,
                                                const Finish& finish) {
  using S = Simd<Scalar>;
  constexpr Index width = S::width;
  typename S::Vector sum[std::size_t{N}][std::size_t{V}];
#pragma GCC unroll 16
  for (int j = 0; j < N; ++j) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      sum[j][v] = start == nullptr ? S::broadcast(0) : load_at_most(start + j * ld_start + v * width, v == V - 1 ? last : width);
    }
  }
  for (Index p = 0; p < inner; ++p) {
    typename S::Vector column[std::size_t{V}];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) column[v] = in_register(S::load(a + p * lda + v * width));
#pragma GCC unroll 16
    for (int j = 0; j < N; ++j) {
      const auto factor = S::broadcast(b[p * b_inner + j * b_column]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[j][v] = S::fma(column[v], factor, sum[j][v]);
    }
  }
  finish(sum);
#pragma GCC unroll 16
  for (int j = 0; j < N; ++j) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      Scalar* to = c + j * ldc + v * width;
      v == V - 1 && last < width ? S::store_first(to, sum[j][v], last) : S::store(to, sum[j][v]);
    }
  }
}

/// c (rows,cols) = start + a (rows,inner) b (inner,cols), tile by tile; b, start as above. `panel(row, height, filled, p, count)` gives a for
/// the rows from `row` on (`height` of them in whole vectors, `filled` in the matrix) and the inner index p … p + count−1: pointer, stride.
/// Never inlined: among other code a compiler runs out of registers and keeps a sum of the tile in memory, which takes twice the time.
template <class Scalar, class Panel, class InnerStride, class ColumnStride>
[[gnu::noinline]] void blocked_product(Index rows, Index cols, Index inner, Index block, const Panel& panel, const Scalar* b,
                                       InnerStride b_inner, ColumnStride b_column, const Scalar* start, Index ld_start, Scalar* c,
                                       Index ldc) {
  constexpr Index width = Simd<Scalar>::width;
  const EvenSplit panels = split_panels<Scalar>(rows);
  for (Index p = 0; p == 0 || p < inner; p += block, start = c, ld_start = ldc) {
    const Index count = std::min(block, inner - p);
    // Masked stores are slow. Whole vectors may be stored where what is too much lies in the next columns, and these are written later and read by
    // nobody before.
    const bool may_spill = panels.parts == 1 && ldc == rows && start == nullptr;
    for (Index i = 0; i < panels.parts; ++i) {
      const Index row = panels.begin(i) * width, height = panels.count(i) * width, filled = std::min(height, rows - row);
      const auto [a, lda] = panel(row, height, filled, p, count);
      with_constant<most_tile_vectors<Scalar>>(panels.count(i), [&, a = a, lda = lda](auto v) {
        constexpr int V = v, most = most_tile_columns<Scalar, V>;
        const EvenSplit tiles(cols, most);
        for (Index t = 0; t < tiles.parts; ++t) {
          const Index j = tiles.begin(t);
          with_constant<most>(tiles.count(t), [&](auto n) {
            const bool spills = may_spill && (j + n - 1) * ldc + height <= (cols - 1) * ldc + rows;
            product_tile<V, n>(count, a, lda, b + p * b_inner + j * b_column, b_inner, b_column,
                               start == nullptr ? nullptr : start + row + j * ld_start, ld_start, c + row + j * ldc, ldc,
                               spills ? width : filled - (height - width), [](const auto&) {});
          });
        }
      });
    }
  }
}

/// Copies the transpose of a (inner,rows), rows ≤ width, its columns lda apart, to vectors `stride` apart: vector p holds row p of a.
/// In blocks of width × width, turned by log₂(width) rounds; each interleaves the first half of the vectors with the second.
template <class Scalar>
void pack_transposed(Index rows, Index inner, const Scalar* a, Index lda, Scalar* packed, Index stride) {
  using S = Simd<Scalar>;
  constexpr Index width = S::width;
  for (Index p = 0; p < inner; p += width) {
    typename S::Vector block[std::size_t{width}];
#pragma GCC unroll 16
    for (Index i = 0; i < width; ++i) block[i] = i < rows ? load_at_most(a + i * lda + p, inner - p) : S::broadcast(0);
    if constexpr (width > 1) {
#pragma GCC unroll 4
      for (Index rounds = width; rounds > 1; rounds /= 2) {
        typename S::Vector next[std::size_t{width}];
#pragma GCC unroll 8
        for (Index i = 0; i < width / 2; ++i) {
          next[2 * i] = S::zip_low(block[i], block[i + width / 2]);
          next[2 * i + 1] = S::zip_high(block[i], block[i + width / 2]);
        }
        std::copy(next, next + width, block);
      }
    }
#pragma GCC unroll 16
    for (Index i = 0; i < width; ++i) {
      if (i < inner - p) S::store(packed + (p + i) * stride, block[i]);
    }
  }
}

/// The columns of a strip are neighbours and need no address each, so that a tile of one vector of rows may be as wide as the strip where there are
/// registers: its chains are as short as a shard, and beginning and ending them costs less.
template <class Scalar, int V>
inline constexpr int most_strip_columns = V == 1 && Simd<Scalar>::registers == 32 ? 16 : most_tile_columns<Scalar, V>;

/// f(integral_constant n) for n, which is returned: the columns of a tile where `left` ≥ 1 are left of a strip. As many as a tile has, or a power of
/// two: few tiles are compiled so, and of a whole strip, 16 columns, none is narrow.
template <int Most, class F>
Index with_tile_of_strip(Index left, const F& f) {
  static_assert(Most >= 4);
  const auto tile = [&](auto n) -> Index {
    f(n);
    return n;
  };
  if (left >= Most) return tile(std::integral_constant<int, Most>{});
  if constexpr (Most > 4)
    if (left >= 4) return tile(std::integral_constant<int, 4>{});
  return left >= 2 ? tile(std::integral_constant<int, 2>{}) : tile(std::integral_constant<int, 1>{});
}

using One = std::integral_constant<Index, 1>;
using StripWidth = std::integral_constant<Index, 16>;

/// Levels of a tree over at most 65535 shards.
inline constexpr std::size_t tree_levels = 17;

}  // namespace parade::detail

namespace parade::kernels {

/// Where the chains of a result begin: at 0 (the result is overwritten), or at the stored value (the product is added to it).
enum class Start { zero, stored };

/// Number of panels that a packed matrix of `rows` rows is cut into.
template <class Scalar>
Index num_panels(Index rows) {
  return detail::split_panels<Scalar>(rows).parts;
}

/// Number of scalars that a packed matrix (rows,inner) takes.
template <class Scalar>
Index packed_size(Index rows, Index inner) {
  constexpr Index width = Simd<Scalar>::width;
  return (rows + width - 1) / width * width * inner;
}

/// Packs the panels [first_panel, last_panel) of a (rows,inner), a(i,p) = a[i·row_stride + p·column_stride], into `packed`, which holds
/// packed_size(rows, inner) scalars in all. One of the strides is 1: 1, lda packs a column-major matrix, lda, 1 its transpose.
/// Other panels may be packed by other threads at the same time. Layout: panel after panel, in a panel column after column, filled up with 0.
template <class Scalar>
void pack_panels(Index rows, Index inner, const Scalar* a, Index row_stride, Index column_stride, Scalar* packed, Index first_panel,
                 Index last_panel) {
  using S = Simd<Scalar>;
  const auto panels = detail::split_panels<Scalar>(rows);
  PARADE_ASSERT(rows >= 0 && inner >= 0 && (row_stride == 1 || column_stride == 1));
  PARADE_ASSERT(0 <= first_panel && last_panel <= panels.parts);
  for (Index panel = first_panel; panel < last_panel; ++panel) {
    const Index row = panels.begin(panel) * S::width, height = panels.count(panel) * S::width;
    Scalar* to = packed + row * inner;
    if (row_stride == 1) {
      for (Index p = 0; p < inner; ++p) {
        for (Index i = 0; i < height; i += S::width) {
          S::store(to + p * height + i, detail::load_at_most<Scalar>(a + row + i + p * column_stride, rows - row - i));
        }
      }
    } else {
      for (Index i = 0; i < height; i += S::width)
        detail::pack_transposed(std::min(S::width, rows - row - i), inner, a + (row + i) * row_stride, row_stride, to + i, height);
    }
  }
}

/// Packs a part of a, its rows `of_rows` and inner indices `of_inner`, to where pack_panels puts it; a(i,p) − the first one at a[0] − is
/// a[i·row_stride + p·column_stride], one of the strides is 1. Rows past the last one become 0. Other parts may be packed at the same time.
template <class Scalar>
void pack_part(Index rows, Index inner, Range of_rows, Range of_inner, const Scalar* a, Index row_stride, Index column_stride,
               Scalar* packed) {
  using S = Simd<Scalar>;
  const auto panels = detail::split_panels<Scalar>(rows);
  PARADE_ASSERT(0 <= of_rows.begin && of_rows.end <= rows && 0 <= of_inner.begin && of_inner.end <= inner);
  for (Index panel = 0; panel < panels.parts; ++panel) {
    const Index first = panels.begin(panel) * S::width, height = panels.count(panel) * S::width, last = std::min(first + height, rows);
    if (last <= of_rows.begin || first >= of_rows.end) continue;
    Scalar* to = packed + first * inner;
    for (Index row = first; row < last; row += S::width) {  // a vector of rows
      const Index filled = std::min(S::width, rows - row);
      const Index begin = std::max(row, of_rows.begin), end = std::min(row + filled, of_rows.end);
      if (begin >= end) continue;
      const Scalar* from = a + (begin - of_rows.begin) * row_stride;
      Scalar* vectors = to + of_inner.begin * height + (row - first);
      if (end - begin < filled) {
        for (Index p = 0; p < of_inner.size(); ++p) {
          for (Index i = 0; i < end - begin; ++i) vectors[p * height + (begin - row) + i] = from[i * row_stride + p * column_stride];
          if (end == rows) std::fill(vectors + p * height + (end - row), vectors + p * height + S::width, Scalar{0});
        }
      } else if (row_stride == 1) {
        for (Index p = 0; p < of_inner.size(); ++p)
          S::store(vectors + p * height, detail::load_at_most<Scalar>(from + p * column_stride, filled));
      } else {
        detail::pack_transposed(filled, of_inner.size(), from, row_stride, vectors, height);
      }
    }
  }
}

/// c (rows,cols) = start 1ᵀ + a (rows,inner) b (inner,cols), the chains of a row beginning at start_of_row(row), or at 0 if that is null.
/// `packed`: a from pack_panels.
template <class Scalar>
void product(Index rows, Index cols, Index inner, const Scalar* packed, const Scalar* b, Index ldb,
             const std::type_identity_t<Scalar>* start_of_row, Scalar* c, Index ldc) {
  PARADE_ASSERT(rows >= 0 && cols >= 0 && inner >= 0 && ldb >= inner && ldc >= rows);
  const auto panel = [=](Index row, Index height, Index, Index p, Index) { return std::pair(packed + row * inner + p * height, height); };
  detail::blocked_product(rows, cols, inner, detail::inner_block, panel, b, detail::One{}, ldb, start_of_row, 0, c, ldc);
}

/// c (rows,cols) = a (rows,inner) bᵀ, b (cols,inner), or with Start::stored c += a bᵀ.
/// A gradient summed over samples: a = dZ, b = X, the inner index is the sample. Slow where ldb is a multiple of 4096 bytes: pad it.
template <class Scalar>
void outer_product(Index rows, Index cols, Index inner, const Scalar* a, Index lda, const Scalar* b, Index ldb, Scalar* c, Index ldc,
                   Start start) {
  PARADE_ASSERT(rows >= 0 && cols >= 0 && inner >= 0 && lda >= rows && ldb >= cols && ldc >= rows);
  if (rows == 1 && ldc == 1 && cols > 1)
    return outer_product(cols, rows, inner, b, ldb, a, lda, c, cols, start);  // cᵀ, which fills the lanes
  alignas(64) Scalar copy[detail::most_tile_vectors<Scalar> * Simd<Scalar>::width * detail::outer_block];
  const auto panel = [&](Index row, Index height, Index filled, Index p, Index count) {
    const Scalar* from = a + row + p * lda;
    if (filled == height && cols < detail::columns_worth_a_copy) return std::pair(from, lda);
    pack_panels(filled, count, from, 1, lda, copy, 0, 1);
    return std::pair<const Scalar*, Index>(copy, height);
  };
  detail::blocked_product(rows, cols, inner, detail::outer_block, panel, b, ldb, detail::One{}, start == Start::zero ? nullptr : c, ldc, c,
                          ldc);
}

/// sum (rows) = a (rows,cols) 1, or with Start::stored sum += a 1: in every row one sequential sum over the columns. A bias gradient.
template <class Scalar>
void sum_columns(Index rows, Index cols, const Scalar* a, Index lda, Scalar* sum, Start start) {
  PARADE_ASSERT(rows >= 0 && cols >= 0 && lda >= rows);
  if (start == Start::zero) std::fill(sum, sum + rows, Scalar{0});
  for (Index j = 0; j < cols; ++j) {
    for (Index i = 0; i < rows; ++i) sum[i] += a[i + j * lda];
  }
}

/// Features of a strip: of floats a cache line.
inline constexpr Index strip_width = detail::StripWidth::value;

/// Number of scalars that `inner` samples of `cols` features take in strips.
inline Index strips_size(Index cols, Index inner) { return (cols + strip_width - 1) / strip_width * strip_width * inner; }

/// Copies b (cols,inner) into strips of strip_width features (the last one of what is left): strip after strip, in a strip sample after sample.
/// In b the samples' features may be a page apart, here they are neighbours.
template <class Scalar>
void pack_strips(Index cols, Index inner, const Scalar* b, Index ldb, Scalar* strips) {
  using S = Simd<Scalar>;
  PARADE_ASSERT(cols >= 0 && inner >= 0 && ldb >= cols);
  // Some samples at a time: the strips lie inner·strip_width apart, often a multiple of 4096 bytes, so that the lines of one sample would push each
  // other out of the first-level cache (784 features of 128 samples took five times as long).
  constexpr Index some = 16;
  for (Index begin = 0; begin < inner; begin += some) {
    const Index count = std::min(some, inner - begin);
    const Scalar* from = b + begin * ldb;
    Scalar* to = strips + begin * strip_width;
    for (Index left = cols; left > 0; left -= strip_width, from += strip_width, to += strip_width * inner) {
      for (Index p = 0; p < count; ++p) {
        if (left < strip_width) {
          std::copy_n(from + p * ldb, left, to + p * strip_width);
          continue;
        }
        for (Index i = 0; i < strip_width; i += S::width) S::store(to + p * strip_width + i, S::load(from + p * ldb + i));
      }
    }
  }
}

/// Consecutive samples of one shard, for the products that sum over a batch: columns first … first + count−1 of a (rows,m) and b (cols,m).
template <class Scalar>
struct ShardPart {
  const Scalar* panels;  // a, from pack_panels
  const Scalar* strips;  // b, from pack_strips
  Index samples;         // m
  Index first, count;
  bool begins, ends;  // the shard
};

/// The rows of `rows` and columns of `cols` of G (all_rows,…) = Σ_s a_s b_sᵀ over the canonical tree of engine/reduce.hpp, into c, one column
/// `ldc` behind the other: what outer_product gives for each shard, added. `parts`: of the shards of a batch, in order; at least one.
/// The nodes of the tree for a panel of a strip stay in the first-level cache, and so does what its tiles read of some shards, one tile after the
/// other. Never inlined, as blocked_product.
template <class Scalar>
[[gnu::noinline]] void outer_product_tree(Index all_rows, Range rows, Range cols, std::span<const ShardPart<Scalar>> parts, Scalar* c,
                                          Index ldc) {
  using S = Simd<Scalar>;
  constexpr Index width = S::width, most_vectors = detail::most_tile_vectors<Scalar>;
  PARADE_ASSERT(0 <= rows.begin && rows.end <= all_rows && 0 <= cols.begin && ldc >= rows.size() && !parts.empty());
  alignas(64)
      Scalar nodes[detail::tree_levels + 1][std::size_t{most_vectors * width * strip_width}];  // over 2^l shards; the last: part of a panel
  const auto split = detail::split_panels<Scalar>(all_rows);
  const auto shards = static_cast<std::size_t>(std::count_if(parts.begin(), parts.end(), [](const auto& part) { return part.ends; }));
  for (Index column = cols.begin, columns = 0; column < cols.end; column += columns) {
    columns = std::min(cols.end - column, strip_width - column % strip_width);
    for (Index i = 0; i < split.parts; ++i) {
      const Index row = split.begin(i) * width, height = split.count(i) * width, filled = std::min(height, all_rows - row);
      if (row + filled <= rows.begin || row >= rows.end) continue;
      const bool is_whole = rows.begin <= row && row + height <= rows.end;  // if not, it is made beside the result and copied
      Scalar* to = c + (column - cols.begin) * ldc;
      Scalar* result = is_whole ? to + (row - rows.begin) : nodes[detail::tree_levels];
      detail::with_constant<most_vectors>(split.count(i), [&](auto v) {
        constexpr int V = v;
        std::size_t shard = 0, next_shard = 0;  // of the parts `first` and `last`
        for (std::size_t first = 0, last = 0; first < parts.size(); first = last, shard = next_shard) {
          for (Index samples = 0; last < parts.size() && (last == first || samples + parts[last].count <= detail::outer_block); ++last) {
            samples += parts[last].count;
            next_shard += parts[last].ends;
          }
          for (Index j = 0, width_of_tile = 0; j < columns; j += width_of_tile) {
            width_of_tile = detail::with_tile_of_strip<detail::most_strip_columns<Scalar, V>>(columns - j, [&](auto n) {
              constexpr int N = n;
              std::size_t s = shard;
              for (std::size_t p = first; p < last; ++p) {
                const auto& part = parts[p];
                // The nodes on the left that this shard completes; the last one completes all that there are.
                const bool is_last = s + 1 == shards;
                const auto carries = static_cast<std::size_t>(std::countr_one(s));
                const auto left = !part.ends ? 0 : is_last ? s : s & ((std::size_t{1} << carries) - 1);
                const auto add_left = [&](auto& sum) {
                  for (std::size_t rest = left; rest != 0; rest &= rest - 1) {
                    const Scalar* node = nodes[std::countr_zero(rest)] + j * (V * width);
#pragma GCC unroll 16
                    for (int k = 0; k < N; ++k) {
#pragma GCC unroll 4
                      for (int u = 0; u < V; ++u) sum[k][u] = S::add(S::load(node + (k * V + u) * width), sum[k][u]);
                    }
                  }
                };
                const Index ld = is_last && is_whole ? ldc : height;
                Scalar* sum = is_last ? result + j * ld : nodes[carries] + j * height;
                const Scalar* panel = part.panels + row * part.samples + part.first * height;
                const Scalar* strip =
                    part.strips + column / strip_width * strip_width * part.samples + part.first * strip_width + column % strip_width;
                detail::product_tile<V, N>(part.count, panel, height, strip + j, detail::StripWidth{}, detail::One{},
                                           part.begins ? nullptr : sum, ld, sum, ld, std::integral_constant<Index, width>{}, add_left);
                s += part.ends;
              }
            });
          }
        }
      });
      if (!is_whole) {
        const Index low = std::max(row, rows.begin), high = std::min(row + filled, rows.end);
        for (Index j = 0; j < columns; ++j) std::copy_n(result + j * height + (low - row), high - low, to + j * ldc + (low - rows.begin));
      }
    }
  }
}

/// The elements `rows` of Σ_s a_s 1 over the canonical tree: a bias gradient.
template <class Scalar>
void sum_columns_tree(Index all_rows, Range rows, std::span<const ShardPart<Scalar>> parts, Scalar* sum) {
  using S = Simd<Scalar>;
  constexpr Index width = S::width;
  PARADE_ASSERT(0 <= rows.begin && rows.end <= all_rows && !parts.empty());
  const auto split = detail::split_panels<Scalar>(all_rows);
  for (Index i = 0; i < split.parts; ++i) {
    const Index row = split.begin(i) * width, height = split.count(i) * width, filled = std::min(height, all_rows - row);
    if (row + filled <= rows.begin || row >= rows.end) continue;
    alignas(64) Scalar result[std::size_t{detail::most_tile_vectors<Scalar> * width}];
    detail::with_constant<detail::most_tile_vectors<Scalar>>(split.count(i), [&](auto v) {
      constexpr std::size_t V = v;
      typename S::Vector nodes[detail::tree_levels][V], of_shard[V] = {};
      std::size_t s = 0;
      for (const auto& part : parts) {
        const Scalar* a = part.panels + row * part.samples + part.first * height;
        for (std::size_t k = 0; k < V && part.begins; ++k) of_shard[k] = S::broadcast(0);
        for (Index p = 0; p < part.count; ++p, a += height)
          for (std::size_t k = 0; k < V; ++k) of_shard[k] = S::add(of_shard[k], S::load(a + static_cast<Index>(k) * width));
        if (!part.ends) continue;
        const bool is_last = &part == &parts.back();
        const auto carries = static_cast<std::size_t>(std::countr_one(s));
        for (std::size_t rest = is_last ? s : s & ((std::size_t{1} << carries) - 1); rest != 0; rest &= rest - 1)
          for (std::size_t k = 0; k < V; ++k) of_shard[k] = S::add(nodes[std::countr_zero(rest)][k], of_shard[k]);
        for (std::size_t k = 0; k < V; ++k) {
          nodes[carries][k] = of_shard[k];
          if (is_last) S::store(result + static_cast<Index>(k) * width, of_shard[k]);
        }
        ++s;
      }
    });
    const Index low = std::max(row, rows.begin), high = std::min(row + filled, rows.end);
    std::copy_n(result + (low - row), high - low, sum + (low - rows.begin));
  }
}

}  // namespace parade::kernels
