// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <random>

#include <parade/core/error.hpp>

#include "support/catch.hpp"

/// A fresh folder, gone with the test.
struct TemporaryFolder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / parade::detail::text("parade_test_", std::random_device{}(), '_', std::random_device{}());

  TemporaryFolder() { REQUIRE(std::filesystem::create_directory(path)); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};
