// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <parade/core/config.hpp>
#include <parade/core/types.hpp>

namespace parade::kernels {

/// A number and its place.
struct Ranked {
  std::uint64_t key;
  Index at;

  friend bool operator<(const Ranked& a, const Ranked& b) { return a.key < b.key || (a.key == b.key && a.at < b.at); }
};

/// Rises where x falls, and is the same where x is: −0 is +0. Not for NaN.
inline std::uint64_t falling_key(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x + 0.0);
  return bits >> 63 ? bits : ~bits & ~(std::uint64_t{1} << 63);
}

/// The x of that key, but for the sign of 0.
inline double from_falling_key(std::uint64_t key) { return std::bit_cast<double>(key >> 63 ? key : ~key & ~(std::uint64_t{1} << 63)); }

/// Sorts by the key, and equal keys by the place, in parallel; `room` is overwritten. The places must rise in `items` as they come. There is one such order,
/// whatever the number of threads. A radix sort of the upper 36 bits of the keys, which are all that a float has, digit by digit, each a stable
/// distribution (Knuth: "The art of computer programming", volume 3, section 5.2.5); what then still has the same ones is sorted by comparisons.
inline void sort(std::vector<Ranked>& items, std::vector<Ranked>& room, int threads) {
  constexpr std::size_t few = 1024;
  if (items.size() <= few) return std::sort(items.begin(), items.end());
  constexpr int low = 28, digit = 9;
  constexpr std::size_t buckets = std::size_t{1} << digit;
  const auto chunks = static_cast<std::size_t>(std::max(threads, 1));
  const auto begin_of = [&](std::size_t chunk) { return items.size() / chunks * chunk + std::min(chunk, items.size() % chunks); };
  const auto for_each_chunk = [&](const auto& work) {
#if PARADE_HAS_OPENMP
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (chunks > 1)
#endif
    for (std::size_t chunk = 0; chunk < chunks; ++chunk) work(chunk, begin_of(chunk), begin_of(chunk + 1));
  };

  room.resize(items.size());
  std::vector<std::array<std::size_t, buckets>> places(chunks);  // how many of each digit, then where the next one goes
  for (int shift = low; shift < 64; shift += digit) {
    const auto digit_of = [shift](const Ranked& item) { return static_cast<std::size_t>(item.key >> shift) % buckets; };
    for_each_chunk([&](std::size_t chunk, std::size_t begin, std::size_t end) {
      places[chunk].fill(0);
      for (std::size_t i = begin; i < end; ++i) ++places[chunk][digit_of(items[i])];
    });
    std::size_t next = 0;
    bool all_in_one = false;
    for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
      const std::size_t first = next;
      for (auto& of_chunk : places) next += std::exchange(of_chunk[bucket], next);
      all_in_one = all_in_one || next - first == items.size();
    }
    if (all_in_one) continue;
    for_each_chunk([&](std::size_t chunk, std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) room[places[chunk][digit_of(items[i])]++] = items[i];
    });
    items.swap(room);
  }

  // Runs of the same upper bits, each done by the chunk where it begins. Where that is, all chunks look before one sorts.
  const auto is_in_run = [&](std::size_t i) { return i > 0 && i < items.size() && items[i].key >> low == items[i - 1].key >> low; };
  std::vector<std::size_t> first(chunks + 1, items.size());  // the run that begins first in a chunk or behind it
  for_each_chunk([&](std::size_t chunk, std::size_t begin, std::size_t end) {
    while (begin < end && is_in_run(begin)) ++begin;
    if (begin < end) first[chunk] = begin;
  });
  for (std::size_t chunk = chunks; chunk-- > 0;) first[chunk] = std::min(first[chunk], first[chunk + 1]);
  for_each_chunk([&](std::size_t chunk, std::size_t, std::size_t) {
    const std::size_t end = first[chunk + 1];
    for (std::size_t begin = first[chunk], run_end = 0; begin < end; begin = run_end) {
      bool sorted = true;
      for (run_end = begin + 1; run_end < end && is_in_run(run_end); ++run_end) sorted = sorted && items[run_end - 1] < items[run_end];
      if (!sorted) std::sort(&items[begin], &items[begin] + (run_end - begin));
    }
  });
}

}  // namespace parade::kernels
