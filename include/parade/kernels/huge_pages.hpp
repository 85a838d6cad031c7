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

inline void advise_huge_pages([[maybe_unused]] void* begin, [[maybe_unused]] std::size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE)), address = reinterpret_cast<std::uintptr_t>(begin);
  const std::uintptr_t first = (address + page - 1) / page * page, last = (address + bytes) / page * page;
  madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);  // a wish: where it is not granted all goes on as before
#endif
}

}  // namespace detail

namespace kernels {

/// Asks the system to back memory that nobody has touched yet with large pages: where elements are read in no order, finding the pages of 4 KiB takes
/// longer than reading; and on some virtual machines the first touch of a page, of whatever size, takes longer than to fill 4 KiB. On Linux, where
/// transparent huge pages are not switched off; elsewhere, and for less than 4 MiB, nothing happens.
inline void use_huge_pages(void* begin, std::size_t bytes) {
  if (bytes >= 2 * detail::huge_page) detail::advise_huge_pages(begin, bytes);
}

/// The same for a vector or matrix of Eigen that was just made.
template <class Values>
void use_huge_pages(Values& values) {
  use_huge_pages(values.data(), static_cast<std::size_t>(values.size()) * sizeof(*values.data()));
}

/// Of a std::vector whose elements stand on large pages, of which it has whole ones, from 1 MiB on; `resize` does not set them.
template <class T>
struct HugePageAllocator {
  static_assert(std::is_trivial_v<T>);
  using value_type = T;

  HugePageAllocator() = default;
  template <class U>
  HugePageAllocator(const HugePageAllocator<U>&) {}

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

  /// What n elements take.
  static constexpr std::size_t bytes(std::size_t n) {
    return is_large(n) ? (n * sizeof(T) + detail::huge_page - 1) / detail::huge_page * detail::huge_page : n * sizeof(T);
  }

  friend bool operator==(const HugePageAllocator&, const HugePageAllocator&) { return true; }

 private:
  static constexpr bool is_large(std::size_t n) { return n >= detail::huge_page / 2 / sizeof(T); }
};

template <class T>
using HugePageVector = std::vector<T, HugePageAllocator<T>>;

}  // namespace kernels
}  // namespace parade
