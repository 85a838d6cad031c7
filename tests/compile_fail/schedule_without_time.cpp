// SPDX-License-Identifier: MIT
#include <parade/concepts/schedule.hpp>

struct Mine {
#ifdef PARADE_TEST_GOOD
  double rate(double base, const parade::TrainingTime& at) const { return base / static_cast<double>(at.step + 1); }
#else
  double rate(double base) const { return base; }
#endif
};
static_assert(parade::Schedule<Mine>);
