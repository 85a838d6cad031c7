// SPDX-License-Identifier: MIT
#include <support/extern_kernels.hpp>

PARADE_TEST_KERNELS(, float);
PARADE_TEST_KERNELS(, double);
