// SPDX-License-Identifier: MIT
#pragma once

// The one place that holds the version: CMake, pkg-config and the summary read it from here.
#define PARADE_VERSION_MAJOR 0
#define PARADE_VERSION_MINOR 1
#define PARADE_VERSION_PATCH 0
#define PARADE_VERSION_STRING "0.1.0"
