// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace parade {
namespace detail {

inline constexpr std::size_t huge_page = std::size_t{2} << 20;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
inline constexpr bool has_huge_pages = true;
#else
inline constexpr bool has_huge_pages = false;
#endif

inline void advise_huge_pages([[maybe_unused]] void* begin, [[maybe_unused]] std::size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE)), address = reinterpret_cast<std::uintptr_t>(begin);
  const std::uintptr_t first = (address + page - 1) / page * page, last = (address + bytes) / page * page;
  madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);  // a wish: where it is not granted all goes on as before
#endif
}

}  // namespace detail

namespace kernels {

/// Asks the system to back memory with large pages where nobody has touched it yet: where elements are read in no order, finding the pages of 4 KiB takes
/// longer than reading; and on some virtual machines the first touch of a page, of whatever size, takes longer than to fill 4 KiB. On Linux, where
/// transparent huge pages are not switched off; elsewhere, and for less than 4 MiB, nothing happens.
inline void use_huge_pages(void* begin, std::size_t bytes) {
  if (bytes >= 2 * detail::huge_page) detail::advise_huge_pages(begin, bytes);
}

/// The same for a vector or matrix of Eigen.
template <class Values>
void use_huge_pages(Values& values) {
  use_huge_pages(values.data(), static_cast<std::size_t>(values.size()) * sizeof(*values.data()));
}

/// For a std::vector whose elements are not set before they are needed: those that are given no value, as by `resize`, hold anything. From 1 MiB on it takes
/// memory in whole pages of 2 MiB, and asks for such pages (on Linux; elsewhere it takes what it needs).
template <class T>
struct HugePageAllocator {
  static_assert(std::is_trivial_v<T>);
  using value_type = T;

  HugePageAllocator() = default;
  template <class U>
  HugePageAllocator(const HugePageAllocator<U>&) noexcept {}

  T* allocate(std::size_t n) {
    if (!is_large(n)) return std::allocator<T>{}.allocate(n);
    if (n > std::numeric_limits<std::size_t>::max() / 2 / sizeof(T)) throw std::bad_array_new_length{};
    const std::size_t bytes = (n * sizeof(T) + detail::huge_page - 1) / detail::huge_page * detail::huge_page;
    void* const memory = ::operator new (bytes, std::align_val_t{detail::huge_page});
    detail::advise_huge_pages(memory, bytes);
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t n) {
    if (is_large(n))
      ::operator delete (memory, std::align_val_t{detail::huge_page});
    else
      std::allocator<T>{}.deallocate(memory, n);
  }
  void construct(T* element) { ::new (static_cast<void*>(element)) T; }
  template <class... Values>
  void construct(T* element, Values&&... values) {
    ::new (static_cast<void*>(element)) T(std::forward<Values>(values)...);
  }

  template <class U>
  bool operator==(const HugePageAllocator<U>&) const {
    return true;
  }

 private:
  static constexpr bool is_large(std::size_t n) { return detail::has_huge_pages && n >= detail::huge_page / 2 / sizeof(T); }
};

template <class T>
using HugePageVector = std::vector<T, HugePageAllocator<T>>;

}  // namespace kernels
}  // namespace parade
