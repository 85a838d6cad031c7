// SPDX-License-Identifier: MIT
#pragma once

namespace parade {

/// What is done about NaN and ±∞ among the values: an error, or they are kept.
enum class NotFinite { refuse, keep };

}  // namespace parade
