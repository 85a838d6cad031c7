// SPDX-License-Identifier: MIT
#include <parade/concepts/callback.hpp>

// Would never be called.
struct Mine {
#ifdef PARADE_TEST_GOOD
  void on_begin() {}
#else
  void on_begin(const parade::EpochReport&) {}
#endif
  void on_epoch(const parade::EpochReport&) {}
};
static_assert(parade::Callback<Mine>);
