// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include <parade/core/types.hpp>

namespace parade {

/// FNV-1a, 64 bits (Fowler, Noll, Vo): h ← (h ⊕ byte) · 1099511628211, from 14695981039346656037. Easy to compute again anywhere.
inline std::uint64_t hash_bytes(std::span<const std::byte> bytes) {
  std::uint64_t hash = 14695981039346656037u;
  for (const std::byte byte : bytes) hash = (hash ^ static_cast<std::uint64_t>(byte)) * 1099511628211u;
  return hash;
}

namespace detail {

/// A feature of 2^bits for a hash, bits in [1, 31]: its upper half folded onto the lower, modulo 2^bits. (The low bits of FNV-1a alone are poor.)
inline Index folded_hash(std::uint64_t hash, int bits) {
  return static_cast<Index>((hash ^ hash >> 32) & ((std::uint64_t{1} << bits) - 1));
}

}  // namespace detail

/// XXH64 with seed 0 (Y. Collet: "xxHash fast digest algorithm", version 0.1.1, 2018), for large blocks: some bytes a clock tick, where FNV-1a takes some
/// ticks a byte. xxhsum -H1 prints the same.
///
///   fast_hash({}) → ef46db3751d8e999        fast_hash(bytes of "abc") → 44bc2cf5ad770999
inline std::uint64_t fast_hash(std::span<const std::byte> bytes) {
  constexpr std::uint64_t p1 = 0x9E3779B185EBCA87, p2 = 0xC2B2AE3D27D4EB4F, p3 = 0x165667B19E3779F9, p4 = 0x85EBCA77C2B2AE63,
                          p5 = 0x27D4EB2F165667C5;
  const auto read = [](const std::byte* from, auto number) {  // little-endian
    if constexpr (std::endian::native == std::endian::little) {
      std::memcpy(&number, from, sizeof number);
    } else {
      number = 0;
      for (std::size_t i = sizeof number; i-- > 0;) number = (number << 8) | static_cast<decltype(number)>(from[i]);
    }
    return std::uint64_t{number};
  };
  const auto round = [](std::uint64_t lane, std::uint64_t word) { return std::rotl(lane + word * p2, 31) * p1; };
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t hash = p5;
  if (left >= 32) {
    std::uint64_t lane[4] = {p1 + p2, p2, 0, 0 - p1};
    for (; left >= 32; at += 32, left -= 32)
      for (std::size_t i = 0; i < 4; ++i) lane[i] = round(lane[i], read(at + 8 * i, std::uint64_t{}));
    hash = std::rotl(lane[0], 1) + std::rotl(lane[1], 7) + std::rotl(lane[2], 12) + std::rotl(lane[3], 18);
    for (const std::uint64_t of : lane) hash = (hash ^ round(0, of)) * p1 + p4;
  }
  hash += bytes.size();
  for (; left >= 8; at += 8, left -= 8) hash = std::rotl(hash ^ round(0, read(at, std::uint64_t{})), 27) * p1 + p4;
  for (; left >= 4; at += 4, left -= 4) hash = std::rotl(hash ^ (read(at, std::uint32_t{}) * p1), 23) * p2 + p3;
  for (; left >= 1; ++at, --left) hash = std::rotl(hash ^ (static_cast<std::uint64_t>(*at) * p5), 11) * p1;
  hash = (hash ^ (hash >> 33)) * p2;
  hash = (hash ^ (hash >> 29)) * p3;
  return hash ^ (hash >> 32);
}

/// The hash of θ: of its P · sizeof(Scalar) bytes as they lie in memory.
template <class Scalar>
std::uint64_t theta_hash(const Vector<Scalar>& theta) {
  return hash_bytes(std::as_bytes(std::span(theta.data(), static_cast<std::size_t>(theta.size()))));
}

/// As 16 hexadecimal digits.
inline std::string hash_text(std::uint64_t hash) {
  std::string text(16, '0');
  for (std::size_t i = 16; i-- > 0; hash >>= 4) text[i] = "0123456789abcdef"[hash & 15];
  return text;
}

}  // namespace parade
