// SPDX-License-Identifier: MIT
#include <parade/parade.hpp>  // refused or not by the compiler's flags alone
