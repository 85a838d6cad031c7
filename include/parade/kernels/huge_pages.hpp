// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace parade::kernels {

/// Asks the system to back memory that nobody has touched yet with large pages: where elements are read in no order, finding the pages of 4 KiB takes
/// longer than reading. On Linux, where transparent huge pages are not switched off; elsewhere, and for less than 4 MiB, nothing happens.
inline void use_huge_pages([[maybe_unused]] void* begin, [[maybe_unused]] std::size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (bytes < std::size_t{4} << 20) return;
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE)), address = reinterpret_cast<std::uintptr_t>(begin);
  const std::uintptr_t first = (address + page - 1) / page * page, last = (address + bytes) / page * page;
  madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);  // a wish: where it is not granted all goes on as before
#endif
}

/// The same for a vector or matrix of Eigen that was just made.
template <class Values>
void use_huge_pages(Values& values) {
  use_huge_pages(values.data(), static_cast<std::size_t>(values.size()) * sizeof(*values.data()));
}

}  // namespace parade::kernels
