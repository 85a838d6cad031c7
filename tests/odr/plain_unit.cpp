// SPDX-License-Identifier: MIT
#include "units.hpp"

Seen plain_unit() { return {&parade::philox, parade::Random{1, parade::Purpose::user}.bits(0)}; }
