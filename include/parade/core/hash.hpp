// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
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
