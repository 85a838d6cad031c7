// SPDX-License-Identifier: MIT
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>

#include "support/catch.hpp"
#include "support/reference.hpp"
#include "support/temporary_folder.hpp"

namespace {

/// PARADE_REFERENCE, put back at the end.
class Environment {
 public:
  Environment() {
    if (const char* value = std::getenv("PARADE_REFERENCE")) before_ = value;
  }
  ~Environment() { set(before_); }
  void set(const std::optional<std::string>& folder) {
    if (folder)
      setenv("PARADE_REFERENCE", folder->c_str(), 1);
    else
      unsetenv("PARADE_REFERENCE");
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::optional<std::string> before_;
};

}  // namespace

TEST_CASE("PARADE_REFERENCE names the folder of the reference figures, and must be one") {
  using Catch::Matchers::ContainsSubstring;
  const TemporaryFolder folder;
  Environment environment;
  environment.set({});
  CHECK(reference::read("losses.json").contains("cases"));
  CHECK(reference::read_own("metrics.json").contains("cases"));

  environment.set(folder.path.string());
  CHECK_THROWS_WITH(reference::read("losses.json"), ContainsSubstring("losses.json cannot be read"));
  CHECK(reference::read_own("metrics.json").contains("cases"));  // that of tests/reference
  std::ofstream(folder.path / "losses.json") << R"({"fresh": 1})";
  std::ofstream(folder.path / "metrics.json") << R"({"fresh": 2})";
  CHECK(reference::read("losses.json").at("fresh") == 1);
  CHECK(reference::read_own("metrics.json").at("fresh") == 2);
  std::ofstream(folder.path / "losses.json") << R"({"fresh": )";
  CHECK_THROWS_WITH(reference::read("losses.json"), ContainsSubstring("losses.json are no JSON"));
  std::ofstream(folder.path / "losses.json") << "";
  CHECK_THROWS_WITH(reference::read("losses.json"), ContainsSubstring("losses.json cannot be read"));

  for (const auto& wrong : {std::string{}, (folder.path / "nowhere").string(), (folder.path / "metrics.json").string()}) {
    environment.set(wrong);
    CHECK_THROWS_WITH(reference::read("losses.json"), "PARADE_REFERENCE must name a folder with reference figures; got \"" + wrong + "\"");
    CHECK_THROWS_WITH(reference::read_own("metrics.json"), ContainsSubstring("must name a folder"));
  }
}
