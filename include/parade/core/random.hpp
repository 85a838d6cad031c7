// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace parade {

/// What a random number is for. Two purposes never share a number, whatever the seed. The values are part of the promise: never renumber.
enum class Purpose : std::uint32_t {
  shuffle = 1,     // order of the samples in an epoch
  split = 2,       // train/validation split
  initialize = 3,  // starting θ
  synthetic = 4,   // data of our own making
  dropout = 5,     // units left out
  folds = 6,       // cross-validation
  augment = 7,     // changes to the samples of an epoch
  blocks = 8,      // order of the blocks of rows in an epoch
  user = 0x1000,   // and above: free for programs that use parade
};

/// Philox4x32-10: four random 32-bit words from a counter and a key, by ten rounds of multiply and xor.
/// (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011.) The same on every machine.
constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
               static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

/// Random numbers as a pure function of (seed, purpose, stream, index): no state that is shared, advanced or saved, so that any worker
/// gets the same number in any order, and a resumed run goes on with the same ones.
///
///   const parade::Random random{seed, parade::Purpose::shuffle, epoch};
///   random.bits(i);      // 64 random bits for index i
///   random.uniform(i);   // in [0, 1), 53 random bits
///
/// `stream` tells apart the uses of one purpose: the epoch, the number of a parameter block, a sample. Must be below 2^32.
class Random {
 public:
  constexpr Random(std::uint64_t seed, Purpose purpose, std::uint64_t stream = 0)
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
        purpose_{static_cast<std::uint32_t>(purpose)},
        stream_{static_cast<std::uint32_t>(stream)} {}

  constexpr std::uint64_t bits(std::uint64_t index) const {
    const auto words = philox({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), stream_, purpose_}, key_);
    return (std::uint64_t{words[1]} << 32) | words[0];
  }

  /// Uniform in [0, 1): a multiple of 2^−53, the same on every machine.
  constexpr double uniform(std::uint64_t index) const { return static_cast<double>(bits(index) >> 11) * 0x1.0p-53; }

  /// Uniform in [low, high) up to rounding.
  double uniform(std::uint64_t index, double low, double high) const { return std::fma(high - low, uniform(index), low); }

  /// Uniform in {0, …, bound − 1} with a bias below bound · 2^−64 (Lemire 2019, without the rejection). `bound` below 2^32.
  constexpr std::uint64_t below(std::uint64_t index, std::uint64_t bound) const {
    const std::uint64_t u = bits(index), high = (u >> 32) * bound, low = ((u & 0xFFFFFFFFu) * bound) >> 32;
    return (high + low) >> 32;
  }

 private:
  std::array<std::uint32_t, 2> key_;
  std::uint32_t purpose_;
  std::uint32_t stream_;
};

}  // namespace parade
