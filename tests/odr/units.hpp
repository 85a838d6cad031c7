// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <parade/parade.hpp>

/// What a translation unit sees of parade.
struct Seen {
  decltype(&parade::philox) philox;
  std::uint64_t bits;
};

Seen plain_unit();
Seen eigen_first_unit();
