// SPDX-License-Identifier: MIT
#include <parade/concepts/callback.hpp>

// Stops when the loss is small. Whether true means go on or stop is not said by bool.
struct Mine {
#ifdef PARADE_TEST_GOOD
  parade::Signal on_epoch(const parade::EpochReport& report) { return report.loss < 0.1 ? parade::Signal::stop : parade::Signal::go_on; }
#else
  bool on_epoch(const parade::EpochReport& report) { return report.loss < 0.1; }
#endif
};
static_assert(parade::Callback<Mine>);
